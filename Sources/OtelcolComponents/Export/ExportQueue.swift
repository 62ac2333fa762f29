import Essentials
import SelfMetrics
import Synchronization
import Telemetry

/// A batch on its way to a destination, and who wants to know what became of it.
struct ExportEntry: Sendable {
    var batch: OTLPBatch
    /// Called once with nil when the batch was sent, or with why it was not.
    var settled: @Sendable (ExportOutcome) -> Void
}

/// What became of a batch.
enum ExportOutcome: Sendable {
    case sent(ExportReport)
    case failed(DropReason, String)
}

/// Batches of one signal waiting in memory to be sent: first in, first out, bounded.
final class ExportQueue: Sendable {
    private struct State: ~Copyable {
        var entries: [ExportEntry] = []
        var head = 0
        var size = 0
        var isClosed = false
        var taker: CheckedContinuation<Void, Never>?
        var askers: [UInt64: CheckedContinuation<Void, Never>] = [:]
        var nextAsker: UInt64 = 0

        var isEmpty: Bool { head == entries.count }
    }

    private let state = Mutex(State())
    private let sizer: QueueSizer
    private let capacity: Int
    private let gauge: Gauge

    init(sizer: QueueSizer, capacity: Int, gauge: Gauge) {
        self.sizer = sizer
        self.capacity = capacity
        self.gauge = gauge
    }

    /// False when there is no room; an empty queue takes any batch.
    func offer(_ entry: ExportEntry) -> Bool {
        let taker: CheckedContinuation<Void, Never>?? = state.withLock { state in
            let size = sizer.size(of: entry.batch)
            if state.isClosed || (state.size > 0 && state.size + size > capacity) { return .none }
            state.entries.append(entry)
            state.size += size
            gauge.set(state.size)
            defer { state.taker = nil }
            return .some(state.taker)
        }
        guard let taker else { return false }
        taker?.resume()
        return true
    }

    /// Takes a batch that has a place already, whatever the room. For the time before the queue is served.
    func adopt(_ entry: ExportEntry) {
        state.withLock { state in
            state.entries.append(entry)
            state.size += sizer.size(of: entry.batch)
            gauge.set(state.size)
        }
    }

    /// Waits until there may be room, or the queue is closed, or the task is cancelled.
    func waitForRoom() async {
        let id = state.withLock { state in
            state.nextAsker += 1
            return state.nextAsker
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isOver = state.withLock { state in
                    if state.isClosed || state.size < capacity || Task.isCancelled { return true }
                    state.askers[id] = continuation
                    return false
                }
                if isOver { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.askers.removeValue(forKey: id) }?.resume()
        }
    }

    /// The next batch if there is one.
    func takeIfAny() -> ExportEntry? {
        let (entry, askers) = state.withLock { state -> (ExportEntry?, [CheckedContinuation<Void, Never>]) in
            guard !state.isEmpty else { return (nil, []) }
            let entry = state.entries[state.head]
            state.entries[state.head].settled = { _ in }
            state.entries[state.head].batch = OTLPBatch(kind: entry.batch.kind)
            state.head += 1
            if state.isEmpty {
                state.entries.removeAll(keepingCapacity: state.head < 4096)
                state.head = 0
            } else if state.head > 1024, state.head * 2 > state.entries.count {
                state.entries.removeFirst(state.head)
                state.head = 0
            }
            state.size -= sizer.size(of: entry.batch)
            gauge.set(state.size)
            defer { state.askers.removeAll() }
            return (entry, Array(state.askers.values))
        }
        for asker in askers { asker.resume() }
        return entry
    }

    /// The next batch; nil once the queue is closed and empty. For one task at a time.
    func take() async -> ExportEntry? {
        while true {
            if let entry = takeIfAny() { return entry }
            if state.withLock({ $0.isClosed && $0.isEmpty }) { return nil }
            await waitForEntry()
        }
    }

    /// Waits until there is a batch, the queue is closed or the task is cancelled.
    func waitForEntry() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isReady = state.withLock { state in
                    if !state.isEmpty || state.isClosed || Task.isCancelled { return true }
                    state.taker = continuation
                    return false
                }
                if isReady { continuation.resume() }
            }
        } onCancel: {
            let taker = state.withLock { state in
                defer { state.taker = nil }
                return state.taker
            }
            taker?.resume()
        }
    }

    var isClosed: Bool { state.withLock { $0.isClosed } }

    /// Takes nothing more; what waits can still be taken out.
    func close() {
        let waiting = state.withLock { state in
            state.isClosed = true
            var waiting = Array(state.askers.values)
            state.askers.removeAll()
            if let taker = state.taker { waiting.append(taker) }
            state.taker = nil
            return waiting
        }
        for continuation in waiting { continuation.resume() }
    }
}
