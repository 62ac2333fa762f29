import CRE2
import Testing

@testable import TextFormats

@Suite("SequencePattern")
struct SequencePatternTests {
    private static let taken = [
        "level=(?P<level>\\w+)", "level=(\\w+) ", "ab+c", "^a+b$", "^(\\d{2})-(\\d{2})", "a(?:b+)(c*)d",
        "a[^b]+b", "x=\"([^\"]*)\"", "a\\.b", "a(?<n>[a-c]+)", "a.*", "(ab)(c*)", "^\\S+ (\\S+)", "a(b)",
        "a[-b]+c", "ab*$", "^[a-c_\\d]+\\s(\\w)",
    ]
    private static let left = [
        "a|b", "(a)+", "a+?", "\\w+", "a?b*c", "a\\w+b", "a.*b", "(?i)a", "a\\b", "a{1,2}", "a(b", "[[:alpha:]]",
        "a[^b]c", "\u{E9}+",
        "a\\pL", "a$b", "", "^", "a\\S+b", "a(?:b|c)", "a[\\D]", "a(?s).", "a{2}{3}", "a^b",
    ]

    @Test("Sequences are taken", arguments: taken)
    func takes(pattern: String) {
        #expect(SequencePattern(Array(pattern.utf8), dotMatchesNewline: false) != nil)
    }

    @Test("Everything else is left to RE2", arguments: left)
    func leaves(pattern: String) {
        #expect(SequencePattern(Array(pattern.utf8), dotMatchesNewline: false) == nil)
    }

    @Test("The walk finds what RE2 finds", arguments: taken)
    func agrees(pattern: String) throws {
        let pieces: [[UInt8]] = [
            Array("a".utf8), Array("b".utf8), Array("c".utf8), Array("d".utf8), Array("-".utf8), Array(" ".utf8),
            Array("level=".utf8), Array("x=\"".utf8), Array("\"".utf8), Array("12".utf8), Array("\n".utf8),
            Array("\u{E9}".utf8), [0xFF], Array(".".utf8), Array("_".utf8), Array("^".utf8),
        ]
        for dotMatchesNewline in [false, true] {
            let quick = try RegularExpression(pattern, dotMatchesNewline: dotMatchesNewline)
            let plain = try RegularExpression(
                pattern, caseInsensitive: false, dotMatchesNewline: dotMatchesNewline, usesShortcuts: false)
            var state: UInt64 = 42
            for round in 0..<4000 {
                var text: [UInt8] = []
                for _ in 0..<round % 12 {
                    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                    text += pieces[Int(state >> 33) % pieces.count]
                }
                let start = round % 5 == 0 ? min(1, text.count) : 0
                // In the middle of a character RE2 reads other text than the walk does.
                if start > 0, text[0] >= 0x80 { continue }
                var (found, wanted) = (RegularExpression.Captures(), RegularExpression.Captures())
                let (isFound, isWanted) = text.withUnsafeBytes { bytes in
                    (
                        quick.firstMatch(in: bytes, from: start, into: &found),
                        plain.firstMatch(in: bytes, from: start, into: &wanted)
                    )
                }
                #expect(isFound == isWanted, "\(pattern) in \(text)")
                guard isFound, isWanted else { continue }
                #expect(found.count == wanted.count)
                for group in 0..<wanted.count {
                    #expect(found[group] == wanted[group], "\(pattern) in \(text), \(group)")
                }
            }
        }
    }

    @Test("A text on which the walk would take long is handed to RE2")
    func handsOver() throws {
        let pattern = try #require(SequencePattern(Array("a(\\d*a*)x".utf8), dotMatchesNewline: false))
        let text = [UInt8](repeating: UInt8(ascii: "a"), count: 200_000)
        var ranges = [invar_re2_range](repeating: invar_re2_range(begin: -1, end: -1), count: 2)
        let outcome = text.withUnsafeBytes { bytes in
            ranges.withUnsafeMutableBufferPointer { pattern.firstMatch(in: bytes, from: 0, $0) }
        }
        #expect(outcome == .undecided)
        #expect(try !RegularExpression("a(\\d*a*)x").matches(String(decoding: text, as: UTF8.self)))
    }
}
