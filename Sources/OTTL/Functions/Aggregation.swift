import Wire

/// Bringing data points of a metric with equal attributes together.
struct Aggregation: Sendable {
    enum Function: String, Sendable {
        case sum, max, min, mean, median, count
    }

    let function: Function

    /// Changes the attributes of every point by `change` and merges the points that are alike then.
    func run(_ frame: OTTLFrame, _ change: (OTLPAttributes) -> Void) throws {
        guard let kind = frame.metricKind else { return }
        switch kind {
        case .gauge, .sum: break
        case .histogram, .exponentialHistogram:
            guard function == .sum else {
                throw OTTLError("histograms can be aggregated by \"sum\" only, not by \"\(function.rawValue)\"")
            }
        case .summary: throw OTTLError("summaries cannot be aggregated")
        }
        let isDelta = frame.data.varint(OTLPField.MetricData.aggregationTemporality) == 1
        var places: [[UInt8]: Int] = [:]
        var groups: [[[UInt8]]] = []
        try frame.forEachPoint { point in
            change(point.attributes)
            let key = Self.key(of: point, kind, withStart: isDelta && kind != .gauge)
            if let place = places[key] {
                groups[place].append(point.encoded)
            } else {
                places[key] = groups.count
                groups.append([point.encoded])
            }
        }
        var contents: [[UInt8]] = []
        for group in groups { contents.append(try merged(group, kind)) }
        MetricPoints.replace(frame, with: contents)
    }

    /// What points must have in common to be merged.
    private static func key(of point: OTLPMessage, _ kind: OTLPMetricKind, withStart: Bool) -> [UInt8] {
        var map = point.attributes.map
        map = OTLPAnyValue.Map(unique: map.entries.sorted { $0.key.lexicographicallyPrecedes($1.key) })
        var writer = ProtobufWriter(capacity: 128)
        map.encode(field: 1, into: &writer)
        writer.appendFixed64(point.fixed64(OTLPField.NumberPoint.timeUnixNano))
        if withStart { writer.appendFixed64(point.fixed64(OTLPField.NumberPoint.startTimeUnixNano)) }
        switch kind {
        case .histogram: OTLPHistogramPoint(point).forEachBound { writer.appendFixed64($0.bitPattern) }
        case .exponentialHistogram:
            let histogram = OTLPExponentialHistogramPoint(point)
            writer.appendFixed64(UInt64(bitPattern: Int64(histogram.scale)))
            for side in [OTLPField.ExponentialHistogramPoint.positive, OTLPField.ExponentialHistogramPoint.negative] {
                writer.appendByte(point.has(side) ? 1 : 0)
                histogram.buckets(side) { offset, _ in writer.appendFixed64(UInt64(bitPattern: Int64(offset))) }
            }
        case .gauge, .sum, .summary: break
        }
        return writer.bytes
    }

    private func merged(_ group: [[UInt8]], _ kind: OTLPMetricKind) throws -> [UInt8] {
        guard group.count > 1 || function == .count else { return group[0] }
        let first = OTLPMessage()
        let other = OTLPMessage()
        return try group[0].withRawBytes { content in
            try first.load(content, as: kind.pointShape)
            var start = first.fixed64(OTLPField.NumberPoint.startTimeUnixNano)
            var numbers: [OTLPNumber] = []
            if kind == .gauge || kind == .sum, let value = OTLPNumberPoint(first).value { numbers.append(value) }
            for bytes in group.dropFirst() {
                try bytes.withRawBytes { content in
                    try other.load(content, as: kind.pointShape)
                    start = Swift.min(start, other.fixed64(OTLPField.NumberPoint.startTimeUnixNano))
                    switch kind {
                    case .gauge, .sum:
                        if let value = OTLPNumberPoint(other).value { numbers.append(value) }
                    case .histogram: Self.add(OTLPHistogramPoint(other), to: OTLPHistogramPoint(first))
                    case .exponentialHistogram:
                        Self.add(OTLPExponentialHistogramPoint(other), to: OTLPExponentialHistogramPoint(first))
                    case .summary: break
                    }
                }
            }
            first.set(OTLPField.NumberPoint.startTimeUnixNano, fixed64: start)
            if !numbers.isEmpty { OTLPNumberPoint(first).value = result(numbers) }
            return first.encoded
        }
    }

    private func result(_ numbers: [OTLPNumber]) -> OTLPNumber {
        if function == .count { return .int(Int64(numbers.count)) }
        var integers: [Int64] = []
        for number in numbers { if case .int(let value) = number { integers.append(value) } }
        guard integers.count == numbers.count else { return .double(result(numbers.map(\.double))) }
        switch function {
        case .sum, .count: return .int(integers.reduce(0, &+))
        case .max: return .int(integers.max() ?? 0)
        case .min: return .int(integers.min() ?? 0)
        case .mean: return .int(integers.reduce(0, &+) / Int64(integers.count))
        case .median:
            integers.sort()
            let middle = integers.count / 2
            if integers.count % 2 == 1 { return .int(integers[middle]) }
            return .int((integers[middle - 1] &+ integers[middle]) / 2)
        }
    }

    private func result(_ numbers: [Double]) -> Double {
        switch function {
        case .sum, .count: return numbers.reduce(0, +)
        case .max: return numbers.max() ?? 0
        case .min: return numbers.min() ?? 0
        case .mean: return numbers.reduce(0, +) / Double(numbers.count)
        case .median:
            let sorted = numbers.sorted()
            let middle = sorted.count / 2
            return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
        }
    }

    private static func add(_ point: OTLPHistogramPoint, to total: OTLPHistogramPoint) {
        total.count = total.count &+ point.count
        if let sum = point.sum { total.sum = (total.sum ?? 0) + sum }
        if let low = point.min { total.min = Swift.min(total.min ?? low, low) }
        if let high = point.max { total.max = Swift.max(total.max ?? high, high) }
        var counts: [UInt64] = []
        total.forEachBucketCount { counts.append($0) }
        var index = 0
        point.forEachBucketCount { count in
            if index < counts.count { counts[index] = counts[index] &+ count } else { counts.append(count) }
            index += 1
        }
        total.message.set(OTLPField.HistogramPoint.bucketCounts, packedFixed64: counts)
    }

    private static func add(_ point: OTLPExponentialHistogramPoint, to total: OTLPExponentialHistogramPoint) {
        total.count = total.count &+ point.count
        total.zeroCount = total.zeroCount &+ point.zeroCount
        if let sum = point.sum { total.sum = (total.sum ?? 0) + sum }
        if let low = point.min { total.min = Swift.min(total.min ?? low, low) }
        if let high = point.max { total.max = Swift.max(total.max ?? high, high) }
        for side in [OTLPField.ExponentialHistogramPoint.positive, OTLPField.ExponentialHistogramPoint.negative] {
            var counts: [UInt64] = []
            total.buckets(side) { _, buckets in buckets.forEachVarint(OTLPField.Buckets.counts) { counts.append($0) } }
            point.buckets(side) { _, buckets in
                var index = 0
                buckets.forEachVarint(OTLPField.Buckets.counts) { count in
                    if index < counts.count { counts[index] = counts[index] &+ count } else { counts.append(count) }
                    index += 1
                }
            }
            total.buckets(side) { _, buckets in
                buckets.set(OTLPField.Buckets.counts, packedVarints: counts)
                buckets.encoded.withRawBytes { total.message.set(side, message: $0) }
            }
        }
    }
}
