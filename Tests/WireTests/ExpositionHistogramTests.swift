import Telemetry
import Testing

@testable import Wire

@Suite("Histograms of expositions")
struct ExpositionHistogramTests {
    private let classic = """
        # TYPE h histogram
        h_bucket{job="a",le="0.1"} 1
        h_bucket{job="a",le="1"} 3
        h_bucket{job="a",le="+Inf"} 7
        h_sum{job="a"} 12.5
        h_count{job="a"} 7
        h_bucket{job="b",le="+Inf"} 2
        h_sum{job="b"} 1
        h_count{job="b"} 2
        # TYPE g gauge
        g 1

        """

    @Test("Turns classic histograms into ones with custom buckets")
    func conversion() throws {
        for pieces in [Int.max, 1, 7] {
            var bench = ScrapeBench { $0.convertsClassicHistograms = true }
            for _ in 0..<2 {
                let batch = try bench.scrape(classic, pieces: pieces)
                #expect(batch.lines == ["g 1.0 @1000"])
                #expect(batch.histograms.map { batch.table[$0.series].text } == [#"h{job="a"}"#, #"h{job="b"}"#])
                let first = try #require(batch.histograms.first?.histogram)
                #expect(first.schema == NativeHistogram.customBucketsSchema)
                #expect(first.customBounds == [0.1, 1])
                #expect(first.buckets == .deltas(positive: [1, 1, 2], negative: []))
                #expect(first.count == 7 && first.sum == 12.5)
                #expect(bench.reader.counts.scraped == 3)
            }
            let vanished = try bench.scrape("# TYPE g gauge\ng 1\n", at: 2000)
            #expect(vanished.lines == ["g 1.0 @2000", #"h{job="a"} stale @2000"#, #"h{job="b"} stale @2000"#])
        }
    }

    @Test("Keeps the classic series beside the converted ones where asked")
    func keepsBoth() throws {
        var bench = ScrapeBench {
            $0.convertsClassicHistograms = true
            $0.keepsClassicHistograms = true
        }
        for _ in 0..<2 {
            let batch = try bench.scrape(classic)
            #expect(batch.lines.count == 9)
            #expect(batch.histograms.count == 2)
        }
    }

    @Test("Converts fractional counts to a float histogram and skips contradictory ones")
    func oddHistograms() throws {
        var bench = ScrapeBench { $0.convertsClassicHistograms = true }
        let fractional = try bench.scrape(
            "# TYPE h histogram\nh_bucket{le=\"1\"} 0.5\nh_bucket{le=\"+Inf\"} 2\nh_count 2\n")
        #expect(fractional.histograms.first?.histogram.buckets == .counts(positive: [0.5, 1.5], negative: []))
        let broken = try bench.scrape("# TYPE h histogram\nh_bucket{le=\"1\"} 5\nh_bucket{le=\"+Inf\"} 2\nh_count 2\n")
        #expect(broken.histograms.isEmpty)
        let mismatch = try bench.scrape("# TYPE h histogram\nh_bucket{le=\"+Inf\"} 2\nh_count 3\n")
        #expect(mismatch.histograms.isEmpty)
    }

    @Test("Compacts, merges and checks native buckets")
    func buckets() {
        var histogram = NativeHistogram()
        histogram.schema = 2
        histogram.positiveSpans = [.init(offset: -1, length: 3), .init(offset: 2, length: 2)]
        // Indices -1, 0, 1, 4, 5 with counts 1, 0, 2, 3, 0.
        histogram.buckets = .deltas(positive: [1, -1, 2, 1, -3], negative: [])
        histogram.count = 6
        #expect(histogram.problem == nil)
        var compacted = histogram
        let isCompacted = compacted.compact(keepingGapsOf: 0)
        #expect(isCompacted)
        #expect(
            compacted.positiveSpans == [
                .init(offset: -1, length: 1), .init(offset: 1, length: 1), .init(offset: 2, length: 1),
            ])
        #expect(compacted.buckets == .deltas(positive: [1, 1, 1], negative: []))
        var reduced = histogram
        let isReduced = reduced.reduceResolution(to: 1)
        #expect(isReduced)
        // (i - 1) >> 1, plus one: 0, -, 1, 2.
        #expect(reduced.positiveSpans == [.init(offset: 0, length: 3)])
        #expect(reduced.buckets == .deltas(positive: [1, 1, 1], negative: []))
        #expect(reduced.schema == 1)
        var limited = histogram
        let isLimited = limited.reduce(toBuckets: 2)
        #expect(isLimited)
        #expect(limited.bucketCount <= 2 && limited.problem == nil)
        histogram.count = 7
        #expect(histogram.problem != nil)
        histogram.positiveSpans = [.init(offset: 0, length: 1)]
        let isCompactable = histogram.compact(keepingGapsOf: 0)
        #expect(!isCompactable)
    }

    @Test(
        "Picks the schema of a bucket growth factor",
        arguments: [
            (0, 8), (1, 8), (1.002, 8), (1.1, 2), (2, 0), (4, -1), (1e9, -4), (1.5, 0),
        ] as [(Double, Int32)])
    func schemas(factor: Double, schema: Int32) {
        #expect(ExpositionLimits.schema(forMinimumBucketFactor: factor) == schema)
    }
}

