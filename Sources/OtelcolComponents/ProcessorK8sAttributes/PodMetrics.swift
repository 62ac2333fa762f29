import SelfMetrics

/// The processor's metrics of pods, named as the OpenTelemetry Collector names them.
struct PodMetrics: Sendable {
    /// Resources whose identifier belongs to no pod.
    let misses: Counter
    private let added: Counter
    private let updated: Counter
    private let deleted: Counter
    private let size: Gauge

    init(_ scope: MetricScope) {
        func counter(_ name: String, _ help: String) -> Counter { scope.counter("otelcol_otelsvc_k8s_" + name, help) }
        misses = counter("ip_lookup_miss_total", "Number of times pod by IP lookup failed")
        added = counter("pod_added_total", "Number of pod add events received")
        updated = counter("pod_updated_total", "Number of pod update events received")
        deleted = counter("pod_deleted_total", "Number of pod delete events received")
        size = scope.gauge("otelcol_otelsvc_k8s_pod_table_size", "Size of table containing pod info")
    }

    func count(_ events: [PodTable.Change], _ tableSize: Int) {
        for event in events {
            switch event {
            case .added: added.add()
            case .updated: updated.add()
            case .deleted: deleted.add()
            }
        }
        size.set(Double(tableSize))
    }
}
