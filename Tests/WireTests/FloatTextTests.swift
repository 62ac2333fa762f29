import Foundation
import Testing

@testable import Wire

@Suite("Numbers in expositions")
struct FloatTextTests {
    private func parse(_ text: String) -> Double? {
        Array(text.utf8).withUnsafeBytes { FloatText.parse($0) }
    }

    @Test("Agrees with strtod to the last bit")
    func agreesWithSystem() {
        var generator = SystemRandomNumberGenerator()
        var texts: [String] = []
        for _ in 0..<40_000 {
            let value = Double(bitPattern: generator.next())
            if value.isFinite { texts.append("\(value)") }
            let small = Double.random(in: -1e6...1e6, using: &generator)
            texts.append("\(small)")
            texts.append(String(format: "%.17g", small))
            texts.append(String(format: "%.\(Int.random(in: 0...20))e", small))
            let digits = String(UInt64.random(in: 0...UInt64.max, using: &generator))
            texts.append("\(digits)e\(Int.random(in: -60...60))")
            texts.append("0.\(digits)")
        }
        texts += [
            "9007199254740993", "9007199254740992e1", "8.5e-1", "1e22", "1e23", "5e-324", "1.7976931348623157e308",
        ]
        texts += ["9223372036854775807", "18446744073709551615", "0.1e-5", "0e999999", "00000000000000000000001"]
        var wrong: [String] = []
        for text in texts where parse(text)?.bitPattern != strtod(text, nil).bitPattern { wrong.append(text) }
        #expect(wrong.isEmpty, "\(wrong.count) of \(texts.count): \(wrong.prefix(5))")
    }

    @Test("Accepts and refuses what Prometheus does")
    func acceptance() {
        for text in ["inf", "+Inf", "-INF", "Infinity", "-infinity"] {
            #expect(parse(text)?.isInfinite == true, "\(text)")
        }
        for text in ["NaN", "nan", "NAN"] { #expect(parse(text)?.isNaN == true, "\(text)") }
        for text in [
            "", "-", "+", ".", "e5", "1e", "1e+", "0x10", "0x1p3", "1_000", "1e400", "-1e309", "+nan", "-NaN", "1 ",
            "1f",
            "in", "infinit", "1..2", "--1",
        ] {
            #expect(parse(text) == nil, "\(text)")
        }
    }

    @Test(
        "Writes bounds as OpenMetrics does",
        arguments: [
            (1, "1.0"), (0, "0.0"), (-1, "-1.0"), (0.5, "0.5"), (100, "100.0"), (123456, "123456.0"), (1e6, "1e+06"),
            (1_234_567, "1.234567e+06"), (0.0001, "0.0001"), (0.00001, "1e-05"), (2.5e-5, "2.5e-05"), (10.25, "10.25"),
            (.infinity, "+Inf"), (-.infinity, "-Inf"), (1e100, "1e+100"), (0.99, "0.99"),
        ] as [(Double, String)])
    func bounds(value: Double, text: String) {
        #expect(FloatText.bound(value) == text)
    }
}
