import Telemetry
import Wire

/// The last point of every stream, and what comes of the next one.
struct DeltaTracker: ~Copyable {
    /// Points that end here, by reason.
    struct Dropped: Equatable {
        /// First of their stream.
        var initial = 0
        /// The counter began anew.
        var reset = 0
        /// Other buckets than the point before.
        var mismatch = 0
    }

    private struct Previous {
        var value: PointValue
        var time: UInt64
    }

    private enum Verdict {
        case send(PointValue, start: UInt64)
        case leave
        case initial, reset, mismatch
    }

    /// Bytes of a stream besides its value.
    private static let overhead = 64

    private var streams: [StreamID: Previous] = [:]
    private let began: UInt64
    /// Bytes held, about.
    private(set) var bytes = 0

    /// `began` is when the component did, in nanoseconds since 1970.
    init(began: Int64) { self.began = UInt64(clamping: began) }

    /// The batch with differences in place of totals.
    mutating func convert(
        _ batch: OTLPBatch, _ arguments: OtelcolProcessorCumulativeToDelta.Arguments
    ) throws -> (OTLPBatch, Dropped) {
        let walker = OTLPWalker()
        var identity = StreamIdentity()
        var dropped = Dropped()
        let result = try walker.edit(batch, to: .point) { level in
            identity.begin(level, walker)
            switch level {
            case .resource, .scope: return .keep
            case .item:
                guard Self.isCumulative(walker), let kind = walker.metricKind,
                    arguments.selects(walker.metric.name, kind)
                else { return .skip }
                walker.metric.aggregationTemporality = 1
                return .keep
            case .point:
                switch advance(identity.stream(of: walker), walker, arguments.settings.initial) {
                case .leave: return .keep
                case .send(let value, let start):
                    value.write(to: walker.point)
                    PointTimes(walker).start = start
                    return .keep
                case .initial: dropped.initial += 1
                case .reset: dropped.reset += 1
                case .mismatch: dropped.mismatch += 1
                }
                return .drop
            }
        }
        return (result, dropped)
    }

    private static func isCumulative(_ walker: OTLPWalker) -> Bool {
        guard walker.metric.aggregationTemporality == 2 else { return false }
        switch walker.metricKind {
        case .sum: return walker.metric.isMonotonic
        case .histogram, .exponentialHistogram: return true
        case .gauge, .summary, nil: return false
        }
    }

    private mutating func advance(_ id: StreamID, _ walker: OTLPWalker, _ initial: InitialValue) -> Verdict {
        guard !walker.hasNoRecordedValue, let value = PointValue(walker) else { return .leave }
        if case .number(.double(let number)) = value, number.isNaN { return .leave }
        let times = PointTimes(walker)
        let (start, time) = (times.start, times.time)
        guard let previous = streams[id] else {
            streams[id] = Previous(value: value, time: time)
            bytes += Self.overhead + value.cost
            switch initial {
            case .drop: return .initial
            case .keep: return .send(value.withoutExtremes, start: 0)
            case .auto:
                // A counter that began after this component has missed nothing.
                return start < began || start == time ? .initial : .send(value.withoutExtremes, start: start)
            }
        }
        bytes += value.cost - previous.value.cost
        streams[id] = Previous(value: value, time: time)
        switch (value, previous.value) {
        case (.number(let now), .number(let before)):
            guard now.hasKind(of: before) else { return .reset }
            return now < before ? .reset : .send(.number(now - before), start: previous.time)
        case (.histogram(var now), .histogram(let before)):
            guard now.hasBuckets(of: before) else { return .mismatch }
            // Of a histogram that began anew everything is new.
            if now.count >= before.count { now.subtract(before) } else { (now.min, now.max) = (nil, nil) }
            return .send(.histogram(now), start: previous.time)
        case (.exponential(var now), .exponential(let before)):
            guard now.scale <= before.scale, now.zeroThreshold >= before.zeroThreshold, now.subtract(before) else {
                return .reset
            }
            return .send(.exponential(now), start: previous.time)
        default: return .reset
        }
    }

    /// Forgets streams whose last point is older than `oldest`.
    mutating func forget(before oldest: Int64) {
        let limit = UInt64(clamping: oldest)
        for (id, previous) in streams where previous.time < limit {
            bytes -= Self.overhead + previous.value.cost
            streams[id] = nil
        }
    }
}

extension PointValue {
    /// The value without the extremes of the whole time, which a difference cannot have.
    fileprivate var withoutExtremes: PointValue {
        switch self {
        case .histogram(var value):
            (value.min, value.max) = (nil, nil)
            return .histogram(value)
        case .exponential(var value):
            (value.min, value.max) = (nil, nil)
            return .exponential(value)
        case .number, .summary: return self
        }
    }
}
