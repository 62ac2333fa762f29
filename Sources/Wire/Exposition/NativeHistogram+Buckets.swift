package import Telemetry

/// Checks and changes of a native histogram's buckets, as `model/histogram` of Prometheus defines them.
extension NativeHistogram {
    /// Removes empty buckets but for gaps of at most `gap` of them between others. False when spans and buckets disagree
    /// or do not fit their types; the histogram is then unchanged.
    package mutating func compact(keepingGapsOf gap: Int) -> Bool {
        rebuild(gap: gap) { $0 }
    }

    /// Merges buckets until the schema is `target`. False when it is not an exponential histogram of a finer schema that
    /// is in order.
    package mutating func reduceResolution(to target: Int32) -> Bool {
        guard schema != Self.customBucketsSchema, schema > target, schema <= 52, target >= -9 else { return false }
        let shift = Int(schema - target)
        guard rebuild(gap: 0, { index in ((index - 1) >> shift) + 1 }) else { return false }
        schema = target
        return true
    }

    /// Halves the resolution until at most `limit` buckets are left. False when that cannot be reached.
    package mutating func reduce(toBuckets limit: Int) -> Bool {
        while bucketCount > limit {
            guard schema > -4, reduceResolution(to: schema - 1) else { return false }
        }
        return true
    }

    /// The same buckets' layout without observations, as at the start of the counting.
    package var emptied: NativeHistogram {
        var histogram = NativeHistogram()
        histogram.schema = schema
        histogram.zeroThreshold = zeroThreshold
        histogram.customBounds = customBounds
        histogram.resetHint = resetHint
        histogram.buckets = isFloat ? .counts(positive: [], negative: []) : .deltas(positive: [], negative: [])
        return histogram
    }

    /// What is wrong with the histogram, or nil.
    package var problem: String? {
        if schema == Self.customBucketsSchema {
            if zeroCount != 0 || zeroThreshold != 0 { return "custom buckets with a zero bucket" }
            if !negativeSpans.isEmpty { return "custom buckets with a negative side" }
            var last = -Double.infinity
            for (index, bound) in customBounds.enumerated() {
                if bound.isNaN { return "custom bound is not a number" }
                if index > 0, bound <= last { return "custom bounds are not in increasing order" }
                last = bound
            }
            if last == .infinity { return "custom bounds include +Inf" }
            var reach = 0
            for span in positiveSpans {
                if span.offset < 0 { return "span with a negative offset" }
                reach += Int(span.offset) + Int(span.length)
            }
            if reach > customBounds.count + 1 { return "more buckets than custom bounds" }
        } else if schema < -4 || schema > 8 {
            return "unknown schema \(schema)"
        }
        for span in positiveSpans.dropFirst() where span.offset < 0 { return "span with a negative offset" }
        for span in negativeSpans.dropFirst() where span.offset < 0 { return "span with a negative offset" }
        switch buckets {
        case .deltas(let positive, let negative): return problem(positive, negative)
        case .counts(let positive, let negative): return problem(positive, negative)
        }
    }

    private func problem(_ positive: [Int64], _ negative: [Int64]) -> String? {
        guard Self.length(positiveSpans) == positive.count, Self.length(negativeSpans) == negative.count else {
            return "spans and buckets differ in number"
        }
        var total = zeroCount
        for side in [positive, negative] {
            var own: Int64 = 0
            for delta in side {
                let (sum, overflow) = own.addingReportingOverflow(delta)
                if overflow || sum < 0 { return "bucket with a negative count" }
                own = sum
                total += Double(own)
            }
        }
        // Beyond 2^53 the sum is inexact and proves nothing.
        if total < 9e15, count < 9e15 {
            if sum.isNaN ? total > count : total != count {
                return "\(total) observations in buckets, count is \(count)"
            }
        }
        return nil
    }

    private func problem(_ positive: [Double], _ negative: [Double]) -> String? {
        guard Self.length(positiveSpans) == positive.count, Self.length(negativeSpans) == negative.count else {
            return "spans and buckets differ in number"
        }
        if zeroCount < 0 || count < 0 { return "negative count" }
        if positive.contains(where: { $0 < 0 }) || negative.contains(where: { $0 < 0 }) {
            return "bucket with a negative count"
        }
        return nil
    }

    static func length(_ spans: [Span]) -> Int { spans.reduce(0) { $0 + Int($1.length) } }

    /// Lays the buckets out anew: `place` tells the new index of each, in order; equal ones are added up.
    private mutating func rebuild(gap: Int, _ place: (Int) -> Int) -> Bool {
        switch buckets {
        case .deltas(let positive, let negative):
            guard let up = Self.absolute(positive), let down = Self.absolute(negative),
                let (spans, counts) = Self.layOut(positiveSpans, up, gap, place),
                let (otherSpans, otherCounts) = Self.layOut(negativeSpans, down, gap, place)
            else { return false }
            positiveSpans = spans
            negativeSpans = otherSpans
            buckets = .deltas(positive: Self.deltas(counts), negative: Self.deltas(otherCounts))
        case .counts(let positive, let negative):
            guard let (spans, counts) = Self.layOut(positiveSpans, positive, gap, place),
                let (otherSpans, otherCounts) = Self.layOut(negativeSpans, negative, gap, place)
            else { return false }
            positiveSpans = spans
            negativeSpans = otherSpans
            buckets = .counts(positive: counts, negative: otherCounts)
        }
        return true
    }

    /// Counts of the buckets; nil where one is negative or all together overflow.
    private static func absolute(_ deltas: [Int64]) -> [Int64]? {
        var last: Int64 = 0
        var total: Int64 = 0
        var counts: [Int64] = []
        counts.reserveCapacity(deltas.count)
        for delta in deltas {
            let (sum, overflow) = last.addingReportingOverflow(delta)
            if overflow || sum < 0 { return nil }
            // Merging buckets later must not overflow either.
            let (all, overflows) = total.addingReportingOverflow(sum)
            if overflows { return nil }
            total = all
            counts.append(sum)
            last = sum
        }
        return counts
    }

    private static func deltas(_ counts: [Int64]) -> [Int64] {
        var last: Int64 = 0
        return counts.map { count in
            defer { last = count }
            return count &- last
        }
    }

    private static func layOut<Count: Numeric>(
        _ spans: [Span], _ counts: [Count], _ gap: Int, _ place: (Int) -> Int
    ) -> ([Span], [Count])? {
        guard length(spans) == counts.count else { return nil }
        var placed: [(index: Int, count: Count)] = []
        placed.reserveCapacity(counts.count)
        var index = 0
        var position = 0
        for span in spans {
            index += Int(span.offset)
            for _ in 0..<span.length {
                if counts[position] != .zero {
                    let target = place(index)
                    if let last = placed.last, last.index == target {
                        placed[placed.count - 1].count += counts[position]
                    } else {
                        placed.append((target, counts[position]))
                    }
                }
                position += 1
                index += 1
            }
        }
        var newSpans: [Span] = []
        var newCounts: [Count] = []
        var end = 0
        for (index, count) in placed {
            let distance = index - end
            if var last = newSpans.last, distance >= 0, distance <= gap {
                for _ in 0..<distance { newCounts.append(.zero) }
                last.length += UInt32(distance) + 1
                newSpans[newSpans.count - 1] = last
            } else {
                guard let offset = Int32(exactly: distance) else { return nil }
                newSpans.append(Span(offset: offset, length: 1))
            }
            newCounts.append(count)
            end = index + 1
        }
        return (newSpans, newCounts)
    }
}
