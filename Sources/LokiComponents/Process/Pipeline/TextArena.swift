import Glibc

/// A range of bytes in a ``TextArena``.
struct TextSlice: Sendable, Equatable {
    var offset: Int
    var length: Int

    static let empty = TextSlice(offset: 0, length: 0)

    var isEmpty: Bool { length == 0 }

    /// The part of this slice that begins `start` bytes in and is `count` long.
    @inline(__always)
    func part(_ start: Int, _ count: Int) -> TextSlice { TextSlice(offset: offset + start, length: count) }

    @inline(__always)
    func part(_ range: Range<Int>) -> TextSlice { part(range.lowerBound, range.count) }
}

/// The bytes of the entry being processed: its line and what stages extracted, one after another.
///
/// Grows only at the end, so slices stay good until ``truncate(to:)`` goes below them; pointers stay good until the next
/// append. The owner frees it.
struct TextArena: ~Copyable {
    private var base: UnsafeMutableRawPointer
    private var capacity: Int
    private(set) var count = 0

    /// Memory kept between entries; a longer one gives its own back.
    private static let keptCapacity = 1 << 20

    init() {
        capacity = 16 << 10
        base = .allocate(byteCount: capacity, alignment: 16)
    }

    deinit { base.deallocate() }

    /// Forgets what lies at or after `mark`.
    mutating func truncate(to mark: Int) {
        count = min(count, max(0, mark))
        if count == 0, capacity > Self.keptCapacity {
            base.deallocate()
            capacity = 16 << 10
            base = .allocate(byteCount: capacity, alignment: 16)
        }
    }

    /// The bytes of `slice`, valid until the next append.
    @inline(__always)
    func bytes(_ slice: TextSlice) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: base + slice.offset, count: slice.length)
    }

    func array(_ slice: TextSlice) -> [UInt8] { Array(bytes(slice)) }

    func string(_ slice: TextSlice) -> String { String(decoding: bytes(slice), as: UTF8.self) }

    /// Copies `source`, which may lie in this arena, to the end.
    @inline(__always)
    @discardableResult
    mutating func append(_ source: UnsafeRawBufferPointer) -> TextSlice {
        let length = source.count
        guard length > 0, let start = source.baseAddress else { return TextSlice(offset: count, length: 0) }
        let offset = count
        if capacity - count >= length {
            (base + offset).copyMemory(from: start, byteCount: length)
        } else {
            grow(adding: length, copying: start)
        }
        count = offset + length
        return TextSlice(offset: offset, length: length)
    }

    @discardableResult
    mutating func append(_ source: [UInt8]) -> TextSlice { source.withUnsafeBytes { append($0) } }

    @discardableResult
    mutating func append(_ text: String) -> TextSlice {
        var text = text
        return text.withUTF8 { append(UnsafeRawBufferPointer($0)) }
    }

    /// Copies a slice to the end.
    @discardableResult
    mutating func append(copying slice: TextSlice) -> TextSlice { append(bytes(slice)) }

    private mutating func grow(adding length: Int, copying source: UnsafeRawPointer) {
        let wanted = max(capacity * 2, count + length)
        let moved = UnsafeMutableRawPointer.allocate(byteCount: wanted, alignment: 16)
        moved.copyMemory(from: base, byteCount: count)
        // The source may lie in the old memory, so that goes last.
        (moved + count).copyMemory(from: source, byteCount: length)
        base.deallocate()
        base = moved
        capacity = wanted
    }
}

extension UnsafeRawBufferPointer {
    @inline(__always)
    func part(_ start: Int, _ count: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: self[start..<start + count])
    }

    @inline(__always)
    func equals(_ other: UnsafeRawBufferPointer) -> Bool {
        guard count == other.count else { return false }
        guard let left = baseAddress, let right = other.baseAddress else { return true }
        return memcmp(left, right, count) == 0
    }

    @inline(__always)
    func equals(_ other: [UInt8]) -> Bool { other.withUnsafeBytes { equals($0) } }

    @inline(__always)
    func index(of byte: UInt8, from start: Int = 0) -> Int? {
        guard start < count, let base = baseAddress else { return nil }
        guard let found = memchr(base + start, Int32(byte), count - start) else { return nil }
        return UnsafeRawPointer(found) - base
    }

    /// Where `needle` first stands at or after `start`.
    func index(of needle: UnsafeRawBufferPointer, from start: Int = 0) -> Int? {
        guard start >= 0, start <= count else { return nil }
        guard needle.count > 0, let wanted = needle.baseAddress else { return start }
        guard let base = baseAddress else { return nil }
        let first = Int32(needle[0])
        var index = start
        while count - index >= needle.count {
            guard let found = memchr(base + index, first, count - index - needle.count + 1) else { return nil }
            index = UnsafeRawPointer(found) - base
            if memcmp(base + index, wanted, needle.count) == 0 { return index }
            index += 1
        }
        return nil
    }

    var isValidUTF8: Bool {
        var index = 0
        while index + 8 <= count {
            if loadUnaligned(fromByteOffset: index, as: UInt64.self) & 0x8080_8080_8080_8080 != 0 { break }
            index += 8
        }
        while index < count, self[index] < 0x80 { index += 1 }
        if index == count { return true }
        return String(validating: UnsafeRawBufferPointer(rebasing: self[index...]), as: UTF8.self) != nil
    }

    var string: String { String(decoding: self, as: UTF8.self) }
}
