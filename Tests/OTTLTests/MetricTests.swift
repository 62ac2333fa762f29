import Telemetry
import Testing
import Wire

@testable import OTTL

@Suite("OTTL metrics")
struct MetricTests {
    private static func number(_ value: OTLPNumber, _ attributes: (String, String)...) -> (OTLPMessage) -> Void {
        { point in
            OTLPNumberPoint(point).value = value
            for (key, text) in attributes { point.attributes.set(OTLPKey(key), to: text) }
        }
    }

    private static let histogram: @Sendable (OTLPMessage) -> Void = { point in
        let histogram = OTLPHistogramPoint(point)
        histogram.count = 17
        histogram.sum = 9.5
        point.set(OTLPField.HistogramPoint.bucketCounts, packedFixed64: [5, 8, 3, 1])
        point.set(OTLPField.HistogramPoint.explicitBounds, packedFixed64: [0.1, 0.5, 1.0].map(\.bitPattern))
    }

    private static let summary: @Sendable (OTLPMessage) -> Void = { point in
        let summary = OTLPSummaryPoint(point)
        summary.count = 3
        summary.sum = 1.5
        let quantile = OTLPMessage()
        quantile.clear(as: .other)
        quantile.set(OTLPField.Quantile.quantile, double: 0.5)
        quantile.set(OTLPField.Quantile.value, double: 7)
        quantile.encoded.withRawBytes { point.append(OTLPField.SummaryPoint.quantiles, message: $0) }
    }

    /// Each metric as text: name, kind, unit, temporality and points.
    private static func describe(_ batch: OTLPBatch) throws -> [String] {
        var lines: [String] = []
        let walker = OTLPWalker()
        try walker.walk(batch, to: .point) { level in
            if level == .item {
                let metric = walker.metric
                let name = String(decoding: metric.name, as: UTF8.self)
                let unit = String(decoding: metric.unit, as: UTF8.self)
                let kind = walker.metricKind.map { "\($0)" } ?? "none"
                lines.append("\(name) \(kind) \(unit) \(metric.aggregationTemporality) \(metric.isMonotonic)")
            }
            guard level == .point else { return .keep }
            var text = ""
            switch walker.metricKind {
            case .gauge, .sum:
                switch OTLPNumberPoint(walker.point).value {
                case .int(let value)?: text = "\(value)"
                case .double(let value)?: text = "\(value)d"
                case nil: text = "-"
                }
            case .histogram:
                let histogram = OTLPHistogramPoint(walker.point)
                var counts: [UInt64] = []
                var bounds: [Double] = []
                histogram.forEachBucketCount { counts.append($0) }
                histogram.forEachBound { bounds.append($0) }
                text = "\(histogram.count) \(histogram.sum ?? -1) \(bounds) \(counts)"
            case .summary:
                let summary = OTLPSummaryPoint(walker.point)
                text = "\(summary.count) \(summary.sum)"
                summary.forEachQuantile { text += " \($0)=\($1)" }
            case .exponentialHistogram:
                let histogram = OTLPExponentialHistogramPoint(walker.point)
                text = "\(histogram.count)"
                histogram.buckets(OTLPField.ExponentialHistogramPoint.positive) { offset, buckets in
                    text += " @\(offset)"
                    buckets.forEachVarint(OTLPField.Buckets.counts) { text += " \($0)" }
                }
            case nil: break
            }
            walker.point.attributes.forEach { key, value in
                text += " \(String(decoding: key, as: UTF8.self))=\(value.string ?? "?")"
            }
            lines.append("  " + text)
            return .keep
        }
        return lines
    }

    private static func check(
        _ statements: [String], _ batch: OTLPBatch, _ expected: [String], in context: OTTLContext = .metric,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let result = try Fixture.run(statements, on: batch, in: context)
        #expect(try describe(result) == expected, sourceLocation: sourceLocation)
    }

    private static func sum(_ data: OTLPMessage) {
        data.set(OTLPField.MetricData.aggregationTemporality, varint: 2)
        data.set(OTLPField.MetricData.isMonotonic, bool: true)
    }

    @Test("Kinds are converted")
    func conversions() throws {
        try Self.check(
            ["convert_sum_to_gauge()"], Fixture.metric(.sum, [Self.number(.int(5))], Self.sum),
            ["requests gauge 1 0 false", "  5"])
        try Self.check(
            ["convert_gauge_to_sum(\"delta\", true)"], Fixture.metric(.gauge, [Self.number(.int(5))]),
            ["requests sum 1 1 true", "  5"])
    }

