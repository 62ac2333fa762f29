import SelfMetrics

/// What one module's evaluations are measured by; names agree with Alloy's. Vanishes with the module.
final class ControllerMetrics {
    private static let buckets: [Double] = [0.005, 0.025, 0.1, 0.5, 1, 5, 10, 30, 60, 120, 300, 600]

    private let scope: MetricScope
    let evaluating: Gauge
    let evaluation: Histogram
    let dependenciesWait: Histogram
    let queueSize: Gauge

    init(_ registry: MetricRegistry, moduleID: String) {
        let (path, id) = ControllerMetrics.split(moduleID)
        scope = registry.scope(labels: [("controller_path", path), ("controller_id", id)])
        evaluating = scope.gauge(
            "alloy_component_controller_evaluating",
            "Tracks if the controller is currently in the middle of a graph evaluation")
        evaluation = scope.histogram(
            "alloy_component_evaluation_seconds", "Time spent performing component evaluation",
            bounds: ControllerMetrics.buckets)
        dependenciesWait = scope.histogram(
            "alloy_component_dependencies_wait_seconds",
            "Time spent by components waiting to be evaluated after their dependency is updated.",
            bounds: ControllerMetrics.buckets)
        queueSize = scope.gauge(
            "alloy_component_evaluation_queue_size",
            "Tracks the number of components waiting to be evaluated in the worker pool")
    }

    /// Notes an evaluation of `seconds`; slow ones by name, as Alloy does from one minute on.
    func evaluated(_ nodeID: String, seconds: Double) {
        evaluation.observe(seconds)
        guard seconds >= 60 else { return }
        scope.counter(
            "alloy_component_evaluation_slow_seconds",
            "Number of seconds spent evaluating components that take longer than 1m0s to evaluate",
            labels: ["component_id": nodeID]
        ).add(seconds)
    }

    /// The labels of a module's ID: everything before the last slash, and what follows it.
    static func split(_ moduleID: String) -> (path: String, id: String) {
        guard let slash = moduleID.lastIndex(of: "/") else { return ("/", moduleID) }
        return ("/" + moduleID[..<slash], String(moduleID[moduleID.index(after: slash)...]))
    }
}
