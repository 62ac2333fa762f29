import TextFormats
import Wire

extension Functions {
    private static let temporality = Parameter("aggregation_temporality", .string)
    private static let monotony = Parameter("is_monotonic", .bool)
    private static let suffix = Parameter("suffix", .string, optional: true)

    /// Editors of metrics.
    static let metricEditors: [Editor] = [
        Editor("convert_sum_to_gauge", [], in: [.metric]) { _ in
            { frame in
                guard frame.metricKind == .sum else { return }
                frame.metricKind = .gauge
                frame.data.remove(OTLPField.MetricData.aggregationTemporality)
                frame.data.remove(OTLPField.MetricData.isMonotonic)
            }
        },
        Editor("convert_gauge_to_sum", [temporality, monotony], in: [.metric]) { arguments in
            let temporality = try temporalityNumber(arguments, 0)
            let isMonotonic = arguments.bool(1) ?? false
            return { frame in
                guard frame.metricKind == .gauge else { return }
                frame.metricKind = .sum
                frame.data.set(OTLPField.MetricData.aggregationTemporality, varint: temporality)
                frame.data.set(OTLPField.MetricData.isMonotonic, bool: isMonotonic)
            }
        },
        Editor("extract_count_metric", [monotony, suffix], in: [.metric]) { arguments in
            let isMonotonic = arguments.bool(0) ?? false
            let suffix = arguments.string(1) ?? "_count"
            return { frame in
                guard frame.metricKind != .gauge, frame.metricKind != .sum, frame.metricKind != nil else {
                    throw OTTLError("extract_count_metric: the metric is no histogram or summary")
                }
                // A count has no unit, whatever the values have.
                try MetricMaking.sum(frame, suffix, frame.ownTemporality, isMonotonic, unit: "1") { point in
                    .int(Int64(bitPattern: point.fixed64(OTLPField.HistogramPoint.count)))
                }
            }
        },
        Editor("extract_sum_metric", [monotony, suffix], in: [.metric]) { arguments in
            let isMonotonic = arguments.bool(0) ?? false
            let suffix = arguments.string(1) ?? "_sum"
            return { frame in
                guard frame.metricKind != .gauge, frame.metricKind != .sum, frame.metricKind != nil else {
                    throw OTTLError("extract_sum_metric: the metric is no histogram or summary")
                }
                let isSummary = frame.metricKind == .summary
                try MetricMaking.sum(frame, suffix, frame.ownTemporality, isMonotonic) { point in
                    guard isSummary || point.has(OTLPField.HistogramPoint.sum) else { return nil }
                    return .double(point.double(OTLPField.HistogramPoint.sum))
                }
            }
        },
        Editor("convert_summary_count_val_to_sum", [temporality, monotony, suffix], in: [.metric, .datapoint]) {
            arguments in
            let temporality = try temporalityNumber(arguments, 0)
            let isMonotonic = arguments.bool(1) ?? false
            let suffix = arguments.string(2) ?? "_count"
            return { frame in
                guard frame.metricKind == .summary else { return }
                try MetricMaking.sum(frame, suffix, temporality, isMonotonic) { point in
                    .int(Int64(bitPattern: point.fixed64(OTLPField.SummaryPoint.count)))
                }
            }
        },
        Editor("convert_summary_sum_val_to_sum", [temporality, monotony, suffix], in: [.metric, .datapoint]) {
            arguments in
            let temporality = try temporalityNumber(arguments, 0)
            let isMonotonic = arguments.bool(1) ?? false
            let suffix = arguments.string(2) ?? "_sum"
            return { frame in
                guard frame.metricKind == .summary else { return }
                try MetricMaking.sum(frame, suffix, temporality, isMonotonic) { point in
                    .double(point.double(OTLPField.SummaryPoint.sum))
                }
            }
        },
        Editor(
            "convert_summary_quantile_val_to_gauge", [Parameter("attribute_key", .string, optional: true), suffix],
            in: [.metric]
        ) { arguments in
            let key = OTLPKey(arguments.string(0) ?? "quantile")
            let suffix = arguments.string(1) ?? ".quantiles"
            return { frame in try MetricMaking.quantiles(frame, key, suffix) }
        },
        Editor(
            "copy_metric",
            [
                Parameter.text("name").optional, Parameter.text("description").optional,
                Parameter.text("unit").optional,
            ], in: [.metric]
        ) { arguments in
            let fields = [OTLPField.Metric.name, OTLPField.Metric.description, OTLPField.Metric.unit]
            let values = (0..<3).map { arguments.isPresent($0) ? arguments.value($0) : nil }
            return { frame in
                let copy = OTLPMessage()
                let content = frame.encodedMetric()
                try content.withRawBytes { bytes in
                    try copy.load(bytes, as: .metric)
                    for (place, value) in values.enumerated() {
                        guard let value else { continue }
                        let text = try value.evaluate(frame).requireText(arguments.what(place))
                        text.withRawBytes { copy.set(fields[place], bytes: $0) }
                    }
                    frame.made.append(copy.encoded)
                }
            }
        },
        Editor(
            "scale_metric", [Parameter("factor", .double), Parameter("unit", .string, optional: true)], in: [.metric]
        ) { arguments in
            let factor = arguments.double(0) ?? 1
            let unit = arguments.string(1)
            return { frame in
                guard frame.metricKind != .exponentialHistogram else {
                    throw OTTLError("scale_metric: exponential histograms cannot be scaled")
                }
                if let unit { frame.item.set(OTLPField.Metric.unit, string: unit) }
                try MetricPoints.edit(frame) { MetricPoints.scale($0, by: factor, frame.metricKind) }
            }
        },
        Editor(
            "aggregate_on_attributes",
            [Parameter("function", .string), Parameter("attributes", .strings, optional: true)], in: [.metric]
        ) { arguments in
            let aggregation = try aggregation(arguments)
            let kept = arguments.strings(1).map { Set($0.map { OTLPKey($0) }) }
            return { frame in
                try aggregation.run(frame) { attributes in
                    if let kept { attributes.filter { key, _ in kept.contains(OTLPKey(key)) } }
                }
            }
        },
        Editor(
            "aggregate_on_attribute_value",
            [
                Parameter("function", .string), Parameter("attribute", .string), Parameter("values", .strings),
                Parameter("new_value", .string),
            ], in: [.metric]
        ) { arguments in
            let aggregation = try aggregation(arguments)
            let key = OTLPKey(arguments.string(1) ?? "")
            let values = Set((arguments.strings(2) ?? []).map { OTLPKey($0) })
            let replacement = arguments.string(3) ?? ""
            if values.isEmpty { throw arguments.error(2, "must name one value at least") }
            return { frame in
                try aggregation.run(frame) { attributes in
                    guard let text = attributes[key]?.stringBytes, values.contains(OTLPKey(text)) else { return }
                    attributes.set(key, to: replacement)
                }
            }
        },
        Editor(
            "merge_histogram_buckets",
            [Parameter("target_value", .double), Parameter("method", .string, optional: true)],
            in: [.metric, .datapoint]
        ) { arguments in
            let value = arguments.double(0) ?? 0
            let method = arguments.string(1) ?? "remove_explicit_bound"
            switch method {
            case "remove_explicit_bound": break
            case "limit_buckets":
                guard value >= 1, value == value.rounded(), value < 1e9 else {
                    throw arguments.error(0, "must be a positive int for limit_buckets")
                }
            default: throw arguments.error(1, "must be \"remove_explicit_bound\" or \"limit_buckets\"")
            }
            let isLimit = method == "limit_buckets"
            return { frame in
                guard frame.metricKind == .histogram else { return }
                try MetricPoints.edit(frame) { point in
                    if isLimit {
                        Buckets.limit(point, to: Int(value))
                    } else {
                        Buckets.remove(value, from: point)
                    }
                }
            }
        },
    ]