    @Test("Metrics are extracted from histograms and summaries")
    func extraction() throws {
        let name = "metric.name == \"requests\""
        try Self.check(
            ["extract_count_metric(true) where \(name)", "extract_sum_metric(false, \".sum\") where \(name)"],
            Fixture.metric(.histogram, [Self.histogram]) {
                $0.set(OTLPField.MetricData.aggregationTemporality, varint: 1)
            },
            [
                "requests histogram 1 1 false", "  17 9.5 [0.1, 0.5, 1.0] [5, 8, 3, 1]", "requests_count sum 1 1 true",
                "  17", "requests.sum sum 1 1 false", "  9.5d",
            ])
        let summary = Fixture.metric(.summary, [Self.summary])
        let own = ["requests summary 1 0 false", "  3 1.5 0.5=7.0"]
        try Self.check(
            ["convert_summary_count_val_to_sum(\"cumulative\", false)"], summary,
            own + ["requests_count sum 1 2 false", "  3"])
        try Self.check(
            ["convert_summary_sum_val_to_sum(\"delta\", true)"], summary, own + ["requests_sum sum 1 1 true", "  1.5d"])
        try Self.check(
            ["convert_summary_sum_val_to_sum(\"delta\", true)"], summary,
            own + ["requests_sum sum 1 1 true", "  1.5d"],
            in: .datapoint)
        try Self.check(
            ["convert_summary_quantile_val_to_gauge()"], summary,
            own + ["requests.quantiles gauge 1 0 false", "  7.0d quantile=0.5"])
    }

    @Test("A copy goes through all statements, and one that copies itself without end is stopped")
    func copies() throws {
        let gauge = Fixture.metric(.gauge, [Self.number(.int(5))])
        try Self.check(
            [
                "copy_metric(name = \"copy\", unit = \"s\") where metric.name == \"requests\"",
                "scale_metric(2.0, \"ms\")",
            ],
            gauge, ["requests gauge ms 0 false", "  10", "copy gauge ms 0 false", "  10"])
        #expect(throws: OTTLError.self) { try Fixture.run(["copy_metric()"], on: gauge, in: .metric) }
    }

    @Test("Values, bounds and quantiles are scaled")
    func scaling() throws {
        try Self.check(
            ["scale_metric(10)"], Fixture.metric(.histogram, [Self.histogram]),
            ["requests histogram 1 0 false", "  17 95.0 [1.0, 5.0, 10.0] [5, 8, 3, 1]"])
        try Self.check(
            ["scale_metric(2.0)"], Fixture.metric(.summary, [Self.summary]),
            ["requests summary 1 0 false", "  3 3.0 0.5=14.0"])
        try Self.check(
            ["scale_metric(0.5)"], Fixture.metric(.gauge, [Self.number(.double(3))]),
            ["requests gauge 1 0 false", "  1.5d"])
    }

    @Test(
        "Points with equal attributes are aggregated",
        arguments: [
            ("sum", "9"), ("max", "6"), ("min", "1"), ("mean", "3"), ("median", "2"), ("count", "3"),
        ])
    func aggregation(_ function: String, _ expected: String) throws {
        let points = [
            Self.number(.int(1), ("a", "x"), ("b", "1")), Self.number(.int(2), ("a", "x"), ("b", "2")),
            Self.number(.int(6), ("a", "x"), ("b", "3")), Self.number(.int(6), ("a", "y")),
        ]
        let other = function == "count" ? "1" : "6"
        try Self.check(
            ["aggregate_on_attributes(\"\(function)\", [\"a\"])"], Fixture.metric(.sum, points, Self.sum),
            ["requests sum 1 2 true", "  \(expected) a=x", "  \(other) a=y"])
    }

