import SelfMetrics
import Telemetry

/// The metrics every exporter has, named as the OpenTelemetry Collector names them.
struct ExportMetrics: Sendable {
    struct Signal: Sendable {
        let sent: Counter
        let failed: Counter
        let refused: Counter
    }

    private let traces: Signal
    private let metrics: Signal
    private let logs: Signal
    private let scope: MetricScope
    private let exporter: String

    init(_ scope: MetricScope, exporter: String) {
        self.exporter = exporter
        func signal(_ unit: String, _ words: String) -> Signal {
            func counter(_ what: String, _ text: String) -> Counter {
                scope.counter("otelcol_exporter_\(what)_\(unit)_total", text, labels: ["exporter": exporter])
            }
            return Signal(
                sent: counter("sent", "Number of \(words) successfully sent to destination."),
                failed: counter("send_failed", "Number of \(words) in failed attempts to send to destination."),
                refused: counter("enqueue_failed", "Number of \(words) failed to be added to the sending queue."))
        }
        traces = signal("spans", "spans")
        metrics = signal("metric_points", "metric points")
        logs = signal("log_records", "log records")
        self.scope = scope
    }

    subscript(kind: OTLPBatch.Kind) -> Signal {
        switch kind {
        case .traces: traces
        case .metrics: metrics
        case .logs: logs
        }
    }

    /// Registered when the signal is first seen, so that exporters of one signal show no others.
    func size(_ kind: OTLPBatch.Kind) -> Gauge {
        scope.gauge(
            "otelcol_exporter_queue_size", "Current size of the retry queue (in batches).",
            labels: ["data_type": kind.signal.rawValue, "exporter": exporter])
    }

    func capacity(_ kind: OTLPBatch.Kind) -> Gauge {
        scope.gauge(
            "otelcol_exporter_queue_capacity", "Fixed capacity of the retry queue (in batches).",
            labels: ["data_type": kind.signal.rawValue, "exporter": exporter])
    }
}
