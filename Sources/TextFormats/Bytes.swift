import Glibc

extension String {
    /// Calls `body` with the UTF-8 bytes, copying only when the text has no flat storage.
    @inline(__always)
    func withBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
        if let result = try utf8.withContiguousStorageIfAvailable({ try body(UnsafeRawBufferPointer($0)) }) {
            return result
        }
        var copy = self
        return try copy.withUTF8 { try body(UnsafeRawBufferPointer($0)) }
    }
}

extension UnsafeRawBufferPointer {
    @inline(__always)
    func sliced(_ range: Range<Int>) -> UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: self[range]) }

    /// The bytes as text, invalid sequences replaced.
    var text: String { String(decoding: self, as: UTF8.self) }

    func equals(_ other: [UInt8]) -> Bool {
        count == other.count
            && other.withUnsafeBytes {
                memcmp($0.baseAddress ?? Self.anywhere, baseAddress ?? Self.anywhere, count) == 0
            }
    }

    private static var anywhere: UnsafeRawPointer { UnsafeRawPointer(bitPattern: 1).unsafelyUnwrapped }

    func firstIndex(of byte: UInt8, from start: Int) -> Int? {
        guard start < count, let base = baseAddress else { return nil }
        guard let found = memchr(base + start, Int32(byte), count - start) else { return nil }
        return UnsafeRawPointer(found) - base
    }
}

/// UTF-8 as Go reads it: each byte that is not part of a well-formed sequence stands for U+FFFD on its own.
enum UTF8Bytes {
    /// Length and scalar of the sequence at `index`, or nil (one invalid byte).
    @inline(__always)
    static func decode(_ bytes: UnsafeRawBufferPointer, at index: Int) -> (length: Int, scalar: UInt32)? {
        let first = bytes[index]
        if first < 0x80 { return (1, UInt32(first)) }
        func next(_ distance: Int) -> UInt32? {
            guard index + distance < bytes.count else { return nil }
            let byte = bytes[index + distance]
            return byte & 0xC0 == 0x80 ? UInt32(byte & 0x3F) : nil
        }
        if first >= 0xC2, first < 0xE0, let second = next(1) { return (2, UInt32(first & 0x1F) << 6 | second) }
        if first >= 0xE0, first < 0xF0, let second = next(1), let third = next(2) {
            let scalar = UInt32(first & 0x0F) << 12 | second << 6 | third
            if scalar < 0x800 || (scalar >= 0xD800 && scalar < 0xE000) { return nil }
            return (3, scalar)
        }
        if first >= 0xF0, first < 0xF5, let second = next(1), let third = next(2), let fourth = next(3) {
            let scalar = UInt32(first & 0x07) << 18 | second << 12 | third << 6 | fourth
            return scalar < 0x10000 || scalar > 0x10FFFF ? nil : (4, scalar)
        }
        return nil
    }

    /// Bytes to step over at `index`: a whole sequence, or one invalid byte.
    @inline(__always)
    static func width(_ bytes: UnsafeRawBufferPointer, at index: Int) -> Int { decode(bytes, at: index)?.length ?? 1 }

    static func isASCII(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var index = 0
        while index + 8 <= bytes.count {
            let word = bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            if word & 0x8080_8080_8080_8080 != 0 { return false }
            index += 8
        }
        while index < bytes.count {
            if bytes[index] >= 0x80 { return false }
            index += 1
        }
        return true
    }

    static func isValid(_ bytes: UnsafeRawBufferPointer) -> Bool {
        if isASCII(bytes) { return true }
        var index = 0
        while index < bytes.count {
            guard let step = decode(bytes, at: index) else { return false }
            index += step.length
        }
        return true
    }

    static func append(_ scalar: UInt32, to output: inout [UInt8]) {
        let value = Unicode.Scalar(scalar) ?? "\u{FFFD}"
        output.append(contentsOf: UTF8.encode(value) ?? UTF8.encodedReplacementCharacter)
    }

    static func append(_ scalar: Unicode.Scalar, to output: inout [UInt8]) { append(scalar.value, to: &output) }
}
