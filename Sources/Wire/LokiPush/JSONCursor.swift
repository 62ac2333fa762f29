/// A place in JSON text, moving forward only; reads what push requests consist of without building a tree.
///
/// RFC 8259, lenient where it does no harm: control characters in strings pass. Nesting is followed to a depth of 64.
struct JSONCursor {
    private let bytes: UnsafeRawBufferPointer
    private var index = 0

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    func failure(_ message: String) -> LokiPushError { .malformed("JSON at byte \(index): \(message)") }

    /// True when the next value is a string.
    var isAtString: Bool {
        mutating get {
            skipSpace()
            return peek == 0x22
        }
    }

    /// Reads an object, calling `member` with the cursor before each value, which it must read.
    mutating func object(
        _ member: (inout JSONCursor, JSONText) throws(LokiPushError) -> Void
    ) throws(LokiPushError) {
        try open(0x7B, "{")
        if try close(0x7D) { return }
        repeat {
            skipSpace()
            guard peek == 0x22 else { throw failure("expected a member name") }
            let key = try string()
            skipSpace()
            guard peek == 0x3A else { throw failure("expected `:`") }
            index += 1
            skipSpace()
            try member(&self, key)
        } while try !separated(by: 0x7D)
    }

    /// Reads an array, calling `element` with the cursor before each element, which it must read.
    mutating func array(
        _ element: (inout JSONCursor) throws(LokiPushError) -> Void
    ) throws(LokiPushError) {
        try open(0x5B, "[")
        if try close(0x5D) { return }
        repeat {
            skipSpace()
            try element(&self)
        } while try !separated(by: 0x5D)
    }

    /// Steps over a null; false, without moving, when the next value is something else.
    mutating func skipNull() throws(LokiPushError) -> Bool {
        skipSpace()
        guard peek == 0x6E else { return false }
        try skipScalar()
        return true
    }

    /// Reads a string, still escaped.
    mutating func string() throws(LokiPushError) -> JSONText {
        skipSpace()
        guard peek == 0x22 else { throw failure("expected a string") }
        index += 1
        let start = index
        var hasEscapes = false
        while true {
            guard let quote = bytes.firstIndex(of: 0x22, from: index) else {
                throw failure("unterminated string")
            }
            // A quote ends the string when an even number of backslashes stands before it.
            var backslashes = 0
            while quote - 1 - backslashes >= start, bytes[quote - 1 - backslashes] == 0x5C { backslashes += 1 }
            index = quote + 1
            if backslashes % 2 == 0 {
                let content = UnsafeRawBufferPointer(rebasing: bytes[start..<quote])
                hasEscapes = hasEscapes || content.firstIndex(of: 0x5C, from: 0) != nil
                return JSONText(bytes: content, hasEscapes: hasEscapes, offset: start)
            }
            hasEscapes = true
        }
    }

    /// Steps over a value and returns its text.
    mutating func rawValue() throws(LokiPushError) -> UnsafeRawBufferPointer {
        skipSpace()
        let start = index
        try skipValue()
        return UnsafeRawBufferPointer(rebasing: bytes[start..<index])
    }

    /// Steps over a value of any kind, without recursion.
    mutating func skipValue() throws(LokiPushError) {
        // One bit per open bracket: set for arrays.
        var kinds: UInt64 = 0
        var depth = 0
        repeat {
            skipSpace()
            guard let byte = peek else { throw failure("unexpected end") }
            switch byte {
            case 0x22: _ = try string()
            case 0x7B, 0x5B:
                guard depth < 64 else { throw failure("nested too deeply") }
                kinds = kinds << 1 | (byte == 0x5B ? 1 : 0)
                depth += 1
                index += 1
            case 0x7D, 0x5D:
                guard depth > 0, (kinds & 1 == 1) == (byte == 0x5D) else { throw failure("unexpected bracket") }
                kinds >>= 1
                depth -= 1
                index += 1
            case 0x2C, 0x3A:
                guard depth > 0 else { throw failure("unexpected `,` or `:`") }
                index += 1
            default: try skipScalar()
            }
        } while depth > 0
    }

    /// Steps over a number, true, false or null.
    private mutating func skipScalar() throws(LokiPushError) {
        let start = index
        while let byte = peek, Self.isScalarPart(byte) { index += 1 }
        let scalar = UnsafeRawBufferPointer(rebasing: bytes[start..<index])
        let isNumber = scalar.first.map { $0 == 0x2D || $0 >= 0x30 && $0 <= 0x39 } ?? false
        let text = JSONText(bytes: scalar, hasEscapes: false, offset: start)
        guard isNumber || text.equals("true") || text.equals("false") || text.equals("null") else {
            index = start
            throw failure("expected a value")
        }
    }

