import AlloySyntax
import Essentials
import Testing

@Suite struct StandardLibraryTests {
    private struct Target: CapsuleValue {
        static let capsuleName = "Target"
        let fields: ObjectValue
        var alloyObject: ObjectValue? { fields }
    }

    private var names: [String: Value] {
        [
            "secret": .secret(Secret("hunter2")), "plain": .optionalSecret(.plain("p")),
            "hidden": .optionalSecret(.secret(Secret("hunter2"))),
            "target": .capsule(Capsule(Target(fields: ["job": "a", "instance": "one"]))),
            "bare": .capsule(Capsule(Target(fields: [:]))), "handle": .capsule(Capsule("Receiver", 1)),
        ]
    }

    private func check(
        _ text: String, _ expected: String, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let oneLine = try evaluate(text, names).alloyText.split(separator: "\n").map { line in
            String(line.drop { $0 == "\t" })
        }
        #expect(oneLine.joined(separator: " ") == expected, "\(text)", sourceLocation: sourceLocation)
    }

    private func refuse(
        _ text: String, _ expected: String, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        #expect(try problem(text, names) == expected, "\(text)", sourceLocation: sourceLocation)
    }

    @Test("Strings")
    func strings() throws {
        try check(#"string.join(["a", 1, "c"], "-")"#, #""a-1-c""#)
        try check(#"string.join([], "-")"#, #""""#)
        try check(#"string.replace("1 + 2 + 3", "+", "-")"#, #""1 - 2 - 3""#)
        try check(#"string.replace("ab", "", "-")"#, #""-a-b-""#)
        try check(#"string.replace("aaa", "aa", "b")"#, #""ba""#)
        try check(#"string.split("a,b,,c", ",")"#, #"["a", "b", "", "c"]"#)
        try check(#"string.split("", ",")"#, #"[""]"#)
        try check(#"string.split("", "")"#, "[]")
        try check(#"string.split("a\u00e9b", "")"#, "[\"a\", \"\u{e9}\", \"b\"]")
        try check(#"string.to_lower("HeLLO \u00c9")"#, "\"hello \u{e9}\"")
        try check(#"string.to_upper("hello \u00df")"#, "\"HELLO \u{df}\"")
        try check(#"string.trim("?!hello?!", "!?")"#, #""hello""#)
        try check(#"string.trim("foobar", "far")"#, #""oob""#)
        try check(#"string.trim("foo", "")"#, #""foo""#)
        try check(#"string.trim_prefix("helloworld", "hello")"#, #""world""#)
        try check(#"string.trim_prefix("helloworld", "x")"#, #""helloworld""#)
        try check(#"string.trim_suffix("helloworld", "world")"#, #""hello""#)
        try check(#"string.trim_suffix("ld", "world")"#, #""ld""#)
        try check(#"string.trim_space("  hello\n\n")"#, #""hello""#)
        try check(#"string.to_upper(5)"#, #""5""#)
        try check(#"string.to_upper(null)"#, #""""#)
        try check(#"string.to_upper(plain)"#, #""P""#)
        try refuse(#"string.trim("a")"#, "1:1: string.trim expected 2 args, got 1")
        try refuse(#"string.trim("a", true)"#, "1:18: true should be string, got bool")
        try refuse("string.to_upper(secret)", "1:17: secret secrets may not be converted into strings")
        try refuse("string.join([hidden], \"\")", "1:14: hidden secrets may not be converted into strings")
    }

    @Test("Paths")
    func paths() throws {
        try check(#"file.path_join("this/is", "a/path")"#, #""this/is/a/path""#)
        try check(#"file.path_join()"#, #""""#)
        try check(#"file.path_join("", "")"#, #""""#)
        try check(#"file.path_join("/a//b/../c/.", "", "d/")"#, #""/a/c/d""#)
        try check(#"file.path_join("/..", "a")"#, #""/a""#)
        try check(#"file.path_join("..", "../a", "..")"#, #""../..""#)
        try check(#"file.path_join("a", "..")"#, #"".""#)
        try refuse("file.path_join(\"a\", [])", "1:21: [] should be string, got array")
    }

    @Test("Encodings")
    func encodings() throws {
        try check(#"encoding.to_base64("string123!?$*&()'-=@~")"#, #""c3RyaW5nMTIzIT8kKiYoKSctPUB+""#)
        try check(#"encoding.to_URLbase64("string123!?$*&()'-=@~")"#, #""c3RyaW5nMTIzIT8kKiYoKSctPUB-""#)
        for text in ["", "a", "ab", "abc", "abcd"] {
            try check("encoding.from_base64(encoding.to_base64(\"\(text)\"))", "\"\(text)\"")
        }
        try check(#"encoding.from_base64("dGFuZ2Vy\naW5l\n")"#, #""tangerine""#)
        try check(#"encoding.from_URLbase64("c3RyaW5nMTIzIT8kKiYoKSctPUB-")"#, #""string123!?$*&()'-=@~""#)
        try refuse(
            #"encoding.from_base64("a")"#, "1:1: encoding.from_base64 illegal base64 data at input byte 0")
        try refuse(
            #"encoding.from_base64("YWJj?")"#, "1:1: encoding.from_base64 illegal base64 data at input byte 4")
        try refuse(
            #"encoding.from_base64("YWI")"#, "1:1: encoding.from_base64 illegal base64 data at input byte 0")
        try refuse(
            #"encoding.from_base64("YWI=x")"#, "1:1: encoding.from_base64 illegal base64 data at input byte 4")
        try refuse(
            #"encoding.from_base64("a-_a")"#, "1:1: encoding.from_base64 illegal base64 data at input byte 1")
        try refuse(
            #"encoding.from_base64("/w==")"#, "1:1: encoding.from_base64 the decoded bytes are not UTF-8 text")
        try check(#"encoding.url_encode("a b/c~\u00e9")"#, #""a+b%2Fc~%C3%A9""#)
        try check(#"encoding.url_decode("a+b%2Fc~%c3%A9")"#, "\"a b/c~\u{e9}\"")
        try refuse(#"encoding.url_decode("a%zz1")"#, #"1:1: encoding.url_decode invalid URL escape "%zz""#)
        try refuse(#"encoding.url_decode("a%2")"#, #"1:1: encoding.url_decode invalid URL escape "%2""#)
    }

    @Test("JSON and YAML")
    func json() throws {
        try check(#"encoding.from_json("15")"#, "15")
        try check(#"encoding.from_json("null")"#, "null")
        try check(#"encoding.from_json("[1, 2.5, true, \"x\"]")"#, #"[1, 2.5, true, "x"]"#)
        try check(#"encoding.from_json("{\"key\": {\"a\": 1}}").key.a"#, "1")
        try check(#"encoding.from_yaml("key: value\nlist:\n  - 1\n  - a: b\n").list[1].a"#, #""b""#)
        try check(#"encoding.from_yaml("15")"#, "15")
        try check(#"encoding.from_yaml("null")"#, "null")
        try check(
            #"encoding.to_json({b = [1, 2.5, null], a = {c = "<x>"}})"#,
            #""{\"a\":{\"c\":\"\\u003cx\\u003e\"},\"b\":[1,2.5,null]}""#)
        try check("encoding.to_json({})", #""{}""#)
        try refuse("encoding.to_json([])", "1:1: encoding.to_json jsonEncode only supports map")
        try refuse("encoding.to_json({a = array.concat})", "1:1: encoding.to_json json: unsupported type: function")
        try check("encoding.to_json({a = secret})", "(secret)")
        #expect(
            try evaluate("convert.nonsensitive(encoding.to_json({a = secret}))", names) == #"{"a":"hunter2"}"#)
        #expect(try problem("encoding.from_json(\"{\")").hasPrefix("1:1: encoding.from_json "))
        #expect(try problem("encoding.from_yaml(\"a: [\")").hasPrefix("1:1: encoding.from_yaml "))
        let deep = String(repeating: "[", count: 100_000)
        #expect(try problem("encoding.from_json(text)", ["text": .string(deep)]).hasPrefix("1:1: encoding.from_json "))
        #expect(try problem("encoding.from_yaml(text)", ["text": .string(deep)]).hasPrefix("1:1: encoding.from_yaml "))
    }

    @Test("Arrays")
    func arrays() throws {
        try check("array.concat()", "[]")
        try check("array.concat([1, 2], [], [null])", "[1, 2, null]")
        try check("array.concat([[1]], [[2]])", "[[1], [2]]")
        try refuse("array.concat([], 1)", "1:18: 1 should be array, got number")
        try check(
            #"array.group_by([{t = "f", n = 1}, {t = "v", n = 2}, {t = "f", n = 3}, {n = 4}], "t", false)"#,
            #"[{ items = [{ n = 1, t = "f", }, { n = 3, t = "f", }], t = "f", }, { items = [{ n = 2, t = "v", }], t = "v", }, { items = [{ n = 4, }], t = "", }]"#
        )
        try check(#"array.group_by([{n = 4}, target], "job", true)[0].items[0].instance"#, #""one""#)
        try refuse("array.group_by([])", "1:1: array.group_by group_by: expected 3 arguments, got 1")
        try refuse("array.group_by([1], \"a\", true)", "1:17: 1 should be object, got number")
        try refuse("array.group_by([], 1, true)", "1:20: 1 should be string, got number")
        try refuse("array.group_by([], \"a\", 1)", "1:25: 1 should be bool, got number")
        try refuse("array.group_by([{a = 1}], \"a\", true)", "1:22: 1 should be string, got number")
        try check(
            #"array.combine_maps([{i = "1", t = "A"}], [{i = "1", c = "p"}, {i = "2", c = "q"}], ["i"])"#,
            #"[{ c = "p", i = "1", t = "A", }]"#)
        try check(
            #"array.combine_maps([{i = "1", t = "A"}], [{i = "1", t = "B"}], ["i"])"#, #"[{ i = "1", t = "B", }]"#)
        try check(#"array.combine_maps([{i = "1"}], [{i = "2"}], ["i"], true)"#, #"[{ i = "1", }]"#)
        try check(#"array.combine_maps([{i = "1"}], [{j = "2"}], ["i"])"#, "[]")
        try check(
            #"array.combine_maps([target], [{instance = "one", x = "y"}], ["instance"])[0].x"#, #""y""#)
        try refuse(
            "array.combine_maps([], [])", "1:1: array.combine_maps combine_maps: expected 3 or 4 arguments, got 2")
        try refuse(
            "array.combine_maps([], [], [])", "1:28: [] combine_maps: merge conditions must not be empty")
        try refuse("array.combine_maps([handle], [], [\"a\"])", "1:21: handle should be object, got capsule")
    }

    @Test("Choosing, revealing, environment and constants")
    func others() throws {
        try check("coalesce()", "null")
        try check(#"coalesce("", 0, false, null, [], {}, bare, "x")"#, #""x""#)
        try check("coalesce(0, \"\")", #""""#)
        try check("coalesce(secret, 1)", "(secret)")
        try check("coalesce(null, target).job", #""a""#)
        try check("convert.nonsensitive(secret)", #""hunter2""#)
        try check("convert.nonsensitive(\"x\")", #""x""#)
        try refuse("convert.nonsensitive(5)", "1:22: 5 should be capsule, got number")
        try check(#"sys.env("HOME")"#, #""/home/me""#)
        try check(#"sys.env("NOTHING")"#, #""""#)
        try check("constants.version", #""v1.2.3""#)
        try check("constants.os", #""linux""#)
        #expect(["\"amd64\"", "\"arm64\""].contains(try evaluate("constants.arch").alloyText))
    }

    @Test("Formatting")
    func formatting() throws {
        try check(#"string.format("Hello, %s!", "Ander")"#, #""Hello, Ander!""#)
        try check(
            #"string.format("%d lights, %v, %05.1f, %q, %t, %x", 4, 1.5, 2.25, "a", true, 255)"#,
            #""4 lights, 1.5, 002.2, \"a\", true, ff""#)
        try check(#"string.format("%[2]s %[1]s", "a", "b")"#, #""b a""#)
        try check(#"string.format("%v %v", [1, "a"], {b = 2, a = 1})"#, #""[1 a] map[a:1 b:2]""#)
        try check(#"string.format("%d", "a")"#, #""%!d(string=a)""#)
        try check(#"string.format("%v", null)"#, #""<nil>""#)
        try check(#"string.format("%s", secret)"#, "(secret)")
        #expect(try evaluate(#"convert.nonsensitive(string.format("%s", secret))"#, names) == "hunter2")
        try refuse("string.format()", "1:1: string.format expected at least 1 args, got 0")
    }

    @Test("Every identifier exists, with its old name")
    func catalogue() throws {
        #expect(StandardLibrary.entries.count == 31)
        let aliases = StandardLibrary.entries.compactMap(\.deprecatedAlias)
        #expect(aliases.count == 16)
        for entry in StandardLibrary.entries {
            #expect(try evaluate(entry.name).type == (entry.isFunction ? .function : .string))
            guard let alias = entry.deprecatedAlias else { continue }
            #expect(try evaluate(alias).type == .function)
            #expect(StandardLibrary.replacement(forDeprecated: alias) == entry.name)
        }
        #expect(StandardLibrary.replacement(forDeprecated: "coalesce") == nil)
        #expect(StandardLibrary().contains("encoding"))
        #expect(!StandardLibrary().contains("nothing"))
    }

    @Test(
        "Versions are normalised",
        arguments: [
            ("", "v0.0.0"), ("1.2", "v1.2.0"), ("v1.2.3-rc.1+x", "v1.2.3-rc.1+x"), (" devel ", "devel"),
        ])
    func versions(_ version: String, _ expected: String) throws {
        let scope = Scope(standardLibrary: StandardLibrary(version: version))
        #expect(try Evaluator.evaluate(Parser.parseExpression("constants.version"), in: scope) == .string(expected))
    }
}
