import Telemetry
import TextFormats
import Wire

/// When each stream began, and what its counters were.
struct StartTimeTable: ~Copyable {
    private struct Stream {
        var start: UInt64
        /// The last value as it came, to notice that the counter began anew.
        var last: PointValue
        /// What is taken off; nil when nothing is.
        var reference: PointValue?
        var isMarked = true

        var cost: Int { 80 + last.cost + (reference?.cost ?? 0) }
    }

    private static let millisecond: UInt64 = 1_000_000
    private static let usualName: OTLPKey = "process_start_time_seconds"

    private(set) var strategy: StartTimeStrategy
    private var streams: [StreamID: Stream] = [:]
    private let began: UInt64
    /// Bytes held, about.
    private(set) var bytes = 0

    /// `began` is when the component did, in nanoseconds since 1970.
    init(_ strategy: StartTimeStrategy, began: Int64) {
        self.strategy = strategy
        self.began = UInt64(clamping: began)
    }

    /// Forgets everything and goes on with another strategy.
    mutating func begin(_ strategy: StartTimeStrategy) {
        streams.removeAll()
        bytes = 0
        self.strategy = strategy
    }

    /// The batch with times of beginning, without the points that only serve as reference.
    mutating func adjust(_ batch: OTLPBatch, _ expression: RegularExpression?) throws -> OTLPBatch {
        let walker = OTLPWalker()
        let common =
            strategy == .startTimeMetric
            ? try Self.startTime(in: batch, expression) ?? began / 1_000_000_000 * 1_000_000_000 : 0
        var identity = StreamIdentity()
        return try walker.edit(batch, to: .point) { level in
            identity.begin(level, walker)
            switch level {
            case .resource, .scope: return .keep
            case .item: return Self.isCumulative(walker) ? .keep : .skip
            case .point: return adjust(identity.stream(of: walker), walker, common) ? .keep : .drop
            }
        }
    }

    private static func isCumulative(_ walker: OTLPWalker) -> Bool {
        switch walker.metricKind {
        case .sum, .histogram, .exponentialHistogram: walker.metric.aggregationTemporality == 2
        case .summary: true
        case .gauge, nil: false
        }
    }

    /// The value of the metric that says when the process began.
    private static func startTime(in batch: OTLPBatch, _ expression: RegularExpression?) throws -> UInt64? {
        let walker = OTLPWalker()
        var found: Double?
        try walker.walk(batch, to: .point) { level in
            if found != nil { return .skip }
            switch level {
            case .resource, .scope: return .keep
            case .item:
                let name = walker.metric.name
                let isNamed = expression?.matches(name) ?? OTLPBytes.equal(usualName.bytes, name)
                return isNamed && (walker.metricKind == .gauge || walker.metricKind == .sum) ? .keep : .skip
            case .point:
                found = OTLPNumberPoint(walker.point).value?.double
                return .skip
            }
        }
        guard let found, found > 0, found < 9e9 else { return nil }
        return UInt64(found * 1e9)
    }

    /// Sets the start of the walk's point; false when the point is to be dropped.
    private mutating func adjust(_ id: StreamID, _ walker: OTLPWalker, _ common: UInt64) -> Bool {
        let times = PointTimes(walker)
        // A stream that says when it began is believed.
        if times.start != 0 { return true }
        guard var stream = streams[id] else {
            guard !walker.hasNoRecordedValue, let value = PointValue(walker) else { return true }
            let stream = Stream(
                start: strategy == .startTimeMetric ? common : times.time, last: value,
                reference: strategy == .subtractInitialPoint ? value : nil)
            streams[id] = stream
            bytes += stream.cost
            if strategy == .subtractInitialPoint { return false }
            times.start = stream.start
            return true
        }
        bytes -= stream.cost
        stream.isMarked = true
        defer {
            streams[id] = stream
            bytes += stream.cost
        }
        guard !walker.hasNoRecordedValue, let value = PointValue(walker) else {
            times.start = stream.start
            return true
        }
        if value.isReset(after: stream.last) {
            stream.start = times.time &- min(Self.millisecond, times.time)
            stream.reference = nil
        }
        stream.last = value
        if let reference = stream.reference { value.subtracting(reference).write(to: walker.point) }
        times.start = stream.start
        return true
    }

    /// Forgets streams without points since the last call.
    mutating func forget() {
        for (id, stream) in streams {
            if stream.isMarked {
                streams[id]?.isMarked = false
            } else {
                bytes -= stream.cost
                streams[id] = nil
            }
        }
    }
}

extension PointValue {
    /// Whether a later point of the same counter cannot have this value after `other`.
    fileprivate func isReset(after other: PointValue) -> Bool {
        switch (self, other) {
        case (.number(let now), .number(let before)): now < before
        case (.histogram(let now), .histogram(let before)): !now.hasBuckets(of: before) || now.isReset(after: before)
        case (.exponential(let now), .exponential(let before)): now.isReset(after: before)
        case (.summary(let count, let sum), .summary(let countBefore, let sumBefore)):
            count < countBefore || sum < sumBefore
        default: true
        }
    }

    /// The value less that of the stream's first point.
    fileprivate func subtracting(_ reference: PointValue) -> PointValue {
        switch (self, reference) {
        case (.number(let now), .number(let first)): return .number(now - first)
        case (.histogram(var now), .histogram(let first)):
            now.subtract(first)
            return .histogram(now)
        case (.exponential(var now), .exponential(let first)):
            return now.subtract(first) ? .exponential(now) : self
        case (.summary(let count, let sum), .summary(let firstCount, let firstSum)):
            return .summary(count: count &- firstCount, sum: sum - firstSum)
        default: return self
        }
    }
}
