import Compression
import Telemetry
import Testing

@testable import Wire

@Suite("Remote write")
struct RemoteWriteTests {
    static func histogram(float: Bool) -> NativeHistogram {
        var histogram = NativeHistogram()
        histogram.schema = -3
        histogram.zeroThreshold = 1e-128
        histogram.zeroCount = 2
        histogram.count = 12
        histogram.sum = 18.5
        histogram.positiveSpans = [.init(offset: -2, length: 2), .init(offset: 1, length: 1)]
        histogram.negativeSpans = [.init(offset: 0, length: 1)]
        histogram.buckets =
            float
            ? .counts(positive: [1, 2.5, 3], negative: [0.25])
            : .deltas(positive: [1, 1, -1], negative: [4])
        histogram.resetHint = .gauge
        return histogram
    }

    static func custom() -> NativeHistogram {
        var histogram = NativeHistogram()
        histogram.schema = NativeHistogram.customBucketsSchema
        histogram.count = 3
        histogram.positiveSpans = [.init(offset: 0, length: 2)]
        histogram.buckets = .deltas(positive: [1, 1], negative: [])
        histogram.customBounds = [0.5, 5]
        return histogram
    }

    /// Samples with one time or several, specials, a stale marker, histograms, exemplars, start times and metadata.
    static func batch(series count: Int = 600, uniform: Bool = false) -> MetricBatch {
        var writer = SeriesTable.Writer()
        for index in 0..<count {
            _ = writer.append(
                LabelSet([
                    ("__name__", "metric_\(index % 7)_total"), ("instance", "host:9100"), ("job", "jöb"),
                    ("i", "\(index)"), ("long", String(repeating: "x", count: index % 300)),
                ]))
        }
        var batch = MetricBatch(table: writer.table)
        let specials = [0, -0.0, Double.infinity, -.infinity, Sample.staleMarker, Sample.normalNaN, .pi]
        for index in 0..<count {
            batch.append(
                SeriesRef(index), specials[index % specials.count],
                at: 1_700_000_000_000 + (uniform ? 0 : Int64(index % 3) - 1))
        }
        batch.append(0, 1, at: -5)
        for (index, histogram) in [histogram(float: false), histogram(float: true), custom(), .staleMarker].enumerated()
        {
            batch.histograms.append(HistogramSample(series: SeriesRef(index), timestamp: 99, histogram: histogram))
        }
        batch.exemplars.append(
            ExemplarSample(series: 3, labels: LabelSet([("trace_id", "abc")]), value: 0.5, timestamp: 42))
        batch.exemplars.append(ExemplarSample(series: 4, labels: .empty, value: 1, timestamp: nil))
        batch.startTimestamps.append(StartTimestamp(series: 5, milliseconds: 1_600_000_000_000))
        batch.metadata.append(MetricMetadata(family: "metric_1", kind: .counter, help: "Counts.", unit: "seconds"))
        return batch
    }

    static func encode(_ batch: MetricBatch, _ options: RemoteWriteEncoder.Options) -> ([UInt8], RemoteWriteCounts) {
        var encoder = RemoteWriteEncoder(options)
        encoder.learn(batch.metadata)
        encoder.appendSamples(of: batch, rows: 0..<batch.series.count)
        encoder.appendHistograms(of: batch, indices: batch.histograms.indices)
        encoder.appendExemplars(of: batch, indices: batch.exemplars.indices, defaultTimestamp: 7)
        if options.version == .v1 { encoder.appendMetadata(batch.metadata) }
        return encoder.finish { bytes, counts in (Array(bytes), counts) }
    }

    static func rows(_ batch: MetricBatch) -> [String] {
        batch.series.indices.map { row in
            "\(batch.table[batch.series[row]]) \(batch.values[row].bitPattern) \(batch.timestamps[row])"
        }
    }

