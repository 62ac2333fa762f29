package import Essentials
import Synchronization

/// Applies a change of labels to batches by transforming each series once, not each sample.
///
/// Keeps one array per source table and epoch, index -> own index or dropped, extended only for indices it has not
/// seen. An unchanged scrape passes without touching a label. Entries of tables that no longer exist are swept.
package final class SeriesMapper: Sendable {
    /// The labels that take the place of `labels`, or nil to drop the series. Must depend on `labels` alone.
    package typealias Transform = @Sendable (_ labels: LabelSet, _ scratch: inout LabelSetBuilder) -> LabelSet?

    /// One source table's mapping; used by one batch at a time.
    private final class Mapping: Sendable {
        struct State: ~Copyable {
            var epoch: UInt64 = .max
            var writer = SeriesTable.Writer()
            /// Own index by source index; `dropped` where there is none.
            var indices: [UInt32] = []
            var droppedSeries = 0
            var scratch = LabelSetBuilder()
            /// Bytes of the budget this mapping holds.
            var booked = 0
        }

        static let dropped = UInt32.max
        let state = Mutex(State())
        private let account: MemoryAccount?

        init(_ account: MemoryAccount?) { self.account = account }

        deinit { account?.release(state.withLock { $0.booked }) }
    }

    private struct Entry {
        weak var source: SeriesTable.Identity?
        var mapping: Mapping
        /// When a batch last came from the source; on the caller's clock.
        var lastUse: Int64
    }

    private struct Tables: ~Copyable {
        var entries: [ObjectIdentifier: Entry] = [:]
        var sweepAt = 64
    }

    /// What a series costs besides the bytes of its labels: its indices and its place in the table.
    private static let bytesPerSeries = 24

    private let transform: Transform
    private let account: MemoryAccount?
    private let transformed = Atomic<Int>(0)
    private let tables = Mutex(Tables())

    /// What is remembered is booked in `account`: it cannot be refused, as it is what makes a sample cheap to pass on,
    /// but sources are slowed down for it.
    package init(account: MemoryAccount? = nil, _ transform: @escaping Transform) {
        self.account = account
        self.transform = transform
    }

    /// Changes the labels of `batch` and returns the number of samples dropped. `now` is any clock's time, for
    /// ``forget(usedBefore:untilAtMost:)``.
    package func apply(to batch: inout MetricBatch, at now: Int64 = 0) -> Int {
        let source = batch.table
        let mapping = mapping(for: source.identity, now)
        return mapping.state.withLock { state in
            if state.epoch != source.epoch {
                state.epoch = source.epoch
                state.writer.startEpoch()
                state.indices.removeAll(keepingCapacity: true)
                state.droppedSeries = 0
                account?.release(state.booked)
                state.booked = 0
            }
            extend(&state, with: source)
            if state.droppedSeries == 0 {
                // Every series got the index it has in the source.
                batch.move(to: state.writer.table)
                return 0
            }
            let indices = state.indices
            return batch.remap(to: state.writer.table) { ref in
                let own = indices[Int(ref)]
                return own == Mapping.dropped ? nil : own
            }
        }
    }

    /// How many series have been transformed so far.
    package var mappedCount: Int { transformed.load(ordering: .relaxed) }

    /// The number of source series known now, over all tables.
    package var seriesCount: Int {
        let mappings = tables.withLock { $0.entries.values.map(\.mapping) }
        return mappings.reduce(0) { $0 + $1.state.withLock { $0.indices.count } }
    }

    /// Forgets mappings of sources that are gone, then those last used before `time`, the longest unused first, until at
    /// most `count` series are left. Returns the number of series forgotten.
    @discardableResult
    package func forget(usedBefore time: Int64, untilAtMost count: Int) -> Int {
        tables.withLock { tables in
            let sizes = tables.entries.mapValues { $0.mapping.state.withLock { $0.indices.count } }
            var total = sizes.values.reduce(0, +)
            let before = total
            let order = tables.entries.sorted { $0.value.lastUse < $1.value.lastUse }
            for (key, entry) in order {
                let isGone = entry.source == nil
                guard isGone || (total > count && entry.lastUse < time) else { continue }
                tables.entries[key] = nil
                total -= sizes[key, default: 0]
            }
            return before - total
        }
    }

    private func extend(_ state: inout Mapping.State, with source: SeriesTable) {
        guard state.indices.count < source.count else { return }
        let new = source.count - state.indices.count
        transformed.add(new, ordering: .relaxed)
        var bytes = new * Self.bytesPerSeries
        for index in state.indices.count..<source.count {
            let former = source[SeriesRef(index)]
            if let labels = transform(former, &state.scratch) {
                if !labels.isCopy(of: former) { bytes += labels.encodedByteCount }
                state.indices.append(state.writer.append(labels))
            } else {
                state.indices.append(Mapping.dropped)
                state.droppedSeries += 1
            }
        }
        account?.book(bytes)
        state.booked += bytes
    }

    private func mapping(for identity: SeriesTable.Identity, _ now: Int64) -> Mapping {
        tables.withLock { tables in
            let key = ObjectIdentifier(identity)
            if let entry = tables.entries[key], entry.source === identity {
                tables.entries[key]?.lastUse = now
                return entry.mapping
            }
            if tables.entries.count >= tables.sweepAt {
                tables.entries = tables.entries.filter { $0.value.source != nil }
                tables.sweepAt = max(64, tables.entries.count * 2)
            }
            let mapping = Mapping(account)
            tables.entries[key] = Entry(source: identity, mapping: mapping, lastUse: now)
            return mapping
        }
    }
}
