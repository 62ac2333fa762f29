import AlloySyntax
import SelfMetrics
import Synchronization

/// What Alloy tells about its configuration, and the graph's and the ledger's numbers.
final class LoadMetrics: Sendable {
    private let scope: MetricScope
    private let isSuccessful: Gauge
    private let lastSuccess: Gauge
    private let failures: Counter
    private let digest = Mutex<String?>(nil)

    init(_ registry: MetricRegistry, directory: Directory, logRouter: LogRouter?) {
        scope = registry.scope()
        isSuccessful = scope.gauge("alloy_config_last_load_successful", "Config loaded successfully.")
        lastSuccess = scope.gauge(
            "alloy_config_last_load_success_timestamp_seconds",
            "Timestamp of the last successful configuration load.")
        failures = scope.counter("alloy_config_load_failures_total", "Configuration load failures.")
        scope.collector { directory.graphFamilies() + directory.ledgerFamilies() }
        if let logRouter {
            scope.collector { [weak logRouter] in
                [
                    CollectedFamily(
                        name: "invar_log_entries_lost_total",
                        help: "Log lines the receivers of the logging block did not get.", kind: .counter,
                        samples: [CollectedSample(value: Double(logRouter?.lostEntries ?? 0))])
                ]
            }
        }
    }

    func loaded(_ source: ConfigurationSource, _ result: LoadResult, at milliseconds: Int64) {
        let new = source.digest
        digest.withLock { current in
            if let current { scope.remove("alloy_config_hash", labels: ["sha256": current, "cluster_name": ""]) }
            current = new
            scope.gauge(
                "alloy_config_hash", "Hash of the currently active config file.",
                labels: ["sha256": new, "cluster_name": ""]
            ).set(1)
        }
        if result.diagnostics.hasErrors {
            failed()
        } else {
            isSuccessful.set(1)
            lastSuccess.set(Double(milliseconds) / 1000)
        }
    }

    func failed() {
        isSuccessful.set(0)
        failures.add(1)
    }
}
