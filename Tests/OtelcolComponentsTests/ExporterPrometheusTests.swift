import ComponentKit
import Telemetry
import TestKit
import Testing
import Wire

@testable import OtelcolComponents

@Suite("otelcol.exporter.prometheus")
struct ExporterPrometheusTests {
    private func harness(_ body: String = "") -> ComponentHarness {
        let harness = ComponentHarness(OtelcolExporterPrometheus.self)
        #expect(harness.start("forward_to = [recorder.metrics]\n" + body) == [])
        return harness
    }

    private func attribute(_ key: String, _ value: String) -> String {
        "{\"key\":\"\(key)\",\"value\":{\"stringValue\":\"\(value)\"}}"
    }

    /// A metric of a resource with an identity and one more attribute.
    private func batch(
        _ name: String, unit: String = "", _ field: String, _ points: String, _ data: String = "", scope: String = "lib"
    ) throws -> OTLPBatch {
        let resource = [
            attribute("service.name", "cart"), attribute("service.namespace", "shop"),
            attribute("service.instance.id", "i1"),
            attribute("zone.id", "eu"),
        ].joined(separator: ",")
        return try OTLPSample.batch(
            .metrics,
            """
            {"resourceMetrics":[{"resource":{"attributes":[\(resource)]},"scopeMetrics":[{"scope":{"name":"\(scope)"},
            "metrics":[{"name":"\(name)","unit":"\(unit)","\(field)":{"dataPoints":[\(points)]\(data.isEmpty ? "" : ",\(data)")}}]}]}]}
            """)
    }

    private let cumulative = "\"aggregationTemporality\":2,\"isMonotonic\":true"
    private let own = "job=\"shop/cart\", instance=\"i1\""

    /// `name{labels} value @milliseconds` without target_info.
    private func samples(_ harness: ComponentHarness) -> [String] {
        harness.metrics.take().flatMap { batch in
            batch.series.indices.map { row in
                "\(batch.table[batch.series[row]]) \(batch.values[row]) @\(batch.timestamps[row])"
            }
        }.filter { !$0.contains("target_info") }
    }

