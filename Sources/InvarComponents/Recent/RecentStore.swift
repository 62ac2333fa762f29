import Essentials
import Synchronization
import Telemetry
import TextFormats

/// What passed lately: samples, log entries and spans, of all together at most so many bytes and none older than so long.
///
/// What is oldest goes first. Samples are as old as they say, entries and spans as long as they are here.
final class RecentStore: Sendable {
    struct Limits: Sendable, Equatable {
        var retention: Duration
        var bytes: Int

        var milliseconds: Int64 { retention.nanosecondsClamped / 1_000_000 }
    }

    /// Why something is no longer there.
    enum Eviction: String, CaseIterable, Sendable {
        case age, size
    }

    /// Items of a batch that were not taken in.
    struct Refused: Sendable {
        /// Samples that are not newer than the last of their series.
        var tooOld = 0
        /// Spans of traces that have too many.
        var surplus = 0
    }

    /// What was forgotten, by kind.
    struct Evicted: Sendable {
        var samples: [Eviction: Int] = [:]
        var entries: [Eviction: Int] = [:]
        var spans: [Eviction: Int] = [:]
    }

    struct State: ~Copyable, Sendable {
        var limits: Limits
        var series: [LabelSet: RecentSeries] = [:]
        var seriesBytes = 0
        var samples = 0
        /// Type, unit and help of metrics by their name.
        var metadata: [String: MetricMetadata] = [:]
        var entries = RecentEntries()
        var traces = RecentTraces()
        var evicted = Evicted()
        /// Of the batch that is being added.
        var refused = Refused()
        /// Bytes booked on the account.
        var booked = 0
        var sweptAt: Int64 = 0

        var byteCount: Int { seriesBytes + metadata.count * 256 + entries.byteCount + traces.byteCount }
    }

    /// Names whose type and help are kept.
    private static let metadataLimit = 10_000
    /// How often what is too old is looked for, in milliseconds.
    private static let sweepInterval: Int64 = 1_000

    private let state: Mutex<State>
    private let account: MemoryAccount
    private let clock: EngineClock

    init(_ limits: Limits, account: MemoryAccount, clock: EngineClock) {
        state = Mutex(State(limits: limits))
        self.account = account
        self.clock = clock
    }

    deinit { account.release(state.withLock { $0.booked }) }

    /// Forgets what `limits` no longer allow.
    func change(_ limits: Limits) {
        _ = change { (state: inout State, _) in
            state.limits = limits
            state.sweptAt = 0
        }
    }

    /// Forgets what is too old by now.
    func sweep() { _ = change { (_: inout State, _) in } }

    /// Forgets everything.
    func removeAll() {
        state.withLock { state in
            state.series = [:]
            state.seriesBytes = 0
            state.samples = 0
            state.metadata = [:]
            state.entries = RecentEntries()
            state.traces = RecentTraces()
            settle(&state)
        }
    }

    /// Milliseconds since 1970.
    var now: Int64 { clock.wallMilliseconds }

    /// Looks at what is there.
    func read<Result>(_ body: (borrowing State) throws -> Result) rethrows -> Result {
        try state.withLock { try body($0) }
    }

    /// Adds with `body`, which is given the time in milliseconds since 1970, then keeps to the limits. Returns what was not
    /// taken in.
    func change(_ body: (inout State, _ now: Int64) -> Void) -> Refused {
        let now = clock.wallMilliseconds
        return state.withLock { state in
            state.refused = Refused()
            body(&state, now)
            enforce(&state, now)
            settle(&state)
            return state.refused
        }
    }

    // MARK: Bounds

    private func enforce(_ state: inout State, _ now: Int64) {
        if now - state.sweptAt >= Self.sweepInterval || now < state.sweptAt {
            state.sweptAt = now
            forget(&state, before: now - state.limits.milliseconds, .age)
        }
        // Half is enough where others have no room left: what is here is a copy.
        let limit = account.isBudgetShort ? state.limits.bytes / 2 : state.limits.bytes
        guard state.byteCount > limit else { return }
        // An eighth at a go, so that the next batches find room and what is kept is not gone through for each of them.
        let wanted = limit - limit / 8
        var oldest = state.oldest ?? now
        let step = max(1, (now - oldest) / 16)
        while state.byteCount > wanted, oldest <= now {
            oldest += step
            forget(&state, before: oldest, .size)
        }
        // All of it may be of this very moment, or of times to come.
        if state.byteCount > limit { forget(&state, before: .max, .size) }
    }

    private func forget(_ state: inout State, before time: Int64, _ why: Eviction) {
        var gone = 0
        var empty: [LabelSet] = []
        for index in state.series.values.indices {
            let before = state.series.values[index].byteCount
            gone += state.series.values[index].forget(before: time)
            if state.series.values[index].count == 0 {
                empty.append(state.series.values[index].labels)
                state.seriesBytes -= before
            } else {
                state.seriesBytes += state.series.values[index].byteCount - before
            }
        }
        for labels in empty { state.series[labels] = nil }
        if state.series.isEmpty { state.metadata = [:] }
        state.samples -= gone
        if gone > 0 { state.evicted.samples[why, default: 0] += gone }
        let entries = state.entries.forget(before: time)
        if entries > 0 { state.evicted.entries[why, default: 0] += entries }
        let spans = state.traces.forget(before: time)
        if spans > 0 { state.evicted.spans[why, default: 0] += spans }
    }

    private func settle(_ state: inout State) {
        let difference = state.byteCount - state.booked
        if difference > 0 { account.book(difference) } else { account.release(-difference) }
        state.booked += difference
    }
}

extension RecentStore.State {
    /// The time of the oldest that is there, in milliseconds since 1970.
    var oldest: Int64? {
        let samples = series.values.reduce(into: Int64?.none) { oldest, one in
            guard one.count > 0 else { return }
            oldest = min(oldest ?? .max, one.times[one.first])
        }
        return [samples, entries.oldestArrival, traces.oldestArrival].compactMap(\.self).min()
    }

    mutating func note(_ metadata: MetricMetadata) {
        if self.metadata.count < 10_000 || self.metadata[metadata.family] != nil {
            self.metadata[metadata.family] = metadata
        }
    }

    mutating func addSample(_ labels: LabelSet, _ value: Double, at time: Int64) {
        if series[labels] == nil {
            let made = RecentSeries(labels)
            seriesBytes += made.byteCount
            series[labels] = made
        }
        guard let index = series.index(forKey: labels) else { return }
        let before = (series.values[index].byteCount, series.values[index].count)
        guard series.values[index].append(value, at: time) else {
            refused.tooOld += 1
            return
        }
        seriesBytes += series.values[index].byteCount - before.0
        samples += series.values[index].count - before.1
    }

    mutating func addSpan(_ span: RecentTraces.Span, to trace: String, now: Int64) {
        if !traces.append(span, to: trace, now: now) { refused.surplus += 1 }
    }
}
