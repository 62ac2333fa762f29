import ComponentKit
import Telemetry
import TestKit
import Testing
import Wire

@testable import OtelcolComponents

private let output = "\noutput { metrics = [recorder.otlp] }"
private let cumulative = "\"aggregationTemporality\":2,\"isMonotonic\":true"
private let delta = "\"aggregationTemporality\":1,\"isMonotonic\":true"

private func harness(_ type: any Component.Type, _ body: String = "") -> ComponentHarness {
    let harness = ComponentHarness(type)
    #expect(harness.start(body + output) == [])
    return harness
}

/// A point of a sum with one attribute.
private func point(_ value: String, at time: Int, from start: Int = 0, key: String = "a") -> String {
    """
    {"attributes":[{"key":"k","value":{"stringValue":"\(key)"}}],"startTimeUnixNano":"\(start)","timeUnixNano":"\(time)",\(value)}
    """
}

private func int(_ value: Int) -> String { "\"asInt\":\"\(value)\"" }

private func buckets(_ counts: [Int], sum: Double, bounds: [Double] = [1, 2]) -> String {
    let numbers = counts.map { "\"\($0)\"" }.joined(separator: ",")
    return
        "\"count\":\"\(counts.reduce(0, +))\",\"sum\":\(sum),\"bucketCounts\":[\(numbers)],\"explicitBounds\":\(bounds),\"min\":0,\"max\":3"
}

private func exponential(_ scale: Int, _ offset: Int, _ counts: [Int], zero: Int = 0, threshold: Double = 0) -> String {
    let numbers = counts.map { "\"\($0)\"" }.joined(separator: ",")
    let count = counts.reduce(zero, +)
    return
        "\"count\":\"\(count)\",\"sum\":\(count),\"scale\":\(scale),\"zeroCount\":\"\(zero)\",\"zeroThreshold\":\(threshold),"
        + "\"positive\":{\"offset\":\(offset),\"bucketCounts\":[\(numbers)]}"
}

@Suite("otelcol.processor.cumulativetodelta")
struct CumulativeToDeltaTests {
    @Test("Totals become differences; the first point and resets are dropped and counted")
    func sums() throws {
        let harness = harness(OtelcolProcessorCumulativeToDelta.self)
        for (value, time) in [(10, 1), (13, 2), (2, 3), (7, 4)] {
            try harness.send(OTLPSample.metric("m", "sum", point(int(value), at: time), cumulative))
        }
        #expect(harness.takePoints() == ["delta m 1-2 3", "delta m 3-4 5"])
        let statement = harness.instance.ledger.statement
        #expect(Set(statement.dropped.map { "\($0.reason) \($0.items)" }) == ["initial 1", "reset 1"])
        #expect(harness.finish() == [])
    }

