import TextFormats
import Wire

/// Entries as the collector's operators write them down.
extension StanzaEntry {
    /// A line of JSON: the members in the order, and with the names, that the collector's `pkg/stanza` gives them; times in
    /// UTC, identifiers in base64, keys of maps sorted.
    func line(escapesHTML: Bool) -> [UInt8] {
        let writer = JSONWriter(escapesHTML: escapesHTML, sortsKeys: true)
        var output: [UInt8] = [UInt8(ascii: "{")]
        func add(_ name: String, _ value: JSONValue) {
            if output.count > 1 { output.append(UInt8(ascii: ",")) }
            writer.append(name, to: &output)
            output.append(UInt8(ascii: ":"))
            writer.append(value, to: &output)
        }
        add("observed_timestamp", .string(Self.layout.format(GoTime(unixNanoseconds: observed))))
        add("timestamp", .string(Self.layout.format(time)))
        add("body", OTLPText.tree(body))
        if attributes.count > 0 { add("attributes", OTLPText.tree(.map(attributes))) }
        if resource.count > 0 { add("resource", OTLPText.tree(.map(resource))) }
        if !severityText.isEmpty { add("severity_text", .string(String(decoding: severityText, as: UTF8.self))) }
        if !spanID.isEmpty { add("span_id", .string(Base64.encode(spanID))) }
        if !traceID.isEmpty { add("trace_id", .string(Base64.encode(traceID))) }
        if flags != 0 { add("trace_flags", .string(Base64.encode([UInt8(truncatingIfNeeded: flags)]))) }
        add("severity", .number(JSONNumber(Int64(severity))))
        add("scope_name", .string(String(decoding: scopeName, as: UTF8.self)))
        output += [UInt8(ascii: "}"), UInt8(ascii: "\n")]
        return output
    }

    /// What a template is run on: the fields of the collector's entry.
    var templateValue: GoValue {
        .dictionary([
            "ObservedTimestamp": .time(GoTime(unixNanoseconds: observed)), "Timestamp": .time(time),
            "Body": Self.value(body), "Attributes": Self.value(.map(attributes)),
            "Resource": Self.value(.map(resource)),
            "SeverityText": .string(String(decoding: severityText, as: UTF8.self)),
            "Severity": .string(severityName), "ScopeName": .string(String(decoding: scopeName, as: UTF8.self)),
            "SpanID": Self.value(.bytes(spanID)), "TraceID": Self.value(.bytes(traceID)),
            "TraceFlags": Self.value(.bytes(flags == 0 ? [] : [UInt8(truncatingIfNeeded: flags)])),
        ])
    }

    private static let layout = GoTimeLayout("RFC3339Nano")

    /// The time, or Go's zero.
    private var time: GoTime { timestamp.map { GoTime(unixNanoseconds: $0) } ?? GoTime(unixSeconds: -62_135_596_800) }

    private var severityName: String {
        guard (1...24).contains(severity) else { return "DEFAULT" }
        let word = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"][(severity - 1) / 4]
        let step = (severity - 1) % 4
        return step == 0 ? word : "\(word)\(step + 1)"
    }

    private static func value(_ value: OTLPAnyValue) -> GoValue {
        switch value {
        case .empty: .nil
        case .string(let bytes): .string(String(decoding: bytes, as: UTF8.self))
        case .bytes(let bytes): .list(bytes.map { .uint(UInt64($0)) })
        case .bool(let flag): .bool(flag)
        case .int(let number): .int(number)
        case .double(let number): .float(number)
        case .array(let elements): .list(elements.map { Self.value($0) })
        case .map(let map):
            .dictionary(
                Dictionary(
                    map.entries.map { (String(decoding: $0.key, as: UTF8.self), Self.value($0.value)) },
                    uniquingKeysWith: { $1 }))
        }
    }
}
