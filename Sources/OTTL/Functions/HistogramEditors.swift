import Glibc
import TextFormats
import Wire

extension Functions {
    /// Editors of histograms: percentiles, and explicit buckets from exponential ones.
    static let histogramEditors: [Editor] = [
        Editor(
            "extract_percentile_metric",
            [Parameter("percentile", .double), Parameter("suffix", .string, optional: true)], in: [.metric]
        ) { arguments in
            let percentile = arguments.double(0) ?? 0
            guard percentile > 0, percentile < 100 else { throw arguments.error(0, "must be between 0 and 100") }
            let number = "p" + GoNumber.formatFloat(percentile, "g", precision: -1)
            let given = arguments.string(1) ?? ""
            let suffix = given.isEmpty ? "_" + number : given
            return { frame in
                guard frame.metricKind == .histogram || frame.metricKind == .exponentialHistogram else { return }
                let description = frame.item.string(OTLPField.Metric.description)
                let isExplicit = frame.metricKind == .histogram
                try MetricMaking.gauge(
                    frame, suffix, description: description.isEmpty ? number : "\(description) (\(number))"
                ) { point in
                    isExplicit
                        ? try Percentile.explicit(OTLPHistogramPoint(point), percentile)
                        : try Percentile.exponential(OTLPExponentialHistogramPoint(point), percentile)
                }
            }
        },
        Editor(
            "convert_exponential_histogram_to_histogram",
            [Parameter("distribution_fn", .string), Parameter("explicit_bounds", .doubles)], in: [.metric]
        ) { arguments in
            let given = arguments.string(0) ?? ""
            guard let distribution = Distribution(rawValue: given.isEmpty ? "random" : given) else {
                throw arguments.error(0, "must be \"upper\", \"midpoint\", \"uniform\" or \"random\"")
            }
            let bounds = arguments.doubles(1) ?? []
            guard !bounds.isEmpty, zip(bounds, bounds.dropFirst()).allSatisfy({ $0 < $1 }) else {
                throw arguments.error(1, "must be ascending numbers, at least one")
            }
            return { frame in
                guard frame.metricKind == .exponentialHistogram else { return }
                var contents: [[UInt8]] = []
                let made = OTLPMessage()
                try frame.forEachPoint { point in
                    try distribution.convert(OTLPExponentialHistogramPoint(point), bounds, to: made)
                    contents.append(made.encoded)
                }
                MetricPoints.replace(frame, with: contents)
                frame.metricKind = .histogram
            }
        },
    ]
}

/// The buckets of an exponential histogram as ranges of values.
private enum ExponentialBuckets {
    /// The lower bound of a bucket; that of the next is its upper one.
    static func bound(_ index: Int, _ scale: Int32) -> Double {
        exp2(Double(index) * scalbn(1, -Int(max(-1000, min(1000, scale)))))
    }

    /// The counts of a side with the bounds of their absolute values, from zero on.
    static func side(_ point: OTLPExponentialHistogramPoint, _ side: Int) -> [(
        low: Double, high: Double, count: UInt64
    )] {
        var result: [(Double, Double, UInt64)] = []
        let scale = point.scale
        point.buckets(side) { offset, buckets in
            var index = Int(offset)
            buckets.forEachVarint(OTLPField.Buckets.counts) { count in
                result.append((bound(index, scale), bound(index + 1, scale), count))
                index += 1
            }
        }
        return result
    }
}

/// Percentiles of the values a histogram counted.
private enum Percentile {
    private static func target(_ count: UInt64, _ percentile: Double) -> UInt64 {
        UInt64(exactly: (Double(count) * (percentile / 100)).rounded(.up)) ?? .max
    }

    private static let tooFew = OTTLError("extract_percentile_metric: the buckets count fewer values than the point")

    /// Values are taken to be spread evenly inside of a bucket; nil where nothing can be said.
    static func explicit(_ point: OTLPHistogramPoint, _ percentile: Double) throws -> Double? {
        var counts: [UInt64] = []
        var bounds: [Double] = []
        point.forEachBucketCount { counts.append($0) }
        point.forEachBound { bounds.append($0) }
        if point.count == 0 || counts.isEmpty { return nil }
        guard counts.count == bounds.count + 1 else {
            throw OTTLError("extract_percentile_metric: \(counts.count) buckets have \(bounds.count) bounds")
        }
        let target = target(point.count, percentile)
        var before: UInt64 = 0
        for (place, count) in counts.enumerated() {
            if target <= before &+ count {
                let share = Double(target - before) / Double(count)
                if bounds.isEmpty {
                    guard let low = point.min, let high = point.max else { return nil }
                    return low + share * (high - low)
                }
                var low = place == 0 ? 0 : bounds[place - 1]
                if place == 0 {
                    if let min = point.min, min < bounds[0] {
                        low = min
                    } else if bounds[0] < 0 {
                        return bounds[0]
                    }
                }
                if place < bounds.count { return low + share * (bounds[place] - low) }
                guard let max = point.max, max > low else { return low }
                return low + share * (max - low)
            }
            before &+= count
        }
        throw tooFew
    }

