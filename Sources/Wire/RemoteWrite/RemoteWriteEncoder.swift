import Essentials
import Glibc
package import Telemetry

/// Turns slices of metric batches into remote-write requests, 1.0 or 2.0, in buffers that are reused.
///
/// Source of the messages: prompb/remote.proto, prompb/types.proto and prompb/io/prometheus/write/v2/types.proto of
/// Prometheus. As its sender does, each sample, histogram and exemplar travels in a `TimeSeries` of its own. 1.0 copies the
/// label sets' bytes; 2.0 keeps, for every series table it has seen, the symbols of each series, so that a known series
/// costs one array lookup per symbol. Start times are `start_timestamp` of 2.0's samples and histograms.
///
/// The caller cuts requests: it appends rows until ``counts`` reaches its limit, then calls ``finish(_:)``.
package struct RemoteWriteEncoder: ~Copyable {
    package struct Options: Sendable, Equatable {
        package var version: RemoteWriteVersion
        package var sendExemplars: Bool
        package var sendNativeHistograms: Bool

        package init(
            version: RemoteWriteVersion = .v1, sendExemplars: Bool = true, sendNativeHistograms: Bool = false
        ) {
            self.version = version
            self.sendExemplars = sendExemplars
            self.sendNativeHistograms = sendNativeHistograms
        }
    }

    package let options: Options
    /// What the unfinished request holds.
    package private(set) var counts = RemoteWriteCounts()

    private var writer = ProtobufWriter(capacity: 64 << 10)
    private var symbols = RemoteWriteSymbols()
    /// Where labels of the rows in work lie; ``stride`` of them.
    private let views: UnsafeMutablePointer<UnsafeRawBufferPointer>
    private let refs: UnsafeMutablePointer<SeriesRef>
    private static var stride: Int { 256 }

    package init(_ options: Options) {
        self.options = options
        views = .allocate(capacity: Self.stride)
        views.initialize(repeating: UnsafeRawBufferPointer(start: nil, count: 0), count: Self.stride)
        refs = .allocate(capacity: Self.stride)
        refs.initialize(repeating: 0, count: Self.stride)
    }

    deinit {
        views.deallocate()
        refs.deallocate()
    }

    package var isEmpty: Bool { counts.isEmpty }

    /// Bytes of the unfinished request before compression, about.
    package var byteCount: Int { writer.count + symbols.byteCount }

    /// Remembers `metadata` for the series of later rows. 2.0 only: in 1.0 metadata travels by ``appendMetadata(_:)``.
    package mutating func learn(_ metadata: [MetricMetadata]) {
        if options.version == .v2, !metadata.isEmpty { symbols.learn(metadata) }
    }

    // MARK: Samples

    /// Adds the samples of `rows` of `batch`.
    package mutating func appendSamples(of batch: MetricBatch, rows: Range<Int>) {
        precondition(rows.lowerBound >= 0 && rows.upperBound <= batch.series.count, "rows outside the batch")
        var start = rows.lowerBound
        batch.series.withUnsafeBufferPointer { series in
            batch.values.withUnsafeBufferPointer { values in
                while start < rows.upperBound {
                    let end = min(start + Self.stride, rows.upperBound)
                    appendRun(
                        batch, UnsafeBufferPointer(rebasing: series[start..<end]),
                        values: { values[start &+ $0] }, timestamps: { batch.timestamps[start &+ $0] })
                    start = end
                }
            }
        }
    }

    /// Adds the samples of the rows numbered in `rows`.
    package mutating func appendSamples(of batch: MetricBatch, rows: ArraySlice<UInt32>) {
        var start = rows.startIndex
        rows.withUnsafeBufferPointer { rows in
            start = 0
            batch.series.withUnsafeBufferPointer { series in
                batch.values.withUnsafeBufferPointer { values in
                    while start < rows.count {
                        let count = min(Self.stride, rows.count - start)
                        for index in 0..<count { refs[index] = series[Int(rows[start + index])] }
                        appendRun(
                            batch, UnsafeBufferPointer(start: refs, count: count),
                            values: { values[Int(rows[start &+ $0])] },
                            timestamps: { batch.timestamps[Int(rows[start &+ $0])] })
                        start += count
                    }
                }
            }
        }
    }

    @inline(__always)
    private mutating func appendRun(
        _ batch: MetricBatch, _ series: UnsafeBufferPointer<SeriesRef>,
        values: (Int) -> Double, timestamps: (Int) -> Int64
    ) {
        if series.isEmpty { return }
        switch options.version {
        case .v1: appendRun1(batch, series, values: values, timestamps: timestamps)
        case .v2: appendRun2(batch, series, values: values, timestamps: timestamps)
        }
        counts.samples += series.count
    }

    @inline(__always)
    private mutating func appendRun1(
        _ batch: MetricBatch, _ series: UnsafeBufferPointer<SeriesRef>,
        values: (Int) -> Double, timestamps: (Int) -> Int64
    ) {
        batch.table.encodedLabels(of: series, into: views)
        let isUniform = batch.timestamps.isUniform
        var timestamp = timestamps(0)
        counts.note(timestamp)
        var timestampSize = ProtobufWriter.varintSize(UInt64(bitPattern: timestamp))
        for index in 0..<series.count {
            if !isUniform {
                timestamp = timestamps(index)
                counts.note(timestamp)
                timestampSize = ProtobufWriter.varintSize(UInt64(bitPattern: timestamp))
            }
            let labels = views[index]
            let sampleSize = 10 &+ timestampSize
            let seriesSize = labels.count &+ 2 &+ sampleSize
            let start = writer.unwritten(seriesSize &+ 11)
            var at = start
            at.storeBytes(of: 0x0A, as: UInt8.self)
            at += 1
            at += ProtobufWriter.store(UInt64(truncatingIfNeeded: seriesSize), at: at)
            if let source = labels.baseAddress { memcpy(at, source, labels.count) }
            at += labels.count
            at.storeBytes(of: 0x12, as: UInt8.self)
            at.storeBytes(of: UInt8(truncatingIfNeeded: sampleSize), toByteOffset: 1, as: UInt8.self)
            at.storeBytes(of: 0x09, toByteOffset: 2, as: UInt8.self)
            at.storeBytes(of: values(index).bitPattern.littleEndian, toByteOffset: 3, as: UInt64.self)
            at.storeBytes(of: 0x10, toByteOffset: 11, as: UInt8.self)
            at += 12
            at += ProtobufWriter.store(UInt64(bitPattern: timestamp), at: at)
            writer.advance(by: at - start)
        }
    }

    @inline(__always)
    private mutating func appendRun2(
        _ batch: MetricBatch, _ series: UnsafeBufferPointer<SeriesRef>,
        values: (Int) -> Double, timestamps: (Int) -> Int64
    ) {
        symbols.select(batch)
        for index in 0..<series.count {
            let timestamp = timestamps(index)
            counts.note(timestamp)
            let start = symbols.startTimestamp(of: series[index])
            let startSize = start == 0 ? 0 : 1 + ProtobufWriter.varintSize(UInt64(bitPattern: start))
            let sampleSize = 10 + ProtobufWriter.varintSize(UInt64(bitPattern: timestamp)) + startSize
            let message = writer.beginMessage(5)
            symbols.appendSeries(series[index], to: &writer)
            writer.appendByte(0x12)
            writer.appendByte(UInt8(truncatingIfNeeded: sampleSize))
            writer.field(1, double: values(index))
            writer.field(2, int64: timestamp)
            if start != 0 { writer.field(3, int64: start) }
            symbols.appendMetadata(of: series[index], to: &writer)
            writer.endMessage(message)
        }
    }

    // MARK: Histograms, exemplars, metadata

    /// Adds native histograms of `batch` by their indices in it; nothing when the options leave them out.
    package mutating func appendHistograms(of batch: MetricBatch, indices: some Sequence<Int>) {
        guard options.sendNativeHistograms else { return }
        let version = options.version
        if version == .v2 { symbols.select(batch) }
        for index in indices {
            let sample = batch.histograms[index]
            let series = writer.beginMessage(version == .v1 ? 1 : 5)
            if version == .v1 {
                batch.table[sample.series].withEncoded { writer.append($0) }
            } else {
                symbols.appendSeries(sample.series, to: &writer)
            }
            let message = writer.beginMessage(version == .v1 ? 4 : 3)
            RemoteWriteHistogram.append(
                sample.histogram, timestamp: sample.timestamp,
                startTimestamp: version == .v1 ? 0 : symbols.startTimestamp(of: sample.series), to: &writer)
            writer.endMessage(message)
            if version == .v2 { symbols.appendMetadata(of: sample.series, to: &writer) }
            writer.endMessage(series)
            counts.histograms += 1
            counts.note(sample.timestamp)
        }
    }

    /// Adds exemplars of `batch` by their indices in it; nothing when the options leave them out. Append them after the
    /// samples of their series: receivers look the series up. Exemplars without a time get `timestamp`.
    package mutating func appendExemplars(
        of batch: MetricBatch, indices: some Sequence<Int>, defaultTimestamp timestamp: Int64
    ) {
        guard options.sendExemplars else { return }
        let version = options.version
        if version == .v2 { symbols.select(batch) }
        for index in indices {
            let exemplar = batch.exemplars[index]
            let series = writer.beginMessage(version == .v1 ? 1 : 5)
            if version == .v1 {
                batch.table[exemplar.series].withEncoded { writer.append($0) }
            } else {
                symbols.appendSeries(exemplar.series, to: &writer)
            }
            let message = writer.beginMessage(version == .v1 ? 3 : 4)
            if version == .v1 {
                exemplar.labels.withEncoded { writer.append($0) }
            } else {
                symbols.append(exemplar.labels, to: &writer)
            }
            writer.field(2, double: exemplar.value)
            writer.field(3, int64: exemplar.timestamp ?? timestamp)
            writer.endMessage(message)
            if version == .v2 { symbols.appendMetadata(of: exemplar.series, to: &writer) }
            writer.endMessage(series)
            counts.exemplars += 1
        }
    }

    /// Adds families' metadata as messages of their own; 1.0 only.
    package mutating func appendMetadata(_ metadata: some Sequence<MetricMetadata>) {
        precondition(options.version == .v1, "2.0 carries metadata in its series")
        for family in metadata {
            let message = writer.beginMessage(3)
            if family.kind != .unknown { writer.field(1, varint: family.kind.remoteWriteNumber) }
            writer.field(2, string: family.family)
            if !family.help.isEmpty { writer.field(4, string: family.help) }
            if !family.unit.isEmpty { writer.field(5, string: family.unit) }
            writer.endMessage(message)
            counts.metadata += 1
        }
    }

    /// Calls `body` with the request's bytes, uncompressed, valid until it returns, and starts the next request.
    package mutating func finish<Result>(
        _ body: (UnsafeRawBufferPointer, RemoteWriteCounts) throws -> Result
    ) rethrows -> Result {
        let finished = counts
        defer {
            counts = RemoteWriteCounts()
            // An unusually large request must not keep its memory for good.
            if writer.count > 4 << 20 { writer.shrink(to: 1 << 20) } else { writer.removeAll() }
            symbols.startRequest()
        }
        switch options.version {
        case .v1: return try writer.withBytes { try body($0, finished) }
        case .v2: return try symbols.withRequest(followedBy: writer) { try body($0, finished) }
        }
    }
}
