import Essentials
import SelfMetrics
import Synchronization

/// The `loki_write_*` metrics of one endpoint, by tenant.
final class EndpointMetrics: Sendable {
    /// Why entries were dropped, as upstream names it.
    enum Reason: String, CaseIterable, Sendable {
        case generic = "ingester_error"
        case rateLimited = "rate_limited"
        case streamLimited = "stream_limited"
        case lineTooLong = "line_too_long"
        case queueIsFull = "queue_is_full"
    }

    /// The instruments of one tenant.
    struct Tenant: Sendable {
        let sentBytes: Counter
        let sentEntries: Counter
        let retries: Counter
        let requestSize: Histogram
        let latency: Histogram
        let droppedBytes: [Reason: Counter]
        let droppedEntries: [Reason: Counter]
    }

    private static let sizes: [Double] = [1, 4, 16, 64, 256, 512, 1024, 2048, 4096, 8192, 16_384, 20_480].map {
        $0 * 1024
    }
    private static let latencies: [Double] = [0.1, 0.5, 1, 5, 10, 30, 60, 120, 300, 600]

    private let scope: MetricScope
    private let host: String
    private let tenants = Mutex<[String: Tenant]>([:])

    init(_ scope: MetricScope, host: String) {
        self.scope = scope
        self.host = host
    }

    /// The instruments of `tenant`, all there from the first time on so that they start at zero.
    func tenant(_ tenant: String) -> Tenant {
        if let known = tenants.withLock({ $0[tenant] }) { return known }
        func counter(_ name: String, _ help: String) -> Counter {
            scope.counter(name, help, labels: ["host": host, "tenant": tenant])
        }
        func dropped(_ name: String, _ help: String) -> [Reason: Counter] {
            var counters: [Reason: Counter] = [:]
            for reason in Reason.allCases {
                counters[reason] = scope.counter(
                    name, help, labels: ["host": host, "tenant": tenant, "reason": reason.rawValue])
            }
            return counters
        }
        let made = Tenant(
            sentBytes: counter("loki_write_sent_bytes_total", "Number of bytes sent."),
            sentEntries: counter("loki_write_sent_entries_total", "Number of log entries sent to the ingester."),
            retries: counter("loki_write_batch_retries_total", "Number of times batches has had to be retried."),
            requestSize: scope.histogram(
                "loki_write_request_size_bytes", "Number of bytes for requests.", bounds: Self.sizes,
                labels: ["host": host, "tenant": tenant]),
            latency: scope.histogram(
                "loki_write_entry_propagation_latency_seconds", "Write latency for entries.", bounds: Self.latencies,
                labels: ["host": host, "tenant": tenant]),
            droppedBytes: dropped(
                "loki_write_dropped_bytes_total",
                "Number of bytes dropped because failed to be sent to the ingester after all retries."),
            droppedEntries: dropped(
                "loki_write_dropped_entries_total",
                "Number of log entries dropped because failed to be sent to the ingester after all retries."))
        tenants.withLock { $0[tenant] = made }
        return made
    }

    func drop(_ entries: Int, bytes: Int, _ reason: Reason, tenant: String) {
        let instruments = self.tenant(tenant)
        instruments.droppedEntries[reason]?.add(entries)
        instruments.droppedBytes[reason]?.add(bytes)
    }

    /// Notes one attempt; `status` is -1 when there was no answer.
    func request(status: Int, tenant: String, took duration: Duration) {
        scope.histogram(
            "loki_write_request_duration_seconds", "Duration of send requests.",
            labels: ["status_code": "\(status)", "host": host, "tenant": tenant]
        ).observe(duration.seconds)
    }
}
