import Telemetry
import Testing
import Wire

@Suite("Prometheus to OTLP metrics")
struct MetricsToOTLPTests {
    static let time: Int64 = 1_700_000_000_000

    /// A source with the given series, all of one target.
    struct Scrape {
        var writer = SeriesTable.Writer()
        var refs: [LabelSet: SeriesRef] = [:]
        var rows: [(SeriesRef, Double, Int64)] = []
        var histograms: [HistogramSample] = []
        var exemplars: [ExemplarSample] = []
        var starts: [StartTimestamp] = []
        var origin: MetricOrigin?

        init(_ families: [MetricMetadata] = [], discovered: LabelSet = ["__scheme__": "http"]) {
            if families.isEmpty { return }
            origin = MetricOrigin(families: families, targetLabels: .empty, discoveredLabels: discovered)
        }

        mutating func series(_ name: String, _ labels: [String: String] = [:], bare: Bool = false) -> SeriesRef {
            var all = bare ? [:] : ["job": "j", "instance": "app:9090"]
            all["__name__"] = name
            all.merge(labels) { $1 }
            let set = LabelSet(all.map { ($0.key, $0.value) })
            if let known = refs[set] { return known }
            let ref = writer.append(set)
            refs[set] = ref
            return ref
        }

        mutating func add(
            _ name: String, _ labels: [String: String] = [:], _ value: Double, at time: Int64 = time, bare: Bool = false
        ) {
            rows.append((series(name, labels, bare: bare), value, time))
        }

        mutating func take() -> MetricBatch {
            var batch = MetricBatch(table: writer.table)
            for (ref, value, time) in rows { batch.append(ref, value, at: time) }
            batch.histograms = histograms
            batch.exemplars = exemplars
            batch.startTimestamps = starts
            batch.origin = origin
            rows = []
            histograms = []
            exemplars = []
            starts = []
            return batch
        }
    }

    /// Every data point as a line: `name kind{attributes} value`, with what is not usual behind.
    static func points(_ batch: OTLPBatch) throws -> [String] {
        let request = batch.requestBytes
        let count = try request.withRawBytes { try OTLPScanner.scan($0, as: .metrics) }
        #expect(count == batch.itemCount)
        let walker = OTLPWalker()
        var lines: [String] = []
        try walker.walk(batch, to: .point) { level in
            guard level == .point, let kind = walker.metricKind else { return .keep }
            lines.append("\(text(walker.metric.name)) \(kind)\(attributes(walker.point)) \(value(walker, kind))")
            return .keep
        }
        return lines
    }

    static func attributes(_ message: OTLPMessage) -> String {
        var parts: [String] = []
        message.attributes.forEach { parts.append("\(text($0))=\($1.string ?? "?")") }
        return "{" + parts.joined(separator: ",") + "}"
    }

    private static func value(_ walker: OTLPWalker, _ kind: OTLPMetricKind) -> String {
        var parts: [String] = []
        var start: UInt64 = 0
        var flags: UInt32 = 0
        switch kind {
        case .gauge, .sum:
            let point = OTLPNumberPoint(walker.point)
            (start, flags) = (point.startTimeUnixNano, point.flags)
            if let value = point.value { parts.append("\(value.double)") }
        case .histogram:
            let point = OTLPHistogramPoint(walker.point)
            (start, flags) = (point.startTimeUnixNano, point.flags)
            var counts: [UInt64] = []
            var bounds: [Double] = []
            point.forEachBucketCount { counts.append($0) }
            point.forEachBound { bounds.append($0) }
            parts.append("count=\(point.count) sum=\(point.sum.map { "\($0)" } ?? "-") \(bounds) \(counts)")
        case .summary:
            let point = OTLPSummaryPoint(walker.point)
            (start, flags) = (point.startTimeUnixNano, point.flags)
            parts.append("count=\(point.count) sum=\(point.sum)")
            point.forEachQuantile { parts.append("q\($0)=\($1)") }
        case .exponentialHistogram:
            let point = OTLPExponentialHistogramPoint(walker.point)
            (start, flags) = (point.startTimeUnixNano, point.flags)
            parts.append("count=\(point.count) sum=\(point.sum.map { "\($0)" } ?? "-") scale=\(point.scale)")
            point.buckets(OTLPField.ExponentialHistogramPoint.positive) { offset, counts in
                var list: [UInt64] = []
                counts.forEachVarint(OTLPField.Buckets.counts) { list.append($0) }
                parts.append("+\(offset)\(list)")
            }
        }
        if kind == .sum { parts.append("t\(walker.metric.aggregationTemporality) m\(walker.metric.isMonotonic)") }
        if start != 0 { parts.append("start=\(start / 1_000_000)") }
        if flags != 0 { parts.append("flags=\(flags)") }
        return parts.joined(separator: " ")
    }

