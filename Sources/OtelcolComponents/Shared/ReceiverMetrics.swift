import SelfMetrics
import Telemetry

/// The metrics every receiver has, named as the OpenTelemetry Collector names them.
struct ReceiverMetrics: Sendable {
    private struct Signal: Sendable {
        let accepted: Counter
        let refused: Counter
    }

    private let signals: [Signal]

    init(_ scope: MetricScope, receiver: String, transport: String) {
        signals = OTLPBatch.Kind.allCases.map { kind in
            let (unit, words) = kind.metricWords
            let labels: KeyValuePairs<String, String> = ["receiver": receiver, "transport": transport]
            return Signal(
                accepted: scope.counter(
                    "otelcol_receiver_accepted_\(unit)_total",
                    "Number of \(words) successfully pushed into the pipeline.", labels: labels),
                refused: scope.counter(
                    "otelcol_receiver_refused_\(unit)_total",
                    "Number of \(words) that could not be pushed into the pipeline.", labels: labels))
        }
    }

    func accepted(_ batch: OTLPBatch) { signals[Int(batch.kind.rawValue)].accepted.add(batch.itemCount) }
    func refused(_ batch: OTLPBatch) { signals[Int(batch.kind.rawValue)].refused.add(batch.itemCount) }
}

extension OTLPBatch.Kind {
    /// What metrics call the items of the signal, and what their help calls them.
    var metricWords: (unit: String, words: String) {
        switch self {
        case .traces: ("spans", "spans")
        case .metrics: ("metric_points", "metric points")
        case .logs: ("log_records", "log records")
        }
    }
}
