package import Telemetry
import TextFormats

/// Makes metrics of lines, by the schemas that Telegraf writes for metrics of Prometheus, or a gauge of each field.
///
/// influxdata/influxdb-observability, "telegraf-prometheus-v1" (a line is a metric, its fields are `gauge`, `counter`, or
/// `count`, `sum` and bounds) and "telegraf-prometheus-v2" (the measurement is `prometheus`, fields are metrics, `le` and
/// `quantile` are tags).
package struct InfluxMetrics: ~Copyable {
    private enum Kind: Int { case gauge = 5, sum = 7, histogram = 9, summary = 11 }

    private struct MetricKey: Hashable {
        var resource: OTLPAnyValue.Map
        var scope: String
        var version: String
        var name: String
        var kind: Kind
        var isDelta: Bool
    }

    private struct PointKey: Hashable {
        var metric: Int
        var attributes: OTLPAnyValue.Map
        var time: UInt64
    }

    private struct Distribution {
        var count: UInt64 = 0
        var sum = 0.0
        /// Cumulative counts by bound, or values by quantile.
        var steps: [(at: Double, value: Double)] = []
    }

    private struct Metric {
        var key: MetricKey
        /// Encoded points of gauges and sums.
        var points = [UInt8]()
        var pointCount = 0
        var distributions: [PointKey] = []
    }

    private var metrics: [Metric] = []
    private var places: [MetricKey: Int] = [:]
    private var distributions: [PointKey: Distribution] = [:]
    /// Base names of which a quantile has been seen.
    private var summaries: Set<String> = []
    private var writer = ProtobufWriter(capacity: 512)

    package init() {}

    /// Adds the fields of a line; `time` is in nanoseconds since 1970. Returns how many fields are no numbers and so no
    /// metrics.
    package mutating func append(_ line: InfluxLine, at time: UInt64) -> Int {
        if line.measurement == "prometheus", appendPrometheus2(line, time) { return 0 }
        let isTiming = line.tags.contains { $0.key == "metric_type" && $0.value == "timing" }
        if line.measurement != "prometheus", !isTiming, appendPrometheus1(line, time) { return 0 }
        return appendFields(line, time)
    }

    // MARK: Schemas

    private mutating func appendPrometheus1(_ line: InfluxLine, _ time: UInt64) -> Bool {
        let fields = line.fields.filter { $0.key != "start_time" }
        if fields.count == 1, let field = fields.first, field.value.double != nil,
            field.key == "gauge" || field.key == "counter"
        {
            appendNumber(line, line.measurement, field.key == "gauge" ? .gauge : .sum, field.value, time)
            return true
        }
        guard let count = fields.first(where: { $0.key == "count" })?.value.double,
            let sum = fields.first(where: { $0.key == "sum" })?.value.double
        else { return false }
        let place = place(line, line.measurement, .histogram, attributes: { _ in true }, time)
        update(place) { distribution in
            distribution.count = Self.count(count)
            distribution.sum = sum
            for field in fields {
                if let bound = GoNumber.parseFloat(field.key), let value = field.value.double {
                    distribution.steps.append((bound, value))
                }
            }
        }
        return true
    }

    private mutating func appendPrometheus2(_ line: InfluxLine, _ time: UInt64) -> Bool {
        let bound = line.tags.first { $0.key == "le" }.flatMap { GoNumber.parseFloat($0.value) }
        let quantile = line.tags.first { $0.key == "quantile" }.flatMap { GoNumber.parseFloat($0.value) }
        let isKnown = line.fields.allSatisfy { field in
            bound != nil || quantile != nil || field.key.hasSuffix("_sum") || field.key.hasSuffix("_count")
        }
        guard isKnown else { return false }
        for field in line.fields {
            guard let value = field.value.double else { continue }
            let suffix = ["_bucket", "_count", "_sum"].first { field.key.hasSuffix($0) }
            let name = suffix.map { String(field.key.dropLast($0.count)) } ?? field.key
            if quantile != nil { summaries.insert(name) }
            let kind: Kind = summaries.contains(name) ? .summary : .histogram
            let place = place(line, name, kind, attributes: { $0 != "le" && $0 != "quantile" }, time)
            update(place) { distribution in
                switch suffix {
                case "_count": distribution.count = Self.count(value)
                case "_sum": distribution.sum = value
                default: if let step = bound ?? quantile { distribution.steps.append((step, value)) }
                }
            }
        }
        return true
    }

    private mutating func appendFields(_ line: InfluxLine, _ time: UInt64) -> Int {
        var others = 0
        for field in line.fields where field.key != "start_time" {
            if field.value.double == nil {
                others += 1
            } else {
                appendNumber(line, "\(line.measurement)_\(field.key)", .gauge, field.value, time)
            }
        }
        return others
    }

    // MARK: Points

    private mutating func metric(_ line: InfluxLine, _ name: String, _ kind: Kind) -> Int {
        var resource = AttributeTable()
        var key = MetricKey(
            resource: OTLPAnyValue.Map(), scope: "", version: "", name: name, kind: kind, isDelta: false)
        for tag in line.tags {
            switch tag.key {
            case "otel.library.name": key.scope = tag.value
            case "otel.library.version": key.version = tag.value
            case "temporality" where tag.value == "delta": key.isDelta = true
            case let name where Self.isResource(name): resource[name] = .string(tag.value)
            default: break
            }
        }
        key.resource = resource.map
        if let place = places[key] { return place }
        metrics.append(Metric(key: key))
        places[key] = metrics.count - 1
        return metrics.count - 1
    }

    /// Whether the semantic conventions say that the attribute belongs to a resource.
    private static func isResource(_ name: String) -> Bool {
        let prefixes = [
            "service.", "telemetry.", "container.", "process.", "host.", "os.", "cloud.", "deployment.", "k8s.", "aws.",
            "gcp.", "azure.", "faas.", "browser.", "device.", "webengine.", "heroku.",
        ]
        return prefixes.contains { name.hasPrefix($0) }
    }

    private static func attributes(_ line: InfluxLine, _ isIncluded: (String) -> Bool) -> OTLPAnyValue.Map {
        var table = AttributeTable()
        for tag in line.tags where isIncluded(tag.key) && !isResource(tag.key) {
            let isOwn =
                tag.key == "otel.library.name" || tag.key == "otel.library.version" || tag.key == "start_time"
                || (tag.key == "temporality" && tag.value == "delta")
            if !isOwn { table[tag.key] = .string(tag.value) }
        }
        return table.map
    }

    private static let rfc3339 = GoTimeLayout("2006-01-02T15:04:05Z07:00")

    private static func startTime(_ line: InfluxLine) -> UInt64 {
        guard case .string(let text)? = line.fields.first(where: { $0.key == "start_time" })?.value,
            let time = (try? rfc3339.parse(text))?.unixNanoseconds
        else { return 0 }
        return UInt64(clamping: time)
    }

    private mutating func appendNumber(
        _ line: InfluxLine, _ name: String, _ kind: Kind, _ value: InfluxLine.Value, _ time: UInt64
    ) {
        let place = metric(line, name, kind)
        writer.removeAll()
        let mark = writer.beginMessage(OTLPField.MetricData.points)
        let start = Self.startTime(line)
        if start > 0 { writer.field(OTLPField.NumberPoint.startTimeUnixNano, fixed64: start) }
        writer.field(OTLPField.NumberPoint.timeUnixNano, fixed64: time)
        switch value {
        case .int(let value): writer.field(OTLPField.NumberPoint.asInt, fixed64: UInt64(bitPattern: value))
        case .uint(let value): writer.field(OTLPField.NumberPoint.asInt, fixed64: value)
        default: writer.field(OTLPField.NumberPoint.asDouble, double: value.double ?? 0)
        }
        Self.attributes(line) { _ in true }.encode(field: OTLPField.NumberPoint.attributes, into: &writer)
        writer.endMessage(mark)
        writer.withBytes { metrics[place].points.append(contentsOf: $0) }
        metrics[place].pointCount += 1
    }

    private mutating func place(
        _ line: InfluxLine, _ name: String, _ kind: Kind, attributes isIncluded: (String) -> Bool, _ time: UInt64
    ) -> PointKey {
        PointKey(metric: metric(line, name, kind), attributes: Self.attributes(line, isIncluded), time: time)
    }

    private mutating func update(_ key: PointKey, _ body: (inout Distribution) -> Void) {
        if distributions[key] == nil {
            distributions[key] = Distribution()
            metrics[key.metric].distributions.append(key)
        }
        if var distribution = distributions[key] {
            body(&distribution)
            distributions[key] = distribution
        }
    }

    private static func count(_ value: Double) -> UInt64 { value >= 0 && value < 1.8e19 ? UInt64(value) : 0 }

    // MARK: The batch

    /// The batch of everything added.
    package mutating func finish(client: OTLPClient? = nil) -> OTLPBatch {
        var assembler = OTLPAssembler(kind: .metrics)
        let message = OTLPMessage()
        for metric in metrics {
            message.clear(as: .resource)
            message.attributes.replaceAll(with: metric.key.resource)
            assembler.begin(resource: message)
            message.clear(as: .scope)
            message.set(OTLPField.Scope.name, string: metric.key.scope)
            message.set(OTLPField.Scope.version, string: metric.key.version)
            assembler.begin(scope: message)
            writer.removeAll()
            writer.field(OTLPField.Metric.name, string: metric.key.name)
            let data = writer.beginMessage(metric.key.kind.rawValue)
            metric.points.withRawBytes { writer.append($0) }
            for key in metric.distributions {
                guard let distribution = distributions[key] else { continue }
                if metric.key.kind == .histogram {
                    appendHistogram(key, distribution)
                } else {
                    appendSummary(key, distribution)
                }
            }
            if metric.key.kind == .sum || metric.key.kind == .histogram {
                writer.field(OTLPField.MetricData.aggregationTemporality, varint: metric.key.isDelta ? 1 : 2)
            }
            if metric.key.kind == .sum { writer.field(OTLPField.MetricData.isMonotonic, bool: true) }
            writer.endMessage(data)
            writer.withBytes { assembler.append(item: $0) }
        }
        return assembler.finish(client: client)
    }

    private mutating func appendHistogram(_ key: PointKey, _ distribution: Distribution) {
        typealias Field = OTLPField.HistogramPoint
        let steps = distribution.steps.filter { $0.at < .infinity }.sorted { $0.at < $1.at }
        var counts: [UInt64] = []
        var before: UInt64 = 0
        for step in steps {
            let count = max(Self.count(step.value), before)
            counts.append(count - before)
            before = count
        }
        let total = max(distribution.count, before)
        if !steps.isEmpty { counts.append(total - before) }
        let mark = writer.beginMessage(OTLPField.MetricData.points)
        writer.field(Field.timeUnixNano, fixed64: key.time)
        writer.field(Field.count, fixed64: total)
        writer.field(Field.sum, double: distribution.sum)
        if !counts.isEmpty {
            let list = writer.beginMessage(Field.bucketCounts)
            for count in counts { writer.appendFixed64(count) }
            writer.endMessage(list)
            let bounds = writer.beginMessage(Field.explicitBounds)
            for step in steps { writer.appendFixed64(step.at.bitPattern) }
            writer.endMessage(bounds)
        }
        key.attributes.encode(field: Field.attributes, into: &writer)
        writer.endMessage(mark)
    }

    private mutating func appendSummary(_ key: PointKey, _ distribution: Distribution) {
        typealias Field = OTLPField.SummaryPoint
        let mark = writer.beginMessage(OTLPField.MetricData.points)
        writer.field(Field.timeUnixNano, fixed64: key.time)
        writer.field(Field.count, fixed64: distribution.count)
        writer.field(Field.sum, double: distribution.sum)
        for step in distribution.steps.sorted(by: { $0.at < $1.at }) {
            let quantile = writer.beginMessage(Field.quantiles)
            writer.field(OTLPField.Quantile.quantile, double: step.at)
            writer.field(OTLPField.Quantile.value, double: step.value)
            writer.endMessage(quantile)
        }
        key.attributes.encode(field: Field.attributes, into: &writer)
        writer.endMessage(mark)
    }
}
