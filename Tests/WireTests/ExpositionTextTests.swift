import Telemetry
import Testing
import Wire

@Suite("Prometheus text")
struct ExpositionTextTests {
    private func check(
        _ body: String, _ expected: [String], _ configure: (inout ExpositionOptions) -> Void = { _ in },
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        for pieces in [Int.max, 1, 3, 17] {
            var bench = ScrapeBench(configure)
            let batch = try bench.scrape(body, pieces: pieces)
            #expect(batch.lines == expected, "in pieces of \(pieces)", sourceLocation: sourceLocation)
            // The second time every line is predicted, and must mean the same.
            let again = try bench.scrape(body, pieces: pieces)
            #expect(again.lines == expected, "again, in pieces of \(pieces)", sourceLocation: sourceLocation)
        }
    }

    @Test("Reads names, labels, values and timestamps however they are spaced")
    func samples() throws {
        try check("a 1\n", ["a 1.0 @1000"])
        try check("a 1", ["a 1.0 @1000"])
        try check("\n\n  \n# just a comment\n#\na 1\n", ["a 1.0 @1000"])
        try check("a{} 2\n", ["a 2.0 @1000"])
        try check(" a\t{ b = \"c\" , d=\"e\", }\t 3 \n", [#"a{b="c", d="e"} 3.0 @1000"#])
        try check("a{b=\"c\" d=\"e\"} 4\n", [#"a{b="c", d="e"} 4.0 @1000"#])
        try check("a{b=\"c\"}5\n", [#"a{b="c"} 5.0 @1000"#])
        try check("a:b_c 6 77\n", ["a:b_c 6.0 @77"])
        try check("a 1 7\nb 2\n", ["a 1.0 @7", "b 2.0 @1000"])
        try check("a{z=\"1\",b=\"2\"} 1\n", [#"a{b="2", z="1"} 1.0 @1000"#])
        try check("a{b=\"\"} 1\n", ["a 1.0 @1000"])
    }

    @Test("Reads every spelling of a number")
    func numbers() throws {
        try check(
            "a +Inf\nb -Inf\nc NaN\nd nan\ne inf\n",
            ["a inf @1000", "b -inf @1000", "c nan @1000", "d nan @1000", "e inf @1000"])
        try check(
            "a 1e3\nb -2.5E-1\nc .5\nd 5.\ne +7\n",
            ["a 1000.0 @1000", "b -0.25 @1000", "c 0.5 @1000", "d 5.0 @1000", "e 7.0 @1000"])
        try check(
            "a 0.1\nb 123456789012345678\nc 1e-320\n",
            ["a 0.1 @1000", "b 1.2345678901234568e+17 @1000", "c 1e-320 @1000"])
    }

    @Test("Makes every NaN the ordinary one")
    func normalNaN() throws {
        var bench = ScrapeBench()
        for _ in 0..<2 {
            let batch = try bench.scrape("a NaN\n")
            #expect(batch.values.map(\.bitPattern) == [Sample.normalNaN.bitPattern])
        }
    }

    @Test("Unescapes label values and allows line feeds and any UTF-8 in them")
    func labelValues() throws {
        try check(#"a{b="x\"y\\z\nw\q"} 1"#, ["a{b=\"x\\\"y\\\\z\\nw\\\\q\"} 1.0 @1000"])
        try check("a{b=\"one\ntwo\"} 1\nc 2\n", ["a{b=\"one\\ntwo\"} 1.0 @1000", "c 2.0 @1000"])
        try check("a{b=\"\u{00e9}}{,=\"} 1\n", ["a{b=\"\u{00e9}}{,=\"} 1.0 @1000"])
        try check("a{b=\"n\u{0}l\"} 1\n", ["a{b=\"n\u{0}l\"} 1.0 @1000"])
    }

    @Test("Reads quoted names where UTF-8 names are accepted")
    func quotedNames() throws {
        let utf8: (inout ExpositionOptions) -> Void = { $0.nameValidation = .utf8 }
        try check(#"{"my.metric", a="b"} 1"#, [#"my.metric{a="b"} 1.0 @1000"#], utf8)
        try check(#"{"my.metric"} 1"#, ["my.metric 1.0 @1000"], utf8)
        try check(#"{a="b", "my.metric"} 1"#, [#"my.metric{a="b"} 1.0 @1000"#], utf8)
        try check(#"{"q\"x", "l.n"="v",} 1"#, [#"q"x{l.n="v"} 1.0 @1000"#], utf8)
        try check("# TYPE \"my.metric\" counter\n{\"my.metric\"} 1\n", ["my.metric 1.0 @1000"], utf8)
        try check(#"{"plain", a="b"} 1"#, [#"plain{a="b"} 1.0 @1000"#])
    }

    @Test("Writes the bounds of histograms and summaries as floats")
    func bounds() throws {
        try check(
            "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 1\nh_bucket{le=\"1000000\"} 2\n",
            [#"h_bucket{le="1.0"} 1.0 @1000"#, #"h_bucket{le="+Inf"} 1.0 @1000"#, #"h_bucket{le="1e+06"} 2.0 @1000"#])
        try check("# TYPE s summary\ns{quantile=\"0\"} 1\n", [#"s{quantile="0.0"} 1.0 @1000"#])
        try check("# TYPE g gauge\ng{le=\"1\"} 1\n", [#"g{le="1"} 1.0 @1000"#])
    }

    @Test("Leaves timestamps out where they are not honoured")
    func ignoredTimestamps() throws {
        try check("a 1 7\nb 2 8\n", ["a 1.0 @1000", "b 2.0 @1000"]) { $0.honorsTimestamps = false }
    }

    @Test(
        "Refuses what Prometheus refuses, and says where and why",
        arguments: [
            ("a\n", "line 1: expected a value after the series"),
            ("a 1\nb\n", "line 2: expected a value after the series"),
            ("a true\n", "invalid value, got \"true\""),
            ("a 0x1p-3\n", "invalid value"), ("a 1_2\n", "invalid value"), ("a 1e999\n", "invalid value"),
            ("a 1 2 3\n", "expected the end of the line after the timestamp"),
            ("a 0 1_2\n", "expected the end of the line after the timestamp"),
            ("a 0 -5\n", "expected a timestamp or the end of the line"),
            ("a 0 99999999999999999999\n", "timestamp out of range"),
            ("a{b='c'} 1\n", "expected a quoted label value"),
            ("a{b=\n", "expected a quoted label value"),
            ("a{b=\"c\"\n", "expected a label name"),
            ("a{b=\"c\",,} 1\n", "expected a label name"),
            ("a{,} 1\n", "expected a label name"),
            ("a{9b=\"c\"} 1\n", "expected a label name"),
            ("a{b} 1\n", "expected = after a label name"),
            ("a{b=\"c} 1\n", "quoted string without an end"),
            ("9a 1\n", "expected a metric name"),
            ("{a=\"b\"} 1\n", "no metric name in the braces"),
            ("a{\"b\"} 1\n", "metric name given twice"),
            ("# TYPE a wrong\n", "invalid metric type \"wrong\""),
            ("# TYPE a\n", "invalid metric type"),
            ("# TYPE 9 counter\n", "expected a metric name"),
            ("a{b=\"1\",b=\"2\"} 1\n", "label name \"b\" is not unique"),
            ("a{__name__=\"x\"} 1\n", "is not unique"),
            ("{\"my.metric\"} 1\n", "invalid metric name or label names"),
            ("a{\"l.n\"=\"v\"} 1\n", "invalid metric name or label names"),
        ] as [(String, String)])
    func refusals(body: String, message: String) {
        for pieces in [Int.max, 1] {
            var bench = ScrapeBench()
            do {
                _ = try bench.scrape(body, pieces: pieces)
                Issue.record("accepted \(body)")
            } catch {
                #expect(error.description.contains(message), "\(error) for \(body)")
            }
        }
    }

    @Test("Refuses invalid UTF-8 in label values and help texts")
    func invalidUTF8() {
        for body in [Array("a{b=\"".utf8) + [0xFF] + Array("\"} 1\n".utf8), Array("# HELP a ".utf8) + [0xC3, 10]] {
            var bench = ScrapeBench()
            #expect(throws: ExpositionError.self) { _ = try bench.scrape(body) }
        }
    }

    @Test("Fails the whole scrape and stores nothing of it when one line is bad")
    func nothingPartial() throws {
        var bench = ScrapeBench()
        _ = try bench.scrape("a 1\nb 2\n", at: 1000)
        #expect(throws: ExpositionError.self) { _ = try bench.scrape("a 1\nbroken\n", at: 2000) }
        #expect(bench.reader.takeBatch().lines == ["a stale @2000", "b stale @2000"])
        #expect(bench.reader.counts.scraped == 1)
        #expect(try bench.scrape("a 3\n", at: 3000).lines == ["a 3.0 @3000"])
        #expect(bench.reader.counts.seriesAdded == 0)
    }

    @Test("Collects help and type of families and tells what changed")
    func metadata() throws {
        var bench = ScrapeBench { $0.collectsMetadata = true }
        let body = "# HELP a All the \\\\ of\\nit\n# TYPE a counter\na 1\n# HELP b\n# TYPE c untyped\n"
        let first = try bench.scrape(body)
        #expect(
            first.metadata == [
                MetricMetadata(family: "a", kind: .counter, help: "All the \\ of\nit"),
                MetricMetadata(family: "c", kind: .unknown),
            ] || first.metadata.count == 3)
        #expect(try bench.scrape(body).metadata.isEmpty)
        let changed = try bench.scrape(body.replacing("All", with: "Some"))
        #expect(changed.metadata == [MetricMetadata(family: "a", kind: .counter, help: "Some the \\ of\nit")])
        let back = try bench.scrape(body)
        #expect(back.metadata == [MetricMetadata(family: "a", kind: .counter, help: "All the \\ of\nit")])
    }

    @Test("Adds type and unit labels where asked for")
    func typeLabels() throws {
        try check(
            "# TYPE a counter\na{__type__=\"x\",b=\"c\"} 1\nb 2\n",
            [#"a{__type__="counter", b="c"} 1.0 @1000"#, #"b{__type__="counter"} 2.0 @1000"#]
        ) { $0.addsTypeAndUnitLabels = true }
    }
}
