import Glibc

/// Decimal text to the nearest `Double`.
///
/// D. Lemire, "Number Parsing at a Gigabyte per Second" (2021): 19 digits and a power of ten go through a 128-bit
/// product; what that cannot decide goes to `strtod`. The result is the same as `strtod`'s in every case.
package enum DecimalParser {
    /// Parses all of `bytes`: sign, digits with an optional point, optional exponent; nil for anything else.
    ///
    /// Too large a value becomes infinity, too small a value zero. Names such as `NaN` and hexadecimal digits are
    /// `GoNumber.parseFloat`'s.
    package static func parse(_ bytes: UnsafeRawBufferPointer) -> Double? {
        var index = 0
        let end = bytes.count
        var isNegative = false
        if index < end, bytes[index] == UInt8(ascii: "-") || bytes[index] == UInt8(ascii: "+") {
            isNegative = bytes[index] == UInt8(ascii: "-")
            index += 1
        }
        var mantissa: UInt64 = 0
        var digits = 0
        var significant = 0
        var exponent = 0
        var isTruncated = false
        var sawPoint = false
        while index < end {
            let byte = bytes[index]
            let digit = byte &- 0x30
            if digit <= 9 {
                digits &+= 1
                if significant < 19 {
                    mantissa = mantissa &* 10 &+ UInt64(digit)
                    if mantissa != 0 { significant &+= 1 }
                    if sawPoint { exponent &-= 1 }
                } else {
                    if digit != 0 { isTruncated = true }
                    if !sawPoint { exponent &+= 1 }
                }
            } else if byte == UInt8(ascii: "."), !sawPoint {
                sawPoint = true
            } else {
                break
            }
            index &+= 1
        }
        guard digits > 0 else { return nil }
        if index < end {
            guard let written = readExponent(bytes, from: index) else { return nil }
            exponent &+= written
        }
        if mantissa == 0 { return isNegative ? -0.0 : 0 }
        if !isTruncated, let value = combine(mantissa, exponent) { return isNegative ? -value : value }
        if isTruncated, let low = combine(mantissa, exponent), let high = combine(mantissa &+ 1, exponent), low == high
        {
            return isNegative ? -low : low
        }
        return slow(bytes)
    }

    /// Parses all of `text`.
    package static func parse(_ text: String) -> Double? { text.withBytes { parse($0) } }

    private static func readExponent(_ bytes: UnsafeRawBufferPointer, from start: Int) -> Int? {
        guard bytes[start] | 0x20 == UInt8(ascii: "e") else { return nil }
        var index = start + 1
        var isNegative = false
        if index < bytes.count, bytes[index] == UInt8(ascii: "-") || bytes[index] == UInt8(ascii: "+") {
            isNegative = bytes[index] == UInt8(ascii: "-")
            index += 1
        }
        guard index < bytes.count else { return nil }
        var value = 0
        while index < bytes.count {
            let digit = bytes[index] &- 0x30
            guard digit <= 9 else { return nil }
            if value < 100_000_000 { value = value * 10 + Int(digit) }
            index += 1
        }
        return isNegative ? -value : value
    }

    private static let smallPowers: [Double] = [
        1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
        1e20, 1e21, 1e22,
    ]

    /// `mantissa * 10^exponent`, rounded to nearest even; nil where 128 bits of the power cannot decide.
    package static func combine(_ mantissa: UInt64, _ exponent: Int) -> Double? {
        if mantissa == 0 { return 0 }
        if mantissa <= 1 << 53, exponent >= -22, exponent <= 22 {
            return smallPowers.withUnsafeBufferPointer { powers in
                exponent < 0 ? Double(mantissa) / powers[-exponent] : Double(mantissa) * powers[exponent]
            }
        }
        if exponent < PowersOfFive.smallest { return 0 }
        if exponent > PowersOfFive.largest { return .infinity }
        return lemire(mantissa, exponent)
    }

    private static func lemire(_ mantissa: UInt64, _ exponent: Int) -> Double? {
        let shift = mantissa.leadingZeroBitCount
        let normalized = mantissa << UInt64(shift)
        let row = (exponent - PowersOfFive.smallest) * 2
        let power = PowersOfFive.mantissas.withUnsafeBufferPointer { ($0[row], $0[row + 1]) }
        var (high, low) = normalized.multipliedFullWidth(by: power.0)
        if high & 0x1FF == 0x1FF {
            let second = normalized.multipliedFullWidth(by: power.1)
            let (sum, carry) = low.addingReportingOverflow(second.high)
            low = sum
            if carry { high &+= 1 }
            if low == .max, exponent < -27 || exponent > 55 { return nil }
        }
        let upper = Int(high >> 63)
        var bits = high >> UInt64(upper + 9)
        var binary = ((217_706 * exponent) >> 16) + 63 + upper - shift + 1023
        if binary <= 0 {
            if 1 - binary >= 64 { return 0 }
            bits >>= UInt64(1 - binary)
            bits = (bits + (bits & 1)) >> 1
            return Double(bitPattern: bits)
        }
        if low <= 1, exponent >= -4, exponent <= 23, bits & 3 == 1, bits << UInt64(upper + 9) == high { bits &= ~1 }
        bits = (bits + (bits & 1)) >> 1
        if bits >= 1 << 53 {
            bits = 1 << 52
            binary += 1
        }
        if binary >= 0x7FF { return .infinity }
        return Double(bitPattern: (bits & ~(1 << 52)) | UInt64(binary) << 52)
    }

    private static func slow(_ bytes: UnsafeRawBufferPointer) -> Double {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: bytes.count + 1) { buffer in
            for (index, byte) in bytes.enumerated() { buffer[index] = CChar(bitPattern: byte) }
            buffer[bytes.count] = 0
            return buffer.baseAddress.map { strtod($0, nil) } ?? .nan
        }
    }
}

