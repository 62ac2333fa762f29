package import Telemetry
import TextFormats

/// Why text is no OTLP/JSON.
package struct OTLPJSONError: Error, Sendable, CustomStringConvertible {
    package let description: String
    init(_ description: String) { self.description = description }
}

/// Translates export requests between protobuf and OTLP/JSON.
///
/// OTLP specification 1.7, "JSON Protobuf Encoding": IDs are hexadecimal, 64-bit integers are text, enumerations are written
/// as numbers and read as numbers or names, fields are read by camel-case or original names, unknown ones are ignored.
package enum OTLPJSON {
    /// Nesting of JSON values that is read.
    private static let maximumDepth = 200

    /// The protobuf form of a request written in JSON.
    package static func decode(
        _ text: UnsafeRawBufferPointer, as kind: OTLPBatch.Kind
    ) throws(OTLPJSONError) -> [UInt8] {
        try decode(text, as: message(kind))
    }

    /// The JSON form of a request or of any part of a batch.
    package static func encode(_ request: UnsafeRawBufferPointer, of kind: OTLPBatch.Kind) -> [UInt8] {
        encode(request, of: message(kind))
    }

    static func decode(
        _ text: UnsafeRawBufferPointer, as message: OTLPJSONMessage
    ) throws(OTLPJSONError) -> [UInt8] {
        let value: JSONValue
        do {
            value = try JSONValue(parsing: text, maximumDepth: maximumDepth)
        } catch {
            throw OTLPJSONError("\(error)")
        }
        var encoder = OTLPJSONDecoder()
        return try encoder.decode(value, as: message)
    }

    static func encode(_ bytes: UnsafeRawBufferPointer, of message: OTLPJSONMessage) -> [UInt8] {
        var writer = OTLPJSONEncoder()
        writer.write(bytes, message, 0)
        return writer.output
    }

    private static func message(_ kind: OTLPBatch.Kind) -> OTLPJSONMessage {
        switch kind {
        case .traces: .tracesRequest
        case .metrics: .metricsRequest
        case .logs: .logsRequest
        }
    }
}

/// Writes protobuf from a tree of JSON values.
private struct OTLPJSONDecoder: ~Copyable {
    private var writer = ProtobufWriter(capacity: 4096)
    private var tables = OTLPJSONTables()

    mutating func decode(_ value: JSONValue, as message: OTLPJSONMessage) throws(OTLPJSONError) -> [UInt8] {
        try write(value, message)
        return writer.bytes
    }

    private mutating func write(_ value: JSONValue, _ message: OTLPJSONMessage) throws(OTLPJSONError) {
        guard case .object(let object) = value else {
            if case .null = value { return }
            throw OTLPJSONError("an object was expected")
        }
        let table = tables.table(message)
        for (key, member) in object {
            if case .null = member { continue }
            guard let field = table[key] else { continue }
            if field.isRepeated {
                guard case .array(let elements) = member else { throw OTLPJSONError("\(key): a list was expected") }
                for element in elements { try write(element, field) }
            } else {
                try write(member, field)
            }
        }
    }

    private mutating func write(_ value: JSONValue, _ field: OTLPJSONField) throws(OTLPJSONError) {
        let number = field.number
        let keeps = field.keepsZero || field.isRepeated
        switch field.kind {
        case .message(let message):
            let mark = writer.beginMessage(number)
            try write(value, message)
            writer.endMessage(mark)
        case .text:
            let text = try text(value, field)
            if keeps || !text.isEmpty { writer.field(number, string: text) }
        case .hex:
            guard let bytes = OTLPJSONText.hex(try text(value, field)) else {
                throw OTLPJSONError("\(field.name): not hexadecimal")
            }
            if !bytes.isEmpty { bytes.withRawBytes { writer.field(number, bytes: $0) } }
        case .base64:
            guard let bytes = OTLPJSONText.base64(try text(value, field)) else {
                throw OTLPJSONError("\(field.name): not base64")
            }
            bytes.withRawBytes { writer.field(number, bytes: $0) }
        case .bool:
            guard case .bool(let bool) = value else { throw OTLPJSONError("\(field.name): not a boolean") }
            if keeps || bool { writer.field(number, bool: bool) }
        case .int64, .int32:
            let integer = try integer(value, field)
            if keeps || integer != 0 { writer.field(number, int64: integer) }
        case .sint32:
            let integer = try integer(value, field)
            if keeps || integer != 0 { writer.field(number, sint64: integer) }
        case .uint32, .uint64:
            let integer = try unsigned(value, field)
            if keeps || integer != 0 { writer.field(number, varint: integer) }
        case .fixed64:
            let integer = try unsigned(value, field)
            if keeps || integer != 0 { writer.field(number, fixed64: integer) }
        case .sfixed64:
            let integer = try integer(value, field)
            if keeps || integer != 0 { writer.field(number, fixed64: UInt64(bitPattern: integer)) }
        case .fixed32:
            let integer = try unsigned(value, field)
            if keeps || integer != 0 { writer.field(number, fixed32: UInt32(truncatingIfNeeded: integer)) }
        case .double:
            let double = try double(value, field)
            if keeps || double != 0 { writer.field(number, double: double) }
        case .enumeration(let names):
            if case .string(let name) = value, let index = names.firstIndex(of: name) {
                if index != 0 { writer.field(number, varint: UInt64(index)) }
                return
            }
            let integer = try integer(value, field)
            if integer != 0 { writer.field(number, int64: integer) }
        }
    }

