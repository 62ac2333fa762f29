import Essentials
package import Telemetry

/// Where an exporter sends batches: one attempt, no queue and no retries, which ``ExportPipeline`` adds.
package protocol ExportDestination: Sendable {
    /// Sends `batch` once. Returning means that the destination has taken it, but for the items in the report.
    func send(_ batch: OTLPBatch) async throws(ExportError) -> ExportReport
}

/// What the destination said of a batch it took.
package struct ExportReport: Sendable, Equatable {
    /// Items the destination refused for good (OTLP partial success).
    package var rejectedItems = 0
    /// Items that other books of the component have from now on (another pipeline's, say): they are not delivered yet.
    package var handedOnItems = 0
    /// What the destination said, empty when nothing.
    package var message = ""

    package init(rejectedItems: Int = 0, handedOnItems: Int = 0, message: String = "") {
        self.rejectedItems = rejectedItems
        self.handedOnItems = handedOnItems
        self.message = message
    }

    /// Everything was taken.
    package static let complete = ExportReport()
}

/// Why a batch was not sent.
package enum ExportError: Error, Sendable, Equatable, CustomStringConvertible {
    /// Sending it again is pointless.
    case permanent(String)
    /// It may be taken later, not before the time given.
    case retryable(String, after: Duration?)

    package var description: String {
        switch self {
        case .permanent(let message), .retryable(let message, _): message
        }
    }
}

/// The pipeline that follows one, if there is to be one.
struct ExportSuccessor: Sendable {
    /// Whether the end of the pipeline is the beginning of another; asked once, when it is told to end.
    var isExpected: @Sendable () -> Bool
    var take: @Sendable (ExportEntry) -> Void
}
