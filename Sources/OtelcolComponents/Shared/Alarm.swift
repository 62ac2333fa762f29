import Essentials
import Synchronization

/// The one timer of a component that holds things until they are due: many may set it, one task waits for it.
final class Alarm: Sendable {
    private struct State {
        var deadline: Int64?
        var isDue = false
        var waiter: CheckedContinuation<Void, Never>?
    }

    private let clock: EngineClock
    private let state = Mutex(State())

    init(clock: EngineClock) { self.clock = clock }

    /// Rings at `deadline` (monotonic nanoseconds) at the latest.
    func set(_ deadline: Int64) {
        let waiter: CheckedContinuation<Void, Never>? = state.withLock { state in
            if let current = state.deadline, current <= deadline { return nil }
            state.deadline = deadline
            state.isDue = true
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume()
    }

    /// Returns when the deadline has passed, which is then forgotten; throws when the task is cancelled. For one task.
    func wait() async throws {
        while true {
            try Task.checkCancellation()
            let deadline = state.withLock { state in
                state.isDue = false
                return state.deadline
            }
            guard let deadline else {
                await change()
                continue
            }
            if deadline <= clock.monotonicNanoseconds {
                state.withLock { $0.deadline = nil }
                return
            }
            let clock = clock
            await withTaskGroup(of: Void.self) { race in
                race.addTask { try? await clock.sleep(untilMonotonic: deadline) }
                race.addTask { await self.change() }
                await race.next()
                race.cancelAll()
            }
        }
    }

    /// Returns when the deadline has been set anew or the task is cancelled.
    private func change() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isOver = state.withLock { state in
                    if state.isDue || Task.isCancelled { return true }
                    state.waiter = continuation
                    return false
                }
                if isOver { continuation.resume() }
            }
        } onCancel: {
            let waiter = state.withLock { state in
                defer { state.waiter = nil }
                return state.waiter
            }
            waiter?.resume()
        }
    }
}