    @Test("Series of known types become sums, histograms and summaries; parts become one data point")
    func families() throws {
        var scrape = Scrape([
            MetricMetadata(family: "requests_total", kind: .counter, help: "Requests."),
            MetricMetadata(family: "heat", kind: .gauge, help: "Heat.", unit: "celsius"),
            MetricMetadata(family: "latency", kind: .histogram),
            MetricMetadata(family: "size", kind: .summary),
        ])
        scrape.add("requests_total", ["code": "200"], 7)
        scrape.add("requests_total", ["code": "500"], 0)
        scrape.add("heat", [:], -1.5)
        scrape.add("latency_bucket", ["le": "+Inf", "path": "/"], 10)
        scrape.add("latency_bucket", ["le": "1", "path": "/"], 9)
        scrape.add("latency_bucket", ["le": "0.5", "path": "/"], 4)
        scrape.add("latency_sum", ["path": "/"], 6.25)
        scrape.add("latency_count", ["path": "/"], 10)
        scrape.add("size", ["quantile": "0.5"], 100)
        scrape.add("size_sum", [:], 1000)
        scrape.add("size_count", [:], 12)
        scrape.add("up", [:], 1)
        let converter = MetricsToOTLP(scopeName: "test")
        let batch = scrape.take()
        let outcome = converter.convert(batch)
        #expect(
            try Self.points(outcome.batch) == [
                "requests_total sum{code=200} 7.0 t2 mtrue",
                "requests_total sum{code=500} 0.0 t2 mtrue",
                "heat gauge{} -1.5",
                "latency histogram{path=/} count=10 sum=6.25 [0.5, 1.0] [4, 5, 1]",
                "size summary{} count=12 sum=1000.0 q0.5=100.0",
                "up gauge{} 1.0",
            ])
        #expect(outcome.merged == 6 && outcome.malformed == 0 && outcome.withoutTarget == 0)
        #expect(outcome.batch.itemCount + outcome.merged == batch.itemCount)
        let walker = OTLPWalker()
        try walker.walk(outcome.batch, to: .item) { level in
            if level == .resource {
                #expect(
                    Self.attributes(walker.resource)
                        == "{service.name=j,net.host.name=app,server.address=app,service.instance.id=app:9090,"
                        + "net.host.port=9090,http.scheme=http,server.port=9090,url.scheme=http}")
            }
            if level == .scope { #expect(text(walker.scope.bytes(1)) == "test") }
            if level == .item, text(walker.metric.name) == "heat" {
                #expect(text(walker.metric.unit) == "Cel" && text(walker.metric.description) == "Heat.")
                #expect(Self.attributes(walker.item) == "{prometheus.type=gauge}")
            }
            return .keep
        }
        // Nothing of it is found out anew for the next scrape.
        #expect(try Self.points(converter.convert(batch).batch) == Self.points(outcome.batch))
    }

    @Test("Without metadata every series is a gauge of its own name")
    func untyped() throws {
        var scrape = Scrape()
        scrape.add("requests_total", [:], 7)
        scrape.add("latency_bucket", ["le": "1"], 9)
        scrape.add("latency_sum", [:], 6)
        let outcome = MetricsToOTLP(scopeName: "test").convert(scrape.take())
        #expect(
            try Self.points(outcome.batch) == [
                "requests_total gauge{} 7.0", "latency_bucket gauge{le=1} 9.0", "latency_sum gauge{} 6.0",
            ])
    }

    @Test("Staleness markers become points without a value")
    func staleness() throws {
        var scrape = Scrape([
            MetricMetadata(family: "c_total", kind: .counter), MetricMetadata(family: "h", kind: .histogram),
            MetricMetadata(family: "n", kind: .histogram),
        ])
        scrape.add("c_total", [:], Sample.staleMarker)
        scrape.add("h_bucket", ["le": "1"], Sample.staleMarker)
        scrape.add("h_sum", [:], Sample.staleMarker)
        scrape.add("h_count", [:], Sample.staleMarker)
        scrape.add("n", [:], Sample.staleMarker)
        let outcome = MetricsToOTLP(scopeName: "test").convert(scrape.take())
        #expect(
            try Self.points(outcome.batch) == [
                "c_total sum{} t2 mtrue flags=1",
                "h histogram{} count=0 sum=- [1.0] [0, 0] flags=1",
                "n exponentialHistogram{} count=0 sum=- scale=0 flags=1",
            ])
        #expect(outcome.merged == 2 && outcome.malformed == 0)
    }

    @Test("Start times come from OpenMetrics series of their own and from the batch")
    func startTimes() throws {
        var scrape = Scrape([
            MetricMetadata(family: "c", kind: .counter), MetricMetadata(family: "h", kind: .histogram),
            MetricMetadata(family: "d_total", kind: .counter),
        ])
        scrape.add("c_total", ["a": "1"], 5)
        scrape.add("c_created", ["a": "1"], 1_600_000_000.5)
        scrape.add("h_count", [:], 2)
        scrape.add("h_created", [:], 1_600_000_001)
        scrape.add("d_total", [:], 3)
        scrape.starts = [StartTimestamp(series: scrape.series("d_total"), milliseconds: 1_500_000_000_000)]
        let outcome = MetricsToOTLP(scopeName: "test").convert(scrape.take())
        #expect(
            try Self.points(outcome.batch) == [
                "c_total sum{a=1} 5.0 t2 mtrue start=1600000000500",
                "h histogram{} count=2 sum=- [] [2] start=1600000001000",
                "d_total sum{} 3.0 t2 mtrue start=1500000000000",
            ])
        #expect(outcome.merged == 2)
    }

    @Test("target_info goes to the resource, otel_scope_ labels to the scope")
    func information() throws {
        var scrape = Scrape([MetricMetadata(family: "g", kind: .gauge)])
        scrape.add("target_info", ["service_version": "1.2", "server.port": "1"], 1)
        scrape.add("otel_scope_info", ["otel_scope_name": "lib", "otel_scope_version": "3", "team": "a"], 1)
        scrape.add("g", ["otel_scope_name": "lib", "otel_scope_version": "3"], 1)
        scrape.add("g", ["otel_scope_name": "other", "otel_scope_color": "red"], 2)
        scrape.add("g", [:], 3)
        let converter = MetricsToOTLP(scopeName: "test")
        let outcome = converter.convert(scrape.take())
        #expect(try Self.points(outcome.batch) == ["g gauge{} 1.0", "g gauge{} 2.0", "g gauge{} 3.0"])
        #expect(outcome.merged == 2)
        var scopes: [String] = []
        let walker = OTLPWalker()
        try walker.walk(outcome.batch, to: .scope) { level in
            if level == .resource {
                let all = Self.attributes(walker.resource)
                #expect(all.contains("service_version=1.2") && all.contains("server.port=1,"), "\(all)")
            } else {
                let scope = OTLPScope(walker.scope)
                scopes.append("\(text(scope.name)) \(text(scope.version)) \(Self.attributes(walker.scope))")
            }
            return .keep
        }
        #expect(scopes == ["lib 3 {team=a}", "other  {color=red}", "test  {}"])
        // A scrape without target_info has a resource without it.
        scrape.add("g", [:], 4)
        try walker.walk(converter.convert(scrape.take()).batch, to: .resource) { _ in
            #expect(!Self.attributes(walker.resource).contains("service_version"))
            return .keep
        }
    }

    @Test("Native histograms become exponential ones, those of custom buckets stay explicit")
    func nativeHistograms() throws {
        var scrape = Scrape([MetricMetadata(family: "n", kind: .histogram)])
        var native = NativeHistogram()
        native.schema = 3
        (native.count, native.sum, native.zeroCount) = (7, 12.5, 1)
        native.positiveSpans = [.init(offset: 2, length: 2), .init(offset: 1, length: 1)]
        native.buckets = .deltas(positive: [1, 2, -1], negative: [])
        var custom = NativeHistogram()
        custom.schema = NativeHistogram.customBucketsSchema
        (custom.count, custom.sum, custom.customBounds) = (3, 4, [1, 2])
        custom.positiveSpans = [.init(offset: 0, length: 3)]
        custom.buckets = .deltas(positive: [1, 0, 0], negative: [])
        var broken = native
        broken.buckets = .deltas(positive: [1], negative: [])
        let series = (scrape.series("n", ["a": "1"]), scrape.series("n", ["a": "2"]), scrape.series("n", ["a": "3"]))
        scrape.histograms = [
            HistogramSample(series: series.0, timestamp: Self.time, histogram: native),
            HistogramSample(series: series.1, timestamp: Self.time, histogram: custom),
            HistogramSample(series: series.2, timestamp: Self.time, histogram: broken),
        ]
        let outcome = MetricsToOTLP(scopeName: "test").convert(scrape.take())
        #expect(
            try Self.points(outcome.batch) == [
                "n exponentialHistogram{a=1} count=7 sum=12.5 scale=3 +1[1, 3, 0, 2]",
                "n histogram{a=2} count=3 sum=4.0 [1.0, 2.0] [1, 1, 1]",
            ])
        #expect(outcome.malformed == 1)
    }

    @Test("Exemplars go with their points, trace and span IDs as such")
    func exemplars() throws {
        var scrape = Scrape([
            MetricMetadata(family: "c_total", kind: .counter), MetricMetadata(family: "h", kind: .histogram),
        ])
        scrape.add("c_total", [:], 1)
        scrape.add("h_bucket", ["le": "+Inf"], 1)
        scrape.add("h_count", [:], 1)
        let ids: LabelSet = [
            "trace_id": "0102030405060708090a0b0c0d0e0f10", "span_id": "a0a1a2a3a4a5a6a7", "user": "u",
        ]
        scrape.exemplars = [
            ExemplarSample(series: scrape.series("c_total"), labels: ids, value: 1, timestamp: Self.time),
            ExemplarSample(
                series: scrape.series("h_bucket", ["le": "+Inf"]), labels: ["trace_id": "xyz"], value: 2, timestamp: nil
            ),
        ]
        let outcome = MetricsToOTLP(scopeName: "test").convert(scrape.take())
        #expect(try Self.points(outcome.batch).count == 2)
        let walker = OTLPWalker()
        let exemplar = OTLPMessage()
        var found: [String] = []
        try walker.walk(outcome.batch, to: .point) { level in
            guard level == .point else { return .keep }
            let field = walker.metricKind == .sum ? OTLPField.NumberPoint.exemplars : OTLPField.HistogramPoint.exemplars
            try exemplar.load(walker.point.bytes(field), as: .exemplar)
            found.append(
                "\(exemplar.double(OTLPField.Exemplar.asDouble)) \(OTLPBytes.hex(exemplar.bytes(OTLPField.Exemplar.traceID)))"
                    + " \(OTLPBytes.hex(exemplar.bytes(OTLPField.Exemplar.spanID))) \(Self.attributes(exemplar))")
            return .keep
        }
        #expect(
            found == [
                "1.0 0102030405060708090a0b0c0d0e0f10 a0a1a2a3a4a5a6a7 {user=u}", "2.0   {trace_id=xyz}",
            ])
    }

    @Test("What makes no data point is counted, and several times of one series all become points")
    func losses() throws {
        var scrape = Scrape([MetricMetadata(family: "h", kind: .histogram)])
        scrape.add("g", [:], 1, bare: true)
        scrape.add("h_bucket", ["le": "oops"], 1)
        scrape.add("h_sum", ["x": "no count"], 1)
        scrape.add("h_bucket", ["le": "1", "x": "decreasing"], 5)
        scrape.add("h_bucket", ["le": "2", "x": "decreasing"], 4)
        scrape.add("h_count", ["x": "decreasing"], 5)
        for time in [Self.time, Self.time + 1000] {
            scrape.add("g", [:], Double(time - Self.time), at: time)
            scrape.add("h_count", ["x": "ok"], 2, at: time)
            scrape.add("h_bucket", ["le": "1", "x": "ok"], 2, at: time)
        }
        let batch = scrape.take()
        let outcome = MetricsToOTLP(scopeName: "test").convert(batch)
        #expect(
            try Self.points(outcome.batch) == [
                "h histogram{x=ok} count=2 sum=- [1.0] [2, 0]", "g gauge{} 0.0", "g gauge{} 1000.0",
                "h histogram{x=ok} count=2 sum=- [1.0] [2, 0]",
            ])
        #expect(outcome.withoutTarget == 1 && outcome.malformed == 5 && outcome.merged == 2)
        #expect(
            outcome.batch.itemCount + outcome.merged + outcome.malformed + outcome.withoutTarget == batch.itemCount)
    }

    @Test("A new epoch and new metadata begin anew")
    func changes() throws {
        let converter = MetricsToOTLP(scopeName: "test")
        var scrape = Scrape([MetricMetadata(family: "x", kind: .gauge)])
        scrape.add("x", [:], 1)
        _ = converter.convert(scrape.take())
        scrape.writer.startEpoch()
        scrape.refs = [:]
        scrape.add("y", ["a": "b"], 2)
        scrape.add("x", [:], 3)
        #expect(try Self.points(converter.convert(scrape.take()).batch) == ["y gauge{a=b} 2.0", "x gauge{} 3.0"])
        scrape.origin = MetricOrigin(
            families: [MetricMetadata(family: "x", kind: .counter)], targetLabels: .empty, discoveredLabels: .empty)
        scrape.add("x", [:], 4)
        #expect(try Self.points(converter.convert(scrape.take()).batch) == ["x sum{} 4.0 t2 mtrue"])
    }

    @Test(
        "Hosts and ports are taken apart as Go does",
        arguments: [
            ("app:9090", "app", "9090", true), ("127.0.0.1:80", "127.0.0.1", "80", false),
            ("[::1]:80", "::1", "80", false),
            ("[2001:db8::1]:80", "2001:db8::1", "80", true), ("localhost:1", "localhost", "1", false),
            ("plain", "plain", "", true), ("0.0.0.0:1", "0.0.0.0", "1", false), ("a:b:c", "a:b:c", "", true),
        ])
    func hosts(_ instance: String, _ host: String, _ port: String, _ isDiscernible: Bool) throws {
        var scrape = Scrape()
        scrape.add("g", ["instance": instance], 1)
        let walker = OTLPWalker()
        try walker.walk(MetricsToOTLP(scopeName: "test").convert(scrape.take()).batch, to: .resource) { _ in
            let attributes = walker.resource.attributes
            #expect(attributes.value(of: "server.address") == (isDiscernible ? host : nil))
            #expect(attributes.value(of: "server.port") == port)
            return .keep
        }
    }
}
