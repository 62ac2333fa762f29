import AlloySyntax
import Testing

@Suite("SourceWriter")
struct SourceWriterTests {
    private func name(_ name: String) -> Expression { Expression(.identifier(name)) }
    private func number(_ text: String) -> Expression { Expression(.literal(Literal(kind: .integer, text: text))) }
    private func string(_ text: String) -> Expression { Expression(.literal(.string(text))) }
    private func field(_ key: String, _ value: Expression) -> ObjectField {
        ObjectField(name: Identifier(key), isQuoted: false, value: value)
    }

    @Test("A body built in memory comes out laid out")
    func body() throws {
        let body = Body([
            .attribute(Attribute("a", number("1"))),
            .attribute(Attribute("longer", string("x\n\"y\""))),
            .block(
                BlockStatement(
                    "prometheus.scrape", label: "default",
                    body: Body([
                        .attribute(
                            Attribute(
                                "targets",
                                Expression(
                                    .array([
                                        Expression(
                                            .object([field("__address__", string("h")), field("a-b", string("v"))]))
                                    ]))
                            )),
                        .attribute(Attribute("empty", Expression(.object([])))),
                    ]))),
        ])
        #expect(
            try SourceWriter.text(of: body) == """
                a      = 1
                longer = "x\\n\\"y\\""

                prometheus.scrape "default" {
                \ttargets = [{
                \t\t__address__ = "h",
                \t\t"a-b"       = "v",
                \t}]
                \tempty = {}
                }

                """)
    }

    @Test("Comments, empty lines and raw expressions are written in order")
    func pieces() throws {
        var writer = SourceWriter()
        writer.writeComment("one\ntwo\r\n\nthree")
        writer.writeAttribute("a", expressionText: "b.c")
        writer.writeBlankLine()
        writer.writeAttribute("d", Expression(.literal(.null)))
        writer.beginBlock(["e", "f"])
        writer.writeAttribute("g", Expression(.literal(.bool(true))))
        writer.endBlock()
        #expect(
            String(decoding: try writer.formatted(), as: UTF8.self)
                == "// one\n// two\n//\n// three\na = b.c\n\nd = null\n\ne.f {\n\tg = true\n}\n")
    }

    @Test("Structure that needs parentheses gets them")
    func parentheses() throws {
        let sum = Expression(.binary(.add, name("a"), name("b")))
        let power = Expression(.binary(.power, name("a"), name("b")))
        let cases: [(Expression, String)] = [
            (Expression(.binary(.multiply, sum, number("2"))), "(a + b) * 2"),
            (Expression(.binary(.add, sum, number("2"))), "a + b + 2"),
            (Expression(.binary(.subtract, number("2"), sum)), "2 - (a + b)"),
            (Expression(.binary(.power, power, name("c"))), "(a ^ b) ^ c"),
            (Expression(.binary(.power, name("c"), power)), "c ^ a ^ b"),
            (Expression(.unary(.negate, sum)), "-(a + b)"),
            (Expression(.access(sum, name: Identifier("c"))), "(a + b).c"),
            (Expression(.access(number("1"), name: Identifier("c"))), "1 .c"),
            (Expression(.call(name("f"), arguments: [sum, name("c")])), "f(a + b, c)"),
            (Expression(.index(name("a"), index: number("0"))), "a[0]"),
            (Expression(.parenthesized(name("a"))), "(a)"),
        ]
        for (expression, expected) in cases {
            #expect(try SourceWriter.text(of: expression) == expected)
        }
    }

    @Test("Lines of an expression after the first are indented")
    func indentation() throws {
        let object = Expression(.object([field("a", number("1")), field("long", number("2"))]))
        #expect(try SourceWriter.text(of: object, indentation: 1) == "{\n\t\ta    = 1,\n\t\tlong = 2,\n\t}")
    }

    @Test("Keys read back as they were", arguments: ["a", "a b", "true", "\\d+", "a\"b", "\u{E9}", "tab\there"])
    func keys(key: String) throws {
        let text = try SourceWriter.text(of: Expression(.object([field(key, number("1"))])))
        guard case .object(let fields) = try Parser.parseExpression(text).kind else {
            Issue.record("not an object: \(text)")
            return
        }
        #expect(fields.map(\.name.name) == [key])
    }

    @Test("Names that cannot be written are refused")
    func refusals() {
        let bodies: [Body] = [
            Body([.attribute(Attribute("a = 1\nb", name("c")))]),
            Body([.attribute(Attribute("a", name("b c")))]),
            Body([.block(BlockStatement("a b", body: Body()))]),
            Body([.block(BlockStatement("a", label: "b\" {}", body: Body()))]),
            Body([.attribute(Attribute("a", Expression(.object([field("", name("b"))]))))]),
            Body([.attribute(Attribute("a", Expression(.object([field("`\"\\z", name("b"))]))))]),
        ]
        for body in bodies {
            #expect(throws: Diagnostics.self) { try SourceWriter.text(of: body) }
        }
    }
}
