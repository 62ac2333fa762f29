import Compression
import Essentials
import Storage
import Synchronization
import Telemetry
import Wire

/// Turns batches into queued requests for one endpoint: relabels, sorts by shard, encodes, compresses.
final class EndpointWriter: Sendable {
    struct Configuration: Sendable, Equatable {
        var encoding: RemoteWriteEncoder.Options
        var externalLabels: LabelSet
        var relabeling: Relabeling
        var samplesPerSend: Int
        var sampleAgeLimit: Duration
        var sendsMetadata: Bool
    }

    /// What became of a batch.
    struct Output {
        var records: [SegmentRecord] = []
        /// Samples, histograms and exemplars in the records.
        var counts = RemoteWriteCounts()
        var dropped: [(reason: String, counts: RemoteWriteCounts)] = []
    }

    private struct State: ~Copyable {
        var configuration: Configuration
        var encoder: RemoteWriteEncoder
        /// Nil when labels stay as they are.
        var mapper: SeriesMapper?
        var layout: QueuedRequest.Layout
        /// Rows of the batch in work by shard.
        var rows: [[UInt32]] = []
        var hashes: [UInt64] = []
        var compressed: [UInt8] = []
    }

    private let state: Mutex<State>
    private let clock: EngineClock
    private let memory: MemoryAccount?

    /// What is remembered of series is booked in `memory`.
    init(_ configuration: Configuration, shards: Int, clock: EngineClock, memory: MemoryAccount? = nil) {
        self.clock = clock
        self.memory = memory
        state = Mutex(
            State(
                configuration: configuration, encoder: RemoteWriteEncoder(configuration.encoding),
                mapper: Self.makeMapper(configuration, memory),
                layout: QueuedRequest.Layout(session: .random(in: 0 ... .max), generation: 0, shards: shards)))
    }

    /// Applies to the next batch.
    func update(_ configuration: Configuration) {
        state.withLock { state in
            let before = state.configuration
            if before == configuration { return }
            if before.encoding != configuration.encoding { state.encoder = RemoteWriteEncoder(configuration.encoding) }
            if before.externalLabels != configuration.externalLabels || before.relabeling != configuration.relabeling {
                state.mapper = Self.makeMapper(configuration, memory)
            }
            state.configuration = configuration
        }
    }

    var shards: Int { state.withLock { $0.layout.shards } }

    /// Spreads later batches over `count` shards.
    func setShards(_ count: Int) {
        state.withLock { state in
            if state.layout.shards == count { return }
            state.layout.shards = count
            state.layout.generation &+= 1
        }
    }

    /// Forgets the mappings of sources that have been silent for ten minutes.
    func forgetSilentSources() {
        let mapper = state.withLock { $0.mapper }
        mapper?.forget(usedBefore: clock.monotonicNanoseconds - Duration.seconds(600).nanoseconds, untilAtMost: 0)
    }

    private static func makeMapper(_ configuration: Configuration, _ memory: MemoryAccount?) -> SeriesMapper? {
        let external = configuration.externalLabels
        let rules = configuration.relabeling
        if external.isEmpty, rules.isEmpty { return nil }
        return SeriesMapper(account: memory) { labels, scratch in
            var labels = labels
            if !external.isEmpty { labels = ExternalLabels.added(external, to: labels, &scratch) }
            guard let changed = rules.apply(to: labels, scratch: &scratch), !changed.isEmpty else { return nil }
            return changed
        }
    }

    // MARK: Encoding

    func encode(_ incoming: MetricBatch) throws -> Output {
        let now = clock.wallMilliseconds
        let monotonic = clock.monotonicNanoseconds
        return try state.withLock { state in
            var batch = incoming
            var output = Output()
            if let mapper = state.mapper {
                let samples = batch.series.count
                let exemplars = batch.exemplars.count
                let dropped = mapper.apply(to: &batch, at: monotonic)
                var counts = RemoteWriteCounts()
                counts.samples = samples - batch.series.count
                counts.histograms = dropped - counts.samples
                counts.exemplars = exemplars - batch.exemplars.count
                if !counts.isEmpty { output.dropped.append(("dropped_series", counts)) }
            }
            if state.configuration.sendsMetadata { state.encoder.learn(batch.metadata) }
            let limit = state.configuration.sampleAgeLimit
            let cutoff = limit > .zero ? now - limit.milliseconds : Int64.min
            try Self.encodeSamples(batch, cutoff, &state, &output)
            try Self.encodeHistograms(batch, cutoff, &state, &output)
            try Self.encodeExemplars(batch, cutoff, now, &state, &output)
            return output
        }
    }

    private static func encodeSamples(
        _ batch: MetricBatch, _ cutoff: Int64, _ state: inout State, _ output: inout Output
    ) throws {
        let rows = batch.series.count
        let size = state.configuration.samplesPerSend
        let isUniform = batch.timestamps.isUniform
        if rows == 0 { return }
        if isUniform, batch.timestamps[0] < cutoff {
            var counts = RemoteWriteCounts()
            counts.samples = rows
            output.dropped.append(("too_old", counts))
            return
        }
        if state.layout.shards == 1, isUniform || cutoff == .min {
            for start in stride(from: 0, to: rows, by: size) {
                state.encoder.appendSamples(of: batch, rows: start..<min(start + size, rows))
                try cut(0, &state, &output)
            }
            return
        }
        let old = sort(batch, cutoff, &state)
        if old > 0 {
            var counts = RemoteWriteCounts()
            counts.samples = old
            output.dropped.append(("too_old", counts))
        }
        for shard in 0..<state.layout.shards {
            let rows = state.rows[shard]
            for start in stride(from: 0, to: rows.count, by: size) {
                state.encoder.appendSamples(of: batch, rows: rows[start..<min(start + size, rows.count)])
                try cut(shard, &state, &output)
            }
        }
    }

