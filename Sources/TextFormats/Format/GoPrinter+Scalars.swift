extension GoPrinter {
    // MARK: Integers

    mutating func integer(
        _ magnitude: UInt64, _ isNegative: Bool, _ isSigned: Bool, _ verb: UInt8, _ flags: Flags, _ argument: GoValue
    ) {
        switch verb {
        case UInt8(ascii: "v") where flags.sharp && !isSigned:
            number(magnitude, isNegative, radix: 16, prefix: "0x", isUpper: false, flags)
        case UInt8(ascii: "v"), UInt8(ascii: "d"):
            number(magnitude, isNegative, radix: 10, prefix: "", isUpper: false, flags)
        case UInt8(ascii: "b"):
            number(magnitude, isNegative, radix: 2, prefix: flags.sharp ? "0b" : "", isUpper: false, flags)
        case UInt8(ascii: "o"):
            number(magnitude, isNegative, radix: 8, prefix: flags.sharp ? "0" : "", isUpper: false, flags)
        case UInt8(ascii: "O"):
            number(magnitude, isNegative, radix: 8, prefix: "0o", isUpper: false, flags)
        case UInt8(ascii: "x"):
            number(magnitude, isNegative, radix: 16, prefix: flags.sharp ? "0x" : "", isUpper: false, flags)
        case UInt8(ascii: "X"):
            number(magnitude, isNegative, radix: 16, prefix: flags.sharp ? "0X" : "", isUpper: true, flags)
        case UInt8(ascii: "c"), UInt8(ascii: "q"):
            let scalar = isNegative ? 0xFFFD : Unicode.Scalar(UInt32(clamping: magnitude))?.value ?? 0xFFFD
            var text: [UInt8] = []
            if verb == UInt8(ascii: "c") {
                UTF8Bytes.append(scalar, to: &text)
            } else {
                let quote = UInt8(ascii: "'")
                text.append(quote)
                GoQuote.append(scalar, quote: quote, ascii: flags.plus, to: &text)
                text.append(quote)
            }
            pad(text, flags)
        case UInt8(ascii: "U"):
            unicode(isNegative ? 0 &- magnitude : magnitude, flags)
        default:
            bad(argument, String(decoding: [verb], as: UTF8.self))
        }
    }

    private mutating func unicode(_ value: UInt64, _ flags: Flags) {
        var digits = String(value, radix: 16, uppercase: true)
        digits = String(repeating: "0", count: max(0, max(4, flags.precision ?? 4) - digits.utf8.count)) + digits
        var text = "U+" + digits
        if flags.sharp, value <= 0x10FFFF, let scalar = Unicode.Scalar(UInt32(value)), GoQuote.isPrintable(scalar.value)
        {
            text += " '\(scalar)'"
        }
        var plain = flags
        plain.zero = false
        pad(Array(text.utf8), plain)
    }

    private mutating func number(
        _ magnitude: UInt64, _ isNegative: Bool, radix: Int, prefix: String, isUpper: Bool, _ flags: Flags
    ) {
        var digits = String(magnitude, radix: radix, uppercase: isUpper)
        let sign = isNegative ? "-" : flags.plus ? "+" : flags.space ? " " : ""
        var plain = flags
        plain.zero = false
        var wanted = 0
        if let precision = flags.precision {
            if precision == 0, magnitude == 0 { return pad([], plain) }
            wanted = precision
        } else if flags.zero, !flags.minus, let width = flags.width {
            wanted = width - sign.utf8.count
        }
        digits = String(repeating: "0", count: max(0, wanted - digits.utf8.count)) + digits
        let lead = prefix == "0" && digits.hasPrefix("0") ? "" : prefix
        pad(Array((sign + lead + digits).utf8), plain)
    }

    // MARK: Floats

    mutating func float(_ value: Double, _ verb: UInt8, _ flags: Flags, _ argument: GoValue) {
        var text: String
        switch verb {
        case UInt8(ascii: "v"): text = GoNumber.formatFloat(value, "g", precision: flags.precision ?? -1)
        case UInt8(ascii: "g"), UInt8(ascii: "G"):
            text = GoNumber.formatFloat(value, Character(Unicode.Scalar(verb)), precision: flags.precision ?? -1)
        case UInt8(ascii: "e"), UInt8(ascii: "E"), UInt8(ascii: "f"), UInt8(ascii: "F"):
            text = GoNumber.formatFloat(value, Character(Unicode.Scalar(verb)), precision: flags.precision ?? 6)
        case UInt8(ascii: "b"): text = GoNumber.binaryExponent(value)
        case UInt8(ascii: "x"), UInt8(ascii: "X"):
            text = GoNumber.hexadecimal(value, precision: flags.precision ?? -1)
            if verb == UInt8(ascii: "X") { text = text.uppercased() }
        default: return bad(argument, String(decoding: [verb], as: UTF8.self))
        }
        if flags.sharp, verb != UInt8(ascii: "b"), verb != UInt8(ascii: "v"), value.isFinite {
            text = sharpened(text, verb, flags)
        }
        var plain = flags
        if !value.isFinite {
            plain.zero = false
            if value.isNaN, flags.plus || flags.space { text = (flags.plus ? "+" : " ") + text }
            if value > 0, flags.space, !flags.plus { text = " " + text.dropFirst() }
            return pad(Array(text.utf8), plain)
        }
        var sign = ""
        if text.hasPrefix("-") {
            sign = "-"
            text.removeFirst()
        } else if flags.plus || flags.space {
            sign = flags.plus ? "+" : " "
        }
        if flags.zero, !flags.minus, let width = flags.width, width > text.utf8.count + sign.utf8.count {
            text = String(repeating: "0", count: width - text.utf8.count - sign.utf8.count) + text
            plain.width = nil
        }
        pad(Array((sign + text).utf8), plain)
    }

    /// Applies `#`: a decimal point always, and for `%g` the zeros up to the precision (6 when none is given).
    private func sharpened(_ text: String, _ verb: UInt8, _ flags: Flags) -> String {
        let mark = text.firstIndex { $0 == "e" || $0 == "E" || $0 == "p" || $0 == "P" } ?? text.endIndex
        var mantissa = String(text[..<mark])
        let hadPoint = mantissa.contains(".")
        if !hadPoint { mantissa += "." }
        if verb | 0x20 == UInt8(ascii: "g") {
            var digits = mantissa.utf8.filter { $0 >= 0x30 && $0 <= 0x39 }
            if digits.contains(where: { $0 != 0x30 }) { digits = Array(digits.drop { $0 == 0x30 }) }
            let missing = (flags.precision ?? 6) - digits.count
            if missing > 0 { mantissa += String(repeating: "0", count: missing) }
        }
        return mantissa + text[mark...]
    }

    // MARK: Strings

    mutating func string(_ value: String, _ verb: UInt8, _ flags: Flags, _ argument: GoValue) {
        switch verb {
        case UInt8(ascii: "v") where flags.sharp, UInt8(ascii: "q"):
            let text = truncated(value, flags)
            if flags.sharp, verb == UInt8(ascii: "q"), canBackquote(text) { return pad(Array("`\(text)`".utf8), flags) }
            var quoted: [UInt8] = []
            text.withBytes { GoQuote.append($0, quote: UInt8(ascii: "\""), ascii: flags.plus, to: &quoted) }
            pad(quoted, flags)
        case UInt8(ascii: "v"), UInt8(ascii: "s"):
            pad(Array(truncated(value, flags).utf8), flags)
        case UInt8(ascii: "x"), UInt8(ascii: "X"):
            hex(Array(value.utf8), isUpper: verb == UInt8(ascii: "X"), flags)
        default:
            bad(argument, String(decoding: [verb], as: UTF8.self))
        }
    }

    private func truncated(_ value: String, _ flags: Flags) -> String {
        guard let precision = flags.precision else { return value }
        return String(String.UnicodeScalarView(value.unicodeScalars.prefix(precision)))
    }

    private func canBackquote(_ text: String) -> Bool {
        text.unicodeScalars.allSatisfy { scalar in
            scalar != "`" && scalar.value != 0xFEFF && (scalar.value >= 0x20 || scalar == "\t") && scalar.value != 0x7F
        }
    }

    private mutating func hex(_ bytes: [UInt8], isUpper: Bool, _ flags: Flags) {
        var kept = bytes[...]
        if let precision = flags.precision { kept = bytes.prefix(precision) }
        let prefix = flags.sharp && !kept.isEmpty ? (isUpper ? "0X" : "0x") : ""
        var text = flags.space ? "" : prefix
        for (index, byte) in kept.enumerated() {
            if flags.space { text += (index > 0 ? " " : "") + prefix }
            let digits = String(byte, radix: 16, uppercase: isUpper)
            text += digits.utf8.count < 2 ? "0" + digits : digits
        }
        pad(Array(text.utf8), flags)
    }
}

