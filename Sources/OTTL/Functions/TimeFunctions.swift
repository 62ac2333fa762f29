import Essentials
package import TextFormats
import Wire

extension Functions {
    /// Functions of times and durations.
    static let timeConverters: [Converter] = [
        Converter("Now", [], .time) { _ in { frame in .time(GoTime(unixNanoseconds: frame.clock.wallNanoseconds)) } },
        Converter(
            "Time",
            [
                .text("time"), Parameter("format", .string), Parameter("location", .string, optional: true),
                Parameter("locale", .string, optional: true),
            ], .time
        ) { arguments in
            let target = arguments.value(0)
            let layout = try TimeFormat.layout(arguments, 1)
            let locale = (arguments.string(3) ?? "en").lowercased()
            guard locale == "en" || locale.hasPrefix("en-") else {
                throw arguments.error(3, "only English names of months and days are known")
            }
            let zone: GoTimeZone
            do {
                zone = try GoTimeZone.load(arguments.string(2) ?? "")
            } catch {
                throw arguments.error(2, "\(error)")
            }
            return { frame in
                let value = try target.evaluate(frame)
                let parsed = try value.withText { text in
                    do {
                        return try layout.parse(text, in: zone)
                    } catch let error as TextFormatError {
                        throw OTTLError("Time: \(error.message)")
                    }
                }
                guard let parsed else { throw OTTLError("Time: expected string but got \(value.typeName)") }
                return .time(TimeFormat.withYear(parsed, GoTime(unixNanoseconds: frame.clock.wallNanoseconds)))
            }
        },
        Converter("FormatTime", [.time("time"), Parameter("format", .string)], .string) { arguments in
            let time = arguments.value(0)
            let layout = try TimeFormat.layout(arguments, 1)
            return { frame in .string(layout.format(try time.evaluate(frame).requireTime(arguments.what(0)))) }
        },
        Converter("TruncateTime", [.time("time"), .duration("duration")], .time) { arguments in
            let (time, duration) = (arguments.value(0), arguments.value(1))
            return { frame in
                var time = try time.evaluate(frame).requireTime(arguments.what(0))
                let step = try duration.evaluate(frame).requireDuration(arguments.what(1))
                guard step > 0 else { return .time(time) }
                // Steps are counted from January 1 of the year 1, as in Go.
                let origin: Int64 = 62_135_596_800
                let total = (Int128(time.unixSeconds) + Int128(origin)) * 1_000_000_000 + Int128(time.nanoseconds)
                var rest = total % Int128(step)
                if rest < 0 { rest += Int128(step) }
                let cut = total - rest - Int128(origin) * 1_000_000_000
                var seconds = cut / 1_000_000_000
                if cut % 1_000_000_000 < 0 { seconds -= 1 }
                time.unixSeconds = Int64(clamping: seconds)
                time.nanoseconds = Int32(cut - seconds * 1_000_000_000)
                return .time(time)
            }
        },
        Converter("Duration", [.text("duration")], .duration) { arguments in
            let value = arguments.value(0)
            @Sendable func parse(_ text: String) throws -> Int64 {
                do { return try GoDuration.nanoseconds(text) } catch { throw OTTLError("Duration: \(error.message)") }
            }
            if let text = value.literal?.string {
                let constant: Int64
                do { constant = try parse(text) } catch { throw arguments.error(0, "\(error)") }
                return { _ in .duration(constant) }
            }
            return { frame in .duration(try parse(value.evaluate(frame).requireString(arguments.what(0)))) }
        },
        Converter("Unix", [.int("seconds"), Parameter.int("nanoseconds").optional], .time) { arguments in
            let (seconds, nanoseconds) = (arguments.value(0), arguments.value(1))
            let isGiven = arguments.isPresent(1)
            return { frame in
                var whole = try seconds.evaluate(frame).requireInt(arguments.what(0))
                var rest = isGiven ? try nanoseconds.evaluate(frame).requireInt(arguments.what(1)) : 0
                let carry = CalendarMath.floorDivide(rest, 1_000_000_000)
                rest -= carry * 1_000_000_000
                whole = whole &+ carry
                guard whole.magnitude < 1 << 55 else { throw OTTLError("Unix: a time out of range") }
                return .time(GoTime(unixSeconds: whole, nanoseconds: Int32(rest)))
            }
        },
        ofTime("UnixSeconds") { $0.unixSeconds },
        ofTime("UnixMilli") { $0.unixSeconds &* 1000 &+ Int64($0.nanoseconds / 1_000_000) },
        ofTime("UnixMicro") { $0.unixSeconds &* 1_000_000 &+ Int64($0.nanoseconds / 1000) },
        ofTime("UnixNano") { time in
            guard let value = time.unixNanoseconds else { throw OTTLError("UnixNano: a time out of range") }
            return value
        },
        ofTime("Year") { $0.civil.year },
        ofTime("Month") { Int64($0.civil.month) },
        ofTime("Day") { Int64($0.civil.day) },
        ofTime("Weekday") { Int64($0.civil.weekday) },
        ofTime("Hour") { Int64($0.civil.hour) },
        ofTime("Minute") { Int64($0.civil.minute) },
        ofTime("Second") { Int64($0.civil.second) },
        ofTime("Nanosecond") { Int64($0.nanoseconds) },
        ofDuration("Hours", .double) {
            .double(Double($0 / 3_600_000_000_000) + Double($0 % 3_600_000_000_000) / 3.6e12)
        },
        ofDuration("Minutes", .double) { .double(Double($0 / 60_000_000_000) + Double($0 % 60_000_000_000) / 6e10) },
        ofDuration("Seconds", .double) { .double(Double($0 / 1_000_000_000) + Double($0 % 1_000_000_000) / 1e9) },
        ofDuration("Milliseconds", .int) { .int($0 / 1_000_000) },
        ofDuration("Microseconds", .int) { .int($0 / 1000) },
        ofDuration("Nanoseconds", .int) { .int($0) },
    ]