@Suite("Prometheus protobuf")
struct ExpositionProtobufTests {
    /// Writes protobuf fields; enough for test messages.
    struct Message {
        var bytes: [UInt8] = []

        static func make(_ build: (inout Message) -> Void) -> Message {
            var message = Message()
            build(&message)
            return message
        }

        mutating func varint(_ value: UInt64) {
            var rest = value
            while rest >= 0x80 {
                bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
                rest >>= 7
            }
            bytes.append(UInt8(rest))
        }
        mutating func field(_ number: UInt64, _ value: UInt64) {
            varint(number << 3)
            varint(value)
        }
        mutating func signed(_ number: UInt64, _ value: Int64) {
            field(number, UInt64(bitPattern: (value << 1) ^ (value >> 63)))
        }
        mutating func field(_ number: UInt64, _ value: Double) {
            varint(number << 3 | 1)
            withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes.append(contentsOf: $0) }
        }
        mutating func field(_ number: UInt64, _ value: [UInt8]) {
            varint(number << 3 | 2)
            varint(UInt64(value.count))
            bytes += value
        }
        mutating func field(_ number: UInt64, _ text: String) { field(number, Array(text.utf8)) }
        mutating func field(_ number: UInt64, _ build: (inout Message) -> Void) {
            field(number, Message.make(build).bytes)
        }

        mutating func label(_ name: String, _ value: String) {
            field(1) {
                $0.field(1, name)
                $0.field(2, value)
            }
        }
        mutating func exemplar(_ number: UInt64, _ trace: String, _ value: Double, seconds: UInt64?) {
            field(number) {
                $0.label("trace", trace)
                $0.field(2, value)
                if let seconds { $0.field(3) { $0.field(1, seconds) } }
            }
        }

