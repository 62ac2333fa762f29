import Telemetry
import Wire

/// Metrics made of other signals: points found by metric, resource and attributes, and written as a batch.
struct MetricTally: ~Copyable {
    /// What a metric's points are.
    enum Shape: Sendable, Equatable {
        case sum(isMonotonic: Bool)
        case gauge
        /// Upper bounds, ascending.
        case histogram(bounds: [Double])
        case exponential(maximumSize: Int)
    }

    struct Metric: Sendable, Equatable {
        var name: String
        var description = ""
        var unit = ""
        var shape: Shape
        /// Otherwise cumulative.
        var isDelta = true
    }

    private struct Key: Hashable {
        var metric: Int
        var resource: Int
        var attributes: [UInt8]
    }

    private struct Point {
        var key: Key
        var number = OTLPNumber.int(0)
        var count: UInt64 = 0
        var sum = 0.0
        var buckets: [UInt64] = []
        var exponential = ExponentialHistogram()
        var lastSeen: Int64

        mutating func observe(_ value: Double, _ times: UInt64, _ bounds: [Double]) {
            count += times
            sum += value * Double(times)
            if buckets.isEmpty { buckets = [UInt64](repeating: 0, count: bounds.count + 1) }
            buckets[bounds.firstIndex { value <= $0 } ?? bounds.count] += times
        }
    }

    private let metrics: [Metric]
    private var resources: [[UInt8]] = []
    private var resourcePlaces: [[UInt8]: Int] = [:]
    private var points: [Key: Point] = [:]
    private var order: [Key] = []
    private var writer = ProtobufWriter(capacity: 2048)

    init(_ metrics: [Metric]) { self.metrics = metrics }

    var isEmpty: Bool { points.isEmpty }
    var pointCount: Int { points.count }

    /// Whether the metric has a point with these attributes.
    func has(_ metric: Int, resource: [UInt8], attributes: [UInt8]) -> Bool {
        guard let place = resourcePlaces[resource] else { return false }
        return points[Key(metric: metric, resource: place, attributes: attributes)] != nil
    }

    /// Adds to a sum, sets a gauge, or counts a value `count` times in a histogram.
    ///
    /// `resource` is a `Resource` message, `attributes` are `KeyValue` messages, each a length-delimited field 1.
    mutating func add(
        _ metric: Int, resource: [UInt8], attributes: [UInt8], _ value: OTLPNumber, count: UInt64 = 1, now: Int64 = 0
    ) {
        let place: Int
        if let known = resourcePlaces[resource] {
            place = known
        } else {
            place = resources.count
            resources.append(resource)
            resourcePlaces[resource] = place
        }
        let key = Key(metric: metric, resource: place, attributes: attributes)
        if points[key] == nil {
            points[key] = Point(key: key, lastSeen: now)
            order.append(key)
        }
        let shape = metrics[metric].shape
        points[key]?.lastSeen = now
        switch shape {
        case .sum: if let point = points[key] { points[key]?.number = point.number + value }
        case .gauge: points[key]?.number = value
        case .histogram(let bounds): points[key]?.observe(value.double, count, bounds)
        case .exponential(let size):
            points[key]?.count += count
            for _ in 0..<min(count, 100_000) { points[key]?.exponential.add(value.double, maximumSize: size) }
        }
    }

    /// Forgets points not seen since `oldest`.
    mutating func forget(notSeenSince oldest: Int64) {
        order.removeAll { key in
            guard let point = points[key], point.lastSeen < oldest else { return false }
            points[key] = nil
            return true
        }
    }

    /// The points as a batch, one metric for each resource; what was counted stays.
    mutating func batch(scope: String, start: UInt64, now: UInt64, client: OTLPClient? = nil) -> OTLPBatch {
        var assembler = OTLPAssembler(kind: .metrics)
        let message = OTLPMessage()
        for (place, resource) in resources.enumerated() {
            for (index, metric) in metrics.enumerated() {
                let own = order.filter { $0.metric == index && $0.resource == place }
                if own.isEmpty { continue }
                resource.withRawBytes { bytes in
                    guard (try? message.load(bytes, as: .resource)) != nil else { return }
                    assembler.begin(resource: message)
                }
                message.clear(as: .scope)
                message.set(OTLPField.Scope.name, string: scope)
                assembler.begin(scope: message)
                encode(metric, own, start, now)
                writer.withBytes { assembler.append(item: $0) }
            }
        }
        return assembler.finish(client: client)
    }

