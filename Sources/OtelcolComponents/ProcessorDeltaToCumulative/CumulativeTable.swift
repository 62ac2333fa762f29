import Telemetry
import Wire

/// The sum so far of every stream.
struct CumulativeTable: ~Copyable {
    /// What became of the points of a batch that were deltas.
    struct Outcome: Equatable {
        var added = 0
        /// Of streams there was no room for.
        var overLimit = 0
        /// Not newer than the point before.
        var outOfOrder = 0
        /// From before the stream's start.
        var olderStart = 0
    }

    private struct Total {
        var value: PointValue
        var start: UInt64
        var time: UInt64
        /// Monotonic nanoseconds.
        var lastSeen: Int64
    }

    private enum Verdict { case added, overLimit, outOfOrder, olderStart, gap, leave }

    /// Bytes of a stream besides its value.
    private static let overhead = 80

    private var totals: [StreamID: Total] = [:]
    /// Bytes held, about.
    private(set) var bytes = 0

    var count: Int { totals.count }

    /// The batch with totals in place of differences.
    mutating func add(_ batch: OTLPBatch, limit: Int, now: Int64) throws -> (OTLPBatch, Outcome) {
        let walker = OTLPWalker()
        var identity = StreamIdentity()
        var outcome = Outcome()
        let result = try walker.edit(batch, to: .point) { level in
            identity.begin(level, walker)
            switch level {
            case .resource, .scope: return .keep
            case .item:
                guard Self.isDelta(walker) else { return .skip }
                walker.metric.aggregationTemporality = 2
                return .keep
            case .point:
                switch advance(identity.stream(of: walker), walker, limit, now) {
                case .added:
                    outcome.added += 1
                    return .keep
                case .gap, .leave: return .keep
                case .overLimit: outcome.overLimit += 1
                case .outOfOrder: outcome.outOfOrder += 1
                case .olderStart: outcome.olderStart += 1
                }
                return .drop
            }
        }
        return (result, outcome)
    }

    private static func isDelta(_ walker: OTLPWalker) -> Bool {
        switch walker.metricKind {
        case .sum, .histogram, .exponentialHistogram: walker.metric.aggregationTemporality == 1
        case .gauge, .summary, nil: false
        }
    }

    private mutating func advance(_ id: StreamID, _ walker: OTLPWalker, _ limit: Int, _ now: Int64) -> Verdict {
        if walker.hasNoRecordedValue {
            // The stream has ended; one that comes after it begins anew.
            if let total = totals.removeValue(forKey: id) { bytes -= Self.overhead + total.value.cost }
            return .gap
        }
        guard let value = PointValue(walker) else { return .leave }
        let times = PointTimes(walker)
        guard var total = totals[id] else {
            guard totals.count < limit else { return .overLimit }
            totals[id] = Total(value: value, start: times.start, time: times.time, lastSeen: now)
            bytes += Self.overhead + value.cost
            return .added
        }
        if times.start < total.start { return .olderStart }
        if times.time <= total.time { return .outOfOrder }
        bytes -= total.value.cost
        total.value.add(value)
        total.time = times.time
        total.lastSeen = now
        totals[id] = total
        bytes += total.value.cost
        total.value.write(to: walker.point)
        times.start = total.start
        return .added
    }

    /// Forgets streams that had no point since `oldest` (monotonic nanoseconds).
    mutating func forget(notSeenSince oldest: Int64) {
        for (id, total) in totals where total.lastSeen < oldest {
            bytes -= Self.overhead + total.value.cost
            totals[id] = nil
        }
    }
}

extension PointValue {
    /// Adds the next difference. Of histograms with other buckets than before, the sum begins anew.
    mutating func add(_ delta: PointValue) {
        switch (self, delta) {
        case (.number(let sum), .number(let next)): self = .number(sum + next)
        case (.histogram(var sum), .histogram(let next)):
            if sum.hasBuckets(of: next) { sum.add(next) } else { sum = next }
            self = .histogram(sum)
        case (.exponential(var sum), .exponential(let next)):
            sum.add(next)
            self = .exponential(sum)
        default: self = delta
        }
    }
}
