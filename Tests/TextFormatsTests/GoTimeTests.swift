import Testing

@testable import TextFormats

@Suite("GoTimeLayout")
struct GoTimeTests {
    /// 2009-11-10 23:04:05.123456789 UTC.
    private let instant = GoTime(unixSeconds: 1_257_894_245, nanoseconds: 123_456_789)

    @Test(
        "Layouts write what Go writes",
        arguments: [
            ("ANSIC", "Tue Nov 10 23:04:05 2009"), ("UnixDate", "Tue Nov 10 23:04:05 UTC 2009"),
            ("RubyDate", "Tue Nov 10 23:04:05 +0000 2009"),
            ("RFC822", "10 Nov 09 23:04 UTC"), ("RFC822Z", "10 Nov 09 23:04 +0000"),
            ("RFC850", "Tuesday, 10-Nov-09 23:04:05 UTC"),
            ("RFC1123", "Tue, 10 Nov 2009 23:04:05 UTC"), ("RFC1123Z", "Tue, 10 Nov 2009 23:04:05 +0000"),
            ("RFC3339", "2009-11-10T23:04:05Z"),
            ("RFC3339Nano", "2009-11-10T23:04:05.123456789Z"), ("Kitchen", "11:04PM"),
            ("StampMilli", "Nov 10 23:04:05.123"),
            ("StampNano", "Nov 10 23:04:05.123456789"), ("DateTime", "2009-11-10 23:04:05"), ("2006-002", "2009-314"),
            ("__2", "314"),
            ("3:4:5 pm 06 1 2", "11:4:5 pm 09 11 10"), ("_2 Jan", "10 Nov"), ("January Monday", "November Tuesday"),
            (".000 ,000000", ".123 ,123456"),
            ("05.00", "05.12"), ("05.999", "05.123"), ("Z07:00 -07 -07:00:00 Z070000", "Z +00 +00:00:00 Z"),
            ("Month Janus", "Month Janus"), ("_2006", "_2009"),
            ("Jan2", "Nov10"), ("20060102150405", "20091110230405"), ("Marching", "Marching"), ("15h04m", "23h04m"),
        ])
    func formatting(layout: String, expected: String) {
        #expect(GoTimeLayout(layout).format(instant) == expected)
    }

    @Test("Written times are read back", arguments: GoTimeLayout.named.keys.sorted())
    func roundTrips(name: String) throws {
        let layout = GoTimeLayout(name)
        let text = layout.format(instant)
        #expect(try layout.format(layout.parse(text)) == text)
    }

    @Test(
        "Text becomes the instant Go reads",
        arguments: [
            ("RFC3339", "2009-11-10T23:04:05Z", 1_257_894_245, 0),
            ("RFC3339", "2009-11-10T23:04:05.5+02:00", 1_257_887_045, 500_000_000),
            ("RFC3339Nano", "2009-11-10T23:04:05Z", 1_257_894_245, 0),
            ("RFC3339Nano", "2009-11-10T23:04:05.123456789123Z", 1_257_894_245, 123_456_789),
            ("2006-01-02 15:04:05", "2009-11-10 23:04:05,25", 1_257_894_245, 250_000_000),
            ("2006-01-02 15:04:05,000", "2009-11-10 23:04:05,123", 1_257_894_245, 123_000_000),
            ("2006-01-02 15:04:05.000 -0700", "2009-11-10 18:04:05.001 -0500", 1_257_894_245, 1_000_000),
            ("02/Jan/2006:15:04:05 -0700", "10/nov/2009:23:04:05 +0000", 1_257_894_245, 0),
            ("Mon Jan _2 15:04:05 2006", "Tue Nov  3 23:04:05 2009", 1_257_289_445, 0),
            ("Jan  2 2006", "Nov 3 2009", 1_257_206_400, 0), ("3:04PM", "12:00AM", -62_167_219_200, 0),
            ("3:04PM", "12:30PM", -62_167_174_200, 0), ("15:04", "7:05", -62_167_193_700, 0),
            ("Jan _2 15:04:05", "Feb 29 00:00:00", -62_162_121_600, 0), ("2006-002", "2008-366", 1_230_681_600, 0),
            ("06", "69", -31_536_000, 0), ("06", "68", 3_092_601_600, 0),
            ("2006-01-02 15:04:05 MST", "2009-11-10 23:04:05 XYZ", 1_257_894_245, 0),
            ("2006-01-02 15:04:05 MST", "2009-11-10 23:04:05 GMT-3", 1_257_905_045, 0),
            ("2006-01-02T15:04:05Z0700", "2009-11-10T23:04:05+0100", 1_257_890_645, 0),
            ("2006-01-02 15:04:05 -07", "2009-11-10 23:04:05 -03", 1_257_905_045, 0),
            ("2006-01-02 15:04:05.000000000 -0700 MST", "2009-11-10 23:04:05.000000001 +0100 CET", 1_257_890_645, 1),
            ("2006-01-02 MST", "2009-11-10 +03", 1_257_811_200, 0), ("05.999", "05", -62_167_219_195, 0),
            ("2006", "9999", 253_370_764_800, 0),
        ])
    func parsing(layout: String, text: String, seconds: Int64, nanoseconds: Int32) throws {
        let time = try GoTimeLayout(layout).parse(text)
        #expect(time.unixSeconds == seconds && time.nanoseconds == nanoseconds, "\(time.description)")
        #expect(text.withBytes { GoTimeLayout(layout).parseIfPossible($0) } == time)
    }

