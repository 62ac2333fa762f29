/// Durations as Go's `time.ParseDuration` reads and `time.Duration.String` writes them (`1h30m`, `1.5s`, `-250ms`).
package enum GoDuration {
    /// Parses `text`.
    package static func parse(_ text: String) throws(TextFormatError) -> Duration {
        .nanoseconds(try nanoseconds(text))
    }

    /// Parses `text` to nanoseconds; what does not fit 64 bits is an error.
    package static func nanoseconds(_ text: String) throws(TextFormatError) -> Int64 {
        let bytes = Array(text.utf8)
        var index = 0
        var isNegative = false
        if let sign = bytes.first, sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+") {
            isNegative = sign == UInt8(ascii: "-")
            index = 1
        }
        let invalid = TextFormatError("time: invalid duration \(GoQuote.quote(text))")
        if bytes.count == index + 1, bytes[index] == UInt8(ascii: "0") { return 0 }
        guard index < bytes.count else { throw invalid }
        var total: UInt64 = 0
        while index < bytes.count {
            let start = index
            var whole: UInt64 = 0
            while index < bytes.count, isDigit(bytes[index]) {
                guard whole <= (1 << 63) / 10 else { throw invalid }
                whole = whole * 10 + UInt64(bytes[index] - 0x30)
                guard whole <= 1 << 63 else { throw invalid }
                index += 1
            }
            var digits = index - start
            var fraction: UInt64 = 0
            var scale = 1.0
            if index < bytes.count, bytes[index] == UInt8(ascii: ".") {
                index += 1
                let first = index
                (fraction, scale) = readFraction(bytes, &index)
                digits += index - first
            }
            guard digits > 0 else { throw invalid }
            let unitStart = index
            while index < bytes.count, bytes[index] != UInt8(ascii: "."), !isDigit(bytes[index]) { index += 1 }
            let unit = String(decoding: bytes[unitStart..<index], as: UTF8.self)
            guard !unit.isEmpty else {
                throw TextFormatError("time: missing unit in duration \(GoQuote.quote(text))")
            }
            guard let size = units[unit] else {
                throw TextFormatError(
                    "time: unknown unit \(GoQuote.quote(unit)) in duration \(GoQuote.quote(text))")
            }
            guard whole <= (1 << 63) / size else { throw invalid }
            var value = whole * size
            if fraction > 0 {
                value += UInt64(Double(fraction) * (Double(size) / scale))
                guard value <= 1 << 63 else { throw invalid }
            }
            total += value
            guard total <= 1 << 63 else { throw invalid }
        }
        if isNegative { return Int64(truncatingIfNeeded: 0 &- total) }
        guard total <= UInt64(Int64.max) else { throw invalid }
        return Int64(total)
    }

    /// Writes a duration as Go does: `1h30m0s`, `1.5s`, `250ms`, `0s`.
    package static func format(_ duration: Duration) -> String { format(nanoseconds: duration.nanosecondsClamped) }

    /// Writes nanoseconds as Go does.
    package static func format(nanoseconds: Int64) -> String {
        if nanoseconds == 0 { return "0s" }
        let magnitude = nanoseconds.magnitude
        let sign = nanoseconds < 0 ? "-" : ""
        if magnitude < 1000 { return "\(sign)\(magnitude)ns" }
        if magnitude < 1_000_000 { return sign + decimal(magnitude, 3) + "\u{B5}s" }
        if magnitude < 1_000_000_000 { return sign + decimal(magnitude, 6) + "ms" }
        let seconds = magnitude / 1_000_000_000
        var text = decimal((seconds % 60) * 1_000_000_000 + magnitude % 1_000_000_000, 9) + "s"
        if seconds >= 60 { text = "\(seconds / 60 % 60)m" + text }
        if seconds >= 3600 { text = "\(seconds / 3600)h" + text }
        return sign + text
    }

    private static let units: [String: UInt64] = [
        "ns": 1, "us": 1000, "\u{B5}s": 1000, "\u{3BC}s": 1000, "ms": 1_000_000, "s": 1_000_000_000,
        "m": 60_000_000_000, "h": 3_600_000_000_000,
    ]

    private static func isDigit(_ byte: UInt8) -> Bool { byte >= 0x30 && byte <= 0x39 }

    /// Digits after the point as far as 63 bits carry; the rest is beyond a nanosecond.
    private static func readFraction(_ bytes: [UInt8], _ index: inout Int) -> (UInt64, Double) {
        var value: UInt64 = 0
        var scale = 1.0
        var isFull = false
        while index < bytes.count, isDigit(bytes[index]) {
            let next = UInt64(bytes[index] - 0x30)
            index += 1
            if isFull { continue }
            let (product, overflow) = value.multipliedReportingOverflow(by: 10)
            guard !overflow, product <= (1 << 63) - 10 else {
                isFull = true
                continue
            }
            value = product + next
            scale *= 10
        }
        return (value, scale)
    }

    /// `value / 10^places` without trailing zeros.
    private static func decimal(_ value: UInt64, _ places: Int) -> String {
        var power: UInt64 = 1
        for _ in 0..<places { power *= 10 }
        var fraction = value % power
        guard fraction > 0 else { return "\(value / power)" }
        var length = places
        while fraction % 10 == 0 {
            fraction /= 10
            length -= 1
        }
        let digits = String(fraction)
        return "\(value / power)." + String(repeating: "0", count: length - digits.utf8.count) + digits
    }
}

extension Duration {
    /// The duration in nanoseconds, clamped to 64 bits.
    package var nanosecondsClamped: Int64 {
        let (seconds, attoseconds) = components
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        guard !overflow else { return seconds < 0 ? .min : .max }
        let (sum, carry) = product.addingReportingOverflow(attoseconds / 1_000_000_000)
        return carry ? (seconds < 0 ? .min : .max) : sum
    }
}
