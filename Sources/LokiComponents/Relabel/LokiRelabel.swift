package import AlloySyntax
package import ComponentKit
import Essentials
import SelfMetrics
import Synchronization
import Telemetry

/// Applies relabel rules to the labels of log streams and forwards the entries.
///
/// Each label set is relabelled once and remembered; entries are not copied. Streams without labels left are dropped.
package final class LokiRelabel: Component {
    package static let spec = ComponentSpec(
        "loki.relabel", .generallyAvailable, "Applies relabel rules to the labels of log entries.")

    package struct Arguments: Block, Sendable {
        let forwardTo: Fanout<LogBatch>
        let rules: Relabeling
        let maxCacheSize: Int

        package init(from block: inout BlockReader) {
            forwardTo = block.required("forward_to", "Receivers the entries are sent to.")
            rules = RelabelRuleArguments.read("rule", "One relabel rule; rules apply in order.", from: &block)
            maxCacheSize = block.optional(
                "max_cache_size", default: 10_000, "Label sets whose relabelled form is remembered.")
            if maxCacheSize <= 0 { block.reject("max_cache_size", "must be positive") }
        }
    }

    package struct Exports: WritableBlock {
        var receiver: Receiver<LogBatch>
        var rules: RelabelRules
        package static var placeholder: Exports { Exports(receiver: .placeholder, rules: .placeholder) }
        package func write(to block: inout BlockWriter) {
            block.attribute("receiver", receiver, "Takes the entries to relabel.")
            block.attribute("rules", rules, "The rules, for components that apply them themselves.")
        }
    }

    private struct State: ~Copyable {
        var forwardTo: Fanout<LogBatch>
        var rules: Relabeling
        var cache: RelabelCache
        var builder = LabelSetBuilder()
    }

    private let arguments: Live<Arguments>
    private let context: Context<Exports>
    private let live: LiveView
    private let receiver: Receiver<LogBatch>
    private let processed: Counter
    private let written: Counter
    private let hits: Counter
    private let misses: Counter
    private let size: Gauge
    private let state: Mutex<State>

    package init(_ arguments: Live<Arguments>, _ context: Context<Exports>) throws {
        self.arguments = arguments
        self.context = context
        live = context.makeLiveView()
        receiver = context.makeReceiver()
        processed = context.metrics.counter("loki_relabel_entries_processed", "Total number of log entries processed")
        written = context.metrics.counter("loki_relabel_entries_written", "Total number of log entries forwarded")
        misses = context.metrics.counter("loki_relabel_cache_misses", "Total number of cache misses")
        hits = context.metrics.counter("loki_relabel_cache_hits", "Total number of cache hits")
        size = context.metrics.gauge("loki_relabel_cache_size", "Total size of relabel cache")
        let current = arguments.current
        state = Mutex(
            State(
                forwardTo: current.forwardTo, rules: current.rules, cache: RelabelCache(capacity: current.maxCacheSize))
        )
        receiver.install { [weak self] (batch: LogBatch) async throws(DeliveryError) in
            guard let self else { throw .retry("loki.relabel is gone") }
            try await self.consume(batch)
        }
        context.export(Exports(receiver: receiver, rules: RelabelRules(current.rules)))
    }

    package func run() async throws {
        defer { receiver.install(nil) }
        while true {
            let (current, version) = arguments.snapshot
            apply(current)
            try await arguments.change(after: version)
        }
    }

    private func apply(_ current: Arguments) {
        let count = state.withLock { state in
            if state.rules != current.rules { state.cache = RelabelCache(capacity: current.maxCacheSize) }
            state.cache.resize(to: current.maxCacheSize)
            state.rules = current.rules
            state.forwardTo = current.forwardTo
            return state.cache.count
        }
        size.set(count)
        context.export(Exports(receiver: receiver, rules: RelabelRules(current.rules)))
    }

    private func consume(_ batch: LogBatch) async throws(DeliveryError) {
        let (forwardTo, relabeled) = state.withLock { state in
            (state.forwardTo, relabel(batch.streams, &state))
        }
        show(batch, relabeled)
        var output = batch
        let dropped = LogBatchStreams.replace(&output, by: relabeled)
        if !output.isEmpty { try await forwardTo.deliver(&output) }
        processed.add(batch.itemCount)
        written.add(output.itemCount)
        context.ledger.drop(dropped, .rule, rule: "rule")
    }

    private func relabel(_ streams: [LabelSet], _ state: inout State) -> [LabelSet?] {
        var result: [LabelSet?] = []
        var found = 0
        for labels in streams {
            if let known = state.cache.value(of: labels) {
                found += 1
                result.append(known.isEmpty ? nil : known)
                continue
            }
            let made = state.rules.apply(to: labels, scratch: &state.builder) ?? .empty
            state.cache.insert(made, for: labels)
            result.append(made.isEmpty ? nil : made)
        }
        hits.add(found)
        misses.add(streams.count - found)
        size.set(state.cache.count)
        return result
    }

    private func show(_ batch: LogBatch, _ relabeled: [LabelSet?]) {
        guard live.isWatched else { return }
        for (index, labels) in batch.streams.enumerated().prefix(LiveView.itemLimit) {
            let count = batch.entries.count { Int($0.stream) == index }
            let after = relabeled[index]
            live.publish(.lokiLog, count: after == nil ? 0 : count) {
                "stream: \(labels) => \(after.map(\.description) ?? "<dropped>")"
            }
        }
    }
}

extension LokiRelabel: Explaining {
    package func explain(_ item: ExplainedItem) -> Explanation? {
        guard item.kind == .log else { return nil }
        let settings = arguments.current
        var explanation = Explanation()
        let left = explanation.relabel(item, by: settings.rules)
        if let left = explanation.endUnlabelled(left) {
            explanation.results = [Explanation.Result(left, .receivers(settings.forwardTo.owners))]
        }
        return explanation
    }
}

/// Replaces the label sets of a batch.
enum LogBatchStreams {
    /// Gives stream `i` the labels `labels[i]`, joining streams that become equal; nil drops a stream's entries. Returns
    /// how many entries went.
    static func replace(_ batch: inout LogBatch, by labels: [LabelSet?]) -> Int {
        guard labels.count == batch.streams.count else { return 0 }
        var streams: [LabelSet] = []
        var places: [LabelSet: Int32] = [:]
        var numbers: [Int32] = []
        for label in labels {
            guard let label else {
                numbers.append(-1)
                continue
            }
            if let place = places[label] {
                numbers.append(place)
            } else {
                numbers.append(Int32(streams.count))
                places[label] = Int32(streams.count)
                streams.append(label)
            }
        }
        batch.streams = streams
        if numbers.enumerated().allSatisfy({ $0.element == Int32($0.offset) }) { return 0 }
        let before = batch.entries.count
        for index in batch.entries.indices {
            let stream = Int(batch.entries[index].stream)
            batch.entries[index].stream = numbers.indices.contains(stream) ? numbers[stream] : -1
        }
        if numbers.contains(-1) { batch.entries.removeAll { $0.stream < 0 } }
        return before - batch.entries.count
    }
}
