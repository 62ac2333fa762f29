import Telemetry
import Wire

extension NativeHistogram {
    /// Scales that Prometheus has as schemas.
    private static let schemas = -4...8
    /// The width of the zero bucket where none is said, as Prometheus has it.
    private static let usualZeroThreshold = 1e-128

    /// A point of an exponential histogram; nil when its scale is too coarse for any schema.
    init?(exponential value: ExponentialBuckets) {
        guard value.scale >= Self.schemas.lowerBound else { return nil }
        self.init()
        var (positive, negative) = (value.positive, value.negative)
        let steps = max(0, value.scale - Self.schemas.upperBound)
        positive.coarsen(by: steps)
        negative.coarsen(by: steps)
        schema = Int32(value.scale - steps)
        zeroThreshold = value.zeroThreshold > 0 ? value.zeroThreshold : Self.usualZeroThreshold
        zeroCount = Double(value.zeroCount)
        count = Double(value.count)
        sum = value.sum ?? 0
        // Prometheus numbers a bucket by its upper bound, OpenTelemetry by its lower one.
        guard let above = Self.encoded(positive.counts, from: positive.offset + 1),
            let below = Self.encoded(negative.counts, from: negative.offset + 1)
        else { return nil }
        (positiveSpans, negativeSpans) = (above.spans, below.spans)
        buckets = .deltas(positive: above.deltas, negative: below.deltas)
    }

    /// A point of a histogram as one with custom buckets.
    init(explicit value: ExplicitBuckets) {
        self.init()
        schema = Self.customBucketsSchema
        count = Double(value.count)
        sum = value.sum ?? 0
        customBounds = value.bounds.filter { $0 < .infinity }
        if let all = Self.encoded(value.counts, from: 0) {
            positiveSpans = all.spans
            buckets = .deltas(positive: all.deltas, negative: [])
        }
    }

    /// Counts of neighbouring buckets as spans and differences: a gap of more than two empty buckets begins a new span. Nil
    /// when an index or a count is out of range.
    private static func encoded(_ counts: [UInt64], from first: Int) -> (spans: [Span], deltas: [Int64])? {
        var spans: [Span] = []
        var deltas: [Int64] = []
        var end = 0
        var previous: Int64 = 0
        var place = 0
        while place < counts.count {
            guard counts[place] > 0 else {
                place += 1
                continue
            }
            var last = place
            var next = place + 1
            while next < counts.count, next - last <= 3 {
                if counts[next] > 0 { last = next }
                next += 1
            }
            let start = first + place
            guard let offset = Int32(exactly: start - end) else { return nil }
            spans.append(Span(offset: offset, length: UInt32(last - place + 1)))
            for index in place...last {
                guard let count = Int64(exactly: counts[index]) else { return nil }
                deltas.append(count - previous)
                previous = count
            }
            end = first + last + 1
            place = last + 1
        }
        return (spans, deltas)
    }
}
