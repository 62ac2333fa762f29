package import AlloySyntax
package import ComponentKit
import Essentials
import Synchronization
import Telemetry

/// Adds labels of discovered targets to the entries whose label names the target, and forwards all entries.
///
/// Each label set is enriched once and remembered until targets or settings change; entries are not copied.
package final class LokiEnrich: Component {
    package static let spec = ComponentSpec(
        "loki.enrich", .experimental, "Adds labels of discovered targets to log entries.")

    package struct Arguments: Block, Sendable {
        let forwardTo: Fanout<LogBatch>
        let rules: Rules

        package init(from block: inout BlockReader) {
            let targets: [Target] = block.required("targets", "Targets that labels are taken from.")
            let targetLabel: String = block.required(
                "target_match_label", "Label of a target that says which entries it is about.")
            let logsLabel: String? = block.optional(
                "logs_match_label", "Label of an entry that is compared with it; the same one unless given.")
            let copied: [String]? = block.optional("labels_to_copy", "Labels to take; all of them unless given.")
            forwardTo = block.required("forward_to", "Receivers the entries are sent to.")
            rules = Rules(
                targets: targets, targetLabel: targetLabel,
                logsLabel: logsLabel.flatMap { $0.isEmpty ? nil : $0 } ?? targetLabel, copied: copied ?? [])
        }
    }

    /// What is added to which label sets.
    struct Rules: Sendable, Equatable {
        var targets: [Target]
        var targetLabel: String
        var logsLabel: String
        /// Empty is all of them.
        var copied: [String]
    }

    private struct State: ~Copyable {
        var forwardTo: Fanout<LogBatch>
        var rules: Rules
        /// Targets by the value of their label.
        var targets: [String: LabelSet]
        var cache = RelabelCache(capacity: LokiEnrich.cacheSize)
        var builder = LabelSetBuilder()
    }

    private static let cacheSize = 10_000

    private let arguments: Live<Arguments>
    private let context: Context<LogsReceiverExports>
    private let live: LiveView
    private let receiver: Receiver<LogBatch>
    private let state: Mutex<State>

    package init(_ arguments: Live<Arguments>, _ context: Context<LogsReceiverExports>) throws {
        self.arguments = arguments
        self.context = context
        live = context.makeLiveView()
        receiver = context.makeReceiver()
        let current = arguments.current
        state = Mutex(
            State(forwardTo: current.forwardTo, rules: current.rules, targets: Self.index(current.rules)))
        receiver.install { [weak self] (batch: LogBatch) async throws(DeliveryError) in
            guard let self else { throw .retry("loki.enrich is gone") }
            try await self.consume(batch)
        }
        context.export(LogsReceiverExports(receiver: receiver))
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
        let isSame = state.withLock { state in
            state.forwardTo = current.forwardTo
            return state.rules == current.rules
        }
        if isSame { return }
        let targets = Self.index(current.rules)
        state.withLock { state in
            state.rules = current.rules
            state.targets = targets
            state.cache = RelabelCache(capacity: Self.cacheSize)
        }
    }

    /// Of targets with the same value the last counts.
    private static func index(_ rules: Rules) -> [String: LabelSet] {
        var targets: [String: LabelSet] = [:]
        for target in rules.targets {
            let labels = target.labels
            if let value = labels[rules.targetLabel] { targets[value] = labels }
        }
        return targets
    }

    private func consume(_ batch: LogBatch) async throws(DeliveryError) {
        var output = batch
        let forwardTo = state.withLock { state in
            let streams = batch.streams.map { Self.enriched($0, &state) as LabelSet? }
            _ = LogBatchStreams.replace(&output, by: streams)
            return state.forwardTo
        }
        show(batch, output)
        try await forwardTo.deliver(&output)
    }

    private static func enriched(_ labels: LabelSet, _ state: inout State) -> LabelSet {
        if let known = state.cache.value(of: labels) { return known }
        var made = labels
        if let value = labels[state.rules.logsLabel], let target = state.targets[value] {
            made = Self.joined(labels, target, state.rules, &state.builder)
        }
        state.cache.insert(made, for: labels)
        return made
    }

    /// The labels of an entry with those of its target.
    private static func joined(
        _ labels: LabelSet, _ target: LabelSet, _ rules: Rules, _ builder: inout LabelSetBuilder
    ) -> LabelSet {
        builder.reset(to: labels)
        if rules.copied.isEmpty {
            target.forEach { builder.set($0, to: $1) }
        } else {
            for name in rules.copied {
                if let value = target[name] { builder.set(name, to: value) }
            }
        }
        return builder.finish()
    }

    private func show(_ batch: LogBatch, _ output: LogBatch) {
        guard live.isWatched else { return }
        for (before, after) in zip(batch.entries, output.entries).prefix(LiveView.itemLimit) {
            live.publish(.lokiLog, count: 1) {
                "stream: \(batch.streams[Int(before.stream)]) => \(output.streams[Int(after.stream)])"
            }
        }
        live.publishRest(.lokiLog, batch.entries.count - LiveView.itemLimit)
    }
}

extension LokiEnrich: Explaining {
    /// Which target an entry is about, and what it takes from it.
    package func explain(_ item: ExplainedItem) -> Explanation? {
        guard item.kind == .log else { return nil }
        let settings = arguments.current
        let rules = settings.rules
        var left = item
        var detail = "the entry has no label \(rules.logsLabel)"
        if let value = item.labels[rules.logsLabel] {
            if let target = Self.index(rules)[value] {
                var builder = LabelSetBuilder()
                left = item.with(labels: Self.joined(item.labels, target, rules, &builder))
                detail = "the target with \(rules.targetLabel) \"\(value)\""
            } else {
                detail = "none of the \(rules.targets.count) targets has \(rules.targetLabel) \"\(value)\""
            }
        }
        return Explanation(
            [
                ExplainedStep(
                    "targets", path: RulePath("targets"), left.labels == item.labels ? .unchanged : .changed, detail,
                    before: item, after: left)
            ], results: [Explanation.Result(left, .receivers(settings.forwardTo.owners))])
    }
}
