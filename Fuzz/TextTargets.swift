import AlloySyntax
import Compression
import Essentials
import TextFormats

/// Readers of configuration, text formats and compressed streams.
enum TextTargets {
    static let all: [FuzzTarget] = [
        compression, alloyFile, alloyExpression, json, yaml, template, regularExpression, times, units,
    ]

    private static let compression = {
        let text = Array(repeating: bytes("some text that repeats, "), count: 40).flatMap { $0 }
        var outputs: [[UInt8]] = Array(repeating: [], count: 7)
        try? Gzip().compress(text, into: &outputs[0])
        try? Deflate(.zlib).compress(text, into: &outputs[1])
        try? Deflate(.raw).compress(text, into: &outputs[2])
        try? Zstandard().compress(text, into: &outputs[3])
        try? Bzip2().compress(text, into: &outputs[4])
        try? Snappy.compressFramed(text, into: &outputs[5])
        try? Snappy.compress(text, into: &outputs[6])
        let formats: [CompressionFormat] = [.gzip, .zlib, .rawDeflate, .zstandard, .bzip2, .snappyFramed]
        let limit = 256 << 10
        return FuzzTarget(name: "compression", seeds: outputs.enumerated().map { [UInt8($0.offset)] + $0.element }) {
            input in
            guard let kind = input.first.map({ Int($0 % 7) }) else { return 0 }
            let body = Array(input.dropFirst())
            guard kind < 6 else {
                let output = try Snappy.decompress(body, limit: limit)
                try require(output.count <= limit, "more than the limit")
                return magnitude(output.count)
            }
            let whole = Result { try decompress(formats[kind], body, piece: .max, limit) }
            let parts = Result { try decompress(formats[kind], body, piece: 1 + body.count % 13, limit) }
            switch (whole, parts) {
            case (.success(let first), .success(let second)):
                try require(first == second, "a stream read in pieces gives other bytes")
                return kind << 8 | magnitude(first.count)
            case (.failure(let error), .failure): throw error
            default: throw Finding("a stream can be read in one way only: \(whole.isFine), \(parts.isFine)")
            }
        }
    }()

    private static func decompress(
        _ format: CompressionFormat, _ body: [UInt8], piece: Int, _ limit: Int
    ) throws -> [UInt8] {
        let stream = try StreamingDecompressor(format, limit: limit)
        var output: [UInt8] = []
        var offset = 0
        while offset < body.count {
            let end = piece == .max ? body.count : min(offset + piece, body.count)
            stream.push(Array(body[offset..<end]))
            offset = end
            while try stream.pull(into: &output) > 0 {
                if output.count > limit { throw Finding("more than the limit") }
            }
        }
        try stream.finish()
        return output
    }

    // MARK: Alloy

    private static let configuration = """
        // A comment.
        logging { level = "info" }
        prometheus.scrape "a" {
          targets = [{"__address__" = "x:1", n = 1 + 2 * -3}, {a = env("X") ?? "y"}]
          forward_to = [prometheus.remote_write.b.receiver] /* inline */
          nested { deep = {a = [1, 2.5e3, true, null, `raw`], "b-c" = "\\u00e9"} }
        }
        declare "m" { argument "x" { optional = true } }
        """

    private static let tokens = [
        "\"", "`", "/*", "*/", "//", "\\u{", "\\x", "==", "!=", "&&", "||", "??", "{", "}", "[", "]", "(", ")", ",",
        ".", "=",
        "true", "null", "1e999", "0x", "string.format(\"%s\", ", "array.concat(", "encoding.from_json(", "sys.env(",
        "\n",
    ]

    private static let alloyFile = FuzzTarget(
        name: "alloy-file", seeds: [bytes(configuration)], dictionary: tokens
    ) { input in
        let tree = try Parser.parse(SourceFile(name: "fuzz.alloy", bytes: input))
        let text = Formatter.format(tree)
        let again: [UInt8]
        do { again = try Formatter.format(SourceFile(name: "again.alloy", bytes: text)) } catch {
            throw Finding("formatted text cannot be read: \(error)")
        }
        try require(again == text, "formatting formatted text changes it")
        return tree.body.statements.count << 4 | tree.comments.count
    }

