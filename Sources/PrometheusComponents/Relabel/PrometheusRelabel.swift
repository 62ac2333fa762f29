package import AlloySyntax
package import ComponentKit
import Essentials
import SelfMetrics
import Synchronization
import Telemetry

/// Changes or drops series by rules and passes the rest on.
///
/// Rules run once per series and source, not once per sample. What they made of the series of a running source is
/// remembered as long as the source lives; `max_cache_size` and `cache_ttl` bound what is remembered of sources that
/// have stopped sending.
package final class PrometheusRelabel: Component {
    package static let spec = ComponentSpec(
        "prometheus.relabel", .generallyAvailable, "Rewrites or drops the labels of metrics by relabel rules.")

    package struct Arguments: Block {
        let forwardTo: Fanout<MetricBatch>
        let maxCacheSize: Int
        let cacheTTL: Duration
        let rules: Relabeling

        package init(from block: inout BlockReader) {
            forwardTo = block.required("forward_to", "Receivers the metrics are sent to.")
            maxCacheSize = block.optional(
                "max_cache_size", default: 100_000,
                "Series above which what is remembered of silent sources is forgotten; 0 when `cache_ttl` is used.")
            cacheTTL = block.optional(
                "cache_ttl", default: Duration.zero, "Silence after which what is remembered of a source is forgotten.")
            rules = RelabelRuleArguments.read("rule", "A relabel rule; rules apply in order.", from: &block)
            if maxCacheSize < 0 { block.reject("max_cache_size", "must not be negative") }
            if cacheTTL < .zero { block.reject("cache_ttl", "must not be negative") }
            if maxCacheSize > 0, cacheTTL > .zero {
                block.reject(
                    "cache_ttl", "and max_cache_size exclude each other: set max_cache_size = 0 to use cache_ttl")
            } else if maxCacheSize == 0, cacheTTL == .zero {
                block.reject("max_cache_size", "must be positive, or cache_ttl must be set")
            } else if cacheTTL > .zero, cacheTTL < .seconds(60) {
                block.reject("cache_ttl", "must be at least 1m")
            }
        }
    }

    package struct Exports: WritableBlock {
        var receiver: Receiver<MetricBatch>
        var rules: RelabelRules
        package static let placeholder = Exports(receiver: .placeholder, rules: .placeholder)
        package func write(to block: inout BlockWriter) {
            block.attribute("receiver", receiver, "Takes the metrics to relabel.")
            block.attribute("rules", rules, "The rules, for other components to apply.")
        }
    }

    /// How long a source may be silent before `max_cache_size` counts against it.
    private static let silence: Duration = .seconds(300)

    private let arguments: Live<Arguments>
    private let context: Context<Exports>
    private let receiver: Receiver<MetricBatch>
    private let live: LiveView
    private let mapper: Mutex<(rules: Relabeling, mapper: SeriesMapper)>
    private let processed: Counter
    private let written: Counter
    private let misses: Counter
    private let hits: Counter
    private let evictions: Counter
    private let size: Gauge

    package init(_ arguments: Live<Arguments>, _ context: Context<Exports>) throws {
        self.arguments = arguments
        self.context = context
        receiver = context.makeReceiver()
        live = context.makeLiveView()
        let metrics = context.metrics
        processed = metrics.counter("alloy_prometheus_relabel_metrics_processed", "Samples that came in.")
        written = metrics.counter("alloy_prometheus_relabel_metrics_written", "Samples that were passed on.")
        misses = metrics.counter("alloy_prometheus_relabel_cache_misses", "Series the rules were run on.")
        hits = metrics.counter("alloy_prometheus_relabel_cache_hits", "Samples whose series was known.")
        evictions = metrics.counter(
            "alloy_prometheus_relabel_cache_ttl_evictions", "Series forgotten because their source was silent.")
        size = metrics.gauge("alloy_prometheus_relabel_cache_size", "Series remembered.")
        let rules = arguments.current.rules
        mapper = Mutex((rules, Self.makeMapper(rules, context.memory)))
        receiver.install { [weak self] (batch: MetricBatch) async throws(DeliveryError) in
            guard let self else { throw .retry("prometheus.relabel has stopped") }
            try await self.relabel(batch)
        }
        context.export(Exports(receiver: receiver, rules: RelabelRules(rules)))
        context.report(.healthy("ready"))
    }

    package func argumentsChanged() {
        let rules = arguments.current.rules
        mapper.withLock { if $0.rules != rules { $0 = (rules, Self.makeMapper(rules, context.memory)) } }
        context.export(Exports(receiver: receiver, rules: RelabelRules(rules)))
    }

    /// Forgets what is no longer needed, now and then.
    package func run() async throws {
        while true {
            let settings = arguments.current
            let isTimed = settings.cacheTTL > .zero
            try await context.clock.sleep(for: isTimed ? settings.cacheTTL / 4 : .seconds(60))
            let mapper = mapper.withLock { $0.mapper }
            let oldest = context.clock.monotonicNanoseconds - (isTimed ? settings.cacheTTL : Self.silence).nanoseconds
            let forgotten = mapper.forget(usedBefore: oldest, untilAtMost: isTimed ? 0 : settings.maxCacheSize)
            if isTimed { evictions.add(forgotten) }
            size.set(mapper.seriesCount)
        }
    }

    private func relabel(_ incoming: MetricBatch) async throws(DeliveryError) {
        var batch = incoming
        let mapper = mapper.withLock { $0.mapper }
        let count = batch.itemCount
        let known = mapper.mappedCount
        let dropped = mapper.apply(to: &batch, at: context.clock.monotonicNanoseconds)
        let new = mapper.mappedCount - known
        processed.add(count)
        if live.isWatched { show(incoming) }
        misses.add(new)
        hits.add(max(count - new, 0))
        if new > 0 { size.set(mapper.seriesCount) }
        if !batch.isEmpty { try await arguments.current.forwardTo(batch) }
        context.ledger.drop(dropped, .rule)
        written.add(batch.itemCount)
    }

    /// Shows what the rules make of the series of a batch: they run once more on those that are shown.
    private func show(_ batch: MetricBatch) {
        let rules = arguments.current.rules
        var scratch = LabelSetBuilder()
        let refs = batch.series.prefix(LiveView.itemLimit) + batch.histograms.prefix(LiveView.itemLimit).map(\.series)
        for ref in refs.prefix(LiveView.itemLimit) {
            let labels = batch.table[ref]
            let changed = rules.apply(to: labels, scratch: &scratch).flatMap { $0.isEmpty ? nil : $0 }
            live.publish(.prometheusMetric) { "\(labels) => \(changed.map(\.description) ?? "<dropped>")" }
        }
        live.publishRest(.prometheusMetric, batch.itemCount - LiveView.itemLimit)
    }

    private static func makeMapper(_ rules: Relabeling, _ memory: MemoryAccount) -> SeriesMapper {
        SeriesMapper(account: memory) { labels, scratch in
            guard let changed = rules.apply(to: labels, scratch: &scratch), !changed.isEmpty else { return nil }
            return changed
        }
    }
}

extension PrometheusRelabel: Explaining {
    package func explain(_ item: ExplainedItem) -> Explanation? {
        guard item.kind == .metric else { return nil }
        let settings = arguments.current
        var explanation = Explanation()
        let left = explanation.relabel(item, by: settings.rules)
        if let left = explanation.endUnlabelled(left) {
            explanation.results = [Explanation.Result(left, .receivers(settings.forwardTo.owners))]
        }
        return explanation
    }
}
