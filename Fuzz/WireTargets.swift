import Compression
import Essentials
import Telemetry
import Wire

/// Readers of what arrives over the network.
enum WireTargets {
    static let all: [FuzzTarget] = [
        exposition("exposition-text", .prometheusText, [counters, odd]),
        exposition("exposition-openmetrics", .openMetricsText, [openMetrics, histogram]),
        expositionProtobuf, remoteWrite("remote-write-1", .v1), remoteWrite("remote-write-2", .v2), merger,
        lokiProtobuf,
        lokiJSON, lokiRequest, lokiLabels, logQL,
    ]

    // MARK: Expositions

    private static let counters = """
        # HELP http_total Requests.\\n
        # TYPE http_total counter
        http_total{code="200",path="/a\\"b\\\\c"} 12 1700000000000
        http_total{code="500"} +Inf
        # TYPE h histogram
        h_bucket{le="0.1"} 1
        h_bucket{le="+Inf"} 3
        h_sum 1.5e-3
        h_count 3

        """
    private static let odd = "a 1\na{} 2\n{\"quoted.name\",x=\"y\"} 0x1p3\nb{l=\"\"} NaN -5\n\t c\t{ a = \"b\" , } 1\n"
    private static let openMetrics = """
        # TYPE a counter
        # UNIT a_seconds seconds
        a_total{x="y"} 5.0 1700000000.123 # {trace_id="abc"} 0.5 1700000000.0
        a_created{x="y"} 1700000000
        # TYPE s summary
        s{quantile="0.5"} 1
        s_sum 2
        s_count 1
        # EOF

        """
    private static let histogram = """
        # TYPE h histogram
        h_bucket{le="1"} 1 # {} 0.3
        h_bucket{le="+Inf"} 2
        h_count 2
        h_sum 3
        # TYPE i info
        i_info{v="1"} 1
        # TYPE st stateset
        st{st="on"} 1
        # EOF

        """

    private static func exposition(_ name: String, _ format: ExpositionFormat, _ seeds: [String]) -> FuzzTarget {
        FuzzTarget(
            name: name, seeds: seeds.map(bytes),
            dictionary: [
                "# TYPE ", "# HELP ", "# UNIT ", "# EOF\n", " # {", "counter\n", "histogram\n", "summary\n", "_total",
                "_sum",
                "_count", "_bucket", "_created", "{le=\"+Inf\"}", "quantile=\"", "NaN", "+Inf", "\\n", "\\\"", "\n",
                ",", "}",
                "0x1p-1074", "1e309", "\u{FEFF}", "\u{0}", "\r\n",
            ]
        ) { input in
            var whole = reader(input)
            let first = try scrape(&whole, input, format, pieces: 1 << 20)
            var pieces = reader(input)
            let second = try scrape(&pieces, input, format, pieces: 1 + input.count % 7)
            try require(first == second, "a body read in pieces gives other counts: \(first) and \(second)")
            // The same target again, with half of the answer.
            _ = try scrape(&whole, Array(input.prefix(input.count / 2)), format, pieces: 100)
            return first.hashValue
        }
    }

    private static func reader(_ input: [UInt8]) -> ExpositionReader {
        var options = ExpositionOptions()
        let bits = input.count
        options.honorsTimestamps = bits & 1 == 0
        options.tracksTimestampStaleness = bits & 2 == 0
        options.convertsClassicHistograms = bits & 4 == 0
        options.scrapesNativeHistograms = bits & 8 == 0
        options.keepsClassicHistograms = bits & 16 == 0
        options.readsStartTimestamps = bits & 32 == 0
        options.injectsZeroSamples = bits & 64 == 0
        options.collectsMetadata = true
        options.limits.histogramBuckets = bits & 1 == 0 ? 16 : 0
        return ExpositionReader(options: options) { labels in
            labels.set("job", to: "fuzz")
            return true
        }
    }

    /// Counts of a scrape, or how it failed.
    private static func scrape(
        _ reader: inout ExpositionReader, _ input: [UInt8], _ format: ExpositionFormat, pieces: Int
    ) throws -> String {
        reader.begin(format, at: 1_700_000_000_000)
        var problem = ""
        do {
            var offset = 0
            while offset < input.count {
                let end = min(offset + pieces, input.count)
                let piece = Array(input[offset..<end])
                try piece.withUnsafeBytes { raw in try reader.feed(raw) }
                offset = end
            }
            try reader.finish()
        } catch let error as ExpositionError {
            problem = "\(error.code)"
            reader.fail(at: 1_700_000_000_000)
        }
        let counts = reader.counts
        let batch = reader.takeBatch()
        try require(batch.series.count == batch.values.count, "series and values differ in number")
        for series in batch.series { _ = batch.table[series].hash }
        return problem.isEmpty ? "\(counts) \(batch.itemCount) \(batch.exemplars.count)" : problem
    }

