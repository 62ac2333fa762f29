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
        var nextWaiter: UInt64 = 0
    }

    let kind: OTLPBatch.Kind
    let queue: ExportQueue
    private let state = Mutex(State())

    init(kind: OTLPBatch.Kind, queue: ExportQueue) {
        self.kind = kind
        self.queue = queue
    }

    /// The queue on disk, where there is one.
    var log: SegmentLog? { state.withLock { $0.log } }
    func set(_ log: SegmentLog) { state.withLock { $0.log = log } }

    /// Makes room in the queue on disk; false when it is full.
    func reserve(_ size: Int, _ capacity: Int) -> Bool {
        state.withLock { state in
            if state.size > 0, state.size + size > capacity { return false }
            state.size += size
            return true
        }
    }

    /// Records of an earlier life were never reserved, which is why the size stays at zero or above.
    func release(_ size: Int) { state.withLock { $0.size = max(0, $0.size - size) } }

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
            defer { state.waiters.removeAll() }
            return Array(state.waiters.values)
        }
        for waiter in waiters { waiter.resume() }
    }

    /// Returns when the lane is stopped or the task is cancelled.
    func waitForStop() async {
        let id = state.withLock { state in
            state.nextWaiter += 1
            return state.nextWaiter
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isOver = state.withLock { state in
                    if state.isStopped || Task.isCancelled { return true }
                    state.waiters[id] = continuation
                    return false
                }
                if isOver { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.waiters.removeValue(forKey: id) }?.resume()
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