    private static let alloyExpression = FuzzTarget(
        name: "alloy-expression",
        seeds: [
            bytes("1 + 2 * (3 - 4) / 5 % 6 ^ 2"), bytes("string.format(\"%d-%s\", 5, [1, {a = \"b\"}][1].a)"),
            bytes("encoding.from_json(`{\"a\":[1,2.5,null]}`).a[1] == 2.5 && !false"),
            bytes("array.concat([1], [\"x\"]) != json_path(\"[1]\", \"$..*\")"),
            bytes("encoding.from_yaml(\"a: [1, x]\")[\"a\"]"), bytes("string.trim_space(string.to_upper(\" a \"))"),
            bytes("convert.nonsensitive(\"a\") + string.repeat(\"b\", 3)"),
        ],
        dictionary: tokens + [
            "$..[?(@.a > 1)]", "json_path(", "encoding.from_base64(", "string.split(", "%9999d", "%-*s",
        ]
    ) { input in
        let expression = try Parser.parseExpression(SourceFile(name: "fuzz", bytes: input))
        let value = try Evaluator.evaluate(expression, in: Scope())
        return magnitude("\(value)".utf8.count)
    }

    // MARK: Text formats

    private static let json = FuzzTarget(
        name: "json", seeds: [bytes("{\"a\":[1,-2.5e10,true,null,\"x\\u00e9\\n\"],\"b\":{}}"), bytes("[]")],
        dictionary: ["\\ud83d\\ude00", "\\u", "1e", "-0", "{}", "\"\":", "\u{FFFD}"]
    ) { input in
        let value = try JSONValue(parsing: input)
        let text = JSONWriter().text(value)
        let again = try JSONValue(parsing: text)
        try require(JSONWriter().text(again) == text, "JSON differs after a round trip")
        _ = try input.withUnsafeBytes { try JSONScanner($0).root() }
        return magnitude(text.utf8.count)
    }

    private static let yaml = FuzzTarget(
        name: "yaml",
        seeds: [
            bytes("a: 1\nb:\n  - x: yes\n  - 'q''r'\nc: &x {d: [1, 0o17, .inf]}\ne: *x\nf: |\n  text\n  more\n"),
            bytes("? complex\n: value\n--- \n- ~\n- !!str 5\n- <<: *a\n"),
        ],
        dictionary: [
            "&a ", "*a", "<<: *a", "!!binary ", "--- ", "... ", "|+2\n", ">-\n", "? ", ": ", "\t", "# ", "%YAML 1.1",
        ]
    ) { input in
        let text = String(decoding: input, as: UTF8.self)
        let values = try YAMLParser(.v2).parseAll(text)
        _ = try YAMLParser(.v3).parseAll(text)
        for value in values { _ = YAMLWriter().text(value) }
        return values.count
    }

    private static let templateFunctions = SprigFunctions(now: { GoTime(unixSeconds: 1_700_000_000) }).table

    private static let template = FuzzTarget(
        name: "template",
        seeds: [
            bytes("{{ range $i, $v := .list }}{{ if gt $i 1 }}{{ $v | upper }}{{ else }}-{{ end }}{{ end }}"),
            bytes(
                "{{ define \"t\" }}{{ . }}{{ end }}{{ template \"t\" .name }}{{ with .map }}{{ .a | printf \"%05d %q\" }}{{ end }}"
            ),
            bytes(
                "{{ .name | replace \"a\" \"b\" | trunc 3 | b64enc | quote }}{{ regexReplaceAll \"a(.)\" .name \"${1}\" }}"
            ),
            bytes(
                "{{- /* c */ -}}{{ substr 0 2 .name }}{{ date \"2006-01-02\" now }}{{ printf \"%v %x %e\" .map 1.5 2 }}"
            ),
            bytes(
                "{{ list 1 2 3 | join \",\" }}{{ dict \"a\" 1 | toJson }}{{ until 5 }}{{ index .list 1 }}{{ slice .name 1 2 }}"
            ),
        ],
        dictionary: [
            "{{", "}}", "{{end}}", "{{else}}", "{{range .list}}", "{{break}}", " | ", "printf \"%", "repeat 1000000 ",
            "until 1000000000", "indent 99999 ", "$x := ", ".map.a.b", "(", ")", "%!", "%[5]*.[3]*f", "substr -1 -5 ",
            "trunc -9223372036854775808 ", "seq 1 100000000", "mod 1 0", "div 1 0", "add 9223372036854775807 1",
            "untilStep 0 10 0 ",
            "randAlpha 5", "slice .list 5 1", "index .list -1", "splitn \"\" 3 ", "abbrev 4 ", "wrap 0 ", "toDate \"",
            "duration \"",
        ]
    ) { input in
        let template = try GoTemplate(String(decoding: input, as: UTF8.self), functions: templateFunctions)
        let data = GoValue.dictionary([
            "name": .string("some näme"), "list": .list([.int(1), .string("two"), .float(3.5), .nil]),
            "map": .dictionary(["a": .int(7)]), "entry": .string("line"),
        ])
        let text = try template.execute(data, limits: .init(steps: 20_000, output: 1 << 20))
        try require(text.utf8.count <= 2 << 20, "more output than the limit")
        return magnitude(text.utf8.count)
    }

