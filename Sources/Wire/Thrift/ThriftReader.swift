/// Why bytes are no Thrift.
package enum ThriftError: Error, Sendable, Equatable, CustomStringConvertible {
    case truncated
    case unknownType(UInt8)
    case tooDeep
    case tooMany
    case malformed(String)

    package var description: String {
        switch self {
        case .truncated: "the message ends early"
        case .unknownType(let type): "unknown type \(type)"
        case .tooDeep: "nested too deeply"
        case .tooMany: "more elements than bytes"
        case .malformed(let reason): reason
        }
    }
}

/// A value of Apache Thrift, as far as it can be told without its definition.
package enum ThriftValue: Sendable, Equatable {
    case bool(Bool)
    /// Any integer.
    case int(Int64)
    case double(Double)
    /// Text or bytes.
    case binary([UInt8])
    case list([ThriftValue])
    case map([(ThriftValue, ThriftValue)])
    case structure(ThriftStruct)

    package var int: Int64? { if case .int(let value) = self { value } else { nil } }
    package var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
    package var double: Double? { if case .double(let value) = self { value } else { nil } }
    package var bytes: [UInt8]? { if case .binary(let value) = self { value } else { nil } }
    package var string: String? { bytes.map { String(decoding: $0, as: UTF8.self) } }
    package var list: [ThriftValue]? { if case .list(let value) = self { value } else { nil } }
    package var structure: ThriftStruct? { if case .structure(let value) = self { value } else { nil } }

    package static func == (left: ThriftValue, right: ThriftValue) -> Bool {
        switch (left, right) {
        case (.bool(let a), .bool(let b)): a == b
        case (.int(let a), .int(let b)): a == b
        case (.double(let a), .double(let b)): a.bitPattern == b.bitPattern
        case (.binary(let a), .binary(let b)): a == b
        case (.list(let a), .list(let b)): a == b
        case (.map(let a), .map(let b)): a.elementsEqual(b) { $0 == $1 }
        case (.structure(let a), .structure(let b)): a == b
        default: false
        }
    }
}

/// The fields of a struct by number.
package struct ThriftStruct: Sendable, Equatable {
    package fileprivate(set) var fields: [(id: Int16, value: ThriftValue)] = []

    package init() {}

    package subscript(id: Int16) -> ThriftValue? { fields.last { $0.id == id }?.value }

    package static func == (left: ThriftStruct, right: ThriftStruct) -> Bool {
        left.fields.elementsEqual(right.fields) { $0 == $1 }
    }
}

