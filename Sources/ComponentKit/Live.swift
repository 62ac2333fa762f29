import Synchronization

/// Arguments that the controller may replace while the component runs.
///
/// Read ``current`` once per batch. What cannot change under way goes through ``whileCurrent(_:_:)``.
package final class Live<Arguments: Sendable>: Sendable {
    private struct State: ~Copyable {
        var value: Arguments
        var version: UInt64 = 0
        var waiters: [UInt64: CheckedContinuation<Bool, Never>] = [:]
        /// Waiters that have an ID but no continuation yet; true once cancelled.
        var arriving: [UInt64: Bool] = [:]
        var nextWaiter: UInt64 = 0
    }

    private let state: Mutex<State>

    package init(_ value: Arguments) { state = Mutex(State(value: value)) }

    /// The arguments as last evaluated.
    package var current: Arguments { state.withLock { $0.value } }

    /// Grows with every replacement.
    package var version: UInt64 { state.withLock { $0.version } }

    /// The arguments with the version they belong to.
    package var snapshot: (value: Arguments, version: UInt64) { state.withLock { ($0.value, $0.version) } }

    /// Replaces the arguments: for the controller and tests.
    package func replace(with value: Arguments) {
        let waiters = state.withLock { state in
            state.value = value
            state.version += 1
            defer { state.waiters.removeAll() }
            return Array(state.waiters.values)
        }
        for waiter in waiters { waiter.resume(returning: true) }
    }

    /// Waits until the arguments are newer than `version`; throws `CancellationError` on cancellation.
    package func change(after version: UInt64) async throws {
        let id = state.withLock { state in
            defer { state.nextWaiter += 1 }
            state.arriving[state.nextWaiter] = false
            return state.nextWaiter
        }
        let changed = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let result: Bool? = state.withLock { state in
                    if state.arriving.removeValue(forKey: id) == true { return false }
                    if state.version != version { return true }
                    state.waiters[id] = continuation
                    return nil
                }
                if let result { continuation.resume(returning: result) }
            }
        } onCancel: {
            let waiter = state.withLock { state in
                if state.arriving[id] != nil { state.arriving[id] = true }
                return state.waiters.removeValue(forKey: id)
            }
            waiter?.resume(returning: false)
        }
        if !changed { throw CancellationError() }
    }

    /// Runs `body` with a projection of the arguments, and again whenever the projection's value changes: the running
    /// call is cancelled and awaited first. Other changes do not disturb it. Ends when `body` returns by itself or
    /// throws, or when the task is cancelled.
    package func whileCurrent<Value: Equatable & Sendable>(
        _ projection: @Sendable (Arguments) -> Value,
        _ body: @escaping @Sendable (Value) async throws -> Void
    ) async throws {
        var (arguments, version) = snapshot
        while true {
            let value = projection(arguments)
            let isReplaced = try await withThrowingTaskGroup(of: WhileCurrentOutcome.self) { group in
                group.addTask {
                    try await body(value)
                    return .ended
                }
                while true {
                    let seen = version
                    group.addTask { [self] in
                        try await change(after: seen)
                        return .changed
                    }
                    guard try await group.next() == .changed else {
                        group.cancelAll()
                        return false
                    }
                    (arguments, version) = snapshot
                    if projection(arguments) == value { continue }
                    group.cancelAll()
                    while let result = await group.nextResult() {
                        if case .failure(let error) = result, !(error is CancellationError) { throw error }
                    }
                    return true
                }
            }
            if !isReplaced { return }
            try Task.checkCancellation()
        }
    }
}

private enum WhileCurrentOutcome { case ended, changed }
