import Synchronization
import Telemetry

/// Batches whose entries were delivered, kept for their memory: making it anew for every batch costs more than filling
/// it.
final class SpareBatches: Sendable {
    /// Larger ones are let go.
    private static let maximumBytes = 1 << 20
    private static let maximumCount = 4

    private let spares = Mutex<[LogBatch]>([])

    /// An empty batch.
    func take() -> LogBatch { spares.withLock { $0.popLast() } ?? LogBatch() }

    /// Takes a batch that is done with, leaving an empty one.
    func give(_ batch: inout LogBatch) {
        var spare = LogBatch()
        swap(&spare, &batch)
        let isSmall = spare.arena.capacity <= Self.maximumBytes && spare.entries.capacity <= Self.maximumBytes / 40
        guard isSmall else { return }
        spare.reset()
        let kept = spare
        spares.withLock { if $0.count < Self.maximumCount { $0.append(kept) } }
    }
}
