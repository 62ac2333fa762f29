/// The value of an attribute or the body of a log record, read in place.
///
/// Bytes, lists and maps point into what they were read from and are valid as long as that is: within a walk, until the
/// next record of the same level. ``OTLPAnyValue`` keeps.
package enum OTLPValue {
    case empty
    case string(UnsafeRawBufferPointer)
    case bool(Bool)
    case int(Int64)
    case double(Double)
    case array(OTLPList)
    case map(OTLPMap)
    case bytes(UnsafeRawBufferPointer)

    /// Reads the content of an `AnyValue` message. What is not one counts as empty.
    @inline(__always)
    package init(content: UnsafeRawBufferPointer) {
        var reader = ProtobufReader(content)
        self = .empty
        while let tag = try? reader.nextTag() {
            switch (tag.field, tag.type) {
            case (1, .lengthDelimited):
                guard let text = try? reader.rawBytes() else { return }
                self = .string(text)
            case (2, .varint):
                guard let value = try? reader.varint() else { return }
                self = .bool(value != 0)
            case (3, .varint):
                guard let value = try? reader.varint() else { return }
                self = .int(Int64(bitPattern: value))
            case (4, .fixed64):
                guard let value = try? reader.rawFixed64() else { return }
                self = .double(Double(bitPattern: value))
            case (5, .lengthDelimited):
                guard let list = try? reader.rawBytes() else { return }
                self = .array(OTLPList(content: list))
            case (6, .lengthDelimited):
                guard let map = try? reader.rawBytes() else { return }
                self = .map(OTLPMap(content: map))
            case (7, .lengthDelimited):
                guard let bytes = try? reader.rawBytes() else { return }
                self = .bytes(bytes)
            default:
                guard (try? reader.skip(tag)) != nil else { return }
            }
        }
    }

    /// The bytes of a string; nil for any other kind.
    package var stringBytes: UnsafeRawBufferPointer? {
        if case .string(let text) = self { return text }
        return nil
    }

    /// A string as text; nil for any other kind.
    package var string: String? { stringBytes.map { String(decoding: $0, as: UTF8.self) } }

    /// The value below this one at `path`; nil when there is none or this is no list or map.
    package func value(at path: some Sequence<OTLPPathStep>) -> OTLPValue? {
        var value = self
        for step in path {
            switch (step, value) {
            case (.key(let key), .map(let map)):
                guard let next = map[key] else { return nil }
                value = next
            case (.index(let index), .array(let list)):
                guard let next = list[index] else { return nil }
                value = next
            default: return nil
            }
        }
        return value
    }

    /// Bytes of the content of the `AnyValue` message.
    var contentCount: Int {
        switch self {
        case .empty: 0
        case .bool: 2
        case .int(let value): 1 + ProtobufWriter.varintSize(UInt64(bitPattern: value))
        case .double: 9
        case .string(let bytes), .bytes(let bytes):
            1 + ProtobufWriter.varintSize(UInt64(bytes.count)) + bytes.count
        case .array(let list): 1 + ProtobufWriter.varintSize(UInt64(list.content.count)) + list.content.count
        case .map(let map): 1 + ProtobufWriter.varintSize(UInt64(map.content.count)) + map.content.count
        }
    }

    /// Writes the content of the `AnyValue` message; there is room for ``contentCount`` bytes.
    func write(to cursor: inout WriteCursor) {
        switch self {
        case .empty: break
        case .bool(let value):
            cursor.byte(0x10)
            cursor.byte(value ? 1 : 0)
        case .int(let value):
            cursor.byte(0x18)
            cursor.varint(UInt64(bitPattern: value))
        case .double(let value):
            cursor.byte(0x21)
            cursor.fixed64(value.bitPattern)
        case .string(let bytes): cursor.delimited(0x0A, bytes)
        case .array(let list): cursor.delimited(0x2A, list.content)
        case .map(let map): cursor.delimited(0x32, map.content)
        case .bytes(let bytes): cursor.delimited(0x3A, bytes)
        }
    }
}

/// One step into a nested value.
package enum OTLPPathStep: Sendable, Hashable {
    case key(OTLPKey)
    case index(Int)
}

