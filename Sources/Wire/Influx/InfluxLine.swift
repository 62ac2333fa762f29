import TextFormats

/// Why a line is no line protocol.
package struct InfluxLineError: Error, Sendable, Equatable, CustomStringConvertible {
    /// Counted from 1.
    package let line: Int
    package let reason: String

    package var description: String { "line \(line): \(reason)" }
}

/// A line of the InfluxDB line protocol (docs.influxdata.com, "Line protocol").
package struct InfluxLine: Sendable, Equatable {
    package enum Value: Sendable, Equatable {
        case double(Double)
        case int(Int64)
        case uint(UInt64)
        case bool(Bool)
        case string(String)

        /// Any number as one with a fraction.
        var double: Double? {
            switch self {
            case .double(let value): value
            case .int(let value): Double(value)
            case .uint(let value): Double(value)
            case .bool, .string: nil
            }
        }
    }

    package struct Tag: Sendable, Equatable {
        package var key: String
        package var value: String
    }

    package struct Field: Sendable, Equatable {
        package var key: String
        package var value: Value
    }

    package var measurement = ""
    package var tags: [Tag] = []
    package var fields: [Field] = []
    /// In the unit of the request; nil when the server is to take its own.
    package var time: Int64?

    /// Reads all lines of a body; empty lines and comments count but say nothing.
    package static func lines(_ body: UnsafeRawBufferPointer) throws(InfluxLineError) -> [InfluxLine] {
        var reader = InfluxLineReader(body)
        var lines: [InfluxLine] = []
        while let line = try reader.next() { lines.append(line) }
        return lines
    }
}

/// Walks the lines of a body.
private struct InfluxLineReader {
    private let bytes: UnsafeRawBufferPointer
    private var position = 0
    private var line = 1

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    private var current: UInt8? { position < bytes.count ? bytes[position] : nil }

    private static let newline = UInt8(ascii: "\n")
    private static let carriage = UInt8(ascii: "\r")
    private static let space = UInt8(ascii: " ")
    private static let comma = UInt8(ascii: ",")
    private static let equals = UInt8(ascii: "=")
    private static let backslash = UInt8(ascii: "\\")
    private static let quote = UInt8(ascii: "\"")

    private func failure(_ reason: String) -> InfluxLineError { InfluxLineError(line: line, reason: reason) }

    private var isAtLineEnd: Bool {
        guard let current else { return true }
        return current == Self.newline || current == Self.carriage
    }

    private mutating func skipSpaces() { while current == Self.space { position += 1 } }

    mutating func next() throws(InfluxLineError) -> InfluxLine? {
        while let byte = current {
            switch byte {
            case Self.newline:
                position += 1
                line += 1
            case Self.space, Self.carriage: position += 1
            case UInt8(ascii: "#"): while let byte = current, byte != Self.newline { position += 1 }
            default: return try read()
            }
        }
        return nil
    }

    private mutating func read() throws(InfluxLineError) -> InfluxLine {
        var result = InfluxLine()
        result.measurement = word(until: [Self.comma, Self.space])
        guard !result.measurement.isEmpty else { throw failure("the measurement is missing") }
        while current == Self.comma {
            position += 1
            let key = word(until: [Self.equals, Self.comma, Self.space])
            guard !key.isEmpty, current == Self.equals else { throw failure("a tag has no name or no value") }
            position += 1
            let value = word(until: [Self.comma, Self.space])
            guard !value.isEmpty else { throw failure("tag \"\(key)\" has no value") }
            result.tags.append(InfluxLine.Tag(key: key, value: value))
        }
        skipSpaces()
        repeat {
            if current == Self.comma { position += 1 }
            let key = word(until: [Self.equals, Self.comma, Self.space])
            guard !key.isEmpty, current == Self.equals else { throw failure("a field has no name or no value") }
            position += 1
            result.fields.append(InfluxLine.Field(key: key, value: try value(of: key)))
        } while current == Self.comma
        skipSpaces()
        if !isAtLineEnd {
            let start = position
            while !isAtLineEnd, current != Self.space { position += 1 }
            let text = String(decoding: bytes[start..<position], as: UTF8.self)
            guard let time = Int64(text) else { throw failure("\"\(text.prefix(40))\" is no time") }
            result.time = time
            skipSpaces()
            guard isAtLineEnd else { throw failure("there is more behind the time") }
        }
        return result
    }

    /// Reads to one of the bytes that are not escaped, or to the end of the line.
    private mutating func word(until ends: [UInt8]) -> String {
        var word: [UInt8] = []
        while let byte = current, !isAtLineEnd, !ends.contains(byte) {
            position += 1
            // A backslash that escapes nothing stands for itself.
            if byte == Self.backslash, let next = current,
                next == Self.comma || next == Self.equals || next == Self.space || next == Self.backslash
            {
                word.append(next)
                position += 1
            } else {
                word.append(byte)
            }
        }
        return String(decoding: word, as: UTF8.self)
    }

    private mutating func value(of key: String) throws(InfluxLineError) -> InfluxLine.Value {
        if current == Self.quote { return .string(try text(of: key)) }
        let start = position
        while let byte = current, !isAtLineEnd, byte != Self.comma, byte != Self.space { position += 1 }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        switch text {
        case "t", "T", "true", "True", "TRUE": return .bool(true)
        case "f", "F", "false", "False", "FALSE": return .bool(false)
        default: break
        }
        if text.hasSuffix("i"), let value = Int64(text.dropLast()) { return .int(value) }
        if text.hasSuffix("u"), let value = UInt64(text.dropLast()) { return .uint(value) }
        if let first = text.utf8.first,
            first == 0x2B || first == 0x2D || first == 0x2E || (0x30...0x39).contains(first),
            let value = DecimalParser.parse(text), value.isFinite
        {
            return .double(value)
        }
        throw failure("the value of field \"\(key)\" is neither number, truth value nor quoted text")
    }

    /// A quoted value, which may go over lines.
    private mutating func text(of key: String) throws(InfluxLineError) -> String {
        position += 1
        var text: [UInt8] = []
        while let byte = current {
            position += 1
            if byte == Self.quote { return String(decoding: text, as: UTF8.self) }
            if byte == Self.backslash, let next = current, next == Self.quote || next == Self.backslash {
                text.append(next)
                position += 1
                continue
            }
            if byte == Self.newline { line += 1 }
            text.append(byte)
        }
        throw failure("the text of field \"\(key)\" does not end")
    }
}
