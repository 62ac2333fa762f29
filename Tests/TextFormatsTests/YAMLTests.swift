import Testing

@testable import TextFormats

@Suite("YAML")
struct YAMLTests {
    private func resolved(_ text: String, _ dialect: YAMLDialect = .v3) throws -> YAMLScalar.Resolved? {
        guard case .scalar(let scalar) = try YAMLParser(dialect).parse(text) else { return nil }
        return scalar.resolved
    }

    @Test(
        "Plain scalars resolve as in yaml.v3",
        arguments: [
            ("true", YAMLScalar.Resolved.bool(true)), ("False", .bool(false)), ("yes", .string), ("on", .string),
            ("~", .null), ("", .null), ("Null", .null),
            ("12", .int(12)), ("-3", .int(-3)), ("+4", .int(4)), ("0x1F", .int(31)), ("0o17", .int(15)),
            ("017", .int(15)), ("0b11", .int(3)),
            ("1_000", .int(1000)), ("18446744073709551615", .uint(.max)), ("1.5", .float(1.5)), ("1e3", .float(1000)),
            (".5", .float(0.5)), ("08", .float(8)),
            (".inf", .float(.infinity)), ("-.Inf", .float(-.infinity)), ("2024-01-02", .string), ("12:30", .string),
            ("1.2.3", .string), ("abc", .string),
            ("'12'", .string), ("\"true\"", .string), ("!!str 12", .string), ("!!float 3", .float(3)),
            ("!custom 12", .string), (".", .string), ("-", .string), ("10s", .string),
            ("18446744073709551616", .float(18_446_744_073_709_551_616)), ("0x", .string),
        ])
    func resolution(text: String, expected: YAMLScalar.Resolved) throws {
        if text == "-" {
            #expect(try YAMLParser().parse(text) == .sequence([.null]))
        } else {
            #expect(try resolved(text) == expected, "\(text)")
        }
    }

    @Test("yaml.v2 reads the Boolean words of YAML 1.1")
    func oldBooleans() throws {
        #expect(try resolved("yes", .v2) == .bool(true))
        #expect(try resolved("Off", .v2) == .bool(false))
        #expect(try resolved("0o17", .v2) == .string)
        #expect(try YAMLParser(.v3).parse("yes").boolValue == true)
        #expect(try YAMLParser(.v3).parse("yes").stringValue == "yes")
        #expect(try YAMLParser().parse("1.10").stringValue == "1.10")
        #expect(try resolved(".nan") != nil)
    }

