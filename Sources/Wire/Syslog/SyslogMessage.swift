/// What a syslog message says, by place in the bytes it was read from.
///
/// Formats: RFC 5424, "The Syslog Protocol", section 6; RFC 3164, "The BSD syslog Protocol", section 4, as devices write
/// it, with the components Cisco IOS adds.
package struct SyslogMessage: Sendable, Equatable {
    /// When a message was made.
    package enum Time: Sendable, Equatable {
        case unknown
        /// Nanoseconds since 1970.
        case exact(Int64)
        /// A time whose year the message does not say: month (from 1), day, nanoseconds since midnight; UTC.
        case yearless(month: Int, day: Int, nanoseconds: Int64)
    }

    /// One parameter of the structured data, its value without escapes.
    package struct Parameter: Sendable, Equatable {
        package let element: Range<Int>
        package let name: Range<Int>
        package let value: [UInt8]
    }

    /// Facility times eight plus severity; nil when there is none, which only the raw format allows.
    package internal(set) var priority: Int?
    package internal(set) var time = Time.unknown
    package internal(set) var hostName: Range<Int>?
    package internal(set) var appName: Range<Int>?
    package internal(set) var processID: Range<Int>?
    package internal(set) var messageID: Range<Int>?
    /// Cisco's count of messages and of log lines.
    package internal(set) var counter: UInt32?
    package internal(set) var sequence: UInt32?
    package internal(set) var structuredData: [Parameter] = []
    /// The text; nil when it is empty.
    package internal(set) var message: Range<Int>?

    /// The name of the severity, as `__syslog_message_severity` has it.
    package var severityName: String? { priority.map { Self.severities[$0 & 7] } }

    /// The name of the facility (RFC 5427), nil when it has none.
    package var facilityName: String? {
        priority.flatMap { $0 >> 3 < Self.facilities.count ? Self.facilities[$0 >> 3] : nil }
    }

    private static let severities = [
        "emergency", "alert", "critical", "error", "warning", "notice", "informational", "debug",
    ]
    private static let facilities = [
        "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp",
        "security", "console", "cron2", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
    ]
}

/// Why bytes are no syslog message.
package struct SyslogError: Error, Sendable, Equatable, CustomStringConvertible {
    package let message: String
    /// Where in the message.
    package let offset: Int?
    package var description: String { offset.map { "\(message) at byte \($0)" } ?? message }

    init(_ message: String, at offset: Int? = nil) {
        self.message = message
        self.offset = offset
    }
}

/// Reads the parts of a message from left to right.
struct SyslogScanner {
    let bytes: UnsafeRawBufferPointer
    var index = 0

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    var peek: UInt8? { index < bytes.count ? bytes[index] : nil }
    var isAtEnd: Bool { index >= bytes.count }

    mutating func take(_ byte: UInt8) -> Bool {
        guard peek == byte else { return false }
        index += 1
        return true
    }

    mutating func skipSpaces() { while peek == 0x20 { index += 1 } }

    /// Up to `maximum` bytes that fulfil `isPart`; nil when there is none.
    mutating func run(upTo maximum: Int, _ isPart: (UInt8) -> Bool) -> Range<Int>? {
        let start = index
        while let byte = peek, index - start < maximum, isPart(byte) { index += 1 }
        return index > start ? start..<index : nil
    }

    /// Exactly `count` digits.
    mutating func digits(_ count: Int) -> Int? {
        guard bytes.count - index >= count else { return nil }
        var value = 0
        for offset in 0..<count {
            let digit = bytes[index + offset] &- 0x30
            guard digit <= 9 else { return nil }
            value = value * 10 + Int(digit)
        }
        index += count
        return value
    }

    /// `<n>` with n from 0 to `maximum`, without leading zeros.
    mutating func priority(upTo maximum: Int) -> Int? {
        guard take(0x3C), let range = run(upTo: 3, Self.isDigit) else { return nil }
        if range.count > 1, bytes[range.lowerBound] == 0x30 { return nil }
        var value = 0
        for position in range { value = value * 10 + Int(bytes[position] - 0x30) }
        guard value <= maximum, take(0x3E) else { return nil }
        return value
    }

    /// `15:04:05` and the fraction of a second where `fraction` allows digits; nanoseconds since midnight.
    mutating func timeOfDay(fractionDigits: Int) -> Int64? {
        guard let hour = digits(2), hour < 24, take(0x3A), let minute = digits(2), minute < 60, take(0x3A),
            let second = digits(2), second < 60
        else { return nil }
        var nanoseconds: Int64 = 0
        if fractionDigits > 0, peek == 0x2E {
            index += 1
            guard let range = run(upTo: fractionDigits, Self.isDigit) else { return nil }
            for position in range { nanoseconds = nanoseconds * 10 + Int64(bytes[position] - 0x30) }
            for _ in range.count..<9 { nanoseconds *= 10 }
        }
        return Int64(hour * 3600 + minute * 60 + second) * 1_000_000_000 + nanoseconds
    }

    static func isDigit(_ byte: UInt8) -> Bool { byte >= 0x30 && byte <= 0x39 }
    /// A printing character of ASCII, space excluded.
    static func isGraphic(_ byte: UInt8) -> Bool { byte > 0x20 && byte < 0x7F }
}

/// Dates of the Gregorian calendar.
enum CivilDate {
    private static let lengths = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]

    static func isValid(year: Int, month: Int, day: Int) -> Bool {
        guard month >= 1, month <= 12, day >= 1 else { return false }
        let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        return day <= lengths[month - 1] + (month == 2 && isLeap ? 1 : 0)
    }

    /// Days since 1970 of a valid date, with years that begin in March.
    static func days(year: Int, month: Int, day: Int) -> Int {
        let shifted = month <= 2 ? year - 1 : year
        let era = (shifted >= 0 ? shifted : shifted - 399) / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    /// Year and month of a number of days since 1970.
    static func yearAndMonth(_ days: Int) -> (year: Int, month: Int) {
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let part = (5 * dayOfYear + 2) / 153
        let month = part < 10 ? part + 3 : part - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month)
    }

    /// Nanoseconds since 1970, nil where 64 bits do not reach.
    static func nanoseconds(days: Int, nanosecondsOfDay: Int64) -> Int64? {
        let (midnight, isTooFar) = Int64(days).multipliedReportingOverflow(by: 86_400_000_000_000)
        let (sum, overflow) = midnight.addingReportingOverflow(nanosecondsOfDay)
        return isTooFar || overflow ? nil : sum
    }
}

extension SyslogMessage {
    /// Nanoseconds since 1970 of the message's time, in the year nearest to `now` where it does not say which; nil when
    /// it has none.
    package func timestamp(near now: Int64) -> Int64? {
        switch time {
        case .unknown: return nil
        case .exact(let nanoseconds): return nanoseconds
        case .yearless(let month, let day, let nanoseconds):
            var (year, currentMonth) = CivilDate.yearAndMonth(Int(now / 86_400_000_000_000))
            if currentMonth == 1, month == 12 { year -= 1 }
            if currentMonth == 12, month == 1 { year += 1 }
            guard CivilDate.isValid(year: year, month: month, day: day) else { return nil }
            return CivilDate.nanoseconds(
                days: CivilDate.days(year: year, month: month, day: day), nanosecondsOfDay: nanoseconds)
        }
    }
}