    private static let expositionProtobuf = {
        var family: [UInt8] = []
        func field(_ number: UInt8, _ body: [UInt8]) -> [UInt8] { [number << 3 | 2, UInt8(body.count)] + body }
        let label = field(1, field(1, bytes("l")) + field(2, bytes("v")))
        let value: [UInt8] = [9, 0, 0, 0, 0, 0, 0, 0xF0, 0x3F]
        family = field(1, bytes("m")) + field(2, bytes("help")) + [0x18, 0] + field(4, label + field(3, value))
        let span = field(12, [0x08, 2, 0x10, 2]) + field(13, [2, 4])
        let native = [0x08, 4, 0x28, 6] + [0x31, 0, 0, 0, 0, 0, 0, 0, 0] + [0x38, 1] + span
        let histogram = field(1, bytes("n")) + [0x18, 4] + field(4, field(7, native.map { UInt8($0) }))
        let made = exposition("exposition-protobuf", .prometheusProtobuf, [])
        return FuzzTarget(
            name: made.name,
            seeds: [[UInt8(family.count)] + family, [UInt8(histogram.count)] + histogram], run: made.run)
    }()

    // MARK: Remote write

    private static func batch() -> MetricBatch {
        var writer = SeriesTable.Writer()
        var builder = LabelSetBuilder()
        var batch = MetricBatch(table: writer.table)
        for index in 0..<5 {
            builder.reset()
            builder.set("__name__", to: "m\(index % 2)")
            builder.set("series", to: "\(index)")
            let series = writer.append(builder.finish())
            batch.append(series, Double(index), at: 1_700_000_000_000 + Int64(index))
        }
        batch.table = writer.table
        return batch
    }

    private static func request(_ version: RemoteWriteVersion) -> [UInt8] {
        var encoder = RemoteWriteEncoder(
            .init(version: version, sendExemplars: true, sendNativeHistograms: true))
        let batch = batch()
        encoder.appendSamples(of: batch, rows: 0..<batch.series.count)
        var body: [UInt8] = []
        encoder.finish { bytes, _ in body = Array(bytes) }
        return body
    }

    private static func remoteWrite(_ name: String, _ version: RemoteWriteVersion) -> FuzzTarget {
        FuzzTarget(name: name, seeds: [request(version), []], dictionary: ["__name__", "le", "\u{0}"]) { input in
            var decoder = RemoteWriteDecoder()
            let first = try decoder.decode(input, as: version)
            let again = try decoder.decode(input, as: version)
            try require(first.counts == again.counts, "a request read twice gives other counts")
            try require(first.batch.series.count == first.batch.values.count, "series and values differ in number")
            var encoder = RemoteWriteEncoder(
                .init(version: version, sendExemplars: true, sendNativeHistograms: true))
            encoder.appendSamples(of: first.batch, rows: 0..<first.batch.series.count)
            encoder.appendHistograms(of: first.batch, indices: first.batch.histograms.indices)
            var body: [UInt8] = []
            encoder.finish { bytes, _ in body = Array(bytes) }
            let back = try decoder.decode(body, as: version)
            try require(
                back.batch.itemCount == first.batch.itemCount,
                "\(first.batch.itemCount) items are \(back.batch.itemCount) after a round trip")
            return magnitude(first.batch.itemCount) << 16 | magnitude(first.invalidSeries) << 8
                | magnitude(first.batch.exemplars.count) << 4 | magnitude(first.batch.histograms.count)
        }
    }

    private static let merger = FuzzTarget(
        name: "remote-write-merger",
        seeds: [[0] + request(.v1), [1] + request(.v2), [2] + request(.v1), [3] + request(.v2), [8] + request(.v1)]
    ) { input in
        guard let kind = input.first else { return 0 }
        let version: RemoteWriteVersion = kind & 1 == 0 ? .v1 : .v2
        var compressed: [UInt8] = []
        // Bit 3: the body as it is, which is no snappy block most of the time.
        if kind & 8 != 0 {
            compressed = Array(input.dropFirst())
        } else {
            try Snappy.compress(Array(input.dropFirst()), into: &compressed)
        }
        var merger = RemoteWriteMerger()
        let merged = try merger.merge(
            [compressed, compressed], version: version, olderThan: kind & 2 == 0 ? nil : 1_700_000_000_002)
        return magnitude(merged.bytes.count) << 8 | magnitude(merged.dropped.items)
    }

    // MARK: Loki