    @Test("Values of an attribute are brought together, and histograms are added")
    func values() throws {
        try Self.check(
            ["aggregate_on_attribute_value(\"sum\", \"a\", [\"x\", \"y\"], \"z\")"],
            Fixture.metric(
                .gauge,
                [
                    Self.number(.int(1), ("a", "x")), Self.number(.int(2), ("a", "y")),
                    Self.number(.int(3), ("a", "w")),
                ]), ["requests gauge 1 0 false", "  3 a=z", "  3 a=w"])
        try Self.check(
            ["aggregate_on_attributes(\"sum\", [])"], Fixture.metric(.histogram, [Self.histogram, Self.histogram]),
            ["requests histogram 1 0 false", "  34 19.0 [0.1, 0.5, 1.0] [10, 16, 6, 2]"])
        #expect(throws: OTTLError.self) {
            try Fixture.run(
                ["aggregate_on_attributes(\"max\")"], on: Fixture.metric(.histogram, [Self.histogram]), in: .metric)
        }
    }

    @Test("Buckets are merged")
    func buckets() throws {
        let batch = Fixture.metric(.histogram, [Self.histogram])
        for context in [OTTLContext.metric, .datapoint] {
            try Self.check(
                ["merge_histogram_buckets(0.5)"], batch,
                ["requests histogram 1 0 false", "  17 9.5 [0.1, 1.0] [5, 11, 1]"], in: context)
        }
        try Self.check(
            ["merge_histogram_buckets(2, method=\"limit_buckets\")"], batch,
            ["requests histogram 1 0 false", "  17 9.5 [0.5] [13, 4]"])
    }

    /// -2 to -1 five times, three times 0, and 1 to 2, 2 to 4 and 4 to 8 once, twice and four times.
    private static let exponential: @Sendable (OTLPMessage) -> Void = { point in
        let histogram = OTLPExponentialHistogramPoint(point)
        histogram.count = 15
        histogram.sum = 20
        histogram.zeroCount = 3
        histogram.attributes.set("a" as OTLPKey, to: "b")
        for (side, counts) in [
            (OTLPField.ExponentialHistogramPoint.positive, [1, 2, 4] as [UInt64]),
            (OTLPField.ExponentialHistogramPoint.negative, [5]),
        ] {
            let buckets = OTLPMessage()
            buckets.clear(as: .other)
            buckets.set(OTLPField.Buckets.counts, packedVarints: counts)
            buckets.encoded.withRawBytes { point.set(side, message: $0) }
        }
    }

    @Test("Percentiles are read off the buckets", arguments: [(25.0, "0.1d"), (90, "1.0d"), (99.5, "1.0d")])
    func percentiles(_ percentile: Double, _ expected: String) throws {
        let number = percentile == 99.5 ? "99.5" : "\(Int(percentile))"
        try Self.check(
            ["extract_percentile_metric(\(percentile))"], Fixture.metric(.histogram, [Self.histogram]),
            [
                "requests histogram 1 0 false", "  17 9.5 [0.1, 0.5, 1.0] [5, 8, 3, 1]",
                "requests_p\(number) gauge 1 0 false", "  \(expected)",
            ])
    }

    @Test(
        "Percentiles of exponential buckets",
        arguments: [(20.0, "-1.2"), (33, "-1.0"), (50, "0.0"), (60, "2.0"), (73, "4.0"), (99, "8.0")])
    func exponentialPercentiles(_ percentile: Double, _ expected: String) throws {
        let lines = try Self.describe(
            Fixture.run(
                ["extract_percentile_metric(\(percentile), \"_p\")"],
                on: Fixture.metric(.exponentialHistogram, [Self.exponential]), in: .metric))
        let value = try #require(lines.last?.split(separator: "d").first.flatMap { Double($0.dropFirst(2)) })
        // The third of five values between -2 and -1 on the logarithmic scale: -2 to the power of 0.4.
        let wanted = try #require(expected == "-1.2" ? -1.3195079107728942 : Double(expected))
        #expect(abs(value - wanted) < 1e-9)
        #expect(lines.count == 4 && lines[2] == "requests_p gauge 1 0 false" && lines[3].hasSuffix("a=b"))
    }

    @Test(
        "Exponential buckets become explicit ones, and no value is lost",
        arguments: [("upper", "[8, 1, 0, 6]"), ("midpoint", "[8, 1, 2, 4]"), ("uniform", "[8, 1, 1, 5]")])
    func explicitBuckets(_ distribution: String, _ counts: String) throws {
        try Self.check(
            ["convert_exponential_histogram_to_histogram(\"\(distribution)\", [0.0, 2.0, 3.0])"],
            Fixture.metric(.exponentialHistogram, [Self.exponential], Self.sum),
            ["requests histogram 1 2 true", "  15 20.0 [0.0, 2.0, 3.0] \(counts) a=b"])
    }

    @Test("Values spread at random stay as many as they were")
    func randomBuckets() throws {
        for _ in 0..<20 {
            let lines = try Self.describe(
                Fixture.run(
                    ["convert_exponential_histogram_to_histogram(\"random\", [0.0, 2.0, 3.0])"],
                    on: Fixture.metric(.exponentialHistogram, [Self.exponential]), in: .metric))
            let counts = lines[1].split(separator: "[")[2].split(separator: "]")[0].split(separator: ", ")
            #expect(counts.compactMap { Int($0) }.reduce(0, +) == 15)
            #expect(counts.prefix(2) == ["8", "1"])
        }
        for statement in [
            "convert_exponential_histogram_to_histogram(\"other\", [1.0])",
            "convert_exponential_histogram_to_histogram(\"upper\", [])",
            "convert_exponential_histogram_to_histogram(\"upper\", [2.0, 1.0])", "extract_percentile_metric(100.0)",
        ] {
            #expect(throws: OTTLError.self, "\(statement)") { try OTTLStatement(statement, in: .metric) }
        }
    }

    @Test("Every editor of metrics has a test here")
    func complete() {
        let tested: Set = [
            "convert_sum_to_gauge", "convert_gauge_to_sum", "extract_count_metric", "extract_sum_metric",
            "convert_summary_count_val_to_sum", "convert_summary_sum_val_to_sum",
            "convert_summary_quantile_val_to_gauge",
            "copy_metric", "scale_metric", "aggregate_on_attributes", "aggregate_on_attribute_value",
            "merge_histogram_buckets", "extract_percentile_metric", "convert_exponential_histogram_to_histogram",
        ]
        #expect(Set((Functions.metricEditors + Functions.histogramEditors).map(\.name)) == tested)
    }

    @Test("Fields of metrics and data points are read and set")
    func fields() throws {
        let sum = Fixture.metric(.sum, [Self.number(.int(5))], Self.sum)
        for (path, value) in [
            ("metric.name", "\"n\""), ("description", "\"d\""), ("unit", "\"s\""), ("is_monotonic", "false"),
            ("aggregation_temporality", "AGGREGATION_TEMPORALITY_DELTA"), ("metadata[\"a\"]", "1"),
        ] {
            let changed = try Fixture.run(["set(\(path), \(value))"], on: sum, in: .metric)
            #expect(try Fixture.value(path, of: changed, in: .metric) == Fixture.value(value, of: sum, in: .metric))
        }
        #expect(try Fixture.value("type", of: sum, in: .metric) == 2)
        #expect(try Fixture.value("Len(data_points)", of: sum, in: .metric) == 1)
        for (path, value) in [
            ("value_int", "7"), ("start_time_unix_nano", "3"), ("time_unix_nano", "4"), ("flags", "1"),
            ("attributes[\"a\"]", "\"b\""), ("metric.name", "\"n\""),
        ] {
            let changed = try Fixture.run(["set(\(path), \(value))"], on: sum, in: .datapoint)
            #expect(
                try Fixture.value(path, of: changed, in: .datapoint) == Fixture.value(value, of: sum, in: .datapoint))
        }
        let changed = try Fixture.run(["set(value_double, 1.5)"], on: sum, in: .datapoint)
        #expect(try Fixture.value("value_double", of: changed, in: .datapoint) == 1.5)
        #expect(try Fixture.value("count", of: sum, in: .datapoint) == .empty)
        let histogram = Fixture.metric(.histogram, [Self.histogram])
        for (path, value) in [
            ("count", "7"), ("sum", "2.5"), ("bucket_counts", "[1, 2]"), ("explicit_bounds", "[2.0]"),
        ] {
            let changed = try Fixture.run(["set(\(path), \(value))"], on: histogram, in: .datapoint)
            #expect(try Fixture.value(path, of: changed, in: .datapoint) == Fixture.value(value, in: .log))
        }
        let exponential = Fixture.metric(.exponentialHistogram, [{ OTLPExponentialHistogramPoint($0).count = 3 }])
        for (path, value) in [
            ("scale", "-2"), ("zero_count", "4"), ("positive.offset", "-3"), ("positive.bucket_counts", "[1, 2]"),
            ("negative.offset", "5"), ("negative.bucket_counts", "[300]"),
        ] {
            let changed = try Fixture.run(["set(\(path), \(value))"], on: exponential, in: .datapoint)
            #expect(try Fixture.value(path, of: changed, in: .datapoint) == Fixture.value(value, in: .log), "\(path)")
        }
        let summary = Fixture.metric(.summary, [Self.summary])
        #expect(try Fixture.value("Len(quantile_values)", of: summary, in: .datapoint) == 1)
    }
}