    /// Values are taken to be spread evenly on the logarithmic scale of the buckets.
    static func exponential(_ point: OTLPExponentialHistogramPoint, _ percentile: Double) throws -> Double? {
        let negative = ExponentialBuckets.side(point, OTLPField.ExponentialHistogramPoint.negative)
        let positive = ExponentialBuckets.side(point, OTLPField.ExponentialHistogramPoint.positive)
        if point.count == 0 || (negative.isEmpty && positive.isEmpty && point.zeroCount == 0) { return nil }
        let target = target(point.count, percentile)
        var before: UInt64 = 0
        func between(_ low: Double, _ high: Double, _ share: Double) -> Double {
            exp2(log2(low) + (log2(high) - log2(low)) * share)
        }
        for bucket in negative.reversed() {
            if target <= before &+ bucket.count {
                return -between(bucket.low, bucket.high, 1 - Double(target - before) / Double(bucket.count))
            }
            before &+= bucket.count
        }
        if target <= before &+ point.zeroCount {
            let low = negative.isEmpty && !positive.isEmpty ? 0 : -point.zeroThreshold
            let high = positive.isEmpty && !negative.isEmpty ? 0 : point.zeroThreshold
            return low + Double(target - before) / Double(point.zeroCount) * (high - low)
        }
        before &+= point.zeroCount
        for bucket in positive {
            if target <= before &+ bucket.count {
                return between(bucket.low, bucket.high, Double(target - before) / Double(bucket.count))
            }
            before &+= bucket.count
        }
        throw tooFew
    }
}

/// Where the values of an exponential bucket go that spans several explicit ones.
private enum Distribution: String {
    case upper, midpoint, uniform, random

    /// A histogram point with one bucket more than bounds, and every value in one of them.
    func convert(_ point: OTLPExponentialHistogramPoint, _ bounds: [Double], to made: OTLPMessage) throws {
        made.clear(as: OTLPMetricKind.histogram.pointShape)
        let histogram = OTLPHistogramPoint(made)
        made.set(OTLPField.HistogramPoint.startTimeUnixNano, fixed64: point.startTimeUnixNano)
        made.set(OTLPField.HistogramPoint.timeUnixNano, fixed64: point.timeUnixNano)
        histogram.count = point.count
        histogram.sum = point.sum
        histogram.min = point.min
        histogram.max = point.max
        histogram.flags = point.flags
        point.attributes.forEach { key, value in made.attributes.set(key, to: value) }
        point.message.forEachMessage(OTLPField.ExponentialHistogramPoint.exemplars) {
            made.append(OTLPField.HistogramPoint.exemplars, message: $0)
        }
        var counts = [UInt64](repeating: 0, count: bounds.count + 1)
        for bucket in ExponentialBuckets.side(point, OTLPField.ExponentialHistogramPoint.negative) {
            add(bucket.count, -bucket.high, -bucket.low, bounds, &counts)
        }
        counts[Self.place(0, bounds)] &+= point.zeroCount
        for bucket in ExponentialBuckets.side(point, OTLPField.ExponentialHistogramPoint.positive) {
            add(bucket.count, bucket.low, bucket.high, bounds, &counts)
        }
        made.set(OTLPField.HistogramPoint.bucketCounts, packedFixed64: counts)
        made.set(OTLPField.HistogramPoint.explicitBounds, packedFixed64: bounds.map(\.bitPattern))
    }

    /// The bucket of a value: bounds belong to the bucket below.
    private static func place(_ value: Double, _ bounds: [Double]) -> Int {
        var (low, high) = (0, bounds.count)
        while low < high {
            let middle = (low + high) / 2
            if value <= bounds[middle] { high = middle } else { low = middle + 1 }
        }
        return low
    }

    private func add(_ count: UInt64, _ low: Double, _ high: Double, _ bounds: [Double], _ counts: inout [UInt64]) {
        if count == 0 { return }
        let first = Self.place(low.nextUp, bounds)
        let last = max(first, Self.place(high, bounds))
        if first == last {
            counts[first] &+= count
            return
        }
        switch self {
        case .upper: counts[last] &+= count
        case .midpoint: counts[Self.place(low + (high - low) / 2, bounds)] &+= count
        case .uniform:
            let size = UInt64(last - first + 1)
            for place in first...last {
                counts[place] &+= count / size + (UInt64(place - first) < count % size ? 1 : 0)
            }
        case .random:
            var rest = count
            for place in first..<last {
                let start = place == first ? low : bounds[place - 1]
                let wanted = Double(count) * Double.random(in: 0...1) * ((bounds[place] - start) / (high - low))
                let part = wanted < Double(rest) ? UInt64(wanted) : rest
                counts[place] &+= part
                rest -= part
            }
            counts[Int.random(in: first...last)] &+= rest
        }
    }
}