    @Test("What is no running total passes as it came")
    func others() throws {
        let harness = harness(OtelcolProcessorCumulativeToDelta.self)
        let batches = [
            try OTLPSample.metric("up", "sum", point(int(1), at: 1), "\"aggregationTemporality\":2"),
            try OTLPSample.metric("d", "sum", point(int(1), at: 1), delta),
            try OTLPSample.metric("g", "gauge", point(int(1), at: 1)),
            try OTLPSample.metric("end", "sum", point("\"flags\":1", at: 1), cumulative),
            try OTLPSample.metric("nan", "sum", point("\"asDouble\":\"NaN\"", at: 1), cumulative),
        ]
        for batch in batches { try harness.send(batch) }
        #expect(
            harness.takePoints() == [
                "cumulative up 0-1 1", "delta d 0-1 1", "g 0-1 1", "delta end 0-1 none", "delta nan 0-1 nan",
            ])
        #expect(harness.finish() == [])
    }

    @Test("Streams are told apart by attributes in any order, by resource and by kind of number")
    func identity() throws {
        let harness = harness(OtelcolProcessorCumulativeToDelta.self, "initial_value = \"keep\"")
        func two(_ first: String, _ second: String, _ value: Int) -> String {
            let keys = [first, second].map { "{\"key\":\"\($0)\",\"value\":{\"intValue\":\"1\"}}" }
            return
                "{\"attributes\":[\(keys.joined(separator: ","))],\"timeUnixNano\":\"\(value)\",\"asInt\":\"\(value)\"}"
        }
        try harness.send(OTLPSample.metric("m", "sum", two("x", "y", 5), cumulative))
        try harness.send(OTLPSample.metric("m", "sum", two("y", "x", 7), cumulative))
        try harness.send(OTLPSample.metric("m", "sum", two("y", "x", 8), cumulative, service: "other"))
        #expect(harness.takePoints() == ["delta m 0-5 5", "delta m 5-7 2", "delta m 0-8 8"])
        #expect(harness.finish() == [])
    }

    @Test("A first point passes by itself when its start is after the component's")
    func automatic() throws {
        let harness = harness(OtelcolProcessorCumulativeToDelta.self)
        let now = 1_700_000_000_000_000_000
        try harness.send(OTLPSample.metric("m", "sum", point(int(4), at: now + 9, from: now + 5), cumulative))
        try harness.send(OTLPSample.metric("n", "sum", point(int(4), at: now + 9, from: now + 9), cumulative))
        #expect(harness.takePoints() == ["delta m \(now + 5)-\(now + 9) 4"])
        #expect(harness.finish() == [])
    }

    @Test("Histograms become differences bucket by bucket, whole after a reset, and not at all with other buckets")
    func histograms() throws {
        let harness = harness(OtelcolProcessorCumulativeToDelta.self)
        for (time, counts, sum, bounds) in [
            (1, [1, 0, 2], 5.0, [1.0, 2]), (2, [1, 1, 4], 9.0, [1, 2]), (3, [1, 0, 0], 0.5, [1, 2]),
            (4, [2, 0, 0], 1.5, [1, 3]),
        ] {
            try harness.send(
                OTLPSample.metric(
                    "h", "histogram", point(buckets(counts, sum: sum, bounds: bounds), at: time), cumulative))
        }
        #expect(
            harness.takePoints() == [
                "delta h 1-2 count=3 sum=4.0 [0, 1, 2] [1.0, 2.0] -..-",
                "delta h 2-3 count=1 sum=0.5 [1, 0, 0] [1.0, 2.0] -..-",
            ])
        #expect(
            Set(harness.instance.ledger.statement.dropped.map { "\($0.reason) \($0.items)" })
                == ["initial 1", "bucket_mismatch 1"])
        #expect(harness.finish() == [])
    }

    @Test("Exponential histograms are brought to the same scale and zero bucket")
    func exponentialHistograms() throws {
        let harness = harness(OtelcolProcessorCumulativeToDelta.self, "initial_value = \"drop\"")
        // At scale 1 the buckets 2...5 lie in 1...2 of scale 0.
        for (time, value) in [(1, exponential(1, 2, [1, 1, 1, 1])), (2, exponential(0, 1, [3, 2], zero: 1))] {
            try harness.send(OTLPSample.metric("e", "exponentialHistogram", point(value, at: time), cumulative))
        }
        #expect(harness.takePoints() == ["delta e 1-2 count=2 sum=2.0 scale=0 zero=1@0.0 +1[1] -0[]"])
        #expect(harness.finish() == [])
    }

    @Test("Only what include names and exclude does not is converted")
    func selection() throws {
        let harness = harness(
            OtelcolProcessorCumulativeToDelta.self,
            """
            initial_value = "keep"
            include {
                metrics    = ["^a", "^b"]
                match_type = "regexp"
                metric_types = ["sum"]
            }
            exclude {
                metrics    = ["bad"]
                match_type = "strict"
            }
            """)
        for name in ["all", "bad", "other"] {
            try harness.send(OTLPSample.metric(name, "sum", point(int(1), at: 1), cumulative))
        }
        try harness.send(OTLPSample.metric("ah", "histogram", point(buckets([1, 0, 0], sum: 1), at: 1), cumulative))
        #expect(
            harness.takePoints().map { String($0.prefix { $0 != "0" }) } == [
                "delta all ", "cumulative bad ", "cumulative other ", "cumulative ah ",
            ])
        #expect(harness.finish() == [])
        #expect(
            ComponentHarness(OtelcolProcessorCumulativeToDelta.self).start(
                "include { metrics = [\"a\"] }" + output
            ).joined().contains("match_type"))
    }

    @Test("A stream that is not seen for long enough begins anew")
    func staleness() throws {
        let harness = harness(
            OtelcolProcessorCumulativeToDelta.self, "initial_value = \"drop\"\nmax_staleness = \"10s\"")
        let now = 1_700_000_000_000_000_000
        try harness.send(OTLPSample.metric("m", "sum", point(int(1), at: now), cumulative))
        harness.advance(by: .seconds(25))
        try harness.send(OTLPSample.metric("m", "sum", point(int(3), at: now + 25_000_000_000), cumulative))
        #expect(harness.takePoints() == [])
        #expect(harness.finish() == [])
    }

    @Test("What the consumers refuse is held and sent in order, and nothing is counted twice")
    func refusals() throws {
        let harness = harness(OtelcolProcessorCumulativeToDelta.self)
        try harness.send(OTLPSample.metric("m", "sum", point(int(1), at: 1), cumulative))
        harness.otlp.refuse { _ in .retry("away") }
        for value in 2...4 { try harness.send(OTLPSample.metric("m", "sum", point(int(value), at: value), cumulative)) }
        #expect(harness.takePoints() == [])
        harness.otlp.refuse(nil)
        harness.advance(by: .seconds(10))
        #expect(harness.takePoints() == ["delta m 1-2 1", "delta m 2-3 1", "delta m 3-4 1"])
        #expect(harness.finish() == [])
    }
}

