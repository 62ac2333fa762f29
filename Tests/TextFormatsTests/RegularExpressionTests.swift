import Testing

@testable import TextFormats

@Suite("RegularExpression")
struct RegularExpressionTests {
    @Test(
        "A whole match is anchored at both ends",
        arguments: [
            ("a|ab", "ab", true), ("a|ab", "abc", false), ("a+", "aaa", true), ("a+", "baa", false), (".*", "", true),
            (".+", "", false), (".+", "x", true), (".*", "a\nb", false), ("foo.*", "foobar", true),
            ("foo.*", "xfoo", false),
            ("foo.+", "foo", false), ("(GET|POST)", "POST", true), ("(GET|POST)", "PUT", false), ("a\\.b", "a.b", true),
            ("a\\.b", "axb", false), ("(?:x|)", "", true), ("a\\|b", "a|b", true), ("a\\|b", "a\\", false),
            ("(a\\)", "a)", true), ("(?i)abc", "ABC", true), ("one|two|three|four|five|six", "five", true),
            ("one|two|three|four|five|six", "seven", false), ("(a)(b)", "ab", true), ("[^x]", "\u{E9}", true),
            ("(?<n>a+)b", "aab", true), ("\\Q(?<n>\\E", "(?<n>", true), ("[](?<]+", "(?<]", true),
        ])
    func whole(pattern: String, text: String, expected: Bool) throws {
        if pattern == "(a\\)" {
            #expect(throws: RegularExpressionError.self) { try RegularExpression(pattern) }
            return
        }
        let expression = try RegularExpression(pattern)
        #expect(expression.matchesWhole(text) == expected, "\(pattern) on \(text)")
        var captures = RegularExpression.Captures()
        let found = text.withBytes { expression.matchWhole($0, into: &captures) }
        #expect(found == expected)
        if found { #expect(captures[0] == 0..<text.utf8.count && captures.count == expression.groupCount + 1) }
    }

    @Test("Dot matches a newline when asked")
    func dotAll() throws {
        #expect(try RegularExpression(".*", dotMatchesNewline: true).matchesWhole("a\nb"))
        #expect(try RegularExpression("a.b", dotMatchesNewline: true).matchesWhole("a\nb"))
        #expect(try !RegularExpression("a.b").matchesWhole("a\nb"))
    }

    @Test(
        "An invalid pattern is refused in Go's words",
        arguments: [
            ("a(b", "error parsing regexp: missing closing ): `a(b`"),
            ("a[b", "error parsing regexp: missing closing ]: `[b`"),
            ("*", "error parsing regexp: missing argument to repetition operator: `*`"),
            ("a**", "error parsing regexp: invalid nested repetition operator: `**`"),
            ("a{1001}", "error parsing regexp: invalid repeat count: `{1001}`"),
            ("\\8", "error parsing regexp: invalid escape sequence: `\\8`"),
            ("\\C", "error parsing regexp: invalid escape sequence: `\\C`"),
            ("[b-a]", "error parsing regexp: invalid character class range: `b-a`"),
            ("(?=a)", "error parsing regexp: invalid or unsupported Perl syntax: `(?=`"),
            ("a)", "error parsing regexp: unexpected ): `a)`"),
            ("a\\", "error parsing regexp: trailing backslash at end of expression: ``"),
        ])
    func errors(pattern: String, message: String) {
        do {
            _ = try RegularExpression(pattern)
            Issue.record("compiled")
        } catch { #expect("\(error)" == message) }
    }

    @Test("Groups come as ranges and names")
    func groups() throws {
        let expression = try RegularExpression("(?P<method>[A-Z]+) (?<path>/\\S*)( x)?")
        #expect(expression.groupCount == 3)
        #expect(expression.groupNames == [nil, "method", "path", nil])
        #expect(expression.group(named: "path") == 2)
        #expect(expression.firstMatch(in: "-- GET /a b") == ["GET /a", "GET", "/a", nil])
        #expect(expression.firstMatch(in: "nothing") == nil)
        let literal = try RegularExpression("(b)")
        var captures = RegularExpression.Captures()
        #expect("aabb".withBytes { literal.firstMatch(in: $0, from: 3, into: &captures) })
        #expect(captures[0] == 3..<4 && captures[1] == 3..<4 && captures[2] == nil)
        #expect(!"aabb".withBytes { literal.firstMatch(in: $0, from: 5, into: &captures) })
        let word = try RegularExpression("\\bb")
        #expect(!"aabb".withBytes { word.firstMatch(in: $0, from: 2, into: &captures) })
    }

    @Test(
        "Replacing follows Go's ReplaceAllString",
        arguments: [
            ("a*", "baaac", "x", "xbxcx"), ("", "abc", "-", "-a-b-c-"),
            ("", "\u{E9}\u{20AC}", "-", "-\u{E9}-\u{20AC}-"),
            ("b", "abc", "[$0]", "a[b]c"), ("(a)(b)?", "ab a", "$2$1", "ba a"), ("a", "a", "$$1", "$1"),
            ("(?P<x>a)", "a", "${x}1 $x1 $x", "a1  a"), ("(a)", "a", "$1x", ""), ("(a)", "a", "${1}x", "ax"),
            ("a", "a", "$", "$"), ("a", "a", "${", "${"), ("a", "a", "${1", "${1"), ("a", "a", "$9", ""),
            ("a", "a", "cost: 5$.", "cost: 5$."), ("^", "ab", "x", "xab"), ("$", "ab", "x", "abx"),
            ("x*", "", "y", "y"),
            ("a+", "caaad", "", "cd"), ("(a)", "a", "$01", ""),
        ])
    func replacing(pattern: String, text: String, template: String, expected: String) throws {
        #expect(try RegularExpression(pattern).replaceAll(text, with: template) == expected)
    }

    @Test("A template without groups says so")
    func literalTemplate() throws {
        let expression = try RegularExpression("(a)")
        #expect(expression.template("b$$").isLiteral && expression.template("$7b").isLiteral)
        #expect(!expression.template("$1").isLiteral)
        #expect(expression.replaceAll("a", with: .verbatim("$1")) == "$1")
    }

    @Test("A byte that is no UTF-8 is one character")
    func invalidUTF8() throws {
        let bytes: [UInt8] = [0x61, 0xFF, 0x62, 0x63]
        let expression = try RegularExpression("(.)b")
        var captures = RegularExpression.Captures()
        #expect(bytes.withUnsafeBytes { expression.firstMatch(in: $0, into: &captures) })
        #expect(captures[0] == 1..<3 && captures[1] == 1..<2)
        #expect(try bytes.withUnsafeBytes { try RegularExpression("a.bc").matchesWhole($0) })
        var output: [UInt8] = []
        bytes.withUnsafeBytes { expression.replaceAll(in: $0, with: expression.template("<$1>"), into: &output) }
        #expect(output == [0x61, 0x3C, 0xFF, 0x3E, 0x63])
    }

    @Test("A large alternation compiles and a hostile pattern is refused")
    func size() throws {
        let names = (0..<5000).map { "host-\($0)\\.example\\.com" }.joined(separator: "|")
        #expect(try RegularExpression(names).matchesWhole("host-4321.example.com"))
        #expect(try RegularExpression("(?:\(names))x").matchesWhole("host-4321.example.comx"))
        #expect(throws: RegularExpressionError.self) { try RegularExpression("((((a{100}){100}){100}){100})") }
    }

    @Test("The literal path agrees with RE2")
    func literalPathAgrees() throws {
        for pattern in ["a", "a|b|", "abc|abd|x|y|z", "ab.*", "a.+", ".*", "(a|bc)", "(?:a|bc)", "a\\-b|c"] {
            let fast = try RegularExpression(pattern)
            let slow = try RegularExpression("(?:(?:\(pattern)))")
            for text in ["", "a", "b", "ab", "abc", "abcd", "bc", "x", "a-b", "c", "a\n", "ab\nc"] {
                #expect(fast.matchesWhole(text) == slow.matchesWhole(text), "\(pattern) on \(text)")
            }
        }
    }
}