    @Test(
        "What is no such time is refused in Go's words",
        arguments: [
            (
                "RFC3339", "2009-11-10",
                "parsing time \"2009-11-10\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"\" as \"T\""
            ),
            ("2006-01-02", "2009-13-10", "parsing time \"2009-13-10\": month out of range"),
            ("2006-01-02", "2009-02-29", "parsing time \"2009-02-29\": day out of range"),
            ("15:04", "24:00", "parsing time \"24:00\": hour out of range"),
            ("15:04", "23:60", "parsing time \"23:60\": minute out of range"),
            ("2006", "2009x", "parsing time \"2009x\": extra text: \"x\""),
            ("2006", "20x9", "parsing time \"20x9\" as \"2006\": cannot parse \"20x9\" as \"2006\""),
            ("Jan", "Foo", "parsing time \"Foo\" as \"Jan\": cannot parse \"Foo\" as \"Jan\""),
            ("05.000", "05.12", "parsing time \"05.12\" as \"05.000\": cannot parse \".12\" as \".000\""),
            ("2006-002", "2009-366", "parsing time \"2009-366\": day-of-year out of range"),
            ("-0700", "+2500", "parsing time \"+2500\": time zone offset hour out of range"),
            ("MST", "ABCDE", "parsing time \"ABCDE\" as \"MST\": cannot parse \"ABCDE\" as \"MST\""),
            ("PM", "pm", "parsing time \"pm\" as \"PM\": cannot parse \"pm\" as \"PM\""),
        ])
    func refusals(layout: String, text: String, message: String) {
        do {
            let time = try GoTimeLayout(layout).parse(text)
            Issue.record("read \(time.description)")
        } catch { #expect(error.message == message) }
    }

    /// Figures from python3's zoneinfo.
    @Test(
        "Zones agree with python's zoneinfo, beyond their last transition too",
        arguments: [
            ("America/New_York", -986_181_161, "1938-10-01 15:47:19 -18000 EST"),
            ("America/New_York", 3_901_057_193, "2093-08-13 22:59:53 -14400 EDT"),
            ("America/New_York", -1_334_399_142, "1927-09-19 09:34:18 -14400 EDT"),
            ("Europe/Berlin", 3_924_820_278, "2094-05-16 05:51:18 7200 CEST"),
            ("Europe/Berlin", 1_437_916_671, "2015-07-26 15:17:51 7200 CEST"),
            ("Europe/Berlin", 4_434_840_151, "2110-07-15 06:02:31 7200 CEST"),
            ("Australia/Lord_Howe", -811_657_094, "1944-04-13 05:41:46 36000 AEST"),
            ("Australia/Lord_Howe", 2_656_053_774, "2054-03-02 19:42:54 39600 +11"),
            ("Australia/Lord_Howe", 2_310_121_577, "2043-03-16 23:26:17 39600 +11"),
            ("Asia/Kolkata", 1_437_897_285, "2015-07-26 13:24:45 19800 IST"),
            ("Asia/Kolkata", 3_530_795_424, "2081-11-19 22:00:24 19800 IST"),
            ("Asia/Kolkata", 5_925_118_113, "2157-10-04 23:38:33 19800 IST"),
            ("America/Sao_Paulo", 5_828_342_102, "2154-09-10 12:55:02 -10800 -03"),
            ("America/Sao_Paulo", 884_935_804, "1998-01-16 05:30:04 -7200 -02"),
            ("America/Sao_Paulo", 3_262_240_841, "2073-05-17 07:00:41 -10800 -03"),
            ("Africa/Casablanca", 2_583_739_014, "2051-11-16 10:16:54 3600 +01"),
            ("Africa/Casablanca", 3_453_879_914, "2079-06-13 12:05:14 3600 +01"),
            ("Africa/Casablanca", 1_642_321_626, "2022-01-16 09:27:06 3600 +01"),
            ("Europe/Dublin", 4_019_911_134, "2097-05-20 18:58:54 3600 IST"),
            ("Europe/Dublin", -148_684_342, "1965-04-16 03:47:38 3600 IST"),
            ("Europe/Dublin", 3_510_444_344, "2081-03-29 03:25:44 0 GMT"),
            ("Pacific/Apia", 1_490_057_413, "2017-03-21 14:50:13 50400 +14"),
            ("Pacific/Apia", 2_398_951_482, "2046-01-08 04:24:42 46800 +13"),
            ("Pacific/Apia", 3_404_451_459, "2077-11-18 21:57:39 46800 +13"),
            ("America/Nuuk", 1_010_251_178, "2002-01-05 14:19:38 -10800 -03"),
            ("America/Nuuk", 893_857_956, "1998-04-29 11:52:36 -7200 -02"),
            ("America/Nuuk", 3_070_463_668, "2067-04-19 17:34:28 -3600 -01"),
            ("Asia/Tehran", 2_989_001_160, "2064-09-19 01:36:00 12600 +0330"),
            ("Asia/Tehran", 5_408_094_398, "2141-05-17 19:56:38 12600 +0330"),
            ("Asia/Tehran", 724_865_480, "1992-12-20 19:01:20 12600 +0330"),
            ("Antarctica/Troll", 1_884_003_777, "2029-09-13 16:22:57 7200 +02"),
            ("Antarctica/Troll", 1_605_308_693, "2020-11-13 23:04:53 0 +00"),
            ("Antarctica/Troll", -808_237_687, "1944-05-22 09:31:53 0 -00"),
            ("UTC", -1_475_389_487, "1923-04-01 17:35:13 0 UTC"),
            ("UTC", -750_489_851, "1946-03-21 18:35:49 0 UTC"),
            ("UTC", -1_816_127_353, "1912-06-14 00:10:47 0 UTC"),
            ("Asia/Kathmandu", 3_427_012_556, "2078-08-06 17:40:56 20700 +0545"),
            ("Asia/Kathmandu", 3_586_459_521, "2083-08-26 04:30:21 20700 +0545"),
            ("Asia/Kathmandu", 2_856_741_837, "2060-07-11 09:08:57 20700 +0545"),
            ("America/St_Johns", 1_699_569_234, "2023-11-09 19:03:54 -12600 NST"),
            ("America/St_Johns", -739_812_551, "1946-07-23 06:00:49 -9000 NDT"),
            ("America/St_Johns", 4_107_576_391, "2100-03-01 05:56:31 -12600 NST"),
        ])
    func zones(name: String, seconds: Int64, expected: String) throws {
        let zone = try GoTimeZone.load(name)
        let time = GoTime(unixSeconds: seconds).converted(to: zone)
        let text = GoTimeLayout("2006-01-02 15:04:05").format(time) + " \(time.offset) \(time.zoneName)"
        #expect(text == expected)
        let (back, span) = zone.unixSeconds(ofLocal: seconds + Int64(time.offset))
        #expect(back == seconds || span.offset != time.offset)
        let found = zone.span(at: seconds)
        #expect(found.start <= seconds && seconds < found.end)
        if found.end != .max { #expect(zone.span(at: found.end).start == found.end) }
    }

    @Test("A time without a zone lies in the zone asked for")
    func location() throws {
        let berlin = try GoTimeZone.load("Europe/Berlin")
        let layout = GoTimeLayout("2006-01-02 15:04:05")
        #expect(try layout.parse("2024-07-01 12:00:00", in: berlin).unixSeconds == 1_719_828_000)
        #expect(try layout.parse("2024-01-01 12:00:00", in: berlin).unixSeconds == 1_704_106_800)
        // Skipped hour: Go takes one of the offsets in force around the change.
        #expect(try layout.parse("2024-03-31 02:30:00", in: berlin).unixSeconds == 1_711_848_600)
        #expect(
            try GoTimeLayout("2006-01-02 15:04:05 MST").parse("2024-07-01 12:00:00 CEST", in: berlin).offset == 7200)
        #expect(try layout.parse("2050-07-01 12:00:00", in: berlin).offset == 7200)
        #expect(
            GoTimeLayout("RFC3339").format(try layout.parse("2024-07-01 12:00:00", in: berlin))
                == "2024-07-01T12:00:00+02:00")
    }

