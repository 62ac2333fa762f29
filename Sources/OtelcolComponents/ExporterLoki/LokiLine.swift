import Essentials
import TextFormats
import Wire

/// What the line of an entry is made of.
struct LokiLine {
    enum Format: String {
        case json, logfmt
    }

    let record: OTLPLogRecord
    let scope: OTLPScope
    /// Those of the record that are not labels.
    let attributes: OTLPAnyValue.Map
    /// Those of the resource that are not labels.
    let resource: OTLPAnyValue.Map

    func text(_ format: Format) -> [UInt8] { format == .json ? json : logfmt }

    // MARK: JSON

    /// Members in upstream's order; what is empty is left out.
    private var json: [UInt8] {
        let writer = JSONWriter(escapesHTML: true, sortsKeys: true)
        var bytes = Array("{".utf8)
        func add(_ name: StaticString, _ value: JSONValue) {
            if bytes.count > 1 { bytes.append(UInt8(ascii: ",")) }
            bytes += "\"\(name)\":".utf8
            writer.append(value, to: &bytes)
        }
        if case let body = OTLPAnyValue(record.body), body != .empty { add("body", OTLPText.tree(body)) }
        if let id = hex(record.traceID) { add("traceid", .string(id)) }
        if let id = hex(record.spanID) { add("spanid", .string(id)) }
        if !record.severityText.isEmpty { add("severity", .string(text(record.severityText))) }
        if record.flags != 0 { add("flags", .int(Int(record.flags))) }
        if !attributes.isEmpty { add("attributes", OTLPText.tree(.map(attributes))) }
        if !resource.isEmpty { add("resources", OTLPText.tree(.map(resource))) }
        if !scope.name.isEmpty {
            var object: JSONObject = ["name": .string(text(scope.name))]
            if !scope.version.isEmpty { object["version"] = .string(text(scope.version)) }
            add("instrumentation_scope", .object(object))
        }
        bytes.append(UInt8(ascii: "}"))
        return bytes
    }

    // MARK: logfmt

    private typealias Pair = (key: String, value: OTLPAnyValue)

    private var logfmt: [UInt8] {
        var pairs = bodyPairs
        func replace(_ key: String, _ value: OTLPAnyValue) {
            if let index = pairs.firstIndex(where: { $0.key == key }) {
                pairs[index].value = value
            } else {
                pairs.append((key, value))
            }
        }
        if let id = hex(record.traceID) { replace("traceID", .string(id)) }
        if let id = hex(record.spanID) { replace("spanID", .string(id)) }
        if !record.severityText.isEmpty { replace("severity", .string(Array(record.severityText))) }
        if record.flags != 0 { replace("flags", .int(Int64(record.flags))) }
        for entry in attributes.entries {
            Self.flatten("attribute_" + String(decoding: entry.key, as: UTF8.self), entry.value, into: &pairs)
        }
        for entry in resource.entries {
            Self.flatten("resource_" + String(decoding: entry.key, as: UTF8.self), entry.value, into: &pairs)
        }
        if !scope.name.isEmpty {
            pairs.append(("instrumentation_scope_name", .string(Array(scope.name))))
            if !scope.version.isEmpty {
                pairs.append(("instrumentation_scope_version", .string(Array(scope.version))))
            }
        }
        var writer = LogfmtWriter()
        for (key, value) in pairs { Array(key.utf8).withUnsafeBytes { writer.append($0, owned: value) } }
        return writer.bytes
    }

    /// A text that is logfmt itself goes on as its pairs, any other one as `msg`.
    private var bodyPairs: [Pair] {
        switch OTLPAnyValue(record.body) {
        case .empty: return []
        case .string(let text): return Self.parse(text) ?? [("msg", .string(text))]
        case .map(let map):
            var pairs: [Pair] = []
            Self.flatten("", .map(map), into: &pairs)
            return pairs
        case .array(let elements):
            var pairs: [Pair] = []
            Self.flatten("body", .array(elements), into: &pairs)
            return pairs
        case let value: return [("msg", value)]
        }
    }

    /// The pairs of the first line; nil when it is not logfmt.
    private static func parse(_ text: [UInt8]) -> [Pair]? {
        text.prefix { $0 != UInt8(ascii: "\n") }.withUnsafeBytes { line in
            var reader = LogfmtReader()
            var pairs: [Pair] = []
            while let pair = reader.next(line) {
                let raw = UnsafeRawBufferPointer(rebasing: line[pair.value])
                guard let value = pair.hasEscapes ? LogfmtReader.unquote(raw) : Array(raw) else { return nil }
                pairs.append((String(decoding: line[pair.key], as: UTF8.self), .string(value)))
            }
            return reader.isBroken ? nil : pairs
        }
    }

    private static func flatten(_ key: String, _ value: OTLPAnyValue, into pairs: inout [Pair]) {
        let prefix = key.isEmpty ? "" : key + "_"
        switch value {
        case .empty: return
        case .map(let map):
            for entry in map.entries {
                flatten(prefix + String(decoding: entry.key, as: UTF8.self), entry.value, into: &pairs)
            }
        case .array(let elements):
            for (index, element) in elements.enumerated() { flatten("\(prefix)\(index)", element, into: &pairs) }
        default: pairs.append((key, value))
        }
    }

    // MARK: Text

    private func text(_ bytes: UnsafeRawBufferPointer) -> String { String(decoding: bytes, as: UTF8.self) }

    /// The digits of an ID; nil for none.
    private func hex(_ id: UnsafeRawBufferPointer) -> String? {
        guard id.contains(where: { $0 != 0 }) else { return nil }
        var text = ""
        for byte in id { text += String(byte >> 4, radix: 16) + String(byte & 15, radix: 16) }
        return text
    }
}
