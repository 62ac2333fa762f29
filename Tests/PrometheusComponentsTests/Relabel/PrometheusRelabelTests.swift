import AlloySyntax
import ComponentKit
import Essentials
import PrometheusComponents
import Synchronization
import Telemetry
import TestKit
import Testing

@Suite("prometheus.relabel")
struct PrometheusRelabelTests {
    private func batch(_ writer: inout SeriesTable.Writer, _ series: [[(String, String)]], at time: Int64)
        -> MetricBatch
    {
        let refs = series.map { writer.append(LabelSet($0)) }
        var batch = MetricBatch(table: writer.table)
        for (index, ref) in refs.enumerated() { batch.append(ref, Double(index + 1), at: time) }
        return batch
    }

    @Test("Rules change labels, drop series, and the books balance")
    func relabels() throws {
        let harness = ComponentHarness(PrometheusRelabel.self)
        #expect(
            harness.start(
                """
                forward_to = [recorder.metrics]
                rule {
                  source_labels = ["env"]
                  regex = "dev"
                  action = "drop"
                }
                rule {
                  source_labels = ["__name__"]
                  target_label = "copy"
                  replacement = "is_$1"
                }
                """) == [])
        let receiver: Receiver<MetricBatch> = try #require(harness.export("receiver"))
        var writer = SeriesTable.Writer()
        let sent = batch(
            &writer,
            [[("__name__", "a"), ("env", "dev")], [("__name__", "b"), ("env", "prod")], [("__name__", "c")]],
            at: 1000)
        try harness.run { try await receiver.consume(sent) }
        #expect(
            harness.metrics.samples == [
                #"{__name__="b", copy="is_b", env="prod"} 2.0 @1000"#, #"{__name__="c", copy="is_c"} 3.0 @1000"#,
            ])
        // The same series again: nothing is transformed a second time.
        try harness.run { try await receiver.consume(sent) }
        #expect(harness.metric("alloy_prometheus_relabel_cache_misses") == 3)
        #expect(harness.metric("alloy_prometheus_relabel_metrics_processed") == 6)
        #expect(harness.metric("alloy_prometheus_relabel_metrics_written") == 4)
        #expect(harness.finish() == [])
        #expect(harness.instance.ledger.statement.droppedItems == 2)
    }

    @Test("Whoever looks sees what the rules make of each series, a bounded number of them")
    func live() throws {
        let harness = ComponentHarness(PrometheusRelabel.self)
        harness.start(
            """
            forward_to = [recorder.metrics]
            rule {
              source_labels = ["env"]
              regex = "dev"
              action = "drop"
            }
            rule {
              target_label = "x"
              replacement = "1"
            }
            """)
        let receiver: Receiver<MetricBatch> = try #require(harness.export("receiver"))
        let seen = Mutex<[LiveDatum]>([])
        harness.services.liveData.isEnabled = true
        let stop = harness.services.liveData.observe(
            "prometheus.relabel.test",
            LiveDataHub.Observer(
                item: { datum in seen.withLock { $0.append(datum) } },
                edge: { _ in Issue.record("edges are shown too") }))
        var writer = SeriesTable.Writer()
        let small = batch(&writer, [[("__name__", "a"), ("env", "dev")], [("__name__", "b")]], at: 1000)
        try harness.run { try await receiver.consume(small) }
        #expect(
            seen.withLock { $0.map(\.text) } == [
                #"{__name__="a", env="dev"} => <dropped>"#, #"{__name__="b"} => {__name__="b", x="1"}"#,
            ])
        seen.withLock { $0 = [] }
        let large = batch(&writer, (0..<150).map { [("__name__", "m\($0)")] }, at: 2000)
        try harness.run { try await receiver.consume(large) }
        stop()
        try harness.run { try await receiver.consume(large) }
        seen.withLock { seen in
            #expect(seen.count == 101 && seen.last?.count == 50)
            #expect(seen.reduce(0) { $0 + $1.count } == 150)
        }
    }

    @Test("New rules apply to the next batch and are exported")
    func update() throws {
        let harness = ComponentHarness(PrometheusRelabel.self)
        harness.start("forward_to = [recorder.metrics]")
        let receiver: Receiver<MetricBatch> = try #require(harness.export("receiver"))
        var writer = SeriesTable.Writer()
        let sent = batch(&writer, [[("__name__", "a")]], at: 5)
        try harness.run { try await receiver.consume(sent) }
        harness.update(
            """
            forward_to = [recorder.metrics]
            rule {
              target_label = "x"
              replacement = "y"
            }
            """)
        #expect(harness.export("receiver", as: Receiver<MetricBatch>.self) === receiver)
        let rules: RelabelRules = try #require(harness.export("rules"))
        #expect(rules.relabeling.rules.count == 1)
        try harness.run { try await receiver.consume(sent) }
        #expect(harness.metrics.samples == [#"{__name__="a"} 1.0 @5"#, #"{__name__="a", x="y"} 1.0 @5"#])
        #expect(harness.finish() == [])
    }

    @Test("A receiver that refuses makes the sender keep the batch, and nothing is counted as dropped")
    func refusal() throws {
        let harness = ComponentHarness(PrometheusRelabel.self)
        harness.start(
            """
            forward_to = [recorder.metrics]
            rule {
              source_labels = ["__name__"]
              regex = "a"
              action = "drop"
            }
            """)
        let receiver: Receiver<MetricBatch> = try #require(harness.export("receiver"))
        var writer = SeriesTable.Writer()
        let sent = batch(&writer, [[("__name__", "a")], [("__name__", "b")]], at: 5)
        harness.metrics.refuse { _ in .overloaded("full") }
        #expect(throws: DeliveryError.self) { try harness.run { try await receiver.consume(sent) } }
        #expect(harness.instance.ledger.statement.droppedItems == 0)
        harness.metrics.refuse(nil)
        try harness.run { try await receiver.consume(sent) }
        #expect(harness.instance.ledger.statement.droppedItems == 1)
        #expect(harness.finish() == [])
    }

    @Test(
        "Impossible cache settings are refused",
        arguments: [
            ("max_cache_size = -1", "must not be negative"), ("max_cache_size = 0", "must be positive"),
            ("max_cache_size = 5\ncache_ttl = \"2m\"", "exclude each other"),
            ("max_cache_size = 0\ncache_ttl = \"2s\"", "must be at least 1m"),
        ])
    func cacheArguments(text: String, problem: String) {
        let harness = ComponentHarness(PrometheusRelabel.self)
        let problems = harness.start("forward_to = [recorder.metrics]\n" + text)
        #expect(problems.contains { $0.contains(problem) }, "\(problems)")
    }

    @Test("A silent source is forgotten after cache_ttl")
    func timeToLive() throws {
        let harness = ComponentHarness(PrometheusRelabel.self)
        harness.start("forward_to = [recorder.metrics]\nmax_cache_size = 0\ncache_ttl = \"4m\"")
        let receiver: Receiver<MetricBatch> = try #require(harness.export("receiver"))
        var writer = SeriesTable.Writer()
        let sent = batch(&writer, [[("__name__", "a")]], at: 5)
        try harness.run { try await receiver.consume(sent) }
        harness.advance(by: .seconds(200))
        #expect(harness.metric("alloy_prometheus_relabel_cache_ttl_evictions") == 0)
        harness.advance(by: .seconds(200))
        #expect(harness.metric("alloy_prometheus_relabel_cache_ttl_evictions") == 1)
        try harness.run { try await receiver.consume(sent) }
        #expect(harness.metrics.itemCount == 2)
        #expect(harness.finish() == [])
    }
}
