/// OpenTelemetry data as it came over the wire.
///
/// `chunks` are bytes of the repeated top-level field 1 (`resource_spans`, `resource_metrics`, `resource_logs`) of the
/// OTLP export requests, tags included, so that the request to send is their concatenation. Nothing is decoded until
/// a component asks for it.
package struct OTLPBatch: Batch {
    package static var signal: Signal { .otlp }

    package enum Kind: UInt8, Sendable {
        case traces, metrics, logs
    }

    package var kind: Kind
    package var chunks: [[UInt8]]
    /// Spans, data points or log records in all chunks.
    package var itemCount: Int
    package var takenBy = ReceiverSet()

    package init(kind: Kind, chunks: [[UInt8]], itemCount: Int) {
        self.kind = kind
        self.chunks = chunks
        self.itemCount = itemCount
    }

    package var byteCount: Int { chunks.reduce(0) { $0 + $1.count } }
}

/// Profiles of one label set, as pprof bytes decoded only by processors that ask.
package struct ProfileBatch: Batch {
    package static var signal: Signal { .profiles }

    package var labels: LabelSet
    package var profiles: [[UInt8]]
    package var takenBy = ReceiverSet()

    package init(labels: LabelSet, profiles: [[UInt8]]) {
        self.labels = labels
        self.profiles = profiles
    }

    package var itemCount: Int { profiles.count }
    package var byteCount: Int { profiles.reduce(0) { $0 + $1.count } }
}
