/// Why bytes are no MessagePack.
package enum MessagePackError: Error, Sendable, Equatable, CustomStringConvertible {
    /// More bytes are needed.
    case truncated
    case tooDeep
    case malformed(String)

    package var description: String {
        switch self {
        case .truncated: "the message ends early"
        case .tooDeep: "nested too deeply"
        case .malformed(let reason): reason
        }
    }
}

/// A value of MessagePack.
package enum MessagePackValue: Sendable, Equatable {
    case null
    case bool(Bool)
    case int(Int64)
    /// Above what a signed number can hold.
    case uint(UInt64)
    case double(Double)
    case string([UInt8])
    case binary([UInt8])
    case array([MessagePackValue])
    case map([Entry])
    case extended(type: Int8, [UInt8])

    package struct Entry: Sendable, Equatable {
        package var key: MessagePackValue
        package var value: MessagePackValue
    }

    /// The bytes of text or of bytes, which older writers do not tell apart.
    package var bytes: [UInt8]? {
        switch self {
        case .string(let bytes), .binary(let bytes): bytes
        default: nil
        }
    }

    package var string: String? { bytes.map { String(decoding: $0, as: UTF8.self) } }
}

/// Reads MessagePack (msgpack/msgpack, `spec.md`).
///
/// An element takes at least a byte, so that a message makes no more of itself than its size allows.
package struct MessagePackReader {
    /// Each level is up to three messages of OTLP, which may be nested a hundred deep.
    static let maximumDepth = 28

    private let bytes: UnsafeRawBufferPointer
    package private(set) var position = 0

    package init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    package var isAtEnd: Bool { position >= bytes.count }
    private var left: Int { bytes.count - position }

    /// Reads the next value.
    package mutating func value() throws(MessagePackError) -> MessagePackValue { try value(depth: 0) }

    /// What stands at a position: a length to take, elements to read, or a value that is whole.
    private enum Head {
        case value(MessagePackValue)
        case string(Int), binary(Int), extended(Int)
        case array(Int), map(Int)
    }

    private mutating func head() throws(MessagePackError) -> Head {
        let first = try byte()
        switch first {
        case 0x00...0x7F: return .value(.int(Int64(first)))
        case 0x80...0x8F: return .map(Int(first & 0x0F))
        case 0x90...0x9F: return .array(Int(first & 0x0F))
        case 0xA0...0xBF: return .string(Int(first & 0x1F))
        case 0xC0: return .value(.null)
        case 0xC2: return .value(.bool(false))
        case 0xC3: return .value(.bool(true))
        case 0xC4, 0xC5, 0xC6: return .binary(Int(try number(1 << (first - 0xC4))))
        case 0xC7, 0xC8, 0xC9: return .extended(Int(try number(1 << (first - 0xC7))))
        case 0xCA: return .value(.double(Double(Float(bitPattern: UInt32(try number(4))))))
        case 0xCB: return .value(.double(Double(bitPattern: try number(8))))
        case 0xCC, 0xCD, 0xCE, 0xCF:
            let value = try number(1 << (first - 0xCC))
            return .value(Int64(exactly: value).map { .int($0) } ?? .uint(value))
        case 0xD0: return .value(.int(Int64(Int8(truncatingIfNeeded: try number(1)))))
        case 0xD1: return .value(.int(Int64(Int16(truncatingIfNeeded: try number(2)))))
        case 0xD2: return .value(.int(Int64(Int32(truncatingIfNeeded: try number(4)))))
        case 0xD3: return .value(.int(Int64(bitPattern: try number(8))))
        case 0xD4...0xD8: return .extended(1 << Int(first - 0xD4))
        case 0xD9, 0xDA, 0xDB: return .string(Int(try number(1 << (first - 0xD9))))
        case 0xDC, 0xDD: return .array(Int(try number(2 << (first - 0xDC))))
        case 0xDE, 0xDF: return .map(Int(try number(2 << (first - 0xDE))))
        case 0xE0...0xFF: return .value(.int(Int64(Int8(bitPattern: first))))
        default: throw .malformed("byte 0xC1 is never used")
        }
    }

    private mutating func value(depth: Int) throws(MessagePackError) -> MessagePackValue {
        guard depth < Self.maximumDepth else { throw .tooDeep }
        switch try head() {
        case .value(let value): return value
        case .string(let count): return .string(try take(count))
        case .binary(let count): return .binary(try take(count))
        case .extended(let count):
            let type = Int8(bitPattern: try byte())
            return .extended(type: type, try take(count))
        case .array(let count):
            guard count <= left else { throw .truncated }
            var elements: [MessagePackValue] = []
            elements.reserveCapacity(min(count, 1024))
            for _ in 0..<count { elements.append(try value(depth: depth + 1)) }
            return .array(elements)
        case .map(let count):
            guard count <= left / 2 else { throw .truncated }
            var entries: [MessagePackValue.Entry] = []
            entries.reserveCapacity(min(count, 1024))
            for _ in 0..<count {
                let key = try value(depth: depth + 1)
                entries.append(MessagePackValue.Entry(key: key, value: try value(depth: depth + 1)))
            }
            return .map(entries)
        }
    }

    private mutating func advance(_ count: Int) throws(MessagePackError) {
        guard count <= left else { throw .truncated }
        position += count
    }

    private mutating func byte() throws(MessagePackError) -> UInt8 {
        guard position < bytes.count else { throw .truncated }
        defer { position += 1 }
        return bytes[position]
    }

    private mutating func take(_ count: Int) throws(MessagePackError) -> [UInt8] {
        let start = position
        try advance(count)
        return Array(bytes[start..<position])
    }

    private mutating func number(_ count: UInt8) throws(MessagePackError) -> UInt64 {
        var value: UInt64 = 0
        for _ in 0..<count { value = value << 8 | UInt64(try byte()) }
        return value
    }
}