        var delimited: [UInt8] {
            var framed = Message()
            framed.varint(UInt64(bytes.count))
            return framed.bytes + bytes
        }
    }

    private static func family(_ name: String, _ type: UInt64, unit: String = "", _ metrics: [(inout Message) -> Void])
        -> [UInt8]
    {
        Message.make { family in
            family.field(1, name)
            family.field(2, "help of \(name)")
            family.field(3, type)
            for metric in metrics { family.field(4, metric) }
            if !unit.isEmpty { family.field(5, unit) }
        }.delimited
    }

    private let simple: [UInt8] =
        family(
            "c_total", 0,
            [
                { metric in
                    metric.label("x", "1")
                    metric.field(3) {
                        $0.field(1, 17.0)
                        $0.exemplar(2, "abc", 0.5, seconds: 3)
                        $0.field(3) { $0.field(1, UInt64(1)) }
                    }
                },
                { metric in
                    metric.label("x", "2")
                    metric.field(3) { $0.field(1, 18.0) }
                    metric.field(6, UInt64(77))
                },
            ])
        + family("g_seconds", 1, unit: "seconds", [{ $0.field(2) { $0.field(1, 2.5) } }])
        + family("u", 3, [{ $0.field(5) { $0.field(1, Double.nan) } }])
        + family(
            "s", 2,
            [
                { metric in
                    metric.field(4) {
                        $0.field(1, UInt64(3))
                        $0.field(2, 4.5)
                        $0.field(3) {
                            $0.field(1, 0.5)
                            $0.field(2, 1.5)
                        }
                    }
                }
            ])
        + family("empty", 0, [])

    @Test("Reads counters, gauges, untyped and summaries in pieces of any size")
    func simpleTypes() throws {
        for pieces in [Int.max, 1, 13] {
            var bench = ScrapeBench {
                $0.collectsMetadata = true
                $0.readsStartTimestamps = true
            }
            for round in 0..<2 {
                let batch = try bench.scrape(simple, .prometheusProtobuf, pieces: pieces)
                #expect(
                    batch.lines == [
                        #"c_total{x="1"} 17.0 @1000"#, #"c_total{x="2"} 18.0 @77"#, "g_seconds 2.5 @1000",
                        "u nan @1000",
                        "s_count 3.0 @1000", "s_sum 4.5 @1000", #"s{quantile="0.5"} 1.5 @1000"#,
                    ])
                #expect(batch.values[3].bitPattern == Sample.normalNaN.bitPattern)
                #expect(batch.startTimestamps.map(\.milliseconds) == [1000])
                #expect(batch.exemplarLines == (round == 0 ? [#"c_total{x="1"} # {trace="abc"} 0.5 @3000"#] : []))
                #expect(batch.metadata.count == (round == 0 ? 4 : 0))
            }
            #expect(bench.reader.metadata.first { $0.family == "g_seconds" }?.unit == "seconds")
        }
    }

    private func histogram(type: UInt64 = 4, _ build: @escaping (inout Message) -> Void) -> [UInt8] {
        Self.family("h", type, [{ $0.field(7, build) }])
    }

    private func native(_ message: inout Message) {
        message.field(1, UInt64(6))
        message.field(2, 9.5)
        message.signed(5, 3)
        message.field(6, 0.001)
        message.field(7, UInt64(1))
        message.field(12) {
            $0.signed(1, -2)
            $0.field(2, UInt64(2))
        }
        message.signed(13, 2)
        message.signed(13, 1)
        message.exemplar(16, "n", 1, seconds: 5)
        message.exemplar(16, "without time", 1, seconds: nil)
    }

    private func buckets(_ message: inout Message) {
        message.field(3) {
            $0.field(1, UInt64(2))
            $0.field(2, 0.5)
            $0.exemplar(3, "b", 0.25, seconds: nil)
        }
    }

    @Test("Reads native histograms, classic ones, or both, as asked")
    func histograms() throws {
        let body = histogram { [self] in
            native(&$0)
            buckets(&$0)
        }
        let classicLines = [
            "h_count 6.0 @1000", "h_sum 9.5 @1000", #"h_bucket{le="0.5"} 2.0 @1000"#, #"h_bucket{le="+Inf"} 6.0 @1000"#,
        ]
        var ignoring = ScrapeBench()
        let plain = try ignoring.scrape(body, .prometheusProtobuf)
        #expect(plain.lines == classicLines && plain.histograms.isEmpty)
        #expect(plain.exemplarLines == [#"h_bucket{le="0.5"} # {trace="b"} 0.25 @1000"#])
        var reading = ScrapeBench { $0.scrapesNativeHistograms = true }
        let batch = try reading.scrape(body, .prometheusProtobuf)
        #expect(batch.lines.isEmpty)
        let sample = try #require(batch.histograms.first)
        #expect(batch.table[sample.series].text == "h")
        #expect(sample.histogram.positiveSpans == [.init(offset: -2, length: 2)])
        #expect(sample.histogram.buckets == .deltas(positive: [2, 1], negative: []))
        #expect(sample.histogram.count == 6 && sample.histogram.zeroCount == 1 && sample.histogram.schema == 3)
        #expect(batch.exemplarLines == [#"h # {trace="n"} 1.0 @5000"#])
        var both = ScrapeBench {
            $0.scrapesNativeHistograms = true
            $0.keepsClassicHistograms = true
        }
        let all = try both.scrape(body, .prometheusProtobuf)
        #expect(all.lines == classicLines && all.histograms.count == 1)
    }

    @Test("Reads float histograms and gauge histograms")
    func floatHistograms() throws {
        var bench = ScrapeBench { $0.scrapesNativeHistograms = true }
        let body = histogram(type: 5) {
            $0.field(4, 3.5)
            $0.field(2, 1.0)
            $0.signed(5, 0)
            $0.field(12) {
                $0.signed(1, 0)
                $0.field(2, UInt64(2))
            }
            $0.field(14, 1.5)
            $0.field(14, 2.0)
        }
        let sample = try #require(try bench.scrape(body, .prometheusProtobuf).histograms.first)
        #expect(sample.histogram.buckets == .counts(positive: [1.5, 2], negative: []))
        #expect(sample.histogram.resetHint == .gauge)
    }

    @Test("Reduces histograms of too fine a schema or too many buckets")
    func reductions() throws {
        func body(buckets: Int, schema: Int64) -> [UInt8] {
            histogram {
                $0.field(1, UInt64(buckets))
                $0.signed(5, schema)
                $0.field(12) {
                    $0.signed(1, 1)
                    $0.field(2, UInt64(buckets))
                }
                for index in 0..<buckets { $0.signed(13, index == 0 ? 1 : 0) }
            }
        }
        var bench = ScrapeBench {
            $0.scrapesNativeHistograms = true
            $0.limits.histogramBuckets = 10
            $0.limits.histogramSchema = 4
        }
        let reduced = try #require(try bench.scrape(body(buckets: 64, schema: 8), .prometheusProtobuf).histograms.first)
        #expect(reduced.histogram.schema <= 4 && reduced.histogram.bucketCount <= 10)
        #expect(reduced.histogram.problem == nil)
        do {
            _ = try bench.scrape(body(buckets: 4096, schema: -4), .prometheusProtobuf)
            Issue.record("accepted too many buckets")
        } catch {
            #expect(error.code == .bucketLimit)
        }
    }

    @Test("Converts classic histograms, and fails on contradictory ones")
    func conversion() throws {
        var bench = ScrapeBench { $0.convertsClassicHistograms = true }
        let good = histogram { [self] in
            $0.field(1, UInt64(3))
            $0.field(2, 1.0)
            buckets(&$0)
        }
        let batch = try bench.scrape(good, .prometheusProtobuf)
        #expect(batch.lines.isEmpty)
        #expect(batch.histograms.first?.histogram.customBounds == [0.5])
        let bad = histogram { [self] in
            $0.field(1, UInt64(1))
            buckets(&$0)
            $0.field(3) {
                $0.field(1, UInt64(1))
                $0.field(2, 1.0)
            }
        }
        #expect(throws: ExpositionError.self) { _ = try bench.scrape(bad, .prometheusProtobuf) }
    }

    @Test(
        "Refuses malformed messages",
        arguments: [
            [0x05], [0x02, 0x0A], [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01],
            [0x04, 0x22, 0x02, 0x08, 0x01],
        ] as [[UInt8]])
    func malformed(body: [UInt8]) {
        for pieces in [Int.max, 1] {
            var bench = ScrapeBench()
            #expect(throws: ExpositionError.self) { _ = try bench.scrape(body, .prometheusProtobuf, pieces: pieces) }
        }
    }

    @Test("Refuses native histograms whose spans and buckets disagree")
    func inconsistent() {
        var bench = ScrapeBench { $0.scrapesNativeHistograms = true }
        let body = histogram {
            $0.field(1, UInt64(6))
            $0.field(12) { $0.field(2, UInt64(4_000_000_000)) }
            $0.signed(13, 2)
        }
        #expect(throws: ExpositionError.self) { _ = try bench.scrape(body, .prometheusProtobuf) }
    }

    @Test("Reads a large family metric by metric")
    func largeFamily() throws {
        let padding = String(repeating: "x", count: 1000)
        let body = Self.family(
            "c_total", 0,
            (0..<1500).map { index in
                { metric in
                    metric.label("n", "\(index)")
                    metric.label("pad", padding)
                    metric.field(3) { $0.field(1, Double(index)) }
                }
            })
        #expect(body.count > 1 << 20)
        for pieces in [Int.max, 4096, 333] {
            var bench = ScrapeBench()
            let batch = try bench.scrape(body, .prometheusProtobuf, pieces: pieces)
            #expect(batch.values == (0..<1500).map(Double.init))
            let cut = Array(body.dropLast(5))
            #expect(throws: ExpositionError.self) { _ = try bench.scrape(cut, .prometheusProtobuf, pieces: pieces) }
        }
    }
}
