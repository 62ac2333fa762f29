import Wire

/// The value of a data point, taken out of its bytes to be compared and computed with.
enum PointValue: Sendable, Equatable {
    case number(OTLPNumber)
    case histogram(ExplicitBuckets)
    case exponential(ExponentialBuckets)
    case summary(count: UInt64, sum: Double)

    /// What the walk's data point holds; nil when it has no value.
    init?(_ walker: OTLPWalker) {
        switch walker.metricKind {
        case .gauge, .sum:
            guard let value = OTLPNumberPoint(walker.point).value else { return nil }
            self = .number(value)
        case .histogram: self = .histogram(ExplicitBuckets(OTLPHistogramPoint(walker.point)))
        case .exponentialHistogram:
            self = .exponential(ExponentialBuckets(OTLPExponentialHistogramPoint(walker.point)))
        case .summary:
            let point = OTLPSummaryPoint(walker.point)
            self = .summary(count: point.count, sum: point.sum)
        case nil: return nil
        }
    }

    /// Puts the value into the walk's data point, whose kind it has.
    func write(to message: OTLPMessage) {
        switch self {
        case .number(let value): OTLPNumberPoint(message).value = value
        case .histogram(let value): value.write(to: OTLPHistogramPoint(message))
        case .exponential(let value): value.write(to: OTLPExponentialHistogramPoint(message))
        case .summary(let count, let sum):
            let point = OTLPSummaryPoint(message)
            point.count = count
            point.sum = sum
        }
    }

    /// Bytes it takes in memory, about.
    var cost: Int {
        switch self {
        case .number, .summary: 32
        case .histogram(let value): 96 + 16 * value.counts.count
        case .exponential(let value): 160 + 8 * (value.positive.counts.count + value.negative.counts.count)
        }
    }
}

extension OTLPNumber {
    static func + (left: OTLPNumber, right: OTLPNumber) -> OTLPNumber {
        if case .int(let first) = left, case .int(let second) = right { return .int(first &+ second) }
        return .double(left.double + right.double)
    }

    static func - (left: OTLPNumber, right: OTLPNumber) -> OTLPNumber {
        if case .int(let first) = left, case .int(let second) = right { return .int(first &- second) }
        return .double(left.double - right.double)
    }

    static func < (left: OTLPNumber, right: OTLPNumber) -> Bool {
        if case .int(let first) = left, case .int(let second) = right { return first < second }
        return left.double < right.double
    }

    /// Whether both are integers or both are not.
    func hasKind(of other: OTLPNumber) -> Bool {
        switch (self, other) {
        case (.int, .int), (.double, .double): true
        default: false
        }
    }
}

/// The value of a histogram's data point.
struct ExplicitBuckets: Sendable, Equatable {
    var count: UInt64
    var sum: Double?
    /// One more than ``bounds``, or none.
    var counts: [UInt64] = []
    var bounds: [Double] = []
    var min: Double?
    var max: Double?

    init(_ point: OTLPHistogramPoint) {
        count = point.count
        sum = point.sum
        point.forEachBucketCount { counts.append($0) }
        point.forEachBound { bounds.append($0) }
        min = point.min
        max = point.max
    }

    func write(to point: OTLPHistogramPoint) {
        point.count = count
        point.sum = sum
        point.min = min
        point.max = max
        point.message.set(OTLPField.HistogramPoint.bucketCounts, packedFixed64: counts)
        point.message.set(OTLPField.HistogramPoint.explicitBounds, packedFixed64: bounds.map(\.bitPattern))
    }

    func hasBuckets(of other: ExplicitBuckets) -> Bool {
        counts.count == other.counts.count && bounds == other.bounds
    }

    /// Whether a later point of the same counter cannot have this value after `other`.
    func isReset(after other: ExplicitBuckets) -> Bool {
        if count < other.count || (sum ?? 0) < (other.sum ?? 0) { return true }
        if counts.count != other.counts.count { return true }
        return zip(counts, other.counts).contains { $0 < $1 }
    }

    /// Adds counts of the same buckets.
    mutating func add(_ other: ExplicitBuckets) {
        count &+= other.count
        sum = combine(sum, other.sum, +)
        min = combine(min, other.min, Swift.min)
        max = combine(max, other.max, Swift.max)
        for place in counts.indices { counts[place] &+= other.counts[place] }
    }

    /// Takes counts of the same buckets away. Extremes are of the whole time and go.
    mutating func subtract(_ other: ExplicitBuckets) {
        count &-= other.count
        sum = combine(sum, other.sum, -)
        for place in counts.indices where place < other.counts.count { counts[place] &-= other.counts[place] }
        (min, max) = (nil, nil)
    }
}

/// The value of an exponential histogram's data point.
struct ExponentialBuckets: Sendable, Equatable {
    /// The most buckets of one side that adding makes; more are joined.
    static let maximumWidth = 160
    /// Scales at which a bucket's index can be computed; the data model ends at 20.
    private static let usualScales: ClosedRange<Int> = -30...30

    var count: UInt64
    var sum: Double?
    var scale: Int
    var zeroCount: UInt64
    var zeroThreshold: Double
    var positive: BucketRange
    var negative: BucketRange
    var min: Double?
    var max: Double?

