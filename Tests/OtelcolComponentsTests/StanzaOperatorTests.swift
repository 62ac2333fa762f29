import AlloySyntax
import Essentials
import TestKit
import Testing
import Wire

@testable import OtelcolComponents

/// The operators of `otelcol.receiver.filelog`, apart from it.
@Suite("Operators of logs")
struct StanzaOperatorTests {
    /// Reads operators written as in a configuration.
    static func operators(_ text: String) throws -> [[String: Value]] {
        let value = try Evaluator.evaluate(try Parser.parseExpression("[\(text)]"), in: Scope(variables: [:]))
        return try [[String: Value]](alloy: value)
    }

    static func pipeline(_ text: String) throws -> StanzaPipeline {
        var problems: [String] = []
        let pipeline = StanzaPipeline(try operators(text), problems: &problems)
        #expect(problems == [])
        return pipeline
    }

    private func problems(_ text: String) throws -> String {
        var problems: [String] = []
        _ = StanzaPipeline(try Self.operators(text), problems: &problems)
        return problems.joined(separator: "\n")
    }

    static func entry(_ body: String, _ attributes: [String: OTLPAnyValue] = [:]) -> StanzaEntry {
        var entry = StanzaEntry(body: .string(body), observed: 1_700_000_000_000_000_000)
        for (key, value) in attributes.sorted(by: { $0.key < $1.key }) { entry.attributes[key] = value }
        return entry
    }

    private func run(_ text: String, _ entries: [StanzaEntry], flushing: Bool = true) throws -> (
        entries: [StanzaEntry], tally: LogTally
    ) {
        var state = StanzaPipeline.State(try Self.pipeline(text))
        var output: [StanzaEntry] = []
        var tally = LogTally()
        for entry in entries { state.process(entry, into: &output, &tally) }
        if flushing { state.flushAll(into: &output, &tally) }
        return (output, tally)
    }

    /// Body and attributes as JSON.
    private func show(_ entry: StanzaEntry) -> String {
        "\(OTLPText.string(entry.body)) \(OTLPText.string(.map(entry.attributes)))"
    }

    private func check(
        _ operators: String, _ body: String, _ expected: String, _ attributes: [String: OTLPAnyValue] = [:],
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let (entries, tally) = try run(operators, [Self.entry(body, attributes)])
        #expect(entries.map(show) == [expected], sourceLocation: sourceLocation)
        #expect(tally.problem == nil, sourceLocation: sourceLocation)
    }