    /// Fills `state.rows`; returns the number of rows older than `cutoff`, which are left out.
    private static func sort(_ batch: MetricBatch, _ cutoff: Int64, _ state: inout State) -> Int {
        let shards = UInt64(state.layout.shards)
        while state.rows.count < state.layout.shards { state.rows.append([]) }
        for shard in state.rows.indices { state.rows[shard].removeAll(keepingCapacity: true) }
        if state.hashes.count < batch.series.count {
            state.hashes = [UInt64](repeating: 0, count: batch.series.count)
        }
        state.hashes.withUnsafeMutableBufferPointer { hashes in
            guard let base = hashes.baseAddress else { return }
            batch.series.withUnsafeBufferPointer { batch.table.hashes(of: $0, into: base) }
        }
        var old = 0
        for row in 0..<batch.series.count {
            if batch.timestamps[row] < cutoff {
                old += 1
                continue
            }
            // The high bits: the low ones choose slots in hash tables of receivers that hash alike.
            let shard = (state.hashes[row] >> 32) % shards
            state.rows[Int(shard)].append(UInt32(row))
        }
        return old
    }

    private static func shard(_ series: SeriesRef, _ batch: MetricBatch, _ state: borrowing State) -> Int {
        if state.layout.shards == 1 { return 0 }
        return Int((batch.table[series].hash >> 32) % UInt64(state.layout.shards))
    }

    private static func encodeHistograms(
        _ batch: MetricBatch, _ cutoff: Int64, _ state: inout State, _ output: inout Output
    ) throws {
        if batch.histograms.isEmpty { return }
        var counts = (old: RemoteWriteCounts(), off: RemoteWriteCounts(), custom: RemoteWriteCounts())
        var byShard = [[Int]](repeating: [], count: state.layout.shards)
        let options = state.configuration.encoding
        for (index, sample) in batch.histograms.enumerated() {
            if !options.sendNativeHistograms {
                counts.off.histograms += 1
            } else if options.version == .v1, sample.histogram.schema == NativeHistogram.customBucketsSchema {
                counts.custom.histograms += 1
            } else if sample.timestamp < cutoff {
                counts.old.histograms += 1
            } else {
                byShard[shard(sample.series, batch, state)].append(index)
            }
        }
        if !counts.off.isEmpty { output.dropped.append(("native_histograms_not_sent", counts.off)) }
        if !counts.custom.isEmpty { output.dropped.append(("nhcb_in_rw1_not_supported", counts.custom)) }
        if !counts.old.isEmpty { output.dropped.append(("too_old", counts.old)) }
        let size = state.configuration.samplesPerSend
        for (shard, indices) in byShard.enumerated() {
            for start in stride(from: 0, to: indices.count, by: size) {
                state.encoder.appendHistograms(of: batch, indices: indices[start..<min(start + size, indices.count)])
                try cut(shard, &state, &output)
            }
        }
    }

    private static func encodeExemplars(
        _ batch: MetricBatch, _ cutoff: Int64, _ now: Int64, _ state: inout State, _ output: inout Output
    ) throws {
        if batch.exemplars.isEmpty || !state.configuration.encoding.sendExemplars { return }
        var old = RemoteWriteCounts()
        var byShard = [[Int]](repeating: [], count: state.layout.shards)
        for (index, exemplar) in batch.exemplars.enumerated() {
            if exemplar.timestamp ?? now < cutoff {
                old.exemplars += 1
            } else {
                byShard[shard(exemplar.series, batch, state)].append(index)
            }
        }
        if !old.isEmpty { output.dropped.append(("too_old", old)) }
        let size = state.configuration.samplesPerSend
        for (shard, indices) in byShard.enumerated() {
            for start in stride(from: 0, to: indices.count, by: size) {
                let part = indices[start..<min(start + size, indices.count)]
                state.encoder.appendExemplars(of: batch, indices: part, defaultTimestamp: now)
                try cut(shard, &state, &output)
            }
        }
    }

    /// Makes a record of what the encoder holds.
    private static func cut(_ shard: Int, _ state: inout State, _ output: inout Output) throws {
        if state.encoder.isEmpty { return }
        state.compressed.removeAll(keepingCapacity: true)
        var compressed = state.compressed
        state.compressed = []
        let counts = try state.encoder.finish { bytes, counts in
            try Snappy.compress(bytes, into: &compressed)
            return counts
        }
        let request = QueuedRequest(
            body: compressed, version: state.configuration.encoding.version, layout: state.layout, shard: shard,
            counts: counts)
        output.records.append(request.record)
        output.counts += counts
        // The record has its own, exactly large enough, copy.
        state.compressed = compressed
    }
}
