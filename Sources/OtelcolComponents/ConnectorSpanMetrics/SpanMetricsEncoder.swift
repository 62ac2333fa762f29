import Essentials
import Telemetry
import Wire

/// Makes metrics of series.
struct SpanMetricsEncoder: ~Copyable {
    private let settings: SpanMetricsSettings
    private let now: UInt64
    private let deltaStart: Int64?
    private var assembler = OTLPAssembler(kind: .metrics)
    private var writer = ProtobufWriter(capacity: 4096)

    private static let unspecified: UInt64 = 0
    private static let delta: UInt64 = 1
    private static let cumulative: UInt64 = 2

    init(_ settings: SpanMetricsSettings, now: Int64, deltaStart: Int64?) {
        self.settings = settings
        self.now = UInt64(clamping: now)
        self.deltaStart = deltaStart
    }

    mutating func append(_ group: SpanAggregator.Group) {
        let resource = OTLPMessage()
        group.resource.withUnsafeBytes { bytes in
            guard (try? resource.load(bytes, as: .resource)) != nil else { return }
            assembler.begin(resource: resource)
        }
        let scope = OTLPMessage()
        scope.clear(as: .scope)
        scope.set(OTLPField.Scope.name, string: "spanmetricsconnector")
        assembler.begin(scope: scope)
        let start = UInt64(clamping: deltaStart ?? group.started)
        appendSum("calls", group.calls, start)
        appendDurations(group.durations, start)
        appendSum("events", group.events, start)
    }

    consuming func finish() -> OTLPBatch { assembler.finish() }

    private var temporality: UInt64 { settings.temporality == .delta ? Self.delta : Self.cumulative }

    private func name(_ name: String) -> String { settings.namespace.isEmpty ? name : "\(settings.namespace).\(name)" }

    private mutating func appendSum(_ name: String, _ table: SpanSeriesTable, _ start: UInt64) {
        if table.isEmpty { return }
        writer.removeAll()
        writer.field(OTLPField.Metric.name, string: self.name(name))
        let data = writer.beginMessage(OTLPField.Metric.sum)
        for series in table.series {
            let point = writer.beginMessage(OTLPField.MetricData.points)
            writer.field(OTLPField.NumberPoint.startTimeUnixNano, fixed64: start)
            writer.field(OTLPField.NumberPoint.timeUnixNano, fixed64: now)
            appendExemplars(series, OTLPField.NumberPoint.exemplars)
            writer.field(OTLPField.NumberPoint.asInt, fixed64: series.count)
            appendAttributes(series, OTLPField.NumberPoint.attributes)
            writer.endMessage(point)
        }
        writer.field(OTLPField.MetricData.aggregationTemporality, varint: temporality)
        writer.field(OTLPField.MetricData.isMonotonic, bool: true)
        writer.endMessage(data)
        finishMetric()
    }

    private mutating func appendDurations(_ table: SpanSeriesTable, _ start: UInt64) {
        if table.isEmpty { return }
        writer.removeAll()
        writer.field(OTLPField.Metric.name, string: name("duration"))
        writer.field(OTLPField.Metric.unit, string: settings.histogram.unit.rawValue)
        let field: Int
        switch settings.histogram.shape {
        case .explicit: field = OTLPField.Metric.histogram
        case .exponential: field = OTLPField.Metric.exponentialHistogram
        case .none: return
        }
        let data = writer.beginMessage(field)
        for series in table.series {
            let point = writer.beginMessage(OTLPField.MetricData.points)
            if case .explicit(let bounds) = settings.histogram.shape {
                appendExplicit(series, bounds, start)
            } else {
                appendExponential(series, start)
            }
            writer.endMessage(point)
        }
        writer.field(OTLPField.MetricData.aggregationTemporality, varint: temporality)
        writer.endMessage(data)
        finishMetric()
    }

    private mutating func finishMetric() {
        let content = writer.bytes
        content.withUnsafeBytes { assembler.append(item: $0) }
    }

    private mutating func appendExplicit(_ series: SpanSeries, _ bounds: [Double], _ start: UInt64) {
        typealias Field = OTLPField.HistogramPoint
        writer.field(Field.startTimeUnixNano, fixed64: start)
        writer.field(Field.timeUnixNano, fixed64: now)
        writer.field(Field.count, fixed64: series.count)
        writer.field(Field.sum, double: series.sum)
        let counts = writer.beginMessage(Field.bucketCounts)
        for count in series.buckets { writer.appendFixed64(count) }
        writer.endMessage(counts)
        let limits = writer.beginMessage(Field.explicitBounds)
        for bound in bounds { writer.appendFixed64(bound.bitPattern) }
        writer.endMessage(limits)
        appendExemplars(series, Field.exemplars)
        appendAttributes(series, Field.attributes)
    }

    private mutating func appendExponential(_ series: SpanSeries, _ start: UInt64) {
        typealias Field = OTLPField.ExponentialHistogramPoint
        let histogram = series.exponential ?? ExponentialHistogram()
        appendAttributes(series, Field.attributes)
        writer.field(Field.startTimeUnixNano, fixed64: start)
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
        appendExemplars(series, Field.exemplars)
        if histogram.count > 0 {
            writer.field(Field.min, double: histogram.minimum)
            writer.field(Field.max, double: histogram.maximum)
        }
    }

    private mutating func appendExemplars(_ series: SpanSeries, _ field: Int) {
        for exemplar in series.exemplars {
            let mark = writer.beginMessage(field)
            writer.field(OTLPField.Exemplar.timeUnixNano, fixed64: now)
            writer.field(OTLPField.Exemplar.asDouble, double: exemplar.value)
            exemplar.span.withUnsafeBytes { writer.field(OTLPField.Exemplar.spanID, bytes: $0) }
            exemplar.trace.withUnsafeBytes { writer.field(OTLPField.Exemplar.traceID, bytes: $0) }
            writer.endMessage(mark)
        }
    }

    private mutating func appendAttributes(_ series: SpanSeries, _ field: Int) {
        series.attributes.withUnsafeBytes { bytes in
            var reader = ProtobufReader(bytes)
            while let tag = try? reader.nextTag(), let pair = try? reader.bytes(tag) {
                writer.field(field, bytes: pair)
            }
        }
    }
}
