import AlloySyntax
import ComponentKit
import Essentials
import Foundation
import PrometheusComponents
import Synchronization
import Telemetry
import TestKit
import Testing

/// A page served inside the process, which scrapes reach without a socket and so in virtual time.
private final class Page: Sendable {
    struct Content {
        var status = 200
        var type = "text/plain; version=0.0.4"
        var body = ""
    }

    private let state = Mutex<(content: Content, requests: [ComponentRequest])>((Content(), []))

    init(_ harness: ComponentHarness, as id: String = "page", body: String = "") {
        set(body)
        harness.services.handlers.install(
            { [self] request in
                state.withLock { state in
                    state.requests.append(request)
                    return ComponentResponse(
                        status: state.content.status, contentType: state.content.type,
                        body: Array(state.content.body.utf8))
                }
            }, for: id)
    }

    func set(_ body: String, status: Int = 200, type: String = "text/plain; version=0.0.4") {
        state.withLock { $0.content = Content(status: status, type: type, body: body) }
    }

    var requests: [ComponentRequest] { state.withLock { $0.requests } }
}

private let pageTarget =
    #"{"__address__" = "alloy.internal:12345", "__metrics_path__" = "/api/v0/component/page/metrics", "instance" = "i"}"#

private func arguments(_ extra: String = "", targets: String = pageTarget) -> String {
    "targets = [\(targets)]\nforward_to = [recorder.metrics]\njob_name = \"j\"\nscrape_interval = \"10s\"\nscrape_timeout = \"5s\"\n\(extra)"
}

extension ComponentHarness {
    /// Samples recorded since the last call, without the series about scrapes unless `reports`.
    fileprivate func takeSamples(reports: Bool = false) -> [String] {
        let batches = metrics.take()
        var lines: [String] = []
        for batch in batches {
            for row in batch.series.indices {
                var builder = LabelSetBuilder(batch.table[batch.series[row]])
                let name = builder.value(of: "__name__") ?? ""
                builder.remove("__name__")
                if !reports, name == "up" || name.hasPrefix("scrape_") { continue }
                let value = Sample.isStale(batch.values[row]) ? "stale" : "\(batch.values[row])"
                lines.append("\(name)\(builder.finish()) \(value)")
            }
        }
        return lines
    }

    fileprivate func takeReport(_ name: String) -> Double? {
        for batch in metrics.take().reversed() {
            for row in batch.series.indices where batch.table[batch.series[row]]["__name__"] == name {
                return batch.values[row]
            }
        }
        return nil
    }
}