    private static func ofTime(_ name: String, _ body: @escaping @Sendable (GoTime) throws -> Int64) -> Converter {
        Converter(name, [.time("time")], .int) { arguments in
            let time = arguments.value(0)
            return { frame in .int(try body(time.evaluate(frame).requireTime(arguments.what(0)))) }
        }
    }

    private static func ofDuration(
        _ name: String, _ kind: ValueKind, _ body: @escaping @Sendable (Int64) -> Datum
    ) -> Converter {
        Converter(name, [.duration("duration")], kind) { arguments in
            let duration = arguments.value(0)
            return { frame in body(try duration.evaluate(frame).requireDuration(arguments.what(0))) }
        }
    }
}

/// Formats of times: Go's layouts with the directives of `strftime` that upstream documents for `Time`.
package enum TimeFormat {
    private static let directives: [Character: String] = [
        "Y": "2006", "y": "06", "m": "01", "o": "_1", "q": "1", "b": "Jan", "h": "Jan", "B": "January", "d": "02",
        "e": "_2", "g": "2", "a": "Mon", "A": "Monday", "H": "15", "I": "03", "l": "3", "p": "PM", "P": "pm",
        "M": "04", "S": "05", "L": "000", "f": "000000", "s": "000000000", "z": "-0700", "Z": "MST", "i": "-07",
        "j": "-07:00", "k": "-07:00:00", "w": "-070000", "D": "01/02/06", "x": "01/02/06", "F": "2006-01-02",
        "T": "15:04:05", "X": "15:04:05", "r": "03:04:05 pm", "R": "15:04", "n": "\n", "t": "\t", "%": "%",
        "c": "Mon Jan 02 15:04:05 2006",
    ]

    static func layout(_ arguments: Arguments, _ index: Int) throws -> GoTimeLayout {
        let format = arguments.string(index) ?? ""
        if format.isEmpty { throw arguments.error(index, "must not be empty") }
        do throws(OTTLError) {
            return GoTimeLayout(verbatim: try layoutText(format))
        } catch {
            throw arguments.error(index, error.message)
        }
    }

    /// Go's layout for a format; `overrides` replace the layout of single directives.
    package static func layoutText(
        _ format: String, overrides: [Character: String] = [:]
    ) throws(OTTLError) -> String {
        var output = ""
        var rest = format[...]
        while let character = rest.popFirst() {
            guard character == "%" else {
                output.append(character)
                continue
            }
            guard let name = rest.popFirst() else { throw OTTLError("ends in %; a % sign is written %%") }
            guard let text = overrides[name] ?? directives[name] else { throw OTTLError("unknown directive %\(name)") }
            output += text
        }
        return output
    }

    /// A time whose layout has no year lies in the current one, or in the last when it would be a week ahead.
    package static func withYear(_ time: GoTime, _ now: GoTime) -> GoTime {
        var civil = time.civil
        guard civil.year <= 0 else { return time }
        var changed = time
        civil.year = now.civil.year
        changed.unixSeconds = civil.localSeconds - Int64(time.offset)
        if changed.unixSeconds > now.unixSeconds + 7 * 86_400 {
            civil.year -= 1
            changed.unixSeconds = civil.localSeconds - Int64(time.offset)
        }
        return changed
    }
}