    @Test(
        "Zone names cannot leave the database and damaged files are refused",
        arguments: [
            "../etc/passwd", "/etc/localtime", "Nowhere/City", "Europe", "a\u{0}b", "Europe/../Europe/Berlin",
        ])
    func badZones(name: String) {
        #expect(throws: TextFormatError.self) { try GoTimeZone.load(name) }
        for bytes in [
            [], Array("TZif".utf8), Array("TZif2".utf8) + [UInt8](repeating: 0, count: 39),
            Array("TZif2".utf8) + [UInt8](repeating: 0xFF, count: 200),
        ] {
            #expect(throws: TextFormatError.self) { try GoTimeZone(name: "x", tzif: bytes) }
        }
    }

    @Test("Dates before 1970 and far away")
    func extremes() {
        for seconds: Int64 in [-62_167_219_200, -1, 0, 951_782_400, 253_402_300_799, -62_135_596_800, 4_107_542_399] {
            let civil = CivilTime(localSeconds: seconds)
            #expect(civil.localSeconds == seconds)
        }
        #expect(
            CivilTime(localSeconds: -1) == CivilTime(year: 1969, month: 12, day: 31, hour: 23, minute: 59, second: 59))
        #expect(CivilTime(localSeconds: 0).weekday == 4 && CivilTime(year: 2000, month: 2, day: 29).dayOfYear == 60)
        #expect(
            GoTime(unixNanoseconds: -1).nanoseconds == 999_999_999
                && GoTime(unixNanoseconds: .min).unixNanoseconds == .min)
        #expect(GoTime(unixSeconds: 253_402_300_799).unixNanoseconds == nil)
    }
}
