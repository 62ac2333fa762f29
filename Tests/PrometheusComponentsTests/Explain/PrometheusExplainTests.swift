import ComponentKit
import PrometheusComponents
import Telemetry
import TestKit
import Testing

@Suite("Explanations of prometheus.*")
struct PrometheusExplainTests {
    private func explanation(_ harness: ComponentHarness, _ item: ExplainedItem) throws -> Explanation {
        guard case .explained(let explanation) = harness.instance.explain(item) else {
            throw Missing()
        }
        return explanation
    }

    private struct Missing: Error {}

    @Test("prometheus.relabel explains of each series what it does to it, and counts nothing")
    func relabel() throws {
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
                  regex = "env|__name__"
                  action = "labelkeep"
                }
                rule {
                  source_labels = ["env"]
                  target_label = "copy"
                  replacement = "is_$1"
                }
                rule {
                  regex = "env|copy|bad"
                  action = "labeldrop"
                }
                """) == [])
        let receiver: Receiver<MetricBatch> = try #require(harness.export("receiver"))
        let sets: [LabelSet] = [
            ["__name__": "a", "env": "dev"], ["__name__": "b", "env": "prod"], ["__name__": "c", "x": "1"],
            ["bad": "1"],
        ]
        for labels in sets {
            let before = harness.instance.ledger.statement.incoming
            let explained = try explanation(harness, ExplainedItem(.metric, labels))
            #expect(harness.instance.ledger.statement.incoming == before)
            #expect(harness.metric("alloy_prometheus_relabel_cache_misses") == Double(before))
            var writer = SeriesTable.Writer()
            let ref = writer.append(labels)
            var batch = MetricBatch(table: writer.table)
            batch.append(ref, 1, at: 5)
            let sent = batch
            try harness.run { try await receiver.consume(sent) }
            let arrived = harness.metrics.samples
            #expect(explained.results.map { "\($0.item.labels) 1.0 @5" } == arrived, "\(labels)")
            _ = harness.metrics.take()
            for result in explained.results { #expect(result.exit == .receivers(["recorder.metrics"])) }
        }
        let dropped = try explanation(harness, ExplainedItem(.metric, sets[0]))
        #expect(dropped.steps.map(\.outcome) == [.dropped])
        #expect(dropped.steps[0].path == RulePath("rule", 0))
        #expect(dropped.steps[0].detail == #""dev" matches"#)
        #expect(harness.finish() == [])
    }

    @Test("prometheus.scrape tells the URL and labels of a target, or why it is not scraped")
    func scrape() throws {
        let harness = ComponentHarness(PrometheusScrape.self)
        #expect(
            harness.evaluate(
                "targets = []\nforward_to = [recorder.metrics]\nscrape_interval = \"30s\"\njob_name = \"j\"")
                == [])
        let kept = try explanation(
            harness,
            ExplainedItem(.target, ["__address__": "h:1", "__metrics_path__": "/m", "__meta_x": "y", "z": "1"]))
        #expect(kept.steps.first?.detail.contains("scraped at http://h:1/m every 30s") == true)
        #expect(
            kept.results.map(\.item.labels) == [["__name__": "up", "instance": "h:1", "job": "j", "z": "1"]])
        let lost = try explanation(harness, ExplainedItem(.target, ["z": "1"]))
        #expect(lost.results.isEmpty)
        #expect(lost.steps.map(\.detail) == ["not scraped: no address"])
        let slow = try explanation(
            harness, ExplainedItem(.target, ["__address__": "h:1", "__scrape_timeout__": "40s"]))
        #expect(slow.steps.map(\.detail) == ["not scraped: scrape timeout is greater than the scrape interval"])
    }

    @Test("prometheus.remote_write explains each endpoint: labels added, rules, and the address without its secrets")
    func remoteWrite() throws {
        let harness = ComponentHarness(PrometheusRemoteWrite.self)
        #expect(
            harness.evaluate(
                """
                external_labels = { "cluster" = "c", "env" = "none" }
                endpoint {
                  url = "http://user:secret@one/push"
                  write_relabel_config {
                    source_labels = ["env"]
                    regex = "dev"
                    action = "drop"
                  }
                }
                endpoint {
                  name = "second"
                  url = "http://two/push"
                  bearer_token = "secret"
                }
                """) == [])
        let both = try explanation(harness, ExplainedItem(.metric, ["__name__": "a", "env": "prod"]))
        let labels: LabelSet = ["__name__": "a", "env": "prod", "cluster": "c"]
        #expect(both.results.map(\.item.labels) == [labels, labels])
        #expect(
            both.results.map(\.exit) == [
                .destination("remote write to http://one/push"),
                .destination("remote write to second: http://two/push"),
            ])
        let one = try explanation(harness, ExplainedItem(.metric, ["__name__": "a", "env": "dev"]))
        #expect(one.results.map(\.exit) == [.destination("remote write to second: http://two/push")])
        #expect(one.steps.map(\.path).contains(RulePath("endpoint", 0).inside("write_relabel_config", 0)))
    }

    @Test("Other kinds of items are not explained")
    func otherKinds() throws {
        let harness = ComponentHarness(PrometheusRelabel.self)
        guard case .notMade = harness.instance.explain(ExplainedItem(.metric)) else {
            Issue.record("explained before it was made")
            return
        }
        harness.start("forward_to = [recorder.metrics]")
        guard case .otherKind = harness.instance.explain(ExplainedItem(.log)) else {
            Issue.record("a log entry was explained")
            return
        }
        #expect(harness.finish() == [])
    }
}
