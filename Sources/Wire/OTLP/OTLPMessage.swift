import Glibc

/// One OTLP message (a span, a log record, a resource, a data point, ...) read in place and edited by field.
///
/// Loading notes where each field lies and copies nothing; a change puts the new field into memory of the message and
/// leaves the others where they are; writing copies fields. Fields unknown here stay. The object is reused: whatever it
/// hands out is valid until it is loaded again and as long as the bytes it was loaded from. Not for use by several tasks.
///
/// Reading a field that is missing gives zero or no bytes, as protobuf says; `has(_:)` tells the difference. Where a
/// single field occurs several times the last one counts.
package final class OTLPMessage {
    struct Slot {
        /// Field number and wire type as on the wire; 0 once removed.
        var tag: UInt32
        /// Bytes in front of the value: the tag, and the length of a delimited field.
        var headerCount: UInt32
        /// Bytes of tag, length and value.
        var totalCount: Int
        var start: UnsafeRawPointer

        @inline(__always)
        var field: Int { Int(tag >> 3) }
        @inline(__always)
        var isDelimited: Bool { tag & 7 == 2 }
        @inline(__always)
        var content: UnsafeRawBufferPointer {
            UnsafeRawBufferPointer(start: start + Int(headerCount), count: totalCount &- Int(headerCount))
        }
    }

    private(set) var slots: UnsafeMutablePointer<Slot>
    private(set) var slotCount = 0
    private var slotCapacity = 32
    private var arena = ByteArena(firstCapacity: 1024)
    private var scratch = ProtobufWriter(capacity: 64)

    package private(set) var shape = OTLPShape.other
    /// Whether anything was changed since loading.
    package internal(set) var isEdited = false

    package init() { slots = .allocate(capacity: slotCapacity) }

    deinit { slots.deallocate() }

    // MARK: Loading and writing

    /// Reads the fields of `content`, forgetting everything before.
    package func load(_ content: UnsafeRawBufferPointer, as shape: OTLPShape) throws(ProtobufError) {
        clear(as: shape)
        try append(content)
    }

    /// Starts an empty message.
    package func clear(as shape: OTLPShape) {
        self.shape = shape
        slotCount = 0
        isEdited = false
        arena.reset()
    }

    /// Loads the message in `field` of `parent`; an empty one when there is none. Several count as one, as in protobuf.
    func load(from parent: OTLPMessage, _ field: Int, as shape: OTLPShape) throws(ProtobufError) {
        clear(as: shape)
        for index in 0..<parent.slotCount where parent.slots[index].tag == UInt32(field << 3 | 2) {
            try append(parent.slots[index].content)
        }
    }

    private func append(_ content: UnsafeRawBufferPointer) throws(ProtobufError) {
        guard let base = content.baseAddress else { return }
        var reader = ProtobufReader(content)
        while true {
            let start = reader.position
            guard let tag = try reader.nextTag() else { return }
            var header = reader.position &- start
            if tag.type == .lengthDelimited {
                let value = try reader.rawBytes()
                header = reader.position &- start &- value.count
            } else {
                try reader.skip(tag)
            }
            appendSlot(
                Slot(
                    tag: UInt32(truncatingIfNeeded: tag.field << 3) | UInt32(tag.type.rawValue),
                    headerCount: UInt32(truncatingIfNeeded: header), totalCount: reader.position &- start,
                    start: base + start))
        }
    }

    @inline(__always)
    private func appendSlot(_ slot: Slot) {
        if slotCount == slotCapacity { growSlots() }
        slots[slotCount] = slot
        slotCount &+= 1
    }

    @inline(never)
    private func growSlots() {
        let larger = UnsafeMutablePointer<Slot>.allocate(capacity: slotCapacity * 2)
        larger.update(from: slots, count: slotCount)
        slots.deallocate()
        slots = larger
        slotCapacity *= 2
    }

    /// Bytes of the message as it is now.
    package var encodedCount: Int { encodedCount(except: 0) }

    func encodedCount(except field: Int) -> Int {
        var count = 0
        for index in 0..<slotCount where slots[index].tag != 0 && slots[index].field != field {
            count &+= slots[index].totalCount
        }
        return count
    }

    /// Writes the message to memory that has room for ``encodedCount`` bytes; neighbours are copied together.
    func write(to cursor: inout WriteCursor, except field: Int = 0) {
        var index = 0
        while index < slotCount {
            guard slots[index].tag != 0, slots[index].field != field else {
                index &+= 1
                continue
            }
            let start = slots[index].start
            var count = slots[index].totalCount
            index &+= 1
            while index < slotCount, slots[index].start == start + count, slots[index].tag != 0,
                slots[index].field != field
            {
                count &+= slots[index].totalCount
                index &+= 1
            }
            cursor.bytes(UnsafeRawBufferPointer(start: start, count: count))
        }
    }

    /// Appends the message's content to `writer`.
    package func write(to writer: inout ProtobufWriter) {
        let count = encodedCount
        var cursor = WriteCursor(writer.unwritten(count))
        write(to: &cursor)
        writer.advance(by: count)
    }

    /// The message's content as bytes of its own.
    package var encoded: [UInt8] {
        let count = encodedCount
        return [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            if let base = UnsafeMutableRawPointer(buffer.baseAddress) {
                var cursor = WriteCursor(base)
                write(to: &cursor)
            }
            initialized = count
        }
    }

    // MARK: Slots

    @inline(__always)
    func lastSlot(_ field: Int) -> Int? {
        var index = slotCount
        while index > 0 {
            index &-= 1
            if slots[index].tag >> 3 == UInt32(truncatingIfNeeded: field) { return index }
        }
        return nil
    }

    func removeSlot(_ index: Int) {
        slots[index].tag = 0
        isEdited = true
    }

    /// Memory for a field of `count` bytes of value: tag and length are written, the value is the caller's.
    private func makeDelimited(_ field: Int, _ count: Int) -> (slot: Slot, cursor: WriteCursor) {
        let tag = UInt64(field) << 3 | 2
        let header = ProtobufWriter.varintSize(tag) + ProtobufWriter.varintSize(UInt64(count))
        let memory = arena.allocate(header + count)
        var cursor = WriteCursor(memory)
        cursor.varint(tag)
        cursor.varint(UInt64(count))
        let slot = Slot(
            tag: UInt32(truncatingIfNeeded: tag), headerCount: UInt32(header), totalCount: header + count,
            start: UnsafeRawPointer(memory))
        return (slot, cursor)
    }

    /// Puts `slot` in the place of `index`, or behind all others.
    private func place(_ slot: Slot, at index: Int?) {
        if let index { slots[index] = slot } else { appendSlot(slot) }
        isEdited = true
    }

    /// Replaces the message in slot `index` (or adds one) with `message`.
    func place(_ message: OTLPMessage, field: Int, at index: Int?) {
        let made = makeDelimited(field, message.encodedCount)
        var cursor = made.cursor
        message.write(to: &cursor)
        place(made.slot, at: index)
    }

    /// Removes all but the last occurrence of a single field and returns where that is.
    private func uniqueSlot(_ field: Int) -> Int? {
        guard let last = lastSlot(field) else { return nil }
        for index in 0..<last where slots[index].field == field && slots[index].tag != 0 { slots[index].tag = 0 }
        return last
    }

    // MARK: Reading fields

    /// Whether the field is present.
    package func has(_ field: Int) -> Bool { lastSlot(field) != nil }

    /// The bytes of a string, bytes or message field.
    @inline(__always)
    package func bytes(_ field: Int) -> UnsafeRawBufferPointer {
        guard let index = lastSlot(field), slots[index].isDelimited else { return OTLPBytes.empty }
        return slots[index].content
    }

    /// A string field as text.
    package func string(_ field: Int) -> String { String(decoding: bytes(field), as: UTF8.self) }

    /// A `uint64`, `uint32`, `bool` or `enum` field.
    package func varint(_ field: Int) -> UInt64 {
        guard let index = lastSlot(field), slots[index].tag & 7 == 0 else { return 0 }
        var reader = ProtobufReader(slots[index].content)
        return (try? reader.varint()) ?? 0
    }

    package func bool(_ field: Int) -> Bool { varint(field) != 0 }

    /// A `fixed64` or `sfixed64` field.
    package func fixed64(_ field: Int) -> UInt64 {
        guard let index = lastSlot(field), slots[index].tag & 7 == 1 else { return 0 }
        return UInt64(
            littleEndian: slots[index].start.loadUnaligned(
                fromByteOffset: Int(slots[index].headerCount), as: UInt64.self))
    }

    package func double(_ field: Int) -> Double { Double(bitPattern: fixed64(field)) }

    /// A `fixed32` field.
    package func fixed32(_ field: Int) -> UInt32 {
        guard let index = lastSlot(field), slots[index].tag & 7 == 5 else { return 0 }
        return UInt32(
            littleEndian: slots[index].start.loadUnaligned(
                fromByteOffset: Int(slots[index].headerCount), as: UInt32.self))
    }

    /// A field of type `AnyValue`; nil when absent.
    package func value(_ field: Int) -> OTLPValue? {
        guard let index = lastSlot(field), slots[index].isDelimited else { return nil }
        return OTLPValue(content: slots[index].content)
    }

    /// The number of occurrences of a repeated message field.
    package func count(_ field: Int) -> Int {
        var count = 0
        for index in 0..<slotCount where slots[index].tag >> 3 == UInt32(field) { count &+= 1 }
        return count
    }

    /// Calls `body` with the content of each message in a repeated field.
    package func forEachMessage(_ field: Int, _ body: (UnsafeRawBufferPointer) throws -> Void) rethrows {
        for index in 0..<slotCount where slots[index].tag == UInt32(field << 3 | 2) { try body(slots[index].content) }
    }

    /// Calls `body` with each number of a repeated `fixed64` or `double` field (as bits), packed or not.
    package func forEachFixed64(_ field: Int, _ body: (UInt64) -> Void) {
        for index in 0..<slotCount where slots[index].tag >> 3 == UInt32(field) {
            guard slots[index].isDelimited || slots[index].tag & 7 == 1 else { continue }
            let content = slots[index].content
            var offset = 0
            while offset &+ 8 <= content.count {
                body(UInt64(littleEndian: content.loadUnaligned(fromByteOffset: offset, as: UInt64.self)))
                offset &+= 8
            }
        }
    }

    /// Calls `body` with each number of a repeated varint field, packed or not.
    package func forEachVarint(_ field: Int, _ body: (UInt64) -> Void) {
        for index in 0..<slotCount where slots[index].tag >> 3 == UInt32(field) {
            guard slots[index].isDelimited || slots[index].tag & 7 == 0 else { continue }
            var reader = ProtobufReader(slots[index].content)
            while !reader.isAtEnd, let value = try? reader.varint() { body(value) }
        }
    }

    // MARK: Changing fields

    /// Removes every occurrence of the field.
    package func remove(_ field: Int) {
        for index in 0..<slotCount where slots[index].tag >> 3 == UInt32(field) { removeSlot(index) }
    }

    /// Sets a string, bytes or message field; no bytes remove it.
    package func set(_ field: Int, bytes: UnsafeRawBufferPointer) {
        if bytes.isEmpty { return remove(field) }
        let made = makeDelimited(field, bytes.count)
        var cursor = made.cursor
        cursor.bytes(bytes)
        place(made.slot, at: uniqueSlot(field))
    }

    package func set(_ field: Int, string: String) {
        var string = string
        string.withUTF8 { set(field, bytes: UnsafeRawBufferPointer($0)) }
    }

    /// Sets a varint field; zero removes it, unless the field tells zero from nothing (`keepsZero`).
    package func set(_ field: Int, varint value: UInt64, keepsZero: Bool = false) {
        if value == 0, !keepsZero { return remove(field) }
        let tag = UInt64(field) << 3
        let header = ProtobufWriter.varintSize(tag)
        let total = header + ProtobufWriter.varintSize(value)
        let memory = arena.allocate(total)
        var cursor = WriteCursor(memory)
        cursor.varint(tag)
        cursor.varint(value)
        place(
            Slot(
                tag: UInt32(tag), headerCount: UInt32(header), totalCount: total, start: UnsafeRawPointer(memory)),
            at: uniqueSlot(field))
    }

    package func set(_ field: Int, bool value: Bool) { set(field, varint: value ? 1 : 0) }

    /// Sets a `fixed64`, `sfixed64` or `double` field; zero removes it unless `keepsZero`.
    package func set(_ field: Int, fixed64 value: UInt64, keepsZero: Bool = false) {
        if value == 0, !keepsZero { return remove(field) }
        let tag = UInt64(field) << 3 | 1
        let header = ProtobufWriter.varintSize(tag)
        let memory = arena.allocate(header + 8)
        var cursor = WriteCursor(memory)
        cursor.varint(tag)
        cursor.fixed64(value)
        place(
            Slot(
                tag: UInt32(tag), headerCount: UInt32(header), totalCount: header + 8,
                start: UnsafeRawPointer(memory)),
            at: uniqueSlot(field))
    }

    package func set(_ field: Int, double value: Double, keepsZero: Bool = false) {
        set(field, fixed64: value.bitPattern, keepsZero: keepsZero)
    }

    /// Sets a `fixed32` field; zero removes it.
    package func set(_ field: Int, fixed32 value: UInt32) {
        if value == 0 { return remove(field) }
        let tag = UInt64(field) << 3 | 5
        let header = ProtobufWriter.varintSize(tag)
        let memory = arena.allocate(header + 4)
        var cursor = WriteCursor(memory)
        cursor.varint(tag)
        cursor.pointer.storeBytes(of: value.littleEndian, as: UInt32.self)
        place(
            Slot(
                tag: UInt32(tag), headerCount: UInt32(header), totalCount: header + 4,
                start: UnsafeRawPointer(memory)),
            at: uniqueSlot(field))
    }

    /// Sets a field of type `AnyValue`.
    package func set(_ field: Int, value: OTLPValue) {
        let made = makeDelimited(field, value.contentCount)
        var cursor = made.cursor
        value.write(to: &cursor)
        place(made.slot, at: uniqueSlot(field))
    }

    package func set(_ field: Int, value: OTLPAnyValue) {
        withContent(of: value) { set(field, message: $0) }
    }

    /// Sets a message field, keeping it when the content is empty.
    package func set(_ field: Int, message content: UnsafeRawBufferPointer) {
        let made = makeDelimited(field, content.count)
        var cursor = made.cursor
        cursor.bytes(content)
        place(made.slot, at: uniqueSlot(field))
    }

    /// Adds one message to a repeated field.
    package func append(_ field: Int, message content: UnsafeRawBufferPointer) {
        let made = makeDelimited(field, content.count)
        var cursor = made.cursor
        cursor.bytes(content)
        place(made.slot, at: nil)
    }

    /// Keeps the messages of a repeated field for which `isIncluded` is true.
    package func filter(_ field: Int, _ isIncluded: (UnsafeRawBufferPointer) throws -> Bool) rethrows {
        for index in 0..<slotCount where slots[index].tag == UInt32(field << 3 | 2) {
            if try !isIncluded(slots[index].content) { removeSlot(index) }
        }
    }

    /// Replaces all numbers of a repeated `fixed64` or `double` field (given as bits).
    package func set(_ field: Int, packedFixed64 values: some Collection<UInt64>) {
        remove(field)
        if values.isEmpty { return }
        let made = makeDelimited(field, values.count * 8)
        var cursor = made.cursor
        for value in values { cursor.fixed64(value) }
        place(made.slot, at: nil)
    }

    /// Replaces all numbers of a repeated varint field.
    package func set(_ field: Int, packedVarints values: some Collection<UInt64>) {
        remove(field)
        if values.isEmpty { return }
        let made = makeDelimited(field, values.reduce(0) { $0 + ProtobufWriter.varintSize($1) })
        var cursor = made.cursor
        for value in values { cursor.varint(value) }
        place(made.slot, at: nil)
    }

    /// Calls `body` with the encoded content of `value`.
    func withContent(of value: OTLPAnyValue, _ body: (UnsafeRawBufferPointer) -> Void) {
        scratch.removeAll()
        value.encode(into: &scratch)
        // `body` copies into the arena and does not come back here, so that the scratch stays what it is.
        scratch.withBytes(body)
    }

    // MARK: Attributes

    /// The message's attributes.
    package var attributes: OTLPAttributes { OTLPAttributes(message: self, field: shape.attributesField) }

    /// Puts an attribute whose value's content is written by `write` into `contentCount` bytes.
    @inline(__always)
    func placeAttribute(
        _ field: Int, at index: Int?, key: UnsafeRawBufferPointer, contentCount: Int,
        _ write: (inout WriteCursor) -> Void
    ) {
        let entryCount =
            2 &+ ProtobufWriter.varintSize(UInt64(key.count)) &+ key.count
            &+ ProtobufWriter.varintSize(UInt64(contentCount)) &+ contentCount
        let made = makeDelimited(field, entryCount)
        var cursor = made.cursor
        cursor.delimited(0x0A, key)
        cursor.byte(0x12)
        cursor.varint(UInt64(contentCount))
        write(&cursor)
        place(made.slot, at: index)
    }
}
