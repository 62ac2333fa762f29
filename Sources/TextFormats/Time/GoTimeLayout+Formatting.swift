extension GoTimeLayout {
    /// `time` as text.
    package func format(_ time: GoTime) -> String {
        var output: [UInt8] = []
        append(time, to: &output)
        return String(decoding: output, as: UTF8.self)
    }

    /// Nanoseconds since 1970 as text, shown in `zone`.
    package func format(unixNanoseconds: Int64, in zone: GoTimeZone = .utc) -> String {
        format(GoTime(unixNanoseconds: unixNanoseconds, in: zone))
    }

    /// Appends `time` as text.
    package func append(_ time: GoTime, to output: inout [UInt8]) {
        let civil = time.civil
        for element in elements {
            switch element {
            case .literal(let bytes): output.append(contentsOf: bytes)
            case .longMonth: output.append(contentsOf: CalendarNames.monthBytes[civil.month - 1])
            case .month: output.append(contentsOf: CalendarNames.monthBytes[civil.month - 1].prefix(3))
            case .numericMonth: number(civil.month, 1, to: &output)
            case .zeroMonth: number(civil.month, 2, to: &output)
            case .longWeekday: output.append(contentsOf: CalendarNames.weekdayBytes[civil.weekday])
            case .weekday: output.append(contentsOf: CalendarNames.weekdayBytes[civil.weekday].prefix(3))
            case .day: number(civil.day, 1, to: &output)
            case .underDay: number(civil.day, 2, filler: 0x20, to: &output)
            case .zeroDay: number(civil.day, 2, to: &output)
            case .underYearDay: number(civil.dayOfYear, 3, filler: 0x20, to: &output)
            case .zeroYearDay: number(civil.dayOfYear, 3, to: &output)
            case .hour: number(civil.hour, 2, to: &output)
            case .hour12: number((civil.hour + 11) % 12 + 1, 1, to: &output)
            case .zeroHour12: number((civil.hour + 11) % 12 + 1, 2, to: &output)
            case .minute: number(civil.minute, 1, to: &output)
            case .zeroMinute: number(civil.minute, 2, to: &output)
            case .second: number(civil.second, 1, to: &output)
            case .zeroSecond: number(civil.second, 2, to: &output)
            case .longYear: number(Int(civil.year), 4, to: &output)
            case .year: number(Int((civil.year % 100 + 100) % 100), 2, to: &output)
            case .upperPM: output.append(contentsOf: (civil.hour >= 12 ? "PM" : "AM").utf8)
            case .lowerPM: output.append(contentsOf: (civil.hour >= 12 ? "pm" : "am").utf8)
            case .zoneName:
                if time.zoneName.isEmpty {
                    offset(time.offset, hasColon: false, hasMinutes: true, hasSeconds: false, to: &output)
                } else {
                    output.append(contentsOf: time.zoneName.utf8)
                }
            case .offset(let isISO, let hasColon, let hasMinutes, let hasSeconds):
                if isISO, time.offset == 0 {
                    output.append(UInt8(ascii: "Z"))
                } else {
                    offset(time.offset, hasColon: hasColon, hasMinutes: hasMinutes, hasSeconds: hasSeconds, to: &output)
                }
            case .fraction(let digits, let isTrimmed, let separator):
                fraction(Int(time.nanoseconds), digits, isTrimmed, separator, to: &output)
            }
        }
    }

    private func number(_ value: Int, _ width: Int, filler: UInt8 = 0x30, to output: inout [UInt8]) {
        if value < 0 { output.append(UInt8(ascii: "-")) }
        var place = 1
        var digits = 1
        let magnitude = Int(value.magnitude)
        while magnitude / place >= 10 {
            place *= 10
            digits += 1
        }
        if digits < width { output.append(contentsOf: repeatElement(filler, count: width - digits)) }
        while place > 0 {
            output.append(0x30 + UInt8(magnitude / place % 10))
            place /= 10
        }
    }

    private func offset(
        _ seconds: Int32, hasColon: Bool, hasMinutes: Bool, hasSeconds: Bool, to output: inout [UInt8]
    ) {
        output.append(seconds < 0 ? UInt8(ascii: "-") : UInt8(ascii: "+"))
        let magnitude = Int(seconds.magnitude)
        number(magnitude / 3600, 2, to: &output)
        if hasMinutes {
            if hasColon { output.append(UInt8(ascii: ":")) }
            number(magnitude / 60 % 60, 2, to: &output)
        }
        if hasSeconds {
            if hasColon { output.append(UInt8(ascii: ":")) }
            number(magnitude % 60, 2, to: &output)
        }
    }

    private func fraction(
        _ nanoseconds: Int, _ digits: Int, _ isTrimmed: Bool, _ separator: UInt8, to output: inout [UInt8]
    ) {
        var value = nanoseconds
        for _ in digits..<9 { value /= 10 }
        var count = digits
        if isTrimmed {
            while count > 0, value % 10 == 0 {
                value /= 10
                count -= 1
            }
            if count == 0 { return }
        }
        output.append(separator)
        number(value, count, to: &output)
    }
}
