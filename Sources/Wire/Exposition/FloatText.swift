import TextFormats

/// Floating-point numbers of the exposition formats, equal to `strtod` to the last bit.
///
/// What is accepted follows Prometheus (`strconv.ParseFloat` without hexadecimal and underscores): decimal numbers, and
/// `Inf`, `Infinity` and `NaN` in any case.
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
        guard let magnitude = DecimalParser.combine(mantissa, exponent), magnitude.isFinite else { return nil }
        return isNegative ? -magnitude : magnitude
    }

    /// The value of a whole token, or nil when it is not a number or its magnitude is too great for one.
    static func parse(_ token: UnsafeRawBufferPointer) -> Double? {
        guard let first = token.first else { return nil }
        if let value = DecimalParser.parse(token) { return value.isFinite ? value : nil }
        let isSigned = first == UInt8(ascii: "-") || first == UInt8(ascii: "+")
        let body = UnsafeRawBufferPointer(rebasing: token[(isSigned ? 1 : 0)...])
        if equalsIgnoringCase(body, "inf") || equalsIgnoringCase(body, "infinity") {
            return first == UInt8(ascii: "-") ? -.infinity : .infinity
        }
        if !isSigned, equalsIgnoringCase(body, "nan") { return .nan }
        return nil
    }

    private static func equalsIgnoringCase(_ bytes: UnsafeRawBufferPointer, _ lowercase: StaticString) -> Bool {
        guard bytes.count == lowercase.utf8CodeUnitCount else { return false }
        for index in 0..<bytes.count where bytes[index] | 0x20 != lowercase.utf8Start[index] { return false }
        return true
    }

    /// `value` as OpenMetrics writes the bounds of buckets and quantiles: always a float, `1.0`, `2.5e-05`, `+Inf`.
    static func bound(_ value: Double) -> String {
        let text = GoNumber.formatFloat(value, "g", precision: -1)
        return !value.isFinite || text.utf8.contains { $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "e") }
            ? text : text + ".0"
    }
}

private let exactPowers: [Double] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
]
