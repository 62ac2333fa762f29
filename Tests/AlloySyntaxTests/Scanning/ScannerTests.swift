import Testing

@testable import AlloySyntax

@Suite("Scanner")
struct ScannerTests {
    /// The tokens of a text as `KIND` or `KIND:text`, and the diagnostics.
    private func scan(_ bytes: [UInt8]) -> (tokens: [String], diagnostics: [String]) {
        var scanner = Scanner(source: SourceFile(name: "f", bytes: bytes))
        var tokens: [String] = []
        while true {
            let token = scanner.next()
            if token.kind == .endOfFile { break }
            let text = String(decoding: bytes[token.start..<token.end], as: UTF8.self)
            tokens.append(text.isEmpty ? token.kind.rawValue : "\(token.kind.rawValue):\(text)")
        }
        return (tokens, scanner.diagnostics.items.map(\.description))
    }

    @Test(
        "Text is cut into tokens",
        arguments: [
            ("a = 1", ["IDENT:a", "=:=", "NUMBER:1", "TERMINATOR"]),
            (
                "1.5 .5 2. 3e4 5E-6 007",
                [
                    "FLOAT:1.5", "FLOAT:.5", "FLOAT:2.", "FLOAT:3e4", "FLOAT:5E-6", "NUMBER:007", "TERMINATOR",
                ]
            ),
            ("0x1F", ["NUMBER:0", "IDENT:x1F", "TERMINATOR"]),
            (
                "true false null nullable t",
                [
                    "BOOL:true", "BOOL:false", "NULL:null", "IDENT:nullable", "IDENT:t", "TERMINATOR",
                ]
            ),
            (
                "< <= > >= == != = ! && ||",
                [
                    "<:<", "<=:<=", ">:>", ">=:>=", "==:==", "!=:!=", "=:=", "!:!", "&&:&&", "||:||",
                ]
            ),
            ("+-*/%^,.", ["+:+", "-:-", "*:*", "/:/", "%:%", "^:^", ",:,", ".:."]),
            ("\"a\\\"b\" `c\\`", ["STRING:\"a\\\"b\"", "STRING:`c\\`", "TERMINATOR"]),
            ("caf\u{E9}_\u{663} \u{4E2D}", ["IDENT:caf\u{E9}_\u{663}", "IDENT:\u{4E2D}", "TERMINATOR"]),
        ] as [(String, [String])])
    func tokens(text: String, expected: [String]) {
        let result = scan(Array(text.utf8))
        #expect(result.tokens == expected)
        #expect(result.diagnostics == [])
    }

    @Test(
        "A newline is a terminator only after what can end a statement",
        arguments: [
            ("a\n\n\nb\n", ["IDENT:a", "TERMINATOR", "IDENT:b", "TERMINATOR"]),
            ("[\n]\n", ["[:[", "]:]", "TERMINATOR"]),
            ("{\n}\n(\n)\n", ["{:{", "}:}", "TERMINATOR", "(:(", "):)", "TERMINATOR"]),
            ("a =\n1 +\n2", ["IDENT:a", "=:=", "NUMBER:1", "+:+", "NUMBER:2", "TERMINATOR"]),
            ("a\r\nb", ["IDENT:a", "TERMINATOR", "IDENT:b", "TERMINATOR"]),
            ("a // c\nb", ["IDENT:a", "TERMINATOR", "COMMENT:// c", "IDENT:b", "TERMINATOR"]),
            ("a /* c */ b", ["IDENT:a", "COMMENT:/* c */", "IDENT:b", "TERMINATOR"]),
            (
                "a /* c */ // d\nb",
                [
                    "IDENT:a", "TERMINATOR", "COMMENT:/* c */", "COMMENT:// d", "IDENT:b", "TERMINATOR",
                ]
            ),
            ("a /* c\n */ b", ["IDENT:a", "TERMINATOR", "COMMENT:/* c\n */", "IDENT:b", "TERMINATOR"]),
            ("a /* c */", ["IDENT:a", "TERMINATOR", "COMMENT:/* c */"]),
            ("// only", ["COMMENT:// only"]),
        ] as [(String, [String])])
    func terminators(text: String, expected: [String]) {
        #expect(scan(Array(text.utf8)).tokens == expected)
    }

    @Test(
        "What is malformed is reported where it stands",
        arguments: [
            ("'a'", ["f:1:1: illegal single-quoted string; use double quotes"]),
            ("a | b", ["f:1:4: missing second | in ||"]),
            ("a & b", ["f:1:4: missing second & in &&"]),
            ("a # b", ["f:1:3: illegal character U+0023 '#'"]),
            ("1e", ["f:1:1: exponent has no digits"]),
            ("1e+", ["f:1:1: exponent has no digits"]),
            ("\"abc", ["f:1:1: string literal not terminated"]),
            (
                "\"abc\n\"",
                [
                    "f:1:1: string literal not terminated", "f:2:1: string literal not terminated",
                ]
            ),
            ("`abc\n", ["f:1:1: string literal not terminated"]),
            ("/* abc", ["f:1:1: block comment not terminated"]),
            ("/*/", ["f:1:1: block comment not terminated"]),
            ("\"\\q\"", ["f:1:3: unknown escape sequence"]),
            ("\"\\'\"", ["f:1:3: unknown escape sequence"]),
            ("\"\\xg0\"", ["f:1:3: illegal character U+0067 'g' in escape sequence"]),
            ("\"\\400\"", ["f:1:3: escape sequence is invalid Unicode code point"]),
            ("\"\\uD800\"", ["f:1:3: escape sequence is invalid Unicode code point"]),
            ("\"\\UFFFFFFFF\"", ["f:1:3: escape sequence is invalid Unicode code point"]),
            ("\"\\", ["f:1:3: escape sequence not terminated", "f:1:1: string literal not terminated"]),
            ("\"\\x4", ["f:1:3: escape sequence not terminated", "f:1:1: string literal not terminated"]),
            ("a\u{FEFF}", ["f:1:2: illegal byte order mark"]),
        ] as [(String, [String])])
    func malformed(text: String, expected: [String]) {
        #expect(scan(Array(text.utf8)).diagnostics == expected)
    }

