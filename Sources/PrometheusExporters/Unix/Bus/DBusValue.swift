/// A value of a D-Bus message, without the difference of its widths. A variant is what it holds.
enum DBusValue: Equatable {
    case bool(Bool)
    case unsigned(UInt64)
    case signed(Int64)
    case double(Double)
    /// Also object paths and signatures.
    case string(String)
    /// Also structures and entries of dictionaries.
    case list([DBusValue])

    var string: String? {
        if case .string(let text) = self { return text }
        return nil
    }

    var unsigned: UInt64? {
        if case .unsigned(let value) = self { return value }
        return nil
    }

    var bool: Bool? {
        if case .bool(let value) = self { return value }
        return nil
    }

    var list: [DBusValue]? {
        if case .list(let values) = self { return values }
        return nil
    }
}

/// Why something on a bus did not work.
struct DBusError: Error, CustomStringConvertible, Equatable {
    var description: String

    init(_ description: String) { self.description = description }
}

/// Reads values as messages carry them in the byte order of little-endian machines.
///
/// Source of the format: D-Bus Specification 0.43, "Marshaling (Wire Format)".
struct DBusReader {
    private static let maximumDepth = 32

    let bytes: Bytes
    private(set) var position = 0

    /// Alignment counts from the beginning of `bytes`.
    init(_ bytes: Bytes) { self.bytes = bytes }

    mutating func align(_ boundary: Int) throws(DBusError) {
        position = (position + boundary - 1) & ~(boundary - 1)
        guard position <= bytes.count else { throw DBusError("a message ends early") }
    }

    private mutating func integer<Value: FixedWidthInteger>(_ type: Value.Type) throws(DBusError) -> Value {
        let size = MemoryLayout<Value>.size
        try align(size)
        guard bytes.count - position >= size else { throw DBusError("a message ends early") }
        defer { position += size }
        return Value(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: Value.self))
    }

    private mutating func text(_ length: Int) throws(DBusError) -> String {
        // A zero stands behind each text.
        guard length >= 0, length < bytes.count - position else { throw DBusError("a message ends early") }
        defer { position += length + 1 }
        return bytes.part(position..<(position + length)).string
    }

    /// The values of a whole signature.
    mutating func values(_ signature: String) throws(DBusError) -> [DBusValue] {
        let types = Array(signature.utf8)
        var index = 0
        var values: [DBusValue] = []
        while index < types.count { values.append(try value(types, &index, 0)) }
        return values
    }

    private mutating func value(
        _ types: [UInt8], _ index: inout Int, _ depth: Int
    ) throws(DBusError) -> DBusValue {
        guard index < types.count, depth < Self.maximumDepth else { throw DBusError("a signature is not one") }
        let type = types[index]
        index += 1
        switch type {
        case UInt8(ascii: "y"): return .unsigned(UInt64(try integer(UInt8.self)))
        case UInt8(ascii: "b"): return .bool(try integer(UInt32.self) != 0)
        case UInt8(ascii: "n"): return .signed(Int64(try integer(Int16.self)))
        case UInt8(ascii: "q"): return .unsigned(UInt64(try integer(UInt16.self)))
        case UInt8(ascii: "i"): return .signed(Int64(try integer(Int32.self)))
        case UInt8(ascii: "u"), UInt8(ascii: "h"): return .unsigned(UInt64(try integer(UInt32.self)))
        case UInt8(ascii: "x"): return .signed(try integer(Int64.self))
        case UInt8(ascii: "t"): return .unsigned(try integer(UInt64.self))
        case UInt8(ascii: "d"): return .double(Double(bitPattern: try integer(UInt64.self)))
        case UInt8(ascii: "s"), UInt8(ascii: "o"): return .string(try text(Int(try integer(UInt32.self))))
        case UInt8(ascii: "g"): return .string(try text(Int(try integer(UInt8.self))))
        case UInt8(ascii: "v"):
            let inner = Array(try text(Int(try integer(UInt8.self))).utf8)
            var start = 0
            return try value(inner, &start, depth + 1)
        case UInt8(ascii: "("), UInt8(ascii: "{"):
            try align(8)
            let end: UInt8 = type == UInt8(ascii: "(") ? UInt8(ascii: ")") : UInt8(ascii: "}")
            var members: [DBusValue] = []
            while index < types.count, types[index] != end { members.append(try value(types, &index, depth + 1)) }
            guard index < types.count else { throw DBusError("a signature is not one") }
            index += 1
            return .list(members)
        case UInt8(ascii: "a"): return try array(types, &index, depth)
        default: throw DBusError("a signature is not one")
        }
    }

    private mutating func array(
        _ types: [UInt8], _ index: inout Int, _ depth: Int
    ) throws(DBusError) -> DBusValue {
        let length = Int(try integer(UInt32.self))
        let element = index
        let after = try Self.end(types, from: element, depth)
        index = after
        try align(Self.alignment(types[element]))
        guard length <= bytes.count - position else { throw DBusError("a message ends early") }
        let end = position + length
        var members: [DBusValue] = []
        while position < end {
            let before = position
            var start = element
            members.append(try value(types, &start, depth + 1))
            guard position > before, position <= end else { throw DBusError("a list is longer than it says") }
        }
        return .list(members)
    }

    private static func alignment(_ type: UInt8) -> Int {
        switch type {
        case UInt8(ascii: "y"), UInt8(ascii: "g"), UInt8(ascii: "v"): 1
        case UInt8(ascii: "n"), UInt8(ascii: "q"): 2
        case UInt8(ascii: "x"), UInt8(ascii: "t"), UInt8(ascii: "d"), UInt8(ascii: "("), UInt8(ascii: "{"): 8
        default: 4
        }
    }

    /// Where the type that begins at `start` ends.
    private static func end(_ types: [UInt8], from start: Int, _ depth: Int) throws(DBusError) -> Int {
        guard start < types.count, depth < maximumDepth else { throw DBusError("a signature is not one") }
        let close: UInt8
        switch types[start] {
        case UInt8(ascii: "a"): return try end(types, from: start + 1, depth + 1)
        case UInt8(ascii: "("): close = UInt8(ascii: ")")
        case UInt8(ascii: "{"): close = UInt8(ascii: "}")
        default: return start + 1
        }
        var index = start + 1
        while index < types.count, types[index] != close { index = try end(types, from: index, depth + 1) }
        guard index < types.count else { throw DBusError("a signature is not one") }
        return index + 1
    }
}