    private static func temporalityNumber(_ arguments: Arguments, _ index: Int) throws -> UInt64 {
        switch arguments.string(index) {
        case "delta": return 1
        case "cumulative": return 2
        default: throw arguments.error(index, "must be \"delta\" or \"cumulative\"")
        }
    }

    private static func aggregation(_ arguments: Arguments) throws -> Aggregation {
        guard let function = Aggregation.Function(rawValue: arguments.string(0) ?? "") else {
            throw arguments.error(0, "must be \"sum\", \"max\", \"min\", \"mean\", \"median\" or \"count\"")
        }
        return Aggregation(function: function)
    }
}

extension OTTLFrame {
    /// The metric's temporality; that of summaries is cumulative.
    var ownTemporality: UInt64 {
        metricKind == .summary ? 2 : data.varint(OTLPField.MetricData.aggregationTemporality)
    }

    /// Calls `body` with each point the statement is about: all of the metric's, or the one of the datapoint context.
    func forEachPoint(_ body: (OTLPMessage) throws -> Void) throws {
        guard let metricKind else { return }
        if isAtPoint { return try body(point) }
        let message = OTLPMessage()
        try data.forEachMessage(OTLPField.MetricData.points) { content in
            try message.load(content, as: metricKind.pointShape)
            try body(message)
        }
    }
}

