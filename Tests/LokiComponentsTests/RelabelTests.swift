import ComponentKit
import Telemetry
import TestKit
import Testing

@testable import LokiComponents

@Suite("loki.relabel")
struct LokiRelabelTests {
    private static let rules = """
        forward_to = [recorder.logs]
        rule {
            source_labels = ["env"]
            regex = "drop"
            action = "drop"
        }
        rule {
            regex = "gone|env"
            action = "labeldrop"
        }
        """

    private func send(_ harness: ComponentHarness, _ entries: [InputEntry]) throws {
        let receiver: Receiver<LogBatch> = try #require(harness.export("receiver"))
        let batch = InputEntry.batch(entries)
        try harness.run { try await receiver.consume(batch) }
    }

    @Test("Labels are relabelled, streams that lose all labels or match a drop rule go")
    func relabels() throws {
        let harness = ComponentHarness(LokiRelabel.self)
        #expect(harness.start(Self.rules) == [])
        try send(
            harness,
            [
                InputEntry("1", ["env": "x", "job": "a"]), InputEntry("2", ["env": "drop", "job": "a"]),
                InputEntry("3", ["gone": "1"]), InputEntry("4", ["env": "y", "job": "a"], metadata: ["m": "1"]),
            ])
        #expect(harness.logs.lines == [#"{job="a"} 1"#, #"{job="a"} 4"#])
        #expect(harness.logs.batches.map(\.streams.count) == [1])
        #expect(harness.logs.batches[0].entries[1].metadata == ["m": "1"])
        #expect(harness.metric("loki_relabel_entries_processed") == 4)
        #expect(harness.metric("loki_relabel_entries_written") == 2)
        let dropped = harness.instance.ledger.statement.dropped
        #expect(dropped.map { "\($0.reason) \($0.rule) \($0.items)" } == ["rule rule 2"])
        #expect(harness.finish() == [])
    }

    @Test("Label sets are relabelled once and forgotten beyond the cache's size")
    func cache() throws {
        let harness = ComponentHarness(LokiRelabel.self)
        harness.start(Self.rules + "\nmax_cache_size = 2")
        for job in ["a", "a", "b", "a", "c", "a", "b"] { try send(harness, [InputEntry("x", ["job": job])]) }
        #expect(harness.metric("loki_relabel_cache_hits") == 3)
        #expect(harness.metric("loki_relabel_cache_misses") == 4)
        #expect(harness.metric("loki_relabel_cache_size") == 2)
        harness.update("forward_to = [recorder.logs]\nmax_cache_size = 1")
        #expect(harness.metric("loki_relabel_cache_size") == 0)
        try send(harness, [InputEntry("x", ["job": "a"])])
        #expect(harness.metric("loki_relabel_cache_misses") == 5)
        #expect(harness.finish() == [])
    }

    @Test("Rules are exported, and new ones count for what follows")
    func exportsAndReload() throws {
        let harness = ComponentHarness(LokiRelabel.self)
        harness.start(Self.rules)
        let rules: RelabelRules = try #require(harness.export("rules"))
        #expect(rules.relabeling.rules.count == 2)
        try send(harness, [InputEntry("1", ["env": "x", "job": "a"])])
        harness.update("forward_to = [recorder.logs]")
        try send(harness, [InputEntry("2", ["env": "x", "job": "a"])])
        #expect(harness.logs.lines == [#"{job="a"} 1"#, #"{env="x", job="a"} 2"#])
        #expect(harness.finish() == [])
    }

    @Test("A refusal goes back to the source and nothing is counted as dropped")
    func refusal() throws {
        let harness = ComponentHarness(LokiRelabel.self)
        harness.start(Self.rules)
        harness.logs.refuse { _ in .retry("full") }
        #expect(throws: DeliveryError.self) {
            try send(harness, [InputEntry("1", ["job": "a"]), InputEntry("2", ["gone": "1"])])
        }
        #expect(harness.instance.ledger.statement.dropped.isEmpty)
        #expect(harness.finish() == [])
    }

    @Test("Mistakes are refused by name")
    func mistakes() {
        let harness = ComponentHarness(LokiRelabel.self)
        #expect(harness.evaluate("forward_to = []\nmax_cache_size = 0").contains { $0.contains("max_cache_size") })
        #expect(
            harness.evaluate("forward_to = []\nrule { action = \"x\" }").contains { $0.contains("should be one of") })
        #expect(harness.evaluate("").contains { $0.contains("forward_to") })
    }
}
