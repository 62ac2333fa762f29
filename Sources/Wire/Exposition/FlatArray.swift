import Essentials
import Glibc

/// A growable buffer of plain values with one owner.
///
/// What the scrape loop appends to and reads per sample, without the uniqueness and exclusivity checks of `Array`. Safe
/// to send: it cannot be copied, so whoever has it is alone with its memory, and its elements are plain values.
struct FlatArray<Element: BitwiseCopyable & Sendable>: ~Copyable, @unchecked Sendable {
    /// The first element; anything may be read and written below `count`. Changes when the array grows.
    private(set) var base: UnsafeMutablePointer<Element>
    private(set) var count = 0
    private var capacity: Int

    init(capacity: Int = 0) {
        self.capacity = max(capacity, 1)
        base = Self.allocate(self.capacity)
    }

    deinit { free(base) }

    var byteCount: Int { capacity * MemoryLayout<Element>.stride }
    var isEmpty: Bool { count == 0 }
    var bytes: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: base, count: count * MemoryLayout<Element>.stride)
    }
    var elements: UnsafeBufferPointer<Element> { UnsafeBufferPointer(start: base, count: count) }

    @inline(__always)
    subscript(index: Int) -> Element {
        get {
            precondition(index >= 0 && index < count, "index outside the array")
            return base[index]
        }
        set {
            precondition(index >= 0 && index < count, "index outside the array")
            base[index] = newValue
        }
    }

    @inline(__always)
    mutating func append(_ element: Element) {
        if count == capacity { grow(to: count + 1) }
        base[count] = element
        count &+= 1
    }

    mutating func append(contentsOf source: UnsafeBufferPointer<Element>) {
        guard let start = source.baseAddress, source.count > 0 else { return }
        if capacity - count < source.count { grow(to: count + source.count) }
        (base + count).update(from: start, count: source.count)
        count += source.count
    }

    mutating func append(repeating element: Element, count additional: Int) {
        if capacity - count < additional { grow(to: count + additional) }
        (base + count).update(repeating: element, count: additional)
        count += additional
    }

    mutating func reserve(_ total: Int) {
        if capacity < total { grow(to: total) }
    }

    mutating func removeAll() { count = 0 }

    mutating func truncate(to newCount: Int) {
        if newCount < count { count = max(0, newCount) }
    }

    @inline(never)
    private mutating func grow(to needed: Int) {
        let newCapacity = max(needed, capacity * 2, 16)
        // Large ones grow in place, where copying would need both sizes for a moment.
        base = Self.allocate(newCapacity, replacing: base)
        capacity = newCapacity
    }

    private static func allocate(
        _ capacity: Int, replacing old: UnsafeMutablePointer<Element>? = nil
    ) -> UnsafeMutablePointer<Element> {
        let (size, overflows) = capacity.multipliedReportingOverflow(by: MemoryLayout<Element>.stride)
        guard !overflows, let memory = realloc(old, size) else { preconditionFailure("out of memory") }
        return memory.bindMemory(to: Element.self, capacity: capacity)
    }
}

extension FlatArray where Element == UInt8 {
    mutating func append(contentsOf source: UnsafeRawBufferPointer) {
        append(contentsOf: source.bindMemory(to: UInt8.self))
    }

    /// The bytes of `range` as a buffer, valid until the array changes.
    func slice(_ offset: Int, _ length: Int) -> UnsafeRawBufferPointer {
        precondition(offset >= 0 && length >= 0 && offset <= count - length, "slice outside the array")
        return UnsafeRawBufferPointer(start: base + offset, count: length)
    }
}

/// Comparison and checks of raw bytes.
enum ByteText {
    @inline(__always)
    static func equal(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Bool {
        guard a.count == b.count else { return false }
        guard let left = a.baseAddress, let right = b.baseAddress else { return true }
        return memcmp(left, right, a.count) == 0
    }

    static func equal(_ a: UnsafeRawBufferPointer, _ text: StaticString) -> Bool {
        equal(a, UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    static func hasSuffix(_ a: UnsafeRawBufferPointer, _ text: StaticString) -> Bool {
        let length = text.utf8CodeUnitCount
        guard a.count >= length, let base = a.baseAddress else { return false }
        return memcmp(base + (a.count - length), text.utf8Start, length) == 0
    }

    /// The index behind the last line feed of `[start, end)`, nil when there is none.
    static func endOfLastLine(_ bytes: UnsafePointer<UInt8>, _ start: Int, _ end: Int) -> Int? {
        var index = end
        while index > start {
            if bytes[index &- 1] == 10 { return index }
            index &-= 1
        }
        return nil
    }

    static func hash(_ text: String) -> UInt64 {
        var text = text
        return text.withUTF8 { ByteHash.hash(UnsafeRawBufferPointer($0)) }
    }

    /// True when `bytes` is well-formed UTF-8.
    static func isUTF8(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var index = 0
        let count = bytes.count
        while index < count {
            if index &+ 8 <= count,
                bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self) & 0x8080_8080_8080_8080 == 0
            {
                index &+= 8
                continue
            }
            let first = bytes[index]
            if first < 0x80 {
                index &+= 1
                continue
            }
            guard let length = sequenceLength(bytes, index, first) else { return false }
            index &+= length
        }
        return true
    }

    private static func sequenceLength(_ bytes: UnsafeRawBufferPointer, _ index: Int, _ first: UInt8) -> Int? {
        func continuation(_ distance: Int, _ range: ClosedRange<UInt8> = 0x80...0xBF) -> Bool {
            index + distance < bytes.count && range.contains(bytes[index + distance])
        }
        switch first {
        case 0xC2...0xDF: return continuation(1) ? 2 : nil
        case 0xE0: return continuation(1, 0xA0...0xBF) && continuation(2) ? 3 : nil
        case 0xED: return continuation(1, 0x80...0x9F) && continuation(2) ? 3 : nil
        case 0xE1...0xEF: return continuation(1) && continuation(2) ? 3 : nil
        case 0xF0: return continuation(1, 0x90...0xBF) && continuation(2) && continuation(3) ? 4 : nil
        case 0xF1...0xF3: return continuation(1) && continuation(2) && continuation(3) ? 4 : nil
        case 0xF4: return continuation(1, 0x80...0x8F) && continuation(2) && continuation(3) ? 4 : nil
        default: return nil
        }
    }

    /// The bytes as text for a message: at most `limit` of them, printable.
    static func excerpt(_ bytes: UnsafeRawBufferPointer, limit: Int = 80) -> String {
        let shown = String(decoding: bytes.prefix(limit), as: UTF8.self)
        var text = "\""
        for scalar in shown.unicodeScalars {
            switch scalar {
            case "\n": text += "\\n"
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            default: text.unicodeScalars.append(scalar.value < 0x20 ? "\u{FFFD}" : scalar)
            }
        }
        return text + (bytes.count > limit ? "...\"" : "\"")
    }
}
