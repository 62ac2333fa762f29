import AlloySyntax
import Essentials
import Testing

@Suite struct EvaluatorTests {
    private struct Pair: CapsuleValue {
        static let capsuleName = "Target"
        var alloyObject: ObjectValue? { ["__address__": "localhost:80", "job": "a"] }
    }

    private let names: [String: Value] = [
        "text": "hello", "list": [1, 2, 3], "secret": .secret(Secret("hunter2")),
        "key_value": .object(["object": .object(["field1": .array([15, 30, "Hello"])])]),
        "target": .capsule(Capsule(Pair())), "handle": .capsule(Capsule("Receiver", 1)),
    ]

    @Test(
        "Expressions reach into values",
        arguments: [
            ("list[0]", "1"), ("list[1.9]", "2"), (#"{a = {b = 5}}.a.b"#, "5"), (#"{"a b" = 1}["a b"]"#, "1"),
            (#"{a = 1}["b"]"#, "null"), ("target.job", "\"a\""), (#"target["__address__"]"#, "\"localhost:80\""),
            (#"target["nothing"]"#, "null"), ("key_value.object.field1[2]", "\"Hello\""), ("`raw\\n`", #""raw\\n""#),
            ("[1, \"a\", null, true]", "[1, \"a\", null, true]"), ("secret", "(secret)"), ("[secret]", "[(secret)]"),
            ("{a = 1, a = 2}.a", "2"), ("text", "\"hello\""), ("handle", #"capsule("Receiver")"#),
            ("string.to_upper(text)", "\"HELLO\""), ("constants.hostname", "\"machine\""),
        ])
    func values(_ text: String, _ expected: String) throws {
        #expect(try evaluate(text, names).alloyText == expected)
    }

    @Test(
        "What does not exist or fit is reported where it stands",
        arguments: [
            ("nothing", "1:1: identifier \"nothing\" does not exist"),
            ("{a = 1}.b", "1:9: field \"b\" does not exist"),
            ("target.port", "1:8: field \"port\" does not exist"),
            ("text.length", "1:1: text cannot access field \"length\" on value of type string"),
            ("handle.x", "1:1: handle expected object or array or a capsule convertible to an object, got capsule"),
            ("handle[0]", "1:1: handle expected object or array or a capsule convertible to an object, got capsule"),
            ("list[3]", "1:6: 3 index 3 is out of range of array with length 3"),
            ("list[-1]", "1:6: -1 index -1 is out of range of array with length 3"),
            ("list[\"a\"]", "1:6: \"a\" should be number, got string"),
            ("{a = 1}[0]", "1:9: 0 should be string, got number"),
            ("target[0]", "1:8: 0 should be string, got number"),
            ("text[0]", "1:1: text expected object or array, got string"),
            ("text(1)", "1:1: text should be function, got string"),
            ("string.join(1, 2)", "1:13: 1 should be array, got number"),
            ("string.join([1, []], 2)", "1:17: [] should be string, got array"),
            ("string.join(key_value.object.field1, [])", "1:38: [] should be string, got array"),
            ("string.split(\"a\")", "1:1: string.split expected 2 args, got 1"),
            ("string.to_upper(secret)", "1:17: secret secrets may not be converted into strings"),
        ])
    func problems(_ text: String, _ expected: String) throws {
        #expect(try problem(text, names) == expected)
    }

    @Test("Variables of inner scopes come before outer ones, and those before the standard library")
    func shadowing() throws {
        let outer = Scope(variables: ["a": 1, "b": 1])
        let inner = Scope(variables: ["a": 2, "sys": "shadow"], parent: outer)
        #expect(try Evaluator.evaluate(Parser.parseExpression("[a, b, sys]"), in: inner) == [2, 1, "shadow"])
    }

    @Test("A misspelt field gets a hint")
    func hint() throws {
        let expression = try Parser.parseExpression("string.to_uper(\"a\")")
        let diagnostic = #expect(throws: Diagnostic.self) { try Evaluator.evaluate(expression, in: Scope()) }
        #expect(diagnostic?.notes == ["did you mean \"to_upper\"?"])
    }

    @Test("Concealed evaluation keeps the expression out of the message")
    func concealed() throws {
        let expression = try Parser.parseExpression("\"hunter2\" - 1")
        let diagnostic = #expect(throws: Diagnostic.self) {
            try Evaluator.evaluate(expression, in: Scope(), concealed: true)
        }
        #expect(diagnostic?.message == "(secret) should be one of [number] for binop -, got string")
    }

    @Test("Deep nesting is refused, not a crash")
    func deep() throws {
        var expression = Expression(.literal(.null))
        for _ in 0..<5_000 { expression = Expression(.parenthesized(expression)) }
        let diagnostic = #expect(throws: Diagnostic.self) { try Evaluator.evaluate(expression, in: Scope()) }
        #expect(diagnostic?.message == "the expression is nested too deeply")
    }

    @Test("References end at indices and calls")
    func references() throws {
        let text = """
            a = x.y.z
            b { c = [p.q[0].r, f.g(h, {k = m.n}), (s.t).u, -v] }
            d = 1 + w.x * "text"
            """
        let tree = try Parser.parse(text)
        let found = References.collect(in: tree.body)
        #expect(found.map(\.path) == ["x.y.z", "p.q", "f.g", "h", "m.n", "s.t.u", "v", "w.x"])
        #expect(found.first?.range.startPosition.column == 5)
        #expect(found.first.map { tree.source.text(in: $0.range) } == "x.y.z")
    }

    @Test("Experimental identifiers need their stability level")
    func stability() throws {
        let text = "array.group_by([], \"a\", true)"
        #expect(try evaluate(text) == [])
        let expected = """
            1:1: array.group_by is at stability level "experimental", which is below the minimum allowed stability level \
            "generally-available". Use --stability.level command-line flag to enable "experimental" features
            """
        #expect(try problem(text, stability: .generallyAvailable) == expected)
        #expect(try problem(text, ["array": .object(["group_by": 1])], stability: .generallyAvailable) != expected)
    }
}
