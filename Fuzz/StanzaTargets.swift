import AlloySyntax
import OtelcolComponents

/// Receivers of logs of the OpenTelemetry family: how they cut streams, what their operators make of logs.
enum StanzaTargets {
    static let all: [FuzzTarget] = [operators, expressions, splitting, remembered]

    private static let settings = [
        #"{type = "json_parser", timestamp = {parse_from = "attributes.t", layout = "%Y-%m-%d %H:%M:%S.%L"}}"#,
        #"{type = "json_array_parser", parse_to = "body"}"#,
        #"{type = "key_value_parser"}"#, #"{type = "key_value_parser", delimiter = ":", pair_delimiter = ", "}"#,
        #"{type = "csv_parser", header = "a,b", lazy_quotes = true}"#, #"{type = "csv_parser", header = "a,b"}"#,
        #"{type = "syslog_parser", protocol = "rfc5424", enable_octet_counting = true}"#,
        #"{type = "syslog_parser", protocol = "rfc3164", allow_skip_pri_header = true, location = "Europe/Berlin"}"#,
        #"{type = "uri_parser"}"#, #"{type = "container"}"#, #"{type = "unquote", field = "body"}"#,
        #"{type = "regex_replace", field = "body", regex_name = "ansi_control_sequences"}"#,
        #"{type = "regex_parser", regex = "^(?P<a>.*?)(?P<b>\\d+)", severity = {parse_from = "attributes.b"}}"#,
        #"{type = "time_parser", parse_from = "body", layout_type = "epoch", layout = "s.us"}"#,
        #"{type = "time_parser", parse_from = "body", layout = "%a %b %e %H:%M:%S.%f %Z"}"#,
        #"{type = "move", from = "body", to = "attributes[\"x.y\"].z"}, {type = "flatten", field = "attributes[\"x.y\"]"}"#,
        #"{type = "recombine", combine_field = "body", is_first_entry = "len(body) > 3", max_log_size = 64}"#,
        #"{type = "json_parser", parse_to = "body"}, {type = "trace_parser"}, {type = "retain", fields = ["body.a", "body.b.c"]}"#,
    ]

    private static let probes: [StanzaProbe] = settings.compactMap { text in
        guard let value = try? Evaluator.evaluate(Parser.parseExpression("[\(text)]"), in: Scope()),
            let list = try? [[String: Value]](alloy: value)
        else { return nil }
        return try? StanzaProbe(list)
    }

    private static let operators = FuzzTarget(
        name: "stanza-operators",
        seeds: [
            #"{"t":"2024-01-02 03:04:05.678","a":[1,{"b":null}],"b":{"c":1e5}}"#, #"[1,"a",{"b":2}]"#,
            #"a=1 b="x y" c='z'"#, "a:1, b:2", #""q""uo",b"#, "a,b", "34 <165>1 - host app 12 ID1 [a@1 k=\"v\"] t",
            "<34>Oct 11 22:14:15 host su[12]: x", "https://u:p@[::1]:80/a%20b?x=1&y=%zz#f",
            "2024-04-13T07:59:37.505201169-05:00 stdout P part", "\"a\\u00e4\\n\"", "\u{1b}[31mred", "abc 17",
            "1136214245.123456", "Mon Jan  2 15:04:05.999 CET",
            #"{"trace_id":"0102030405060708090a0b0c0d0e0f10","span_id":"0102030405060708"}"#, "/a/ns_pod_0-f/c/1.log",
        ].enumerated().map { index, text in [UInt8(truncatingIfNeeded: index)] + bytes(text) },
        dictionary: ["{\"", "\":", "[[[[", "%41", "<191>", "_", "/", "\\x", "999999999999999999999"]
    ) { input in
        guard let choice = input.first, !probes.isEmpty else { return 0 }
        try require(probes.count == settings.count, "\(settings.count - probes.count) of the operators are refused")
        let index = Int(choice) % probes.count
        let (entries, count) = try probes[index].process(Array(input.dropFirst()))
        return index << 8 | entries << 5 | magnitude(count)
    }

    private static let expressions = FuzzTarget(
        name: "stanza-expression",
        seeds: [
            "body matches '^a' and attributes.a[0] + 1 > 2 or not (len(body) == 3)", "attributes?.x ?? env('X')",
            "split(body, ' ')[1] in ['a', \"b\"] ? 2 ** -1 : 0x1F % 3", "timestamp == nil && 'a\\u00e4' contains `b`",
            "any(split(body, ' '), {# > 'a'}) ? {a: 1, (body): [2]}.a : map(attributes.l, .x | string())[1:-1] | len()",
        ].map { bytes($0) },
        dictionary: [
            "body", "attributes.a", "[0]", " not in ", " matches ", "replace(", "int(", "**", "??", "?.", "1e9", "[1:",
            "filter(", "{#", "#index", " | ", "{a:", "count(",
        ]
    ) { input in magnitude(try StanzaProbe.evaluate(String(decoding: input, as: UTF8.self))) }

    /// Bytes that arrive in pieces give the logs of the same bytes at once, where a log's end does not depend on what
    /// comes after it.
    private static let splitting = FuzzTarget(
        name: "stanza-splitting",
        seeds: [
            [0] + bytes("a\r\nb\n\nc"), [1] + bytes("5 <1>1 3 abc"), [2] + bytes("#a\nb\n#c"),
            [0x13] + bytes("a;\nb!c"),
        ],
        dictionary: ["\n", "\r\n", "\0\n", "\n\0", "#", "12 ", "aab", ";\n", "\u{e4}"]
    ) { input in
        guard input.count > 1 else { return 0 }
        let stream = Array(input.dropFirst(2))
        let piece = 1 + Int(input[1]) % 17
        let whole = try StanzaProbe.logs(of: stream, rule: input[0], piece: .max)
        let parts = try StanzaProbe.logs(of: stream, rule: input[0], piece: piece)
        if input[0] & 15 < 2 { try require(whole == parts, "\(whole.count) logs at once, \(parts.count) in pieces") }
        return Int(input[0]) << 8 | magnitude(whole.count) << 4 | magnitude(parts.count)
    }

    private static let remembered = FuzzTarget(
        name: "stanza-remembered",
        seeds: [
            bytes(
                #"{"version":1,"files":[{"path":"/a","fingerprint":"AQI=","tail":"","device":1,"inode":2,"position":3,"record":4}]}"#
            )
        ],
        dictionary: ["\"tail\":\"AAAA\"", "\"position\":-1", "18446744073709551615", "[]", "null"]
    ) { input in try StanzaProbe.remembered(input) }
}