    @Test("A batch comes back from a request as it went in", arguments: RemoteWriteVersion.allCases, [true, false])
    func roundTrip(_ version: RemoteWriteVersion, _ uniform: Bool) throws {
        let batch = Self.batch(uniform: uniform)
        let (bytes, counts) = Self.encode(
            batch, .init(version: version, sendExemplars: true, sendNativeHistograms: true))
        #expect(counts.samples == 601 && counts.histograms == 4 && counts.exemplars == 2)
        #expect(counts.oldestTimestamp == -5 && counts.newestTimestamp >= 1_700_000_000_000)
        var decoder = RemoteWriteDecoder()
        for _ in 0..<2 {
            let request = try decoder.decode(bytes, as: version)
            #expect(Self.rows(request.batch) == Self.rows(batch))
            #expect(request.invalidSeries == 0)
            #expect(request.counts.items == counts.items)
            #expect(request.batch.histograms.prefix(3).map(\.histogram) == batch.histograms.prefix(3).map(\.histogram))
            #expect(Sample.isStale(try #require(request.batch.histograms.last).histogram.sum))
            #expect(request.batch.histograms.map { request.batch.table[$0.series] } == (0..<4).map { batch.table[$0] })
            #expect(request.batch.exemplars.map(\.timestamp) == [42, 7])
            #expect(request.batch.exemplars.map(\.labels) == batch.exemplars.map(\.labels))
            if version == .v2 {
                let start = try #require(request.batch.startTimestamps.first)
                #expect(start.milliseconds == 1_600_000_000_000)
                #expect(request.batch.table[start.series] == batch.table[5])
                #expect(
                    request.batch.metadata
                        == [MetricMetadata(family: "metric_1_total", kind: .counter, help: "Counts.", unit: "seconds")])
            } else {
                #expect(request.batch.metadata == batch.metadata)
            }
            #expect(request.batch.table.count == 600)
        }
    }

    @Test("An encoder starts each request anew, also in 2.0's symbols", arguments: RemoteWriteVersion.allCases)
    func requestsAreIndependent(_ version: RemoteWriteVersion) throws {
        let batch = Self.batch()
        var encoder = RemoteWriteEncoder(.init(version: version))
        var received: [String] = []
        var decoder = RemoteWriteDecoder()
        for start in stride(from: 0, to: 601, by: 100) {
            encoder.appendSamples(of: batch, rows: start..<min(start + 100, 601))
            let bytes = encoder.finish { bytes, _ in Array(bytes) }
            let isEmpty = encoder.isEmpty
            #expect(isEmpty)
            received += Self.rows(try decoder.decode(bytes, as: version).batch)
        }
        #expect(received == Self.rows(batch))
    }

    @Test("Rows picked by number are encoded in that order", arguments: RemoteWriteVersion.allCases)
    func pickedRows(_ version: RemoteWriteVersion) throws {
        let batch = Self.batch()
        let picked = (0..<601).reversed().filter { $0 % 2 == 0 }
        var encoder = RemoteWriteEncoder(.init(version: version))
        encoder.appendSamples(of: batch, rows: picked.map(UInt32.init)[...])
        let bytes = encoder.finish { bytes, _ in Array(bytes) }
        var decoder = RemoteWriteDecoder()
        let all = Self.rows(batch)
        #expect(Self.rows(try decoder.decode(bytes, as: version).batch) == picked.map { all[$0] })
    }

    @Test("Exemplars and histograms stay out unless asked for")
    func options() {
        let (_, counts) = Self.encode(
            Self.batch(), .init(version: .v1, sendExemplars: false, sendNativeHistograms: false))
        #expect(counts.exemplars == 0 && counts.histograms == 0 && counts.samples == 601)
    }

    @Test(
        "Every prefix and every flipped bit of a request is decoded or refused", arguments: RemoteWriteVersion.allCases)
    func hostileBytes(_ version: RemoteWriteVersion) {
        let (bytes, _) = Self.encode(
            Self.batch(series: 6), .init(version: version, sendExemplars: true, sendNativeHistograms: true))
        var refused = 0
        var decoder = RemoteWriteDecoder()
        for length in 0..<bytes.count {
            do { _ = try decoder.decode(Array(bytes[..<length]), as: version) } catch { refused += 1 }
        }
        var flipped = bytes
        for bit in 0..<(bytes.count * 8) {
            flipped[bit / 8] ^= 1 << UInt8(bit % 8)
            do { _ = try decoder.decode(flipped, as: version) } catch { refused += 1 }
            flipped[bit / 8] = bytes[bit / 8]
        }
        #expect(refused > bytes.count / 2)
    }

    @Test("Series with labels nobody may have are left out and counted")
    func invalidLabels() throws {
        func request(_ labels: [(String, String)]) throws -> RemoteWriteRequest {
            var writer = ProtobufWriter()
            let series = writer.beginMessage(1)
            for (name, value) in labels {
                let label = writer.beginMessage(1)
                writer.field(1, string: name)
                writer.field(2, string: value)
                writer.endMessage(label)
            }
            let sample = writer.beginMessage(2)
            writer.field(1, double: 1)
            writer.endMessage(sample)
            writer.endMessage(series)
            var decoder = RemoteWriteDecoder()
            return try decoder.decode(writer.bytes, as: .v1)
        }
        for labels in [[], [("a", "b")], [("__name__", "x"), ("a", "1"), ("a", "2")], [("__name__", "x"), ("", "v")]] {
            let decoded = try request(labels)
            #expect(decoded.invalidSamples == 1 && decoded.batch.isEmpty, "\(labels)")
        }
        let unsorted = try request([("b", "2"), ("__name__", "x"), ("a", "")])
        #expect(unsorted.invalidSeries == 0)
        #expect(unsorted.batch.table[0] == LabelSet([("__name__", "x"), ("b", "2")]))
    }

    @Test("2.0 symbols cannot be expanded without bound")
    func expansion() {
        var writer = ProtobufWriter()
        writer.field(4, string: "")
        writer.field(4, string: "__name__")
        writer.field(4, string: String(repeating: "x", count: 200_000))
        for _ in 0..<2000 {
            let series = writer.beginMessage(5)
            let packed = writer.beginMessage(1)
            writer.appendVarint(1)
            writer.appendVarint(2)
            writer.endMessage(packed)
            writer.endMessage(series)
        }
        var decoder = RemoteWriteDecoder()
        #expect(throws: ProtobufError.tooMany("label bytes in a request")) {
            try decoder.decode(writer.bytes, as: .v2)
        }
    }

    @Test(
        "The content type tells the message",
        arguments: [
            ("application/x-protobuf", RemoteWriteVersion.v1),
            ("application/x-protobuf; proto=prometheus.WriteRequest", .v1),
            ("application/x-protobuf;proto=io.prometheus.write.v2.Request", .v2),
            ("application/x-protobuf;proto=other", nil), ("application/json", nil), ("", nil),
        ] as [(String, RemoteWriteVersion?)])
    func contentTypes(_ text: String, _ expected: RemoteWriteVersion?) {
        #expect(RemoteWriteVersion(contentType: text) == expected)
    }
}

