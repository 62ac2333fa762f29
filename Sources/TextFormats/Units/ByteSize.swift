/// Sizes in bytes as the libraries behind Alloy's types read and write them.
package enum ByteSize {
    // MARK: alecthomas/units Base2Bytes

    /// Parses `10MiB`, `10MB` (both 1024-based), `1.5KiB`, `1GiB512MiB`; a bare number has no unit and is an error.
    package static func parseBase2(_ text: String) throws(TextFormatError) -> Int64 {
        do throws(TextFormatError) {
            return try parseUnits(text, binarySuffix: true)
        } catch {
            return try parseUnits(text, binarySuffix: false)
        }
    }

    /// Writes every power of 1024 that is there: `1MiB512KiB`, `0B`.
    package static func formatBase2(_ bytes: Int64) -> String {
        if bytes == 0 { return "0B" }
        var pieces: [String] = []
        var rest = bytes
        for prefix in prefixes where rest != 0 {
            if rest % 1024 != 0 { pieces.append("\(rest % 1024)\(prefix)\(prefix.isEmpty ? "" : "i")B") }
            rest /= 1024
        }
        return pieces.reversed().joined()
    }

    // MARK: dustin/go-humanize

    /// Parses `10 MB` (1000-based), `10MiB` and `10 mi` (1024-based), `42`, `1,024.5 kB`; units in any case.
    package static func parseHumanized(_ text: String) throws(TextFormatError) -> UInt64 {
        let bytes = Array(text.utf8)
        let length = bytes.prefix { ($0 >= 0x30 && $0 <= 0x39) || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: ",") }
            .count
        let digits = bytes[..<length].filter { $0 != UInt8(ascii: ",") }
        guard let number = Double(String(decoding: digits, as: UTF8.self)) else {
            throw TextFormatError(
                "strconv.ParseFloat: parsing \(GoQuote.quote(String(decoding: digits, as: UTF8.self))): invalid syntax")
        }
        let unit = String(decoding: bytes[length...], as: UTF8.self).trimmedSpace.lowercased()
        guard let size = humanizedUnit(unit) else { throw TextFormatError("unhandled size name: \(unit)") }
        let value = number * size
        guard value < 0x1p64 else { throw TextFormatError("too large: \(text)") }
        return UInt64(value)
    }

    /// Writes `83 MB`, `1.5 kB`, `42 B`.
    package static func formatHumanized(_ bytes: UInt64) -> String {
        humanized(bytes, base: 1000, ["B", "kB", "MB", "GB", "TB", "PB", "EB"])
    }

    /// Writes `79 MiB`, `1.5 KiB`, `42 B`.
    package static func formatHumanizedBinary(_ bytes: UInt64) -> String {
        humanized(bytes, base: 1024, ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"])
    }

    // MARK: c2h5oh/datasize

    /// Parses `256KB`, `4mb`, `1 GB`, `1024` (all 1024-based, whole numbers), as Loki's limits do.
    package static func parseDataSize(_ text: String) throws(TextFormatError) -> UInt64 {
        let bytes = Array(text.utf8)
        let length = bytes.prefix { $0 >= 0x30 && $0 <= 0x39 }.count
        let invalid = TextFormatError("unrecognized size suffix or number in \(GoQuote.quote(text))")
        guard length > 0, let number = UInt64(String(decoding: bytes[..<length], as: UTF8.self)) else { throw invalid }
        let unit = String(decoding: bytes[length...], as: UTF8.self).trimmedSpace.lowercased()
        let names: [[String]] = [
            ["", "b", "byte"], ["k", "kb", "kilo", "kilobyte", "kilobytes"],
            ["m", "mb", "mega", "megabyte", "megabytes"],
            ["g", "gb", "giga", "gigabyte", "gigabytes"], ["t", "tb", "tera", "terabyte", "terabytes"],
            ["p", "pb", "peta", "petabyte", "petabytes"], ["e", "eb", "exa", "exabyte", "exabytes"],
        ]
        guard let power = names.firstIndex(where: { $0.contains(unit) }) else { throw invalid }
        let (value, overflow) = number.multipliedReportingOverflow(by: 1 << UInt64(10 * power))
        guard !overflow else { throw TextFormatError("size out of range: \(GoQuote.quote(text))") }
        return value
    }

    /// Writes the largest unit that divides the size: `256KB`, `1536B`.
    package static func formatDataSize(_ bytes: UInt64) -> String {
        if bytes == 0 { return "0B" }
        var value = bytes
        var power = 0
        while value % 1024 == 0, power < 6 {
            value /= 1024
            power += 1
        }
        return "\(value)\(prefixes[power])B"
    }

    // MARK: Parts

    private static let prefixes = ["", "K", "M", "G", "T", "P", "E"]

    private static func parseUnits(_ text: String, binarySuffix: Bool) throws(TextFormatError) -> Int64 {
        let bytes = Array(text.utf8)
        var index = 0
        var isNegative = false
        if let sign = bytes.first, sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+") {
            isNegative = sign == UInt8(ascii: "-")
            index = 1
        }
        if bytes.count == index + 1, bytes[index] == UInt8(ascii: "0") { return 0 }
        guard index < bytes.count else { throw TextFormatError("units: invalid \(text)") }
        var total = 0.0
        while index < bytes.count {
            let start = index
            while index < bytes.count, isNumeric(bytes[index]) { index += 1 }
            let digits = String(decoding: bytes[start..<index], as: UTF8.self)
            guard digits.contains(where: { $0 != "." }), let number = Double(digits) else {
                throw TextFormatError("units: invalid \(text)")
            }
            let unitStart = index
            while index < bytes.count, !isNumeric(bytes[index]) { index += 1 }
            let unit = String(decoding: bytes[unitStart..<index], as: UTF8.self)
            let found = prefixes.firstIndex { prefix in
                unit == (prefix.isEmpty || !binarySuffix ? prefix + "B" : prefix + "iB")
            }
            guard let found else { throw TextFormatError("units: unknown unit \(unit) in \(text)") }
            total += number * Double(UInt64(1) << UInt64(10 * found))
        }
        let value = isNegative ? -total : total
        guard value >= -0x1p63, value < 0x1p63 else {
            throw TextFormatError("units: overflow parsing unit")
        }
        return Int64(value)
    }

    private static func isNumeric(_ byte: UInt8) -> Bool { (byte >= 0x30 && byte <= 0x39) || byte == UInt8(ascii: ".") }

    private static func humanizedUnit(_ unit: String) -> Double? {
        if unit.isEmpty || unit == "b" { return 1 }
        guard let rank = ["k", "m", "g", "t", "p", "e"].firstIndex(of: String(unit.prefix(1))) else { return nil }
        var size = 1.0
        switch unit.dropFirst() {
        case "", "b": for _ in 0...rank { size *= 1000 }
        case "i", "ib": for _ in 0...rank { size *= 1024 }
        default: return nil
        }
        return size
    }

    private static func humanized(_ bytes: UInt64, base: Double, _ names: [String]) -> String {
        if bytes < 10 { return "\(bytes) B" }
        var exponent = 0
        var scaled = Double(bytes)
        while scaled >= base, exponent < names.count - 1 {
            scaled /= base
            exponent += 1
        }
        let rounded = (scaled * 10 + 0.5).rounded(.down) / 10
        let text = GoNumber.fixed(rounded, precision: rounded < 10 ? 1 : 0)
        return "\(text) \(names[exponent])"
    }
}

extension String {
    /// The text without spaces at its ends, as Go's `strings.TrimSpace`.
    var trimmedSpace: String {
        let scalars = unicodeScalars
        let isSpace = { (scalar: Unicode.Scalar) in scalar.properties.isWhitespace }
        guard let first = scalars.firstIndex(where: { !isSpace($0) }),
            let last = scalars.lastIndex(where: { !isSpace($0) })
        else { return "" }
        return String(scalars[first...last])
    }
}
