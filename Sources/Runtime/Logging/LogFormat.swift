import AlloySyntax
import Essentials

/// How log lines look on standard error.
///
/// Agrees byte for byte with Alloy's lines, which Go's `log/slog` text and JSON handlers write: `ts`, `level` and `msg`
/// come first, then the other keys in the order they were given.
enum LogFormat: String, AlloyWord {
    case logfmt, json

    static var placeholder: LogFormat { .logfmt }

    /// The line of a record with its newline.
    func line(_ record: LogRecord) -> [UInt8] {
        switch self {
        case .logfmt: LogFormat.text(record)
        case .json: LogFormat.json(record)
        }
    }

    private static func text(_ record: LogRecord) -> [UInt8] {
        var out = Array("ts=".utf8)
        out += LogTime.text(record.timeNanoseconds).utf8
        out += " level=".utf8
        out += record.level.name.utf8
        if !record.message.isEmpty {
            out += " msg=".utf8
            appendText(record.message, to: &out)
        }
        for (key, value) in record.metadata {
            out.append(UInt8(ascii: " "))
            appendText(safeKey(key.name), to: &out)
            out.append(UInt8(ascii: "="))
            appendText(value, to: &out)
        }
        out.append(UInt8(ascii: "\n"))
        return out
    }

    private static func json(_ record: LogRecord) -> [UInt8] {
        var out = Array("{\"ts\":\"".utf8)
        out += LogTime.text(record.timeNanoseconds).utf8
        out += "\",\"level\":\"".utf8
        out += record.level.name.utf8
        out.append(UInt8(ascii: "\""))
        if !record.message.isEmpty {
            out += ",\"msg\":".utf8
            appendJSON(record.message, to: &out)
        }
        for (key, value) in record.metadata {
            out.append(UInt8(ascii: ","))
            appendJSON(safeKey(key.name), to: &out)
            out.append(UInt8(ascii: ":"))
            appendJSON(value, to: &out)
        }
        out += "}\n".utf8
        return out
    }

    /// Quotes, as Go does, what a reader of `key=value` pairs would misread.
    private static func appendText(_ text: String, to out: inout [UInt8]) {
        if needsQuotes(text) {
            out += StringLiteral.quoted(text).utf8
        } else {
            out += text.utf8
        }
    }

    private static func needsQuotes(_ text: String) -> Bool {
        if text.isEmpty { return true }
        for scalar in text.unicodeScalars {
            if scalar.isASCII {
                if scalar.value <= 0x20 || scalar == "=" || scalar == "\"" { return true }
            } else if scalar == "\u{FFFD}" || scalar.properties.isWhitespace || !isPrintable(scalar) {
                return true
            }
        }
        return false
    }

    private static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator,
            .spaceSeparator:
            false
        default: true
        }
    }

    private static func safeKey(_ key: String) -> String {
        let isUnsafe: (UInt8) -> Bool = { $0 == 0x20 || $0 == 0x3D || $0 == 0x22 || ($0 >= 0x09 && $0 <= 0x0D) }
        guard key.utf8.contains(where: isUnsafe) else { return key }
        var bytes = Array(key.utf8)
        while let last = bytes.last, last == 0x20 || (last >= 0x09 && last <= 0x0D) { bytes.removeLast() }
        let trimmed = bytes.drop { $0 == 0x20 || ($0 >= 0x09 && $0 <= 0x0D) }
        return String(decoding: trimmed.map { isUnsafe($0) ? UInt8(ascii: "_") : $0 }, as: UTF8.self)
    }

    private static let digits = Array("0123456789abcdef".utf8)

    private static func appendJSON(_ text: String, to out: inout [UInt8]) {
        out.append(UInt8(ascii: "\""))
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": out += "\\\"".utf8
            case "\\": out += "\\\\".utf8
            case "\n": out += "\\n".utf8
            case "\r": out += "\\r".utf8
            case "\t": out += "\\t".utf8
            case "\u{08}": out += "\\b".utf8
            case "\u{0C}": out += "\\f".utf8
            case "\u{2028}": out += "\\u2028".utf8
            case "\u{2029}": out += "\\u2029".utf8
            default:
                if scalar.value < 0x20 {
                    out += "\\u00".utf8
                    out.append(digits[Int(scalar.value >> 4)])
                    out.append(digits[Int(scalar.value & 0xF)])
                } else {
                    out += UTF8.encode(scalar) ?? UTF8.EncodedScalar()
                }
            }
        }
        out.append(UInt8(ascii: "\""))
    }
}

/// Points in time as RFC 3339 writes them, in UTC with as many decimals as there are.
package enum LogTime {
    /// `2006-01-02T15:04:05.999999999Z`; `nanoseconds` counts from 1970.
    package static func text(_ nanoseconds: Int64) -> String {
        var seconds = nanoseconds / 1_000_000_000
        var fraction = nanoseconds % 1_000_000_000
        if fraction < 0 {
            seconds -= 1
            fraction += 1_000_000_000
        }
        var days = seconds / 86_400
        var rest = seconds % 86_400
        if rest < 0 {
            days -= 1
            rest += 86_400
        }
        let (year, month, day) = date(days)
        var text = "\(padded(year, 4))-\(padded(month, 2))-\(padded(day, 2))T"
        text += "\(padded(rest / 3600, 2)):\(padded(rest / 60 % 60, 2)):\(padded(rest % 60, 2))"
        if fraction > 0 {
            var digits = padded(fraction, 9)
            while digits.hasSuffix("0") { digits.removeLast() }
            text += "." + digits
        }
        return text + "Z"
    }

    /// The civil date of a day counted from 1970-01-01, in the proleptic Gregorian calendar.
    private static func date(_ days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
    }

    private static func padded(_ number: Int64, _ width: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
    }
}