/// Making metrics from others.
enum MetricMaking {
    /// Adds a sum with a number for each point that gives one.
    static func sum(
        _ frame: OTTLFrame, _ suffix: String, _ temporality: UInt64, _ isMonotonic: Bool, unit: String? = nil,
        _ value: (OTLPMessage) -> OTLPNumber?
    ) throws {
        let data = OTLPMessage()
        data.clear(as: .metricData)
        data.set(OTLPField.MetricData.aggregationTemporality, varint: temporality)
        data.set(OTLPField.MetricData.isMonotonic, bool: isMonotonic)
        var count = 0
        let made = OTLPMessage()
        try frame.forEachPoint { point in
            guard let number = value(point) else { return }
            copy(point, to: made)
            OTLPNumberPoint(made).value = number
            made.encoded.withRawBytes { data.append(OTLPField.MetricData.points, message: $0) }
            count += 1
        }
        if count > 0 { add(frame, suffix, .sum, data, unit: unit) }
    }

    static func quantiles(_ frame: OTTLFrame, _ key: OTLPKey, _ suffix: String) throws {
        guard frame.metricKind == .summary else { return }
        let data = OTLPMessage()
        data.clear(as: .metricData)
        var count = 0
        let made = OTLPMessage()
        try frame.forEachPoint { point in
            OTLPSummaryPoint(point).forEachQuantile { quantile, value in
                copy(point, to: made)
                made.attributes.set(key, to: GoNumber.formatFloat(quantile, "f", precision: -1))
                OTLPNumberPoint(made).value = .double(value)
                made.encoded.withRawBytes { data.append(OTLPField.MetricData.points, message: $0) }
                count += 1
            }
        }
        if count > 0 { add(frame, suffix, .gauge, data, unit: nil) }
    }

    /// Adds a gauge with a number for each point that gives one.
    static func gauge(
        _ frame: OTTLFrame, _ suffix: String, description: String, _ value: (OTLPMessage) throws -> Double?
    ) throws {
        let data = OTLPMessage()
        data.clear(as: .metricData)
        var count = 0
        let made = OTLPMessage()
        try frame.forEachPoint { point in
            guard let number = try value(point) else { return }
            copy(point, to: made)
            OTLPNumberPoint(made).value = .double(number)
            made.encoded.withRawBytes { data.append(OTLPField.MetricData.points, message: $0) }
            count += 1
        }
        if count > 0 { add(frame, suffix, .gauge, data, unit: nil, description: description) }
    }

    /// A number point with the times and attributes of any other.
    private static func copy(_ point: OTLPMessage, to made: OTLPMessage) {
        made.clear(as: .numberPoint)
        for field in [OTLPField.NumberPoint.startTimeUnixNano, OTLPField.NumberPoint.timeUnixNano] {
            made.set(field, fixed64: point.fixed64(field))
        }
        point.attributes.forEach { key, value in made.attributes.set(key, to: value) }
    }

    private static func add(
        _ frame: OTTLFrame, _ suffix: String, _ kind: OTLPMetricKind, _ data: OTLPMessage, unit: String?,
        description: String? = nil
    ) {
        let metric = OTLPMessage()
        metric.clear(as: .metric)
        let name = Array(frame.item.bytes(OTLPField.Metric.name)) + Array(suffix.utf8)
        name.withRawBytes { metric.set(OTLPField.Metric.name, bytes: $0) }
        metric.set(OTLPField.Metric.description, bytes: frame.item.bytes(OTLPField.Metric.description))
        metric.set(OTLPField.Metric.unit, bytes: frame.item.bytes(OTLPField.Metric.unit))
        if let unit { metric.set(OTLPField.Metric.unit, string: unit) }
        if let description { metric.set(OTLPField.Metric.description, string: description) }
        data.encoded.withRawBytes { metric.set(kind.rawValue, message: $0) }
        frame.made.append(metric.encoded)
    }
}