    private func text(_ value: JSONValue, _ field: OTLPJSONField) throws(OTLPJSONError) -> String {
        guard case .string(let text) = value else { throw OTLPJSONError("\(field.name): a string was expected") }
        return text
    }

    private func integer(_ value: JSONValue, _ field: OTLPJSONField) throws(OTLPJSONError) -> Int64 {
        switch value {
        case .string(let text):
            if let integer = Int64(text) { return integer }
        case .number(let number):
            if let integer = number.intValue ?? Int64(exactly: number.doubleValue) { return integer }
        default: break
        }
        throw OTLPJSONError("\(field.name): an integer was expected")
    }

    private func unsigned(_ value: JSONValue, _ field: OTLPJSONField) throws(OTLPJSONError) -> UInt64 {
        switch value {
        case .string(let text):
            if let integer = UInt64(text) { return integer }
        case .number(let number):
            if let integer = number.uintValue ?? UInt64(exactly: number.doubleValue) { return integer }
        default: break
        }
        throw OTLPJSONError("\(field.name): a positive integer was expected")
    }

    private func double(_ value: JSONValue, _ field: OTLPJSONField) throws(OTLPJSONError) -> Double {
        switch value {
        case .number(let number): return number.doubleValue
        case .string("NaN"): return .nan
        case .string("Infinity"): return .infinity
        case .string("-Infinity"): return -.infinity
        case .string(let text):
            if let double = DecimalParser.parse(text) { return double }
        default: break
        }
        throw OTLPJSONError("\(field.name): a number was expected")
    }
}

/// Fields by both of their names, built as messages are met.
private struct OTLPJSONTables {
    private var tables: [String: [String: OTLPJSONField]] = [:]

    mutating func table(_ message: OTLPJSONMessage) -> [String: OTLPJSONField] {
        let key = "\(message)"
        if let table = tables[key] { return table }
        var table: [String: OTLPJSONField] = [:]
        for field in message.fields {
            table[field.name] = field
            table[OTLPJSONText.originalName(field.name)] = field
        }
        tables[key] = table
        return table
    }
}

/// Writes JSON from protobuf in place. Malformed bytes end the message they are in.
private struct OTLPJSONEncoder {
    var output: [UInt8] = []
    private let strings = JSONWriter(escapesHTML: false)

    mutating func write(_ bytes: UnsafeRawBufferPointer, _ message: OTLPJSONMessage, _ depth: Int) {
        output.append(UInt8(ascii: "{"))
        var isFirst = true
        if depth < 200 {
            for field in message.fields {
                write(field, in: bytes, &isFirst, depth)
            }
        }
        output.append(UInt8(ascii: "}"))
    }

    private mutating func write(
        _ field: OTLPJSONField, in bytes: UnsafeRawBufferPointer, _ isFirst: inout Bool, _ depth: Int
    ) {
        var count = 0
        let start = output.count
        var reader = ProtobufReader(bytes)
        while let tag = try? reader.nextTag() {
            guard tag.field == field.number else {
                guard (try? reader.skip(tag)) != nil else { break }
                continue
            }
            if !field.isRepeated, count > 0 {
                output.removeSubrange(start...)
                count = 0
            }
            guard (try? write(field, &reader, tag, &count, isFirst, depth)) != nil else { break }
        }
        guard count > 0 else { return }
        isFirst = false
        if field.isRepeated { output.append(UInt8(ascii: "]")) }
    }

    private mutating func open(_ field: OTLPJSONField, _ count: inout Int, _ isFirst: Bool) {
        if count == 0 {
            if !isFirst { output.append(UInt8(ascii: ",")) }
            output.append(UInt8(ascii: "\""))
            output.append(contentsOf: Array(field.name.utf8))
            output.append(contentsOf: Array("\":".utf8))
            if field.isRepeated { output.append(UInt8(ascii: "[")) }
        } else {
            output.append(UInt8(ascii: ","))
        }
        count += 1
    }

