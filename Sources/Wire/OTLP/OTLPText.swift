package import TextFormats

/// Values as text.
package enum OTLPText {
    /// The text of a value as the collector writes it: lists and maps as JSON, bytes in base64.
    package static func bytes(_ value: OTLPValue) -> [UInt8] {
        switch value {
        case .empty: []
        case .string(let bytes): Array(bytes)
        case .bool(let flag): Array((flag ? "true" : "false").utf8)
        case .int(let number): Array(String(number).utf8)
        case .double(let number): Array(GoNumber.formatFloat(number, "f", precision: -1).utf8)
        case .bytes(let bytes): Array(Base64.encode(bytes).utf8)
        case .array, .map: Array(JSONWriter(escapesHTML: true, sortsKeys: true).text(tree(OTLPAnyValue(value))).utf8)
        }
    }

    /// The same text of a value that owns its content.
    package static func string(_ value: OTLPAnyValue) -> String {
        switch value {
        case .empty: ""
        case .string(let bytes): String(decoding: bytes, as: UTF8.self)
        case .bool(let flag): flag ? "true" : "false"
        case .int(let number): String(number)
        case .double(let number): GoNumber.formatFloat(number, "f", precision: -1)
        case .bytes(let bytes): Base64.encode(bytes)
        case .array, .map: JSONWriter(escapesHTML: true, sortsKeys: true).text(tree(value))
        }
    }

    /// The value as JSON: bytes in base64, numbers JSON cannot carry as null.
    package static func tree(_ value: OTLPAnyValue) -> JSONValue {
        switch value {
        case .empty: return .null
        case .string(let bytes): return .string(String(decoding: bytes, as: UTF8.self))
        case .bool(let flag): return .bool(flag)
        case .int(let number): return .number(JSONNumber(number))
        case .double(let number): return .double(number)
        case .bytes(let bytes): return .string(Base64.encode(bytes))
        case .array(let elements): return .array(elements.map { tree($0) })
        case .map(let map):
            var object = JSONObject()
            for entry in map.entries { object[String(decoding: entry.key, as: UTF8.self)] = tree(entry.value) }
            return .object(object)
        }
    }
}
