import Testing
import TextFormats

@testable import LokiComponents

@Suite("JMESPath")
struct JMESPathTests {
    private static let document = #"""
        {"a":{"b":{"c":1}},"list":[{"n":"x","v":3},{"n":"y","v":1},{"n":"z","v":2}],"nums":[3,1,2],"words":["b","a"],
        "text":"hello","empty":"","nested":[[1,2],[3],4],"t":true,"f":false,"nil":null,"with-dash":{"é":7},"obj":{"k":1,"l":2}}
        """#

    private func search(_ expression: String) throws -> String {
        let value = try JMESPath(expression).search(JSONValue(parsing: Self.document))
        return JSONWriter(escapesHTML: false).text(value)
    }

    @Test(
        "Expressions find what the specification says",
        arguments: [
            ("a.b.c", "1"), ("a.b.d", "null"), ("text.b", "null"), ("\"with-dash\".\"é\"", "7"),
            ("list[0].n", "\"x\""), ("list[-1].n", "\"z\""), ("list[5]", "null"), ("list[*].n", "[\"x\",\"y\",\"z\"]"),
            ("list[].v", "[3,1,2]"), ("nested[]", "[1,2,3,4]"), ("nums[1:]", "[1,2]"), ("nums[::-1]", "[2,1,3]"),
            ("nums[:2]", "[3,1]"), ("text[1:3]", "\"el\""), ("obj.*", "[1,2]"), ("*.b", "[{\"c\":1}]"),
            ("list[?v > `1`].n", "[\"x\",\"z\"]"), ("list[?n == 'y'].v | [0]", "1"),
            ("list[?n=='y' || v==`2`].n", "[\"y\",\"z\"]"),
            ("[text, t]", "[\"hello\",true]"), ("{x: text, y: nums[0]}", "{\"x\":\"hello\",\"y\":3}"),
            ("a.b.{q: c}", "{\"q\":1}"), ("list[*].[n, v]", "[[\"x\",3],[\"y\",1],[\"z\",2]]"),
            ("empty || text", "\"hello\""), ("f && text", "false"), ("!f", "true"), ("t && text", "\"hello\""),
            ("text == 'hello'", "true"), ("nums[0] >= `3`", "true"), ("text < `3`", "null"), ("nil", "null"),
            ("nums[0] + nums[1] * `2`", "5"), ("-nums[0]", "-3"), ("nums[0] // `2`", "1"), ("nums[0] % `2`", "1"),
            ("`3` / `2`", "1.5"), ("$.text", "\"hello\""), ("a.b.[$.text]", "[\"hello\"]"),
            ("let $x = nums[0] in list[?v == $x].n", "[\"x\"]"), ("@.text", "\"hello\""), ("(a).b.c", "1"),
            ("abs(`-1.5`)", "1.5"), ("avg(nums)", "2"), ("ceil(`1.2`)", "2"), ("floor(`1.8`)", "1"),
            ("contains(text, 'ell')", "true"), ("contains(nums, `2`)", "true"), ("starts_with(text, 'he')", "true"),
            ("ends_with(text, 'lo')", "true"), ("join('-', words)", "\"b-a\""), ("keys(obj)", "[\"k\",\"l\"]"),
            ("values(obj)", "[1,2]"), ("items(obj)", "[[\"k\",1],[\"l\",2]]"),
            ("from_items(items(obj))", "{\"k\":1,\"l\":2}"),
            ("length(text)", "5"), ("length(list)", "3"), ("map(&v, list)", "[3,1,2]"), ("max(nums)", "3"),
            ("min(words)", "\"a\""), ("max_by(list, &v).n", "\"x\""), ("min_by(list, &v).n", "\"y\""),
            ("sort_by(list, &v)[*].n", "[\"y\",\"z\",\"x\"]"), ("sort(words)", "[\"a\",\"b\"]"), ("sum(nums)", "6"),
            ("merge(obj, {m: `3`})", "{\"k\":1,\"l\":2,\"m\":3}"), ("not_null(nil, text)", "\"hello\""),
            ("reverse(text)", "\"olleh\""), ("reverse(nums)", "[2,1,3]"), ("to_array(text)", "[\"hello\"]"),
            ("to_number('12.5')", "12.5"), ("to_number('x')", "null"), ("to_string(nums)", "\"[3,1,2]\""),
            ("type(nums)", "\"array\""), ("upper(text)", "\"HELLO\""), ("lower('A')", "\"a\""),
            ("trim('  a ')", "\"a\""), ("trim_left('xxa', 'x')", "\"a\""),
            ("split('a,b,c', ',')", "[\"a\",\"b\",\"c\"]"),
            ("split('a,b,c', ',', `1`)", "[\"a\",\"b,c\"]"), ("replace('aaa', 'a', 'b', `2`)", "\"bba\""),
            ("find_first(text, 'l')", "2"), ("find_last(text, 'l')", "3"), ("pad_left('a', `3`, '0')", "\"00a\""),
            ("pad_right('a', `3`)", "\"a  \""), ("zip(nums, words)", "[[3,\"b\"],[1,\"a\"]]"),
            ("group_by(list, &n).x[0].v", "3"), ("`\"a\\`b\"`", "\"a`b\""), ("'it\\'s'", "\"it's\""),
        ])
    func finds(expression: String, expected: String) throws {
        #expect(try search(expression) == expected, "\(expression)")
    }

    @Test(
        "Faulty expressions do not compile",
        arguments: [
            "", "a.", "a[", "a[b", "[?a", "a b", "foo(", "{a}", "{a:}", "'x", "`{`", "\"x", "a#", "1", "let $x = ",
            "\"f\"(a)",
        ])
    func faults(expression: String) {
        #expect(throws: JMESPathError.self) { try JMESPath(expression) }
    }

    @Test(
        "Wrong uses of functions are errors",
        arguments: [
            "nope(a)", "abs(text)", "abs()", "abs(nums[0], nums[1])", "sort_by(nums, nums)", "nums[::0]",
            "pad_left('a', `99999999`)",
        ])
    func misuse(expression: String) {
        #expect(throws: JMESPathError.self) { try search(expression) }
    }

    @Test("A chain of names is recognized as one")
    func keys() throws {
        #expect(try JMESPath("a.b.\"c d\"").keys == ["a", "b", "c d"])
        #expect(try JMESPath("a[0]").keys == nil)
        #expect(try JMESPath("a").keys == ["a"])
    }
}
