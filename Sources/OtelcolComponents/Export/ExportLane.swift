import SelfMetrics
import Storage
import Synchronization
import Telemetry

/// One signal's way through an ``ExportPipeline``.
final class ExportLane: Sendable {
    private struct State {
        var log: SegmentLog?
        var size = 0
        var isStopped = false
        var waiters: [UInt64: CheckedContinuation<Void, Never>] = [:]
        /// Wait for a record to be appended.
        var readers: [UInt64: CheckedContinuation<Void, Never>] = [:]
        var nextWaiter: UInt64 = 0
        var appends: UInt64 = 0
    }

    let kind: OTLPBatch.Kind
    let queue: ExportQueue
    private let gauge: Gauge
    private let state = Mutex(State())

    init(kind: OTLPBatch.Kind, queue: ExportQueue, gauge: Gauge) {
        self.kind = kind
        self.queue = queue
        self.gauge = gauge
    }

    /// The queue on disk, where there is one.
    var log: SegmentLog? { state.withLock { $0.log } }
    func set(_ log: SegmentLog) { state.withLock { $0.log = log } }

    /// Makes room in the queue on disk; false when it is full.
    func reserve(_ size: Int, _ capacity: Int) -> Bool {
        state.withLock { state in
            if state.size > 0, state.size + size > capacity { return false }
            state.size += size
            gauge.set(state.size)
            return true
        }
    }

    /// Counts what an earlier life left in the queue on disk.
    func occupy(_ size: Int) {
        state.withLock { state in
            state.size += size
            gauge.set(state.size)
        }
    }

    func release(_ size: Int) {
        state.withLock { state in
            state.size = max(0, state.size - size)
            gauge.set(state.size)
        }
    }

    /// Number of records appended so far.
    var appends: UInt64 { state.withLock { $0.appends } }

    /// A record was appended.
    func noteAppend() {
        let readers = state.withLock { state in
            state.appends += 1
            defer { state.readers.removeAll() }
            return Array(state.readers.values)
        }
        for reader in readers { reader.resume() }
    }

    /// Returns when more than `count` records were appended, the lane is stopped or the task is cancelled.
    func waitForAppend(after count: UInt64) async {
        await wait(forAppend: true) { $0.appends > count }
    }

    /// The next record; nil when the lane is stopped or the log has ended.
    func next(_ reader: SegmentLogReader) async -> StoredRecord? {
        await withTaskGroup(of: StoredRecord?.self) { race in
            race.addTask { try? await reader.next() }
            race.addTask {
                await self.waitForStop()
                return nil
            }
            let first = await race.next() ?? nil
            race.cancelAll()
            // A record that came together with the stop is not acknowledged and stays on disk.
            return first
        }
    }

    func stop() {
        let waiters = state.withLock { state in
            state.isStopped = true
            defer {
                state.waiters.removeAll()
                state.readers.removeAll()
            }
            return Array(state.waiters.values) + Array(state.readers.values)
        }
        for waiter in waiters { waiter.resume() }
    }

    /// Returns when the lane is stopped or the task is cancelled.
    func waitForStop() async { await wait(forAppend: false) { _ in false } }

    private func wait(
        forAppend isReader: Bool, unless isDone: @Sendable (State) -> Bool
    ) async {
        let id = state.withLock { state in
            state.nextWaiter += 1
            return state.nextWaiter
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isOver = state.withLock { state in
                    if state.isStopped || Task.isCancelled || isDone(state) { return true }
                    if isReader { state.readers[id] = continuation } else { state.waiters[id] = continuation }
                    return false
                }
                if isOver { continuation.resume() }
            }
        } onCancel: {
            let waiter = state.withLock { state in
                state.readers.removeValue(forKey: id) ?? state.waiters.removeValue(forKey: id)
            }
            waiter?.resume()
        }
    }
}

/// An outcome somebody waits for.
final class OutcomeBox: Sendable {
    private enum State {
        case open
        case waiting(CheckedContinuation<ExportOutcome, Never>)
        case done(ExportOutcome)
    }

    private let state = Mutex(State.open)

    func set(_ outcome: ExportOutcome) {
        let waiter: CheckedContinuation<ExportOutcome, Never>? = state.withLock { state in
            defer { state = .done(outcome) }
            if case .waiting(let continuation) = state { return continuation }
            return nil
        }
        waiter?.resume(returning: outcome)
    }

    func value() async -> ExportOutcome {
        await withCheckedContinuation { continuation in
            let outcome: ExportOutcome? = state.withLock { state in
                if case .done(let outcome) = state { return outcome }
                state = .waiting(continuation)
                return nil
            }
            if let outcome { continuation.resume(returning: outcome) }
        }
    }
}
