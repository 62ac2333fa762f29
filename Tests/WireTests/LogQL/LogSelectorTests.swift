import Telemetry
import Testing

@testable import Wire

@Suite("LogQL selectors")
struct LogSelectorTests {
    @Test(
        "Selectors decide by labels, a missing one being empty",
        arguments: [
            (#"{app="shop"}"#, true), (#"{app="shop", env!="dev"}"#, true), (#"{app="sho"}"#, false),
            (#"{app=~"sh.*"}"#, true), (#"{app=~"h"}"#, false), (#"{app!~"x|y"}"#, true),
            (#"{gone=""}"#, true), (#"{gone!=""}"#, false), (#"{gone=~".*"}"#, true), (#"{gone=~".+"}"#, false),
            (#"{text=~"a.b"}"#, true), (#"{app="shop",env="live"}"#, true),
            ("{ app = \"shop\" // why\n , /* so */ env =~ \"l...\" }", true),
        ])
    func labels(_ text: String, _ expected: Bool) throws {
        let labels: LabelSet = ["app": "shop", "env": "live", "text": "a\nb"]
        let selector = try LogSelector(parsing: text)
        #expect(selector.matches(labels) == expected)
        #expect(selector.matches(LabelSetBuilder(labels)) == expected)
        #expect(!selector.hasLineFilters)
    }

    @Test(
        "Line filters search anywhere and all must agree",
        arguments: [
            (#"{a="b"} |= "error""#, true), (#"{a="b"} |= "Error""#, false), (#"{a="b"} != "error""#, false),
            (#"{a="b"} |~ "err.r \\d+""#, true), (#"{a="b"} |~ "^err""#, false), (#"{a="b"} !~ "^err""#, true),
            (#"{a="b"} |~ "(?i)ERROR""#, true), (#"{a="b"} |= "42" != "x" |~ "a" !~ "zz""#, true),
            (#"{a="b"} |= "42" |= "43""#, false), (#"{a="b"} |= """#, true), (#"{a="b"} != """#, false),
            (#"{a="b"} |= "(42)""#, true), (#"{a="b"} |= "an.""#, false), (#"{a="b"}|="error"!="zz""#, true),
            (#"{a="b"} |= "é""#, true),
        ])
    func lines(_ text: String, _ expected: Bool) throws {
        let selector = try LogSelector(parsing: text)
        #expect(selector.hasLineFilters)
        let line = Array("an error 42 (42) é".utf8)
        #expect(line.withUnsafeBytes { selector.matches(line: $0) } == expected)
    }

    @Test(
        "What upstream refuses is refused with its position",
        arguments: [
            ("", "parse error at line 1, col 1: syntax error: unexpected $end, expecting {"),
            ("{}", "parse error at line 1, col 2: syntax error: unexpected }, expecting IDENTIFIER"),
            (#"{a="b",}"#, "parse error at line 1, col 8: syntax error: unexpected }, expecting IDENTIFIER"),
            (#"{a="b""#, "parse error at line 1, col 7: syntax error: unexpected $end, expecting } or ,"),
            (
                #"{a b}"#,
                "parse error at line 1, col 4: syntax error: unexpected IDENTIFIER, expecting = or != or =~ or !~"
            ),
            ("{a=\"b\"}\n |= c", "parse error at line 2, col 5: syntax error: unexpected IDENTIFIER, expecting STRING"),
            (#"{a="b"} |> "c""#, "parse error at line 1, col 9: syntax error: unexpected |"),
            (
                #"{a="b"} = "c""#,
                "parse error at line 1, col 9: syntax error: unexpected =, expecting != or !~ or |~ or |="
            ),
            (
                #"{a="b"} "c""#,
                "parse error at line 1, col 9: syntax error: unexpected STRING, expecting != or !~ or |~ or |="
            ),
            (#"{a="b}"#, "parse error at line 1, col 4: unterminated quoted string"),
            (#"{a=~"("}"#, "parse error at line 1, col 2: error parsing regexp: missing closing ): `(`"),
            (
                #"{a="b"} |~ "*""#,
                "parse error at line 1, col 9: error parsing regexp: missing argument to repetition operator: `*`"
            ),
            ("{a=\"b\"} /* x", "parse error at line 1, col 9: comment not terminated"),
        ])
    func refused(_ text: String, _ message: String) {
        do throws(LogQLError) {
            _ = try LogSelector(parsing: text)
            Issue.record("accepted")
        } catch {
            #expect(error.description == message)
        }
    }

    @Test("Random text never traps")
    func random() {
        let pieces = [
            "{", "}", "a", "=", "!=", "=~", "\"b\"", "\"", "|=", "|~", ",", " ", "\\", "é", "/*", "//", "\n", "(",
        ]
        var accepted = 0
        for _ in 0..<4000 {
            let text = (0..<Int.random(in: 0..<9)).map { _ in pieces.randomElement() ?? "" }.joined()
            if (try? LogSelector(parsing: text)) != nil { accepted += 1 }
        }
        #expect(accepted < 4000)
    }
}
