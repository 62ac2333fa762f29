/// What moves along an edge of the graph.
package protocol Batch: Sendable {
    /// Samples, entries, spans, log records, data points or profiles in the batch: what the ledger counts.
    var itemCount: Int { get }

    /// Bytes the batch keeps alive, about; for budgets and metrics.
    var byteCount: Int { get }

    /// The receivers that took this batch on an earlier attempt and must not get it again.
    var takenBy: ReceiverSet { get set }

    /// The signal, as the ledger and the UI name it.
    static var signal: Signal { get }
}

/// Which kind of telemetry an edge carries.
package enum Signal: String, Sendable, CaseIterable {
    case metrics, logs, traces, profiles
    case otlp
}

/// The receivers that have accepted a batch. Almost always empty.
package struct ReceiverSet: Sendable, Equatable {
    private var members: [UInt64] = []

    package init() {}

    package var isEmpty: Bool { members.isEmpty }
    package func contains(_ receiver: UInt64) -> Bool { members.contains(receiver) }

    package mutating func insert(_ receiver: UInt64) {
        if !members.contains(receiver) { members.append(receiver) }
    }

    package mutating func formUnion(_ other: ReceiverSet) {
        for member in other.members { insert(member) }
    }
}
