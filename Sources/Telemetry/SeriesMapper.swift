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
        }

        static let dropped = UInt32.max
        let state = Mutex(State())
    }

    private struct Entry {
        weak var source: SeriesTable.Identity?
        var mapping: Mapping
    }

    private struct Tables: ~Copyable {
        var entries: [ObjectIdentifier: Entry] = [:]
        var sweepAt = 64
    }

    private let transform: Transform
    private let tables = Mutex(Tables())

    package init(_ transform: @escaping Transform) { self.transform = transform }

    /// Changes the labels of `batch` and returns the number of samples dropped.
    package func apply(to batch: inout MetricBatch) -> Int {
        let source = batch.table
        let mapping = mapping(for: source.identity)
        return mapping.state.withLock { state in
            if state.epoch != source.epoch {
                state.epoch = source.epoch
                state.writer.startEpoch()
                state.indices.removeAll(keepingCapacity: true)
                state.droppedSeries = 0
            }
            extend(&state, with: source)
            let indices = state.indices
            return batch.remap(to: state.writer.table, dropping: state.droppedSeries > 0) { ref in
                let own = indices[Int(ref)]
                return own == Mapping.dropped ? nil : own
            }
        }
    }

    /// The number of source series known now, over all tables.
    package var seriesCount: Int {
        let mappings = tables.withLock { $0.entries.values.map(\.mapping) }
        return mappings.reduce(0) { $0 + $1.state.withLock { $0.indices.count } }
    }

    private func extend(_ state: inout Mapping.State, with source: SeriesTable) {
        guard state.indices.count < source.count else { return }
        for index in state.indices.count..<source.count {
            if let labels = transform(source[SeriesRef(index)], &state.scratch) {
                state.indices.append(state.writer.append(labels))
            } else {
                state.indices.append(Mapping.dropped)
                state.droppedSeries += 1
            }
        }
    }

    private func mapping(for identity: SeriesTable.Identity) -> Mapping {
        tables.withLock { tables in
            let key = ObjectIdentifier(identity)
            if let entry = tables.entries[key], entry.source === identity { return entry.mapping }
            if tables.entries.count >= tables.sweepAt {
                tables.entries = tables.entries.filter { $0.value.source != nil }
                tables.sweepAt = max(64, tables.entries.count * 2)
            }
            let mapping = Mapping()
            tables.entries[key] = Entry(source: identity, mapping: mapping)
            return mapping
        }
    }
}
