import ComponentKit
import Essentials
import Glibc
import Telemetry
import TestKit
import Testing
import Wire

@testable import OtelcolComponents

@Suite("otelcol.connector.spanmetrics")
struct SpanMetricsTests {
    /// A span to be sent.
    private struct Span {
        var name = "get"
        var kind: UInt32 = 2
        var status: UInt32 = 0
        var milliseconds: UInt64 = 3
        var attributes: [(String, OTLPAnyValue)] = []
        var events: [String] = []
        var scope = "lib"
    }

    private func batch(_ spans: [Span], service: String? = "shop", resource: [(String, String)] = []) -> OTLPBatch {
        var assembler = OTLPAssembler(kind: .traces)
        let message = OTLPMessage()
        message.clear(as: .resource)
        if let service { message.attributes.set("service.name" as OTLPKey, to: service) }
        for (key, value) in resource { message.attributes.set(OTLPKey(key), to: value) }
        assembler.begin(resource: message)
        for span in spans {
            message.clear(as: .scope)
            message.set(OTLPField.Scope.name, string: span.scope)
            message.set(OTLPField.Scope.version, string: "1")
            assembler.begin(scope: message)
            message.clear(as: .span)
            let view = OTLPSpan(message)
            [UInt8](repeating: 7, count: 16).withUnsafeBytes { view.traceID = $0 }
            [UInt8](repeating: 9, count: 8).withUnsafeBytes { view.spanID = $0 }
            message.set(OTLPField.Span.name, string: span.name)
            view.kind = span.kind
            view.startTimeUnixNano = 1_000_000_000
            view.endTimeUnixNano = 1_000_000_000 + span.milliseconds * 1_000_000
            view.setStatus(code: span.status, message: OTLPBytes.empty)
            for (key, value) in span.attributes { message.attributes.set(OTLPKey(key), to: value) }
            for name in span.events {
                let event = OTLPMessage()
                event.clear(as: .event)
                event.set(OTLPField.Event.name, string: name)
                event.attributes.set("event.kind" as OTLPKey, to: name)
                event.encoded.withUnsafeBytes { message.append(OTLPField.Span.events, message: $0) }
            }
            assembler.append(message)
        }
        return assembler.finish()
    }

    private func connector(_ body: String, explicit: String = "explicit {}") -> ComponentHarness {
        let harness = ComponentHarness(OtelcolConnectorSpanMetrics.self)
        let problems = harness.start(
            """
            histogram {
                \(explicit)
            }
            \(body)
            output { metrics = [recorder.otlp] }
            """)
        #expect(problems == [])
        return harness
    }

    private func send(_ batch: OTLPBatch, to harness: ComponentHarness) throws {
        let input: Receiver<OTLPBatch> = try #require(harness.export("input"))
        try harness.run { try await input.consume(batch) }
    }

    /// Every point received since last asked, as `name{attributes} value`.
    private func points(_ harness: ComponentHarness) -> [String] {
        var lines: [String] = []
        let walker = OTLPWalker()
        for batch in harness.otlp.take() {
            try? walker.walk(batch, to: .point) { level in
                guard level == .point else { return .keep }
                var attributes: [String] = []
                walker.point.attributes.forEach { key, value in
                    let text =
                        switch value {
                        case .string(let bytes): String(decoding: bytes, as: UTF8.self)
                        case .bool(let value): "\(value)"
                        case .int(let value): "\(value)"
                        default: "?"
                        }
                    attributes.append("\(String(decoding: key, as: UTF8.self))=\(text)")
                }
                let name = walker.item.string(OTLPField.Metric.name)
                lines.append("\(name){\(attributes.joined(separator: ","))} \(describe(walker))")
                return .keep
            }
        }
        return lines
    }

    private func describe(_ walker: OTLPWalker) -> String {
        switch walker.metricKind {
        case .sum:
            if case .int(let value)? = OTLPNumberPoint(walker.point).value { return "\(value)" }
            return "?"
        case .histogram:
            let point = OTLPHistogramPoint(walker.point)
            var buckets: [UInt64] = []
            point.forEachBucketCount { buckets.append($0) }
            return "\(point.count) \(point.sum ?? -1) \(buckets)"
        case .exponentialHistogram:
            let point = OTLPExponentialHistogramPoint(walker.point)
            return "\(point.count) \(point.sum ?? -1) zero=\(point.zeroCount) \(point.min ?? -1)-\(point.max ?? -1)"
        default: return "?"
        }
    }

