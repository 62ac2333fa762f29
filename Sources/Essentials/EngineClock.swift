import Glibc
import Synchronization

/// Time for everything that runs in the engine: the system's clocks, or a manual clock that tests advance.
///
/// One type, so that nothing is generic over a clock. Timers cost one heap entry and one continuation each; the
/// system clock serves all of them from a single thread.
package struct EngineClock: Sendable {
    private let timers: TimerQueue

    private init(timers: TimerQueue) { self.timers = timers }

    /// The system's wall and monotonic clocks.
    package static let system = EngineClock(timers: TimerQueue(source: .system))

    /// A clock that stands still until ``advance(by:)``; its wall time starts at `wallNanoseconds` since 1970.
    package static func manual(startingAt wallNanoseconds: Int64 = 1_700_000_000_000_000_000) -> EngineClock {
        EngineClock(timers: TimerQueue(source: .manual(wallNanoseconds)))
    }

    /// Nanoseconds since 1970-01-01 UTC.
    package var wallNanoseconds: Int64 { timers.wallNanoseconds }

    /// Milliseconds since 1970-01-01 UTC.
    package var wallMilliseconds: Int64 { timers.wallNanoseconds / 1_000_000 }

    /// Nanoseconds on a clock that never jumps; the origin is arbitrary.
    package var monotonicNanoseconds: Int64 { timers.monotonicNanoseconds }

    /// The time that `body` takes on the monotonic clock.
    package func elapsed(since start: Int64) -> Duration { .nanoseconds(monotonicNanoseconds - start) }

    /// Waits for `duration`; throws `CancellationError` as soon as the task is cancelled.
    package func sleep(for duration: Duration) async throws {
        try await sleep(untilMonotonic: monotonicNanoseconds &+ duration.nanoseconds)
    }

    /// Waits until the monotonic clock shows `deadline` nanoseconds; throws `CancellationError` on cancellation.
    package func sleep(untilMonotonic deadline: Int64) async throws {
        let id = timers.makeID()
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
                timers.schedule(id, at: deadline, continuation)
            }
        } onCancel: {
            timers.cancel(id)
        }
    }

    /// Waits until the monotonic clock shows `deadline` nanoseconds or `interrupt` is triggered, whichever comes first;
    /// true when it was the interrupt. Throws `CancellationError` on cancellation.
    package func sleep(untilMonotonic deadline: Int64, orUntil interrupt: SleepInterrupt) async throws -> Bool {
        let id = timers.makeID()
        let timers = timers
        guard interrupt.arm({ timers.cancel(id) }) else {
            timers.discard(id)
            return true
        }
        do {
            try await withTaskCancellationHandler {
                try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
                    timers.schedule(id, at: deadline, continuation)
                }
            } onCancel: {
                timers.cancel(id)
            }
            _ = interrupt.disarm()
            return false
        } catch {
            let isInterrupted = interrupt.disarm()
            if Task.isCancelled || !isInterrupted { throw error }
            return true
        }
    }

    /// The nearest deadline anyone waits for, in monotonic nanoseconds.
    package var nextDeadline: Int64? { timers.nextDeadline }

    /// Moves a manual clock forward, firing timers in order of their deadlines. `drain` runs after each instant at
    /// which a timer fired, so that what it woke may set new timers before time goes on.
    package func advance(by duration: Duration, drain: () -> Void = {}) {
        timers.advance(by: duration.nanoseconds, drain: drain)
    }

    /// Sets a manual clock's wall time forward or back, as an administrator or a time server does; the monotonic clock
    /// does not see it.
    package func jumpWall(by duration: Duration) { timers.jumpWall(by: duration.nanoseconds) }
}

/// Ends a sleep of one task before its time, from any other; what is triggered while nobody sleeps ends the next sleep.
package final class SleepInterrupt: Sendable {
    private struct State {
        var isTriggered = false
        var wake: (@Sendable () -> Void)?
    }

    private let state = Mutex(State())

    package init() {}

    package func trigger() {
        let wake = state.withLock { state in
            state.isTriggered = true
            return state.wake
        }
        wake?()
    }

    /// Says how to end the sleep that begins; false when it was triggered before, which is used up by this.
    package func arm(_ wake: @escaping @Sendable () -> Void) -> Bool {
        state.withLock { state in
            if state.isTriggered {
                state.isTriggered = false
                return false
            }
            state.wake = wake
            return true
        }
    }

    /// Whether it was the reason to wake up, which is used up by this when the sleep ends in an error.
    package func disarm() -> Bool {
        state.withLock { state in
            state.wake = nil
            defer { state.isTriggered = false }
            return state.isTriggered
        }
    }
}

/// The waiting sleepers of one clock, ordered by deadline.
private final class TimerQueue: Sendable {
    enum Source: Sendable {
        case system
        case manual(Int64)
    }

    struct Entry {
        var deadline: Int64
        var id: UInt64
        var continuation: CheckedContinuation<Void, any Error>
    }

    struct State: ~Copyable {
        var heap: [Entry] = []
        /// Sleepers that have an ID but are not in the heap yet; true once cancelled.
        var arriving: [UInt64: Bool] = [:]
        var waiting: Set<UInt64> = []
        var monotonic: Int64 = 0
        /// How far the wall clock of a manual clock was set since it was made.
        var wallJump: Int64 = 0
        var threadRuns = false
    }

