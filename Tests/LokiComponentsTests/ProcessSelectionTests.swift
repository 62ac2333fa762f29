import ComponentKit
import Telemetry
import TestKit
import Testing

@Suite("loki.process: stages that drop and choose")
struct ProcessSelectionTests {
    private func kept(_ stages: String, _ entries: [InputEntry]) throws -> [String] {
        try ProcessFixture.run(stages, entries).map { String($0.split(separator: " ", maxSplits: 1).last ?? "") }
    }

    @Test("stage.drop drops when all its conditions hold")
    func drop() throws {
        let json = #"stage.json { expressions = { a = "", b = "" } }"#
        let cases: [(String, [String], [String])] = [
            (#"stage.drop { expression = "debug" }"#, ["debug x", "info"], ["info"]),
            (#"stage.drop { longer_than = "3B" }"#, ["abcd", "abc"], ["abc"]),
            ("stage.drop {\nlonger_than = \"3B\"\nexpression = \"d\" }", ["abcd", "abce", "d"], ["abce", "d"]),
            (json + "\nstage.drop { source = \"a\" }", [#"{"a":1}"#, "x"], ["x"]),
            (json + "\nstage.drop {\nsource = \"a\"\nvalue = \"1\" }", [#"{"a":1}"#, #"{"a":11}"#], [#"{"a":11}"#]),
            (
                json + "\nstage.drop {\nsource = \"a,b\"\nexpression = \"^1;2$\" }", [#"{"a":1,"b":2}"#, #"{"a":1}"#],
                [#"{"a":1}"#]
            ),
            (
                json + "\nstage.drop {\nsource = \"a,b\"\nseparator = \"#\"\nexpression = \"^1#2$\" }",
                [#"{"a":1,"b":2}"#], []
            ),
            (json + "\nstage.drop {\nsource = \"a\"\nexpression = \".*\" }", [#"{"a":null}"#, "x"], [#"{"a":null}"#]),
        ]
        for (stages, lines, expected) in cases {
            #expect(try kept(stages, lines.map { InputEntry($0) }) == expected, "\(stages)")
        }
    }

    @Test("stage.drop drops old entries")
    func dropOld() throws {
        let now: Int64 = 1_700_000_000_000_000_000
        let entries = [InputEntry("old", at: now - 3_601_000_000_000), InputEntry("new", at: now - 3_599_000_000_000)]
        #expect(try kept(#"stage.drop { older_than = "1h" }"#, entries) == ["new"])
    }

    @Test("Dropped lines are counted by reason and by stage")
    func dropCounts() throws {
        let fixture = ProcessFixture(
            """
            stage.drop {
                expression = "a"
                drop_counter_reason = "noise"
            }
            stage.match {
                selector = "{job=\\"a\\"} |= \\"b\\""
                action = "drop"
            }
            """)
        try fixture.send(["a", "b", "ba", "c"].map { InputEntry($0) })
        #expect(fixture.harness.metric("loki_process_dropped_lines_total", ["reason": "noise"]) == 2)
        #expect(fixture.harness.metric("loki_process_dropped_lines_total", ["reason": "match_stage"]) == 1)
        let dropped = fixture.harness.instance.ledger.statement.dropped
        #expect(dropped.map { "\($0.reason) \($0.rule) \($0.items)" } == ["rule stage.drop 2", "rule stage.match 1"])
        #expect(fixture.take() == [#"{job="a"} c"#])
        #expect(fixture.harness.finish() == [])
    }

    @Test("stage.match runs its stages on the entries its selector chooses")
    func match() throws {
        let stages = """
            stage.match {
                selector = "{job=~\\"a|b\\"} |~ \\"^x\\""
                stage.static_labels { values = { first = "1" } }
                stage.match {
                    selector = "{job=\\"b\\"}"
                    stage.static_labels { values = { second = "2" } }
                }
            }
            stage.static_labels { values = { last = "3" } }
            """
        #expect(
            try ProcessFixture.run(
                stages,
                [
                    InputEntry("x1"), InputEntry("y"), InputEntry("x2", ["job": "b"]), InputEntry("x3", ["job": "c"]),
                ]) == [
                    #"{first="1", job="a", last="3"} x1"#, #"{job="a", last="3"} y"#,
                    #"{first="1", job="b", last="3", second="2"} x2"#, #"{job="c", last="3"} x3"#,
                ])
    }

    @Test("Labels set before stage.match are values inside it")
    func matchExtracts() throws {
        let stages = """
            stage.static_labels { values = { env = "dev" } }
            stage.labels { values = { before = "env" } }
            stage.match {
                selector = "{job=\\"a\\"}"
                stage.labels { values = { inside = "env" } }
            }
            """
        #expect(try ProcessFixture.run(stages, [InputEntry("x")]) == [#"{env="dev", inside="dev", job="a"} x"#])
    }

    @Test("stage.sampling keeps all, none or a share")
    func sampling() throws {
        let entries = (0..<2000).map { InputEntry("\($0)") }
        #expect(try kept("stage.sampling { rate = 1 }", entries).count == 2000)
        #expect(try kept("stage.sampling { rate = 0 }", entries).isEmpty)
        let half = try kept("stage.sampling { rate = 0.5 }", entries).count
        #expect(half > 800 && half < 1200)
    }

    @Test("stage.limit drops what exceeds rate and burst")
    func limitDrop() throws {
        let fixture = ProcessFixture("stage.limit {\nrate = 1\nburst = 2\ndrop = true }")
        try fixture.send((0..<5).map { InputEntry("\($0)") })
        #expect(fixture.take().count == 2)
        fixture.harness.advance(by: .seconds(1))
        try fixture.send((0..<5).map { InputEntry("\($0)") })
        #expect(fixture.take().count == 1)
        #expect(fixture.harness.metric("loki_process_dropped_lines_total", ["reason": "ratelimit_drop_stage"]) == 7)
        #expect(fixture.harness.finish() == [])
    }

    @Test("stage.limit has a rate for each value of a label")
    func limitByLabel() throws {
        let fixture = ProcessFixture(
            "stage.limit {\nrate = 1\nburst = 1\ndrop = true\nby_label_name = \"job\" }")
        try fixture.send([
            InputEntry("1"), InputEntry("2"), InputEntry("3", ["job": "b"]), InputEntry("4", ["pod": "x"]),
            InputEntry("5", ["pod": "x"]),
        ])
        #expect(fixture.take() == [#"{job="a"} 1"#, #"{job="b"} 3"#, #"{pod="x"} 4"#, #"{pod="x"} 5"#])
        let labels = ["label_name": "job", "label_value": "a"]
        #expect(fixture.harness.metric("loki_process_dropped_lines_by_label_total", labels) == 1)
        #expect(fixture.harness.finish() == [])
    }

    @Test("stage.limit delays what exceeds the rate and loses nothing")
    func limitDelay() throws {
        let fixture = ProcessFixture("stage.limit {\nrate = 2\nburst = 1 }")
        let receiver = try #require(fixture.receiver)
        let batch = InputEntry.batch((0..<3).map { InputEntry("\($0)") })
        let task = Task(executorPreference: fixture.harness.executor) { try await receiver.consume(batch) }
        fixture.harness.settle()
        #expect(fixture.take() == [#"{job="a"} 0"#])
        fixture.harness.advance(by: .milliseconds(499))
        #expect(fixture.take() == [])
        fixture.harness.advance(by: .milliseconds(1))
        #expect(fixture.take() == [#"{job="a"} 1"#])
        fixture.harness.advance(by: .seconds(1))
        #expect(fixture.take() == [#"{job="a"} 2"#])
        fixture.harness.settle()
        task.cancel()
        #expect(fixture.harness.finish() == [])
    }
}