    @Test("Parsers of text: JSON, expressions, pairs, rows, lists, URIs")
    func parsers() throws {
        try check(
            #"{type = "json_parser"}"#, #"{"a":1,"b":{"c":[true,null]}}"#,
            #"{"a":1,"b":{"c":[true,null]}} {"a":1,"b":{"c":[true,null]}}"#)
        try check(
            #"{type = "json_parser", parse_to = "body", parse_ints = true}"#, #"{"a":1,"b":2.5}"#,
            #"{"a":1,"b":2.5} {}"#)
        try check(
            #"{type = "regex_parser", regex = "^(?P<level>\\w+): (?P<text>.*)$"}"#, "info: hello",
            #"info: hello {"level":"info","text":"hello"}"#)
        try check(
            #"{type = "key_value_parser", parse_to = "body"}"#, "a=1\tb=two", #"{"a":"1","b":"two"} {}"#)
        try check(
            #"{type = "key_value_parser", pair_delimiter = "!", delimiter = ":"}"#, "a:1 ! b:'x y'",
            #"a:1 ! b:'x y' {"a":"1","b":"x y"}"#)
        try check(
            #"{type = "csv_parser", header = "id,sev,text", parse_to = "body"}"#, #"1,debug,"a, b""#,
            #"{"id":"1","sev":"debug","text":"a, b"} {}"#)
        try check(
            #"{type = "csv_parser", header_attribute = "h", delimiter = "\t"}"#, "1\t2",
            "1\t2 {\"a\":\"1\",\"b\":\"2\",\"h\":\"a\\tb\"}",
            ["h": "a\tb"])
        try check(
            #"{type = "json_array_parser", parse_to = "body"}"#, #"[1,"x",{"a":1},null]"#,
            #"[1,"x","{\"a\":1}",null] {}"#)
        try check(
            #"{type = "json_array_parser", parse_to = "attributes", header = "n,flag"}"#, "[1,true]",
            #"[1,true] {"flag":true,"n":1}"#)
        try check(
            #"{type = "uri_parser", parse_to = "body"}"#, "https://dev:pw@example.com:8443/a%20b?x=1&x=2&y=a+b#z",
            #"{"host":"example.com","path":"/a b","port":"8443","query":{"x":["1","2"],"y":["a b"]},"#
                + #""scheme":"https","user":"dev"} {}"#)
        try check(
            #"{type = "uri_parser", parse_to = "body"}"#, "?env=stage", #"{"query":{"env":["stage"]}} {}"#)
    }

    @Test("Times: strptime, Go's layouts, epochs, zones, years that are not written")
    func times() throws {
        func time(_ settings: String, _ text: String, _ expected: Int64) throws {
            let (entries, tally) = try run(
                "{type = \"time_parser\", parse_from = \"body\", \(settings)}", [Self.entry(text)])
            #expect(entries.first?.timestamp == expected, "\(text)")
            #expect(tally.problem == nil)
        }
        try time(#"layout = "%Y-%m-%d %H:%M:%S.%f %z""#, "2022-01-02 07:24:56,123 -0700", 1_641_133_496_123_000_000)
        try time(#"layout = "%Y-%m-%dT%H:%M:%S.%LZ""#, "2023-11-14T22:13:20.5Z", 1_700_000_000_500_000_000)
        try time(
            #"layout = "%Y-%m-%d %H:%M:%S", location = "Europe/Berlin""#, "2023-11-14 23:13:20",
            1_700_000_000_000_000_000)
        try time(
            #"layout_type = "gotime", layout = "Jan 2 15:04:05 MST 2006""#, "Jun 5 13:50:27 EST 2020",
            1_591_383_027_000_000_000)
        try time(
            #"layout = "%a %b %d %H:%M:%S %Z %Y", location = "Asia/Kolkata", time_zone_locations = {PDT = "America/Los_Angeles"}"#,
            "Wed Aug 20 14:08:48 PDT 2025", 1_755_724_128_000_000_000)
        try time(#"layout = "%b %e %H:%M:%S", location = "UTC""#, "Nov 14 22:13:20", 1_700_000_000_000_000_000)
        try time(#"layout = "%b %e %H:%M:%S", location = "UTC""#, "Dec 24 00:00:00", 1_671_840_000_000_000_000)
        try time(#"layout_type = "epoch", layout = "s""#, "1136214245", 1_136_214_245_000_000_000)
        try time(#"layout_type = "epoch", layout = "ms""#, "1136214245123", 1_136_214_245_123_000_000)
        try time(#"layout_type = "epoch", layout = "s.us""#, "1136214245.123456", 1_136_214_245_123_456_000)
        let (entries, tally) = try run(
            #"{type = "time_parser", parse_from = "body", layout = "%Y"}"#, [Self.entry("no year")])
        #expect(entries.count == 1 && entries[0].timestamp == nil)
        #expect(tally.problem != nil && tally.malformed == 0)
    }

    @Test("Severities: presets, mappings, ranges; blocks of parsers")
    func severities() throws {
        func severity(_ settings: String, _ text: String, _ number: Int, _ name: String) throws {
            let (entries, _) = try run(
                "{type = \"severity_parser\", parse_from = \"body\"\(settings)}", [Self.entry(text)])
            #expect(entries.first?.severity == number, "\(text)")
            #expect(entries.first.map { String(decoding: $0.severityText, as: UTF8.self) } == name)
        }
        try severity("", "ERROR", 17, "ERROR")
        try severity("", "warning3", 15, "warning3")
        try severity("", "unknown", 0, "unknown")
        try severity(", preset = \"none\"", "error", 0, "error")
        try severity(", overwrite_text = true", "err2", 18, "ERROR2")
        let mapping = #", mapping = {error = ["nooo!", 404], warn = "5xx", info3 = [{min = 300, max = 399}]}"#
        try severity(mapping, "NOOO!", 17, "NOOO!")
        try severity(mapping, "404", 17, "404")
        try severity(mapping, "503", 13, "503")
        try severity(mapping, "301", 11, "301")
        let (entries, tally) = try run(
            #"""
            {
                type = "regex_parser", regex = "^(?P<ts>\\S+) (?P<lvl>\\w+) (?P<msg>.*)$",
                timestamp = {parse_from = "attributes.ts", layout = "%Y-%m-%dT%H:%M:%SZ"},
                severity = {parse_from = "attributes.lvl"},
                scope_name = {parse_from = "attributes.lvl"},
                body = "attributes.msg",
                trace = {trace_id = {parse_from = "attributes.t"}},
            }
            """#, [Self.entry("2023-11-14T22:13:20Z warn it broke", ["t": "0102030405060708090a0b0c0d0e0f10"])])
        let entry = try #require(entries.first)
        #expect(tally.problem == nil)
        #expect(entry.timestamp == 1_700_000_000_000_000_000 && entry.severity == 13)
        #expect(entry.body.string == "it broke" && entry.scopeName == Array("warn".utf8))
        #expect(entry.traceID.count == 16)
    }

    @Test("Values added, moved, copied, removed, kept, flattened, replaced, unquoted, named")
    func transforms() throws {
        try check(
            #"{type = "add", field = "attributes.a.b", value = {c = 1}}, {type = "add", field = "resource.x", value = "EXPR(body + \"!\")"}, {type = "copy", from = "resource.x", to = "attributes.x"}"#,
            "t", #"t {"a":{"b":{"c":1}},"x":"t!"}"#)
        try check(#"{type = "move", from = "attributes[\"a.b\"]", to = "body"}"#, "t", "v {}", ["a.b": "v"])
        try check(#"{type = "remove", field = "attributes.a"}"#, "t", #"t {"b":"2"}"#, ["a": "1", "b": "2"])
        try check(#"{type = "remove", field = "attributes"}"#, "t", "t {}", ["a": "1"])
        try check(
            #"{type = "retain", fields = ["attributes.a", "attributes.none"]}"#, "t", #"t {"a":"1"}"#,
            ["a": "1", "b": "2"])
        try check(
            #"{type = "json_parser"}, {type = "flatten", field = "attributes.a"}"#, #"{"a":{"b":1,"c":2}}"#,
            #"{"a":{"b":1,"c":2}} {"b":1,"c":2}"#)
        try check(
            #"{type = "regex_replace", field = "body", regex = "{(.*?)}", replace_with = "<${1}>"}"#, "{a}{b}",
            "<a><b> {}")
        try check(
            #"{type = "regex_replace", field = "body", regex_name = "ansi_control_sequences"}"#,
            "\u{1b}[31mred\u{1b}[0m", "red {}")
        try check(#"{type = "unquote", field = "body"}"#, #""a\tb""#, "a\tb {}")
        try check(#"{type = "unquote", field = "body"}"#, "`a\\`", "a\\ {}")
        try check(
            #"{type = "json_array_parser", parse_to = "body"}, {type = "assign_keys", field = "body", keys = ["a", "b"]}"#,
            "[1,2]", #"{"a":1,"b":2} {}"#)
        try check(#"{type = "noop"}"#, "t", "t {}")
    }

    @Test("Conditions, filters and routes")
    func ways() throws {
        let (kept, tally) = try run(
            #"{type = "filter", expr = "body matches \"^debug\""}, {type = "add", if = "attributes.a == \"1\"", field = "attributes.seen", value = true}"#,
            [Self.entry("debug x"), Self.entry("info", ["a": "1"]), Self.entry("warn", ["a": "2"])])
        #expect(kept.map(show) == [#"info {"a":"1","seen":true}"#, #"warn {"a":"2"}"#])
        #expect(tally.filtered == 1)
        let (routed, second) = try run(
            #"""
            {type = "router", routes = [
                {expr = "body startsWith \"j\"", output = "json", attributes = {way = "EXPR(body)"}},
                {expr = "body == \"x\"", output = ["last", "other"]},
            ]},
            {type = "add", id = "json", field = "attributes.json", value = 1, output = "last"},
            {type = "add", id = "other", field = "attributes.other", value = 1},
            {type = "noop", id = "last"}
            """#, [Self.entry("j"), Self.entry("x"), Self.entry("lost")])
        #expect(routed.map(show) == [#"j {"json":1,"way":"j"}"#, "x {}", #"x {"other":1}"#])
        #expect(second.filtered == 1)
    }

    @Test("Errors: sent or dropped, filters that cannot decide drop")
    func errors() throws {
        let (sent, first) = try run(
            #"{type = "json_parser"}, {type = "add", field = "attributes.a", value = 1}"#, [Self.entry("x")])
        #expect(sent.map(show) == [#"x {"a":1}"#])
        #expect(first.malformed == 0 && first.problem?.message.hasPrefix("json_parser: ") == true && !first.isQuiet)
        let (none, second) = try run(#"{type = "json_parser", on_error = "drop_quiet"}"#, [Self.entry("x")])
        #expect(none.isEmpty && second.malformed == 1 && second.isQuiet)
        let (gone, third) = try run(#"{type = "filter", expr = "body.a.b == 1"}"#, [Self.entry("x")])
        #expect(gone.isEmpty && third.malformed == 1)
    }

    @Test("Entries are joined by their first or last, by source, with bounds and in time")
    func recombine() throws {
        func lines(_ settings: String, _ bodies: [String], flushing: Bool = true) throws -> [String] {
            try run(
                "{type = \"recombine\", combine_field = \"body\", \(settings)}", bodies.map { Self.entry($0) },
                flushing: flushing
            )
            .entries.map { $0.body.string ?? "-" }
        }
        let first = #"is_first_entry = "body == 'log1'""#
        let input = ["log2", "log3", "log4", "log5", "log1", "log6", "log7", "log1", "log8", "log1"]
        #expect(
            try lines(first + ", max_unmatched_batch_size = 3", input)
                == ["log2\nlog3\nlog4", "log5", "log1\nlog6\nlog7", "log1\nlog8", "log1"])
        #expect(
            try lines(first + ", max_unmatched_batch_size = 1", input)
                == ["log2", "log3", "log4", "log5", "log1\nlog6\nlog7", "log1\nlog8", "log1"])
        #expect(
            try lines(#"is_last_entry = "body == 'log1'", max_unmatched_batch_size = 3"#, input)
                == ["log2\nlog3\nlog4", "log5\nlog1", "log6\nlog7\nlog1", "log8\nlog1"])
        #expect(
            try lines(#"is_last_entry = "body endsWith '.'", combine_with = """#, ["a", "b.", "c"], flushing: false)
                == ["ab."])
        #expect(try lines(first + ", max_batch_size = 2", ["log1", "a", "b"]) == ["log1\na", "b"])
        var state = StanzaPipeline.State(
            try Self.pipeline(
                #"{type = "recombine", combine_field = "body", is_first_entry = "body startsWith '#'", overwrite_with = "oldest"}"#
            ))
        var output: [StanzaEntry] = []
        var tally = LogTally()
        for (file, body) in [("a", "#1"), ("b", "#2"), ("a", "x"), ("b", "y")] {
            var entry = Self.entry(body, ["log.file.path": .string(file), "n": .string(body)])
            entry.origin = EntryOrigin(file: file == "a" ? 1 : 2, offset: 7)
            state.process(entry, into: &output, &tally)
        }
        #expect(output.isEmpty && state.origins.count == 2)
        state.flushOld(1_700_000_004_000_000_000, into: &output, &tally)
        #expect(output.isEmpty)
        state.flushOld(1_700_000_005_000_000_000, into: &output, &tally)
        #expect(
            Set(output.map(show)) == [
                ##"#1\##nx {"log.file.path":"a","n":"#1"}"##, ##"#2\##ny {"log.file.path":"b","n":"#2"}"##,
            ])
        #expect(state.origins.isEmpty)
    }

    @Test("Lines of container runtimes, whole and in parts, with what their path says")
    func containers() throws {
        let path = "/var/log/pods/some-ns_kube-controller_49cc7c1fd3702c40b2686ea7486091d6/kube-controller/1.log"
        let file: [String: OTLPAnyValue] = ["log.file.path": .string(path)]
        let (entries, tally) = try run(
            #"{type = "container"}"#,
            [
                Self.entry(#"{"log":"INFO: line\n","stream":"stdout","time":"2024-03-30T08:31:20.545192187Z"}"#, file),
                Self.entry("2024-04-13T07:59:37.505201169-05:00 stderr P first ", file),
                Self.entry("2024-04-13T12:59:38Z stderr F second", file),
            ])
        #expect(tally.problem == nil)
        #expect(entries.map { $0.body.string } == ["INFO: line\n", "first second"])
        #expect(entries.map(\.timestamp) == [1_711_787_480_545_192_187, 1_713_013_178_000_000_000])
        #expect(
            OTLPText.string(.map(entries[0].resource))
                == #"{"k8s.container.name":"kube-controller","k8s.container.restart_count":"1","#
                + #""k8s.namespace.name":"some-ns","k8s.pod.name":"kube-controller","#
                + #""k8s.pod.uid":"49cc7c1fd3702c40b2686ea7486091d6"}"#)
        #expect(entries[1].attributes["log.iostream"] == "stderr")
        let (bare, problem) = try run(
            #"{type = "container", add_metadata_from_filepath = false}"#, [Self.entry("not of a container")])
        #expect(bare.count == 1 && problem.problem != nil)
    }

    @Test("Messages of syslog as an operator")
    func syslog() throws {
        let (entries, tally) = try run(
            #"{type = "syslog_parser", protocol = "rfc5424"}"#,
            [Self.entry("<165>1 2003-08-24T05:14:15Z h a - - - text")])
        #expect(tally.problem == nil)
        #expect(entries.first?.severity == 10 && entries.first?.timestamp == 1_061_702_055_000_000_000)
        #expect(entries.first?.attributes["message"] == "text")
    }

    @Test("What does not work is refused by name")
    func refused() throws {
        for (text, part) in [
            (#"{}"#, "missing required field 'type'"), (#"{type = "nope"}"#, "unsupported type 'nope'"),
            (#"{type = "otelcol"}"#, "not supported"), (#"{type = "noop", colour = 1}"#, "setting 'colour'"),
            (#"{type = "noop", output = "x"}"#, "output 'x' does not exist"),
            (#"{type = "noop", id = "a", output = "b"}, {type = "noop", id = "b", output = "a"}"#, "circle"),
            (#"{type = "noop", id = "a"}, {type = "noop", id = "a"}"#, "duplicate id"),
            (#"{type = "noop", on_error = "x"}"#, "on_error"),
            (#"{type = "regex_parser", regex = "a"}"#, "named group"),
            (#"{type = "regex_parser", regex = "(?P<a>x)", cache = {size = 65536}}"#, "from 0 to 65535"),
            (#"{type = "container", parse_to = "body"}"#, "use attributes or resource"),
            (#"{type = "file_output"}"#, "'path' is required"),
            (#"{type = "file_output", path = "/x", format = "{{"}"#, "'format'"),
            (#"{type = "stdout", output = "x"}"#, "set it on the operator before"),
            (#"{type = "move", from = "body"}"#, "'to' is required"), (#"{type = "filter"}"#, "'expr' is required"),
            (#"{type = "filter", expr = "let x = 1; let x = 2; x > 1"}"#, "another meaning"),
            (#"{type = "filter", expr = "let body = 1; body > 1"}"#, "another meaning"),
            (#"{type = "recombine", combine_field = "body"}"#, "exactly one of"),
            (#"{type = "time_parser", parse_from = "body", layout = "%Q"}"#, "directive"),
            (#"{type = "time_parser", parse_from = "body", layout_type = "epoch", layout = "d"}"#, "epoch"),
            (#"{type = "time_parser", parse_from = "body", layout = "%Y", location = "Mars/Base"}"#, "location"),
            (#"{type = "severity_parser", parse_from = "body", mapping = {loud = "x"}}"#, "unknown severity"),
            (#"{type = "json_parser", timestamp = {layout = "%Y"}}"#, "'parse_from' is required"),
            (#"{type = "json_parser", parse_from = "body["}"#, "invalid field"),
            (#"{type = "csv_parser"}"#, "header"), (#"{type = "json_parser", if = "body ="}"#, "use == to compare"),
        ] {
            let found = try problems(text)
            #expect(found.contains(part), "\(text): \(found)")
        }
    }

    @Test(
        "Expressions",
        arguments: [
            ("body == 'x'", "true"), ("body != \"x\"", "false"), ("attributes.n + 1", "6"), ("attributes.n / 2", "2.5"),
            ("attributes.n % 3 == 2 and not false", "true"), ("2 ** 3 + -1", "7"),
            ("attributes['a.b'] in ['v', 'w']", "true"),
            ("'a.b' in attributes", "true"), ("body not in ['x']", "false"), ("attributes.none == nil", "true"),
            ("attributes.none?.deep ?? 'd'", "d"), ("body matches '^[xy]$' && body contains 'x'", "true"),
            ("body startsWith 'x' ? upper(body) : 'no'", "X"), ("len(attributes.l)", "2"), ("attributes.l[-1]", "b"),
            ("int('42') + 1", "43"), ("trimPrefix('abc', 'a') + string(1.5)", "bc1.5"), ("split('a,b', ',')[1]", "b"),
            ("replace('aXbX', 'X', '-')", "a-b-"), ("type(attributes)", "map"), ("unknown == nil", "true"),
            ("let n = attributes.n; let m = n + 1; m * n", "30"),
            ("let n = 1; any(attributes.l, {# == 'b' and n == 1}) ? (let q = 'r'; q + body) : 'no'", "rx"),
            ("if attributes.n > 9 { 'large' } else if attributes.n > 4 { 'medium' } else { 'small' }", "medium"),
            ("timestamp == nil", "true"), ("1 < 2 and 'a' < 'b' and 1.5 >= 1", "true"), ("env('HOME') != ''", "true"),
            ("(1 + 2) * 3", "9"), ("1 == 1.0", "true"), ("'1' == 1", "false"), ("!(body == 'y')", "true"),
            ("any([1, 2], {# > 1})", "true"), ("all([1, 2], # > 1)", "false"), ("none([1, 2], # > 2)", "true"),
            ("one([1, 2, 3], # > 2)", "true"), ("filter([1, 2, 3], # > 1)", "[2,3]"),
            ("map([1, 2], # * 2 + #index)", "[2,5]"),
            ("count([1, 2, 3], # % 2 == 1)", "2"), ("count([true, false])", "1"), ("find([1, 2, 3], # > 1)", "2"),
            ("findIndex(attributes.l, # == 'b')", "1"), ("findLast([1, 2, 3], # < 3)", "2"),
            ("findLastIndex([1, 1], # == 2)", "-1"), ("find([1], # > 1) == nil", "true"),
            ("map([{a: 1}, {'a': 2, (body): 3}], .a)", "[1,2]"), ("{x: 1, y: [2]}", "{\"x\":1,\"y\":[2]}"),
            ("len({})", "0"),
            ("any([[1], [2]], any(#, # == 2))", "true"), ("filter(attributes.l, # != body) | len()", "2"),
            ("body + 'y' | upper() | trimSuffix('Y')", "X"), ("[3, 4] | map(string(# + 1)) | join('-')", "4-5"),
            ("'hello'[1:3]", "el"), ("'hello'[:-1]", "hell"), ("[1, 2, 3][1:]", "[2,3]"), ("[1, 2][5:9]", "[]"),
            ("[1, 2, 3][-2:][0]", "2"), ("body startsWith 'x' | string()", "true"),
            ("indexOf(body, 'q')", "-1"), ("0x1F", "31"), ("'\\u00e4'", "ä"),
        ])
    func expressions(_ text: String, _ expected: String) throws {
        var entry = Self.entry("x", ["n": 5, "a.b": "v", "l": .array(["a", "b"])])
        entry.resource["r"] = "s"
        #expect(OTLPText.string(try StanzaExpression(text).value(entry).anyValue) == expected)
    }

    @Test(
        "Expressions that are refused, or fail",
        arguments: [
            "", "body ==", "(body", "body)", "'open", "a | b", "# > 1", "any(body)", "any(body, {true)", "{a 1}",
            "[1] | len", "count()", "map([1], #.f())", "body | unknown()", ".a",
            "any([1], any([1], any([1], any([1], any([1], true)))))",
            "let x = 1 x", "@",
            "body.lower()", "1..3", "len()", "body matches '('",
        ])
    func refusedExpressions(_ text: String) {
        #expect(throws: StanzaError.self) { try StanzaExpression(text) }
    }

    @Test(
        "Expressions fail on values of the wrong kind",
        arguments: [
            "body.a", "any(body, true)", "all([1], #)", "body['a':]", "1[1:]", "{(1): 2}", "body < 1", "not body",
            "body + 1", "1 % 0", "nil matches 'a'",
        ])
    func failingExpressions(_ text: String) throws {
        let expression = try StanzaExpression(text)
        #expect(throws: StanzaError.self) { try expression.value(Self.entry("x")) }
    }

    @Test("Depth is bounded")
    func depth() {
        for text in [
            String(repeating: "(", count: 5000), String(repeating: "!", count: 5000) + "true",
            String(repeating: "1**", count: 5000) + "1", String(repeating: "1??", count: 5000) + "1",
            String(repeating: "-", count: 5000) + "1", String(repeating: "true ? true : ", count: 5000) + "true",
        ] {
            #expect(throws: StanzaError.self) { try StanzaExpression(text) }
        }
        #expect(throws: StanzaError.self) { try StanzaExpression(String(repeating: "1+", count: 5000) + "1") }
        let sum = try? StanzaExpression(String(repeating: "1+", count: 500) + "1").value(Self.entry("x"))
        #expect(sum == .int(501))
    }

    @Test("Fields")
    func fields() throws {
        #expect(
            try StanzaField("body.a['b.c'].d").keys.map { String(decoding: $0, as: UTF8.self) } == ["a", "b.c", "d"])
        #expect(try StanzaField("message") == StanzaField("body.message"))
        #expect(try StanzaField("resource").root == .resource)
        for text in ["", ".", "a..b", "a[", "a[b]", "a['b'", "a['b']c", "['a']"] {
            #expect(throws: StanzaError.self) { try StanzaField(text) }
        }
    }
}
