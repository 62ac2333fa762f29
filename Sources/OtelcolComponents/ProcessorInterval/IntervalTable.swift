import Telemetry
import Wire

/// The points that are to be sent at the end of an interval, one of each stream.
struct IntervalTable: ~Copyable {
    /// A metric with its points, and the resource and scope it belongs to.
    private struct Metric {
        var resource: [UInt8]
        var resourceSchema: [UInt8]
        var scope: [UInt8]
        var scopeSchema: [UInt8]
        /// The fields of the metric but its points.
        var header: [UInt8]
        /// The fields of what holds the points, but the points.
        var data: [UInt8]
        var kind: OTLPMetricKind
        var points: [StreamID] = []
    }

    private struct Point {
        var content: [UInt8]
        var start: UInt64
        var time: UInt64
        /// The sum so far; nil where the last point counts.
        var total: PointValue?
    }

    /// Bytes of a point besides its content.
    private static let overhead = 120

    private var metrics: [Metric] = []
    private var places: [StreamID: Int] = [:]
    private var points: [StreamID: Point] = [:]
    /// Bytes held, about.
    private(set) var bytes = 0

    /// Points held.
    var count: Int { points.count }

    /// Takes the points in; what is to be sent on at once is returned.
    mutating func add(
        _ batch: OTLPBatch, _ passthrough: OtelcolProcessorInterval.Passthrough
    ) throws -> OTLPBatch {
        let walker = OTLPWalker()
        var identity = StreamIdentity()
        var place: Int?
        return try walker.edit(batch, to: .point) { level in
            identity.begin(level, walker)
            switch level {
            case .resource, .scope: return .keep
            case .item:
                place = nil
                return Self.isGathered(walker, passthrough) ? .keep : .skip
            case .point:
                let metric: Int
                if let place { metric = place } else { metric = self.metric(identity.metric, walker) }
                place = metric
                add(identity.stream(of: walker), walker, to: metric)
                return .drop
            }
        }
    }

    private static func isGathered(
        _ walker: OTLPWalker, _ passthrough: OtelcolProcessorInterval.Passthrough
    ) -> Bool {
        let hasTemporality = (1...2).contains(walker.metric.aggregationTemporality)
        switch walker.metricKind {
        case .gauge: return !passthrough.gauge
        case .summary: return !passthrough.summary
        case .sum: return walker.metric.isMonotonic && hasTemporality
        case .histogram, .exponentialHistogram: return hasTemporality
        case nil: return false
        }
    }

    private mutating func metric(_ id: StreamID, _ walker: OTLPWalker) -> Int {
        if let place = places[id] { return place }
        let header = OTLPMessage()
        let metric = walker.item.encoded
        let data = walker.data.encoded
        var fields = ProtobufWriter(capacity: 256)
        metric.withRawBytes { Self.copy($0, to: &fields) { $0 != walker.metricKind?.rawValue } }
        header.clear(as: .metric)
        var inner = ProtobufWriter(capacity: 64)
        data.withRawBytes { Self.copy($0, to: &inner) { $0 != OTLPField.MetricData.points } }
        let entry = Metric(
            resource: walker.resource.encoded,
            resourceSchema: Array(walker.resourceGroup.bytes(OTLPField.ResourceGroup.schemaURL)),
            scope: walker.scope.encoded,
            scopeSchema: Array(walker.scopeGroup.bytes(OTLPField.ScopeGroup.schemaURL)), header: fields.bytes,
            data: inner.bytes, kind: walker.metricKind ?? .gauge)
        bytes += Self.overhead + entry.resource.count + entry.scope.count + entry.header.count
        metrics.append(entry)
        places[id] = metrics.count - 1
        return metrics.count - 1
    }

    /// Copies the fields whose numbers are wanted.
    private static func copy(
        _ content: UnsafeRawBufferPointer, to writer: inout ProtobufWriter, _ isWanted: (Int) -> Bool
    ) {
        var reader = ProtobufReader(content)
        while true {
            let start = reader.position
            guard let tag = try? reader.nextTag(), (try? reader.skip(tag)) != nil else { return }
            if isWanted(tag.field) {
                writer.append(UnsafeRawBufferPointer(rebasing: content[start..<reader.position]))
            }
        }
    }

    private mutating func add(_ id: StreamID, _ walker: OTLPWalker, to place: Int) {
        let times = PointTimes(walker)
        let isDelta = walker.metric.aggregationTemporality == 1 && metrics[place].kind != .gauge
        guard var known = points[id] else {
            let point = Point(
                content: walker.point.encoded, start: times.start, time: times.time,
                total: isDelta ? PointValue(walker) : nil)
            bytes += Self.overhead + point.content.count
            points[id] = point
            metrics[place].points.append(id)
            return
        }
        bytes -= known.content.count
        if isDelta, let value = PointValue(walker) {
            if known.total == nil { known.total = value } else { known.total?.add(value) }
            // The later point lends its other fields.
            let isNewer = times.time > known.time
            if known.start == 0 || times.start < known.start { known.start = times.start }
            known.time = max(known.time, times.time)
            known.total?.write(to: walker.point)
            times.start = known.start
            times.time = known.time
            if isNewer || known.total != nil { known.content = walker.point.encoded }
        } else if times.time > known.time {
            known = Point(content: walker.point.encoded, start: times.start, time: times.time)
        }
        bytes += known.content.count
        points[id] = known
    }

    /// The batch of everything gathered; the table is empty again.
    mutating func finish() -> OTLPBatch {
        var assembler = OTLPAssembler(kind: .metrics)
        let (resource, scope) = (OTLPMessage(), OTLPMessage())
        var writer = ProtobufWriter(capacity: 4096)
        for metric in metrics {
            metric.resource.withRawBytes { content in
                // What was read once can be read again.
                guard (try? resource.load(content, as: .resource)) != nil else { return }
                metric.resourceSchema.withRawBytes { assembler.begin(resource: resource, schemaURL: $0) }
            }
            metric.scope.withRawBytes { content in
                guard (try? scope.load(content, as: .scope)) != nil else { return }
                metric.scopeSchema.withRawBytes { assembler.begin(scope: scope, schemaURL: $0) }
            }
            writer.removeAll()
            metric.header.withRawBytes { writer.append($0) }
            let data = writer.beginMessage(metric.kind.rawValue)
            for id in metric.points {
                guard let point = points[id] else { continue }
                point.content.withRawBytes { writer.field(OTLPField.MetricData.points, bytes: $0) }
            }
            metric.data.withRawBytes { writer.append($0) }
            writer.endMessage(data)
            writer.withBytes { assembler.append(item: $0) }
        }
        self = IntervalTable()
        return assembler.finish()
    }
}
