import Foundation
import Testing

@testable import TextFormats

@Suite("Numbers")
struct NumberTests {
    @Test("Decimal text becomes the double strtod gives, on random values")
    func agreesWithStrtod() {
        var generator = SystemRandomNumberGenerator()
        for round in 0..<60_000 {
            let bits = generator.next()
            var text: String
            switch round % 4 {
            case 0:
                let value = Double(bitPattern: bits)
                guard value.isFinite else { continue }
                text = "\(value)"
            case 1: text = "\(bits)e\(Int(generator.next() % 700) - 350)"
            case 2:
                text = "\(bits)\(generator.next())\(generator.next()).\(generator.next())e-\(generator.next() % 400)"
            default:
                text = String(format: "%.\(Int(bits % 25))f", Double(Int64(bitPattern: generator.next()) >> 30) / 1000)
            }
            if round % 3 == 0 { text = text.hasPrefix("-") ? text : "-" + text }
            let expected = strtod(text, nil)
            let parsed = DecimalParser.parse(text)
            if parsed?.bitPattern != expected.bitPattern {
                Issue.record("\(text): \(String(describing: parsed)) instead of \(expected)")
            }
        }
    }

    @Test(
        "Hard decimal cases",
        arguments: [
            "2.2250738585072011e-308", "2.2250738585072014e-308", "4.9e-324", "2.4703282292062327e-324",
            "2.4703282292062328e-324", "1.7976931348623157e308", "1.7976931348623159e308", "9007199254740993",
            "9007199254740993.00000000000000000000000000000001", "8.988465674311582e307", "0.1", "1e23", "-0",
            "0e999999999",
            "1e-999999999", "1e999999999", "123456789012345678901234567890", "5e-324",
            "1.00000000000000011102230246251565",
        ])
    func hardCases(text: String) {
        #expect(DecimalParser.parse(text)?.bitPattern == strtod(text, nil).bitPattern)
    }

    @Test(
        "Text that is no decimal number is refused",
        arguments: [
            "", "-", ".", "e1", "1e", "1e+", "1.2.3", "1x", " 1", "0x1", "nan", "inf", "--1", "1_0",
        ])
    func refused(text: String) { #expect(DecimalParser.parse(text) == nil) }

    @Test(
        "Floats print as Go prints them",
        arguments: [
            (0.1, "0.1", "1e-01", "0.1"), (1e21, "1e+21", "1e+21", "1000000000000000000000"),
            (1e20, "1e+20", "1e+20", "100000000000000000000"),
            (123_456_789.0, "1.23456789e+08", "1.23456789e+08", "123456789"), (0.00001, "1e-05", "1e-05", "0.00001"),
            (0.0001, "0.0001", "1e-04", "0.0001"), (-2.5, "-2.5", "-2.5e+00", "-2.5"), (0, "0", "0e+00", "0"),
            (.leastNonzeroMagnitude, "5e-324", "5e-324", ""),
            (1.7976931348623157e308, "1.7976931348623157e+308", "1.7976931348623157e+308", ""),
            (999_999, "999999", "9.99999e+05", "999999"), (1_000_000, "1e+06", "1e+06", "1000000"),
            (100, "100", "1e+02", "100"),
        ])
    func floats(value: Double, g: String, e: String, f: String) {
        #expect(GoNumber.format(value) == g)
        #expect(GoNumber.formatFloat(value, "e", precision: -1) == e)
        if !f.isEmpty { #expect(GoNumber.formatFloat(value, "f", precision: -1) == f) }
    }

    @Test("Precision follows printf on random values")
    func precisionAgrees() {
        var generator = SystemRandomNumberGenerator()
        for round in 0..<5000 {
            let value = Double(bitPattern: generator.next())
            guard value.isFinite else { continue }
            let precision = round % 18
            #expect(GoNumber.formatFloat(value, "e", precision: precision) == String(format: "%.\(precision)e", value))
            if precision > 0 {
                let scaled = Double(Int64(bitPattern: generator.next()) >> 40) / 777
                #expect(
                    GoNumber.formatFloat(scaled, "f", precision: precision) == String(format: "%.\(precision)f", scaled)
                )
            }
            #expect(Double(GoNumber.format(value)) == value)
        }
    }

    @Test(
        "Integers read as Go's ParseInt with base 0",
        arguments: [
            ("0x1F", 31), ("0o17", 15), ("017", 15), ("0b101", 5), ("1_000", 1000), ("-0x10", -16),
            ("-9223372036854775808", Int64.min),
            ("9223372036854775808", nil), ("0x", nil), ("08", nil), ("1__0", nil), ("_1", nil), ("1_", nil), ("", nil),
            ("+5", 5), ("0", 0),
            ("0x_1", 1),
        ])
    func integers(text: String, value: Int64?) { #expect(GoNumber.parseInt(text, base: 0) == value) }
}
