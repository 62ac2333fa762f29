/// Reads single characters out of bytes.
enum UTF8Decoding {
    /// The character at `index` and its length; no character and length 1 where the bytes are not UTF-8.
    static func scalar(in bytes: [UInt8], at index: Int) -> (scalar: Unicode.Scalar?, length: Int) {
        let first = bytes[index]
        if first < 0x80 { return (Unicode.Scalar(first), 1) }
        let length: Int
        var value: UInt32
        let smallest: UInt32
        switch first {
        case 0xC2...0xDF: (length, value, smallest) = (2, UInt32(first & 0x1F), 0x80)
        case 0xE0...0xEF: (length, value, smallest) = (3, UInt32(first & 0x0F), 0x800)
        case 0xF0...0xF4: (length, value, smallest) = (4, UInt32(first & 0x07), 0x10000)
        default: return (nil, 1)
        }
        guard bytes.count - index >= length else { return (nil, 1) }
        for position in 1..<length {
            let byte = bytes[index + position]
            guard byte & 0xC0 == 0x80 else { return (nil, 1) }
            value = value << 6 | UInt32(byte & 0x3F)
        }
        guard value >= smallest, let scalar = Unicode.Scalar(value) else { return (nil, 1) }
        return (scalar, length)
    }
}

extension UInt8 {
    /// Whether the byte is an ASCII letter or `_`.
    var isIdentifierStart: Bool {
        let lower = self | 0x20
        return (lower >= UInt8(ascii: "a") && lower <= UInt8(ascii: "z")) || self == UInt8(ascii: "_")
    }

    /// Whether the byte is an ASCII digit.
    var isDigit: Bool { self >= UInt8(ascii: "0") && self <= UInt8(ascii: "9") }
}

extension Unicode.Scalar {
    /// Whether an identifier may begin with the character: `_` and the Unicode letters.
    var isAlloyLetter: Bool {
        if value < 0x80 { return UInt8(value).isIdentifierStart }
        switch properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: return true
        default: return false
        }
    }

    /// Whether an identifier may go on with the character though it may not begin with it: the decimal digits.
    var isAlloyDigit: Bool {
        value < 0x80 ? UInt8(value).isDigit : properties.generalCategory == .decimalNumber
    }

    /// `U+0023 '#'`, without the character when it cannot be shown.
    var unicodeNotation: String {
        let digits = String(value, radix: 16, uppercase: true)
        let padded = String(repeating: "0", count: max(0, 4 - digits.utf8.count)) + digits
        return isPrintable ? "U+\(padded) '\(self)'" : "U+\(padded)"
    }
}
