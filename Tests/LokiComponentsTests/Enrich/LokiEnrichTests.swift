import ComponentKit
import Telemetry
import TestKit
import Testing

@testable import LokiComponents

@Suite("loki.enrich")
struct LokiEnrichTests {
    private static let targets = """
        targets = [
          {"ip" = "10.0.0.1", "rack" = "r1", "__meta" = "m", "zone" = "a"},
          {"ip" = "10.0.0.2", "rack" = "r2"},
          {"ip" = "10.0.0.2", "rack" = "r3", "zone" = ""},
          {"rack" = "none"},
        ]
        """

    private func start(_ more: String) -> ComponentHarness {
        let harness = ComponentHarness(LokiEnrich.self)
        #expect(harness.start(body(more)) == [])
        return harness
    }

    private func body(_ more: String) -> String { "\(Self.targets)\nforward_to = [recorder.logs]\n\(more)" }

    private func send(_ harness: ComponentHarness, _ streams: [LabelSet]) throws -> [String] {
        let receiver: Receiver<LogBatch> = try #require(harness.export("receiver"))
        var batch = LogBatch()
        for (number, labels) in streams.enumerated() { batch.append("line \(number)", labels: labels, timestamp: 1) }
        let input = batch
        try harness.run { try await receiver.consume(input) }
        return harness.logs.take().flatMap { batch in
            batch.entries.map { "\(batch.streams[Int($0.stream)]) \(batch.line($0))" }
        }
    }

    @Test("Entries get all labels of the target their label names, over their own; the others go on as they are")
    func all() throws {
        let harness = start("target_match_label = \"ip\"")
        for _ in 0..<2 {
            let found = try send(
                harness,
                [["ip": "10.0.0.1", "zone": "own"], ["ip": "10.0.0.2"], ["ip": "10.0.0.3"], ["rack": "none"]])
            #expect(
                found == [
                    #"{__meta="m", ip="10.0.0.1", rack="r1", zone="a"} line 0"#, #"{ip="10.0.0.2", rack="r3"} line 1"#,
                    #"{ip="10.0.0.3"} line 2"#, #"{rack="none"} line 3"#,
                ])
        }
        #expect(harness.finish() == [])
    }

    @Test("Chosen labels are taken by another label, and new arguments count at once")
    func chosen() throws {
        let harness = start(
            "target_match_label = \"ip\"\nlogs_match_label = \"host\"\nlabels_to_copy = [\"rack\", \"missing\"]")
        #expect(try send(harness, [["host": "10.0.0.1"]]) == [#"{host="10.0.0.1", rack="r1"} line 0"#])
        #expect(try send(harness, [["ip": "10.0.0.1"]]) == [#"{ip="10.0.0.1"} line 0"#])
        #expect(harness.update(body("target_match_label = \"rack\"\nlogs_match_label = \"host\"")) == [])
        #expect(try send(harness, [["host": "r2"]]) == [#"{host="r2", ip="10.0.0.2", rack="r2"} line 0"#])
        #expect(try send(harness, [["host": "10.0.0.1"]]) == [#"{host="10.0.0.1"} line 0"#])
        #expect(harness.finish() == [])
    }

    @Test("A refusal goes back to the sender, and what comes again is delivered")
    func refusal() throws {
        let harness = start("target_match_label = \"ip\"")
        harness.logs.refuse { _ in .retry("busy") }
        #expect(throws: (any Error).self) { try send(harness, [["ip": "10.0.0.1"]]) }
        harness.logs.refuse(nil)
        #expect(try send(harness, [["ip": "10.0.0.9"]]) == [#"{ip="10.0.0.9"} line 0"#])
        #expect(harness.finish() == [])
    }
}
