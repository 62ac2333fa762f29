/// Strings quoted as Go's `strconv.Quote` does.
package enum GoQuote {
    /// `text` between double quotes, control characters and what is not printable escaped.
    package static func quote(_ text: String) -> String {
        var output: [UInt8] = []
        text.withBytes { append($0, quote: UInt8(ascii: "\""), ascii: false, to: &output) }
        return String(decoding: output, as: UTF8.self)
    }

    static func append(
        _ bytes: UnsafeRawBufferPointer, quote: UInt8, ascii: Bool, to output: inout [UInt8]
    ) {
        output.append(quote)
        var index = 0
        while index < bytes.count {
            if let (length, scalar) = UTF8Bytes.decode(bytes, at: index) {
                append(scalar, quote: quote, ascii: ascii, to: &output)
                index += length
            } else {
                output.append(contentsOf: Array("\\x".utf8))
                appendHex(UInt32(bytes[index]), digits: 2, to: &output)
                index += 1
            }
        }
        output.append(quote)
    }

    static func append(_ value: UInt32, quote: UInt8, ascii: Bool, to output: inout [UInt8]) {
        let simple: [UInt32: Unicode.Scalar] = [7: "a", 8: "b", 12: "f", 10: "n", 13: "r", 9: "t", 11: "v"]
        if value == UInt32(quote) || value == 0x5C {
            output.append(0x5C)
            output.append(UInt8(truncatingIfNeeded: value))
        } else if isPrintable(value), !ascii || value < 0x80 {
            UTF8Bytes.append(value, to: &output)
        } else if value < 0x20, let letter = simple[value] {
            output.append(0x5C)
            UTF8Bytes.append(letter, to: &output)
        } else if value < 0x20 || value == 0x7F {
            output.append(contentsOf: Array("\\x".utf8))
            appendHex(value, digits: 2, to: &output)
        } else {
            output.append(contentsOf: Array((value < 0x10000 ? "\\u" : "\\U").utf8))
            appendHex(value, digits: value < 0x10000 ? 4 : 8, to: &output)
        }
    }

    static func isPrintable(_ value: UInt32) -> Bool {
        if value < 0x7F { return value >= 0x20 }
        guard let scalar = Unicode.Scalar(value) else { return false }
        switch scalar.properties.generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator,
            .spaceSeparator:
            return false
        default:
            return true
        }
    }

    private static func appendHex(_ value: UInt32, digits: Int, to output: inout [UInt8]) {
        for place in (0..<digits).reversed() {
            let digit = UInt8(truncatingIfNeeded: (value >> UInt32(4 * place)) & 0xF)
            output.append(digit < 10 ? 0x30 + digit : 0x57 + digit)
        }
    }
}
