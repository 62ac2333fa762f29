/// Why bytes are not a protobuf message, or not the one expected.
package enum ProtobufError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The bytes end inside a field.
    case truncated
    /// A varint longer than ten bytes or 64 bits.
    case malformedVarint
    /// Field number 0 or above 2^29-1, or a wire type that does not exist.
    case malformedTag
    /// A known field with a wire type that its definition does not allow.
    case unexpectedWireType(field: Int)
    /// More of something than the decoder's limit allows.
    case tooMany(String)
    /// A value outside what the message's definition allows.
    case invalid(String)

    package var description: String {
        switch self {
        case .truncated: "protobuf: unexpected end of message"
        case .malformedVarint: "protobuf: malformed varint"
        case .malformedTag: "protobuf: malformed field tag"
        case .unexpectedWireType(let field): "protobuf: unexpected wire type of field \(field)"
        case .tooMany(let what): "protobuf: too many \(what)"
        case .invalid(let what): "protobuf: invalid \(what)"
        }
    }
}

/// How a field's value is laid out.
package enum ProtobufWireType: UInt8, Sendable {
    case varint = 0
    case fixed64 = 1
    case lengthDelimited = 2
    case startGroup = 3
    case endGroup = 4
    case fixed32 = 5
}

/// A field's number and wire type.
package struct ProtobufTag: Sendable, Equatable {
    package var field: Int
    package var type: ProtobufWireType

    @inline(__always)
    package init(field: Int, type: ProtobufWireType) {
        self.field = field
        self.type = type
    }
}

