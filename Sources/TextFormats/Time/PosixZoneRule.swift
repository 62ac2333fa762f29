/// The footer of a TZif file: a POSIX `TZ` string with the extensions of RFC 8536 section 3.3.1.
struct PosixZoneRule: Sendable {
    private enum Day: Sendable {
        /// 1 to 365, February 29 never counted.
        case julian(Int)
        /// 0 to 365, February 29 counted.
        case ordinal(Int)
        case weekday(month: Int, week: Int, weekday: Int)
    }

    private struct Change: Sendable {
        var day: Day
        /// Seconds of local time, which may lie on another day.
        var time: Int64

        /// Seconds after the beginning of `year`.
        func seconds(in year: Int64) -> Int64 {
            let newYear = CivilTime.days(year: year, month: 1, day: 1)
            var days: Int64
            switch day {
            case .julian(let number):
                days = Int64(number - 1) + (CivilTime.isLeap(year) && number >= 60 ? 1 : 0)
            case .ordinal(let number):
                days = Int64(number)
            case .weekday(let month, let week, let weekday):
                let first = CivilTime(year: year, month: month, day: 1)
                var day = (weekday - first.weekday + 7) % 7 + 1 + 7 * (week - 1)
                while day > CivilTime.days(in: month, of: year) { day -= 7 }
                days = CivilTime.days(year: year, month: month, day: day) - newYear
            }
            return days * 86_400 + time
        }
    }

    private var standard: (name: String, offset: Int32)
    private var daylight: (name: String, offset: Int32, start: Change, end: Change)?

    init?(_ text: [UInt8]) {
        var reader = Reader(bytes: text)
        guard let name = reader.name(), let offset = reader.time() else { return nil }
        standard = (name, Int32(clamping: -offset))
        guard !reader.isAtEnd else { return }
        guard let summerName = reader.name() else { return nil }
        var summerOffset = standard.offset + 3600
        if !reader.isAtEnd, reader.peek != UInt8(ascii: ",") {
            guard let written = reader.time() else { return nil }
            summerOffset = Int32(clamping: -written)
        }
        guard reader.skip(","), let start = reader.change(), reader.skip(","), let end = reader.change(), reader.isAtEnd
        else { return nil }
        daylight = (summerName, summerOffset, start, end)
    }

    func span(at seconds: Int64, notBefore first: Int64) -> GoTimeZone.Span {
        guard let daylight else {
            return GoTimeZone.Span(
                offset: standard.offset, abbreviation: standard.name, isDaylight: false, start: first, end: .max)
        }
        let year = CivilTime(localSeconds: seconds &+ Int64(standard.offset)).year
        // Changes of the years around, in UTC, each with what begins there.
        var changes: [(at: Int64, isDaylight: Bool)] = []
        for candidate in (year - 1)...(year + 1) {
            let newYear = CivilTime.days(year: candidate, month: 1, day: 1) * 86_400
            changes.append((newYear + daylight.start.seconds(in: candidate) - Int64(standard.offset), true))
            changes.append((newYear + daylight.end.seconds(in: candidate) - Int64(daylight.offset), false))
        }
        changes.sort { $0.at < $1.at }
        let index = changes.lastIndex { $0.at <= seconds } ?? 0
        let isDaylight = changes[index].isDaylight
        return GoTimeZone.Span(
            offset: isDaylight ? daylight.offset : standard.offset,
            abbreviation: isDaylight ? daylight.name : standard.name, isDaylight: isDaylight,
            start: max(first, changes[index].at),
            end: index + 1 < changes.count ? changes[index + 1].at : .max)
    }

    private struct Reader {
        let bytes: [UInt8]
        var index = 0

        init(bytes: [UInt8]) { self.bytes = bytes }

        var isAtEnd: Bool { index == bytes.count }
        var peek: UInt8? { index < bytes.count ? bytes[index] : nil }

        mutating func skip(_ character: Unicode.Scalar) -> Bool {
            guard peek == UInt8(ascii: character) else { return false }
            index += 1
            return true
        }

        mutating func name() -> String? {
            let isQuoted = skip("<")
            let start = index
            while let byte = peek, isQuoted ? byte != UInt8(ascii: ">") : (byte | 0x20 >= 0x61 && byte | 0x20 <= 0x7A) {
                index += 1
            }
            let name = String(decoding: bytes[start..<index], as: UTF8.self)
            if isQuoted, !skip(">") { return nil }
            return name.utf8.count >= 3 ? name : nil
        }

        mutating func number() -> Int64? {
            let start = index
            var value: Int64 = 0
            while let byte = peek, byte >= 0x30, byte <= 0x39, index - start < 4 {
                value = value * 10 + Int64(byte - 0x30)
                index += 1
            }
            return index > start ? value : nil
        }

        /// `[+-]hh[:mm[:ss]]` in seconds.
        mutating func time() -> Int64? {
            let isNegative = skip("-")
            if !isNegative { _ = skip("+") }
            guard let hours = number(), hours <= 167 else { return nil }
            var seconds = hours * 3600
            if skip(":") {
                guard let minutes = number(), minutes < 60 else { return nil }
                seconds += minutes * 60
                if skip(":") {
                    guard let rest = number(), rest < 60 else { return nil }
                    seconds += rest
                }
            }
            return isNegative ? -seconds : seconds
        }

        mutating func change() -> Change? {
            var day: Day
            if skip("M") {
                guard let month = number(), (1...12).contains(month), skip("."), let week = number(),
                    (1...5).contains(week),
                    skip("."), let weekday = number(), weekday <= 6
                else { return nil }
                day = .weekday(month: Int(month), week: Int(week), weekday: Int(weekday))
            } else if skip("J") {
                guard let number = number(), (1...365).contains(number) else { return nil }
                day = .julian(Int(number))
            } else {
                guard let number = number(), number <= 365 else { return nil }
                day = .ordinal(Int(number))
            }
            var time: Int64 = 7200
            if skip("/") {
                guard let written = self.time() else { return nil }
                time = written
            }
            return Change(day: day, time: time)
        }
    }
}
