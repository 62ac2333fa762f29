import Glibc

/// Floating-point numbers of the exposition formats, equal to `strtod` to the last bit.
///
/// What is accepted follows Prometheus (`strconv.ParseFloat` without hexadecimal and underscores): decimal numbers, and
/// `Inf`, `Infinity` and `NaN` in any case. Up to 19 digits are read into an integer and scaled by an exact power
/// of ten, or as in D. Lemire, "Number Parsing at a Gigabyte per Second" (2021); the rest goes to `strtod`.
enum FloatText {
    /// Reads a number at `index` and moves it behind the last byte that belongs to it.
    ///
    /// Nil when the number is written in a way this does not read; `index` then points anywhere. The caller checks what
    /// follows, and has made sure that a byte that ends a number (a line feed) stands before the end of the memory.
    @inline(__always)
    static func scan(_ bytes: UnsafePointer<UInt8>, _ index: inout Int) -> Double? {
        var i = index
        let isNegative = bytes[i] == UInt8(ascii: "-")
        if isNegative { i &+= 1 }
        var mantissa: UInt64 = 0
        let start = i
        var digit = bytes[i] &- 48
        while digit < 10 {
            mantissa = mantissa &* 10 &+ UInt64(digit)
            i &+= 1
            digit = bytes[i] &- 48
        }
        var digits = i &- start
        var exponent = 0
        if bytes[i] == UInt8(ascii: ".") {
            i &+= 1
            let fraction = i
            digit = bytes[i] &- 48
            while digit < 10 {
                mantissa = mantissa &* 10 &+ UInt64(digit)
                i &+= 1
                digit = bytes[i] &- 48
            }
            exponent = fraction &- i
            digits &-= exponent
        }
        if digits == 0 || digits > 19 {
            guard digits == 0, !isNegative, i == start, bytes[i] == 0x4E, bytes[i &+ 1] == 0x61, bytes[i &+ 2] == 0x4E
            else { return nil }
            index = i &+ 3
            return .nan
        }
        if bytes[i] | 0x20 == UInt8(ascii: "e") {
            i &+= 1
            let isSmall = bytes[i] == UInt8(ascii: "-")
            if isSmall || bytes[i] == UInt8(ascii: "+") { i &+= 1 }
            var power = 0
            let first = i
            digit = bytes[i] &- 48
            while digit < 10, i &- first < 5 {
                power = power &* 10 &+ Int(digit)
                i &+= 1
                digit = bytes[i] &- 48
            }
            if i == first || digit < 10 { return nil }
            exponent &+= isSmall ? -power : power
        }
        index = i
        if mantissa <= 1 << 53 {
            if exponent == 0 { return isNegative ? -Double(mantissa) : Double(mantissa) }
            if exponent >= -22, exponent <= 22 {
                let scaled =
                    exponent < 0
                    ? Double(mantissa) / exactPowers[-exponent] : Double(mantissa) * exactPowers[exponent]
                return isNegative ? -scaled : scaled
            }
        }
        guard let magnitude = scaled(mantissa, exponent) else { return nil }
        return isNegative ? -magnitude : magnitude
    }

    /// The value of a whole token, or nil when it is not a number or its magnitude is too great for one.
    static func parse(_ token: UnsafeRawBufferPointer) -> Double? {
        guard let first = token.first else { return nil }
        if token.count <= 64 {
            let quick: Double? = withUnsafeTemporaryAllocation(of: UInt8.self, capacity: token.count + 4) { copy in
                guard let base = copy.baseAddress else { return nil }
                for index in 0..<token.count { base[index] = token[index] }
                for index in token.count..<token.count + 4 { base[index] = 10 }
                var index = 0
                guard let value = scan(base, &index), index == token.count else { return nil }
                return value
            }
            if let quick { return quick }
        }
        let isSigned = first == UInt8(ascii: "-") || first == UInt8(ascii: "+")
        let body = UnsafeRawBufferPointer(rebasing: token[(isSigned ? 1 : 0)...])
        if equalsIgnoringCase(body, "inf") || equalsIgnoringCase(body, "infinity") {
            return first == UInt8(ascii: "-") ? -.infinity : .infinity
        }
        if !isSigned, equalsIgnoringCase(body, "nan") { return .nan }
        guard isDecimal(body) else { return nil }
        let value = withSystemParser(token)
        return value.isFinite ? value : nil
    }

    /// `digits [. digits] [e sign digits]` with at least one digit before the exponent.
    private static func isDecimal(_ text: UnsafeRawBufferPointer) -> Bool {
        var index = 0
        func digits() -> Int {
            let start = index
            while index < text.count, text[index] &- 48 < 10 { index += 1 }
            return index - start
        }
        var count = digits()
        if index < text.count, text[index] == UInt8(ascii: ".") {
            index += 1
            count += digits()
        }
        guard count > 0 else { return false }
        if index < text.count, text[index] | 0x20 == UInt8(ascii: "e") {
            index += 1
            if index < text.count, text[index] == UInt8(ascii: "-") || text[index] == UInt8(ascii: "+") { index += 1 }
            guard digits() > 0 else { return false }
        }
        return index == text.count
    }

