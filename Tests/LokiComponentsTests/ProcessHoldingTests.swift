import ComponentKit
import Essentials
import Telemetry
import TestKit
import Testing

@Suite("loki.process: entries that wait")
struct ProcessHoldingTests {
    private let multiline = #"stage.multiline { firstline = "^S" max_lines = 3 }"#.replacing(" max", with: "\nmax")

    @Test("Lines of a block are joined until the next block begins")
    func multilineBlocks() throws {
        let fixture = ProcessFixture(multiline)
        try fixture.send(["before", "S1", " a", "S2\r\n", " b", "S3"].map { InputEntry($0) })
        #expect(fixture.take() == [#"{job="a"} before"#, "{job=\"a\"} S1\n a", "{job=\"a\"} S2\n b"])
        #expect(fixture.harness.instance.ledger.statement.heldItems == 1)
        #expect(fixture.harness.finish() == [])
        #expect(fixture.take() == [#"{job="a"} S3"#])
    }

    @Test("A block is sent after max_wait_time and at max_lines, each stream on its own")
    func multilineLimits() throws {
        let fixture = ProcessFixture(multiline)
        try fixture.send([InputEntry("S1"), InputEntry("S9", ["job": "b"])])
        fixture.harness.advance(by: .seconds(2))
        try fixture.send([InputEntry(" a")])
        fixture.harness.advance(by: .seconds(1))
        #expect(fixture.take() == [#"{job="b"} S9"#])
        fixture.harness.advance(by: .seconds(2))
        #expect(fixture.take() == ["{job=\"a\"} S1\n a"])
        try fixture.send(["S1", "b", "c", "d", "e"].map { InputEntry($0) })
        #expect(fixture.take() == ["{job=\"a\"} S1\nb\nc"])
        fixture.harness.advance(by: .seconds(3))
        #expect(fixture.take() == ["{job=\"a\"} d\ne"])
        try fixture.send([InputEntry("after")])
        #expect(fixture.take() == [#"{job="a"} after"#])
        #expect(fixture.harness.finish() == [])
    }

    @Test("A block keeps time, labels and values of its first line")
    func multilineFirstLine() throws {
        let stages = """
            stage.regex { expression = "n=(?P<n>\\\\d)" }
            stage.multiline { firstline = "^S" }
            stage.labels { values = { n = "" } }
            """
        let found = try ProcessFixture.runAll(stages, [InputEntry("S n=1", at: 5), InputEntry("n=2", at: 6)])
        #expect(found == ["{job=\"a\", n=\"1\"} {} @5 S n=1\nn=2"])
    }

    @Test("Partial CRI lines are joined for each stream")
    func criPartial() throws {
        let time = "2019-04-29T23:05:56Z"
        let fixture = ProcessFixture("stage.cri { }")
        try fixture.send(
            [
                "\(time) stdout P one ", "\(time) stderr P two ", "\(time) stdout P and ", "\(time) stdout F end",
                "\(time) stderr F end", "\(time) stderr F alone", "\(time) stderr P never",
            ].map { InputEntry($0) })
        #expect(
            fixture.take() == [
                #"{job="a", stream="stdout"} one and end"#, #"{job="a", stream="stderr"} two end"#,
                #"{job="a", stream="stderr"} alone"#,
            ])
        #expect(fixture.harness.finish() == [])
        #expect(fixture.take() == [#"{job="a", stream="stderr"} never"#])
    }

    @Test("Too many partial CRI lines are sent as they are, long ones are cut")
    func criLimits() throws {
        let time = "2019-04-29T23:05:56Z"
        let fixture = ProcessFixture(
            "stage.cri {\nmax_partial_lines = 2\nmax_partial_line_size = 5\nmax_partial_line_size_truncate = true }")
        try fixture.send([
            InputEntry("\(time) stdout P first", ["pod": "1"]),
            InputEntry("\(time) stdout P secondsecond", ["pod": "2"]),
            InputEntry("\(time) stdout P third", ["pod": "3"]), InputEntry("\(time) stdout F !", ["pod": "3"]),
            InputEntry("\(time) stdout F whole line", ["pod": "4"]),
        ])
        #expect(
            fixture.take() == [
                #"{pod="1", stream="stdout"} first"#, #"{pod="2", stream="stdout"} secon"#,
                #"{pod="3", stream="stdout"} third"#, #"{pod="4", stream="stdout"} whole line"#,
            ])
        #expect(fixture.harness.metric("loki_process_cri_partial_lines_flushed_total") == 2)
        #expect(fixture.harness.metric("loki_process_cri_lines_truncated_total") == 2)
        #expect(fixture.harness.finish() == [])
    }

    @Test("A reload sends what the old stages held; changing forward_to alone keeps it")
    func reload() throws {
        let fixture = ProcessFixture(multiline)
        try fixture.send([InputEntry("S1")])
        fixture.harness.update("forward_to = [recorder.logs, recorder.logs]\n" + multiline)
        #expect(fixture.take() == [])
        fixture.harness.update(
            ProcessFixture.body(multiline + "\nstage.static_labels { values = { env = \"x\" } }"))
        #expect(fixture.take() == [#"{job="a"} S1"#])
        try fixture.send([InputEntry("S2")])
        #expect(fixture.harness.finish() == [])
        #expect(fixture.take() == [#"{env="x", job="a"} S2"#])
    }

    @Test("Without state a refusal goes back to the source and nothing is counted")
    func refusalStateless() throws {
        let fixture = ProcessFixture(#"stage.drop { expression = "x" }"#)
        fixture.harness.logs.refuse { _ in .retry("full") }
        #expect(throws: DeliveryError.self) { try fixture.send([InputEntry("a"), InputEntry("x")]) }
        #expect(fixture.harness.metric("loki_process_dropped_lines_total") == nil)
        fixture.harness.logs.refuse(nil)
        try fixture.send([InputEntry("a"), InputEntry("x")])
        #expect(fixture.take() == [#"{job="a"} a"#])
        #expect(fixture.harness.metric("loki_process_dropped_lines_total") == 1)
        #expect(fixture.harness.finish() == [])
    }

    @Test("With state a refused batch waits here and is processed once")
    func refusalWithState() throws {
        let fixture = ProcessFixture(
            """
            stage.metrics {
                metric.counter {
                    name = "lines_total"
                    action = "inc"
                    match_all = true
                }
            }
            """)
        fixture.harness.logs.refuse { _ in .retry("full") }
        try fixture.send([InputEntry("a")])
        #expect(fixture.harness.instance.ledger.statement.heldItems == 1)
        #expect(throws: DeliveryError.self) { try fixture.send([InputEntry("b")]) }
        fixture.harness.logs.refuse(nil)
        fixture.harness.advance(by: .seconds(1))
        #expect(fixture.take() == [#"{job="a"} a"#])
        try fixture.send([InputEntry("b")])
        #expect(fixture.take() == [#"{job="a"} b"#])
        #expect(fixture.harness.metric("loki_process_custom_lines_total") == 2)
        #expect(fixture.harness.finish() == [])
    }

    @Test("What nobody takes before the component ends is dropped and counted")
    func stopRefused() throws {
        let fixture = ProcessFixture(multiline)
        try fixture.send([InputEntry("S1"), InputEntry("a")])
        fixture.harness.logs.refuse { _ in .retry("gone") }
        #expect(fixture.harness.finish() == [])
        let dropped = fixture.harness.instance.ledger.statement.dropped
        #expect(dropped.map { "\($0.reason) \($0.items)" } == ["stopped 1"])
    }
}