@Suite("otelcol.processor.deltatocumulative")
struct DeltaToCumulativeTests {
    @Test("Differences are added up; late and older points are dropped and counted")
    func sums() throws {
        let harness = harness(OtelcolProcessorDeltaToCumulative.self)
        for (value, start, time) in [(3, 10, 20), (4, 20, 30), (9, 20, 30), (9, 5, 40), (1, 30, 40)] {
            try harness.send(OTLPSample.metric("m", "sum", point(int(value), at: time, from: start), delta))
        }
        #expect(
            harness.takePoints() == ["cumulative m 10-20 3", "cumulative m 10-30 7", "cumulative m 10-40 8"])
        #expect(
            Set(harness.instance.ledger.statement.dropped.map { "\($0.reason) \($0.items)" })
                == ["out_of_order 1", "older_start 1"])
        #expect(harness.metric("otelcol_deltatocumulative_datapoints_total", ["error": "delta.ErrOutOfOrder"]) == 1)
        #expect(harness.metric("otelcol_deltatocumulative_streams_tracked") == 1)
        #expect(harness.finish() == [])
    }

    @Test("Histograms are added bucket by bucket, and begin anew with other buckets")
    func histograms() throws {
        let harness = harness(OtelcolProcessorDeltaToCumulative.self)
        for (time, counts, bounds) in [(1, [1, 0, 2], [1.0, 2]), (2, [1, 1, 0], [1, 2]), (3, [1, 0, 0], [1, 5])] {
            try harness.send(
                OTLPSample.metric("h", "histogram", point(buckets(counts, sum: 1, bounds: bounds), at: time), delta))
        }
        #expect(
            harness.takePoints() == [
                "cumulative h 0-1 count=3 sum=1.0 [1, 0, 2] [1.0, 2.0] 0.0..3.0",
                "cumulative h 0-2 count=5 sum=2.0 [2, 1, 2] [1.0, 2.0] 0.0..3.0",
                "cumulative h 0-3 count=1 sum=1.0 [1, 0, 0] [1.0, 5.0] 0.0..3.0",
            ])
        #expect(harness.finish() == [])
    }

    @Test("Exponential histograms are joined to the coarser scale, the wider zero bucket and at most 160 buckets")
    func exponentialHistograms() throws {
        let harness = harness(OtelcolProcessorDeltaToCumulative.self)
        for (time, value) in [
            (1, exponential(1, 2, [1, 1, 1, 1])), (2, exponential(0, 1, [0, 5])),
            // 1.5 lies in the bucket from 1 to 2, which goes to zero with it.
            (3, exponential(0, 0, [0], zero: 2, threshold: 1.5)),
            (4, exponential(0, 1000, [7])),
        ] {
            try harness.send(OTLPSample.metric("e", "exponentialHistogram", point(value, at: time), delta))
        }
        #expect(
            harness.takePoints() == [
                "cumulative e 0-1 count=4 sum=4.0 scale=1 zero=0@0.0 +2[1, 1, 1, 1] -0[]",
                "cumulative e 0-2 count=9 sum=9.0 scale=0 zero=0@0.0 +1[2, 7] -0[]",
                "cumulative e 0-3 count=11 sum=11.0 scale=0 zero=2@1.5 +1[2, 7] -0[]",
                "cumulative e 0-4 count=18 sum=18.0 scale=-3 zero=2@1.5 +0[9"
                    + String(repeating: ", 0", count: 124) + ", 7] -0[]",
            ])
        #expect(harness.finish() == [])
    }

    @Test("Hostile scales and offsets cost no more than others")
    func hostileBuckets() throws {
        let harness = harness(OtelcolProcessorDeltaToCumulative.self)
        let edges = [Int(Int32.min), Int(Int32.max), 0, -20, 62]
        var time = 0
        for scale in edges {
            for offset in edges {
                time += 1
                let value = exponential(scale, offset, [1, 2], zero: 1, threshold: 0.1 * Double(time % 3))
                try harness.send(OTLPSample.metric("e", "exponentialHistogram", point(value, at: time), delta))
            }
        }
        #expect(harness.takePoints().last?.contains("count=100") == true)
        #expect(harness.finish() == [])
    }

    @Test("Streams beyond the limit are dropped, stale ones make room, and an end ends a sum")
    func limits() throws {
        let harness = harness(OtelcolProcessorDeltaToCumulative.self, "max_streams = 1\nmax_stale = \"1m\"")
        try harness.send(OTLPSample.metric("m", "sum", point(int(1), at: 1, key: "a"), delta))
        try harness.send(OTLPSample.metric("m", "sum", point(int(1), at: 1, key: "b"), delta))
        #expect(harness.instance.ledger.statement.dropped.map { "\($0.reason) \($0.items)" } == ["limit 1"])
        harness.advance(by: .seconds(121))
        try harness.send(OTLPSample.metric("m", "sum", point(int(2), at: 2, key: "b"), delta))
        try harness.send(OTLPSample.metric("m", "sum", point("\"flags\":1", at: 3, key: "b"), delta))
        try harness.send(OTLPSample.metric("m", "sum", point(int(5), at: 4, key: "b"), delta))
        #expect(
            harness.takePoints() == [
                "cumulative m 0-1 1", "cumulative m 0-2 2", "cumulative m 0-3 none", "cumulative m 0-4 5",
            ])
        #expect(harness.finish() == [])
    }
}