extension GoNumber {
    /// `%b` of a float: the mantissa as an integer and a power of two.
    static func binaryExponent(_ value: Double) -> String {
        guard value.isFinite else { return formatFloat(value, "g", precision: -1) }
        let bits = value.bitPattern
        let exponent = Int((bits >> 52) & 0x7FF)
        let fraction = bits & ((1 << 52) - 1)
        let mantissa = exponent == 0 ? fraction : fraction | 1 << 52
        let power = max(exponent, 1) - 1075
        return "\(value.sign == .minus ? "-" : "")\(mantissa)p\(power < 0 ? "-" : "+")\(power.magnitude)"
    }

    /// `%x` of a float: `0x1.8p+01`; a negative precision asks for as many digits as there are.
    static func hexadecimal(_ value: Double, precision: Int) -> String {
        guard value.isFinite else { return formatFloat(value, "g", precision: -1) }
        let sign = value.sign == .minus ? "-" : ""
        var mantissa: UInt64 = 0
        var exponent = 0
        if value != 0 {
            let magnitude = value.magnitude
            exponent = Int(magnitude.exponent)
            mantissa =
                (magnitude.isNormal ? magnitude.significandBitPattern : (magnitude.significand.significandBitPattern))
                | 1 << 52
        }
        if precision >= 0, precision < 13 {
            let shift = UInt64(4 * (13 - precision))
            let half = UInt64(1) << (shift - 1)
            let rest = mantissa & ((1 << shift) - 1)
            mantissa >>= shift
            if rest > half || (rest == half && mantissa & 1 == 1) { mantissa += 1 }
            mantissa <<= shift
            if mantissa >= 1 << 53 {
                mantissa >>= 1
                exponent += 1
            }
        }
        var digits = String(mantissa & ((1 << 52) - 1), radix: 16)
        digits = String(repeating: "0", count: 13 - digits.utf8.count) + digits
        if precision < 0 {
            while digits.hasSuffix("0") { digits.removeLast() }
        } else if precision <= 13 {
            digits = String(digits.prefix(precision))
        } else {
            digits += String(repeating: "0", count: min(precision, 1100) - 13)
        }
        let power = String(exponent.magnitude)
        return sign + "0x\(mantissa >> 52)" + (digits.isEmpty ? "" : "." + digits) + "p" + (exponent < 0 ? "-" : "+")
            + (power.utf8.count < 2 ? "0" : "") + power
    }
}
