package import Telemetry

/// Why a Loki push request could not be read.
package struct LokiPushError: Error, Sendable, Equatable, CustomStringConvertible {
    package enum Kind: Sendable, Equatable {
        /// The bytes are not what they claim to be: HTTP 400.
        case malformed
        /// A size passed the caller's limit: HTTP 413.
        case tooLarge
        /// The content type or encoding is unknown: HTTP 415 (upstream answers 400).
        case unsupported
    }

    package let kind: Kind
    /// For people: lower case, no full stop.
    package let message: String

    package init(_ kind: Kind, _ message: String) {
        self.kind = kind
        self.message = message
    }

    static func malformed(_ message: String) -> LokiPushError { LokiPushError(.malformed, message) }
    static func tooLarge(_ message: String) -> LokiPushError { LokiPushError(.tooLarge, message) }

    package var description: String { message }
}

/// Bounds on what one push request may make the decoder hold.
package struct LokiPushLimits: Sendable, Equatable {
    /// Bytes of the request after decompression.
    package var maximumBytes: Int
    /// Entries; an empty entry costs two bytes on the wire and forty in memory, hence a bound of its own.
    package var maximumEntries: Int
    package var maximumStreams: Int
    /// Labels of one stream, or pairs of one entry's structured metadata.
    package var maximumLabels: Int

    package init(maximumBytes: Int = 100 << 20) {
        self.maximumBytes = maximumBytes
        maximumEntries = max(1024, maximumBytes / 12)
        maximumStreams = max(1024, maximumBytes / 16)
        maximumLabels = 1024
    }
}

/// A push request as it was read.
package struct LokiPush: Sendable {
    /// The entries of all streams whose labels were readable, with the timestamps they came with.
    package var batch = LogBatch()
    /// Why some streams are missing: the last of them, as upstream reports it.
    package var streamError: LokiPushError?
    /// Entries of the streams that are missing.
    package var skippedEntries = 0

    package init() {}
}
