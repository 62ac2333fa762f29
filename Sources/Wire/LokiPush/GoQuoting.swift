/// Text in double quotes as Go's `strconv.Quote` writes it: what Loki label strings and position keys are made of.
package enum GoQuoting {
    /// Appends `bytes` in quotes. Invalid UTF-8 becomes `\xNN`, characters that do not print become escapes.
    package static func append(_ bytes: UnsafeRawBufferPointer, to output: inout [UInt8]) {
        output.append(0x22)
        var plainStart = 0
        var index = 0
        while index < bytes.count {
            let byte = bytes[index]
            if byte >= 0x20, byte < 0x7F, byte != 0x22, byte != 0x5C {
                index += 1
                continue
            }
            output.append(contentsOf: bytes[plainStart..<index])
            index += appendSpecial(bytes, index, to: &output)
            plainStart = index
        }
        output.append(contentsOf: bytes[plainStart..<index])
        output.append(0x22)
    }

    /// Appends the character at `index`, which is not plain ASCII, and returns its length in bytes.
    private static func appendSpecial(_ bytes: UnsafeRawBufferPointer, _ index: Int, to output: inout [UInt8]) -> Int {
        let byte = bytes[index]
        if byte < 0x80 {
            appendASCII(byte, to: &output)
            return 1
        }
        guard let (scalar, length) = UTF8Scanning.scalar(in: bytes, at: index) else {
            appendHex(UInt32(byte), digits: 2, prefix: 0x78, to: &output)
            return 1
        }
        if isPrintable(scalar) {
            output.append(contentsOf: bytes[index..<index + length])
        } else if scalar.value < 0x10000 {
            appendHex(scalar.value, digits: 4, prefix: 0x75, to: &output)
        } else {
            appendHex(scalar.value, digits: 8, prefix: 0x55, to: &output)
        }
        return length
    }

    private static func appendASCII(_ byte: UInt8, to output: inout [UInt8]) {
        let letter: UInt8
        switch byte {
        case 0x22, 0x5C: letter = byte
        case 0x07: letter = 0x61
        case 0x08: letter = 0x62
        case 0x0C: letter = 0x66
        case 0x0A: letter = 0x6E
        case 0x0D: letter = 0x72
        case 0x09: letter = 0x74
        case 0x0B: letter = 0x76
        default:
            appendHex(UInt32(byte), digits: 2, prefix: 0x78, to: &output)
            return
        }
        output.append(0x5C)
        output.append(letter)
    }

    private static func appendHex(_ value: UInt32, digits: Int, prefix: UInt8, to output: inout [UInt8]) {
        output.append(0x5C)
        output.append(prefix)
        for position in stride(from: digits - 1, through: 0, by: -1) {
            let digit = UInt8(truncatingIfNeeded: value >> UInt32(position * 4)) & 0xF
            output.append(digit < 10 ? 0x30 + digit : 0x57 + digit)
        }
    }

    /// Go's `unicode.IsPrint` for characters beyond ASCII: letters, marks, numbers, punctuation and symbols.
    private static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .spaceSeparator, .lineSeparator,
            .paragraphSeparator:
            false
        default: true
        }
    }
}

/// Decoding of single UTF-8 characters from raw bytes.
enum UTF8Scanning {
    /// The character whose encoding starts at `index`, with its length, or nil when the bytes are not valid UTF-8.
    static func scalar(in bytes: UnsafeRawBufferPointer, at index: Int) -> (Unicode.Scalar, Int)? {
        let first = bytes[index]
        let length: Int
        let minimum: UInt32
        var value: UInt32
        switch first {
        case 0x00...0x7F: return (Unicode.Scalar(first), 1)
        case 0xC2...0xDF: (length, minimum, value) = (2, 0x80, UInt32(first & 0x1F))
        case 0xE0...0xEF: (length, minimum, value) = (3, 0x800, UInt32(first & 0x0F))
        case 0xF0...0xF4: (length, minimum, value) = (4, 0x10000, UInt32(first & 0x07))
        default: return nil
        }
        guard index + length <= bytes.count else { return nil }
        for offset in 1..<length {
            let byte = bytes[index + offset]
            guard byte & 0xC0 == 0x80 else { return nil }
            value = value << 6 | UInt32(byte & 0x3F)
        }
        guard value >= minimum, let scalar = Unicode.Scalar(value) else { return nil }
        return (scalar, length)
    }

    /// Appends `scalar` as UTF-8.
    static func append(_ scalar: Unicode.Scalar, to output: inout [UInt8]) {
        output.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
    }
}