    private let isManual: Bool
    private let wallOrigin: Int64
    private let state = Mutex(State())
    private let nextID = Atomic<UInt64>(1)
    private let wake = WakeableTimer()

    init(source: Source) {
        switch source {
        case .system:
            isManual = false
            wallOrigin = 0
        case .manual(let wall):
            isManual = true
            wallOrigin = wall
        }
    }

    func makeID() -> UInt64 {
        let id = nextID.wrappingAdd(1, ordering: .relaxed).oldValue
        state.withLock { $0.arriving[id] = false }
        return id
    }

    var wallNanoseconds: Int64 {
        isManual ? wallOrigin + state.withLock { $0.monotonic + $0.wallJump } : readClock(CLOCK_REALTIME)
    }

    func jumpWall(by nanoseconds: Int64) { state.withLock { $0.wallJump += nanoseconds } }

    var monotonicNanoseconds: Int64 {
        isManual ? state.withLock { $0.monotonic } : readClock(CLOCK_MONOTONIC)
    }

    var nextDeadline: Int64? { state.withLock { $0.heap.first?.deadline } }

    func schedule(_ id: UInt64, at deadline: Int64, _ continuation: CheckedContinuation<Void, any Error>) {
        enum Outcome {
            case waits(isFirst: Bool, startThread: Bool)
            case due, cancelled
        }
        let outcome: Outcome = state.withLock { state in
            if state.arriving.removeValue(forKey: id) == true { return .cancelled }
            if isManual, deadline <= state.monotonic { return .due }
            state.waiting.insert(id)
            state.heap.append(Entry(deadline: deadline, id: id, continuation: continuation))
            siftUp(&state.heap, state.heap.count - 1)
            let start = !isManual && !state.threadRuns
            if start { state.threadRuns = true }
            return .waits(isFirst: state.heap[0].id == id, startThread: start)
        }
        switch outcome {
        case .cancelled: continuation.resume(throwing: CancellationError())
        case .due: continuation.resume()
        case .waits(let isFirst, let startThread):
            if startThread {
                startServing()
            } else if isFirst, !isManual {
                wake.signal()
            }
        }
    }

    /// Nobody will sleep with this ID.
    func discard(_ id: UInt64) {
        state.withLock { _ = $0.arriving.removeValue(forKey: id) }
    }

    func cancel(_ id: UInt64) {
        let found: CheckedContinuation<Void, any Error>? = state.withLock { state in
            guard state.waiting.remove(id) != nil else {
                if state.arriving[id] != nil { state.arriving[id] = true }
                return nil
            }
            guard let index = state.heap.firstIndex(where: { $0.id == id }) else { return nil }
            let entry = state.heap[index]
            removeEntry(&state.heap, at: index)
            return entry.continuation
        }
        found?.resume(throwing: CancellationError())
    }

    func advance(by nanoseconds: Int64, drain: () -> Void) {
        drain()
        let end = state.withLock { $0.monotonic + nanoseconds }
        while true {
            let due: [CheckedContinuation<Void, any Error>] = state.withLock { state in
                guard let first = state.heap.first, first.deadline <= end else {
                    state.monotonic = end
                    return []
                }
                state.monotonic = max(state.monotonic, first.deadline)
                return takeDue(&state, at: state.monotonic)
            }
            if due.isEmpty { break }
            for continuation in due { continuation.resume() }
            drain()
        }
        drain()
    }

    private func takeDue(_ state: inout State, at now: Int64) -> [CheckedContinuation<Void, any Error>] {
        var due: [CheckedContinuation<Void, any Error>] = []
        while let first = state.heap.first, first.deadline <= now {
            removeEntry(&state.heap, at: 0)
            state.waiting.remove(first.id)
            due.append(first.continuation)
        }
        return due
    }

    private func startServing() {
        // The system clock is one per process and lives as long as it does, so its thread is never joined.
        let thread = DetachedThread(name: "timers") { [self] in
            while true {
                let now = readClock(CLOCK_MONOTONIC)
                let (due, next) = state.withLock { state in
                    (takeDue(&state, at: now), state.heap.first?.deadline)
                }
                for continuation in due { continuation.resume() }
                wake.wait(untilMonotonic: next)
            }
        }
        thread.start()
    }
}

private func readClock(_ clock: clockid_t) -> Int64 {
    var time = timespec()
    clock_gettime(clock, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
}

extension TimerQueue {
    private func precedes(_ a: Entry, _ b: Entry) -> Bool {
        a.deadline != b.deadline ? a.deadline < b.deadline : a.id < b.id
    }

    private func siftUp(_ heap: inout [Entry], _ start: Int) {
        var index = start
        while index > 0 {
            let parent = (index - 1) / 2
            guard precedes(heap[index], heap[parent]) else { return }
            heap.swapAt(index, parent)
            index = parent
        }
    }

    private func siftDown(_ heap: inout [Entry], _ start: Int) {
        var index = start
        while true {
            var smallest = index
            for child in [2 * index + 1, 2 * index + 2] where child < heap.count {
                if precedes(heap[child], heap[smallest]) { smallest = child }
            }
            if smallest == index { return }
            heap.swapAt(index, smallest)
            index = smallest
        }
    }

    private func removeEntry(_ heap: inout [Entry], at index: Int) {
        heap.swapAt(index, heap.count - 1)
        heap.removeLast()
        guard index < heap.count else { return }
        siftDown(&heap, index)
        siftUp(&heap, index)
    }
}
