import AlloySyntax
import Testing

@Suite("Parser")
struct ParserTests {
    /// The structure of an expression in prefix notation.
    private func shape(_ expression: Expression) -> String {
        switch expression.kind {
        case .literal(let literal): literal.text
        case .identifier(let name): name
        case .array(let elements): "[" + elements.map(shape).joined(separator: " ") + "]"
        case .object(let fields):
            "{"
                + fields.map { ($0.isQuoted ? "'\($0.name.name)'" : $0.name.name) + "=" + shape($0.value) }
                .joined(separator: " ") + "}"
        case .access(let base, let name): "(. \(shape(base)) \(name.name))"
        case .index(let base, let index): "(at \(shape(base)) \(shape(index)))"
        case .call(let function, let arguments):
            "(call " + ([function] + arguments).map(shape).joined(separator: " ") + ")"
        case .unary(let unaryOperator, let operand): "(\(unaryOperator.rawValue) \(shape(operand)))"
        case .binary(let binaryOperator, let left, let right):
            "(\(binaryOperator.rawValue) \(shape(left)) \(shape(right)))"
        case .parenthesized(let inner): "<\(shape(inner))>"
        }
    }

    private func errors(_ text: String) -> [String] {
        do throws(Diagnostics) {
            _ = try Parser.parse(text, fileName: "f")
            return []
        } catch {
            return error.items.map(\.description)
        }
    }

    @Test(
        "Expressions group as operators bind",
        arguments: [
            ("1 + 2 * 3", "(+ 1 (* 2 3))"),
            ("1 - 2 - 3", "(- (- 1 2) 3)"),
            ("2 ^ 3 ^ 4", "(^ 2 (^ 3 4))"),
            ("-2 ^ 2", "(^ (- 2) 2)"),
            ("a || b && c == d < e", "(|| a (&& b (< (== c d) e)))"),
            ("!a.b && -c[0] % 2 >= 1", "(&& (! (. a b)) (>= (% (- (at c 0)) 2) 1))"),
            ("a * b / c", "(/ (* a b) c)"),
            ("(1 + 2) * 3", "(* <(+ 1 2)> 3)"),
            ("f(1, [2, 3,],)", "(call f 1 [2 3])"),
            ("f()().g", "(. (call (call f)) g)"),
            ("a.b.c[d].e(x)", "(call (. (at (. (. a b) c) d) e) x)"),
            ("{a = 1, \"b c\" = null, `d` = true}", "{a=1 'b c'=null 'd'=true}"),
            ("{\n a = 1,\n}", "{a=1}"),
            ("[\n]", "[]"),
            ("{}", "{}"),
            ("1.", "1."),
            ("\"s\"", "\"s\""),
            ("- - !x", "(- (- (! x)))"),
            ("/* c */ a // d", "a"),
        ])
    func expressions(text: String, expected: String) throws {
        #expect(shape(try Parser.parseExpression(text)) == expected)
    }

