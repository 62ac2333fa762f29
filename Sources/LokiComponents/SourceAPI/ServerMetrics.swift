import Essentials
import SelfMetrics
import Synchronization
import Transport

/// The metrics that upstream's embedded servers have, under a component's namespace.
final class ServerMetrics: TransportObserver {
    private static let durations: [Double] = [
        0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100,
    ]
    private static let sizes: [Double] = [1, 2.5, 5, 10, 25, 50, 100, 250].map { $0 * 1_048_576 }

    private let scope: MetricScope
    private let namespace: String
    private let connections: Gauge

    init(_ scope: MetricScope, namespace: String) {
        self.scope = scope
        self.namespace = namespace
        connections = scope.gauge(
            namespace + "_tcp_connections", "Current number of accepted TCP connections.", labels: ["protocol": "http"])
    }

    func connectionOpened() { connections.add(1) }
    func connectionClosed() { connections.add(-1) }

    func requestFinished(_ outcome: RequestOutcome) {
        scope.histogram(
            namespace + "_request_duration_seconds", "Time (in seconds) spent serving HTTP requests.",
            bounds: Self.durations,
            labels: [
                "method": outcome.method.name, "route": Self.route(outcome.route),
                "status_code": "\(outcome.status.code)", "ws": "false",
            ]
        ).observe(outcome.duration.seconds)
    }

    /// Counts a request as under way until the returned closure is called.
    func begin(_ method: HTTPMethod, _ path: String) -> @Sendable () -> Void {
        let gauge = scope.gauge(
            namespace + "_inflight_requests", "Current number of inflight requests.",
            labels: ["method": method.name, "route": Self.route(path)])
        gauge.add(1)
        return { gauge.add(-1) }
    }

    func message(_ method: HTTPMethod, _ path: String, received: Int, sent: Int) {
        scope.histogram(
            namespace + "_request_message_bytes", "Size (in bytes) of messages received in the request.",
            bounds: Self.sizes, labels: ["method": method.name, "route": Self.route(path)]
        ).observe(Double(received))
        scope.histogram(
            namespace + "_response_message_bytes", "Size (in bytes) of messages sent in response.",
            bounds: Self.sizes, labels: ["method": method.name, "route": Self.route(path)]
        ).observe(Double(sent))
    }

    /// The name of a route in metrics: `/loki/api/v1/push` is `loki_api_v1_push`; no route is `other`.
    private static func route(_ path: String) -> String {
        let words = path.split(separator: "/").joined(separator: "_")
        return words.isEmpty ? "other" : words
    }
}