/// A list of values, read in place.
package struct OTLPList {
    /// The content of an `ArrayValue` message.
    package let content: UnsafeRawBufferPointer

    package init(content: UnsafeRawBufferPointer) { self.content = content }

    /// The number of elements; walks the list.
    package var count: Int {
        var count = 0
        forEach { _ in count += 1 }
        return count
    }

    /// The element at `index`; nil outside the list.
    package subscript(index: Int) -> OTLPValue? {
        var position = 0
        var reader = ProtobufReader(content)
        while let tag = try? reader.nextTag() {
            guard tag.field == 1, tag.type == .lengthDelimited, let value = try? reader.rawBytes() else {
                guard (try? reader.skip(tag)) != nil else { return nil }
                continue
            }
            if position == index { return OTLPValue(content: value) }
            position += 1
        }
        return nil
    }

    package func forEach(_ body: (OTLPValue) throws -> Void) rethrows {
        var reader = ProtobufReader(content)
        while let tag = try? reader.nextTag() {
            guard tag.field == 1, tag.type == .lengthDelimited, let value = try? reader.rawBytes() else {
                guard (try? reader.skip(tag)) != nil else { return }
                continue
            }
            try body(OTLPValue(content: value))
        }
    }
}

/// A map of values, read in place, in the order it came.
package struct OTLPMap {
    /// The content of a `KeyValueList` message.
    package let content: UnsafeRawBufferPointer

    package init(content: UnsafeRawBufferPointer) { self.content = content }

    /// The number of entries; walks the map.
    package var count: Int {
        var count = 0
        forEach { _, _ in count += 1 }
        return count
    }

    package subscript(key: OTLPKey) -> OTLPValue? { value(of: key.bytes) }

    /// The value of the first entry named `key`.
    package func value(of key: UnsafeRawBufferPointer) -> OTLPValue? {
        var reader = ProtobufReader(content)
        while let tag = try? reader.nextTag() {
            guard tag.field == 1, tag.type == .lengthDelimited, let entry = try? reader.rawBytes() else {
                guard (try? reader.skip(tag)) != nil else { return nil }
                continue
            }
            if OTLPBytes.equal(OTLPKeyValue.key(of: entry), key) { return OTLPKeyValue(content: entry).value }
        }
        return nil
    }

    package func forEach(_ body: (_ key: UnsafeRawBufferPointer, _ value: OTLPValue) throws -> Void) rethrows {
        var reader = ProtobufReader(content)
        while let tag = try? reader.nextTag() {
            guard tag.field == 1, tag.type == .lengthDelimited, let entry = try? reader.rawBytes() else {
                guard (try? reader.skip(tag)) != nil else { return }
                continue
            }
            let pair = OTLPKeyValue(content: entry)
            try body(pair.key, pair.value)
        }
    }
}

/// An attribute, read in place.
package struct OTLPKeyValue {
    package let key: UnsafeRawBufferPointer
    /// The content of the `AnyValue`; nil when the attribute has none.
    package let valueContent: UnsafeRawBufferPointer?

    package var value: OTLPValue { valueContent.map { OTLPValue(content: $0) } ?? .empty }

    /// Reads the content of a `KeyValue` message.
    @inline(__always)
    package init(content: UnsafeRawBufferPointer) {
        var reader = ProtobufReader(content)
        var key = OTLPBytes.empty
        var value: UnsafeRawBufferPointer?
        while let tag = try? reader.nextTag() {
            guard tag.type == .lengthDelimited, let bytes = try? reader.rawBytes() else {
                guard (try? reader.skip(tag)) != nil else { break }
                continue
            }
            if tag.field == 1 { key = bytes } else if tag.field == 2 { value = bytes }
        }
        self.key = key
        valueContent = value
    }

    /// The key alone; for the usual order of fields it is a few comparisons.
    @inline(__always)
    static func key(of content: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        if content.count >= 2, content[0] == 0x0A {
            let length = Int(content[1])
            let end = 2 &+ length
            if length < 0x80, end <= content.count, end == content.count || content[end] == 0x12 {
                return UnsafeRawBufferPointer(rebasing: content[2..<end])
            }
        }
        return OTLPKeyValue(content: content).key
    }
}

/// Writes into memory that was measured before.
struct WriteCursor {
    var pointer: UnsafeMutableRawPointer

    init(_ pointer: UnsafeMutableRawPointer) { self.pointer = pointer }

    @inline(__always)
    mutating func byte(_ value: UInt8) {
        pointer.storeBytes(of: value, as: UInt8.self)
        pointer += 1
    }

    @inline(__always)
    mutating func varint(_ value: UInt64) { pointer += ProtobufWriter.store(value, at: pointer) }

    @inline(__always)
    mutating func fixed64(_ value: UInt64) {
        pointer.storeBytes(of: value.littleEndian, as: UInt64.self)
        pointer += 8
    }

    @inline(__always)
    mutating func bytes(_ bytes: UnsafeRawBufferPointer) {
        guard let source = bytes.baseAddress else { return }
        pointer.copyMemory(from: source, byteCount: bytes.count)
        pointer += bytes.count
    }

    /// A tag of one byte, a length and the bytes.
    @inline(__always)
    mutating func delimited(_ tag: UInt8, _ content: UnsafeRawBufferPointer) {
        byte(tag)
        varint(UInt64(content.count))
        bytes(content)
    }
}
