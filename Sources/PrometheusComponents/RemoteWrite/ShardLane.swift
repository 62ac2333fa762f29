import Essentials
import Storage
import Synchronization
import Wire

/// The requests waiting in one shard: put in by the endpoint's reader, taken out in order by the shard's sender.
final class ShardLane: Sendable {
    struct Entry: Sendable {
        var request: QueuedRequest
        var stored: StoredRecord
        /// Bytes booked for it.
        var bytes: Int
        /// Monotonic nanoseconds at which it came in.
        var arrival: Int64
    }

    private struct State: ~Copyable {
        var entries: [Entry] = []
        var items = 0
        /// What is there is to be sent without waiting for more.
        var isFlushing = false
        var isClosed = false
        var consumer: CheckedContinuation<Void, Never>?
        var producer: CheckedContinuation<Void, Never>?
    }

    private let state = Mutex(State())

    private static func size(_ entry: Entry) -> Int {
        entry.request.counts.items + entry.request.counts.exemplars
    }

    /// Adds a request; waits while the lane holds `capacity` samples or more. Returns true when it had to wait.
    func push(_ entry: Entry, capacity: Int, fullAt limit: Int) async -> Bool {
        var hasWaited = false
        while true {
            let isAdded = state.withLock { state in
                if !state.isClosed, state.items >= capacity { return false }
                state.entries.append(entry)
                state.items += Self.size(entry)
                return true
            }
            if isAdded { break }
            hasWaited = true
            await withCheckedContinuation { continuation in
                let mustWait = state.withLock { state in
                    if state.isClosed || state.items < capacity { return false }
                    state.producer = continuation
                    // Full is full: smaller than a request or not.
                    state.isFlushing = true
                    return true
                }
                if !mustWait { continuation.resume() } else { wakeConsumer(fullAt: limit) }
            }
        }
        wakeConsumer(fullAt: limit)
        return hasWaited
    }

    private func wakeConsumer(fullAt limit: Int) {
        let consumer: CheckedContinuation<Void, Never>? = state.withLock { state in
            guard Self.isReady(state, limit) else { return nil }
            defer { state.consumer = nil }
            return state.consumer
        }
        consumer?.resume()
    }

    private static func isReady(_ state: borrowing State, _ limit: Int) -> Bool {
        state.isClosed || !state.entries.isEmpty && (state.isFlushing || state.items >= limit)
    }

    /// The requests to send next, `limit` samples at most together (or one request): waits until there are as many, or
    /// what there is shall not wait. Nil when the lane is closed and empty.
    func next(limit: @Sendable () -> Int) async -> [Entry]? {
        while true {
            let most = limit()
            let (taken, producer, isDone): ([Entry], CheckedContinuation<Void, Never>?, Bool) = state.withLock {
                state in
                guard Self.isReady(state, most) else { return ([], nil, false) }
                if state.entries.isEmpty { return ([], nil, true) }
                var count = 0
                var items = 0
                for entry in state.entries {
                    if count > 0, items + Self.size(entry) > most { break }
                    if count > 0, entry.request.version != state.entries[0].request.version { break }
                    items += Self.size(entry)
                    count += 1
                }
                let taken = Array(state.entries[..<count])
                state.entries.removeFirst(count)
                state.items -= items
                if state.entries.isEmpty { state.isFlushing = false }
                defer { state.producer = nil }
                return (taken, state.producer, false)
            }
            producer?.resume()
            if isDone { return nil }
            if !taken.isEmpty { return taken }
            await withCheckedContinuation { continuation in
                let mustWait = state.withLock { state in
                    if Self.isReady(state, limit()) { return false }
                    state.consumer = continuation
                    return true
                }
                if !mustWait { continuation.resume() }
            }
        }
    }

    /// Lets what arrived before `time` be sent without waiting for more.
    func flush(arrivedBefore time: Int64) {
        let consumer: CheckedContinuation<Void, Never>? = state.withLock { state in
            guard let first = state.entries.first, first.arrival <= time else { return nil }
            state.isFlushing = true
            defer { state.consumer = nil }
            return state.consumer
        }
        consumer?.resume()
    }

    /// Takes no more waiting: what is there is sent, then ``next(limit:)`` returns nil.
    func close() {
        let (consumer, producer) = state.withLock { state in
            state.isClosed = true
            defer {
                state.consumer = nil
                state.producer = nil
            }
            return (state.consumer, state.producer)
        }
        consumer?.resume()
        producer?.resume()
    }

    /// Samples waiting.
    var items: Int { state.withLock { $0.items } }
}

/// The lanes that the ticker looks at.
final class LaneTicker: Sendable {
    private let stored = Mutex<[ShardLane]>([])
    var lanes: [ShardLane] { stored.withLock { $0 } }
    func set(_ lanes: [ShardLane]) { stored.withLock { $0 = lanes } }
}