    @Test("Names have unit and kind, labels the scope and the point's attributes, target_info the rest of the resource")
    func names() throws {
        let harness = harness()
        let point =
            "{\"timeUnixNano\":\"5000000\",\"asInt\":\"3\",\"attributes\":[\(attribute("http.route", "/x")),\(attribute("1st", "a"))]}"
        try harness.send(batch("http.requests", unit: "By", "sum", point, cumulative))
        let all = harness.metrics.take()
        let batch = try #require(all.first)
        let lines = batch.series.indices.map { "\(batch.table[batch.series[$0]]) \(batch.values[$0])" }
        #expect(
            lines == [
                "{__name__=\"target_info\", instance=\"i1\", job=\"shop/cart\", zone_id=\"eu\"} 1.0",
                "{__name__=\"http_requests_bytes_total\", http_route=\"/x\", instance=\"i1\", job=\"shop/cart\", "
                    + "key_1st=\"a\", otel_scope_name=\"lib\"} 3.0",
            ])
        #expect(batch.timestamps[1] == 5)
        let statement = harness.instance.ledger.statement
        #expect(statement.incoming == 1 && statement.merged == 1 && statement.created == 2 && statement.outgoing == 2)
        #expect(harness.finish() == [])
    }

    @Test(
        "Units and kinds in names",
        arguments: [
            ("system.cpu.time", "s", OTLPMetricKind.sum, true, "system_cpu_time_seconds_total"),
            ("a.seconds", "s", .gauge, false, "a_seconds"), ("ratio", "1", .gauge, false, "ratio"),
            ("used", "1", .gauge, false, "used_ratio"), ("queue", "{items}", .gauge, false, "queue"),
            ("speed", "m/s", .gauge, false, "speed_meters_per_second"), ("2xx", "", .gauge, false, "_2xx"),
            ("total.errors", "", .sum, true, "errors_total"), ("a:b-c", "By/{op}", .gauge, false, "a_b_c_bytes"),
        ])
    func suffixes(name: String, unit: String, kind: OTLPMetricKind, isMonotonic: Bool, expected: String) {
        #expect(PrometheusName.metric(name, unit: unit, kind, isMonotonic: isMonotonic, addsSuffixes: true) == expected)
    }

    @Test("Without suffixes, scope labels and target_info, and with the resource's attributes as labels")
    func options() throws {
        let harness = harness(
            """
            add_metric_suffixes = false
            include_scope_labels = false
            include_target_info = false
            include_scope_info = true
            resource_to_telemetry_conversion = true
            """)
        try harness.send(
            batch(
                "a:b.c", unit: "By", "gauge",
                "{\"timeUnixNano\":\"5000000\",\"asDouble\":0.5,\"attributes\":[\(attribute("zone.id", "us"))]}"))
        let found = samples(harness)
        #expect(
            found.map { $0.split(separator: " @")[0] } == [
                "{__name__=\"otel_scope_info\", instance=\"i1\", job=\"shop/cart\", otel_scope_name=\"lib\"} 1.0",
                "{__name__=\"a:b_c\", instance=\"i1\", job=\"shop/cart\", service_instance_id=\"i1\", service_name=\"cart\", "
                    + "service_namespace=\"shop\", zone_id=\"eu\"} 0.5",
            ])
        #expect(harness.finish() == [])
    }

    @Test("Histograms become buckets that add up, with exemplars at their bucket, or native ones with custom buckets")
    func histograms() throws {
        let exemplar =
            "\"exemplars\":[{\"timeUnixNano\":\"4000000\",\"asDouble\":1.5,\"traceId\":\"0102030405060708090a0b0c0d0e0f10\"}]"
        let point =
            "{\"timeUnixNano\":\"5000000\",\"count\":\"6\",\"sum\":9.5,\"bucketCounts\":[\"1\",\"2\",\"3\"],\"explicitBounds\":[1,2],\(exemplar)}"
        let classic = harness("include_scope_labels = false")
        try classic.send(batch("h", unit: "s", "histogram", point, cumulative))
        let batches = classic.metrics.batches
        func line(_ name: String, _ label: String, _ value: Double) -> String {
            "{__name__=\"h_seconds_\(name)\", instance=\"i1\", job=\"shop/cart\"\(label)} \(value) @5"
        }
        #expect(batches[0].exemplars.map { batches[0].table[$0.series]["le"] } == ["2"])
        #expect(batches[0].exemplars[0].labels.description == "{trace_id=\"0102030405060708090a0b0c0d0e0f10\"}")
        #expect(
            samples(classic) == [
                line("sum", "", 9.5), line("count", "", 6), line("bucket", ", le=\"1\"", 1),
                line("bucket", ", le=\"2\"", 3),
                line("bucket", ", le=\"+Inf\"", 6),
            ])
        #expect(classic.finish() == [])

        let native = ComponentHarness(OtelcolExporterPrometheus.self)
        #expect(native.start("forward_to = [recorder.metrics]\nconvert_classic_histograms_to_nhcb = true") == [])
        try native.send(batch("h", "histogram", point, cumulative))
        let histogram = try #require(native.metrics.batches.first?.histograms.first).histogram
        #expect(histogram.schema == -53 && histogram.customBounds == [1, 2] && histogram.count == 6)
        #expect(histogram.buckets == .deltas(positive: [1, 1, 1], negative: []))
        #expect(native.finish() == [])
    }

    @Test("Exponential histograms become native ones: buckets by their upper bound, at most schema 8, gaps as spans")
    func exponential() throws {
        let harness = harness()
        let point =
            "{\"timeUnixNano\":\"5000000\",\"count\":\"10\",\"sum\":3,\"scale\":1,\"zeroCount\":\"1\",\"positive\":{\"offset\":-1,"
            + "\"bucketCounts\":[\"2\",\"0\",\"4\",\"0\",\"0\",\"0\",\"3\"]}}"
        try harness.send(batch("e", "exponentialHistogram", point, cumulative))
        let histogram = try #require(harness.metrics.batches.first?.histograms.first).histogram
        #expect(histogram.schema == 1 && histogram.zeroCount == 1 && histogram.zeroThreshold == 1e-128)
        #expect(histogram.positiveSpans == [.init(offset: 0, length: 3), .init(offset: 3, length: 1)])
        #expect(histogram.buckets == .deltas(positive: [2, -2, 4, -1], negative: []))
        try harness.send(
            batch("e", "exponentialHistogram", point.replacing("\"scale\":1", with: "\"scale\":10"), cumulative))
        try harness.send(
            batch("e", "exponentialHistogram", point.replacing("\"scale\":1", with: "\"scale\":-5"), cumulative))
        #expect(harness.metrics.batches[1].histograms.map(\.histogram.schema) == [8])
        #expect(harness.instance.ledger.statement.dropped.map { "\($0.reason) \($0.items)" } == ["malformed 1"])
        #expect(harness.finish() == [])
    }

    @Test("Summaries, stale points, late points and deltas")
    func others() throws {
        let harness = harness("include_scope_labels = false\ninclude_target_info = false")
        try harness.send(
            batch(
                "s", "summary",
                "{\"timeUnixNano\":\"5000000\",\"count\":\"2\",\"sum\":3,\"quantileValues\":[{\"quantile\":0.5,\"value\":1}]}"
            ))
        let base = "instance=\"i1\", job=\"shop/cart\""
        #expect(
            samples(harness) == [
                "{__name__=\"s_sum\", \(base)} 3.0 @5", "{__name__=\"s_count\", \(base)} 2.0 @5",
                "{__name__=\"s\", \(base), quantile=\"0.5\"} 1.0 @5",
            ])
        try harness.send(batch("g", "gauge", "{\"timeUnixNano\":\"6000000\",\"flags\":1}"))
        #expect(Sample.isStale(harness.metrics.take()[0].values[0]))
        try harness.send(batch("g", "gauge", "{\"timeUnixNano\":\"5000000\",\"asInt\":\"1\"}"))
        try harness.send(
            batch("d", "sum", "{\"timeUnixNano\":\"6000000\",\"asInt\":\"1\"}", "\"aggregationTemporality\":1"))
        #expect(samples(harness) == [])
        #expect(
            Set(harness.instance.ledger.statement.dropped.map { "\($0.reason) \($0.items)" })
                == ["out_of_order 1", "unsupported_temporality 1"])
        #expect(harness.finish() == [])
    }

    @Test("A zero marks the start of a counter once, and metadata goes along when asked for")
    func experimental() throws {
        let harness = harness(
            "start_timestamp_zero_ingestion = true\nhonor_metadata = true\ninclude_scope_labels = false\ninclude_target_info = false"
        )
        for (value, time) in [(3, 5), (4, 6)] {
            let point = "{\"startTimeUnixNano\":\"2000000\",\"timeUnixNano\":\"\(time)000000\",\"asInt\":\"\(value)\"}"
            try harness.send(batch("c", "sum", point, cumulative))
        }
        #expect(harness.metrics.batches[0].metadata == [MetricMetadata(family: "c_total", kind: .counter)])
        #expect(samples(harness).compactMap { $0.split(separator: "} ").last } == ["0.0 @2", "3.0 @5", "4.0 @6"])
        #expect(harness.finish() == [])
    }

    @Test("Series without points for two rounds are forgotten, the others keep their labels")
    func forgetting() throws {
        let harness = harness("gc_frequency = \"10s\"\ninclude_target_info = false")
        let point = "{\"timeUnixNano\":\"5000000\",\"asInt\":\"1\"}"
        try harness.send(batch("a", "gauge", point))
        try harness.send(batch("b", "gauge", point))
        harness.advance(by: .seconds(11))
        try harness.send(batch("b", "gauge", point))
        harness.advance(by: .seconds(10))
        _ = harness.metrics.take()
        try harness.send(batch("b", "gauge", point))
        let batch = try #require(harness.metrics.take().first)
        #expect(batch.table.count == 1 && batch.table[0]["__name__"] == "b")
        #expect(harness.finish() == [])
    }
}
