import ComponentKit
import Telemetry
import TestKit
import Testing
import Wire

@testable import OtelcolComponents

@Suite("Transform and filter processors")
struct TransformFilterTests {
    static let output = """
        output {
            logs = [recorder.otlp]
            traces = [recorder.otlp]
            metrics = [recorder.otlp]
        }
        """

    /// A batch of spans by name, each with an attribute `n` and one event called `event`.
    static func traces(_ names: [String]) -> OTLPBatch {
        var assembler = OTLPAssembler(kind: .traces)
        let resource = OTLPMessage()
        resource.clear(as: .resource)
        resource.attributes.set("service.name" as OTLPKey, to: "test")
        assembler.begin(resource: resource)
        let item = OTLPMessage()
        let event = OTLPMessage()
        for (place, name) in names.enumerated() {
            item.clear(as: .span)
            item.set(OTLPField.Span.name, string: name)
            item.attributes.set("n" as OTLPKey, to: OTLPAnyValue.int(Int64(place)))
            event.clear(as: .event)
            event.set(OTLPField.Event.name, string: "event")
            event.encoded.withRawBytes { item.append(OTLPField.Span.events, message: $0) }
            assembler.append(item)
        }
        return assembler.finish()
    }

    /// A gauge with a point for each number, which is also its attribute `n`.
    static func gauge(_ name: String, _ numbers: [Int64]) -> OTLPBatch {
        var assembler = OTLPAssembler(kind: .metrics)
        let metric = OTLPMessage()
        metric.clear(as: .metric)
        metric.set(OTLPField.Metric.name, string: name)
        let data = OTLPMessage()
        data.clear(as: .metricData)
        let point = OTLPMessage()
        for number in numbers {
            point.clear(as: .numberPoint)
            OTLPNumberPoint(point).value = .int(number)
            point.attributes.set("n" as OTLPKey, to: OTLPAnyValue.int(number))
            point.encoded.withRawBytes { data.append(OTLPField.MetricData.points, message: $0) }
        }
        data.encoded.withRawBytes { metric.set(OTLPMetricKind.gauge.rawValue, message: $0) }
        assembler.append(metric)
        return assembler.finish()
    }

    /// Names of the spans and metrics of batches.
    static func names(_ batches: [OTLPBatch]) -> [String] {
        var names: [String] = []
        let walker = OTLPWalker()
        for batch in batches {
            try? walker.walk(batch, to: .item) { level in
                guard level == .item else { return .keep }
                let name = walker.kind == .traces ? walker.span.name : walker.metric.name
                names.append(String(decoding: name, as: UTF8.self))
                return .keep
            }
        }
        return names
    }

