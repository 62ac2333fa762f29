import TextFormats
import Wire

/// Requirements of functions on their arguments. `what` names the argument in errors.
extension Datum {
    private func mismatch(_ wanted: String, _ what: String) -> OTTLError {
        isNone
            ? OTTLError("\(what): expected \(wanted) but got nil; test for nil in the where clause")
            : OTTLError("\(what): expected \(wanted) but got \(typeName)")
    }

    func requireText(_ what: String) throws -> [UInt8] {
        guard let bytes = textBytes else { throw mismatch("string", what) }
        return bytes
    }

    func requireString(_ what: String) throws -> String {
        guard let text = withText({ String(decoding: $0, as: UTF8.self) }) else { throw mismatch("string", what) }
        return text
    }

    func requireInt(_ what: String) throws -> Int64 {
        guard case .int(let value) = self else { throw mismatch("int", what) }
        return value
    }

    func requireBool(_ what: String) throws -> Bool {
        guard case .bool(let value) = self else { throw mismatch("bool", what) }
        return value
    }

    func requireTime(_ what: String) throws -> GoTime {
        guard case .time(let value) = self else { throw mismatch("time", what) }
        return value
    }

    func requireDuration(_ what: String) throws -> Int64 {
        guard case .duration(let value) = self else { throw mismatch("duration", what) }
        return value
    }

    func requireMap(_ what: String) throws -> OTLPAnyValue.Map {
        guard let map = entries else { throw mismatch("map", what) }
        return map
    }

    func requireList(_ what: String) throws -> [OTLPAnyValue] {
        guard let list = elements else { throw mismatch("list", what) }
        return list
    }

    /// Whole numbers as they are, fractions cut off, booleans as 1 and 0, strings read; nil when that is impossible.
    var integer: Int64? {
        switch self {
        case .int(let value): value
        case .double(let value):
            value.isFinite && value.magnitude < 9.3e18 ? Int64(exactly: value.rounded(.towardZero)) : nil
        case .bool(let value): value ? 1 : 0
        case .text, .ownText: withText { GoNumber.parseInt(String(decoding: $0, as: UTF8.self)) } ?? nil
        default: nil
        }
    }

    /// As a double; nil when that is impossible.
    var floating: Double? {
        switch self {
        case .int(let value): Double(value)
        case .double(let value): value
        case .bool(let value): value ? 1 : 0
        case .text, .ownText: withText { GoNumber.parseFloat(String(decoding: $0, as: UTF8.self)) } ?? nil
        default: nil
        }
    }

    /// As text: bytes in hexadecimal, lists and maps as JSON; nil for nothing.
    var textual: [UInt8]? {
        switch self {
        case .none: nil
        case .bool(let value): Array((value ? "true" : "false").utf8)
        case .int(let value): Array(String(value).utf8)
        case .double(let value): Array(GoNumber.formatFloat(value, "f", precision: -1).utf8)
        case .text, .ownText: textBytes
        case .data, .ownData: withData { Array(Hex.encode($0).utf8) }
        case .list, .ownList: JSONText.encode(.array(elements ?? []))
        case .map, .attributes, .ownMap: JSONText.encode(.map(entries ?? OTLPAnyValue.Map()))
        case .time(let time): Array(time.description.utf8)
        case .duration(let value): Array(GoDuration.format(nanoseconds: value).utf8)
        case .messages(let kind, let list): Array("\(list.count) \(kind.rawValue)".utf8)
        }
    }

    /// The bytes behind a value: numbers big-endian; nil for lists, maps and nothing.
    var binary: [UInt8]? {
        switch self {
        case .bool(let value): [value ? 1 : 0]
        case .int(let value): withUnsafeBytes(of: value.bigEndian) { Array($0) }
        case .double(let value): withUnsafeBytes(of: value.bitPattern.bigEndian) { Array($0) }
        case .text, .ownText: textBytes
        case .data, .ownData: dataBytes
        default: nil
        }
    }

    /// The argument of `Format`.
    var formatted: GoValue {
        switch self {
        case .none: .nil
        case .bool(let value): .bool(value)
        case .int(let value): .int(value)
        case .double(let value): .float(value)
        case .text, .ownText: .string(withText { String(decoding: $0, as: UTF8.self) } ?? "")
        case .data, .ownData: .list((dataBytes ?? []).map { .uint(UInt64($0)) })
        case .list, .ownList: .list((elements ?? []).map { Datum($0).formatted })
        case .map, .attributes, .ownMap:
            .dictionary(
                Dictionary(
                    (entries?.entries ?? []).map {
                        (String(decoding: $0.key, as: UTF8.self), Datum($0.value).formatted)
                    },
                    uniquingKeysWith: { $1 }))
        case .time(let time): .time(time)
        case .duration(let value): .duration(value)
        case .messages(let kind, _): .string(kind.rawValue)
        }
    }
}

/// JSON of values, as the collector writes them: keys sorted, bytes in base64.
enum JSONText {
    static func encode(_ value: OTLPAnyValue) -> [UInt8] {
        var output: [UInt8] = []
        JSONWriter(escapesHTML: true, sortsKeys: true).append(OTLPText.tree(value), to: &output)
        return output
    }

    /// A document as values: every number is a double.
    static func decode(_ bytes: UnsafeRawBufferPointer) throws -> OTLPAnyValue {
        do {
            return value(try JSONValue(parsing: bytes, maximumDepth: 100))
        } catch {
            throw OTTLError("invalid JSON: \(error.message)")
        }
    }

    private static func value(_ json: JSONValue) -> OTLPAnyValue {
        switch json {
        case .null: .empty
        case .bool(let value): .bool(value)
        case .number(let number): .double(number.doubleValue)
        case .string(let text): .string(text)
        case .array(let elements): .array(elements.map { value($0) })
        case .object(let object):
            .map(
                OTLPAnyValue.Map(
                    unique: object.map { OTLPAnyValue.Map.Entry(key: Array($0.key.utf8), value: value($0.value)) }))
        }
    }
}
