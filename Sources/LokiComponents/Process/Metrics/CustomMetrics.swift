import Essentials
import SelfMetrics
import Synchronization
import Telemetry

/// What a metric of `stage.metrics` is.
enum CustomMetricKind: Sendable, Hashable {
    case counter, gauge
    /// With the upper bounds of its buckets, ascending.
    case histogram([Double])
}

/// The metrics that stages make of log lines, as `/metrics` shows them.
///
/// Equal names and kinds share a family, so that a reload goes on counting and two stages may feed one metric. Families
/// no stage of the current pipeline uses go with ``CustomMetrics/beginPipeline()``.
final class CustomMetrics: Sendable {
    private struct Key: Hashable {
        var name: String
        var kind: CustomMetricKind
    }

    private struct State: ~Copyable {
        var families: [Key: CustomMetricFamily] = [:]
    }

    private let state = Mutex(State())
    private let clock: EngineClock
    private let account: MemoryAccount

    /// Series are booked on `account`.
    init(clock: EngineClock, account: MemoryAccount) {
        self.clock = clock
        self.account = account
    }

    /// Forgets all series, as a pipeline that is replaced does.
    func beginPipeline() { state.withLock { $0.families.removeAll() } }

    func family(_ name: String, _ kind: CustomMetricKind, help: String, maxIdleSeconds: Int64) -> CustomMetricFamily {
        state.withLock { state in
            let key = Key(name: name, kind: kind)
            if let found = state.families[key] { return found }
            let made = CustomMetricFamily(
                name: name, kind: kind, help: help, maxIdleSeconds: maxIdleSeconds, account: account)
            state.families[key] = made
            return made
        }
    }

    /// All families with their series; series that were idle too long are shown once more and removed.
    func collect() -> [CollectedFamily] {
        let families = state.withLock { Array($0.families.values) }
        let now = clock.wallNanoseconds / 1_000_000_000
        return families.map { $0.collect(now: now) }.filter { !$0.samples.isEmpty }.sorted { $0.name < $1.name }
    }
}

/// One metric with a series for each label set that fed it.
final class CustomMetricFamily: Sendable {
    private static let maximumSeries = 100_000

    let name: String
    let kind: CustomMetricKind
    private let help: String
    private let maxIdleSeconds: Int64
    private let account: MemoryAccount
    private let series = Mutex<[LabelSet: CustomMetricSeries]>([:])

    init(name: String, kind: CustomMetricKind, help: String, maxIdleSeconds: Int64, account: MemoryAccount) {
        self.account = account
        self.name = name
        self.kind = kind
        self.help = help
        self.maxIdleSeconds = maxIdleSeconds
    }

    deinit { account.release(series.withLock { $0.keys.reduce(0) { $0 + Self.cost($1, kind) } }) }

    /// Bytes a series takes, about: its labels, itself and its place in the table.
    private static func cost(_ labels: LabelSet, _ kind: CustomMetricKind) -> Int {
        let buckets = if case .histogram(let bounds) = kind { bounds.count + 1 } else { 1 }
        return 160 + labels.encodedByteCount + 8 * buckets
    }

    /// The series of `labels`; nil when there are too many already, or no memory for more.
    func series(for labels: LabelSet) -> CustomMetricSeries? {
        series.withLock { series in
            if let found = series[labels] { return found }
            guard series.count < Self.maximumSeries, account.reserve(Self.cost(labels, kind)) else { return nil }
            let made = CustomMetricSeries(kind)
            series[labels] = made
            return made
        }
    }

    fileprivate func collect(now: Int64) -> CollectedFamily {
        var samples: [CollectedSample] = []
        series.withLock { series in
            for (labels, one) in series.sorted(by: { $0.key.description < $1.key.description }) {
                samples += one.samples(labels: Self.exposed(labels))
                guard one.retire(now: now, maxIdleSeconds: maxIdleSeconds) else { continue }
                series[labels] = nil
                account.release(Self.cost(labels, self.kind))
            }
        }
        let kind: MetricKind =
            switch kind {
            case .counter: .counter
            case .gauge: .gauge
            case .histogram: .histogram
            }
        return CollectedFamily(name: name, help: help, kind: kind, samples: samples)
    }

    /// Labels without those reserved for internal use, names in the legacy alphabet.
    private static func exposed(_ labels: LabelSet) -> [(name: String, value: String)] {
        labels.pairs.compactMap { name, value in
            if name.utf8.starts(with: "__".utf8) { return nil }
            if LabelName.isValid(name) { return (name, value) }
            let safe = name.unicodeScalars.map { LabelName.isValid("_" + String($0)) ? String($0) : "_" }.joined()
            return (LabelName.isValid(safe) ? safe : "_" + safe, value)
        }
    }
}

/// One series of a ``CustomMetricFamily``.
final class CustomMetricSeries: Sendable {
    private struct State: ~Copyable {
        var value = 0.0
        var counts: [Int]
        var lastChange: Int64 = 0
    }

    private let bounds: [Double]
    private let isHistogram: Bool
    private let state: Mutex<State>
    private let retired = Atomic<Bool>(false)

    init(_ kind: CustomMetricKind) {
        if case .histogram(let bounds) = kind {
            self.bounds = bounds
            isHistogram = true
        } else {
            bounds = []
            isHistogram = false
        }
        state = Mutex(State(counts: Array(repeating: 0, count: bounds.count + 1)))
    }

    /// True once the series is no longer shown; ask its family for a new one.
    var isRetired: Bool { retired.load(ordering: .relaxed) }

    func add(_ amount: Double, at second: Int64) {
        state.withLock { state in
            state.value += amount
            state.lastChange = second
        }
    }

    func set(_ value: Double, at second: Int64) {
        state.withLock { state in
            state.value = value
            state.lastChange = second
        }
    }

    func observe(_ value: Double, at second: Int64) {
        let bucket = bounds.firstIndex { value <= $0 } ?? bounds.count
        state.withLock { state in
            state.counts[bucket] += 1
            state.value += value
            state.lastChange = second
        }
    }

    fileprivate func retire(now: Int64, maxIdleSeconds: Int64) -> Bool {
        let isIdle = state.withLock { now - $0.lastChange >= maxIdleSeconds }
        if isIdle { retired.store(true, ordering: .relaxed) }
        return isIdle
    }

    fileprivate func samples(labels: [(name: String, value: String)]) -> [CollectedSample] {
        let (value, counts) = state.withLock { ($0.value, $0.counts) }
        guard isHistogram else { return [CollectedSample(labels: labels, value: value)] }
        var samples: [CollectedSample] = []
        var cumulative = 0
        for (index, count) in counts.enumerated() {
            cumulative += count
            let bound = index < bounds.count ? Exposition.number(bounds[index]) : "+Inf"
            samples.append(
                CollectedSample(suffix: "_bucket", labels: labels + [("le", bound)], value: Double(cumulative)))
        }
        samples.append(CollectedSample(suffix: "_sum", labels: labels, value: value))
        samples.append(CollectedSample(suffix: "_count", labels: labels, value: Double(cumulative)))
        return samples
    }
}