    private mutating func write(
        _ field: OTLPJSONField, _ reader: inout ProtobufReader, _ tag: ProtobufTag, _ count: inout Int,
        _ isFirst: Bool, _ depth: Int
    ) throws(ProtobufError) {
        if field.isRepeated, tag.type == .lengthDelimited, isNumber(field) {
            var packed = try reader.message(tag)
            while !packed.isAtEnd {
                let bits = isFixed(field) ? try packed.rawFixed64() : try packed.varint()
                open(field, &count, isFirst)
                append(number: bits, field)
            }
            return
        }
        switch field.kind {
        case .message(let message):
            let content = try reader.bytes(tag)
            open(field, &count, isFirst)
            write(content, message, depth + 1)
        case .text:
            let text = try reader.bytes(tag)
            open(field, &count, isFirst)
            strings.append(string: text, to: &output)
        case .hex:
            let id = try reader.bytes(tag)
            open(field, &count, isFirst)
            append(quoted: OTLPBytes.hex(id))
        case .base64:
            let bytes = try reader.bytes(tag)
            open(field, &count, isFirst)
            append(quoted: OTLPJSONText.base64(bytes))
        case .fixed32:
            let value = try reader.fixed32(tag)
            open(field, &count, isFirst)
            append("\(value)")
        default:
            let bits = isFixed(field) ? try reader.fixed64(tag) : try reader.uint64(tag)
            open(field, &count, isFirst)
            append(number: bits, field)
        }
    }

    private func isNumber(_ field: OTLPJSONField) -> Bool {
        switch field.kind {
        case .message, .text, .hex, .base64: false
        default: true
        }
    }

    private func isFixed(_ field: OTLPJSONField) -> Bool {
        switch field.kind {
        case .fixed64, .sfixed64, .double: true
        default: false
        }
    }

    private mutating func append(number bits: UInt64, _ field: OTLPJSONField) {
        switch field.kind {
        case .bool: append(bits != 0 ? "true" : "false")
        case .int64, .sfixed64: append(quoted: "\(Int64(bitPattern: bits))")
        case .uint64, .fixed64: append(quoted: "\(bits)")
        case .sint32: append("\(Int32(truncatingIfNeeded: ProtobufReader.unzigzag(bits)))")
        case .uint32: append("\(UInt32(truncatingIfNeeded: bits))")
        case .double: append(double: Double(bitPattern: bits))
        default: append("\(Int32(truncatingIfNeeded: Int64(bitPattern: bits)))")
        }
    }

    private mutating func append(double value: Double) {
        if let number = JSONNumber(value) { return append(number.text) }
        append(quoted: value.isNaN ? "NaN" : value < 0 ? "-Infinity" : "Infinity")
    }

    private mutating func append(_ text: String) { output.append(contentsOf: Array(text.utf8)) }

    private mutating func append(quoted text: String) { append("\"\(text)\"") }
}

/// The small encodings of OTLP/JSON.
enum OTLPJSONText {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    /// `startTimeUnixNano` as `start_time_unix_nano`.
    static func originalName(_ name: String) -> String {
        var result = ""
        for character in name {
            if character.isUppercase { result.append("_") }
            result.append(contentsOf: character.lowercased())
        }
        return result
    }

    static func hex(_ text: String) -> [UInt8]? {
        let digits = Array(text.utf8)
        guard digits.count % 2 == 0 else { return nil }
        var bytes: [UInt8] = []
        for index in stride(from: 0, to: digits.count, by: 2) {
            guard let high = digit(digits[index]), let low = digit(digits[index + 1]) else { return nil }
            bytes.append(high << 4 | low)
        }
        return bytes
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x37
        case 0x61...0x66: byte - 0x57
        default: nil
        }
    }

    static func base64(_ bytes: UnsafeRawBufferPointer) -> String {
        var text: [UInt8] = []
        var index = 0
        while index < bytes.count {
            let left = min(3, bytes.count - index)
            var group: UInt32 = 0
            for offset in 0..<3 { group = group << 8 | (offset < left ? UInt32(bytes[index + offset]) : 0) }
            for place in 0..<4 {
                let isPadding = place > left
                text.append(isPadding ? UInt8(ascii: "=") : alphabet[Int(group >> (18 - 6 * UInt32(place)) & 63)])
            }
            index += 3
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// Reads both alphabets, with or without padding.
    static func base64(_ text: String) -> [UInt8]? {
        var bytes: [UInt8] = []
        var group: UInt32 = 0
        var bits = 0
        for byte in text.utf8 where byte != UInt8(ascii: "=") {
            let value: UInt8
            switch byte {
            case 0x41...0x5A: value = byte - 0x41
            case 0x61...0x7A: value = byte - 0x47
            case 0x30...0x39: value = byte + 4
            case UInt8(ascii: "+"), UInt8(ascii: "-"): value = 62
            case UInt8(ascii: "/"), UInt8(ascii: "_"): value = 63
            default: return nil
            }
            group = group << 6 | UInt32(value)
            bits += 6
            if bits >= 8 {
                bits -= 8
                bytes.append(UInt8(truncatingIfNeeded: group >> UInt32(bits)))
            }
        }
        return bytes
    }
}