    private let own = "service.name=shop,span.name=get,span.kind=SPAN_KIND_SERVER,status.code=STATUS_CODE_UNSET"

    @Test("Calls and durations are counted by service, name, kind and status, and go on over flushes")
    func cumulative() throws {
        let harness = connector("", explicit: "explicit { buckets = [\"2ms\", \"4ms\"] }")
        try send(batch([Span(), Span(milliseconds: 4), Span(status: 2, milliseconds: 100)]), to: harness)
        #expect(harness.otlp.batches.isEmpty)
        harness.advance(by: .seconds(60))
        let failed = own.replacing("UNSET", "ERROR")
        #expect(
            points(harness) == [
                "traces.span.metrics.calls{\(own)} 2", "traces.span.metrics.calls{\(failed)} 1",
                "traces.span.metrics.duration{\(own)} 2 7.0 [0, 2, 0]",
                "traces.span.metrics.duration{\(failed)} 1 100.0 [0, 0, 1]",
            ])
        try send(batch([Span(milliseconds: 0)]), to: harness)
        harness.advance(by: .seconds(60))
        #expect(
            points(harness).filter { $0.contains("UNSET") } == [
                "traces.span.metrics.calls{\(own)} 3", "traces.span.metrics.duration{\(own)} 3 7.0 [1, 2, 0]",
            ])
        #expect(harness.finish() == [])
        // What came last is sent at the end.
        #expect(harness.instance.ledger.statement.merged == 4)
    }

    @Test("Deltas begin anew where the ones before ended, and nothing is sent without spans")
    func deltas() throws {
        let harness = connector(
            "aggregation_temporality = \"DELTA\"\nnamespace = \"\"\nmetrics_flush_interval = \"10s\"")
        func times(_ batch: OTLPBatch?) throws -> (start: UInt64, end: UInt64, temporality: UInt32) {
            var found: (UInt64, UInt64, UInt32) = (0, 0, 0)
            let walker = OTLPWalker()
            try walker.walk(try #require(batch), to: .point) { level in
                if level == .point, walker.metricKind == .sum {
                    let point = OTLPNumberPoint(walker.point)
                    found = (point.startTimeUnixNano, point.timeUnixNano, walker.metric.aggregationTemporality)
                }
                return .keep
            }
            return found
        }
        try send(batch([Span(), Span()]), to: harness)
        harness.advance(by: .seconds(10))
        let first = try times(harness.otlp.batches.last)
        #expect(first.temporality == 1)
        #expect(points(harness).first == "calls{\(own)} 2")
        try send(batch([Span()]), to: harness)
        harness.advance(by: .seconds(10))
        let second = try times(harness.otlp.batches.last)
        #expect(second.start == first.end && second.end == first.end + 10_000_000_000)
        #expect(points(harness).first == "calls{\(own)} 1")
        harness.advance(by: .seconds(30))
        #expect(harness.otlp.batches.isEmpty)
        try send(batch([Span()]), to: harness)
        #expect(harness.finish() == [])
        #expect(points(harness).first == "calls{\(own)} 1")
    }

    @Test("Dimensions come from the span, its resource or the default, by name or pattern, for one metric or all")
    func dimensions() throws {
        let harness = connector(
            """
            exclude_dimensions = ["span.kind", "status.code", "service.name"]
            dimension {
                name    = "region"
                default = "nowhere"
            }
            dimension { name = "absent" }
            dimension { glob = "http.*" }
            calls_dimension { name = "only.calls" }
            include_instrumentation_scope = ["lib"]
            """, explicit: "explicit { buckets = [] }\ndimension { name = \"only.durations\" }")
        let span = Span(attributes: [
            ("http.route", "/x"), ("http.code", 200), ("only.calls", "c"), ("only.durations", "d"), ("other", "no"),
        ])
        try send(batch([span], resource: [("region", "eu")]), to: harness)
        try send(batch([Span(scope: "else")], resource: [("host", "b")]), to: harness)
        harness.advance(by: .seconds(60))
        let scope = "span.instrumentation.scope.name=lib,span.instrumentation.scope.version=1"
        let common = "span.name=get,\(scope),region=eu,http.code=200,http.route=/x"
        #expect(
            points(harness) == [
                "traces.span.metrics.calls{\(common),only.calls=c} 1",
                "traces.span.metrics.duration{\(common),only.durations=d} 1 3.0 [1]",
                "traces.span.metrics.calls{span.name=get,region=nowhere} 1",
                "traces.span.metrics.duration{span.name=get,region=nowhere} 1 3.0 [1]",
            ])
        #expect(harness.finish() == [])
    }

    @Test("Resources are told apart by all attributes or by those named")
    func resources() throws {
        for (settings, count) in [("", 2), ("resource_metrics_key_attributes = [\"service.name\"]", 1)] {
            let harness = connector(settings)
            for pod in ["a", "b"] { try send(batch([Span()], resource: [("pod", pod)]), to: harness) }
            harness.advance(by: .seconds(60))
            #expect(points(harness).filter { $0.contains("calls") }.count == count)
            #expect(harness.finish() == [])
        }
    }

    @Test("Spans past the limit of series are counted together")
    func limit() throws {
        let harness = connector("aggregation_cardinality_limit = 2", explicit: "disable = true\nexplicit {}")
        try send(batch((0..<5).map { Span(name: "n\($0)") }), to: harness)
        harness.advance(by: .seconds(60))
        let all = points(harness)
        #expect(all.count == 3)
        #expect(all.last == "traces.span.metrics.calls{otel.metric.overflow=true} 3")
        #expect(harness.finish() == [])
    }

    @Test("Without memory for more series spans are counted together, and all memory is given back")
    func memory() throws {
        let harness = ComponentHarness(OtelcolConnectorSpanMetrics.self, memoryLimit: .mebibytes(1))
        #expect(
            harness.start(
                "histogram {\nexponential { max_size = 16384 }\n}\noutput { metrics = [recorder.otlp] }") == [])
        try send(batch((0..<50).map { Span(name: "n\($0)") }), to: harness)
        harness.advance(by: .seconds(60))
        let all = points(harness)
        #expect(all.contains { $0.contains("otel.metric.overflow=true") })
        let calls = all.filter { $0.contains("calls") }.compactMap { $0.split(separator: " ").last.flatMap { Int($0) } }
        #expect(calls.reduce(0, +) == 50)
        #expect(harness.finish() == [])
    }

    @Test("Series and resources without spans expire")
    func expiration() throws {
        let harness = connector("series_expiration = \"90s\"\nmetrics_expiration = \"200s\"")
        try send(batch([Span(name: "old"), Span()]), to: harness)
        harness.advance(by: .seconds(60))
        #expect(points(harness).filter { $0.contains("calls") }.count == 2)
        try send(batch([Span()]), to: harness)
        // At this flush the old one is still there, and goes.
        harness.advance(by: .seconds(60))
        _ = points(harness)
        harness.advance(by: .seconds(60))
        #expect(points(harness).filter { $0.contains("calls") } == ["traces.span.metrics.calls{\(own)} 2"])
        harness.advance(by: .seconds(600))
        _ = points(harness)
        harness.advance(by: .seconds(60))
        #expect(points(harness) == [])
        #expect(harness.finish() == [])
    }

    @Test("Events are counted by their attributes")
    func events() throws {
        let harness = connector(
            "events {\nenabled = true\ndimension { name = \"event.kind\" }\n}", explicit: "disable = true\nexplicit {}")
        try send(batch([Span(events: ["retry", "retry", "fail"])]), to: harness)
        harness.advance(by: .seconds(60))
        #expect(
            points(harness) == [
                "traces.span.metrics.calls{\(own)} 1", "traces.span.metrics.events{\(own),event.kind=retry} 2",
                "traces.span.metrics.events{\(own),event.kind=fail} 1",
            ])
        #expect(harness.finish() == [])
    }

    @Test("Exemplars name spans, up to the limit, once")
    func exemplars() throws {
        let harness = connector("exemplars {\nenabled = true\nmax_per_data_point = 2\n}")
        func counts() throws -> [Int] {
            var counts: [Int] = []
            let walker = OTLPWalker()
            for batch in harness.otlp.take() {
                try walker.walk(batch, to: .point) { level in
                    guard level == .point else { return .keep }
                    let isSum = walker.metricKind == .sum
                    counts.append(
                        walker.point.count(isSum ? OTLPField.NumberPoint.exemplars : OTLPField.HistogramPoint.exemplars)
                    )
                    return .keep
                }
            }
            return counts
        }
        try send(batch([Span(), Span(), Span()]), to: harness)
        harness.advance(by: .seconds(60))
        #expect(try counts() == [2, 2])
        harness.advance(by: .seconds(60))
        #expect(try counts() == [0, 0])
        #expect(harness.finish() == [])
    }

    @Test("Exponential histograms hold every value within their size")
    func exponential() throws {
        let harness = connector("", explicit: "exponential {}")
        try send(batch([0, 1, 2, 3, 1000, 60_000].map { Span(milliseconds: $0) }), to: harness)
        harness.advance(by: .seconds(60))
        #expect(points(harness).last == "traces.span.metrics.duration{\(own)} 6 61006.0 zero=1 0.0-60000.0")
        #expect(harness.finish() == [])
        for size in [2, 3, 160] {
            var histogram = ExponentialHistogram()
            let values = (0..<400).map { pow(1.07, Double($0 - 100)) } + [1, 2, 4, 1024, 0.5, 1e-9, 1e15]
            for value in values { histogram.add(value, maximumSize: size) }
            #expect(histogram.counts.count <= size)
            #expect(histogram.counts.reduce(0, +) == UInt64(values.count))
            // Each value lies in its bucket: above the lower bound, not above the upper one.
            for value in values {
                let index = ExponentialHistogram.index(of: value, scale: histogram.scale)
                let width = pow(2, -Double(histogram.scale))
                #expect(value <= pow(2, Double(index + 1) * width) * (1 + 1e-12))
                #expect(value >= pow(2, Double(index) * width) * (1 - 1e-12))
            }
        }
        // Powers of two are upper bounds, at every scale.
        #expect(ExponentialHistogram.index(of: 8, scale: 3) == 23)
        #expect(ExponentialHistogram.index(of: 8, scale: 0) == 2)
        #expect(ExponentialHistogram.index(of: 8, scale: -1) == 1)
        #expect(ExponentialHistogram.index(of: 9, scale: 0) == 3)
    }

    @Test("Spans without a service are dropped and counted, other signals refused, refused metrics sent again")
    func books() throws {
        let harness = connector("")
        try send(batch([Span(), Span()], service: nil), to: harness)
        #expect(harness.instance.ledger.statement.dropped.map(\.items) == [2])
        #expect(throws: DeliveryError.self) { try send(PipelineTests.logs(["a"]), to: harness) }
        try send(batch([Span()]), to: harness)
        harness.otlp.refuse { _ in .retry("later") }
        harness.advance(by: .seconds(61))
        #expect(harness.instance.ledger.statement.heldItems == 2)
        harness.otlp.refuse(nil)
        harness.advance(by: .seconds(10))
        #expect(points(harness).count == 2)
        harness.otlp.refuse { _ in .rejected(.limit, "never") }
        harness.advance(by: .seconds(60))
        #expect(harness.instance.ledger.statement.heldItems == 0)
        #expect(harness.finish() == [])
    }

    @Test(
        "Arguments that cannot work are refused, those without effect are warned of",
        arguments: [
            ("histogram {}", "either exponential or explicit"),
            ("histogram {\nexplicit {}\nexponential {}\n}", "only one of"),
            ("histogram {\nexplicit {}\nunit = \"h\"\n}", "should be one of"),
            ("histogram { explicit { buckets = [\"2ms\", \"1ms\"] } }", "ascending"),
            ("histogram { exponential { max_size = 1 } }", "between 2 and 16384"),
            ("histogram { explicit {} }\nmetrics_flush_interval = \"0s\"", "must be greater than 0"),
            ("histogram { explicit {} }\naggregation_temporality = \"SOMETIMES\"", "should be one of"),
            ("histogram { explicit {} }\nevents { enabled = true }", "is required when events are enabled"),
            ("histogram { explicit {} }\ndimension { name = \"span.name\" }", "duplicate dimension name"),
            ("histogram { explicit {} }\ndimension { default = \"x\" }", "exactly one of name and glob"),
            ("histogram { explicit {} }\ndimension {\nglob = \"a*\"\ndefault = \"x\"\n}", "is not supported with glob"),
            ("histogram { explicit {} }\ndimensions_cache_size = 10", "has no effect"),
            ("histogram { explicit {} }\nmetric_timestamp_cache_size = 10", "has no effect"),
        ])
    func problems(body: String, problem: String) {
        let harness = ComponentHarness(OtelcolConnectorSpanMetrics.self)
        let problems = harness.evaluate(body + "\noutput { metrics = [recorder.otlp] }")
        #expect(problems.contains { $0.contains(problem) }, "\(problems)")
    }
}

extension String {
    fileprivate func replacing(_ old: String, _ new: String) -> String {
        split(separator: old, omittingEmptySubsequences: false).joined(separator: new)
    }
}
