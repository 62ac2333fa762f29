import Synchronization

/// A number that only grows. Adding is one atomic operation.
package final class Counter: Sendable {
    private let whole = Atomic<Int>(0)
    private let fraction = Mutex(0.0)

    package init() {}

    package var value: Double { Double(whole.load(ordering: .relaxed)) + fraction.withLock { $0 } }

    package func add(_ count: Int = 1) { whole.add(count, ordering: .relaxed) }

    /// Adds a part of a unit, such as seconds.
    package func add(_ amount: Double) { fraction.withLock { $0 += amount } }
}

/// A number that goes up and down.
package final class Gauge: Sendable {
    private let bits = Atomic<UInt64>(0)

    package init() {}

    package var value: Double { Double(bitPattern: bits.load(ordering: .relaxed)) }

    package func set(_ value: Double) { bits.store(value.bitPattern, ordering: .relaxed) }
    package func set(_ value: Int) { set(Double(value)) }

    package func add(_ amount: Double) {
        var current = bits.load(ordering: .relaxed)
        while true {
            let next = (Double(bitPattern: current) + amount).bitPattern
            let (exchanged, original) = bits.weakCompareExchange(expected: current, desired: next, ordering: .relaxed)
            if exchanged { return }
            current = original
        }
    }
}

/// Counts observations in buckets with fixed upper bounds.
package final class Histogram: Sendable {
    private struct State: ~Copyable {
        var counts: [Int]
        var sum = 0.0
    }

    /// Ascending, without +Inf.
    package let bounds: [Double]
    private let state: Mutex<State>

    /// The bounds the Prometheus client libraries use when none are given, in seconds.
    package static let defaultBounds: [Double] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

    package init(bounds: [Double] = Histogram.defaultBounds) {
        self.bounds = bounds
        state = Mutex(State(counts: Array(repeating: 0, count: bounds.count + 1)))
    }

    package func observe(_ value: Double) {
        let bucket = bounds.firstIndex { value <= $0 } ?? bounds.count
        state.withLock { state in
            state.counts[bucket] += 1
            state.sum += value
        }
    }

    /// Observes the same value `times` times.
    package func observe(_ value: Double, times: Int) {
        let bucket = bounds.firstIndex { value <= $0 } ?? bounds.count
        state.withLock { state in
            state.counts[bucket] += times
            state.sum += value * Double(times)
        }
    }

    /// Observations per bucket (not cumulative, the last beyond every bound) and their sum.
    package var snapshot: (counts: [Int], sum: Double) { state.withLock { ($0.counts, $0.sum) } }
}
