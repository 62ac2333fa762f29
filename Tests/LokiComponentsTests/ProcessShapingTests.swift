import Telemetry
import TestKit
import Testing

@Suite("loki.process: stages that change labels and lines")
struct ProcessShapingTests {
    private func check(
        _ stages: String, _ lines: [String], _ expected: [String], labels: LabelSet = ["job": "a", "pod": "p"],
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let found = try ProcessFixture.run(stages, lines.map { InputEntry($0, labels) })
        #expect(found == expected, sourceLocation: sourceLocation)
    }

    @Test("Labels are set from values, other labels and metadata")
    func labels() throws {
        try check(
            #"stage.labels { values = { copy = "job", pod = "job", none = "missing" } }"#, ["x"],
            [#"{copy="a", job="a", pod="a"} x"#])
        let found = try ProcessFixture.runAll(
            #"stage.labels { values = { trace = "trace_id" } source_type = "structured_metadata" }"#,
            [InputEntry("x", metadata: ["trace_id": "t"]), InputEntry("y")])
        #expect(found == [#"{job="a", trace="t"} {trace_id="t"} @1000 x"#, #"{job="a"} {} @1000 y"#])
    }

    @Test("Static, dropped and kept labels")
    func labelStages() throws {
        try check(
            #"stage.static_labels { values = { env = "dev", job = "b", empty = "" } }"#, ["x"],
            [#"{env="dev", job="b", pod="p"} x"#])
        try check(#"stage.label_drop { values = ["pod", "none"] }"#, ["x"], [#"{job="a"} x"#])
        try check(#"stage.label_keep { values = ["pod", "none"] }"#, ["x"], [#"{pod="p"} x"#])
        try check(
            #"stage.label_drop { values = ["pod"] } stage.labels { values = { again = "pod" } }"#, ["x"],
            [#"{again="p", job="a"} x"#])
    }

    @Test("The tenant comes from a value, a label or the configuration")
    func tenant() throws {
        try check(#"stage.tenant { value = "t" }"#, ["x"], [#"{__tenant_id__="t", job="a", pod="p"} x"#])
        try check(#"stage.tenant { label = "pod" }"#, ["x"], [#"{__tenant_id__="p", job="a", pod="p"} x"#])
        try check(#"stage.tenant { source = "job" }"#, ["x"], [#"{__tenant_id__="a", job="a", pod="p"} x"#])
        try check(#"stage.tenant { source = "none" }"#, ["x"], [#"{job="a", pod="p"} x"#])
    }

    @Test("Structured metadata takes values, and labels away")
    func metadata() throws {
        let found = try ProcessFixture.runAll(
            """
            stage.json { expressions = { id = "" } }
            stage.structured_metadata { values = { request = "id", pod = "" } }
            """, [InputEntry(#"{"id":7}"#, ["job": "a", "pod": "p"], metadata: ["old": "o"])])
        #expect(found == [#"{job="a"} {old="o", pod="p", request="7"} @1000 {"id":7}"#])
        let byName = try ProcessFixture.runAll(
            """
            stage.json { expressions = { x_1 = "" } }
            stage.structured_metadata { regex = "^(x_|po)" }
            """, [InputEntry(#"{"x_1":"v"}"#, ["job": "a", "pod": "p"])])
        #expect(byName == [#"{job="a"} {pod="p", x_1="v"} @1000 {"x_1":"v"}"#])
        let dropped = try ProcessFixture.runAll(
            #"stage.structured_metadata_drop { values = ["a"] }"#, [InputEntry("x", metadata: ["a": "1", "b": "2"])])
        #expect(dropped == [#"{job="a"} {b="2"} @1000 x"#])
    }

    @Test("Colours are removed")
    func decolorize() throws {
        try check(
            "stage.decolorize { }", ["\u{1B}[0;32mgreen\u{1B}[0m plain", "a \u{1B}]0;title\u{07}b", "none"],
            [#"{job="a", pod="p"} green plain"#, #"{job="a", pod="p"} a b"#, #"{job="a", pod="p"} none"#])
    }

    @Test("Numbers with a valid checksum are redacted")
    func luhn() throws {
        try check(
            "stage.luhn { }",
            ["card 4111111111111111 end", "not 4111111111111112", "short 42", "99999999999999999999999999 big"],
            [
                #"{job="a", pod="p"} card **REDACTED** end"#, #"{job="a", pod="p"} not 4111111111111112"#,
                #"{job="a", pod="p"} short 42"#, #"{job="a", pod="p"} 99999999999999999999999999 big"#,
            ])
        try check(
            #"stage.luhn { replacement = "X" delimiters = " -" }"#, ["4111-1111 1111-1111 end", "id-4111111111111111"],
            [#"{job="a", pod="p"} X end"#, #"{job="a", pod="p"} id-X"#])
        try check(
            #"stage.luhn { replacement = "X" skip_regex = "id=\\d+" }"#, ["id=4111111111111111 4111111111111111"],
            [#"{job="a", pod="p"} id=4111111111111111 X"#])
        try check(
            #"stage.luhn { min_length = 2 }"#, ["18 19"], [#"{job="a", pod="p"} **REDACTED** 19"#])
    }

    @Test("Lines, labels, metadata and values are cut")
    func truncate() throws {
        let found = try ProcessFixture.runAll(
            """
            stage.json { expressions = { long = "" } }
            stage.truncate {
                rule { limit = "5B" suffix = ".." }
                rule { limit = "3B" source_type = "label" sources = ["pod"] }
                rule { limit = "2B" source_type = "structured_metadata" }
                rule { limit = "4B" source_type = "extracted" sources = ["long"] }
            }
            stage.labels { values = { long = "", truncated = "" } }
            """,
            [InputEntry(#"{"long":"123456"}"#, ["job": "abcdef", "pod": "pod-1"], metadata: ["m": "xyz", "n": "ab"])])
        #expect(
            found == [
                #"{job="abcdef", long="1234", pod="pod", truncated="extracted,label,line,structured_metadata"} {m="xy", n="ab"} @1000 {"l.."#
            ])
    }

    @Test("Labels are packed into the line")
    func pack() throws {
        let fixture = ProcessFixture(#"stage.pack { labels = ["pod", "none"] ingest_timestamp = false }"#)
        try fixture.send([InputEntry("say \"<hi>\"", ["job": "a", "pod": "p"])])
        #expect(fixture.takeAll() == [#"{job="a"} {} @1000 {"pod":"p","_entry":"say \"\u003chi\u003e\""}"#])
        #expect(fixture.harness.finish() == [])
        let now = try ProcessFixture.runAll(#"stage.pack { labels = [] }"#, [InputEntry("x")])
        #expect(now == [#"{job="a"} {} @1700000000000000000 {"_entry":"x"}"#])
    }

    @Test("A JSON array becomes an entry for each element")
    func splitJSON() throws {
        try check(
            """
            stage.split_json { }
            stage.json { expressions = { v = "" } }
            stage.labels { values = { v = "" } }
            """, [#" [{"v":1}, null ,"s"]"#, "[]", "{}", "[1"],
            [
                #"{job="a", pod="p", v="1"} {"v":1}"#, #"{job="a", pod="p"} null"#, #"{job="a", pod="p"} "s""#,
                #"{job="a", pod="p"} {}"#, #"{job="a", pod="p"} [1"#,
            ])
        try check(
            #"stage.json { expressions = { list = "" } } stage.split_json { source = "list" }"#, [#"{"list":[1,[2]]}"#],
            [#"{job="a", pod="p"} 1"#, #"{job="a", pod="p"} [2]"#])
    }

    @Test("Entries with equal labels share one label set")
    func sharing() throws {
        let fixture = ProcessFixture(
            #"stage.regex { expression = "(?P<level>\\w+)" } stage.labels { values = { level = "" } }"#)
        try fixture.send(["info", "warn", "info", "info"].map { InputEntry($0) })
        let batch = try #require(fixture.harness.logs.batches.first)
        #expect(batch.streams.count == 2)
        #expect(batch.entries.map(\.stream) == [0, 1, 0, 0])
        #expect(fixture.harness.finish() == [])
    }
}
