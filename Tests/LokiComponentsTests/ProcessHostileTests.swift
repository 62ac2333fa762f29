import Telemetry
import TestKit
import Testing

@testable import LokiComponents

@Suite("loki.process: hostile lines")
struct ProcessHostileTests {
    private static let stages = [
        "stage.cri { }", "stage.docker { }", "stage.decolorize { }", "stage.luhn { delimiters = \" -\" }",
        "stage.json {\nexpressions = { a = \"\", b = \"a.b\", c = \"a[*].b\" }\nregex = \".\" }",
        "stage.logfmt { regex = \".\" }", "stage.regex {\nexpression = \"(?P<a>.*)\"\nlabels_from_groups = true }",
        "stage.pattern {\npattern = \"<a> <b>\"\nlabels_from_groups = true }", "stage.split_json { }",
        "stage.pack { labels = [\"job\"] }",
        "stage.labels { values = { message = \"job\" } }\nstage.eventlogmessage { source = \"job\" }\nstage.windowsevent { source = \"job\" }",
        "stage.regex { expression = \"(?s)(?P<t>.*)\" }\nstage.timestamp {\nsource = \"t\"\nformat = \"Jan 2\" }",
        "stage.truncate {\nrule { limit = \"3B\" }\nrule {\nlimit = \"1B\"\nsource_type = \"label\" }\nrule {\nlimit = \"1B\"\nsource_type = \"extracted\" }\n}",
        "stage.multiline { firstline = \"a\" }", "stage.structured_metadata { regex = \".\" }",
        "stage.drop {\nsource = \"job\"\nexpression = \"x\" }",
        "stage.match {\nselector = \"{job=~\\\".*\\\"} |= \\\"a\\\" !~ \\\"b\\\"\"\nstage.label_drop { values = [\"job\"] }\n}",
    ]

    private static var lines: [[UInt8]] {
        let megabyte = [UInt8](repeating: UInt8(ascii: "a"), count: 1 << 20)
        var lines: [[UInt8]] = [
            [], megabyte, [0xFF, 0xFE, 0x00, 0xC3], Array(repeating: UInt8(ascii: "["), count: 100_000),
            Array((String(repeating: "{\"a\":", count: 20_000)).utf8), Array("\u{1B}[".utf8), Array("{\"a\":\"\\".utf8),
            Array("{\"a\":\"\\ud800\\u0000\"}".utf8), Array("{\"a\":1e999999,\"b\":-}".utf8),
            Array("a=\"\\u12\" b=\\".utf8),
            Array(repeating: UInt8(ascii: "4"), count: 100_000), Array("[1,2,{\"a\":[3".utf8), [0x0D, 0x0A, 0x3A],
            Array("2019-04-29T23:05:56.\u{2028}99Z stdout P".utf8),
            Array("9999-99-99T99:99:99.999999999999Z stdout F".utf8),
        ]
        var state: UInt64 = 7
        for length in 1..<200 {
            var line: [UInt8] = []
            for _ in 0..<length {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                let alphabet = Array("{}[]\":,\\ae=\n\r\t <>\u{1B}019.-".utf8)
                let pick = Int(state >> 33)
                line.append(pick % 17 == 0 ? UInt8(truncatingIfNeeded: pick) : alphabet[pick % alphabet.count])
            }
            lines.append(line)
        }
        return lines
    }

    @Test("No line breaks a stage, and every line is accounted for", arguments: stages)
    func survives(stage: String) throws {
        let fixture = ProcessFixture(stage)
        #expect(fixture.problems == [])
        let entries = Self.lines.enumerated().map { index, line in
            InputEntry(bytes: line, ["job": "a\(index % 3)"], at: Int64(index), metadata: ["m": "x"])
        }
        try fixture.send(entries)
        let job = LabelSet([("job", String(decoding: Self.lines[2], as: UTF8.self))])
        try fixture.send(Self.lines.map { InputEntry(bytes: $0, job, at: .max) })
        #expect(fixture.harness.finish() == [])
        #expect(fixture.harness.logs.itemCount > 0)
    }

    @Test("A JSON array of many elements costs time in proportion to its size")
    func manyElements() throws {
        let line = "[" + String(repeating: "{\"v\":1},", count: 100_000) + "0]"
        let found = try ProcessFixture.run(
            "stage.split_json { }\nstage.drop { expression = \"v\" }", [InputEntry(line)])
        #expect(found == [#"{job="a"} 0"#])
    }

    @Test("Values that are no UTF-8 do not become labels")
    func invalidLabels() throws {
        let entry = InputEntry(bytes: Array("v=".utf8) + [0xFF])
        let found = try ProcessFixture.run(
            #"stage.regex { expression = "v=(?P<v>.)" } stage.labels { values = { v = "" } }"#, [entry])
        #expect(found == ["{job=\"a\"} v=\u{FFFD}"])
    }
}