/// Changing the points of a metric.
enum MetricPoints {
    /// Calls `body` with each point; what it changes is changed.
    static func edit(_ frame: OTTLFrame, _ body: (OTLPMessage) -> Void) throws {
        if frame.isAtPoint { return body(frame.point) }
        var contents: [[UInt8]] = []
        var hasChanges = false
        try frame.forEachPoint { point in
            body(point)
            hasChanges = hasChanges || point.isEdited
            contents.append(point.encoded)
        }
        if hasChanges { replace(frame, with: contents) }
    }

    static func replace(_ frame: OTTLFrame, with contents: [[UInt8]]) {
        frame.data.remove(OTLPField.MetricData.points)
        for content in contents { content.withRawBytes { frame.data.append(OTLPField.MetricData.points, message: $0) } }
    }

    static func scale(_ point: OTLPMessage, by factor: Double, _ kind: OTLPMetricKind?) {
        switch kind {
        case .gauge, .sum:
            let number = OTLPNumberPoint(point)
            switch number.value {
            case .int(let value)?:
                let scaled = (Double(value) * factor).rounded(.towardZero)
                number.value = .int(Int64(exactly: scaled) ?? (scaled < 0 ? .min : .max))
            case .double(let value)?: number.value = .double(value * factor)
            case nil: break
            }
        case .histogram:
            let histogram = OTLPHistogramPoint(point)
            if let sum = histogram.sum { histogram.sum = sum * factor }
            if let min = histogram.min { histogram.min = min * factor }
            if let max = histogram.max { histogram.max = max * factor }
            var bounds: [UInt64] = []
            histogram.forEachBound { bounds.append(($0 * factor).bitPattern) }
            point.set(OTLPField.HistogramPoint.explicitBounds, packedFixed64: bounds)
        case .summary:
            let summary = OTLPSummaryPoint(point)
            summary.sum *= factor
            var quantiles: [(Double, Double)] = []
            summary.forEachQuantile { quantiles.append(($0, $1 * factor)) }
            point.remove(OTLPField.SummaryPoint.quantiles)
            let message = OTLPMessage()
            for (quantile, value) in quantiles {
                message.clear(as: .other)
                message.set(OTLPField.Quantile.quantile, double: quantile)
                message.set(OTLPField.Quantile.value, double: value)
                message.encoded.withRawBytes { point.append(OTLPField.SummaryPoint.quantiles, message: $0) }
            }
        case .exponentialHistogram, nil: break
        }
    }
}

/// Merging the buckets of histograms.
private enum Buckets {
    private static func read(_ point: OTLPMessage) -> (bounds: [Double], counts: [UInt64])? {
        var bounds: [Double] = []
        var counts: [UInt64] = []
        OTLPHistogramPoint(point).forEachBound { bounds.append($0) }
        OTLPHistogramPoint(point).forEachBucketCount { counts.append($0) }
        return counts.count == bounds.count + 1 && !bounds.isEmpty ? (bounds, counts) : nil
    }

    private static func write(_ bounds: [Double], _ counts: [UInt64], to point: OTLPMessage) {
        point.set(OTLPField.HistogramPoint.explicitBounds, packedFixed64: bounds.map(\.bitPattern))
        point.set(OTLPField.HistogramPoint.bucketCounts, packedFixed64: counts)
    }

    static func remove(_ bound: Double, from point: OTLPMessage) {
        guard var (bounds, counts) = read(point), let place = bounds.firstIndex(where: { abs($0 - bound) < 1e-12 })
        else {
            return
        }
        bounds.remove(at: place)
        counts[place] = counts[place] &+ counts[place + 1]
        counts.remove(at: place + 1)
        write(bounds, counts, to: point)
    }

    static func limit(_ point: OTLPMessage, to limit: Int) {
        guard let (bounds, counts) = read(point), counts.count > limit,
            zip(bounds, bounds.dropFirst()).allSatisfy({ $0 < $1 })
        else { return }
        let size = (counts.count + limit - 1) / limit
        var merged: [UInt64] = []
        var kept: [Double] = []
        for start in stride(from: 0, to: counts.count, by: size) {
            let end = min(start + size, counts.count)
            merged.append(counts[start..<end].reduce(0, &+))
            if end < counts.count { kept.append(bounds[end - 1]) }
        }
        write(kept, merged, to: point)
    }
}
