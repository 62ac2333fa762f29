import ComponentKit
import Telemetry
import TestKit
import Testing
import Wire

@testable import OtelcolComponents

@Suite("Explanations of otelcol.*")
struct OtelcolExplainTests {
    private struct Missing: Error {}

    private func explanation(_ harness: ComponentHarness, _ item: ExplainedItem) throws -> Explanation {
        guard case .explained(let explanation) = harness.instance.explain(item) else { throw Missing() }
        return explanation
    }

    private func item(_ batch: OTLPBatch) -> ExplainedItem {
        OTLPExplaining.item(batch, from: ExplainedItem(.span))
    }

    private static func log(_ body: String, _ level: String) throws -> OTLPBatch {
        try OTLPSample.batch(
            .logs,
            """
            {"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]},
            "scopeLogs":[{"logRecords":[{"body":{"stringValue":"\(body)"},"traceId":"0102030405060708090a0b0c0d0e0f10",
            "attributes":[{"key":"level","value":{"stringValue":"\(level)"}},{"key":"n","value":{"intValue":"5"}}]}]}]}]}
            """)
    }

    private static let cases: [(any Component.Type, String)] = [
        (
            OtelcolProcessorFilter.self,
            """
            log_conditions {
                context    = "log"
                conditions = [`attributes["level"] == "debug"`, `IsMatch(body, "health")`]
            }
            trace_conditions {
                context    = "span"
                conditions = [`name == "b"`]
            }
            metric_conditions {
                context    = "metric"
                conditions = [`name == "gone"`]
            }
            """
        ),
        (
            OtelcolProcessorTransform.self,
            """
            log_statements {
                context    = "log"
                statements = [
                    `set(cache["x"], attributes["level"])`,
                    `set(attributes["copy"], cache["x"])`,
                    `set(severity_text, "HIGH") where attributes["copy"] == "debug"`,
                    `delete_key(attributes, "level")`,
                ]
            }
            log_statements {
                context    = "resource"
                statements = [`set(attributes["cluster"], "c")`]
            }
            trace_statements {
                context    = "span"
                statements = [`set(name, "new") where name == "a"`]
            }
            metric_statements {
                context    = "datapoint"
                statements = [`set(attributes["cluster"], "c")`]
            }
            """
        ),
        (
            OtelcolProcessorAttributes.self,
            """
            action {
                key    = "cluster"
                value  = "c"
                action = "insert"
            }
            action {
                key            = "again"
                from_attribute = "cluster"
                action         = "upsert"
            }
            action {
                key    = "level"
                action = "delete"
            }
            """
        ),
        (OtelcolProcessorGroupByAttrs.self, "keys = [\"level\"]"), (OtelcolProcessorRedaction.self, ""),
        (OtelcolProcessorSpan.self, "name {\nfrom_attributes = [\"n\"]\n}"),
        (OtelcolProcessorMemoryLimiter.self, "check_interval = \"1s\"\nlimit = \"1GiB\""),
    ]

    @Test("A processor explains of each record what it does to it", arguments: cases.indices)
    func processors(_ index: Int) throws {
        let (component, configuration) = Self.cases[index]
        let batches = [
            try Self.log("hello", "info"), try Self.log("a health check", "info"), try Self.log("x", "debug"),
            TransformFilterTests.traces(["a"]), TransformFilterTests.traces(["b"]),
            TransformFilterTests.gauge("g", [1]), TransformFilterTests.gauge("gone", [1]),
        ]
        for batch in batches {
            let harness = ComponentHarness(component)
            let problems = harness.start(configuration + "\n" + TransformFilterTests.output)
            #expect(problems.filter { !$0.contains("deprecated") } == [])
            let explained = try explanation(harness, item(batch))
            #expect(harness.instance.ledger.statement.incoming == 0)
            let input: Receiver<OTLPBatch> = try #require(harness.export("input"))
            try harness.run { try await input.consume(batch) }
            let arrived = harness.otlp.batches.filter { !$0.isEmpty }
            #expect(explained.results.compactMap { $0.item.batch?.requestBytes } == arrived.map(\.requestBytes))
            #expect(explained.results.allSatisfy { $0.exit == .receivers(["recorder.otlp"]) })
            #expect(harness.finish() == [])
        }
    }

    @Test("Conditions and statements are steps with their text; the step of the one that drops says so")
    func steps() throws {
        let filter = ComponentHarness(OtelcolProcessorFilter.self)
        filter.start(Self.cases[0].1 + "\n" + TransformFilterTests.output)
        let dropped = try explanation(filter, item(try Self.log("a health check", "info")))
        #expect(dropped.steps.map(\.title) == [#"attributes["level"] == "debug""#, #"IsMatch(body, "health")"#])
        #expect(dropped.steps.map(\.outcome) == [.unchanged, .dropped])
        #expect(filter.finish() == [])
        let transform = ComponentHarness(OtelcolProcessorTransform.self)
        transform.start(Self.cases[1].1 + "\n" + TransformFilterTests.output)
        let changed = try explanation(transform, item(try Self.log("x", "debug")))
        #expect(changed.steps.map(\.outcome) == [.unchanged, .changed, .changed, .changed, .changed])
        #expect(changed.steps[1].after?.labels["attributes.copy"] == "debug")
        #expect(changed.steps[2].after?.labels["severityText"] == "HIGH")
        #expect(changed.steps[4].path == RulePath("log_statements", 1))
        #expect(changed.results[0].item.labels["resource.attributes.cluster"] == "c")
        #expect(transform.finish() == [])
    }