/// Walks the fields of one protobuf message in place. Never reads outside its bytes, whatever they hold.
///
/// Encoding: protobuf.dev, "Encoding". Groups are skipped, up to a depth of 32. Bytes handed out point into the buffer
/// the reader was made of and are valid as long as that is. Use:
///
///     while let tag = try reader.nextTag() {
///         switch tag.field {
///         case 1: name = try reader.bytes(tag)
///         default: try reader.skip(tag)
///         }
///     }
package struct ProtobufReader {
    private let base: UnsafeRawPointer?
    private var offset: Int
    private let end: Int

    @inline(__always)
    package init(_ bytes: UnsafeRawBufferPointer) {
        base = bytes.baseAddress
        offset = 0
        end = bytes.count
    }

    package var isAtEnd: Bool { offset >= end }

    /// Bytes read so far: where the next field begins.
    package var position: Int { offset }

    /// The tag of the next field, or nil at the end of the message.
    @inline(__always)
    package mutating func nextTag() throws(ProtobufError) -> ProtobufTag? {
        guard offset < end else { return nil }
        let raw = try varint()
        guard raw <= UInt64(UInt32.max), raw >= 8, let type = ProtobufWireType(rawValue: UInt8(raw & 7)) else {
            throw .malformedTag
        }
        return ProtobufTag(field: Int(raw >> 3), type: type)
    }

    // MARK: Values of a tagged field

    @inline(__always)
    package mutating func uint64(_ tag: ProtobufTag) throws(ProtobufError) -> UInt64 {
        guard tag.type == .varint else { throw .unexpectedWireType(field: tag.field) }
        return try varint()
    }

    /// An `int64` (or `int32`, `enum`): two's complement, not zigzag.
    @inline(__always)
    package mutating func int64(_ tag: ProtobufTag) throws(ProtobufError) -> Int64 {
        Int64(bitPattern: try uint64(tag))
    }

    /// An `int32` or `enum`; higher bits are cut off, as protobuf says.
    package mutating func int32(_ tag: ProtobufTag) throws(ProtobufError) -> Int32 {
        Int32(truncatingIfNeeded: try int64(tag))
    }

    package mutating func uint32(_ tag: ProtobufTag) throws(ProtobufError) -> UInt32 {
        UInt32(truncatingIfNeeded: try uint64(tag))
    }

    package mutating func bool(_ tag: ProtobufTag) throws(ProtobufError) -> Bool { try uint64(tag) != 0 }

    /// A `sint64`: zigzag.
    package mutating func sint64(_ tag: ProtobufTag) throws(ProtobufError) -> Int64 {
        Self.unzigzag(try uint64(tag))
    }

    /// A `sint32`: zigzag.
    package mutating func sint32(_ tag: ProtobufTag) throws(ProtobufError) -> Int32 {
        Int32(truncatingIfNeeded: Self.unzigzag(UInt64(UInt32(truncatingIfNeeded: try uint64(tag)))))
    }

    @inline(__always)
    package mutating func fixed64(_ tag: ProtobufTag) throws(ProtobufError) -> UInt64 {
        guard tag.type == .fixed64 else { throw .unexpectedWireType(field: tag.field) }
        return try rawFixed64()
    }

    package mutating func fixed32(_ tag: ProtobufTag) throws(ProtobufError) -> UInt32 {
        guard tag.type == .fixed32 else { throw .unexpectedWireType(field: tag.field) }
        return try rawFixed32()
    }

    @inline(__always)
    package mutating func double(_ tag: ProtobufTag) throws(ProtobufError) -> Double {
        Double(bitPattern: try fixed64(tag))
    }

    package mutating func float(_ tag: ProtobufTag) throws(ProtobufError) -> Float {
        Float(bitPattern: try fixed32(tag))
    }

    /// The bytes of a `bytes`, `string`, message or packed field.
    @inline(__always)
    package mutating func bytes(_ tag: ProtobufTag) throws(ProtobufError) -> UnsafeRawBufferPointer {
        guard tag.type == .lengthDelimited else { throw .unexpectedWireType(field: tag.field) }
        return try rawBytes()
    }

    /// A reader of an embedded message.
    @inline(__always)
    package mutating func message(_ tag: ProtobufTag) throws(ProtobufError) -> ProtobufReader {
        ProtobufReader(try bytes(tag))
    }

    /// A string; invalid UTF-8 is repaired.
    package mutating func string(_ tag: ProtobufTag) throws(ProtobufError) -> String {
        String(decoding: try bytes(tag), as: UTF8.self)
    }

    /// Calls `body` for each element of a repeated varint field, packed or not.
    package mutating func forEachVarint(
        _ tag: ProtobufTag, _ body: (UInt64) throws(ProtobufError) -> Void
    ) throws(ProtobufError) {
        guard tag.type == .lengthDelimited else { return try body(try uint64(tag)) }
        var packed = ProtobufReader(try rawBytes())
        while !packed.isAtEnd { try body(try packed.varint()) }
    }

    /// Calls `body` for each element of a repeated `double` field, packed or not.
    package mutating func forEachDouble(
        _ tag: ProtobufTag, _ body: (Double) throws(ProtobufError) -> Void
    ) throws(ProtobufError) {
        guard tag.type == .lengthDelimited else { return try body(try double(tag)) }
        var packed = ProtobufReader(try rawBytes())
        while !packed.isAtEnd { try body(Double(bitPattern: try packed.rawFixed64())) }
    }

    /// Steps over the value of `tag`.
    package mutating func skip(_ tag: ProtobufTag) throws(ProtobufError) { try skip(tag, depth: 0) }

    private mutating func skip(_ tag: ProtobufTag, depth: Int) throws(ProtobufError) {
        switch tag.type {
        case .varint: _ = try varint()
        case .fixed64: _ = try rawFixed64()
        case .fixed32: _ = try rawFixed32()
        case .lengthDelimited: _ = try rawBytes()
        case .endGroup: throw .malformedTag
        case .startGroup:
            guard depth < 32 else { throw .tooMany("nested groups") }
            while true {
                guard let inner = try nextTag() else { throw .truncated }
                if inner.type == .endGroup {
                    guard inner.field == tag.field else { throw .malformedTag }
                    return
                }
                try skip(inner, depth: depth + 1)
            }
        }
    }

    // MARK: Bare values

    /// A varint without a tag, as in length-prefixed streams and packed fields.
    @inline(__always)
    package mutating func varint() throws(ProtobufError) -> UInt64 {
        guard offset < end, let base else { throw .truncated }
        let first = base.load(fromByteOffset: offset, as: UInt8.self)
        if first < 0x80 {
            offset &+= 1
            return UInt64(first)
        }
        return try longVarint(base)
    }

    private mutating func longVarint(_ base: UnsafeRawPointer) throws(ProtobufError) -> UInt64 {
        var result: UInt64 = 0
        var shift: UInt64 = 0
        while offset < end {
            let byte = base.load(fromByteOffset: offset, as: UInt8.self)
            offset &+= 1
            if shift == 63, byte > 1 { throw .malformedVarint }
            result |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return result }
            shift &+= 7
            if shift > 63 { throw .malformedVarint }
        }
        throw .truncated
    }

    /// A length and that many bytes, without a tag.
    @inline(__always)
    package mutating func rawBytes() throws(ProtobufError) -> UnsafeRawBufferPointer {
        let length = try varint()
        guard length <= UInt64(end &- offset) else { throw .truncated }
        let slice = UnsafeRawBufferPointer(start: base.map { $0 + offset }, count: Int(length))
        offset &+= Int(length)
        return slice
    }

    @inline(__always)
    package mutating func rawFixed64() throws(ProtobufError) -> UInt64 {
        guard end &- offset >= 8, let base else { throw .truncated }
        defer { offset &+= 8 }
        return UInt64(littleEndian: base.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }

    package mutating func rawFixed32() throws(ProtobufError) -> UInt32 {
        guard end &- offset >= 4, let base else { throw .truncated }
        defer { offset &+= 4 }
        return UInt32(littleEndian: base.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }

    @inline(__always)
    package static func unzigzag(_ value: UInt64) -> Int64 {
        Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1)
    }
}
