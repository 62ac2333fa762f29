import Essentials
import SelfMetrics
import Synchronization
import Telemetry

/// The metrics upstream's `loki.process` has, fed from the books of each batch.
final class PipelineMetrics: Sendable {
    let custom: CustomMetrics
    private let scope: MetricScope
    private let partialLinesFlushed: Counter
    private let linesTruncated: Counter
    /// Observations of `stage.metrics` without a series to go to.
    let refusedObservations: Counter

    private struct State: ~Copyable {
        var dropped: [String: Counter] = [:]
        var truncated: [String: Counter] = [:]
        var droppedByLabel: [[String]: Int] = [:]
    }

    private let state = Mutex(State())

    init(scope: MetricScope, clock: EngineClock, account: MemoryAccount) {
        self.scope = scope
        custom = CustomMetrics(clock: clock, account: account)
        refusedObservations = scope.counter(
            "invar_loki_process_observations_refused_total",
            "Observations of stage.metrics that were not recorded: the metric has its most series, or memory is short.")
        partialLinesFlushed = scope.counter(
            "loki_process_cri_partial_lines_flushed_total",
            "A count of partial lines that were flushed prematurely due to the max_partial_lines limit being exceeded")
        linesTruncated = scope.counter(
            "loki_process_cri_lines_truncated_total",
            "A count of lines that were truncated due to the max_partial_line_size limit")
        scope.collector { [weak self] in self?.collect() ?? [] }
    }

    /// Books what a batch did.
    func add(_ tally: Tally) {
        if tally.partialLinesFlushed > 0 { partialLinesFlushed.add(tally.partialLinesFlushed) }
        if tally.linesTruncated > 0 { linesTruncated.add(tally.linesTruncated) }
        if tally.drops.isEmpty, tally.truncated.isEmpty, tally.labelDrops.isEmpty { return }
        state.withLock { state in
            for (drop, count) in tally.drops {
                guard let reason = drop.reason else { continue }
                let counter =
                    state.dropped[reason]
                    ?? scope.counter(
                        "loki_process_dropped_lines_total",
                        "A count of all log lines dropped as a result of a pipeline stage", labels: ["reason": reason])
                state.dropped[reason] = counter
                counter.add(count)
            }
            for (field, count) in tally.truncated {
                let counter =
                    state.truncated[field]
                    ?? scope.counter(
                        "loki_process_truncated_fields_total",
                        "A count of all log lines, labels, extracted values, or structured_metadata truncated as a result of a pipeline stage",
                        labels: ["field": field])
                state.truncated[field] = counter
                counter.add(count)
            }
            for (pair, count) in tally.labelDrops { state.droppedByLabel[pair, default: 0] += count }
        }
    }

    /// Starts the counts by label anew, as upstream does when it forgets label values.
    func resetDropsByLabel() { state.withLock { $0.droppedByLabel.removeAll() } }

    private func collect() -> [CollectedFamily] {
        let byLabel = state.withLock { $0.droppedByLabel }
        var families = custom.collect()
        if !byLabel.isEmpty {
            families.append(
                CollectedFamily(
                    name: "loki_process_dropped_lines_by_label_total",
                    help: "A count of all log lines dropped as a result of a pipeline stage", kind: .counter,
                    samples: byLabel.sorted { $0.key.lexicographicallyPrecedes($1.key) }.map { pair, count in
                        CollectedSample(
                            labels: [("label_name", pair[0]), ("label_value", pair[1])], value: Double(count))
                    }))
        }
        return families
    }
}

/// The bytes a pipeline holds back, booked on the component's share of the memory budget.
final class HeldMemory: Sendable {
    /// Bytes beyond which stages send what they hold early.
    static let limit = 64 << 20

    private let account: MemoryAccount
    private let bytes = Atomic<Int>(0)

    init(_ account: MemoryAccount) { self.account = account }

    /// Books what stages remember, which is not sent early.
    func addState(_ count: Int) { account.book(count) }

    func subtractState(_ count: Int) { account.release(count) }

    var isFull: Bool { bytes.load(ordering: .relaxed) > Self.limit }

    func add(_ count: Int) {
        bytes.add(count, ordering: .relaxed)
        account.book(count)
    }

    func subtract(_ count: Int) {
        bytes.subtract(count, ordering: .relaxed)
        account.release(count)
    }
}
