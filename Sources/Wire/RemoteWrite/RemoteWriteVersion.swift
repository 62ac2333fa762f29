/// The message a remote-write request carries, with the headers that say so.
///
/// Protocol: prometheus.io/docs/specs/prw, "Remote-Write 1.0" and "Remote-Write 2.0".
package enum RemoteWriteVersion: String, Sendable, CaseIterable {
    case v1 = "prometheus.WriteRequest"
    case v2 = "io.prometheus.write.v2.Request"

    /// The value of `Content-Type`.
    package var contentType: String {
        switch self {
        case .v1: "application/x-protobuf"
        case .v2: "application/x-protobuf;proto=io.prometheus.write.v2.Request"
        }
    }

    /// The value of `X-Prometheus-Remote-Write-Version`.
    package var headerVersion: String {
        switch self {
        case .v1: "0.1.0"
        case .v2: "2.0.0"
        }
    }

    /// The message that a request's `Content-Type` announces; nil when it is neither.
    package init?(contentType: String) {
        let parts = contentType.split(separator: ";").map { part in
            String(part.drop { $0 == " " }.prefix { $0 != " " })
        }
        guard let media = parts.first, media.lowercased() == "application/x-protobuf" else { return nil }
        for part in parts.dropFirst() where part.lowercased().hasPrefix("proto=") {
            guard let version = RemoteWriteVersion(rawValue: String(part.dropFirst(6))) else { return nil }
            self = version
            return
        }
        self = .v1
    }
}

/// What a remote-write request holds.
package struct RemoteWriteCounts: Sendable, Equatable {
    /// Float samples.
    package var samples = 0
    /// Native histograms.
    package var histograms = 0
    package var exemplars = 0
    /// Metric families (1.0 only; in 2.0 metadata is part of series).
    package var metadata = 0
    /// The extremes of sample and histogram times in milliseconds since 1970; `.max` and `.min` when there are none.
    package var oldestTimestamp = Int64.max
    package var newestTimestamp = Int64.min

    package init() {}

    /// Samples and histograms: what the ledger counts.
    package var items: Int { samples + histograms }

    package var isEmpty: Bool { samples + histograms + exemplars + metadata == 0 }

    package static func += (left: inout RemoteWriteCounts, right: RemoteWriteCounts) {
        left.samples += right.samples
        left.histograms += right.histograms
        left.exemplars += right.exemplars
        left.metadata += right.metadata
        left.oldestTimestamp = min(left.oldestTimestamp, right.oldestTimestamp)
        left.newestTimestamp = max(left.newestTimestamp, right.newestTimestamp)
    }

    mutating func note(_ timestamp: Int64) {
        oldestTimestamp = min(oldestTimestamp, timestamp)
        newestTimestamp = max(newestTimestamp, timestamp)
    }
}