    @Test("Entries and series become records and points, and back, as data does")
    func conversions() throws {
        let harness = ComponentHarness(OtelcolReceiverLoki.self)
        harness.start(TransformFilterTests.output)
        let explained = try explanation(harness, ExplainedItem(.log, ["job": "a"], line: "hello", timestamp: 5))
        let receiver: Receiver<LogBatch> = try #require(harness.export("receiver"))
        var batch = LogBatch()
        batch.append("hello", labels: ["job": "a"], timestamp: 5)
        let sent = batch
        try harness.run { try await receiver.consume(sent) }
        #expect(
            explained.results.compactMap { $0.item.batch?.requestBytes } == harness.otlp.batches.map(\.requestBytes))
        #expect(explained.results[0].item.labels["body"] == "hello")
        #expect(explained.results[0].item.labels["attributes.job"] == "a")
        #expect(harness.finish() == [])

        let back = ComponentHarness(OtelcolExporterLoki.self)
        back.start("forward_to = [recorder.logs]")
        let record = try Self.log("x", "info")
        let entry = try explanation(back, item(record))
        try back.send(record)
        #expect(entry.results.map { "\($0.item.labels) \($0.item.line ?? "")" } == back.logs.lines)
        #expect(back.finish() == [])

        let metrics = ComponentHarness(OtelcolReceiverPrometheus.self)
        metrics.start(TransformFilterTests.output)
        let series: LabelSet = ["__name__": "up", "job": "j", "instance": "i:1", "a": "b"]
        let point = try explanation(metrics, ExplainedItem(.metric, series, timestamp: 5_000_000))
        #expect(point.results[0].item.labels["name"] == "up")
        #expect(point.results[0].item.labels["attributes.a"] == "b")
        #expect(try explanation(metrics, ExplainedItem(.metric, ["__name__": "up"])).results.isEmpty)
        #expect(metrics.finish() == [])
        let samples = ComponentHarness(OtelcolExporterPrometheus.self)
        samples.start("forward_to = [recorder.metrics]\ninclude_scope_labels = false")
        let made = try explanation(samples, point.results[0].item)
        #expect(made.results.map(\.item.labels).contains(series))
        #expect(samples.finish() == [])
    }

    @Test("tail_sampling asks its policies about spans, and knows of a trace what it holds and decided")
    func tailSampling() throws {
        func batch(_ digit: String, _ status: Int) throws -> OTLPBatch {
            try OTLPSample.batch(
                .traces,
                """
                {"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"\(String(repeating: digit, count: 32))",
                "spanId":"0000000000000001","name":"s","status":{"code":\(status)}}]}]}]}
                """)
        }
        let harness = ComponentHarness(OtelcolProcessorTailSampling.self)
        #expect(
            harness.start(
                """
                decision_wait = "5s"
                policy {
                    name = "errors"
                    type = "status_code"
                    status_code {
                        status_codes = ["ERROR"]
                    }
                }
                output {
                    traces = [recorder.otlp]
                }
                """) == [])
        #expect(
            try explanation(harness, item(try batch("1", 2))).results.map(\.exit) == [.receivers(["recorder.otlp"])])
        let dropped = try explanation(harness, item(try batch("2", 0)))
        #expect(dropped.results.isEmpty)
        #expect(dropped.steps.map(\.title) == ["policy errors", "decision"])
        #expect(
            harness.metric("otelcol_processor_tail_sampling_global_count_traces_sampled_total", ["sampled": "true"])
                == 0)

        func trace(_ digit: String) -> ExplainAnswer {
            harness.instance.explain(
                ExplainedItem(.trace, LabelSet([("trace_id", String(repeating: digit, count: 32))])))
        }
        guard case .otherKind = trace("1") else {
            Issue.record("a trace that never came is known")
            return
        }
        try harness.send(try batch("1", 2))
        try harness.send(try batch("2", 0))
        guard case .explained(let waiting) = trace("1") else {
            Issue.record("the trace held is not known")
            return
        }
        #expect(waiting.notes.first?.hasPrefix("1 spans are held; the decision is due in 5 seconds") == true)
        #expect(waiting.results.map(\.exit) == [.receivers(["recorder.otlp"])])
        harness.advance(by: .seconds(7))
        guard case .explained(let kept) = trace("1"), case .explained(let gone) = trace("2") else {
            Issue.record("decisions are not known")
            return
        }
        #expect(kept.steps.map(\.detail) == ["decided to be kept"])
        #expect(gone.results.isEmpty && gone.steps.map(\.detail) == ["decided to be dropped"])
        #expect(harness.finish() == [])
    }

    @Test("Exporters tell where data leaves to, without user and password")
    func exporters() throws {
        let harness = ComponentHarness(OtelcolExporterOTLPHTTP.self)
        #expect(harness.evaluate("client {\nendpoint = \"http://u:secret@host:4318\"\n}") == [])
        let leaving = try explanation(harness, item(try Self.log("x", "info")))
        #expect(leaving.results.map(\.exit) == [.destination("OTLP over HTTP to http://host:4318/v1/logs")])
    }
}
