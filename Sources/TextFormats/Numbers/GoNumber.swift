import Glibc

/// Numbers written as Go's `strconv` writes them.
package enum GoNumber {
    /// The shortest digits that read back as `value` and the power of ten of the first one (1.5 is `15`, 0).
    ///
    /// Zero is `0`, 0. Not for infinities and NaN. The standard library's `description` prints the shortest, closest
    /// digits, as Go's `FormatFloat(x, -1)` does; only their layout differs.
    static func shortest(_ value: Double) -> (digits: [UInt8], exponent: Int) {
        decompose(value.magnitude.description)
    }

    /// As `shortest(_:)`, for single precision.
    static func shortest(_ value: Float) -> (digits: [UInt8], exponent: Int) { decompose(value.magnitude.description) }

    private static func decompose(_ text: String) -> (digits: [UInt8], exponent: Int) {
        var digits: [UInt8] = []
        var point: Int?
        var power = 0
        var bytes = Array(text.utf8)[...]
        if let mark = bytes.firstIndex(where: { $0 | 0x20 == UInt8(ascii: "e") }) {
            power = Int(String(decoding: bytes[(mark + 1)...], as: UTF8.self)) ?? 0
            bytes = bytes[..<mark]
        }
        for byte in bytes {
            if byte == UInt8(ascii: ".") { point = digits.count } else { digits.append(byte) }
        }
        var exponent = (point ?? digits.count) - 1 + power
        var leading = 0
        while leading < digits.count - 1, digits[leading] == 0x30 { leading += 1 }
        digits.removeFirst(leading)
        exponent -= leading
        while digits.count > 1, digits.last == 0x30 { digits.removeLast() }
        if digits == [0x30] { return ([0x30], 0) }
        return (digits, exponent)
    }

    /// `value` with `precision` digits after the point, rounded half to even on its exact binary value (`%.*f`).
    package static func fixed(_ value: Double, precision: Int) -> String { printf("%.*f", value, precision) }

    static func exponential(_ value: Double, precision: Int) -> String { printf("%.*e", value, precision) }

    /// One of Glibc's exact conversions; `format` is a literal of this file with one `*` and one number.
    static func printf(_ format: String, _ value: Double, _ precision: Int) -> String {
        let places = max(0, min(precision, 1100))
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: places + 400) { buffer in
            let count = withVaList([Int32(places), value]) { vsnprintf(buffer.baseAddress, buffer.count, format, $0) }
            let length = max(0, min(Int(count), buffer.count - 1))
            return String(decoding: UnsafeRawBufferPointer(buffer)[..<length], as: UTF8.self)
        }
    }

    /// `value` as Go's `strconv.FormatFloat(value, 'g', -1, 64)`: scientific below 1e-4 and from 1e6 on.
    package static func format(_ value: Double) -> String {
        formatFloat(value, "g", precision: -1)
    }

    /// `value` as Go's `strconv.FormatFloat(value, verb, precision, 64)`, `verb` one of `e E f F g G`; a negative
    /// precision asks for the shortest digits that read back.
    package static func formatFloat(_ value: Double, _ verb: Character, precision: Int) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        let sign = value.sign == .minus ? "-" : ""
        let isUpper = verb == "E" || verb == "G"
        var (digits, exponent) = shortest(value)
        switch verb {
        case "e", "E":
            if precision >= 0 { (digits, exponent) = decompose(value, significant: precision + 1) }
            while digits.count < precision + 1 { digits.append(0x30) }
            return sign + scientific(digits, exponent, isUpper)
        case "f", "F":
            if precision >= 0 { return fixed(value, precision: precision) }
            return sign + plain(digits, exponent)
        default:
            var threshold = 6
            if precision >= 0 {
                let significant = max(1, precision)
                (digits, exponent) = decompose(value, significant: significant)
                while digits.count > 1, digits.last == 0x30 { digits.removeLast() }
                threshold = significant
            }
            if exponent < -4 || exponent >= threshold { return sign + scientific(digits, exponent, isUpper) }
            return sign + plain(digits, exponent)
        }
    }

    /// The first `significant` digits of the exact value, rounded half to even.
    static func decompose(_ value: Double, significant: Int) -> (digits: [UInt8], exponent: Int) {
        let text = exponential(value.magnitude, precision: significant - 1)
        guard let mark = text.utf8.firstIndex(of: UInt8(ascii: "e")) else { return ([0x30], 0) }
        let digits = text.utf8[..<mark].filter { $0 != UInt8(ascii: ".") }
        return (digits, Int(String(text[text.utf8.index(after: mark)...])) ?? 0)
    }

    static func scientific(_ digits: [UInt8], _ exponent: Int, _ isUpper: Bool) -> String {
        var output: [UInt8] = [digits[0]]
        if digits.count > 1 {
            output.append(UInt8(ascii: "."))
            output.append(contentsOf: digits[1...])
        }
        output.append(isUpper ? UInt8(ascii: "E") : UInt8(ascii: "e"))
        output.append(UInt8(ascii: exponent < 0 ? "-" : "+"))
        let magnitude = String(exponent.magnitude)
        if magnitude.utf8.count < 2 { output.append(0x30) }
        output.append(contentsOf: magnitude.utf8)
        return String(decoding: output, as: UTF8.self)
    }

    static func plain(_ digits: [UInt8], _ exponent: Int) -> String {
        var output: [UInt8] = []
        if exponent < 0 {
            output.append(0x30)
            output.append(UInt8(ascii: "."))
            for _ in 0..<(-exponent - 1) { output.append(0x30) }
            output.append(contentsOf: digits)
            if digits == [0x30] { return "0" }
        } else {
            for place in 0...max(exponent, digits.count - 1) {
                if place == exponent + 1 { output.append(UInt8(ascii: ".")) }
                output.append(place < digits.count ? digits[place] : 0x30)
            }
        }
        return String(decoding: output, as: UTF8.self)
    }
}
