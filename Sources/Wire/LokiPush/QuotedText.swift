/// Where and why a quoted string is not valid.
struct QuotedTextError: Error {
    var offset: Int
    var message: String
}

/// Strings in quotes with the escapes of Go and PromQL.
enum QuotedText {
    /// Appends the content of the string that starts with its quote at `start` and returns the index after its end.
    static func unquote(
        _ text: UnsafeRawBufferPointer, at start: Int, into output: inout [UInt8]
    ) throws(QuotedTextError) -> Int {
        let quote = text[start]
        var index = start + 1
        var plainStart = index
        while index < text.count {
            let byte = text[index]
            if byte == quote {
                output.append(contentsOf: text[plainStart..<index])
                return index + 1
            }
            if quote == 0x60 {
                index += 1
                continue
            }
            if byte == 0x0A { throw QuotedTextError(offset: index, message: "line break in a quoted string") }
            guard byte == 0x5C else {
                index += 1
                continue
            }
            output.append(contentsOf: text[plainStart..<index])
            index = try unescape(text, at: index + 1, quote: quote, into: &output)
            plainStart = index
        }
        throw QuotedTextError(offset: start, message: "unterminated quoted string")
    }

    /// Appends what the escape after the backslash stands for and returns the index after it.
    private static func unescape(
        _ text: UnsafeRawBufferPointer, at index: Int, quote: UInt8, into output: inout [UInt8]
    ) throws(QuotedTextError) -> Int {
        guard index < text.count else { throw QuotedTextError(offset: index, message: "unterminated escape") }
        let byte = text[index]
        switch byte {
        case 0x61: output.append(0x07)
        case 0x62: output.append(0x08)
        case 0x66: output.append(0x0C)
        case 0x6E: output.append(0x0A)
        case 0x72: output.append(0x0D)
        case 0x74: output.append(0x09)
        case 0x76: output.append(0x0B)
        case 0x5C: output.append(0x5C)
        case quote: output.append(quote)
        case 0x78:
            output.append(UInt8(truncatingIfNeeded: try digits(text, at: index + 1, count: 2, radix: 16)))
            return index + 3
        case 0x75, 0x55:
            let count = byte == 0x75 ? 4 : 8
            let value = try digits(text, at: index + 1, count: count, radix: 16)
            guard let scalar = Unicode.Scalar(value) else {
                throw QuotedTextError(offset: index, message: "escape of an invalid character")
            }
            UTF8Scanning.append(scalar, to: &output)
            return index + 1 + count
        case 0x30...0x37:
            let value = try digits(text, at: index, count: 3, radix: 8)
            guard value < 256 else { throw QuotedTextError(offset: index, message: "octal escape above 255") }
            output.append(UInt8(truncatingIfNeeded: value))
            return index + 3
        default: throw QuotedTextError(offset: index, message: "unknown escape")
        }
        return index + 1
    }

    private static func digits(
        _ text: UnsafeRawBufferPointer, at index: Int, count: Int, radix: UInt32
    ) throws(QuotedTextError) -> UInt32 {
        guard index + count <= text.count else {
            throw QuotedTextError(offset: index, message: "unterminated escape")
        }
        var value: UInt32 = 0
        for offset in index..<index + count {
            let byte = text[offset]
            let digit: UInt32
            switch byte {
            case 0x30...0x39: digit = UInt32(byte) - 0x30
            case 0x61...0x66: digit = UInt32(byte) - 0x57
            case 0x41...0x46: digit = UInt32(byte) - 0x37
            default: digit = .max
            }
            guard digit < radix else { throw QuotedTextError(offset: offset, message: "invalid digit in an escape") }
            // Eight hexadecimal digits fill the 32 bits exactly.
            value = value &* radix &+ digit
        }
        return value
    }
}
