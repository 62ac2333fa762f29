import Glibc

/// Writes protobuf messages into one growing buffer that is reused: ``removeAll()`` keeps the memory.
///
/// Encoding: protobuf.dev, "Encoding". Fields are written as given, zero values too: leaving them out where the message's
/// definition allows is the caller's choice. Owns its memory and is not copyable; ``withBytes(_:)`` lends it.
package struct ProtobufWriter: ~Copyable {
    private var base: UnsafeMutableRawPointer
    private var capacity: Int
    /// Bytes written.
    package private(set) var count = 0

    package init(capacity: Int = 1024) {
        self.capacity = max(capacity, 64)
        base = .allocate(byteCount: self.capacity, alignment: 16)
    }

    deinit { base.deallocate() }

    package var isEmpty: Bool { count == 0 }

    /// Forgets the content and keeps the memory.
    package mutating func removeAll() { count = 0 }

    /// Cuts the content back to its first `newCount` bytes.
    package mutating func truncate(to newCount: Int) {
        precondition(newCount >= 0 && newCount <= count, "truncation beyond the content")
        count = newCount
    }

    /// Gives memory above `limit` bytes back; empties the writer. For after an unusually large message.
    package mutating func shrink(to limit: Int) {
        count = 0
        guard capacity > limit else { return }
        base.deallocate()
        capacity = max(limit, 64)
        base = .allocate(byteCount: capacity, alignment: 16)
    }

    /// Calls `body` with everything written; the bytes are valid until it returns.
    package borrowing func withBytes<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(UnsafeRawBufferPointer(start: base, count: count))
    }

    /// A copy of everything written.
    package var bytes: [UInt8] { withBytes { Array($0) } }

    /// Makes room for `additional` bytes.
    @inline(__always)
    package mutating func reserve(_ additional: Int) {
        if capacity &- count < additional { grow(additional) }
    }

    @inline(never)
    private mutating func grow(_ additional: Int) {
        let newCapacity = max(capacity * 2, count + additional)
        let larger = UnsafeMutableRawPointer.allocate(byteCount: newCapacity, alignment: 16)
        larger.copyMemory(from: base, byteCount: count)
        base.deallocate()
        base = larger
        capacity = newCapacity
    }

    /// The writer's own memory from ``count`` on, for writing `additional` bytes at most. Follow with ``advance(by:)``.
    @inline(__always)
    mutating func unwritten(_ additional: Int) -> UnsafeMutableRawPointer {
        reserve(additional)
        return base + count
    }

    /// Adds the first `written` bytes of ``unwritten(_:)`` to the content.
    @inline(__always)
    mutating func advance(by written: Int) {
        precondition(written <= capacity &- count, "more written than there was room for")
        count &+= written
    }

    // MARK: Bare values

    @inline(__always)
    package mutating func appendByte(_ byte: UInt8) {
        reserve(1)
        base.storeBytes(of: byte, toByteOffset: count, as: UInt8.self)
        count &+= 1
    }

    @inline(__always)
    package mutating func append(_ bytes: UnsafeRawBufferPointer) {
        guard let source = bytes.baseAddress else { return }
        reserve(bytes.count)
        memcpy(base + count, source, bytes.count)
        count &+= bytes.count
    }

    @inline(__always)
    package mutating func appendVarint(_ value: UInt64) {
        reserve(10)
        count &+= Self.store(value, at: base + count)
    }

    @inline(__always)
    package mutating func appendFixed64(_ value: UInt64) {
        reserve(8)
        base.storeBytes(of: value.littleEndian, toByteOffset: count, as: UInt64.self)
        count &+= 8
    }

    @inline(__always)
    package mutating func appendFixed32(_ value: UInt32) {
        reserve(4)
        base.storeBytes(of: value.littleEndian, toByteOffset: count, as: UInt32.self)
        count &+= 4
    }

    @inline(__always)
    package mutating func appendTag(_ field: Int, _ type: ProtobufWireType) {
        appendVarint(UInt64(truncatingIfNeeded: field) << 3 | UInt64(type.rawValue))
    }

    // MARK: Fields

    /// A `uint64`, `uint32`, `bool` or `enum` field.
    package mutating func field(_ number: Int, varint value: UInt64) {
        appendTag(number, .varint)
        appendVarint(value)
    }

    /// An `int64` or `int32` field: two's complement.
    package mutating func field(_ number: Int, int64 value: Int64) {
        field(number, varint: UInt64(bitPattern: value))
    }

    /// A `sint64` or `sint32` field: zigzag.
    package mutating func field(_ number: Int, sint64 value: Int64) { field(number, varint: Self.zigzag(value)) }

    package mutating func field(_ number: Int, bool value: Bool) { field(number, varint: value ? 1 : 0) }

    package mutating func field(_ number: Int, double value: Double) {
        appendTag(number, .fixed64)
        appendFixed64(value.bitPattern)
    }

    package mutating func field(_ number: Int, fixed64 value: UInt64) {
        appendTag(number, .fixed64)
        appendFixed64(value)
    }

    package mutating func field(_ number: Int, fixed32 value: UInt32) {
        appendTag(number, .fixed32)
        appendFixed32(value)
    }

    /// A `bytes`, `string` or message field from bytes that are ready.
    package mutating func field(_ number: Int, bytes: UnsafeRawBufferPointer) {
        appendTag(number, .lengthDelimited)
        appendVarint(UInt64(bytes.count))
        append(bytes)
    }

    package mutating func field(_ number: Int, string: String) {
        var string = string
        string.withUTF8 { field(number, bytes: UnsafeRawBufferPointer($0)) }
    }

    /// A message field (or packed field) of unknown size: everything written until ``endMessage(_:)`` belongs to it.
    ///
    /// Costs a move of the content when it turns out longer than 127 bytes; where sizes are known, write tag and length.
    package mutating func beginMessage(_ number: Int) -> Mark {
        appendTag(number, .lengthDelimited)
        appendByte(0)
        return Mark(start: count)
    }

    /// Closes what ``beginMessage(_:)`` opened. Marks are closed in reverse order of opening.
    package mutating func endMessage(_ mark: consuming Mark) {
        let length = count - mark.start
        precondition(length >= 0, "message closed after a truncation before its start")
        let prefix = Self.varintSize(UInt64(length))
        if prefix > 1 {
            reserve(prefix - 1)
            memmove(base + mark.start + prefix - 1, base + mark.start, length)
            count += prefix - 1
        }
        _ = Self.store(UInt64(length), at: base + mark.start - 1)
    }

    /// An open message.
    package struct Mark {
        fileprivate let start: Int
    }

    // MARK: Sizes

    /// Bytes of `value` as a varint, 1 to 10.
    @inline(__always)
    package static func varintSize(_ value: UInt64) -> Int {
        // (bits * 9 + 64) / 64 is ceil(bits / 7) for 1...64 bits.
        ((64 &- (value | 1).leadingZeroBitCount) &* 9 &+ 64) >> 6
    }

    @inline(__always)
    package static func zigzag(_ value: Int64) -> UInt64 { UInt64(bitPattern: (value << 1) ^ (value >> 63)) }

    /// Writes `value` as a varint at `pointer`, which has room for it, and returns its size.
    @inline(__always)
    static func store(_ value: UInt64, at pointer: UnsafeMutableRawPointer) -> Int {
        var rest = value
        var size = 0
        while rest >= 0x80 {
            pointer.storeBytes(of: UInt8(truncatingIfNeeded: rest) | 0x80, toByteOffset: size, as: UInt8.self)
            rest >>= 7
            size &+= 1
        }
        pointer.storeBytes(of: UInt8(truncatingIfNeeded: rest), toByteOffset: size, as: UInt8.self)
        return size &+ 1
    }
}
