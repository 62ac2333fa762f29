import Synchronization

/// Shows the batches at the edges of a component to whoever looks at it now; costs one atomic load a batch while nobody
/// does.
///
/// Every ``ComponentLedger`` has one: where the books are kept is where everything passes.
package final class EdgeTap: Sendable {
    /// Sees a batch; called on the task that moves it, so it must be quick and bounded.
    package typealias Observer = @Sendable (EdgeSight) -> Void

    private let isWatched = Atomic<Bool>(false)
    private let isConnected = Atomic<Bool>(false)
    private let isReplaced = Atomic<Bool>(false)
    private let observer = Mutex<Observer?>(nil)

    init() {}

    /// Whether there is anything to see: a receiver or a way out, or a component that shows its items by itself.
    package var hasSights: Bool {
        isConnected.load(ordering: .relaxed) || isReplaced.load(ordering: .relaxed)
    }

    /// Shows batches to `observer` from now on; nil stops.
    package func show(to observer: Observer?) {
        self.observer.withLock { $0 = observer }
        isWatched.store(observer != nil && !isReplaced.load(ordering: .relaxed), ordering: .relaxed)
    }

    /// From now on the component shows its items by itself, and its edges show none.
    package func replace() {
        isReplaced.store(true, ordering: .relaxed)
        isWatched.store(false, ordering: .relaxed)
    }

    /// Notes that batches may pass here.
    func connect() { isConnected.store(true, ordering: .relaxed) }

    @inline(__always)
    func offer(_ passage: EdgeSight.Passage, _ batch: some Batch) {
        guard isWatched.load(ordering: .relaxed) else { return }
        pass(EdgeSight(passage: passage, count: batch.itemCount, batch: batch, problem: nil))
    }

    @inline(__always)
    func offer(_ passage: EdgeSight.Passage, refused count: Int, _ error: DeliveryError) {
        guard isWatched.load(ordering: .relaxed) else { return }
        pass(EdgeSight(passage: passage, count: count, batch: nil, problem: error))
    }

    private func pass(_ sight: EdgeSight) { observer.withLock { $0 }?(sight) }
}

/// What passed an edge of a component, or was not taken there.
package struct EdgeSight: Sendable {
    package enum Passage: Sendable {
        case incoming, outgoing
    }

    package var passage: Passage
    /// Items in the batch.
    package var count: Int
    /// The batch as it passed; nil when it was not taken.
    package var batch: (any Batch)?
    /// Why the batch was not taken; its sender may try again.
    package var problem: DeliveryError?

    package init(passage: Passage, count: Int, batch: (any Batch)?, problem: DeliveryError?) {
        self.passage = passage
        self.count = count
        self.batch = batch
        self.problem = problem
    }
}