    @Test("Structures, anchors and merge keys")
    func structures() throws {
        let value = try YAMLParser().parse(
            """
            base: &base {a: 1, b: 2}
            other: &other
              b: 20
              c: 30
            one:
              <<: *base
              b: 3
            two:
              <<: [*other, *base]
            list:
            - x
            - [1, two]
            - k: v
              l: |
                text
                more
            "<<": plain
            """)
        #expect(value["one"]?["a"]?.intValue == 1 && value["one"]?["b"]?.intValue == 3)
        #expect(
            value["two"]?["a"]?.intValue == 1 && value["two"]?["b"]?.intValue == 20
                && value["two"]?["c"]?.intValue == 30)
        #expect(value["list"]?[1]?[1]?.stringValue == "two")
        #expect(value["list"]?[2]?["l"]?.stringValue == "text\nmore\n")
        #expect(value["<<"]?.stringValue == "plain")
        #expect(value.mappingValue?.entries[2].line == 5)
        #expect(value["base"]?.json == .object(["a": .int(1), "b": .int(2)]))
        #expect(try YAMLParser().parse("1: a\ntrue: b").json == .object(["1": .string("a"), "true": .string("b")]))
    }

    @Test("Several documents")
    func documents() throws {
        #expect(
            try YAMLParser().parseAll("a\n---\nb\n...\n---\n- c\n") == [
                .string("a"), .string("b"), .sequence([.string("c")]),
            ])
        #expect(try YAMLParser().parseAll("") == [])
        #expect(try YAMLParser().parse("a\n---\n[") == .string("a"))
        #expect(try YAMLParser().parse("# nothing\n") == .null)
    }

    @Test(
        "Errors name the line",
        arguments: [
            ("a: 1\nb: [\n", 3), ("a: 1\na: 2\n", 2), ("a: *x", 1), ("a:\n\t- b", 2), ("a: b: c", 1), ("<<: 3", 1),
            ("x\n\n!!int abc", 1),
            ("- a\n- !!int abc", 2), ("%YAML 3.0\n---\na", 1),
        ])
    func errors(text: String, line: Int) {
        do {
            let value = try YAMLParser().parse(text)
            if text != "x\n\n!!int abc" { Issue.record("parsed \(value)") }
        } catch {
            #expect(error.line == line, "\(error)")
            #expect(error.message.hasPrefix("yaml: line \(line): "))
        }
    }

    @Test("Duplicate keys: the last wins in yaml.v2")
    func duplicates() throws {
        #expect(try YAMLParser(.v2).parse("a: 1\na: 2")["a"]?.intValue == 2)
    }

    @Test("Aliases that multiply are refused before they cost anything")
    func billionLaughs() {
        var text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        for level in 1...30 {
            text +=
                "a\(level): &a\(level) [" + Array(repeating: "*a\(level - 1)", count: 10).joined(separator: ", ")
                + "]\n"
        }
        #expect(throws: TextFormatError.self) { try YAMLParser().parse(text) }
        #expect(throws: TextFormatError.self) { try YAMLParser(maximumNodes: 10).parse("[1,2,3,4,5,6,7,8,9,10,11]") }
        #expect(throws: TextFormatError.self) { try YAMLParser().parse("&a [*a]") }
    }

    @Test("Deep nesting is refused")
    func depth() throws {
        let nested = { (levels: Int) in String(repeating: "[", count: levels) + String(repeating: "]", count: levels) }
        _ = try YAMLParser().parse(nested(200))
        #expect(throws: TextFormatError.self) { try YAMLParser().parse(nested(201)) }
        #expect(throws: TextFormatError.self) { try YAMLParser().parse(nested(50_000)) }
    }

    @Test("Invalid UTF-8 and damaged text never trap")
    func hostile() {
        let text = Array("a: &x {b: [1, \"q\\n\"], c: 'd'}\ne: *x\n".utf8)
        for index in text.indices {
            for byte: UInt8 in [0, 0x22, 0x3A, 0x7B, 0x5D, 0xFF, 0x2D, 0x0A, 0x26] {
                var damaged = text
                damaged[index] = byte
                _ = try? damaged.withUnsafeBytes { try YAMLParser().parseAll($0) }
            }
        }
        #expect(throws: TextFormatError.self) { try [0x61, 0xFF, 0xFE].withUnsafeBytes { try YAMLParser().parse($0) } }
    }

    @Test(
        "What is written is read back",
        arguments: [
            "", "a", "true", "12", "1.5", "null", "~", "yes", "a: b", "a #b", "- a", "-", "-a", "# x", "'q'", "\"",
            "a\nb", "a\nb\n", "a\n\n", " a", "a ",
            "\t", "\u{1}", "\u{E9}\u{1F600}", "a:", "@x", "`", "{a}", "[", "---", "...", "<<", "=", "2024-01-02",
            "12:30", "\n", " \n", "a\n b", "!t", "%a", "key: |", "\\", "a\u{2028}b",
        ])
    func emitter(text: String) throws {
        for value in [
            YAMLValue.string(text), .sequence([.string(text)]),
            .mapping(YAMLMapping([("k", .string(text)), (text, .string("v"))])),
            .mapping(
                YAMLMapping([
                    (
                        "m",
                        .mapping(
                            YAMLMapping([
                                (text, .sequence([.string(text), .mapping(YAMLMapping([("x", .string(text))]))]))
                            ]))
                    )
                ])),
        ] {
            let written = YAMLWriter().text(value)
            #expect(try YAMLParser(.v3).parse(written) == value, "\(written)")
            #expect(try YAMLParser(.v2).parse(written) == value, "\(written)")
        }
    }

    @Test("The layout is the one of yaml.v2")
    func layout() throws {
        let value = YAMLValue.mapping(
            YAMLMapping([
                (
                    "positions",
                    .mapping(YAMLMapping([("/var/log/a.log", .string("123")), ("empty", .mapping(YAMLMapping()))]))
                ),
                (
                    "list",
                    .sequence([
                        .int(1), .sequence([.bool(true)]), .mapping(YAMLMapping([("a", .null), ("b", .float(1.5))])),
                    ])
                ),
            ]))
        #expect(
            YAMLWriter(sortsKeys: true).text(value)
                == "list:\n- 1\n- - true\n- a: null\n  b: 1.5\npositions:\n  /var/log/a.log: \"123\"\n  empty: {}\n")
        #expect(try YAMLParser().parse(YAMLWriter().text(value)) == value)
    }

    @Test(
        "Base64 agrees with RFC 4648",
        arguments: [
            ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ])
    func base64(text: String, encoded: String) {
        #expect(Base64.encode(text.utf8) == encoded)
        #expect(Base64.decode(encoded.utf8) == Array(text.utf8))
        #expect(Base64.encode([0xFB, 0xFF], .urlUnpadded) == "-_8")
        #expect(Base64.decode("+/8=".utf8) == [0xFB, 0xFF])
        for bad in ["Z", "Zg", "Zg=", "Zg===", "Z=g=", "Z!==", "-_8="] { #expect(Base64.decode(bad.utf8) == nil) }
    }
}
