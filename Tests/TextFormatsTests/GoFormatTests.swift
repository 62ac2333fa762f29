import Testing

@testable import TextFormats

@Suite("GoFormat")
struct GoFormatTests {
    private func check(
        _ format: String, _ arguments: [GoValue], _ expected: String, _ location: SourceLocation = #_sourceLocation
    ) {
        #expect(GoFormat.sprintf(format, arguments) == expected, "\(format)", sourceLocation: location)
    }

    @Test("Integers follow verbs, flags, widths and precisions")
    func integers() {
        check(
            "%d|%5d|%-5d|%05d|%+d|% d", [.int(42), .int(42), .int(42), .int(42), .int(42), .int(42)],
            "42|   42|42   |00042|+42| 42")
        check(
            "%x %X %#x %#X %o %#o %O %b %#b", Array(repeating: .int(30), count: 9),
            "1e 1E 0x1e 0X1E 36 036 0o36 11110 0b11110")
        check("%d %x", [.int(.min), .int(-255)], "-9223372036854775808 -ff")
        check("%d %#v", [.uint(.max), .uint(255)], "18446744073709551615 0xff")
        check(
            "%.3d|%8.3d|%-8.3d|%08.3d|%.0d|", [.int(7), .int(-7), .int(7), .int(7), .int(0)],
            "007|    -007|007     |     007||")
        check("%06d %+06d", [.int(-12), .int(12)], "-00012 +00012")
        check(
            "%c%c %q %+q %U %#U", [.int(0x41), .int(0x20AC), .int(0x0A), .int(0xE9), .int(0x1F600), .int(0x41)],
            "A\u{20AC} '\\n' '\\u00e9' U+1F600 U+0041 'A'")
        check("%c %q", [.int(-1), .int(0xD800)], "\u{FFFD} '\u{FFFD}'")
    }

    @Test("Floats follow verbs, flags, widths and precisions")
    func floats() {
        check(
            "%v %g %e %f %.2f %G", Array(repeating: .float(1234.5678), count: 6),
            "1234.5678 1234.5678 1.234568e+03 1234.567800 1234.57 1234.5678")
        check(
            "%v %v %v %v", [.float(1_000_000), .float(0.00001), .float(1e21), .float(100_000)],
            "1e+06 1e-05 1e+21 100000")
        check(
            "%6.2f|%-8.3f|%08.2f|%+.1e|% .2f",
            [.float(3.14159), .float(3.14159), .float(-3.14159), .float(3.14159), .float(3.14159)],
            "  3.14|3.142   |-0003.14|+3.1e+00| 3.14")
        check(
            "%v %v %v %+v %5v|%05v",
            [.float(.infinity), .float(-.infinity), .float(.nan), .float(.nan), .float(.nan), .float(.infinity)],
            "+Inf -Inf NaN +NaN   NaN| +Inf")
        check(
            "%.3g %.10g %.0f %.0f %.0f", [.float(1234.5678), .float(100_000), .float(0.5), .float(1.5), .float(2.5)],
            "1.23e+03 100000 0 2 2")
        check("%#g %#.3g %#.0f %#.0e", [.float(1), .float(1), .float(1), .float(1)], "1.00000 1.00 1. 1.e+00")
        check(
            "%x %x %x %.2x %X", [.float(1), .float(-0.1), .float(0), .float(1.999), .float(10)],
            "0x1p+00 -0x1.999999999999ap-04 0x0p+00 0x1.00p+01 0X1.4P+03")
        check("%b", [.float(1)], "4503599627370496p-52")
    }

    @Test("Strings follow verbs, flags, widths and precisions")
    func strings() {
        check(
            "%s|%5s|%-5s|%.2s|%q|%x|%X|% x|%#x|%# x", Array(repeating: .string("a\u{E9}b"), count: 10),
            "a\u{E9}b|  a\u{E9}b|a\u{E9}b  |a\u{E9}|\"a\u{E9}b\"|61c3a962|61C3A962|61 c3 a9 62|0x61c3a962|0x61 0xc3 0xa9 0x62"
        )
        check(
            "%+q %#q %#q %q",
            [.string("\u{E9}\u{1F600}"), .string("a"), .string("`"), .string("\"\\\u{7}\u{0}\u{7F}\u{200B}")],
            "\"\\u00e9\\U0001f600\" `a` \"`\" \"\\\"\\\\\\a\\x00\\x7f\\u200b\"")
        check("%v %#v %t", [.string("x"), .string("x"), .bool(true)], "x \"x\" true")
        check("100%%", [], "100%")
    }

    @Test("Composites print as Go prints them")
    func composites() {
        let map = GoValue.dictionary(["b": .int(2), "a": .list([.string("x"), .nil])])
        check("%v", [map], "map[a:[x <nil>] b:2]")
        check("%#v", [map], "map[string]interface {}{\"a\":[]interface {}{\"x\", <nil>}, \"b\":2}")
        check("%d %q", [.list([.int(1), .int(2)]), .list([.string("a")])], "[1 2] [\"a\"]")
        check(
            "%T %T %T %T %T %T", [.nil, .int(1), .float(1), .string(""), map, .list([])],
            "<nil> int float64 string map[string]interface {} []interface {}")
        check("%v %s %d", [.duration(1_500_000_000), .duration(0), .duration(5)], "1.5s 0s 5")
        check("%v", [.time(GoTime(unixSeconds: 0, nanoseconds: 5_000_000))], "1970-01-01 00:00:00.005 +0000 UTC")
        #expect(GoFormat.sprint([.int(1), .int(2), .string("b"), .int(3)]) == "1 2b3")
        #expect(GoFormat.sprintln([.string("a"), .int(1)]) == "a 1\n")
    }

    @Test("Errors have Go's forms")
    func errors() {
        check("%d", [.string("hi")], "%!d(string=hi)")
        check("%s", [.int(5)], "%!s(int=5)")
        check("%d", [], "%!d(MISSING)")
        check("%d", [.int(1), .string("x"), .nil], "1%!(EXTRA string=x, <nil>)")
        check("%", [], "%!(NOVERB)")
        check("%!", [.int(1)], "%!!(int=1)")
        check("%z", [.nil], "%!z(<nil>)")
        check("%*d", [.string("x"), .int(1)], "%!(BADWIDTH)1")
        check("%.*d", [.int(-1), .int(1)], "%!(BADPREC)1")
        check("%[5]d", [.int(1)], "%!d(BADINDEX)")
        check("%[x]d", [.int(1)], "%!d(BADINDEX)")
        check("%s", [.list([.int(1)])], "[%!s(int=1)]")
        check("%t", [.float(1.5)], "%!t(float64=1.5)")
        check("%p", [.int(1)], "%!p(int=1)")
    }

    @Test("Stars and argument indexes")
    func indexes() {
        check("%[2]d %[1]d", [.int(1), .int(2)], "2 1")
        check("%[3]*.[2]*[1]f", [.float(12), .int(2), .int(6)], " 12.00")
        check("%*d|%-*d|%*d", [.int(4), .int(1), .int(4), .int(1), .int(-4), .int(1)], "   1|1   |1   ")
        check("%[1]d %d", [.int(1), .int(2)], "1 2")
        check("%6.*f", [.int(1), .float(2.25)], "   2.2")
        check("%99999999d", [.int(1)], "1")
    }
}
