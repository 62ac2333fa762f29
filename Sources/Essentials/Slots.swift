import Synchronization

/// A counted permit: at most `count` holders at a time, the rest wait in order of arrival.
///
/// CPU-bound stages take one of as many slots as there are cores, so that their buffers are bounded by cores.
package final class Slots: Sendable {
    private struct State: ~Copyable {
        var free: Int
        var waiters: [(id: UInt64, continuation: CheckedContinuation<Bool, Never>)] = []
        /// Tasks that have an ID but neither a slot nor a place in the queue yet; true once cancelled.
        var arriving: [UInt64: Bool] = [:]
    }

    private let state: Mutex<State>
    private let nextID = Atomic<UInt64>(1)
    package let count: Int

    package init(_ count: Int) {
        self.count = count
        state = Mutex(State(free: count))
    }

    /// Runs `body` while holding a slot; throws `CancellationError` when cancelled while waiting.
    package func withSlot<Result>(_ body: () async throws -> Result) async throws -> Result {
        guard await take() else { throw CancellationError() }
        defer { giveBack() }
        return try await body()
    }

    private func take() async -> Bool {
        if takeFree() { return !Task.isCancelled || giveBackUnused() }
        let id = nextID.wrappingAdd(1, ordering: .relaxed).oldValue
        state.withLock { $0.arriving[id] = false }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let result: Bool? = state.withLock { state in
                    if state.arriving.removeValue(forKey: id) == true { return false }
                    if state.free > 0 {
                        state.free -= 1
                        return true
                    }
                    state.waiters.append((id, continuation))
                    return nil
                }
                if let result { continuation.resume(returning: result) }
            }
        } onCancel: {
            let waiter = state.withLock { state in
                guard let index = state.waiters.firstIndex(where: { $0.id == id }) else {
                    if state.arriving[id] != nil { state.arriving[id] = true }
                    return nil as CheckedContinuation<Bool, Never>?
                }
                return state.waiters.remove(at: index).continuation
            }
            waiter?.resume(returning: false)
        }
    }

    private func takeFree() -> Bool {
        state.withLock { state in
            guard state.free > 0 else { return false }
            state.free -= 1
            return true
        }
    }

    private func giveBackUnused() -> Bool {
        giveBack()
        return false
    }

    private func giveBack() {
        let next: CheckedContinuation<Bool, Never>? = state.withLock { state in
            if state.waiters.isEmpty {
                state.free += 1
                return nil
            }
            return state.waiters.removeFirst().continuation
        }
        next?.resume(returning: true)
    }
}
