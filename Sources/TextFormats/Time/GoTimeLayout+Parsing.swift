extension GoTimeLayout {
    /// Parses all of `bytes`; a time without a zone lies in `zone`, which also resolves zone abbreviations.
    ///
    /// An abbreviation `zone` does not know keeps its name with offset 0, as in Go. Throws Go's message.
    package func parse(
        _ bytes: UnsafeRawBufferPointer, in zone: GoTimeZone = .utc
    ) throws(TextFormatError) -> GoTime {
        var parser = TimeParser(bytes: bytes)
        if let time = parser.run(self, zone) { return time }
        throw TextFormatError(message(parser, bytes), offset: parser.index)
    }

    /// Parses all of `text`.
    package func parse(_ text: String, in zone: GoTimeZone = .utc) throws(TextFormatError) -> GoTime {
        try Array(text.utf8).span.bytes.withUnsafeBytes { (raw) throws(TextFormatError) in try parse(raw, in: zone) }
    }

    /// Parses all of `bytes`; nil instead of an error, for lines that are expected not to carry the time.
    package func parseIfPossible(_ bytes: UnsafeRawBufferPointer, in zone: GoTimeZone = .utc) -> GoTime? {
        var parser = TimeParser(bytes: bytes)
        return parser.run(self, zone)
    }

    private func message(_ parser: TimeParser, _ bytes: UnsafeRawBufferPointer) -> String {
        let value = GoQuote.quote(bytes.text)
        if let range = parser.outOfRange { return "parsing time \(value): \(range) out of range" }
        let rest = GoQuote.quote(bytes.sliced(min(parser.index, bytes.count)..<bytes.count).text)
        if parser.hasExtraText { return "parsing time \(value): extra text: \(rest)" }
        let source = parser.element < sources.count ? sources[parser.element] : ""
        return "parsing time \(value) as \(GoQuote.quote(layout)): cannot parse \(rest) as \(GoQuote.quote(source))"
    }
}

/// One parse: fields found so far and where it stands.
private struct TimeParser {
    let bytes: UnsafeRawBufferPointer
    var index = 0
    var element = 0
    var outOfRange: String?
    var hasExtraText = false

    private var year: Int64 = 0
    private var month: Int?
    private var day: Int?
    private var dayOfYear: Int?
    private var hour = 0
    private var minute = 0
    private var second = 0
    private var nanoseconds = 0
    private var isAfternoon: Bool?
    private var offset: Int32?
    private var isUTC = false
    private var zoneName: Range<Int>?

