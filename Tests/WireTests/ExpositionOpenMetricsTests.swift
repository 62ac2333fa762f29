import Telemetry
import Testing
import Wire

@Suite("OpenMetrics text")
struct ExpositionOpenMetricsTests {
    private func check(
        _ body: String, _ expected: [String], exemplars: [String] = [],
        _ configure: (inout ExpositionOptions) -> Void = { _ in }, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        for pieces in [Int.max, 1, 5] {
            var bench = ScrapeBench(configure)
            let batch = try bench.scrape(body, .openMetricsText, pieces: pieces)
            #expect(batch.lines == expected, "in pieces of \(pieces)", sourceLocation: sourceLocation)
            #expect(batch.exemplarLines == exemplars, "in pieces of \(pieces)", sourceLocation: sourceLocation)
            let again = try bench.scrape(body, .openMetricsText, pieces: pieces)
            #expect(again.lines == expected, "again, in pieces of \(pieces)", sourceLocation: sourceLocation)
        }
    }

    @Test("Reads samples with timestamps in seconds")
    func samples() throws {
        try check("a 1\n# EOF\n", ["a 1.0 @1000"])
        try check("a 1\n# EOF", ["a 1.0 @1000"])
        try check("# EOF", [])
        try check("a{b=\"c\",} 1 1.5\n# EOF\n", [#"a{b="c"} 1.0 @1500"#])
        try check(
            "# TYPE a_seconds counter\n# UNIT a_seconds seconds\n# HELP a_seconds x\na_seconds_total 1\n# EOF\n",
            ["a_seconds_total 1.0 @1000"])
        try check(
            "# TYPE s stateset\ns{s=\"x\"} 1\n# TYPE i info\ni_info{v=\"1\"} 1\n# EOF\n",
            [#"s{s="x"} 1.0 @1000"#, #"i_info{v="1"} 1.0 @1000"#])
    }

    @Test("Reads exemplars, and each only once while it stays the same")
    func exemplars() throws {
        try check(
            "# TYPE a counter\na_total 17 # {trace_id=\"x\"} 0.5 1.25\nb 1 2 # {} 3\n# EOF\n",
            ["a_total 17.0 @1000", "b 1.0 @2000"],
            exemplars: [#"a_total # {trace_id="x"} 0.5 @1250"#, "b # {} 3.0 @2000"])
        var bench = ScrapeBench()
        let body = "a_total 17 # {t=\"x\"} 0.5\n# EOF\n"
        #expect(try bench.scrape(body, .openMetricsText).exemplars.count == 1)
        #expect(try bench.scrape(body, .openMetricsText).exemplars.isEmpty)
        #expect(try bench.scrape(body.replacing("x", with: "y"), .openMetricsText).exemplars.count == 1)
    }

    @Test("Takes _created lines as series, or as start times and zero samples where asked")
    func created() throws {
        let body = """
            # TYPE a counter
            a_total{x="1"} 17 2
            a_created{x="1"} 0.5
            a_total{x="2"} 18 2
            # TYPE h histogram
            h_bucket{le="1.0"} 1
            h_bucket{le="+Inf"} 2
            h_count 2
            h_sum 3
            h_created 0.25
            # EOF

            """
        var plain = ScrapeBench()
        #expect(try plain.scrape(body, .openMetricsText).lines.count == 8)
        var bench = ScrapeBench {
            $0.readsStartTimestamps = true
            $0.injectsZeroSamples = true
        }
        for time: Int64 in [1000, 2000] {
            let batch = try bench.scrape(body, .openMetricsText, at: time)
            let starts = batch.startTimestamps.map { "\(batch.table[$0.series].text) \($0.milliseconds)" }
            #expect(
                starts == [
                    #"a_total{x="1"} 500"#, #"h_bucket{le="1.0"} 250"#, #"h_bucket{le="+Inf"} 250"#, "h_count 250",
                    "h_sum 250",
                ])
            let zeros = batch.lines.filter { $0.contains(" 0.0 @") }
            // Only a start that is new makes a zero sample.
            #expect(zeros.count == (time == 1000 ? 5 : 0), "\(batch.lines)")
            #expect(batch.lines.contains { $0.contains("_created") } == false)
            if time == 1000 { #expect(batch.lines.first == #"a_total{x="1"} 0.0 @500"#) }
        }
        let restarted = try bench.scrape(body.replacing("0.25", with: "2.5"), .openMetricsText, at: 3000)
        #expect(restarted.lines.filter { $0.contains(" 0.0 @2500") }.count == 4)
    }

    @Test(
        "Refuses what Prometheus refuses",
        arguments: [
            ("a 1\n", "data does not end with # EOF"), ("a 1", "data does not end with # EOF"),
            ("a 1\n# EO", "data does not end with # EOF"),
            ("a 1\n# EOF\na 2\n", "unexpected data after # EOF"), ("\n# EOF\n", "empty line"),
            ("a  1\n# EOF\n", "expected a value after the series"), (" a 1\n# EOF\n", "expected a metric name"),
            ("a{b=\"c\" d=\"e\"} 1\n# EOF\n", "expected a comma or a closing brace"),
            ("a{ b=\"c\"} 1\n# EOF\n", "expected a label name"), ("#comment\n# EOF\n", "expected a space after #"),
            ("# comment\n# EOF\n", "expected HELP, TYPE, UNIT or EOF"),
            ("# HELP a\n# EOF\n", "expected a space after the metric name"),
            ("# TYPE a untyped\n# EOF\n", "invalid metric type"), ("# UNIT a seconds\n# EOF\n", "is not a suffix"),
            ("# UNIT aseconds seconds\n# EOF\n", "is not a suffix"), ("a 1 x\n# EOF\n", "invalid timestamp"),
            ("a 1 NaN\n# EOF\n", "invalid timestamp"),
            ("a 1 1 1\n# EOF\n", "expected an exemplar or the end of the line"),
            ("a 1 # {a=\"b\"}\n# EOF\n", "expected a value after the exemplar's labels"),
            ("a 1 # {a=\"b\"} x\n# EOF\n", "invalid exemplar value"),
            ("a 1 # {\"n\"} 1\n# EOF\n", "expected a label name"),
            ("a 1 # {a=\"b\"} 1 1 1\n# EOF\n", "expected the end of the line after the exemplar"),
            ("a{b=\"c\nd\"} 1\n# EOF\n", "quoted string without an end"),
        ] as [(String, String)])
    func refusals(body: String, message: String) {
        for pieces in [Int.max, 1] {
            var bench = ScrapeBench()
            do {
                _ = try bench.scrape(body, .openMetricsText, pieces: pieces)
                Issue.record("accepted \(body)")
            } catch {
                #expect(error.description.contains(message), "\(error) for \(body)")
            }
        }
    }

    @Test("Tells formats apart by their content type, and falls back where it must")
    func contentTypes() throws {
        func check(
            _ header: String?, _ fallback: ScrapeProtocol?, _ expected: ExpositionFormat?,
            sourceLocation: SourceLocation = #_sourceLocation
        ) {
            #expect(
                (try? ExpositionFormat(contentType: header, fallback: fallback)) == expected,
                sourceLocation: sourceLocation)
        }
        check("text/plain; version=0.0.4; charset=utf-8", nil, .prometheusText)
        check("Text/Plain", nil, .prometheusText)
        check("application/openmetrics-text; version=1.0.0", .prometheusText004, .openMetricsText)
        check(
            "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited", nil,
            .prometheusProtobuf)
        check("", .openMetricsText001, .openMetricsText)
        check(nil, nil, nil)
        check("text/html", nil, nil)
        check("text/html", .prometheusText004, .prometheusText)
        check("text/plain; version", .prometheusProtobuf, .prometheusProtobuf)
    }

    @Test("Asks for protocols in order of preference")
    func acceptHeader() {
        #expect(
            ScrapeProtocol.acceptHeader(ScrapeProtocol.standard, escaping: .underscores)
                == "application/openmetrics-text;version=1.0.0;escaping=underscores;q=0.6,"
                + "application/openmetrics-text;version=0.0.1;q=0.5,"
                + "text/plain;version=1.0.0;escaping=underscores;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2")
    }
}
