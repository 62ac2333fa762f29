import Synchronization

/// A value that is set once by an event loop and awaited by one task.
final class OneShot<Value: Sendable>: Sendable {
    private struct State {
        var result: Result<Value, any Error>?
        var waiter: UnsafeContinuation<Value, any Error>?
    }

    private let state = Mutex(State())

    /// Sets the result; every call after the first is ignored and answers false.
    @discardableResult
    func complete(_ result: Result<Value, any Error>) -> Bool {
        let (isFirst, waiter) = state.withLock { state -> (Bool, UnsafeContinuation<Value, any Error>?) in
            guard state.result == nil else { return (false, nil) }
            state.result = result
            defer { state.waiter = nil }
            return (true, state.waiter)
        }
        waiter?.resume(with: result)
        return isFirst
    }

    var isComplete: Bool { state.withLock { $0.result != nil } }

    /// What was set, nil before.
    var result: Result<Value, any Error>? { state.withLock { $0.result } }

    /// Waits for the result. Cancellation does not end the wait: whoever completes it must react to it.
    func value() async throws -> Value {
        try await withUnsafeThrowingContinuation { (continuation: UnsafeContinuation<Value, any Error>) in
            let result = state.withLock { state -> Result<Value, any Error>? in
                if let result = state.result { return result }
                state.waiter = continuation
                return nil
            }
            if let result { continuation.resume(with: result) }
        }
    }
}

/// A queue filled by event loops and emptied by one task; its bound is set by whoever fills it.
final class Inlet<Element: Sendable>: Sendable {
    private struct State {
        var elements: [Element] = []
        var isFinished = false
        var waiter: UnsafeContinuation<Element?, Never>?
    }

    private let state = Mutex(State())

    /// Hands an element over; false when the inlet is finished.
    @discardableResult
    func push(_ element: Element) -> Bool {
        let (isTaken, waiter) = state.withLock { state -> (Bool, UnsafeContinuation<Element?, Never>?) in
            if state.isFinished { return (false, nil) }
            if let waiter = state.waiter {
                state.waiter = nil
                return (true, waiter)
            }
            state.elements.append(element)
            return (true, nil)
        }
        waiter?.resume(returning: element)
        return isTaken
    }

    /// Ends the queue: what was pushed before is still handed out, then `next` answers nil.
    func finish() {
        let waiter = state.withLock { state in
            state.isFinished = true
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume(returning: nil)
    }

    /// The next element, or nil when finished; only `finish` ends a wait without an element.
    func next() async -> Element? {
        await withUnsafeContinuation { (continuation: UnsafeContinuation<Element?, Never>) in
            let answer = state.withLock { state -> Element?? in
                if !state.elements.isEmpty { return .some(state.elements.removeFirst()) }
                if state.isFinished { return .some(nil) }
                state.waiter = continuation
                return .none
            }
            if case .some(let element) = answer { continuation.resume(returning: element) }
        }
    }
}