    private static func withSystemParser(_ token: UnsafeRawBufferPointer) -> Double {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: token.count + 1) { copy in
            guard let base = copy.baseAddress else { return .nan }
            for index in 0..<token.count { base[index] = CChar(bitPattern: token[index]) }
            base[token.count] = 0
            return strtod(base, nil)
        }
    }

    private static func equalsIgnoringCase(_ bytes: UnsafeRawBufferPointer, _ lowercase: StaticString) -> Bool {
        guard bytes.count == lowercase.utf8CodeUnitCount else { return false }
        for index in 0..<bytes.count where bytes[index] | 0x20 != lowercase.utf8Start[index] { return false }
        return true
    }

    /// `value` as OpenMetrics writes the bounds of buckets and quantiles: always a float, `1.0`, `2.5e-05`, `+Inf`.
    ///
    /// The shortest digits that read back, with an exponent below -4 and from 6 on, as
    /// Go's `strconv.FormatFloat(value, 'g', -1, 64)`.
    static func bound(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        let (digits, exponent) = shortest(value.magnitude)
        var text = value.sign == .minus ? "-" : ""
        if exponent < -4 || exponent >= 6 {
            text += String(decoding: digits[..<1], as: UTF8.self)
            if digits.count > 1 { text += "." + String(decoding: digits[1...], as: UTF8.self) }
            let magnitude = String(exponent.magnitude)
            return text + (exponent < 0 ? "e-" : "e+") + (magnitude.utf8.count < 2 ? "0" : "") + magnitude
        }
        if exponent < 0 {
            text += "0." + String(repeating: "0", count: -exponent - 1) + String(decoding: digits, as: UTF8.self)
            return text
        }
        let whole = exponent + 1
        if digits.count <= whole {
            return text + String(decoding: digits, as: UTF8.self) + String(repeating: "0", count: whole - digits.count)
                + ".0"
        }
        return text + String(decoding: digits[..<whole], as: UTF8.self) + "."
            + String(decoding: digits[whole...], as: UTF8.self)
    }

    /// The shortest digits and the power of ten of the first.
    private static func shortest(_ value: Double) -> (digits: [UInt8], exponent: Int) {
        var digits: [UInt8] = []
        var point: Int?
        var power = 0
        let text = Array(value.description.utf8)
        let mark = text.firstIndex { $0 | 0x20 == UInt8(ascii: "e") } ?? text.count
        if mark < text.count { power = Int(String(decoding: text[(mark + 1)...], as: UTF8.self)) ?? 0 }
        for byte in text[..<mark] {
            if byte == UInt8(ascii: ".") { point = digits.count } else { digits.append(byte) }
        }
        var exponent = (point ?? digits.count) - 1 + power
        let leading = digits.prefix { $0 == 48 }.count
        if leading == digits.count { return ([48], 0) }
        digits.removeFirst(leading)
        exponent -= leading
        while digits.count > 1, digits.last == 48 { digits.removeLast() }
        return (digits, exponent)
    }
}

// MARK: Powers

private let exactPowers: [Double] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
]

/// The first 128 bits of the powers of five from -55 to 55, most significant bit set; what a metric's value ever needs.
private let fives: [(high: UInt64, low: UInt64)] = (-55...55).map { power in
    var value = UInt128(1)
    for _ in 0..<abs(power) { value *= 5 }
    let bits: UInt128
    if power >= 0 {
        bits = value << UInt128(value.leadingZeroBitCount)
    } else {
        // Long division of one by the power, bit by bit: 128 bits from the first that is set.
        var remainder = UInt128(1)
        var quotient = UInt128(0)
        while quotient.leadingZeroBitCount > 0 {
            let overflows = remainder.leadingZeroBitCount == 0
            remainder = remainder << 1
            let isSet = overflows || remainder >= value
            if isSet { remainder = remainder &- value }
            quotient = quotient << 1 | (isSet ? 1 : 0)
        }
        // Reciprocals of small powers are rounded up, so that exact products come out exact.
        bits = power >= -27 ? quotient &+ 1 : quotient
    }
    return (UInt64(truncatingIfNeeded: bits >> 64), UInt64(truncatingIfNeeded: bits))
}

extension FloatText {
    /// `mantissa` times ten to `exponent`, correctly rounded; nil where 128 bits of the power cannot decide.
    @inline(never)
    private static func scaled(_ mantissa: UInt64, _ exponent: Int) -> Double? {
        guard mantissa != 0 else { return 0 }
        guard exponent >= -55, exponent <= 55 else { return nil }
        let zeros = mantissa.leadingZeroBitCount
        let normal = mantissa << UInt64(zeros)
        let five = fives[exponent + 55]
        var (high, low) = normal.multipliedFullWidth(by: five.high)
        if high & 0x1FF == 0x1FF {
            let second = normal.multipliedFullWidth(by: five.low)
            let (sum, overflow) = low.addingReportingOverflow(second.high)
            low = sum
            if overflow { high &+= 1 }
            if low == .max, exponent < -27 { return nil }
        }
        let upper = Int(high >> 63)
        let shift = UInt64(upper + 9)
        var bits = high >> shift
        var power = ((217_706 * exponent) >> 16) + 63 + upper - zeros + 1023
        if low <= 1, exponent >= -4, exponent <= 23, bits & 3 == 1, bits << shift == high { bits &= ~1 }
        bits += bits & 1
        bits >>= 1
        if bits >= 2 << 52 {
            bits = 1 << 52
            power += 1
        }
        guard power > 0, power < 0x7FF else { return nil }
        return Double(bitPattern: bits & ~(1 << 52) | UInt64(power) << 52)
    }
}
