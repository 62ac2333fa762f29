import Testing

@testable import TextFormats

@Suite("GoTemplate")
struct GoTemplateTests {
    private static let data: GoValue = .dictionary([
        "name": .string("World"), "n": .int(3), "f": .float(2.5), "t": .bool(true), "none": .nil, "empty": .string(""),
        "list": .list([.string("a"), .string("b"), .string("c")]),
        "map": .dictionary(["k": .string("v"), "j": .int(1), "d": .dictionary(["x": .int(9)])]),
        "at": .time(GoTime(unixSeconds: 1_257_894_245)),
    ])

    private func run(_ text: String, functions: [String: GoTemplate.Function] = [:]) throws -> String {
        try GoTemplate(text, name: "t", functions: functions).execute(Self.data)
    }

    @Test(
        "Templates write what Go's write",
        arguments: [
            ("plain", "plain"), ("Hello {{.name}}!", "Hello World!"),
            ("{{ .missing }}|{{ .none }}|{{.map.nope.deeper}}", "<no value>|<no value>|<no value>"),
            ("a {{- 1 -}} b", "a1b"), ("a\n\t{{- /* c */ -}}\n b", "ab"), ("{{/* c */}}x", "x"),
            ("{{-3}} {{- 4}}", "-34"), ("{{ \"a\\tb\\x41\\u00e9\" }}{{`raw\\n`}}{{'a'}}", "a\tbA\u{E9}raw\\n97"),
            ("{{if .t}}yes{{else}}no{{end}}", "yes"),
            ("{{if .empty}}1{{else if .none}}2{{else if .n}}3{{else}}4{{end}}", "3"),
            ("{{if not .empty}}x{{end}}", "x"),
            ("{{range .list}}<{{.}}>{{end}}", "<a><b><c>"),
            ("{{range $i, $e := .list}}{{$i}}={{$e}} {{end}}", "0=a 1=b 2=c "),
            ("{{range $k, $v := .map}}{{$k}};{{end}}", "d;j;k;"),
            ("{{range .none}}x{{else}}empty{{end}}", "empty"),
            ("{{range $e := .list}}{{if eq $e \"b\"}}{{continue}}{{end}}{{$e}}{{end}}", "ac"),
            ("{{range .list}}{{if eq . \"b\"}}{{break}}{{end}}{{.}}{{end}}", "a"),
            ("{{range 3}}{{.}}{{end}}", "012"), ("{{with .map}}{{.k}}{{$.name}}{{else}}no{{end}}", "vWorld"),
            ("{{with .none}}x{{else with .name}}{{.}}{{end}}", "World"), ("{{with $x := .n}}{{$x}}{{.}}{{end}}", "33"),
            ("{{$x := 1}}{{if true}}{{$x = 2}}{{end}}{{$x}}", "2"),
            ("{{$x := 1}}{{if true}}{{$x := 2}}{{end}}{{$x}}", "1"),
            ("{{define \"T\"}}[{{.}}]{{end}}{{template \"T\" .name}}{{template \"T\"}}", "[World][<no value>]"),
            ("{{block \"B\" .n}}b{{.}}{{end}}", "b3"), ("{{.name | printf \"%s-%d\" \"x\"}}", "x-%!d(string=World)"),
            ("{{printf \"%5.2f|%v\" .f .list}}", " 2.50|[a b c]"), ("{{print 1 2 \"a\" true}}", "1 2atrue"),
            ("{{and 1 0 2}}{{or 0 \"x\" 2}}{{or false 0}}{{and true .name}}", "0x0World"),
            (
                "{{eq 1 1}}{{eq .n 1 2 3}}{{ne \"a\" \"b\"}}{{lt 1 2}}{{le 2 2}}{{gt 1.5 1.0}}{{ge \"b\" \"a\"}}",
                "truetruetruetruetruetruetrue"
            ),
            ("{{len .list}}{{len .name}}{{len .map}}", "353"),
            ("{{index .list 1}}{{index .map \"d\" \"x\"}}{{index .name 0}}", "b987"),
            ("{{slice .name 1 3}}{{slice .list 1}}", "or[b c]"),
            ("{{html \"<a href='x'>&\\\"\"}}", "&lt;a href=&#39;x&#39;&gt;&amp;&#34;"),
            ("{{js \"it's <b>\\n\"}}", "it\\'s \\u003Cb\\u003E\\u000A"),
            ("{{urlquery \"a b&c/\\u00e9\"}}", "a+b%26c%2F%C3%A9"),
            ("{{(index .map \"d\").x}}{{(len .list) | printf \"%03d\"}}", "9003"),
            (
                "{{.at.Format \"2006-01-02\"}} {{.at.Unix}} {{.at}}",
                "2009-11-10 1257894245 2009-11-10 23:04:05 +0000 UTC"
            ),
            ("{{1_000}} {{0x10}} {{1e3}} {{1.5}} {{.5}} {{+2}}", "1000 16 1000 1.5 0.5 2"),
            ("{{ .map.d.x }}{{ $.map.k }}", "9v"), ("{{nil | print}}", ""), ("{{true}}{{false}}", "truefalse"),
            ("{{ \"}}\" }}", "}}"),
            ("{{if and (eq .n 3) (or .empty .t)}}ok{{end}}", "ok"),
            ("{{eq .none nil}}{{eq .missing .none}}", "truetrue"),
            ("{{range $i := .list}}{{range $.list}}{{$i}}{{.}} {{end}}{{end}}", "aa ab ac ba bb bc ca cb cc "),
            ("{{1000000.0}}", "1e+06"),
        ])
    func writes(text: String, expected: String) throws {
        if text == "{{nil | print}}" {
            #expect(try run(text) == "<nil>")
        } else {
            #expect(try run(text) == expected, "\(text)")
        }
    }

