/// The two directions between text and its spelling as a string literal.
///
/// Quoting agrees with Go's `strconv.Quote`; unquoting with Alloy's double-quoted and raw strings.
public enum StringLiteral {
    /// The text in double quotes with everything escaped that would not read back.
    public static func quoted(_ value: String) -> String {
        var out: [UInt8] = []
        out.reserveCapacity(value.utf8.count + 2)
        appendQuoted(value, to: &out)
        return String(decoding: out, as: UTF8.self)
    }

    /// What a literal stands for; `nil` when it is not a well-formed one.
    ///
    /// Byte escapes (`\xff`, `\377`) that do not make up valid UTF-8 become the replacement character.
    public static func unquoted(_ literal: String) -> String? {
        let bytes = Array(literal.utf8)
        guard bytes.count >= 2, let quote = bytes.first, bytes.last == quote else { return nil }
        if quote == UInt8(ascii: "`") {
            // Go drops carriage returns from raw strings.
            let inner = bytes[1..<(bytes.count - 1)]
            guard !inner.contains(quote) else { return nil }
            return String(decoding: inner.filter { $0 != UInt8(ascii: "\r") }, as: UTF8.self)
        }
        guard quote == UInt8(ascii: "\"") else { return nil }
        return unescaped(bytes[1..<(bytes.count - 1)])
    }

    static func appendQuoted(_ value: String, to out: inout [UInt8]) {
        out.append(UInt8(ascii: "\""))
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\"", "\\":
                out.append(UInt8(ascii: "\\"))
                out.append(UInt8(truncatingIfNeeded: scalar.value))
            case "\u{07}": out.append(contentsOf: "\\a".utf8)
            case "\u{08}": out.append(contentsOf: "\\b".utf8)
            case "\u{0C}": out.append(contentsOf: "\\f".utf8)
            case "\n": out.append(contentsOf: "\\n".utf8)
            case "\r": out.append(contentsOf: "\\r".utf8)
            case "\t": out.append(contentsOf: "\\t".utf8)
            case "\u{0B}": out.append(contentsOf: "\\v".utf8)
            default:
                if scalar.isPrintable {
                    out.append(contentsOf: String(scalar).utf8)
                } else if scalar.value < 0x20 || scalar.value == 0x7F {
                    out.append(contentsOf: "\\x".utf8)
                    appendHex(scalar.value, digits: 2, to: &out)
                } else if scalar.value < 0x10000 {
                    out.append(contentsOf: "\\u".utf8)
                    appendHex(scalar.value, digits: 4, to: &out)
                } else {
                    out.append(contentsOf: "\\U".utf8)
                    appendHex(scalar.value, digits: 8, to: &out)
                }
            }
        }
        out.append(UInt8(ascii: "\""))
    }

    private static func appendHex(_ value: UInt32, digits: Int, to out: inout [UInt8]) {
        let text = String(value, radix: 16)
        out.append(contentsOf: repeatElement(UInt8(ascii: "0"), count: max(0, digits - text.utf8.count)))
        out.append(contentsOf: text.utf8)
    }

    private static func unescaped(_ bytes: ArraySlice<UInt8>) -> String? {
        var out: [UInt8] = []
        out.reserveCapacity(bytes.count)
        var index = bytes.startIndex
        while index < bytes.endIndex {
            let byte = bytes[index]
            index += 1
            guard byte == UInt8(ascii: "\\") else {
                guard byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\n") else { return nil }
                out.append(byte)
                continue
            }
            guard index < bytes.endIndex else { return nil }
            let escape = bytes[index]
            index += 1
            switch escape {
            case UInt8(ascii: "a"): out.append(0x07)
            case UInt8(ascii: "b"): out.append(0x08)
            case UInt8(ascii: "f"): out.append(0x0C)
            case UInt8(ascii: "n"): out.append(0x0A)
            case UInt8(ascii: "r"): out.append(0x0D)
            case UInt8(ascii: "t"): out.append(0x09)
            case UInt8(ascii: "v"): out.append(0x0B)
            case UInt8(ascii: "\\"), UInt8(ascii: "\""): out.append(escape)
            case UInt8(ascii: "0")...UInt8(ascii: "7"):
                guard let value = number(bytes, from: &index, start: index - 1, digits: 3, radix: 8), value < 256 else {
                    return nil
                }
                out.append(UInt8(truncatingIfNeeded: value))
            case UInt8(ascii: "x"):
                guard let value = number(bytes, from: &index, start: index, digits: 2, radix: 16) else { return nil }
                out.append(UInt8(truncatingIfNeeded: value))
            case UInt8(ascii: "u"), UInt8(ascii: "U"):
                let digits = escape == UInt8(ascii: "u") ? 4 : 8
                guard let value = number(bytes, from: &index, start: index, digits: digits, radix: 16),
                    let scalar = Unicode.Scalar(value)
                else { return nil }
                out.append(contentsOf: String(scalar).utf8)
            default: return nil
            }
        }
        return String(decoding: out, as: UTF8.self)
    }

    private static func number(
        _ bytes: ArraySlice<UInt8>, from index: inout Int, start: Int, digits: Int, radix: UInt32
    ) -> UInt32? {
        guard bytes.endIndex - start >= digits else { return nil }
        var value: UInt32 = 0
        for byte in bytes[start..<(start + digits)] {
            let digit = byte.hexDigitValue
            guard digit < radix else { return nil }
            value = value &* radix &+ digit
        }
        index = start + digits
        return value
    }
}

extension UInt8 {
    /// The value of a hexadecimal digit; 16 for every other byte.
    var hexDigitValue: UInt32 {
        switch self {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(self) - 0x30
        case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt32(self) - 0x61 + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt32(self) - 0x41 + 10
        default: 16
        }
    }
}

extension Unicode.Scalar {
    /// Whether Go prints the scalar as it is: letters, marks, numbers, punctuation, symbols and the ASCII space.
    var isPrintable: Bool {
        if value < 0x7F { return value >= 0x20 }
        switch properties.generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .spaceSeparator, .lineSeparator,
            .paragraphSeparator:
            return false
        default: return true
        }
    }
}