@Suite("prometheus.scrape")
struct PrometheusScrapeTests {
    @Test("Scrapes a target every interval with job and instance, and reports on the scrape")
    func scrapes() {
        let harness = ComponentHarness(PrometheusScrape.self)
        let page = Page(harness, body: "a 1\nb{x=\"y\"} 2\n")
        #expect(harness.start(arguments()) == [])
        #expect(harness.takeSamples().isEmpty)
        harness.advance(by: .seconds(10))
        #expect(
            harness.takeSamples(reports: true) == [
                #"a{instance="i", job="j"} 1.0"#, #"b{instance="i", job="j", x="y"} 2.0"#,
                #"up{instance="i", job="j"} 1.0"#, #"scrape_duration_seconds{instance="i", job="j"} 0.0"#,
                #"scrape_samples_scraped{instance="i", job="j"} 2.0"#,
                #"scrape_samples_post_metric_relabeling{instance="i", job="j"} 2.0"#,
                #"scrape_series_added{instance="i", job="j"} 2.0"#,
            ])
        page.set("a 3\n")
        harness.advance(by: .seconds(10))
        #expect(harness.takeSamples() == [#"a{instance="i", job="j"} 3.0"#, #"b{instance="i", job="j", x="y"} stale"#])
        harness.advance(by: .seconds(100))
        #expect(harness.metrics.batches.count == 10)
        let times = harness.metrics.batches.map { $0.timestamps[0] }
        #expect(zip(times, times.dropFirst()).allSatisfy { $1 - $0 == 10_000 })
        #expect(harness.metric("prometheus_forwarded_samples_total") == Double(7 + 7 + 10 * 6))
        #expect(harness.metric("prometheus_scrape_targets_gauge") == 1)
        #expect(harness.health?.state == .healthy)
        #expect(harness.finish() == [])
    }

    @Test("A failed scrape sends up 0 and ends the series; the next good one brings them back")
    func failures() {
        let harness = ComponentHarness(PrometheusScrape.self)
        let page = Page(harness, body: "a 1\n")
        harness.start(arguments())
        harness.advance(by: .seconds(10))
        _ = harness.metrics.take()
        for (body, status, type, error) in [
            ("", 500, "text/plain", "server returned HTTP status 500"),
            ("a 1\nbroken\n", 200, "text/plain", "line 2: expected a value"),
            ("a 1\n", 200, "application/openmetrics-text", "data does not end with # EOF"),
        ] {
            page.set(body, status: status, type: type)
            harness.advance(by: .seconds(10))
            #expect(harness.metrics.samples.contains { $0.contains(#""up""#) && $0.contains(" 0.0 @") })
            #expect(harness.takeSamples() == [#"a{instance="i", job="j"} stale"#])
            let target = harness.instance.debugInfo.blocks("target").first
            #expect("\(String(describing: target))".contains("down"))
            #expect("\(String(describing: target))".contains(error), "\(String(describing: target))")
            page.set("a 2\n")
            harness.advance(by: .seconds(10))
            #expect(harness.takeSamples() == [#"a{instance="i", job="j"} 2.0"#])
        }
        #expect(harness.finish() == [])
    }

    @Test("Labels of the target win unless labels are honoured")
    func conflicts() {
        for (honors, expected) in [
            (
                false,
                [
                    #"a{exported_exported_job="e", exported_instance="own", exported_job="own", instance="i", job="j"} 1.0"#
                ]
            ),
            (true, [#"a{exported_job="e", instance="own", job="own"} 1.0"#]),
        ] {
            let harness = ComponentHarness(PrometheusScrape.self)
            _ = Page(harness, body: "a{job=\"own\",instance=\"own\",exported_job=\"e\"} 1\n")
            harness.start(arguments("honor_labels = \(honors)"))
            harness.advance(by: .seconds(10))
            // The label that was there keeps its name; what must make way takes the next free one.
            let samples = harness.takeSamples()
            if honors {
                #expect(samples == expected)
            } else {
                #expect(
                    samples == [
                        #"a{exported_exported_job="own", exported_instance="own", exported_job="e", instance="i", job="j"} 1.0"#
                    ])
            }
            #expect(harness.finish() == [])
        }
    }

    @Test("Internal and meta labels shape the request and do not reach the series")
    func targetLabels() {
        let harness = ComponentHarness(PrometheusScrape.self)
        let page = Page(harness, body: "a 1\n")
        harness.start(
            arguments(
                "params = { \"module\" = [\"one\", \"two\"], \"x\" = [\"1\"] }",
                targets:
                    #"{"__address__" = "alloy.internal:12345", "__metrics_path__" = "/api/v0/component/page/probe", "__meta_zone" = "z", "__tmp" = "t", "env" = "prod", "__param_module" = "m & m", "job" = "own"}"#
            ))
        harness.advance(by: .seconds(10))
        #expect(harness.takeSamples() == [#"a{env="prod", instance="alloy.internal:12345", job="own"} 1.0"#])
        let request = page.requests.first
        #expect(request?.path == "/probe")
        #expect(request?.query.map { "\($0.name)=\($0.value)" } == ["module=m & m", "module=two", "x=1"])
        #expect(request?.headers.first { $0.name == "x-prometheus-scrape-timeout-seconds" }?.value == "5")
        #expect(harness.finish() == [])
    }

    @Test("A target's own interval is used, and an impossible one is refused")
    func ownInterval() {
        let harness = ComponentHarness(PrometheusScrape.self)
        let page = Page(harness, body: "a 1\n")
        let base = #""__address__" = "alloy.internal:12345", "__metrics_path__" = "/api/v0/component/page/metrics""#
        harness.start(
            arguments(
                targets: """
                    {\(base), "__scrape_interval__" = "1m", "__scrape_timeout__" = "1s"}, {\(base), "__scrape_timeout__" = "1m", "n" = "1"},
                    {\(base), "__scrape_interval__" = "0s", "n" = "2"}, {\(base), "__scrape_interval__" = "x", "n" = "3"},
                    {"n" = "4"}, {"__address__" = "a/b"}
                    """))
        harness.advance(by: .seconds(120))
        #expect(page.requests.count == 2)
        #expect(harness.metric("prometheus_target_sync_failed_total") == 5)
        #expect(harness.metric("prometheus_target_scrape_pool_targets") == 1)
        #expect(harness.finish() == [])
    }

    @Test("The series of a removed target end a little over two intervals later")
    func removal() {
        let harness = ComponentHarness(PrometheusScrape.self)
        _ = Page(harness, body: "a 1\n")
        harness.start(arguments())
        harness.advance(by: .seconds(10))
        _ = harness.metrics.take()
        harness.update(arguments(targets: ""))
        let last = harness.clock.wallMilliseconds
        harness.advance(by: .seconds(10))
        #expect(harness.metrics.batches.isEmpty)
        harness.advance(by: .seconds(12))
        // At the time the next scrape would have had.
        let time = harness.metrics.batches.first?.timestamps[0] ?? 0
        #expect(time > last && time <= last + 10_000)
        #expect(
            harness.takeSamples(reports: true) == [
                #"a{instance="i", job="j"} stale"#, #"up{instance="i", job="j"} stale"#,
                #"scrape_duration_seconds{instance="i", job="j"} stale"#,
                #"scrape_samples_scraped{instance="i", job="j"} stale"#,
                #"scrape_samples_post_metric_relabeling{instance="i", job="j"} stale"#,
                #"scrape_series_added{instance="i", job="j"} stale"#,
            ])
        harness.advance(by: .seconds(100))
        #expect(harness.metrics.batches.isEmpty)
        #expect(harness.finish() == [])
    }

    @Test("A target that comes back in time goes on as if nothing had happened")
    func flapping() {
        let harness = ComponentHarness(PrometheusScrape.self)
        _ = Page(harness, body: "a 1\n")
        harness.start(arguments())
        harness.advance(by: .seconds(10))
        harness.update(arguments(targets: ""))
        harness.advance(by: .seconds(12))
        harness.update(arguments())
        _ = harness.metrics.take()
        harness.advance(by: .seconds(100))
        #expect(harness.metrics.batches.count == 10)
        #expect(!harness.takeSamples(reports: true).contains { $0.hasSuffix("stale") })
        harness.advance(by: .seconds(10))
        #expect(harness.takeReport("scrape_series_added") == 0)
        #expect(harness.finish() == [])
    }

    @Test("Changes that leave a target as it is do not disturb its series, only its schedule")
    func reload() {
        let harness = ComponentHarness(PrometheusScrape.self)
        _ = Page(harness, body: "a 1\n")
        harness.start(arguments())
        harness.advance(by: .seconds(10))
        _ = harness.metrics.take()
        let second = #"{"__address__" = "alloy.internal:12345", "__metrics_path__" = "/api/v0/component/none/metrics"}"#
        harness.update(
            arguments("sample_limit = 5", targets: pageTarget + "," + second)
                .replacingOccurrences(of: "\"10s\"", with: "\"20s\""))
        harness.advance(by: .seconds(100))
        let samples = harness.takeSamples()
        #expect(samples == Array(repeating: #"a{instance="i", job="j"} 1.0"#, count: 5))
        #expect(harness.finish() == [])
    }

    @Test("When labels come out differently after a change, the old series end with the next scrape")
    func relabelled() {
        let harness = ComponentHarness(PrometheusScrape.self)
        _ = Page(harness, body: "a{job=\"own\"} 1\nb 1\n")
        harness.start(arguments())
        harness.advance(by: .seconds(10))
        _ = harness.metrics.take()
        harness.update(arguments("honor_labels = true"))
        harness.advance(by: .seconds(10))
        #expect(
            harness.takeSamples() == [
                #"a{instance="i", job="own"} 1.0"#, #"b{instance="i", job="j"} 1.0"#,
                #"a{exported_job="own", instance="i", job="j"} stale"#,
            ])
        #expect(harness.finish() == [])
    }

    @Test("Too many targets fail every scrape")
    func targetLimit() {
        let harness = ComponentHarness(PrometheusScrape.self)
        let page = Page(harness, body: "a 1\n")
        let second = pageTarget.replacingOccurrences(of: "\"i\"", with: "\"k\"")
        harness.start(arguments("target_limit = 1", targets: pageTarget + "," + second + "," + second))
        harness.advance(by: .seconds(10))
        #expect(page.requests.isEmpty)
        #expect(harness.metrics.samples.filter { $0.contains(#""up""#) && $0.contains(" 0.0 ") }.count == 2)
        #expect(harness.metric("prometheus_target_scrape_pool_exceeded_target_limit_total") == 1)
        _ = harness.metrics.take()
        harness.update(arguments("target_limit = 2", targets: pageTarget + "," + second))
        harness.advance(by: .seconds(10))
        #expect(harness.takeSamples().count == 2)
        #expect(harness.finish() == [])
    }

    @Test("Limits fail the scrape and are counted and reported")
    func limits() {
        for (argument, metric, size) in [
            ("sample_limit = 1", "prometheus_target_scrapes_exceeded_sample_limit_total", 8.0),
            ("body_size_limit = \"8B\"", "prometheus_target_scrapes_exceeded_body_size_limit_total", -1),
            ("label_limit = 2", "prometheus_target_scrape_pool_exceeded_label_limits_total", 8),
        ] {
            let harness = ComponentHarness(PrometheusScrape.self)
            _ = Page(harness, body: "a 1\nb 2\n")
            #expect(harness.start(arguments("extra_metrics = true\n" + argument)) == [])
            harness.advance(by: .seconds(10))
            let samples = harness.takeSamples(reports: true)
            #expect(samples.contains(#"up{instance="i", job="j"} 0.0"#), "\(argument)")
            #expect(samples.contains(#"scrape_timeout_seconds{instance="i", job="j"} 5.0"#))
            #expect(samples.contains("scrape_body_size_bytes{instance=\"i\", job=\"j\"} \(size)"), "\(samples)")
            #expect(harness.metric(metric) == 1, "\(argument)")
            #expect(harness.finish() == [])
        }
    }

    @Test("Metadata and exemplars travel with the samples")
    func metadata() {
        let harness = ComponentHarness(PrometheusScrape.self)
        let page = Page(harness)
        page.set(
            "# HELP a_total What is counted.\n# TYPE a_total counter\na_total 1 # {trace_id=\"t\"} 2\n# EOF\n",
            type: "application/openmetrics-text; version=1.0.0")
        harness.start(arguments("honor_metadata = true"))
        harness.advance(by: .seconds(10))
        let batch = harness.metrics.take().first
        #expect(batch?.metadata == [MetricMetadata(family: "a_total", kind: .counter, help: "What is counted.")])
        #expect(batch?.exemplars.first?.labels == ["trace_id": "t"])
        harness.advance(by: .seconds(10))
        #expect(harness.metrics.take().first?.metadata.isEmpty == true)
        #expect(harness.finish() == [])
    }

    @Test("Start times bring a sample of zero where asked for")
    func startTimes() {
        let harness = ComponentHarness(PrometheusScrape.self)
        let page = Page(harness)
        page.set(
            "# TYPE a counter\na_total 5\na_created 1600000000\n# EOF\n", type: "application/openmetrics-text")
        harness.start(arguments("start_timestamp_zero_ingestion = true"))
        harness.advance(by: .seconds(10))
        #expect(harness.metrics.samples.first == #"{__name__="a_total", instance="i", job="j"} 0.0 @1600000000000"#)
        #expect(
            harness.takeSamples() == [#"a_total{instance="i", job="j"} 0.0"#, #"a_total{instance="i", job="j"} 5.0"#])
        harness.advance(by: .seconds(10))
        #expect(harness.takeSamples() == [#"a_total{instance="i", job="j"} 5.0"#])
        #expect(harness.finish() == [])
    }

    @Test("Batches that nobody takes are dropped and counted, and the next scrape goes on")
    func refusal() {
        let harness = ComponentHarness(PrometheusScrape.self)
        _ = Page(harness, body: "a 1\n")
        harness.start(arguments())
        harness.metrics.refuse { _ in .overloaded("full") }
        harness.advance(by: .seconds(20))
        #expect(harness.instance.ledger.statement.droppedItems == 12)
        harness.metrics.refuse(nil)
        harness.advance(by: .seconds(10))
        #expect(harness.takeSamples() == [#"a{instance="i", job="j"} 1.0"#])
        #expect(harness.finish() == [])
    }

    @Test("A process short of memory leaves scrapes out instead of growing")
    func shortOfMemory() {
        let harness = ComponentHarness(PrometheusScrape.self, memoryLimit: .kibibytes(64))
        _ = Page(harness, body: "a 1\n")
        let other = harness.services.budget.account("other")
        other.book(64 << 10)
        harness.start(arguments())
        harness.advance(by: .seconds(20))
        #expect(harness.metrics.batches.isEmpty)
        #expect(harness.metric("prometheus_scrape_shed_total") == 2)
        other.release(64 << 10)
        harness.advance(by: .seconds(10))
        #expect(harness.takeSamples() == [#"a{instance="i", job="j"} 1.0"#])
        #expect(harness.finish() == [])
    }

    @Test("Failed scrapes are written to the failure log file")
    func failureLog() throws {
        let harness = ComponentHarness(PrometheusScrape.self)
        let path = harness.services.storagePath + "/failures.json"
        let page = Page(harness)
        page.set("", status: 503)
        harness.start(arguments("scrape_failure_log_file = \"\(path)\""))
        harness.advance(by: .seconds(10))
        #expect(harness.settle { !harness.metrics.batches.isEmpty })
        let text = try String(contentsOfFile: path, encoding: .utf8)
        let line = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: String])
        #expect(line["msg"] == "server returned HTTP status 503 Service Unavailable")
        #expect(line["job_name"] == "j" && line["level"] == "ERROR")
        #expect(line["target"] == "http://alloy.internal:12345/api/v0/component/page/metrics")
        #expect(harness.finish() == [])
    }

    @Test("The process's own metrics are scraped without a socket")
    func ownMetrics() {
        let harness = ComponentHarness(PrometheusScrape.self)
        harness.start(arguments(targets: #"{"__address__" = "alloy.internal:12345"}"#))
        harness.advance(by: .seconds(10))
        #expect(harness.takeSamples().contains { $0.hasPrefix("prometheus_scrape_targets_gauge{") })
        #expect(harness.finish() == [])
    }

    @Test("The job is the component's name unless given, and clustering is said to be missing")
    func defaults() {
        let harness = ComponentHarness(PrometheusScrape.self)
        _ = Page(harness, body: "a 1\n")
        let problems = harness.start(
            "targets = [\(pageTarget)]\nforward_to = [recorder.metrics]\nclustering {\n  enabled = true\n}")
        #expect(problems == [])
        harness.advance(by: .seconds(60))
        #expect(harness.takeSamples() == [#"a{instance="i", job="prometheus.scrape.test"} 1.0"#])
        #expect(harness.health?.message.contains("clustering is not available") == true)
        #expect(harness.logSink.lines.contains { $0.hasPrefix("warn Clustering is not available") })
        #expect(harness.finish() == [])
    }

    @Test(
        "Arguments that contradict each other are refused",
        arguments: [
            ("scrape_timeout = \"20s\"", "must not be greater than scrape_interval"),
            ("scrape_protocols = [\"Nonsense\"]", "has an unknown Nonsense"),
            ("scrape_protocols = [\"PrometheusText0.0.4\", \"PrometheusText0.0.4\"]", "twice"),
            ("scrape_protocols = [\"PrometheusText0.0.4\"]\nenable_protobuf_negotiation = true", "exclude each other"),
            ("scrape_protocols = [\"PrometheusText0.0.4\"]\nscrape_native_histograms = true", "needs PrometheusProto"),
            ("scrape_fallback_protocol = \"Nonsense\"", "is unknown"),
            ("metric_name_validation_scheme = \"Nonsense\"", "must be \"legacy\" or \"utf8\""),
            ("metric_name_escaping_scheme = \"Nonsense\"", "is unknown"),
            ("metric_name_escaping_scheme = \"allow-utf-8\"", "cannot be \"allow-utf-8\""),
            ("bearer_token = \"x\"\nbearer_token_file = \"y\"", "at most one of"),
            ("clustering {\n}", "enabled"), ("nonsense = 1", "nonsense"),
        ] as [(String, String)])
    func contradictions(text: String, problem: String) {
        let harness = ComponentHarness(PrometheusScrape.self)
        let base =
            "targets = []\nforward_to = []\nscrape_interval = \"10s\"\n"
            + (text.contains("scrape_timeout") ? "" : "scrape_timeout = \"5s\"\n")
        let problems = harness.evaluate(base + text)
        #expect(problems.contains { $0.contains(problem) }, "\(problems)")
    }

    @Test("Experimental arguments need experimental stability")
    func stability() {
        let harness = ComponentHarness(PrometheusScrape.self, minimumStability: .generallyAvailable)
        let problems = harness.evaluate(arguments("honor_metadata = true"))
        #expect(problems.contains { $0.contains("honor_metadata") && $0.contains("experimental") }, "\(problems)")
        #expect(
            ComponentHarness(PrometheusScrape.self, minimumStability: .generallyAvailable).evaluate(arguments()) == [])
    }

    @Test("Experimental arguments are refused on reload too, and the scraping goes on as before")
    func stabilityOnReload() {
        let harness = ComponentHarness(PrometheusScrape.self, minimumStability: .generallyAvailable)
        _ = Page(harness, body: "a 1\n")
        #expect(harness.start(arguments()) == [])
        for name in ["honor_metadata", "enable_type_and_unit_labels", "start_timestamp_zero_ingestion"] {
            #expect(harness.evaluate(arguments("\(name) = false")) == [])
            let problems = harness.evaluate(arguments("\(name) = true"))
            #expect(problems.contains { $0.contains("attribute \"\(name)\" is at stability level") }, "\(problems)")
        }
        harness.advance(by: .seconds(20))
        #expect(harness.takeSamples().contains { $0.hasPrefix("a{") })
        #expect(harness.finish() == [])
    }

    @Test("A component inside a module is scraped without a socket, as is one whose ID begins like it")
    func insideModule() {
        let harness = ComponentHarness(PrometheusScrape.self)
        let inner = Page(harness, as: "mod.default/prometheus.exporter.unix.host", body: "inner 1\n")
        let outer = Page(harness, as: "mod.default", body: "outer 1\n")
        let target = { (path: String) in
            "{\"__address__\" = \"alloy.internal:12345\", \"__metrics_path__\" = \"/api/v0/component/\(path)\", "
                + "\"instance\" = \"i\"}"
        }
        let targets =
            target("mod.default/prometheus.exporter.unix.host/metrics") + ", " + target("mod.default/metrics/deep")
        #expect(harness.start(arguments(targets: targets)) == [])
        harness.advance(by: .seconds(20))
        let samples = harness.takeSamples()
        #expect(samples.contains { $0.hasPrefix("inner{") } && samples.contains { $0.hasPrefix("outer{") })
        #expect(inner.requests.allSatisfy { $0.path == "/metrics" } && !inner.requests.isEmpty)
        #expect(outer.requests.allSatisfy { $0.path == "/metrics/deep" } && !outer.requests.isEmpty)
        #expect(harness.finish() == [])
    }
}