    private static func isScalarPart(_ byte: UInt8) -> Bool {
        (byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x7A || byte >= 0x30 && byte <= 0x39 || byte == 0x2B
            || byte == 0x2D || byte == 0x2E
    }

    private mutating func open(_ bracket: UInt8, _ name: String) throws(LokiPushError) {
        skipSpace()
        guard peek == bracket else { throw failure("expected `\(name)`") }
        index += 1
    }

    private mutating func close(_ bracket: UInt8) throws(LokiPushError) -> Bool {
        skipSpace()
        guard peek == bracket else { return false }
        index += 1
        return true
    }

    /// After an element: true when `bracket` closed the list, false when a comma promises another element.
    private mutating func separated(by bracket: UInt8) throws(LokiPushError) -> Bool {
        skipSpace()
        guard let byte = peek else { throw failure("unexpected end") }
        index += 1
        if byte == bracket { return true }
        guard byte == 0x2C else {
            index -= 1
            throw failure("expected `,` or a closing bracket")
        }
        return false
    }

    private mutating func skipSpace() {
        while let byte = peek, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { index += 1 }
    }

    @inline(__always)
    private var peek: UInt8? { index < bytes.count ? bytes[index] : nil }
}

/// The inside of a JSON string as it stands in the text.
struct JSONText {
    let bytes: UnsafeRawBufferPointer
    let hasEscapes: Bool
    /// Where it starts, for messages.
    let offset: Int

    func equals(_ text: StaticString) -> Bool {
        bytes.elementsEqual(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    func equalsIgnoringCase(_ text: StaticString) -> Bool {
        bytes.elementsEqual(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)) {
            ($0 >= 0x41 && $0 <= 0x5A ? $0 | 0x20 : $0) == $1
        }
    }

    /// The decimal integer it spells, if it does and 64 bits hold it.
    var integer: Int64? {
        let isNegative = bytes.first == 0x2D
        let digits = bytes.dropFirst(isNegative ? 1 : 0)
        guard !digits.isEmpty else { return nil }
        var value: Int64 = 0
        for byte in digits {
            guard byte >= 0x30, byte <= 0x39 else { return nil }
            let (scaled, overflow) = value.multipliedReportingOverflow(by: 10)
            let digit = Int64(byte - 0x30)
            let (sum, carry) =
                isNegative ? scaled.subtractingReportingOverflow(digit) : scaled.addingReportingOverflow(digit)
            guard !overflow, !carry else { return nil }
            value = sum
        }
        return value
    }

    /// Appends the text it stands for. A surrogate without its partner becomes U+FFFD.
    func unescape(into output: inout [UInt8]) throws(LokiPushError) {
        guard hasEscapes else {
            output.append(contentsOf: bytes)
            return
        }
        var index = 0
        while index < bytes.count {
            let escape = bytes.firstIndex(of: 0x5C, from: index) ?? bytes.count
            output.append(contentsOf: bytes[index..<escape])
            guard escape + 1 < bytes.count else { return }
            index = escape + 2
            switch bytes[escape + 1] {
            case 0x22: output.append(0x22)
            case 0x5C: output.append(0x5C)
            case 0x2F: output.append(0x2F)
            case 0x62: output.append(0x08)
            case 0x66: output.append(0x0C)
            case 0x6E: output.append(0x0A)
            case 0x72: output.append(0x0D)
            case 0x74: output.append(0x09)
            case 0x75: index = try unescapeUnicode(at: index, into: &output)
            default: throw .malformed("JSON at byte \(offset + escape): unknown escape")
            }
        }
    }

    private func unescapeUnicode(at start: Int, into output: inout [UInt8]) throws(LokiPushError) -> Int {
        let first = try unit(at: start)
        var index = start + 4
        if first & 0xFC00 == 0xD800, index + 6 <= bytes.count, bytes[index] == 0x5C, bytes[index + 1] == 0x75 {
            let second = try unit(at: index + 2)
            if second & 0xFC00 == 0xDC00 {
                index += 6
                let value = 0x10000 + ((first & 0x3FF) << 10 | (second & 0x3FF))
                UTF8Scanning.append(Unicode.Scalar(value) ?? "\u{FFFD}", to: &output)
                return index
            }
        }
        UTF8Scanning.append(Unicode.Scalar(first) ?? "\u{FFFD}", to: &output)
        return index
    }

    private func unit(at index: Int) throws(LokiPushError) -> UInt32 {
        guard index + 4 <= bytes.count else { throw .malformed("JSON at byte \(offset + index): short escape") }
        var value: UInt32 = 0
        for position in index..<index + 4 {
            let byte = bytes[position]
            switch byte {
            case 0x30...0x39: value = value << 4 | UInt32(byte - 0x30)
            case 0x61...0x66: value = value << 4 | UInt32(byte - 0x57)
            case 0x41...0x46: value = value << 4 | UInt32(byte - 0x37)
            default: throw .malformed("JSON at byte \(offset + position): invalid digit in an escape")
            }
        }
        return value
    }
}
