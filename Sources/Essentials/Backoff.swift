/// Exponential waiting times between attempts, with jitter so that many clients do not return together.
package struct Backoff: Sendable {
    package var minimum: Duration
    package var maximum: Duration
    /// Attempts already made.
    package private(set) var attempts = 0

    package init(minimum: Duration, maximum: Duration) {
        self.minimum = minimum
        self.maximum = max(minimum, maximum)
    }

    /// The wait before the next attempt: doubles from `minimum` up to `maximum`, the upper half of it at random.
    package mutating func next(using generator: inout some RandomNumberGenerator) -> Duration {
        let ceiling = ceilingForNextAttempt
        attempts += 1
        let nanoseconds = ceiling.nanoseconds
        return .nanoseconds(nanoseconds / 2 + Int64.random(in: 0...max(nanoseconds / 2, 1), using: &generator))
    }

    package mutating func next() -> Duration {
        var generator = SystemRandomNumberGenerator()
        return next(using: &generator)
    }

    /// The wait before the next attempt without jitter.
    package mutating func nextExact() -> Duration {
        defer { attempts += 1 }
        return ceilingForNextAttempt
    }

    package mutating func reset() { attempts = 0 }

    private var ceilingForNextAttempt: Duration {
        let limit = maximum.nanoseconds
        let start = max(minimum.nanoseconds, 1)
        let doublings = min(attempts, 62)
        let (scaled, overflow) = start.multipliedReportingOverflow(by: Int64(1) << Int64(doublings))
        return .nanoseconds(overflow || scaled < start ? limit : min(scaled, limit))
    }
}