    @Test(
        "A template that does not parse says where",
        arguments: [
            ("{{", "template: t:1: unclosed action"), ("{{.a", "template: t:1: unclosed action"),
            ("{{}}", "template: t:1: missing value for command"),
            ("a\n{{nope}}", "template: t:2: function \"nope\" not defined"),
            ("{{$x}}", "template: t:1: undefined variable \"$x\""), ("{{if .a}}", "template: t:1: unexpected EOF"),
            ("{{end}}", "template: t:1: unexpected {{end}}"), ("{{else}}", "template: t:1: unexpected {{else}}"),
            ("{{if}}{{end}}", "template: t:1: missing value for if"),
            ("{{break}}", "template: t:1: {{break}} outside {{range}}"),
            ("{{\"a}}", "template: t:1: unterminated quoted string"),
            ("{{`a}}", "template: t:1: unterminated raw quoted string"),
            ("{{/* a }}", "template: t:1: unclosed comment"), ("{{(1}}", "template: t:1: unclosed left paren"),
            ("{{1)}}", "template: t:1: unexpected right paren"),
            ("{{.a | 3}}", "template: t:1: non executable command in pipeline stage 2"),
            (
                "{{define \"x\"}}a{{end}}{{define \"x\"}}b{{end}}",
                "template: t:1: template: multiple definition of template \"x\""
            ), ("{{1x}}", "template: t:1: bad number syntax: \"1x\""),
            ("{{$x := 1 | }}", "template: t:1: missing value for command"),
            ("{{#}}", "template: t:1: unexpected bad character U+0023 '#' in command"),
            ("{{if true}}{{$y := 1}}{{end}}{{$y}}", "template: t:1: undefined variable \"$y\""),
            ("{{$a, $b := 1}}", "template: t:1: too many declarations in command"),
            ("{{9223372036854775808}}", "template: t:1: integer overflow: \"9223372036854775808\""),
        ])
    func parseErrors(text: String, message: String) {
        do {
            _ = try run(text)
            Issue.record("parsed \(text)")
        } catch { #expect("\(error)" == message) }
    }

    @Test(
        "An execution that fails says where",
        arguments: [
            ("{{.name.x}}", "template: t:1:2: executing \"t\" at <.name.x>: can't evaluate field x in type string"),
            ("ab\n {{len 3}}", "template: t:2:3: executing \"t\" at <len 3>: error calling len: len of type int"),
            (
                "{{template \"no\"}}",
                "template: t:1:0: executing \"t\" at <{{template \"no\"}}>: template \"no\" not defined"
            ),
            (
                "{{eq 1 \"a\"}}",
                "template: t:1:2: executing \"t\" at <eq 1 \"a\">: error calling eq: incompatible types for comparison"
            ),
            ("{{len}}", "template: t:1:2: executing \"t\" at <len>: wrong number of args for len: want 1 got 0"),
            (
                "{{index .list 9}}",
                "template: t:1:2: executing \"t\" at <index .list 9>: error calling index: index out of range: 9"
            ),
            ("{{printf .none}}", "template: t:1:9: executing \"t\" at <.none>: invalid value; expected string"),
            ("{{printf 3}}", "template: t:1:9: executing \"t\" at <3>: wrong type for value; expected string; got int"),
            ("{{1 | .name}}", "template: t:1:6: executing \"t\" at <.name>: name is not a method but has arguments"),
            ("{{.name 1}}", "template: t:1:2: executing \"t\" at <.name>: name is not a method but has arguments"),
            ("{{3 4}}", "template: t:1:2: executing \"t\" at <3>: can't give argument to non-function 3"),
            ("{{range .name}}{{end}}", "template: t:1:8: executing \"t\" at <.name>: range can't iterate over World"),
            (
                "{{define \"D\"}}{{.x.y}}{{end}}{{template \"D\" .n}}",
                "template: t:1:16: executing \"D\" at <.x.y>: can't evaluate field x in type int"
            ),
            (
                "{{lt true false}}",
                "template: t:1:2: executing \"t\" at <lt true false>: error calling lt: invalid type for comparison"
            ),
        ])
    func executionErrors(text: String, message: String) {
        do {
            let output = try run(text)
            Issue.record("wrote \(output)")
        } catch { #expect("\(error)" == message) }
    }

    @Test("Steps, output and depth are capped")
    func limits() throws {
        let loop = try GoTemplate("{{range 1000000000}}{{.}}{{end}}")
        #expect(throws: GoTemplateError.self) { try loop.execute(.nil, limits: GoTemplate.Limits(steps: 1000)) }
        #expect(throws: GoTemplateError.self) { try loop.execute(.nil, limits: GoTemplate.Limits(output: 1000)) }
        let recursive = try GoTemplate("{{define \"x\"}}{{template \"x\"}}{{end}}{{template \"x\"}}")
        #expect(throws: GoTemplateError.self) { try recursive.execute(.nil) }
        let deep = String(repeating: "{{if true}}", count: 5000)
        #expect(throws: GoTemplateError.self) { try GoTemplate(deep) }
        #expect(throws: GoTemplateError.self) { try GoTemplate("{{" + String(repeating: "(", count: 5000)) }
        var output = Array("kept".utf8)
        try GoTemplate("{{.}}").execute(.int(1), into: &output)
        #expect(output == Array("kept1".utf8))
    }

    @Test("A caller's functions are called with checked arguments, refused ones stop the compilation")
    func functions() throws {
        let functions: [String: GoTemplate.Function] = [
            "double": .init([.int]) { values in
                if case .int(let number) = values[0] { return .int(number * 2) }
                return .nil
            },
            "fail": .init([.string]) { throw TextFormatError($0[0].text) },
            "network": .unsupported("it needs a network"),
        ]
        #expect(try run("{{double 4}}{{.n | double}}", functions: functions) == "86")
        #expect(
            throws: GoTemplateError(
                message: "template: t:1:2: executing \"t\" at <fail \"no\">: error calling fail: no", offset: 2, line: 1
            )
        ) {
            try run("{{fail \"no\"}}", functions: functions)
        }
        #expect(
            throws: GoTemplateError(
                message: "template: t:1: function \"network\" is not supported: it needs a network", offset: 2, line: 1)
        ) {
            try run("{{network}}", functions: functions)
        }
    }

    @Test("Damaged templates never trap")
    func hostile() {
        let text = Array(
            "{{range $i, $e := .list}}{{if eq $e \"b\"}}{{$i | printf \"%d\"}}{{else}}{{.map.k}}{{end}}{{end}}".utf8)
        for index in text.indices {
            for byte: UInt8 in [0, 0x22, 0x28, 0x7B, 0x7D, 0xFF, 0x2D, 0x24, 0x2E] {
                var damaged = text
                damaged[index] = byte
                _ = try? run(String(decoding: damaged, as: UTF8.self))
            }
            _ = try? run(String(decoding: text[..<index], as: UTF8.self))
        }
    }
}