    private static func push() -> [UInt8] {
        var builder = LokiPushBuilder()
        var batch = LogBatch()
        batch.append("first line", labels: ["app": "a", "b": "c"], timestamp: 1_700_000_000_000_000_001)
        batch.append("", labels: ["app": "b"], timestamp: 0)
        builder.append(batch)
        var body: [UInt8] = []
        builder.encode(into: &body)
        return body
    }

    private static let pushJSON = """
        {"streams":[{"stream":{"app":"a"},"values":[["1700000000000000000","line \\u00e9",{"k":"v"}],["1","x"]]},
        {"labels":"{a=\\"b\\"}","entries":[{"ts":"2024-01-01T00:00:00.5Z","line":"old"}]}]}
        """

    private static func look(_ push: LokiPush) throws -> Int {
        for entry in push.batch.entries {
            try require(Int(entry.stream) < push.batch.streams.count, "an entry of no stream")
            let end = entry.lineOffset + entry.lineLength
            try require(entry.lineOffset >= 0 && end <= push.batch.arena.count, "a line outside of the arena")
        }
        let failed = push.streamError.map { signature(of: $0) } ?? 0
        return failed ^ magnitude(push.batch.itemCount) << 8 ^ magnitude(push.batch.streams.count)
    }

    private static let lokiProtobuf = FuzzTarget(name: "loki-protobuf", seeds: [push(), []]) { input in
        var decoder = LokiPushDecoder(limits: LokiPushLimits(maximumBytes: 1 << 20))
        let push = try input.withUnsafeBytes { try decoder.decodeProtobuf($0) }
        var builder = LokiPushBuilder()
        builder.append(push.batch, keepingInternal: true)
        var body: [UInt8] = []
        builder.encode(into: &body)
        let back = try body.withUnsafeBytes { try decoder.decodeProtobuf($0) }
        try require(back.batch.itemCount == push.batch.itemCount, "entries are lost on a round trip")
        return try look(push)
    }

    private static let lokiJSON = FuzzTarget(
        name: "loki-json", seeds: [bytes(pushJSON)],
        dictionary: [
            "\"streams\":", "\"values\":", "\"stream\":", "null", "\"\\ud800\"", "[[", "]]", "\"ts\":", "\"1e3\"",
        ]
    ) { input in
        var decoder = LokiPushDecoder(limits: LokiPushLimits(maximumBytes: 1 << 20))
        return try look(try input.withUnsafeBytes { try decoder.decodeJSON($0) })
    }

    private static let lokiRequest = {
        var snappy: [UInt8] = []
        var gzip: [UInt8] = []
        try? Snappy.compress(push(), into: &snappy)
        try? Gzip().compress(snappy, into: &gzip)
        return FuzzTarget(name: "loki-request", seeds: [[0] + snappy, [1] + gzip, [3] + bytes(pushJSON), [2] + gzip]) {
            input in
            guard let kind = input.first else { return 0 }
            let encodings: [LokiPushDecoder.Encoding] = [.snappy, .gzip, .deflate, .none]
            var decoder = LokiPushDecoder(limits: LokiPushLimits(maximumBytes: 1 << 20))
            let body = Array(input.dropFirst())
            let push = try body.withUnsafeBytes {
                try decoder.decode(
                    $0, contentType: kind & 4 != 0 || kind == 3 ? "application/json" : nil,
                    encoding: encodings[Int(kind & 3)])
            }
            return try look(push)
        }
    }()

    private static let lokiLabels = FuzzTarget(
        name: "loki-labels", seeds: [bytes("{a=\"b\", c_d=\"e\\n\\\"f\"}"), bytes("{}")],
        dictionary: ["\\x", "\\u00", "\\U0010ffff", "`", "\\377", ", ", "=\""]
    ) { input in
        let labels = try LokiLabelText.parse(String(decoding: input, as: UTF8.self))
        let text = LokiLabelText.text(labels)
        let again = try LokiLabelText.parse(text)
        try require(again == labels, "labels differ after a round trip: \(text)")
        return magnitude(labels.count)
    }

    private static let logQL = FuzzTarget(
        name: "logql", seeds: [bytes("{app=\"x\", b=~\"a|b\"} |= \"err\" != `y` |~ \"a.*\"")],
        dictionary: ["=~", "!~", "|=", "|~", "!=", "|>", "!>", "ip(\"", "\"", "`", "{", "}", " or ", "\\"]
    ) { input in
        let selector = try LogSelector(try LogQLExpression(parsing: String(decoding: input, as: UTF8.self)))
        let labels: LabelSet = ["app": "x", "b": "a"]
        let matches = selector.matches(labels)
        let hasLine = input.withUnsafeBytes { selector.matches(line: $0) }
        return (matches ? 1 : 0) + (hasLine ? 2 : 0)
    }
}