    private mutating func encode(_ metric: Metric, _ keys: [Key], _ start: UInt64, _ now: UInt64) {
        writer.removeAll()
        writer.field(OTLPField.Metric.name, string: metric.name)
        if !metric.description.isEmpty { writer.field(OTLPField.Metric.description, string: metric.description) }
        if !metric.unit.isEmpty { writer.field(OTLPField.Metric.unit, string: metric.unit) }
        let field: OTLPMetricKind =
            switch metric.shape {
            case .sum: .sum
            case .gauge: .gauge
            case .histogram: .histogram
            case .exponential: .exponentialHistogram
            }
        let data = writer.beginMessage(field.rawValue)
        for key in keys {
            guard let point = points[key] else { continue }
            let mark = writer.beginMessage(OTLPField.MetricData.points)
            switch metric.shape {
            case .sum, .gauge: encodeNumber(point, start, now)
            case .histogram(let bounds): encodeHistogram(point, bounds, start, now)
            case .exponential: encodeExponential(point, start, now)
            }
            writer.endMessage(mark)
        }
        if field != .gauge {
            writer.field(OTLPField.MetricData.aggregationTemporality, varint: metric.isDelta ? 1 : 2)
        }
        if case .sum(isMonotonic: true) = metric.shape { writer.field(OTLPField.MetricData.isMonotonic, bool: true) }
        writer.endMessage(data)
    }

    private mutating func encodeNumber(_ point: Point, _ start: UInt64, _ now: UInt64) {
        typealias Field = OTLPField.NumberPoint
        if start > 0 { writer.field(Field.startTimeUnixNano, fixed64: start) }
        writer.field(Field.timeUnixNano, fixed64: now)
        switch point.number {
        case .int(let value): writer.field(Field.asInt, fixed64: UInt64(bitPattern: value))
        case .double(let value): writer.field(Field.asDouble, double: value)
        }
        encodeAttributes(point, Field.attributes)
    }

    private mutating func encodeHistogram(_ point: Point, _ bounds: [Double], _ start: UInt64, _ now: UInt64) {
        typealias Field = OTLPField.HistogramPoint
        if start > 0 { writer.field(Field.startTimeUnixNano, fixed64: start) }
        writer.field(Field.timeUnixNano, fixed64: now)
        writer.field(Field.count, fixed64: point.count)
        writer.field(Field.sum, double: point.sum)
        let counts = writer.beginMessage(Field.bucketCounts)
        for count in point.buckets { writer.appendFixed64(count) }
        writer.endMessage(counts)
        let limits = writer.beginMessage(Field.explicitBounds)
        for bound in bounds { writer.appendFixed64(bound.bitPattern) }
        writer.endMessage(limits)
        encodeAttributes(point, Field.attributes)
    }

    private mutating func encodeExponential(_ point: Point, _ start: UInt64, _ now: UInt64) {
        typealias Field = OTLPField.ExponentialHistogramPoint
        let histogram = point.exponential
        encodeAttributes(point, Field.attributes)
        if start > 0 { writer.field(Field.startTimeUnixNano, fixed64: start) }
        writer.field(Field.timeUnixNano, fixed64: now)
        writer.field(Field.count, fixed64: histogram.count)
        writer.field(Field.sum, double: histogram.sum)
        writer.field(Field.scale, sint64: Int64(histogram.scale))
        writer.field(Field.zeroCount, fixed64: histogram.zeroCount)
        let positive = writer.beginMessage(Field.positive)
        writer.field(OTLPField.Buckets.offset, sint64: Int64(histogram.offset))
        let counts = writer.beginMessage(OTLPField.Buckets.counts)
        for count in histogram.counts { writer.appendVarint(count) }
        writer.endMessage(counts)
        writer.endMessage(positive)
        if histogram.count > 0 {
            writer.field(Field.min, double: histogram.minimum)
            writer.field(Field.max, double: histogram.maximum)
        }
    }

    private mutating func encodeAttributes(_ point: Point, _ field: Int) {
        point.key.attributes.withRawBytes { bytes in
            var reader = ProtobufReader(bytes)
            while let tag = try? reader.nextTag(), let pair = try? reader.bytes(tag) {
                writer.field(field, bytes: pair)
            }
        }
    }
}
