package import Telemetry
import TextFormats

/// OpenTelemetry data as lines for people: one for each span, log record and data point.
package enum OTLPLines {
    /// Ends a walk early.
    private struct Enough: Error {}

    /// Calls `body` with the text of each of the first `limit` items of `batch`, with the attributes of its resource.
    /// Returns how many there were.
    @discardableResult
    package static func forEachItem(of batch: OTLPBatch, upTo limit: Int, _ body: (String) -> Void) -> Int {
        let walker = OTLPWalker()
        let deepest: OTLPWalker.Level = batch.kind == .metrics ? .point : .item
        var count = 0
        var resource = ""
        var scope = ""
        try? walker.walk(batch, to: deepest) { level in
            switch level {
            case .resource: resource = attributes(walker.resource.attributes)
            case .scope: scope = walker.scope.string(OTLPField.Scope.name)
            default: break
            }
            guard level == deepest else { return .keep }
            if count == limit { throw Enough() }
            count += 1
            var parts = [item(walker)]
            if !resource.isEmpty { parts.append("resource={\(resource)}") }
            if !scope.isEmpty { parts.append("scope=\(scope)") }
            body(parts.joined(separator: " "))
            return .keep
        }
        return count
    }

    /// The span, the log record or the data point that `walker` is at.
    package static func item(_ walker: OTLPWalker) -> String {
        switch walker.kind {
        case .traces: span(walker.span)
        case .logs: logRecord(walker.logRecord)
        case .metrics: point(walker)
        }
    }

    /// Attributes as `name=value`, with spaces between.
    package static func attributes(_ attributes: OTLPAttributes) -> String {
        var parts: [String] = []
        attributes.forEach { key, value in
            parts.append("\(String(decoding: key, as: UTF8.self))=\(text(of: value))")
        }
        return parts.joined(separator: " ")
    }

    /// A value; lists in brackets, maps in braces, bytes as hexadecimal digits.
    package static func text(of value: OTLPValue) -> String {
        switch value {
        case .empty: return ""
        case .string(let bytes): return String(decoding: bytes, as: UTF8.self)
        case .bool(let value): return "\(value)"
        case .int(let value): return "\(value)"
        case .double(let value): return "\(value)"
        case .bytes(let bytes): return OTLPBytes.hex(bytes)
        case .array(let list):
            var parts: [String] = []
            list.forEach { parts.append(text(of: $0)) }
            return "[" + parts.joined(separator: ",") + "]"
        case .map(let map):
            var parts: [String] = []
            map.forEach { parts.append("\(String(decoding: $0, as: UTF8.self)):\(text(of: $1))") }
            return "{" + parts.joined(separator: ",") + "}"
        }
    }

    /// The value of the data point that `walker` is at.
    package static func value(_ walker: OTLPWalker) -> String {
        switch walker.metricKind {
        case .gauge, .sum:
            switch OTLPNumberPoint(walker.point).value {
            case .int(let value): "\(value)"
            case .double(let value): "\(value)"
            case nil: ""
            }
        case .histogram:
            "count=\(OTLPHistogramPoint(walker.point).count) sum=\(OTLPHistogramPoint(walker.point).sum ?? 0)"
        case .exponentialHistogram:
            "count=\(OTLPExponentialHistogramPoint(walker.point).count) "
                + "sum=\(OTLPExponentialHistogramPoint(walker.point).sum ?? 0)"
        case .summary: "count=\(OTLPSummaryPoint(walker.point).count) sum=\(OTLPSummaryPoint(walker.point).sum)"
        case nil: ""
        }
    }

    private static func span(_ span: OTLPSpan) -> String {
        var text = "\(String(decoding: span.name, as: UTF8.self)) trace=\(OTLPBytes.hex(span.traceID))"
        text += " span=\(OTLPBytes.hex(span.spanID))"
        if !span.parentSpanID.isEmpty { text += " parent=\(OTLPBytes.hex(span.parentSpanID))" }
        let (start, end) = (span.startTimeUnixNano, span.endTimeUnixNano)
        text += " start=\(time(start))"
        if end >= start { text += " took=\(Double(end - start) / 1e6)ms" }
        if span.statusCode == 2 { text += " error=\"\(String(decoding: span.statusMessage, as: UTF8.self))\"" }
        let extra = attributes(span.attributes)
        return extra.isEmpty ? text : text + " " + extra
    }

    private static func logRecord(_ record: OTLPLogRecord) -> String {
        let moment = record.timeUnixNano == 0 ? record.observedTimeUnixNano : record.timeUnixNano
        let severity = String(decoding: record.severityText, as: UTF8.self)
        let parts = [time(moment), severity, text(of: record.body), attributes(record.attributes)]
        return parts.filter { !$0.isEmpty }.joined(separator: " ")
    }

    private static func point(_ walker: OTLPWalker) -> String {
        let name = walker.item.string(OTLPField.Metric.name)
        return "\(name){\(attributes(walker.point.attributes))} \(value(walker))"
    }

    private static func time(_ nanoseconds: UInt64) -> String {
        guard nanoseconds > 0, let signed = Int64(exactly: nanoseconds) else { return "" }
        return GoTimeLayout("RFC3339Nano").format(unixNanoseconds: signed)
    }
}