/// Reads Thrift in one of its two usual encodings.
///
/// Apache Thrift, "Thrift Binary protocol encoding" and "Thrift Compact protocol encoding" (thrift/doc/specs). Every length is
/// checked against what is left, and an element takes at least a byte, so that a message makes no more than its size allows.
package struct ThriftReader {
    package enum Encoding: Sendable { case binary, compact }

    /// The head of a remote procedure call.
    package struct Call: Sendable, Equatable {
        package var name: String
        package var isReply: Bool
    }

    private static let maximumDepth = 32

    private let bytes: UnsafeRawBufferPointer
    private let encoding: Encoding
    private var position = 0

    package init(_ bytes: UnsafeRawBufferPointer, _ encoding: Encoding) {
        self.bytes = bytes
        self.encoding = encoding
    }

    package var isAtEnd: Bool { position >= bytes.count }
    private var left: Int { bytes.count - position }

    // MARK: Messages

    /// Reads the head of a call.
    package mutating func call() throws(ThriftError) -> Call {
        switch encoding {
        case .binary:
            let first = try fixed32()
            if Int32(bitPattern: first) < 0 {
                guard first >> 16 == 0x8001 else { throw .malformed("unknown version of the protocol") }
                let name = try text(Int(try fixed32()))
                _ = try fixed32()
                return Call(name: name, isReply: first & 0xFF != 1 && first & 0xFF != 4)
            }
            // The older form without a version.
            let name = try text(Int(first))
            let type = try byte()
            _ = try fixed32()
            return Call(name: name, isReply: type != 1 && type != 4)
        case .compact:
            guard try byte() == 0x82 else { throw .malformed("not the compact protocol") }
            let head = try byte()
            guard head & 0x1F == 1 else { throw .malformed("unknown version of the protocol") }
            _ = try varint()
            let name = try text(Int(clamping: try varint()))
            return Call(name: name, isReply: head >> 5 != 1 && head >> 5 != 4)
        }
    }

    /// Reads a struct.
    package mutating func structure() throws(ThriftError) -> ThriftStruct { try structure(depth: 0) }

    /// Reads a list on its own, as the body of a request.
    package mutating func list() throws(ThriftError) -> [ThriftValue] { try list(depth: 0) }

    // MARK: Values

    private enum Kind { case bool, byte, int16, int32, int64, double, binary, structure, list, map }

    private func kind(_ type: UInt8) throws(ThriftError) -> Kind {
        switch encoding {
        case .binary:
            switch type {
            case 2: return .bool
            case 3: return .byte
            case 4: return .double
            case 6: return .int16
            case 8: return .int32
            case 10: return .int64
            case 11: return .binary
            case 12: return .structure
            case 13: return .map
            case 14, 15: return .list
            default: throw .unknownType(type)
            }
        case .compact:
            switch type {
            case 1, 2: return .bool
            case 3: return .byte
            case 4: return .int16
            case 5: return .int32
            case 6: return .int64
            case 7: return .double
            case 8: return .binary
            case 9, 10: return .list
            case 11: return .map
            case 12: return .structure
            default: throw .unknownType(type)
            }
        }
    }

    private mutating func structure(depth: Int) throws(ThriftError) -> ThriftStruct {
        guard depth < Self.maximumDepth else { throw .tooDeep }
        var result = ThriftStruct()
        var last: Int16 = 0
        while true {
            let head = try byte()
            if head == 0 { return result }
            switch encoding {
            case .binary:
                let id = Int16(bitPattern: try fixed16())
                result.fields.append((id, try value(head, depth)))
            case .compact:
                let delta = head >> 4
                last = delta == 0 ? Int16(truncatingIfNeeded: try zigzag()) : last &+ Int16(delta)
                let type = head & 0x0F
                result.fields.append((last, type <= 2 ? .bool(type == 1) : try value(type, depth)))
            }
        }
    }

    private mutating func value(_ type: UInt8, _ depth: Int) throws(ThriftError) -> ThriftValue {
        switch try kind(type) {
        case .bool: return .bool(try byte() == 1)
        case .byte: return .int(Int64(Int8(bitPattern: try byte())))
        case .int16:
            return .int(encoding == .binary ? Int64(Int16(bitPattern: try fixed16())) : try zigzag())
        case .int32:
            return .int(encoding == .binary ? Int64(Int32(bitPattern: try fixed32())) : try zigzag())
        case .int64: return .int(encoding == .binary ? Int64(bitPattern: try fixed64()) : try zigzag())
        case .double:
            let bits = try fixed64()
            // The compact protocol writes them with the low byte first.
            return .double(Double(bitPattern: encoding == .binary ? bits : bits.byteSwapped))
        case .binary:
            return .binary(try take(encoding == .binary ? Int(try fixed32()) : Int(clamping: try varint())))
        case .structure: return .structure(try structure(depth: depth + 1))
        case .list: return .list(try list(depth: depth + 1))
        case .map: return .map(try map(depth: depth + 1))
        }
    }

    private mutating func list(depth: Int) throws(ThriftError) -> [ThriftValue] {
        guard depth < Self.maximumDepth else { throw .tooDeep }
        let type: UInt8
        let count: Int
        switch encoding {
        case .binary:
            type = try byte()
            count = Int(try fixed32())
        case .compact:
            let head = try byte()
            type = head & 0x0F
            count = head >> 4 == 15 ? Int(clamping: try varint()) : Int(head >> 4)
        }
        guard count <= left else { throw .tooMany }
        var elements: [ThriftValue] = []
        elements.reserveCapacity(min(count, 1024))
        for _ in 0..<count { elements.append(try value(type, depth)) }
        return elements
    }

    private mutating func map(depth: Int) throws(ThriftError) -> [(ThriftValue, ThriftValue)] {
        guard depth < Self.maximumDepth else { throw .tooDeep }
        let count: Int
        let types: (UInt8, UInt8)
        switch encoding {
        case .binary:
            types = (try byte(), try byte())
            count = Int(try fixed32())
        case .compact:
            count = Int(clamping: try varint())
            let both = count == 0 ? 0 : try byte()
            types = (both >> 4, both & 0x0F)
        }
        guard count <= left / 2 else { throw .tooMany }
        var entries: [(ThriftValue, ThriftValue)] = []
        for _ in 0..<count {
            let key = try value(types.0, depth)
            entries.append((key, try value(types.1, depth)))
        }
        return entries
    }

    // MARK: Bytes

    private mutating func byte() throws(ThriftError) -> UInt8 {
        guard position < bytes.count else { throw .truncated }
        defer { position += 1 }
        return bytes[position]
    }

    private mutating func take(_ count: Int) throws(ThriftError) -> [UInt8] {
        guard count <= left else { throw .truncated }
        defer { position += count }
        return Array(bytes[position..<(position + count)])
    }

    private mutating func text(_ count: Int) throws(ThriftError) -> String {
        String(decoding: try take(count), as: UTF8.self)
    }

    private mutating func fixed16() throws(ThriftError) -> UInt16 {
        guard left >= 2 else { throw .truncated }
        defer { position += 2 }
        return UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt16.self))
    }

    private mutating func fixed32() throws(ThriftError) -> UInt32 {
        guard left >= 4 else { throw .truncated }
        defer { position += 4 }
        return UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt32.self))
    }

    private mutating func fixed64() throws(ThriftError) -> UInt64 {
        guard left >= 8 else { throw .truncated }
        defer { position += 8 }
        return UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self))
    }

    private mutating func varint() throws(ThriftError) -> UInt64 {
        var result: UInt64 = 0
        for shift in stride(from: UInt64(0), through: 63, by: 7) {
            let next = try byte()
            result |= UInt64(next & 0x7F) << shift
            if next & 0x80 == 0 { return result }
        }
        throw .malformed("a number of more than 64 bits")
    }

    private mutating func zigzag() throws(ThriftError) -> Int64 { ProtobufReader.unzigzag(try varint()) }
}