    @Test(
        "A lone expression must be all there is",
        arguments: [
            ("", ":1:1: expected expression, got EOF"), ("1 2", ":1:3: expected TERMINATOR, got NUMBER"),
            ("1\n2", ":2:1: expected EOF, got NUMBER"), ("a b", ":1:3: expected TERMINATOR, got IDENT"),
        ])
    func loneExpression(text: String, message: String) {
        #expect {
            try Parser.parseExpression(text)
        } throws: {
            ":" + (($0 as? Diagnostics)?.items.first?.description ?? "") == message
        }
    }

    @Test("Statements carry names, labels and places")
    func statements() throws {
        let text = """
            logging { level = "info" }
            prometheus.scrape "default" {
              targets = [{a = b.c}]
              clustering {
                enabled = true
              }
            }
            x "" { }
            """
        let tree = try Parser.parse(text, fileName: "f")
        let blocks = tree.body.blocks
        #expect(blocks.map(\.name) == ["logging", "prometheus.scrape", "x"])
        #expect(blocks.map(\.label) == [nil, "default", nil])
        #expect(blocks[1].nameParts == ["prometheus", "scrape"])
        #expect(blocks[1].nameRange.startPosition.description == "f:2:1")
        #expect(blocks[1].range.lastPosition.description == "f:7:1")
        #expect(tree.source.text(in: blocks[1].labelRange) == "\"default\"")
        #expect(tree.source.text(in: blocks[0].bodyRange) == "{ level = \"info\" }")
        let attribute = try #require(blocks[1].body.attributes.first)
        #expect(attribute.name.name == "targets")
        #expect(tree.source.text(in: attribute.range) == "targets = [{a = b.c}]")
        #expect(blocks[1].body.blocks.first?.name == "clustering")
        #expect(blocks[2].labelRange.isKnown)
    }

    @Test("Ranges and anchors cover exactly the source of a node")
    func ranges() throws {
        let source = SourceFile(name: "", text: "foo.bar[1 + 2](x)")
        let call = try Parser.parseExpression(source)
        #expect(source.text(in: call.range) == "foo.bar[1 + 2](x)")
        #expect(call.anchor == 14)
        guard case .call(let index, _) = call.kind, case .index(let access, let sum) = index.kind else {
            Issue.record("not a call of an index")
            return
        }
        #expect(source.text(in: index.range) == "foo.bar[1 + 2]")
        #expect(index.anchor == 7)
        #expect(source.text(in: access.range) == "foo.bar")
        #expect(access.anchor == 3)
        #expect(source.text(in: sum.range) == "1 + 2")
        #expect(sum.anchor == 10)
    }

    @Test("Comments are grouped by adjacent lines")
    func commentGroups() throws {
        let tree = try Parser.parse("// a\n// b\n\n// c\r\nx = 1 // d\n/* e\n */ // f\n")
        #expect(
            tree.comments.map { $0.comments.map(\.text) } == [
                ["// a", "// b"], ["// c"], ["// d", "/* e\n */", "// f"],
            ])
    }

    @Test("Equality ignores places")
    func equality() throws {
        let one = try Parser.parse("a = [1, {b = c}]\nd \"e\" { }")
        let two = try Parser.parse("\na    = [ 1,\n {\n b = c},]\n\nd\"e\"{\n}\n")
        #expect(one.body == two.body)
        #expect(one.body != (try Parser.parse("a = [1, {b = d}]\nd \"e\" { }")).body)
    }

    @Test(
        "Errors say what was expected where",
        arguments: [
            ("a = ", ["f:1:5: expected expression, got EOF"]),
            ("a = 1 b = 2", ["f:1:7: expected TERMINATOR, got IDENT"]),
            ("a", ["f:1:2: expected block label, got TERMINATOR"]),
            ("1 = a", ["f:1:1: expected identifier, got NUMBER"]),
            ("a. = 1", ["f:1:4: expected identifier, got ="]),
            ("a.b = 1", ["f:1:1: attribute names may only consist of a single identifier with no \".\""]),
            ("a \"b\" = 1", ["f:1:3: attribute names may not have labels"]),
            ("a \"b c\" { }", ["f:1:3: expected block label to be a valid identifier, but got \"b c\""]),
            ("a `b` { }", ["f:1:3: expected block label to be a double quoted string, but got \"`b`\""]),
            ("a b { }", ["f:1:3: expected block label, got IDENT"]),
            ("a \"b\" 1", ["f:1:7: expected block body, got NUMBER"]),
            ("a \"\" 1", ["f:1:6: expected attribute assignment or block body, got NUMBER"]),
            ("a {", ["f:1:4: expected }, got EOF"]),
            ("a = [1, 2\n]", ["f:1:10: missing ',' in expression list"]),
            ("a = {b = 1\n}", ["f:1:11: missing ',' in field list"]),
            ("a = {1 = 2}", ["f:1:6: expected field name (string or identifier), got NUMBER"]),
            ("a = b.true", ["f:1:7: expected IDENT, got BOOL"]),
            ("a = f(", ["f:1:7: expected ), got EOF"]),
            ("a = b.c \"d\" { e = 1 }", ["f:1:5: cannot use a block as an expression"]),
            ("a = b \"c\" \"d\"", ["f:1:11: expected {, got STRING"]),
        ] as [(String, [String])])
    func errorMessages(text: String, expected: [String]) {
        #expect(errors(text) == expected)
    }

    @Test("All errors of a file are found, one a line")
    func recovery() {
        let text = """
            a = * *
            b = 1
            c {
              d = [1 2 3]
              e = f(
            }
            g "bad label" { }
            h = 2
            """
        #expect(
            errors(text) == [
                "f:1:5: expected expression, got *",
                "f:4:10: missing ',' in expression list",
                "f:6:1: expected expression, got }",
                "f:7:1: cannot use a block as an expression",
                "f:7:18: missing ',' in expression list",
                "f:8:3: missing ',' in expression list",
            ])
    }

    @Test("The range of a misused block covers it")
    func misusedBlockRange() throws {
        let source = SourceFile(name: "f", text: "a = b.c \"d\" {\n  e = 1\n}\n")
        do throws(Diagnostics) {
            _ = try Parser.parse(source)
            Issue.record("parsed")
        } catch {
            #expect(error.items.map { source.text(in: $0.range) } == ["b.c \"d\" {\n  e = 1\n}"])
        }
    }
}
