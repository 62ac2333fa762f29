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

extension Live {
    /// Runs `body` for every element of a list in the arguments, all at the same time, and keeps what runs equal to the
    /// list: an element whose key is new begins, one whose key is gone is cancelled, one whose key is there with another
    /// value gets that through its own ``Live``. The others are not disturbed, and nobody waits for what is ending,
    /// except the next element of the same key. Of equal keys the second, third and so on count as keys of their own.
    ///
    /// An element that returns has ended until its key goes. Throws what an element throws, or `CancellationError` when
    /// cancelled, once all have ended.
    package func forEachCurrent<Element: Equatable & Sendable, Key: Hashable & Sendable>(
        _ projection: @Sendable (Arguments) -> [Element], keyedBy key: @Sendable (Element) -> Key,
        _ body: @escaping @Sendable (Live<Element>) async throws -> Void
    ) async throws {
        var (arguments, version) = snapshot
        try await withThrowingTaskGroup(of: ForEachOutcome<Key>.self) { group in
            var members: [NumberedKey<Key>: Member<Element>] = [:]
            while true {
                reconcile(&members, with: projection(arguments), keyedBy: key, in: &group, body)
                let seen = version
                group.addTask { [self] in
                    try await change(after: seen)
                    return .changed
                }
                while case .ended(let key)? = try await group.next() {
                    guard let member = members[key] else { continue }
                    members[key] = member.isLeaving ? nil : Member(live: member.live, stop: nil)
                    if let next = member.next { start(key, next, &members, in: &group, body) }
                }
                (arguments, version) = snapshot
            }
        }
    }

    private func reconcile<Element: Equatable & Sendable, Key: Hashable & Sendable>(
        _ members: inout [NumberedKey<Key>: Member<Element>], with elements: [Element],
        keyedBy key: (Element) -> Key, in group: inout ThrowingTaskGroup<ForEachOutcome<Key>, any Error>,
        _ body: @escaping @Sendable (Live<Element>) async throws -> Void
    ) {
        var counts: [Key: Int] = [:]
        var wanted: Set<NumberedKey<Key>> = []
        for element in elements {
            let plain = key(element)
            let key = NumberedKey(key: plain, number: counts[plain, default: 0])
            counts[plain, default: 0] += 1
            wanted.insert(key)
            guard let member = members[key] else {
                start(key, element, &members, in: &group, body)
                continue
            }
            if member.isLeaving {
                members[key]?.next = element
            } else if member.live.current != element {
                member.live.replace(with: element)
            }
        }
        for (key, member) in members where !wanted.contains(key) {
            guard let stop = member.stop else {
                members[key] = nil
                continue
            }
            members[key]?.isLeaving = true
            members[key]?.next = nil
            stop.open()
        }
    }

    private func start<Element: Sendable, Key: Hashable & Sendable>(
        _ key: NumberedKey<Key>, _ element: Element, _ members: inout [NumberedKey<Key>: Member<Element>],
        in group: inout ThrowingTaskGroup<ForEachOutcome<Key>, any Error>,
        _ body: @escaping @Sendable (Live<Element>) async throws -> Void
    ) {
        let (live, stop) = (Live<Element>(element), CancellationGate())
        members[key] = Member(live: live, stop: stop)
        group.addTask {
            try await withThrowingTaskGroup(of: Bool.self) { inner in
                inner.addTask {
                    try await body(live)
                    return true
                }
                inner.addTask {
                    await withTaskCancellationHandler {
                        await stop.wait()
                    } onCancel: {
                        stop.open()
                    }
                    return false
                }
                // The first to end ends the other; a cancellation that was asked for is no error.
                let isOver = try await inner.next() ?? true
                inner.cancelAll()
                if isOver { stop.open() }
                while let result = await inner.nextResult() {
                    if case .failure(let error) = result, !(error is CancellationError) { throw error }
                }
            }
            return .ended(key)
        }
    }
}

private enum WhileCurrentOutcome { case ended, changed }

private enum ForEachOutcome<Key: Hashable & Sendable>: Sendable {
    case changed
    case ended(NumberedKey<Key>)
}

/// A key, and how many equal ones came before it.
private struct NumberedKey<Key: Hashable & Sendable>: Hashable, Sendable {
    var key: Key
    var number: Int
}

private struct Member<Element: Sendable> {
    let live: Live<Element>
    /// Ends the element when opened; nil once it has ended by itself.
    let stop: CancellationGate?
    var isLeaving = false
    /// What is to begin when this has left.
    var next: Element?
}