@Suite("otelcol.processor.interval")
struct IntervalTests {
    @Test("The last point of totals and gauges and the sum of deltas go out at the end of the interval")
    func gathers() throws {
        let harness = harness(OtelcolProcessorInterval.self, "interval = \"15s\"")
        for (value, time) in [(4, 1), (9, 3), (8, 2)] {
            try harness.send(OTLPSample.metric("m", "sum", point(int(value), at: time), cumulative))
            try harness.send(OTLPSample.metric("d", "sum", point(int(value), at: time, from: time), delta))
            try harness.send(OTLPSample.metric("g", "gauge", point(int(value), at: time)))
        }
        try harness.send(OTLPSample.metric("updown", "sum", point(int(1), at: 1), "\"aggregationTemporality\":2"))
        #expect(harness.takePoints() == ["cumulative updown 0-1 1"])
        #expect(harness.instance.ledger.statement.heldItems == 3)
        harness.advance(by: .seconds(16))
        #expect(harness.takePoints() == ["cumulative m 0-3 9", "delta d 1-3 21", "g 0-3 9"])
        harness.advance(by: .seconds(16))
        #expect(harness.takePoints() == [])
        #expect(harness.finish() == [])
    }

    @Test("Gauges and summaries pass at once when asked, and what is left goes out at the end")
    func passing() throws {
        let harness = harness(
            OtelcolProcessorInterval.self, "passthrough {\ngauge = true\nsummary = true\n}")
        try harness.send(OTLPSample.metric("g", "gauge", point(int(1), at: 1)))
        try harness.send(OTLPSample.metric("s", "summary", point("\"count\":\"2\",\"sum\":3", at: 1)))
        try harness.send(OTLPSample.metric("h", "histogram", point(buckets([1, 0, 0], sum: 1), at: 1), delta))
        #expect(harness.takePoints() == ["g 0-1 1", "s 0-1 count=2 sum=3.0"])
        #expect(harness.finish() == [])
        #expect(harness.takePoints() == ["delta h 0-1 count=1 sum=1.0 [1, 0, 0] [1.0, 2.0] 0.0..3.0"])
    }
}

