import ComponentKit
import Essentials
import SelfMetrics

/// Repeats a refresh at an interval and keeps its books: for discoveries that ask again and again.
struct RefreshLoop: Sendable {
    private let context: Context<DiscoveryExports>
    private let failures: Counter
    private let histogram: Histogram
    private let durations: DurationTotals

    /// `mechanism` is the word Prometheus's metrics have for the discovery: `http`, `dns`.
    init(_ mechanism: String, _ context: Context<DiscoveryExports>) {
        self.context = context
        failures = context.metrics.counter(
            "prometheus_sd_refresh_failures_total", "Number of refresh failures for the given SD mechanism.",
            labels: ["mechanism": mechanism, "config": ""])
        histogram = context.metrics.histogram(
            "prometheus_sd_refresh_duration_histogram_seconds",
            "The duration of a refresh for the given SD mechanism.", bounds: [0.01, 0.1, 1, 10],
            labels: ["mechanism": mechanism])
        durations = DurationTotals(
            "prometheus_sd_refresh_duration_seconds",
            "The duration of a refresh in seconds for the given SD mechanism.",
            labels: [("mechanism", mechanism), ("config", "")], in: context.metrics)
    }

    /// Refreshes now and then at every multiple of `interval`, until cancelled. A refresh that takes longer skips those
    /// it missed. One that throws is counted and logged, makes the component unhealthy and changes nothing else.
    func run(every interval: Duration, _ refresh: () async throws -> Void) async throws {
        let clock = context.clock
        var due = clock.monotonicNanoseconds
        while true {
            let started = clock.monotonicNanoseconds
            do {
                try await refresh()
                try Task.checkCancellation()
                context.report(.healthy("discovered targets"))
            } catch {
                try Task.checkCancellation()
                failures.add()
                context.log.error("Unable to refresh target groups", error)
                context.report(.unhealthy("unable to refresh target groups: \(error)"))
            }
            let now = clock.monotonicNanoseconds
            let taken = clock.elapsed(since: started)
            histogram.observe(taken.seconds)
            durations.observe(taken)
            due = due &+ interval.nanoseconds
            if due <= now { due = now &+ interval.nanoseconds - (now &- due) % interval.nanoseconds }
            try await clock.sleep(untilMonotonic: due)
        }
    }
}

/// Sum and count of durations under a summary's names, without quantiles: for metrics upstream has as summaries.
final class DurationTotals: Sendable {
    private let count = Counter()
    private let sum = Counter()

    init(_ name: String, _ help: String, labels: [(name: String, value: String)] = [], in scope: MetricScope) {
        scope.collector { [count, sum] in
            [
                CollectedFamily(
                    name: name, help: help, kind: .summary,
                    samples: [
                        CollectedSample(suffix: "_sum", labels: labels, value: sum.value),
                        CollectedSample(suffix: "_count", labels: labels, value: count.value),
                    ])
            ]
        }
    }

    func observe(_ duration: Duration) {
        count.add()
        sum.add(duration.seconds)
    }
}