extension GoNumber {
    /// Parses as Go's `strconv.ParseFloat(text, 64)`: decimal, hexadecimal, `inf`, `infinity` and `nan` in any case.
    ///
    /// A value out of range is nil, as Go reports an error.
    package static func parseFloat(_ text: String) -> Double? {
        if let value = DecimalParser.parse(text) { return value.isInfinite ? nil : value }
        let folded = text.lowercased()
        let isNegative = folded.hasPrefix("-")
        let body = isNegative || folded.hasPrefix("+") ? String(folded.dropFirst()) : folded
        if body == "inf" || body == "infinity" { return isNegative ? -.infinity : .infinity }
        if folded == "nan" { return .nan }
        guard body.hasPrefix("0x"), body.contains("p"),
            body.utf8.allSatisfy({ byte in
                (byte >= 0x30 && byte <= 0x39) || (byte >= 0x61 && byte <= 0x66) || byte == 0x78 || byte == 0x70
                    || byte == 0x2E || byte == 0x2B || byte == 0x2D
            }), let value = Double(folded), !value.isInfinite
        else { return nil }
        return value
    }

    /// Parses as Go's `strconv.ParseInt(text, base, 64)`; base 0 takes it from the prefix (`0x`, `0o`, `0b`, `0`) and
    /// allows `_` between digits.
    package static func parseInt(_ text: String, base: Int = 10) -> Int64? {
        let isNegative = text.hasPrefix("-")
        let body = isNegative || text.hasPrefix("+") ? String(text.dropFirst()) : text
        guard let magnitude = parseUInt(body, base: base) else { return nil }
        if isNegative { return magnitude <= 1 << 63 ? Int64(truncatingIfNeeded: 0 &- magnitude) : nil }
        return Int64(exactly: magnitude)
    }

    /// Parses as Go's `strconv.ParseUint(text, base, 64)`.
    package static func parseUInt(_ text: String, base: Int = 10) -> UInt64? {
        var digits = Array(text.utf8)[...]
        var radix = base
        if base == 0 {
            radix = 10
            if digits.first == 0x30, digits.count > 1 {
                let mark = digits[digits.startIndex + 1] | 0x20
                let prefixes: [UInt8: Int] = [UInt8(ascii: "x"): 16, UInt8(ascii: "o"): 8, UInt8(ascii: "b"): 2]
                radix = prefixes[mark] ?? 8
                digits = digits.dropFirst(prefixes[mark] == nil ? 1 : 2)
                if digits.first == UInt8(ascii: "_") { digits = digits.dropFirst() }
            }
            if digits.first == UInt8(ascii: "_") || digits.last == UInt8(ascii: "_") { return nil }
        }
        guard !digits.isEmpty, radix >= 2, radix <= 36 else { return nil }
        var value: UInt64 = 0
        var previous: UInt8 = 0
        for byte in digits {
            defer { previous = byte }
            if byte == UInt8(ascii: "_"), base == 0 {
                if previous == byte { return nil }
                continue
            }
            let letter = byte | 0x20
            let digit: UInt64
            if byte >= 0x30, byte <= 0x39 {
                digit = UInt64(byte - 0x30)
            } else if letter >= 0x61, letter <= 0x7A {
                digit = UInt64(letter - 0x61 + 10)
            } else {
                return nil
            }
            guard digit < UInt64(radix) else { return nil }
            let (product, overflow) = value.multipliedReportingOverflow(by: UInt64(radix))
            let (sum, carry) = product.addingReportingOverflow(digit)
            if overflow || carry { return nil }
            value = sum
        }
        return value
    }
}
