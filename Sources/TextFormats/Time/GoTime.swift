/// An instant with nanoseconds and the zone it is shown in.
package struct GoTime: Sendable, Equatable {
    /// Seconds since 1970-01-01T00:00:00Z.
    package var unixSeconds: Int64
    /// Nanoseconds of the second, 0 to 999,999,999.
    package var nanoseconds: Int32
    /// Seconds east of UTC.
    package var offset: Int32
    /// The zone's abbreviation; empty when only the offset is known.
    package var zoneName: String

    package init(unixSeconds: Int64, nanoseconds: Int32 = 0, offset: Int32 = 0, zoneName: String = "UTC") {
        self.unixSeconds = unixSeconds
        self.nanoseconds = nanoseconds
        self.offset = offset
        self.zoneName = zoneName
    }

    /// Makes a time from nanoseconds since 1970, shown in `zone`.
    package init(unixNanoseconds: Int64, in zone: GoTimeZone = .utc) {
        let seconds = unixNanoseconds >= 0 ? unixNanoseconds / 1_000_000_000 : (unixNanoseconds + 1) / 1_000_000_000 - 1
        self.init(unixSeconds: seconds, nanoseconds: Int32(unixNanoseconds &- seconds &* 1_000_000_000))
        self = converted(to: zone)
    }

    /// Nanoseconds since 1970, or nil outside the years 1678 to 2262.
    package var unixNanoseconds: Int64? {
        // Before 1970 count down from the next second, so that the earliest instant does not overflow on the way.
        let isNegative = unixSeconds < 0
        let whole = isNegative ? unixSeconds + 1 : unixSeconds
        let rest = isNegative ? Int64(nanoseconds) - 1_000_000_000 : Int64(nanoseconds)
        let (product, overflow) = whole.multipliedReportingOverflow(by: 1_000_000_000)
        let (sum, carry) = product.addingReportingOverflow(rest)
        return overflow || carry ? nil : sum
    }

    /// The same instant shown in `zone`.
    package func converted(to zone: GoTimeZone) -> GoTime {
        let span = zone.span(at: unixSeconds)
        return GoTime(
            unixSeconds: unixSeconds, nanoseconds: nanoseconds, offset: span.offset, zoneName: span.abbreviation)
    }

    /// The date and time of day the zone's clocks show.
    package var civil: CivilTime { CivilTime(localSeconds: unixSeconds &+ Int64(offset)) }

    /// `2006-01-02 15:04:05.999999999 -0700 MST`, as Go prints a time.
    package var description: String { GoTimeLayout("2006-01-02 15:04:05.999999999 -0700 MST").format(self) }
}

/// A date and time of day on a clock face, proleptic Gregorian.
package struct CivilTime: Sendable, Equatable {
    package var year: Int64
    package var month: Int
    package var day: Int
    package var hour: Int
    package var minute: Int
    package var second: Int

    package init(year: Int64, month: Int, day: Int, hour: Int = 0, minute: Int = 0, second: Int = 0) {
        self.year = year
        self.month = month
        self.day = day
        self.hour = hour
        self.minute = minute
        self.second = second
    }

    /// The clock face `seconds` after 1970-01-01 00:00:00 on the same clock.
    package init(localSeconds seconds: Int64) {
        let days = Self.floorDivision(seconds, 86_400)
        let rest = Int(seconds &- days &* 86_400)
        // Days are counted from 0000-03-01, so that a leap day ends its year.
        let shifted = days + 719_468
        let era = Self.floorDivision(shifted, 146_097)
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        day = Int(dayOfYear - (153 * monthFromMarch + 2) / 5 + 1)
        month = Int(monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9)
        year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        hour = rest / 3600
        minute = rest / 60 % 60
        second = rest % 60
    }

    /// Seconds after 1970-01-01 00:00:00 on the same clock.
    package var localSeconds: Int64 {
        Self.days(year: year, month: month, day: day) * 86_400 + Int64(hour * 3600 + minute * 60 + second)
    }

    /// 0 is Sunday.
    package var weekday: Int {
        let days = Self.days(year: year, month: month, day: day)
        return Int((days % 7 + 11) % 7)
    }

    /// 1 is January 1.
    package var dayOfYear: Int {
        Int(Self.days(year: year, month: month, day: day) - Self.days(year: year, month: 1, day: 1)) + 1
    }

    static func isLeap(_ year: Int64) -> Bool { year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) }

    static func days(in month: Int, of year: Int64) -> Int {
        month == 2 ? (isLeap(year) ? 29 : 28) : [4, 6, 9, 11].contains(month) ? 30 : 31
    }

    /// Days after 1970-01-01.
    static func days(year: Int64, month: Int, day: Int) -> Int64 {
        let shifted = month <= 2 ? year - 1 : year
        let era = floorDivision(shifted, 400)
        let yearOfEra = shifted - era * 400
        let dayOfYear = Int64((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1)
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    static func floorDivision(_ value: Int64, _ divisor: Int64) -> Int64 {
        let quotient = value / divisor
        return value % divisor < 0 ? quotient - 1 : quotient
    }
}