@Suite("otelcol.processor.metric_start_time")
struct MetricStartTimeTests {
    @Test("The first point begins the stream, and a reset begins it a millisecond before the point")
    func trueReset() throws {
        let harness = harness(OtelcolProcessorMetricStartTime.self)
        for (value, time) in [(10, 5_000_000), (15, 6_000_000), (3, 8_000_000), (4, 9_000_000)] {
            try harness.send(OTLPSample.metric("m", "sum", point(int(value), at: time), cumulative))
        }
        try harness.send(OTLPSample.metric("known", "sum", point(int(1), at: 9, from: 3), cumulative))
        try harness.send(OTLPSample.metric("g", "gauge", point(int(1), at: 9)))
        #expect(
            harness.takePoints() == [
                "cumulative m 5000000-5000000 10", "cumulative m 5000000-6000000 15",
                "cumulative m 7000000-8000000 3", "cumulative m 7000000-9000000 4", "cumulative known 3-9 1", "g 0-9 1",
            ])
        #expect(harness.finish() == [])
    }

    @Test("The first point is dropped and taken off those after it, until the counter begins anew")
    func subtract() throws {
        let harness = harness(OtelcolProcessorMetricStartTime.self, "strategy = \"subtract_initial_point\"")
        for (value, time) in [(10, 5_000_000), (15, 6_000_000), (3, 8_000_000)] {
            try harness.send(OTLPSample.metric("m", "sum", point(int(value), at: time), cumulative))
        }
        for (counts, time) in [([1, 0, 2], 1), ([1, 1, 4], 2)] {
            try harness.send(
                OTLPSample.metric("h", "histogram", point(buckets(counts, sum: 2), at: time), cumulative))
        }
        #expect(
            harness.takePoints() == [
                "cumulative m 5000000-6000000 5", "cumulative m 7000000-8000000 3",
                "cumulative h 1-2 count=3 sum=0.0 [0, 1, 2] [1.0, 2.0] -..-",
            ])
        #expect(harness.instance.ledger.statement.dropped.map { "\($0.reason) \($0.items)" } == ["initial 2"])
        #expect(harness.finish() == [])
    }

    @Test("The start comes from the metric that names it, else from the component's own")
    func startMetric() throws {
        let harness = harness(
            OtelcolProcessorMetricStartTime.self,
            "strategy = \"start_time_metric\"\nstart_time_metric_regex = \"_start$\"")
        let batch = try OTLPSample.batch(
            .metrics,
            """
            {"resourceMetrics":[{"scopeMetrics":[{"metrics":[
            {"name":"c","sum":{"dataPoints":[{"timeUnixNano":"7","asInt":"1"}],\(cumulative)}},
            {"name":"x_start","gauge":{"dataPoints":[{"timeUnixNano":"7","asDouble":2.5}]}}]}]}]}
            """)
        try harness.send(batch)
        try harness.send(OTLPSample.metric("m", "sum", point(int(1), at: 9), cumulative))
        #expect(
            harness.takePoints() == [
                "cumulative c 2500000000-7 1", "x_start 0-7 2.5", "cumulative m 1700000000000000000-9 1",
            ])
        #expect(harness.finish() == [])
    }

    @Test("Streams without points for two intervals are forgotten")
    func forgetting() throws {
        let harness = harness(OtelcolProcessorMetricStartTime.self, "gc_interval = \"10s\"")
        try harness.send(OTLPSample.metric("m", "sum", point(int(1), at: 5), cumulative))
        harness.advance(by: .seconds(21))
        try harness.send(OTLPSample.metric("m", "sum", point(int(2), at: 6), cumulative))
        #expect(harness.takePoints() == ["cumulative m 5-5 1", "cumulative m 6-6 2"])
        #expect(harness.finish() == [])
    }
}
