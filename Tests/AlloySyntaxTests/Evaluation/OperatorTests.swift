import AlloySyntax
import Essentials
import Testing

@Suite struct OperatorTests {
    @Test(
        "Operators compute what Alloy computes",
        arguments: [
            ("1 + 2", "3"), ("1 + 2.5", "3.5"), (#""a" + "b""#, #""ab""#), ("5 - 7", "-2"), ("3 * 4", "12"),
            ("7 / 2", "3"), ("7 / 2.0", "3.5"), ("-7 / 2", "-3"), ("7 % 4", "3"), ("-7 % 4", "-3"), ("7.5 % 2", "1.5"),
            ("2 ^ 10", "1024"), ("2 ^ 0", "1"), ("2 ^ 3 ^ 2", "512"), ("2.0 ^ 0.5 > 1.41", "true"), ("2 ^ -1", "2"),
            ("0 ^ 5", "0"), ("1 ^ 99999999999", "1"), ("3 ^ 18446744073709551615 > 0", "true"),
            ("1 == 1.0", "true"), ("1 == \"1\"", "false"), ("null == null", "true"), ("null != 1", "true"),
            ("[1, [2]] == [1, [2.0]]", "true"), ("{a = 1} == {a = 1, b = 2}", "false"),
            ("{a = 1, b = 2} == {b = 2, a = 1}", "true"), ("array.concat == array.concat", "false"),
            ("1 < 2", "true"), ("2 <= 2.0", "true"), ("3 > 4", "false"), ("4 >= 4", "true"),
            (#""a" < "b""#, "true"), (#""Z" < "a""#, "true"), (#""b" <= "a""#, "false"), (#""b" > "a""#, "true"),
            (#""b" >= "b""#, "true"), (#""\u00e9" == "e\u0301""#, "false"),
            ("true && false", "false"), ("true || false", "true"), ("!true", "false"), ("-5", "-5"), ("-(2.5)", "-2.5"),
            ("-18446744073709551615", "1"), ("18446744073709551615 + 1", "0"),
            ("9223372036854775807 + 1", "-9223372036854775808"),
            ("(-9223372036854775807 - 1) / -1", "-9223372036854775808"), ("(-9223372036854775807 - 1) % -1", "0"),
            ("1 + 2 * 3", "7"), ("(1 + 2) * 3", "9"), ("10 - 4 - 3", "3"), ("010", "8"), ("09", "9"), ("1e3", "1000"),
        ])
    func values(_ text: String, _ expected: String) throws {
        #expect(try evaluate(text).alloyText == expected)
    }

    @Test(
        "Operators refuse operands of the wrong type, naming the operand",
        arguments: [
            ("true + 1", "1:1: true should be one of [number string capsule] for binop +, got bool"),
            ("1 + true", "1:5: true should be one of [number string capsule] for binop +, got bool"),
            ("1 + \"a\"", "1:5: \"a\" should be number, got string"),
            ("\"a\" - 1", "1:1: \"a\" should be one of [number] for binop -, got string"),
            ("1 * null", "1:5: null should be one of [number] for binop *, got null"),
            ("1 && true", "1:1: 1 should be one of [bool] for binop &&, got number"),
            ("true || \"x\"", "1:9: \"x\" should be one of [bool] for binop ||, got string"),
            ("[1] < [2]", "1:1: [1] should be one of [number string] for binop <, got array"),
            ("1 >= \"a\"", "1:6: \"a\" should be number, got string"),
            ("1 / 0", "1:5: 0 divide by zero error"), ("1 % 0.0", "1:5: 0.0 divide by zero error"),
            ("1.0 / 0", "1:7: 0 divide by zero error"),
            ("!1", "1:2: 1 should be bool, got number"), ("-true", "1:2: true should be number, got bool"),
            ("1 + 2 + {} + 3", "1:9: {} should be one of [number string capsule] for binop +, got object"),
        ])
    func refusals(_ text: String, _ expected: String) throws {
        #expect(try problem(text) == expected)
    }

    @Test("Adding text to a secret makes a secret")
    func secrets() throws {
        let names: [String: Value] = [
            "s": .secret(Secret("s3cret")), "os": .optionalSecret(.secret(Secret("s3cret"))),
            "op": .optionalSecret(.plain("plain")),
        ]
        func check(_ text: String, _ expected: Value, sourceLocation: SourceLocation = #_sourceLocation) throws {
            #expect(try evaluate(text, names) == expected, sourceLocation: sourceLocation)
        }
        try check("s + \"x\"", .secret(Secret("s3cretx")))
        try check("\"x\" + s", .secret(Secret("xs3cret")))
        try check("s + s", .secret(Secret("s3crets3cret")))
        try check("s + op", .secret(Secret("s3cretplain")))
        try check("op + s", .secret(Secret("plains3cret")))
        try check("os + s", .secret(Secret("s3crets3cret")))
        try check("os + \"x\"", .optionalSecret(.secret(Secret("s3cretx"))))
        try check("\"x\" + os", .optionalSecret(.secret(Secret("xs3cret"))))
        try check("op + \"x\"", .string("plainx"))
        try check("\"x\" + op", .string("xplain"))
        try check("op + op", .optionalSecret(.plain("plainplain")))
        try check("op + os", .optionalSecret(.secret(Secret("plains3cret"))))
        try check("s == \"s3cret\"", true)
        try check("op == \"plain\"", true)
        try check("s != \"other\"", true)
        #expect(
            try problem("s + 1", names)
                == "1:5: 1 should be capsule, got number")
        #expect(try problem("s < s", names) == "1:1: s should be one of [number string] for binop <, got capsule")
    }

    @Test("A capsule adds to nothing")
    func capsules() throws {
        let handle: [String: Value] = ["c": .capsule(Capsule("Thing", 1))]
        #expect(
            try problem("c + c", handle)
                == "1:1: c could not perform binop + for unknown types lhs capsule rhs capsule")
    }

    @Test("A long chain of operators is no deep recursion")
    func longChain() throws {
        let chain = Array(repeating: "1", count: 900).joined(separator: " + ")
        #expect(try evaluate(chain) == 900)
        #expect(References.collect(in: try Parser.parseExpression(chain + " + a.b")).map(\.path) == ["a.b"])
    }
}