    @Test(
        "Bytes that are not text are reported once each",
        arguments: [
            ([0x61, 0x00], ["f:1:2: illegal character NUL"]),
            ([0x22, 0xFF, 0x22], ["f:1:2: illegal UTF-8 encoding"]),
            ([0x61, 0x20, 0xC3], ["f:1:3: illegal UTF-8 encoding"]),
            (
                [0x2F, 0x2F, 0xED, 0xA0, 0x80],
                [
                    "f:1:3: illegal UTF-8 encoding", "f:1:4: illegal UTF-8 encoding", "f:1:5: illegal UTF-8 encoding",
                ]
            ),
            ([0xEF, 0xBB, 0xBF, 0x61], []),
        ] as [([UInt8], [String])])
    func encoding(bytes: [UInt8], expected: [String]) {
        #expect(scan(bytes).diagnostics == expected)
    }

    @Test("Diagnostics are bounded however much is wrong")
    func boundedDiagnostics() {
        let result = scan([UInt8](repeating: 0, count: 100_000))
        #expect(result.diagnostics.count == DiagnosticList.limit + 1)
        #expect(result.diagnostics.last == "f:1:101: too many errors; the rest is not shown")
    }
}

@Suite("String literals and names")
struct LiteralTextTests {
    @Test(
        "Quoting and unquoting are each other's inverse",
        arguments: [
            ("", "\"\""),
            ("a\"b\\c", #""a\"b\\c""#),
            ("\u{07}\u{08}\u{0C}\n\r\t\u{0B}", #""\a\b\f\n\r\t\v""#),
            ("\u{01}\u{7F}", #""\x01\x7f""#),
            ("\u{85}\u{A0}\u{2028}", #""\u0085\u00a0\u2028""#),
            ("\u{E000}\u{10FFFF}", #""\ue000\U0010ffff""#),
            ("h\u{E9} \u{1F600}", "\"h\u{E9} \u{1F600}\""),
        ])
    func quoting(value: String, literal: String) {
        #expect(StringLiteral.quoted(value) == literal)
        #expect(StringLiteral.unquoted(literal) == value)
    }

    @Test(
        "Literals stand for their text",
        arguments: [
            (#""\x41\101\u00e9\U0001F600""#, "AA\u{E9}\u{1F600}"),
            (#""\xc3\xa9""#, "\u{E9}"),
            ("`a\\n\"b\"\r\nc`", "a\\n\"b\"\nc"),
            ("\"tab\there\"", "tab\there"),
            (#""\q""#, nil), (#""a"#, nil), ("\"", nil), ("", nil), (#""\400""#, nil), (#""a"b""#, nil),
            (#""\ud800""#, nil), (#""a\""#, nil), ("`a`b`", nil),
        ] as [(String, String?)])
    func unquoting(literal: String, value: String?) {
        #expect(StringLiteral.unquoted(literal) == value)
    }

    @Test(
        "Names are told from what cannot be one",
        arguments: [
            ("abc", true), ("_", true), ("a1", true), ("\u{E9}t\u{E9}", true), ("", false), ("1a", false),
            ("a-b", false), ("a b", false), ("true", false), ("null", false), ("a.b", false),
        ])
    func names(name: String, isValid: Bool) {
        #expect(IdentifierName.isValid(name) == isValid)
    }

    @Test(
        "Any text is made into a name",
        arguments: [("a-b.c", "a_b_c"), ("1a", "_1a"), ("ok", "ok"), ("true", "_true"), ("/", "_"), ("", nil)]
            as [(String, String?)])
    func sanitizing(name: String, expected: String?) {
        #expect(IdentifierName.sanitized(name) == expected)
    }

    @Test("Positions count lines and bytes from one")
    func positions() {
        let file = SourceFile(name: "f.alloy", text: "a\n\u{E9}b\n")
        #expect(file.lineCount == 3)
        #expect(file.position(at: 0).description == "f.alloy:1:1")
        #expect(file.position(at: 1).description == "f.alloy:1:2")
        #expect(file.position(at: 4).description == "f.alloy:2:3")
        #expect(file.position(at: 6).description == "f.alloy:3:1")
        #expect(Array(file.line(2)) == Array("\u{E9}b".utf8))
        #expect(file.line(9).isEmpty)
        #expect(SourcePosition(fileName: "", line: 0).description == "-")
        #expect(SourcePosition(fileName: "f", line: 0).description == "f")
        #expect(SourcePosition(fileName: "", line: 2, column: 3).description == "2:3")
    }
}