    private static let regularExpression = FuzzTarget(
        name: "regular-expression",
        seeds: [bytes("a(b|c)*?[^d-z]+\n${1}x\nabcde"), bytes("(?P<n>\\d{1,3})\\.(?i:X)$\n$n\n12.x")],
        dictionary: [
            "(?", "\\p{Greek}", "[[:alpha:]]", "{1,1000}", "(?P<a>", "\\Q", "\\E", "\\C", "\\z", "(?s)", "${name}",
            "$$", "|",
        ]
    ) { input in
        let parts = String(decoding: input, as: UTF8.self).split(
            separator: "\n", maxSplits: 2, omittingEmptySubsequences: false)
        let expression = try RegularExpression(String(parts[0]))
        let text = parts.count > 2 ? String(parts[2]) : ""
        let replaced = parts.count > 1 ? expression.replaceAll(text, with: String(parts[1])) : ""
        _ = expression.firstMatch(in: text)
        let whole = expression.matchesWhole(text)
        try require(!whole || expression.matches(text), "the whole text matches, but no part of it")
        return magnitude(replaced.utf8.count) << 1 | (whole ? 1 : 0)
    }

    private static let times = FuzzTarget(
        name: "times",
        seeds: [
            bytes("2006-01-02T15:04:05.999999999Z07:00\n2024-02-29T23:59:60.5+14:00"),
            bytes("Jan _2 15:04:05\nFeb  3 01:02:03"),
            bytes("Mon, 02 Jan 2006 15:04:05 MST\nTue, 09 Jul 2024 12:00:00 CEST"),
            bytes("__2 3:04PM .000 ,999\n060 9:59AM .123 ,5"),
        ],
        dictionary: [
            "2006", "06", "Jan", "January", "Z07:00:00", "-0700", "MST", "002", ".000", "PM", "-99999", "9999999999",
        ]
    ) { input in
        let parts = String(decoding: input, as: UTF8.self).split(
            separator: "\n", maxSplits: 1, omittingEmptySubsequences: false)
        let layout = GoTimeLayout(String(parts[0].prefix(200)))
        _ = layout.format(GoTime(unixSeconds: 1_700_000_000, nanoseconds: 5))
        let time = try layout.parse(parts.count > 1 ? String(parts[1]) : "")
        return layout.format(time).utf8.count
    }

    private static let units = FuzzTarget(
        name: "units",
        seeds: [bytes("1h2m3.5s"), bytes("5d12h"), bytes("1.5GiB"), bytes("-9223372036854775808ns"), bytes("12 MB")],
        dictionary: ["ns", "\u{B5}s", "ms", "h", "w", "y", "EiB", "KB", "."]
    ) { input in
        let text = String(decoding: input, as: UTF8.self)
        var found = 0
        if let duration = try? GoDuration.parse(text) {
            found |= 1
            let again = try? GoDuration.parse(GoDuration.format(duration))
            try require(again == duration, "\(duration) differs after a round trip")
        }
        if (try? PrometheusDuration.parse(text)) != nil { found |= 2 }
        if (try? ByteSize.parseBase2(text)) != nil { found |= 4 }
        if (try? ByteSize.parseHumanized(text)) != nil { found |= 8 }
        if (try? ByteSize.parseDataSize(text)) != nil { found |= 16 }
        return found
    }
}

extension Result {
    fileprivate var isFine: Bool { if case .success = self { true } else { false } }
}