    init(_ point: OTLPExponentialHistogramPoint) {
        count = point.count
        sum = point.sum
        scale = Int(point.scale)
        zeroCount = point.zeroCount
        zeroThreshold = point.zeroThreshold
        positive = BucketRange(point, OTLPField.ExponentialHistogramPoint.positive)
        negative = BucketRange(point, OTLPField.ExponentialHistogramPoint.negative)
        min = point.min
        max = point.max
    }

    func write(to point: OTLPExponentialHistogramPoint) {
        point.count = count
        point.sum = sum
        point.scale = Int32(clamping: scale)
        point.zeroCount = zeroCount
        point.zeroThreshold = zeroThreshold
        point.min = min
        point.max = max
        positive.write(to: point.message, OTLPField.ExponentialHistogramPoint.positive)
        negative.write(to: point.message, OTLPField.ExponentialHistogramPoint.negative)
    }

    /// Whether a later point of the same counter cannot have this value after `other`.
    func isReset(after other: ExponentialBuckets) -> Bool {
        if count < other.count || zeroThreshold < other.zeroThreshold || scale > other.scale { return true }
        var copy = self
        return !copy.subtract(other)
    }

    /// Joins buckets down to `newScale`.
    private mutating func coarsen(to newScale: Int) {
        guard newScale < scale else { return }
        let steps = scale - newScale
        positive.coarsen(by: steps)
        negative.coarsen(by: steps)
        scale = newScale
    }

    /// Moves what lies below `threshold` to the zero bucket.
    private mutating func widenZero(to threshold: Double) {
        guard threshold > zeroThreshold, threshold.isFinite, Self.usualScales.contains(scale) else { return }
        let bucket = ExponentialHistogram.index(of: threshold, scale: scale)
        zeroCount &+= positive.remove(through: bucket)
        zeroCount &+= negative.remove(through: bucket)
        zeroThreshold = threshold
    }

    /// Brings both to the same scale and zero bucket.
    private mutating func align(_ other: inout ExponentialBuckets) {
        let threshold = Swift.max(zeroThreshold, other.zeroThreshold)
        widenZero(to: threshold)
        other.widenZero(to: threshold)
        let lower = Swift.min(scale, other.scale)
        coarsen(to: lower)
        other.coarsen(to: lower)
    }

    /// Adds what another point counted, joining buckets where there would be too many.
    mutating func add(_ added: ExponentialBuckets) {
        var other = added
        align(&other)
        var steps = 0
        // Indexes have 32 bits, so that this ends whatever was sent.
        while BucketRange.width(positive, other.positive, coarsenedBy: steps) > Self.maximumWidth
            || BucketRange.width(negative, other.negative, coarsenedBy: steps) > Self.maximumWidth
        {
            steps += 1
        }
        coarsen(to: scale - steps)
        other.coarsen(to: scale)
        positive.add(other.positive)
        negative.add(other.negative)
        zeroCount &+= other.zeroCount
        count &+= other.count
        sum = combine(sum, other.sum, +)
        min = combine(min, other.min, Swift.min)
        max = combine(max, other.max, Swift.max)
    }

    /// Takes away what an earlier point counted; false when that cannot be, because the counter began anew.
    mutating func subtract(_ earlier: ExponentialBuckets) -> Bool {
        var other = earlier
        align(&other)
        guard count >= other.count, zeroCount >= other.zeroCount, positive.subtract(other.positive),
            negative.subtract(other.negative)
        else { return false }
        zeroCount -= other.zeroCount
        count -= other.count
        sum = combine(sum, other.sum, -)
        (min, max) = (nil, nil)
        return true
    }
}

/// Both combined when there are both.
private func combine(_ left: Double?, _ right: Double?, _ combined: (Double, Double) -> Double) -> Double? {
    guard let left, let right else { return nil }
    return combined(left, right)
}

extension OTLPWalker {
    /// Whether the data point being visited says that there is no value: the stream has ended.
    var hasNoRecordedValue: Bool {
        let flags: UInt32 =
            switch metricKind {
            case .gauge, .sum: OTLPNumberPoint(point).flags
            case .histogram: OTLPHistogramPoint(point).flags
            case .exponentialHistogram: OTLPExponentialHistogramPoint(point).flags
            case .summary: OTLPSummaryPoint(point).flags
            case nil: 0
            }
        return flags & 1 != 0
    }
}

/// The times of a data point of any kind.
struct PointTimes {
    private let message: OTLPMessage
    private let fields: (start: Int, time: Int)

    init(_ walker: OTLPWalker) {
        message = walker.point
        fields =
            walker.metricKind == .exponentialHistogram
            ? (OTLPField.ExponentialHistogramPoint.startTimeUnixNano, OTLPField.ExponentialHistogramPoint.timeUnixNano)
            : (OTLPField.NumberPoint.startTimeUnixNano, OTLPField.NumberPoint.timeUnixNano)
    }

    /// Nanoseconds since 1970; 0 when unknown.
    var start: UInt64 {
        get { message.fixed64(fields.start) }
        nonmutating set { message.set(fields.start, fixed64: newValue) }
    }

    /// Nanoseconds since 1970.
    var time: UInt64 {
        get { message.fixed64(fields.time) }
        nonmutating set { message.set(fields.time, fixed64: newValue) }
    }
}