@Suite("RemoteWriteMerger")
struct RemoteWriteMergerTests {
    private func pieces(_ batch: MetricBatch, _ version: RemoteWriteVersion, every size: Int) throws -> [[UInt8]] {
        var encoder = RemoteWriteEncoder(.init(version: version))
        encoder.learn(batch.metadata)
        var pieces: [[UInt8]] = []
        for start in stride(from: 0, to: batch.series.count, by: size) {
            encoder.appendSamples(of: batch, rows: start..<min(start + size, batch.series.count))
            if start == 0 {
                encoder.appendExemplars(of: batch, indices: batch.exemplars.indices, defaultTimestamp: .max)
            }
            var piece: [UInt8] = []
            try encoder.finish { bytes, _ in try Snappy.compress(bytes, into: &piece) }
            pieces.append(piece)
        }
        return pieces
    }

    @Test(
        "Joined requests hold what the parts held, in order", arguments: RemoteWriteVersion.allCases, [1, 7, 100, 601])
    func join(_ version: RemoteWriteVersion, _ size: Int) throws {
        let batch = RemoteWriteTests.batch()
        var merger = RemoteWriteMerger()
        let merged = try merger.merge(try pieces(batch, version, every: size), version: version)
        let dropped = merged.dropped
        #expect(dropped.isEmpty)
        var decoder = RemoteWriteDecoder()
        let request = try decoder.decode(try Snappy.decompress(merged.bytes, limit: 1 << 24), as: version)
        #expect(RemoteWriteTests.rows(request.batch) == RemoteWriteTests.rows(batch))
        #expect(request.batch.exemplars.map(\.labels) == batch.exemplars.map(\.labels))
        if version == .v2 { #expect(request.batch.metadata.map(\.help) == ["Counts."]) }
    }

    @Test("Samples older than the cutoff are left out and counted", arguments: RemoteWriteVersion.allCases)
    func cutoff(_ version: RemoteWriteVersion) throws {
        let batch = RemoteWriteTests.batch()
        var merger = RemoteWriteMerger()
        let parts = try pieces(batch, version, every: 100)
        let merged = try merger.merge(parts, version: version, olderThan: 1_700_000_000_000)
        let old = batch.series.indices.filter { batch.timestamps[$0] < 1_700_000_000_000 }
        let dropped = merged.dropped.samples
        #expect(dropped == old.count && old.count > 100)
        var decoder = RemoteWriteDecoder()
        let request = try decoder.decode(try Snappy.decompress(merged.bytes, limit: 1 << 24), as: version)
        let all = RemoteWriteTests.rows(batch)
        let kept = batch.series.indices.filter { !old.contains($0) }.map { all[$0] }
        #expect(RemoteWriteTests.rows(request.batch) == kept)
        let nothing = try merger.merge(parts, version: version, olderThan: .max)
        let lost = nothing.dropped.samples
        #expect(lost == 601)
    }
}
