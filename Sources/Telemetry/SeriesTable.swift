import Essentials
import Synchronization

/// A series within the ``SeriesTable`` it came with: an index that stays the same within an epoch.
package typealias SeriesRef = UInt32

/// The series of one source (a scrape target, a tenant) as they stood when a batch was made.
///
/// A view: `count` label sets of an append-only table. Views of the same table and epoch agree on every index they
/// share, so stages keep one array per table and extend it for the indices they have not seen.
package struct SeriesTable: Sendable {
    /// Identifies the table over its whole life; held by every view, so that caches can tell when it is gone.
    package final class Identity: Sendable {
        package init() {}
    }

    package let identity: Identity
    /// Grows whenever indices are given out anew.
    package let epoch: UInt64
    /// Indices below this are valid.
    package let count: Int
    private let chunks: [Chunk]

    /// A run of label sets. Slots below a view's `count` are never written again, and a view reaches another task only
    /// through a batch that was sent after they were written: hence safe to share.
    fileprivate final class Chunk: @unchecked Sendable {
        static let capacity = 1024
        let slots: UnsafeMutablePointer<LabelSet>

        init() {
            slots = .allocate(capacity: Chunk.capacity)
            slots.initialize(repeating: .empty, count: Chunk.capacity)
        }

        deinit {
            slots.deinitialize(count: Chunk.capacity)
            slots.deallocate()
        }
    }

    fileprivate init(identity: Identity, epoch: UInt64, count: Int, chunks: [Chunk]) {
        self.identity = identity
        self.epoch = epoch
        self.count = count
        self.chunks = chunks
    }

    package static let empty = SeriesTable(identity: Identity(), epoch: 0, count: 0, chunks: [])

    /// The labels of series `ref`, which must be below ``count``.
    package subscript(ref: SeriesRef) -> LabelSet {
        precondition(Int(ref) < count, "series outside its table")
        return chunks[Int(ref) / Chunk.capacity].slots[Int(ref) % Chunk.capacity]
    }

    /// Writes where the encoded labels of each of `refs` lie, one after another, to `views`, which has room for them.
    /// The views are valid as long as this table is. One call resolves many series: made for encoders' loops.
    package func encodedLabels(
        of refs: UnsafeBufferPointer<SeriesRef>, into views: UnsafeMutablePointer<UnsafeRawBufferPointer>
    ) {
        for index in 0..<refs.count {
            let ref = Int(refs[index])
            precondition(ref < count, "series outside its table")
            views[index] = chunks[ref / Chunk.capacity].slots[ref % Chunk.capacity].withEncoded { $0 }
        }
    }

    /// Writes the label hash of each of `refs` to `hashes`, which has room for them.
    package func hashes(of refs: UnsafeBufferPointer<SeriesRef>, into hashes: UnsafeMutablePointer<UInt64>) {
        for index in 0..<refs.count {
            let ref = Int(refs[index])
            precondition(ref < count, "series outside its table")
            hashes[index] = chunks[ref / Chunk.capacity].slots[ref % Chunk.capacity].hash
        }
    }

    /// The owner's side of a ``SeriesTable``: one per source, used by one task at a time.
    package struct Writer: Sendable {
        private var identity = Identity()
        private var epoch: UInt64 = 0
        private var chunks: [Chunk] = []
        package private(set) var count = 0

        package init() {}

        /// The labels of series `ref`.
        package subscript(ref: SeriesRef) -> LabelSet {
            precondition(Int(ref) < count, "series outside its table")
            return chunks[Int(ref) / Chunk.capacity].slots[Int(ref) % Chunk.capacity]
        }

        /// Adds a series and returns its index.
        package mutating func append(_ labels: LabelSet) -> SeriesRef {
            if count == chunks.count * Chunk.capacity { chunks.append(Chunk()) }
            chunks[count / Chunk.capacity].slots[count % Chunk.capacity] = labels
            count += 1
            return SeriesRef(count - 1)
        }

        /// Starts a new epoch without series; views of the old one stay valid.
        package mutating func startEpoch() {
            epoch += 1
            chunks = []
            count = 0
        }

        /// A view of everything appended so far.
        package var table: SeriesTable {
            SeriesTable(identity: identity, epoch: epoch, count: count, chunks: chunks)
        }
    }
}
