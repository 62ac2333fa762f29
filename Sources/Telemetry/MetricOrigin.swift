/// What a scrape knows beyond its samples; batches of the same target share it until it changes.
///
/// Present only where metadata was asked for (`honor_metadata`): converters to models with typed metrics need all of it
/// at once, while ``MetricBatch/metadata`` carries changes.
package final class MetricOrigin: Sendable {
    /// Every family the target exposes, in no order.
    package let families: [MetricMetadata]
    /// The labels the target's series get, `job` and `instance` among them.
    package let targetLabels: LabelSet
    /// Labels of the target before reserved ones were removed: `__scheme__` and those of Kubernetes discovery that name a
    /// workload.
    package let discoveredLabels: LabelSet

    package init(families: [MetricMetadata], targetLabels: LabelSet, discoveredLabels: LabelSet) {
        self.families = families
        self.targetLabels = targetLabels
        self.discoveredLabels = discoveredLabels
    }
}
