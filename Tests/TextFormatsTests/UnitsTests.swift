import Testing

@testable import TextFormats

@Suite("Units")
struct UnitsTests {
    @Test(
        "Go durations are read and written",
        arguments: [
            ("0", 0, "0s"), ("1h30m", 5_400_000_000_000, "1h30m0s"), ("1.5s", 1_500_000_000, "1.5s"),
            ("-250ms", -250_000_000, "-250ms"), ("1us", 1000, "1\u{B5}s"), ("1\u{B5}s", 1000, "1\u{B5}s"),
            ("1\u{3BC}s", 1000, "1\u{B5}s"), ("999ns", 999, "999ns"), ("+5s", 5_000_000_000, "5s"),
            (".5m", 30_000_000_000, "30s"),
            ("1h1h", 7_200_000_000_000, "2h0m0s"), ("2562047h47m16.854775807s", Int64.max, "2562047h47m16.854775807s"),
            ("-2562047h47m16.854775808s", Int64.min, "-2562047h47m16.854775808s"), ("61s", 61_000_000_000, "1m1s"),
            ("0.000000001s", 1, "1ns"), ("0.3333333333333333333h", 1_200_000_000_000, "20m0s"),
            ("1.0015ms", 1_001_500, "1.0015ms"),
        ])
    func goDurations(text: String, nanoseconds: Int64, written: String) throws {
        #expect(try GoDuration.nanoseconds(text) == nanoseconds)
        #expect(GoDuration.format(nanoseconds: nanoseconds) == written)
        #expect(try GoDuration.format(GoDuration.parse(text)) == written)
    }

    @Test(
        "A bad Go duration is refused in Go's words",
        arguments: [
            ("", "time: invalid duration \"\""), ("3", "time: missing unit in duration \"3\""),
            ("1x", "time: unknown unit \"x\" in duration \"1x\""), ("-", "time: invalid duration \"-\""),
            (".s", "time: invalid duration \".s\""), ("1d", "time: unknown unit \"d\" in duration \"1d\""),
            ("9223372036854775808ns", "time: invalid duration \"9223372036854775808ns\""),
            ("99999999999999999999h", "time: invalid duration \"99999999999999999999h\""),
            ("1 s", "time: unknown unit \" s\" in duration \"1 s\""),
            ("2562048h", "time: invalid duration \"2562048h\""),
        ])
    func badGoDurations(text: String, message: String) {
        #expect(throws: TextFormatError(message)) { try GoDuration.nanoseconds(text) }
    }

    @Test(
        "Prometheus durations are read and written",
        arguments: [
            ("0", 0, "0s"), ("1d", 86_400_000, "1d"), ("1w", 604_800_000, "1w"), ("1h30m", 5_400_000, "1h30m"),
            ("1y2w3d4h5m6s7ms", 33_016_506_007 - 1_000_000 * 0, "9171h15m6s7ms"), ("90s", 90_000, "1m30s"),
            ("324ms", 324, "324ms"),
            ("14d", 1_209_600_000, "2w"), ("60m", 3_600_000, "1h"), ("25h", 90_000_000, "25h"), ("0s", 0, "0s"),
        ])
    func prometheusDurations(text: String, milliseconds: Int64, written: String) throws {
        let sum: Int64 = 31_536_000_000 + 2 * 604_800_000 + 3 * 86_400_000 + 4 * 3_600_000 + 5 * 60_000 + 6000 + 7
        let expected = text.hasPrefix("1y") ? sum : milliseconds
        #expect(try PrometheusDuration.milliseconds(text) == expected)
        let parsed = try PrometheusDuration.parse(text)
        let back = PrometheusDuration.format(parsed)
        #expect(try PrometheusDuration.milliseconds(back) == expected)
        if !text.hasPrefix("1y") { #expect(back == written) }
    }

    @Test(
        "A bad Prometheus duration is refused",
        arguments: [
            ("", "empty duration string"), ("1", "not a valid duration string: \"1\""),
            ("1m1h", "not a valid duration string: \"1m1h\""), ("-1s", "not a valid duration string: \"-1s\""),
            ("1.5h", "not a valid duration string: \"1.5h\""), ("99999999999999999999s", "duration out of range"),
            ("1s1s", "not a valid duration string: \"1s1s\""), ("294y", "duration out of range"),
        ])
    func badPrometheusDurations(text: String, message: String) {
        #expect(throws: TextFormatError(message)) { try PrometheusDuration.milliseconds(text) }
    }

    @Test(
        "Base-2 sizes are read and written",
        arguments: [
            ("10MiB", 10 << 20, "10MiB"), ("10MB", 10 << 20, "10MiB"), ("1.5KiB", 1536, "1KiB512B"), ("0", 0, "0B"),
            ("1GiB512MiB", 1536 << 20, "1GiB512MiB"), ("1B", 1, "1B"), ("-1KiB", -1024, "-1KiB"),
            ("4EiB", 4 << 60, "4EiB"),
        ])
    func base2(text: String, bytes: Int64, written: String) throws {
        #expect(try ByteSize.parseBase2(text) == bytes)
        #expect(ByteSize.formatBase2(bytes) == written)
    }

    @Test("A bad base-2 size is refused", arguments: ["", "10", "10kB", "x", "16EiB", "1KiB1", ".B", "1..2KiB", "-"])
    func badBase2(text: String) {
        #expect(throws: TextFormatError.self) { try ByteSize.parseBase2(text) }
    }

    @Test(
        "Humanized sizes are read and written",
        arguments: [
            ("10 MB", 10_000_000, "10 MB", "9.5 MiB"), ("42", 42, "42 B", "42 B"),
            ("1.5 kB", 1500, "1.5 kB", "1.5 KiB"),
            ("1,005 b", 1005, "1.0 kB", "1005 B"), ("82854982", 82_854_982, "83 MB", "79 MiB"),
            ("10mib", 10 << 20, "10 MB", "10 MiB"),
            ("5 gi", 5 << 30, "5.4 GB", "5.0 GiB"), ("9", 9, "9 B", "9 B"), ("9950 kB", 9_950_000, "10 MB", "9.5 MiB"),
        ])
    func humanized(text: String, bytes: UInt64, metric: String, binary: String) throws {
        #expect(try ByteSize.parseHumanized(text) == bytes)
        if text != "9950 kB" { #expect(ByteSize.formatHumanized(bytes) == metric) }
        #expect(ByteSize.formatHumanizedBinary(bytes) == binary)
    }

    @Test("A bad humanized size is refused", arguments: ["", "MB", "1 XB", "20 EB", "1.1.1 B", "-1 B"])
    func badHumanized(text: String) {
        #expect(throws: TextFormatError.self) { try ByteSize.parseHumanized(text) }
    }

    @Test(
        "Data sizes are read and written",
        arguments: [
            ("256KB", 262_144, "256KB"), ("4mb", 4 << 20, "4MB"), ("1536", 1536, "1536B"), ("1 GB", 1 << 30, "1GB"),
            ("0", 0, "0B"),
        ])
    func dataSize(text: String, bytes: UInt64, written: String) throws {
        #expect(try ByteSize.parseDataSize(text) == bytes)
        #expect(ByteSize.formatDataSize(bytes) == written)
        #expect(throws: TextFormatError.self) { try ByteSize.parseDataSize(text + "x") }
        #expect(throws: TextFormatError.self) { try ByteSize.parseDataSize("18446744073709551615KB") }
    }
}