    /// Sends a batch through a component and returns what came out.
    static func process(
        _ component: any Component.Type, _ configuration: String, _ batch: OTLPBatch,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> [OTLPBatch] {
        let harness = ComponentHarness(component)
        let problems = harness.start(configuration + "\n" + output).filter { !$0.contains("deprecated") }
        #expect(problems.isEmpty, "\(problems)", sourceLocation: sourceLocation)
        let input: Receiver<OTLPBatch> = try #require(harness.export("input"))
        try harness.run { try await input.consume(batch) }
        #expect(harness.finish() == [], sourceLocation: sourceLocation)
        return harness.otlp.batches
    }

    @Test("Statements change logs, in blocks and in lists")
    func logs() throws {
        let batch = PipelineTests.logs(["a", "b"])
        let block = try Self.process(
            OtelcolProcessorTransform.self,
            """
            log_statements {
                context = "log"
                conditions = ["body == \\"a\\""]
                statements = ["set(cache[\\"x\\"], Concat([body, \\"!\\"], \\"\\"))", "set(body, cache[\\"x\\"])"]
            }
            """, batch)
        #expect(PipelineTests.lines(block) == ["a!", "b"])
        let list = try Self.process(
            OtelcolProcessorTransform.self,
            """
            statements {
                log = [
                    "set(log.cache[\\"x\\"], Concat([log.body, \\"?\\"], \\"\\"))", "set(log.body, log.cache[\\"x\\"])",
                    "set(resource.attributes[\\"a\\"], 1)",
                ]
            }
            """, batch)
        #expect(PipelineTests.lines(list) == ["a?", "b?"])
    }

    @Test("Data of other signals passes as it came")
    func untouched() throws {
        let batch = Self.traces(["a"])
        let result = try Self.process(
            OtelcolProcessorTransform.self,
            "log_statements {\n context = \"log\"\n statements = [\"set(body, 1)\"]\n}", batch)
        #expect(result.first?.chunks == batch.chunks)
    }

    @Test("Metrics that are copied are booked as created, points that are merged as merged")
    func metrics() throws {
        let copied = try Self.process(
            OtelcolProcessorTransform.self,
            """
            metric_statements {
                context = "metric"
                statements = ["copy_metric(name = \\"copy\\") where name == \\"a\\""]
            }
            """, Self.gauge("a", [1, 2]))
        #expect(Self.names(copied) == ["a", "copy"])
        #expect(copied.map(\.itemCount) == [4])
        let merged = try Self.process(
            OtelcolProcessorTransform.self,
            """
            metric_statements {
                context = "metric"
                statements = ["aggregate_on_attributes(\\"sum\\", [])"]
            }
            """, Self.gauge("a", [1, 2, 3]))
        #expect(merged.map(\.itemCount) == [1])
    }

    @Test("Errors are passed over or refuse the batch, as the mode says")
    func errorModes() throws {
        for (mode, passes) in [("ignore", true), ("silent", true), ("propagate", false)] {
            let harness = ComponentHarness(OtelcolProcessorTransform.self)
            let problems = harness.start(
                """
                error_mode = "\(mode)"
                log_statements {
                    context = "log"
                    statements = ["set(body, ParseJSON(body))", "set(attributes[\\"done\\"], true)"]
                }
                """ + "\n" + Self.output)
            #expect(problems.isEmpty, "\(problems)")
            let input: Receiver<OTLPBatch> = try #require(harness.export("input"))
            let taken = (try? harness.run { try await input.consume(PipelineTests.logs(["{"])) }) != nil
            #expect(taken == passes)
            #expect(harness.otlp.itemCount == (passes ? 1 : 0))
            #expect(harness.finish() == [])
        }
    }

    @Test(
        "Statements that cannot be compiled are refused at load, by place",
        arguments: [
            ("log_statements {\n context = \"log\"\n statements = [\"sett(body, 1)\"]\n}", "did you mean"),
            ("log_statements {\n context = \"span\"\n statements = [\"set(name, \\\"a\\\")\"]\n}", "must be one of"),
            ("statements {\n log = [\"set(body, 1)\"]\n}", "context"),
            ("trace_statements {\n context = \"span\"\n statements = [\"set(body, 1)\"]\n}", "column 5"),
        ])
    func refusals(_ configuration: String, _ expected: String) {
        let harness = ComponentHarness(OtelcolProcessorTransform.self)
        let problems = harness.start(configuration + "\n" + Self.output)
        #expect(problems.contains { $0.contains(expected) }, "\(problems)")
    }

    @Test("Spans, metrics, points and log records are dropped, and their drop is counted")
    func filter() throws {
        let spans = try Self.process(
            OtelcolProcessorFilter.self,
            "traces {\n span = [\"name == \\\"b\\\"\", \"attributes[\\\"n\\\"] > 1\"]\n}", Self.traces(["a", "b", "c"]))
        #expect(Self.names(spans) == ["a"])
        let metrics = try Self.process(
            OtelcolProcessorFilter.self, "metrics {\n metric = [\"name == \\\"a\\\"\"]\n}", Self.gauge("a", [1, 2]))
        #expect(metrics.isEmpty)
        let points = try Self.process(
            OtelcolProcessorFilter.self,
            "metric_conditions {\n conditions = [\"datapoint.attributes[\\\"n\\\"] == 2\"]\n}",
            Self.gauge("a", [1, 2, 3]))
        #expect(points.map(\.itemCount) == [2])
        let logs = try Self.process(
            OtelcolProcessorFilter.self, "logs {\n log_record = [\"IsMatch(body, \\\"^a\\\")\"]\n}",
            PipelineTests.logs(["ab", "b"]))
        #expect(PipelineTests.lines(logs) == ["b"])
        let resources = try Self.process(
            OtelcolProcessorFilter.self,
            "log_conditions {\n context = \"resource\"\n conditions = [\"attributes[\\\"service.name\\\"] == \\\"test\\\"\"]\n}",
            PipelineTests.logs(["ab", "b"]))
        #expect(resources.isEmpty)
    }

    @Test("What is dropped is counted by signal")
    func counted() throws {
        let harness = ComponentHarness(OtelcolProcessorFilter.self)
        let configuration = "metrics {\n datapoint = [\"attributes[\\\"n\\\"] > 1\"]\n}\n"
        #expect(harness.start(configuration + Self.output).filter { !$0.contains("deprecated") } == [])
        let input: Receiver<OTLPBatch> = try #require(harness.export("input"))
        try harness.run { try await input.consume(Self.gauge("a", [1, 2, 3])) }
        #expect(harness.metric("otelcol_processor_filter_datapoints_filtered_total") == 2)
        #expect(harness.metric("otelcol_processor_filter_spans_filtered_total") == 0)
        #expect(harness.finish() == [])
    }

    @Test("Events of spans are dropped without the span")
    func events() throws {
        let result = try Self.process(
            OtelcolProcessorFilter.self, "traces {\n spanevent = [\"name == \\\"event\\\"\"]\n}", Self.traces(["a"]))
        #expect(Self.names(result) == ["a"])
        var events = 0
        let walker = OTLPWalker()
        try walker.walk(try #require(result.first), to: .point) { level in
            if level == .point { events += 1 }
            return .keep
        }
        #expect(events == 0)
    }
}
