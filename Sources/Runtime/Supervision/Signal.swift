import Synchronization

/// A flag that one task waits for and anyone raises; raising it twice before the wait counts once.
final class Signal: Sendable {
    private enum State {
        case lowered
        case raised
        case waiting(CheckedContinuation<Void, Never>)
    }

    private let state = Mutex(State.lowered)

    /// Raises the flag, waking the waiter.
    func raise() {
        let waiter: CheckedContinuation<Void, Never>? = state.withLock { state in
            if case .waiting(let continuation) = state {
                state = .lowered
                return continuation
            }
            state = .raised
            return nil
        }
        waiter?.resume()
    }

    /// Waits until the flag is raised and lowers it; returns early when the task is cancelled.
    func wait() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isRaised = state.withLock { state in
                    if case .raised = state {
                        state = .lowered
                        return true
                    }
                    state = .waiting(continuation)
                    return false
                }
                if isRaised { continuation.resume() }
            }
        } onCancel: {
            raise()
        }
    }
}

/// A door that opens once and lets any number of tasks through.
final class Latch: Sendable {
    private struct State: ~Copyable {
        var isOpen = false
        var waiters: [UInt64: CheckedContinuation<Void, Never>] = [:]
        /// Waiters that have an ID but no continuation yet; true once cancelled.
        var arriving: [UInt64: Bool] = [:]
        var nextID: UInt64 = 0
    }

    private let state = Mutex(State())

    var isOpen: Bool { state.withLock { $0.isOpen } }

    func open() {
        let waiters = state.withLock { state in
            state.isOpen = true
            defer { state.waiters.removeAll() }
            return Array(state.waiters.values)
        }
        for waiter in waiters { waiter.resume() }
    }

    /// Waits until the door is open, cancelled or not.
    func waitToTheEnd() async {
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            let isOpen = state.withLock { state in
                if state.isOpen { return true }
                state.waiters[state.nextID] = continuation
                state.nextID += 1
                return false
            }
            if isOpen { continuation.resume() }
        }
    }

    /// Waits until the door is open or the task is cancelled; true when it is open.
    @discardableResult
    func wait() async -> Bool {
        let id = state.withLock { state in
            defer { state.nextID += 1 }
            state.arriving[state.nextID] = false
            return state.nextID
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let goesOn = state.withLock { state in
                    if state.arriving.removeValue(forKey: id) == true || state.isOpen { return true }
                    state.waiters[id] = continuation
                    return false
                }
                if goesOn { continuation.resume() }
            }
        } onCancel: {
            let waiter = state.withLock { state in
                if state.arriving[id] != nil { state.arriving[id] = true }
                return state.waiters.removeValue(forKey: id)
            }
            waiter?.resume()
        }
        return isOpen
    }
}
