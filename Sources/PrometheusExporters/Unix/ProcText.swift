import Glibc
import TextFormats

/// Bytes of a file, valid until the call they were handed to returns.
typealias Bytes = UnsafeRawBufferPointer

extension UnsafeRawBufferPointer {
    /// The bytes as text, invalid sequences replaced.
    var string: String { String(decoding: self, as: UTF8.self) }

    func part(_ range: Range<Int>) -> Bytes { Bytes(rebasing: self[range]) }

    /// Without spaces and line ends around.
    var trimmed: Bytes {
        var start = 0
        var end = count
        while start < end, self[start] <= 32 { start += 1 }
        while end > start, self[end - 1] <= 32 { end -= 1 }
        return part(start..<end)
    }

    func starts(with text: StaticString) -> Bool {
        guard let base = baseAddress, count >= text.utf8CodeUnitCount else { return text.utf8CodeUnitCount == 0 }
        return memcmp(base, text.utf8Start, text.utf8CodeUnitCount) == 0
    }

    func equals(_ text: StaticString) -> Bool { count == text.utf8CodeUnitCount && starts(with: text) }

    func index(of byte: Unicode.Scalar) -> Int? {
        guard let base = baseAddress, count > 0 else { return nil }
        guard let found = memchr(base, Int32(byte.value), count) else { return nil }
        return UnsafeRawPointer(found) - base
    }

    /// The part before and behind the first `byte`.
    func cut(at byte: Unicode.Scalar) -> (Bytes, Bytes)? {
        index(of: byte).map { (part(0..<$0), part(($0 + 1)..<count)) }
    }

    /// A whole number without sign; nil when it is none or does not fit.
    var unsigned: UInt64? {
        if isEmpty { return nil }
        var value: UInt64 = 0
        for byte in self {
            guard byte >= 48, byte <= 57 else { return nil }
            let (scaled, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) = scaled.addingReportingOverflow(UInt64(byte - 48))
            if overflow || carry { return nil }
            value = sum
        }
        return value
    }

    /// A whole number with an optional sign.
    var integer: Int64? {
        if first == UInt8(ascii: "-") {
            guard let magnitude = part(1..<count).unsigned else { return nil }
            if magnitude == UInt64(Int64.max) + 1 { return .min }
            return Int64(exactly: magnitude).map { -$0 }
        }
        return unsigned.flatMap { Int64(exactly: $0) }
    }

    /// A hexadecimal number without prefix.
    var hexadecimal: UInt64? {
        if isEmpty || count > 16 { return nil }
        var value: UInt64 = 0
        for byte in self {
            let digit: UInt8
            switch byte {
            case 48...57: digit = byte - 48
            case 65...70: digit = byte - 55
            case 97...102: digit = byte - 87
            default: return nil
            }
            value = value << 4 | UInt64(digit)
        }
        return value
    }

    /// A number, whole or not.
    var number: Double? { unsigned.map { Double($0) } ?? DecimalParser.parse(self) }

    var lines: LineSequence { LineSequence(rest: self) }
    var fields: FieldSequence { FieldSequence(rest: self) }

    /// The first `limit` words in an array.
    func words(limit: Int = 64) -> [Bytes] {
        var words: [Bytes] = []
        for field in fields {
            words.append(field)
            if words.count == limit { break }
        }
        return words
    }
}

/// The lines of a file, without their ends.
struct LineSequence: Sequence, IteratorProtocol {
    var rest: Bytes

    mutating func next() -> Bytes? {
        if rest.isEmpty { return nil }
        guard let end = rest.index(of: "\n") else {
            defer { rest = rest.part(0..<0) }
            return rest
        }
        defer { rest = rest.part((end + 1)..<rest.count) }
        return rest.part(0..<end)
    }
}

/// The words of a line, between spaces and tabs.
struct FieldSequence: Sequence, IteratorProtocol {
    var rest: Bytes

    mutating func next() -> Bytes? {
        var start = 0
        while start < rest.count, rest[start] <= 32 { start += 1 }
        if start == rest.count { return nil }
        var end = start
        while end < rest.count, rest[end] > 32 { end += 1 }
        defer { rest = rest.part(end..<rest.count) }
        return rest.part(start..<end)
    }
}
