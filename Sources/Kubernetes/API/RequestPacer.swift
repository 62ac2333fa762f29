import Essentials
import Synchronization

/// Spreads requests so that a server sees no more than so many a second, with room for a burst (a token bucket).
final class RequestPacer: Sendable {
    private let interval: Int64
    private let burst: Int64
    private let clock: EngineClock
    /// Monotonic nanoseconds at which the bucket would be full again.
    private let fullAt = Mutex<Int64>(.min)

    init(perSecond: Int, burst: Int, clock: EngineClock) {
        interval = 1_000_000_000 / Int64(max(perSecond, 1))
        self.burst = Int64(max(burst, 1))
        self.clock = clock
    }

    /// Waits for the caller's turn; throws `CancellationError` on cancellation, which gives the turn up.
    func turn() async throws {
        let now = clock.monotonicNanoseconds
        let due = fullAt.withLock { fullAt in
            fullAt = max(fullAt, now) + interval
            return fullAt - burst * interval
        }
        if due > now { try await clock.sleep(untilMonotonic: due) }
    }
}
