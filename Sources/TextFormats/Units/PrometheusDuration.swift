/// Durations as Prometheus configuration writes them: whole numbers with the units `y w d h m s ms`, largest first
/// (`1d`, `1h30m`), as `model.ParseDuration` of prometheus/common.
package enum PrometheusDuration {
    /// Parses `text`.
    package static func parse(_ text: String) throws(TextFormatError) -> Duration {
        .milliseconds(try milliseconds(text))
    }

    /// Parses `text` to milliseconds; what does not fit 64 bits of nanoseconds is out of range.
    package static func milliseconds(_ text: String) throws(TextFormatError) -> Int64 {
        if text == "0" { return 0 }
        if text.isEmpty { throw TextFormatError("empty duration string") }
        let invalid = TextFormatError("not a valid duration string: \(GoQuote.quote(text))")
        let bytes = Array(text.utf8)
        var index = 0
        var rank = 0
        var total: Int64 = 0
        while index < bytes.count {
            let start = index
            var value: Int64 = 0
            while index < bytes.count, bytes[index] >= 0x30, bytes[index] <= 0x39 {
                let (product, overflow) = value.multipliedReportingOverflow(by: 10)
                let (sum, carry) = product.addingReportingOverflow(Int64(bytes[index] - 0x30))
                guard !overflow, !carry else { throw TextFormatError("duration out of range") }
                value = sum
                index += 1
            }
            guard index > start else { throw invalid }
            let unitStart = index
            while index < bytes.count, bytes[index] > 0x39 || bytes[index] < 0x30 { index += 1 }
            let unit = String(decoding: bytes[unitStart..<index], as: UTF8.self)
            guard let found = units.dropFirst(rank).firstIndex(where: { $0.name == unit }) else { throw invalid }
            rank = found + 1
            let (product, overflow) = value.multipliedReportingOverflow(by: units[found].milliseconds)
            let (sum, carry) = total.addingReportingOverflow(product)
            guard !overflow, !carry, sum <= Int64.max / 1_000_000 else {
                throw TextFormatError("duration out of range")
            }
            total = sum
        }
        return total
    }

    /// Writes a duration, in whole milliseconds: years, weeks and days only where they divide it.
    package static func format(_ duration: Duration) -> String {
        var rest = duration.nanosecondsClamped / 1_000_000
        if rest == 0 { return "0s" }
        var text = rest < 0 ? "-" : ""
        rest = rest < 0 ? 0 - rest : rest
        for (rank, unit) in units.enumerated() {
            if rank < 3, rest % unit.milliseconds != 0 { continue }
            if rest >= unit.milliseconds {
                text += "\(rest / unit.milliseconds)\(unit.name)"
                rest %= unit.milliseconds
            }
        }
        return text
    }

    private static let units: [(name: String, milliseconds: Int64)] = [
        ("y", 31_536_000_000), ("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000),
        ("ms", 1),
    ]
}