    init(bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    mutating func run(_ layout: GoTimeLayout, _ zone: GoTimeZone) -> GoTime? {
        while element < layout.elements.count {
            let start = index
            guard read(layout.elements[element], layout) else {
                if outOfRange == nil { index = start }
                return nil
            }
            element += 1
        }
        guard index == bytes.count else {
            hasExtraText = true
            return nil
        }
        return resolve(zone)
    }

    private mutating func read(_ wanted: GoTimeLayout.Element, _ layout: GoTimeLayout) -> Bool {
        switch wanted {
        case .literal(let text): return skip(text)
        case .year:
            guard let value = number(fixed: 2, most: 2) else { return false }
            year = Int64(value >= 69 ? value + 1900 : value + 2000)
        case .longYear:
            guard let value = number(fixed: 4, most: 4) else { return false }
            year = Int64(value)
        case .month:
            guard let value = name(CalendarNames.monthBytes, 3) else { return false }
            month = value + 1
        case .longMonth:
            guard let value = name(CalendarNames.monthBytes, nil) else { return false }
            month = value + 1
        case .numericMonth, .zeroMonth:
            guard let value = number(fixed: wanted == .zeroMonth ? 2 : nil, most: 2) else { return false }
            guard value >= 1, value <= 12 else { return refuse("month") }
            month = value
        case .weekday: return name(CalendarNames.weekdayBytes, 3) != nil
        case .longWeekday: return name(CalendarNames.weekdayBytes, nil) != nil
        case .day, .underDay, .zeroDay:
            if wanted == .underDay, peek == 0x20 { index += 1 }
            guard let value = number(fixed: wanted == .zeroDay ? 2 : nil, most: 2) else { return false }
            day = value
        case .underYearDay, .zeroYearDay:
            var width = 3
            while wanted == .underYearDay, width > 1, peek == 0x20 {
                index += 1
                width -= 1
            }
            guard let value = number(fixed: wanted == .zeroYearDay ? 3 : nil, most: width) else { return false }
            dayOfYear = value
        case .hour:
            guard let value = number(fixed: nil, most: 2) else { return false }
            guard value < 24 else { return refuse("hour") }
            hour = value
        case .hour12, .zeroHour12:
            guard let value = number(fixed: wanted == .zeroHour12 ? 2 : nil, most: 2) else { return false }
            guard value <= 12 else { return refuse("hour") }
            hour = value
        case .minute, .zeroMinute:
            guard let value = number(fixed: wanted == .zeroMinute ? 2 : nil, most: 2) else { return false }
            guard value < 60 else { return refuse("minute") }
            minute = value
        case .second, .zeroSecond: return readSecond(fixed: wanted == .zeroSecond ? 2 : nil, layout)
        case .upperPM, .lowerPM:
            let isUpper = wanted == .upperPM
            if skip(Array((isUpper ? "PM" : "pm").utf8)) {
                isAfternoon = true
            } else if skip(Array((isUpper ? "AM" : "am").utf8)) {
                isAfternoon = false
            } else {
                return false
            }
        case .zoneName: return readZoneName()
        case .offset(let isISO, let hasColon, let hasMinutes, let hasSeconds):
            return readOffset(isISO, hasColon, hasMinutes, hasSeconds)
        case .fraction(let digits, let isTrimmed, _): return readFraction(digits, isTrimmed)
        }
        return true
    }

    private var peek: UInt8? { index < bytes.count ? bytes[index] : nil }

    private func digit(at position: Int) -> Int? {
        guard position < bytes.count else { return nil }
        let value = bytes[position] &- 0x30
        return value <= 9 ? Int(value) : nil
    }

    private mutating func refuse(_ field: String) -> Bool {
        outOfRange = field
        return false
    }

    /// A literal; a run of spaces in it stands for any run of spaces.
    private mutating func skip(_ text: [UInt8]) -> Bool {
        var cursor = 0
        var position = index
        while cursor < text.count {
            if text[cursor] == 0x20 {
                if position < bytes.count, bytes[position] != 0x20 { return false }
                while cursor < text.count, text[cursor] == 0x20 { cursor += 1 }
                while position < bytes.count, bytes[position] == 0x20 { position += 1 }
                continue
            }
            guard position < bytes.count, bytes[position] == text[cursor] else { return false }
            cursor += 1
            position += 1
        }
        index = position
        return true
    }

    private mutating func number(fixed: Int?, most: Int) -> Int? {
        var value = 0
        var count = 0
        while count < most, let digit = digit(at: index + count) {
            value = value * 10 + digit
            count += 1
        }
        guard count > 0, fixed == nil || count == fixed else { return nil }
        index += count
        return value
    }

    private mutating func name(_ names: [[UInt8]], _ length: Int?) -> Int? {
        for (position, name) in names.enumerated() {
            let count = length ?? name.count
            guard index + count <= bytes.count else { continue }
            var isEqual = true
            for step in 0..<count where bytes[index + step] | 0x20 != name[step] | 0x20 {
                isEqual = false
                break
            }
            if isEqual {
                index += count
                return position
            }
        }
        return nil
    }

    private mutating func readSecond(fixed: Int?, _ layout: GoTimeLayout) -> Bool {
        guard let value = number(fixed: fixed, most: 2) else { return false }
        guard value < 60 else { return refuse("second") }
        second = value
        // A fraction in the text counts even where the layout has none.
        guard let mark = peek, mark == UInt8(ascii: ".") || mark == UInt8(ascii: ","), digit(at: index + 1) != nil
        else {
            return true
        }
        for next in layout.elements[(element + 1)...] {
            if case .literal = next { continue }
            if case .fraction = next { return true }
            break
        }
        return readFraction(nil)
    }

    private mutating func readFraction(_ digits: Int, _ isTrimmed: Bool) -> Bool {
        if isTrimmed {
            guard let mark = peek, mark == UInt8(ascii: ".") || mark == UInt8(ascii: ","), digit(at: index + 1) != nil
            else { return true }
            return readFraction(nil)
        }
        return readFraction(digits)
    }

    /// A separator and `digits` digits, or as many as there are; those beyond nine do not count.
    private mutating func readFraction(_ digits: Int?) -> Bool {
        guard let mark = peek, mark == UInt8(ascii: ".") || mark == UInt8(ascii: ",") else { return false }
        var value = 0
        var count = 0
        while digits == nil || count < digits ?? 0, let digit = digit(at: index + 1 + count) {
            if count < 9 { value = value * 10 + digit }
            count += 1
        }
        if let digits, count < digits { return false }
        for _ in min(count, 9)..<9 { value *= 10 }
        nanoseconds = value
        index += 1 + count
        return true
    }

    private mutating func readOffset(_ isISO: Bool, _ hasColon: Bool, _ hasMinutes: Bool, _ hasSeconds: Bool) -> Bool {
        if isISO, peek == UInt8(ascii: "Z") {
            index += 1
            isUTC = true
            return true
        }
        guard let sign = peek, sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-") else { return false }
        index += 1
        guard let hours = number(fixed: 2, most: 2) else { return false }
        var minutes = 0
        var seconds = 0
        if hasMinutes {
            if hasColon, !skip([UInt8(ascii: ":")]) { return false }
            guard let value = number(fixed: 2, most: 2) else { return false }
            minutes = value
        }
        if hasSeconds {
            if hasColon, !skip([UInt8(ascii: ":")]) { return false }
            guard let value = number(fixed: 2, most: 2) else { return false }
            seconds = value
        }
        if hours > 24 { return refuse("time zone offset hour") }
        if minutes > 60 { return refuse("time zone offset minute") }
        if seconds > 60 { return refuse("time zone offset second") }
        let total = Int32(hours * 3600 + minutes * 60 + seconds)
        offset = sign == UInt8(ascii: "-") ? -total : total
        return true
    }

    /// Three to five capitals, `ChST`, `MeST`, `GMT+3` or a bare `+03`.
    private mutating func readZoneName() -> Bool {
        let rest = bytes.sliced(index..<bytes.count)
        if rest.starts(with: Array("UTC".utf8)) {
            isUTC = true
            index += 3
            return true
        }
        guard let length = zoneNameLength(rest) else { return false }
        zoneName = index..<(index + length)
        index += length
        return true
    }

    private func zoneNameLength(_ rest: UnsafeRawBufferPointer) -> Int? {
        guard rest.count >= 3 else { return nil }
        if rest.starts(with: Array("ChST".utf8)) || rest.starts(with: Array("MeST".utf8)) { return 4 }
        if rest.starts(with: Array("GMT".utf8)) { return 3 + signedHours(rest, at: 3) }
        if rest[0] == UInt8(ascii: "+") || rest[0] == UInt8(ascii: "-") {
            let length = signedHours(rest, at: 0)
            return length > 0 ? length : nil
        }
        var capitals = 0
        while capitals < min(6, rest.count), rest[capitals] >= 0x41, rest[capitals] <= 0x5A { capitals += 1 }
        switch capitals {
        case 3: return 3
        case 4: return rest[3] == UInt8(ascii: "T") || rest.starts(with: Array("WITA".utf8)) ? 4 : nil
        case 5: return rest[4] == UInt8(ascii: "T") ? 5 : nil
        default: return nil
        }
    }

    /// Length of `+h` to `+hh` (at most 23) at `start`, or 0.
    private func signedHours(_ rest: UnsafeRawBufferPointer, at start: Int) -> Int {
        guard start < rest.count, rest[start] == UInt8(ascii: "+") || rest[start] == UInt8(ascii: "-") else { return 0 }
        var value = 0
        var count = 0
        while start + 1 + count < rest.count, count < 4 {
            let digit = rest[start + 1 + count] &- 0x30
            guard digit <= 9 else { break }
            value = value * 10 + Int(digit)
            count += 1
        }
        return count == 0 || value >= 24 ? 0 : 1 + count
    }

    private mutating func resolve(_ zone: GoTimeZone) -> GoTime? {
        if let isAfternoon {
            if isAfternoon, hour < 12 { hour += 12 }
            if !isAfternoon, hour == 12 { hour = 0 }
        }
        if let dayOfYear {
            guard dayOfYear >= 1, dayOfYear <= (CivilTime.isLeap(year) ? 366 : 365) else {
                _ = refuse("day-of-year")
                return nil
            }
            let found = CivilTime(
                localSeconds: (CivilTime.days(year: year, month: 1, day: 1) + Int64(dayOfYear - 1)) * 86_400)
            guard month == nil || month == found.month, day == nil || day == found.day else {
                outOfRange = "day-of-year does not match month: value"
                return nil
            }
            month = found.month
            day = found.day
        }
        let month = month ?? 1
        let day = day ?? 1
        guard day >= 1, day <= CivilTime.days(in: month, of: year) else {
            _ = refuse("day")
            return nil
        }
        let local = CivilTime(year: year, month: month, day: day, hour: hour, minute: minute, second: second)
            .localSeconds
        let fraction = Int32(nanoseconds)
        if isUTC { return GoTime(unixSeconds: local, nanoseconds: fraction) }
        let written = zoneName.map { bytes.sliced($0).text } ?? ""
        if let offset {
            let seconds = local - Int64(offset)
            let span = zone.span(at: seconds)
            let isKnown = span.offset == offset && (written.isEmpty || span.abbreviation == written)
            return GoTime(
                unixSeconds: seconds, nanoseconds: fraction, offset: offset,
                zoneName: isKnown ? span.abbreviation : written)
        }
        if zoneName != nil {
            if let known = zone.offset(ofAbbreviation: written, localSeconds: local) {
                return GoTime(
                    unixSeconds: local - Int64(known), nanoseconds: fraction, offset: known, zoneName: written)
            }
            var guess: Int32 = 0
            if written.hasPrefix("GMT"), let hours = Int32(written.dropFirst(3)) { guess = hours * 3600 }
            return GoTime(
                unixSeconds: local - Int64(guess), nanoseconds: fraction, offset: guess, zoneName: written)
        }
        let (seconds, span) = zone.unixSeconds(ofLocal: local)
        return GoTime(unixSeconds: seconds, nanoseconds: fraction, offset: span.offset, zoneName: span.abbreviation)
    }
}
