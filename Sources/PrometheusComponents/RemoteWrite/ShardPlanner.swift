import Essentials

/// Decides how many shards an endpoint needs, as Prometheus does: as many as the time requests take demands for the
/// samples coming in, and for catching up with a twentieth of the backlog each second.
struct ShardPlanner {
    var minimum: Int
    var maximum: Int
    private(set) var current: Int
    /// Shards that would do, before rounding and bounds.
    private(set) var desired: Double

    private var rateIn = Average()
    private var rateOut = Average()
    private var busy = Average()

    /// What happened since the last plan.
    struct Observation {
        var samplesIn: Int
        var samplesOut: Int
        /// Seconds that requests took, over all shards.
        var sendSeconds: Double
        /// Samples queued now.
        var pending: Int
        /// Since the last plan.
        var seconds: Double
        /// Requests are being repeated: growing would only press harder on a receiver that is down.
        var isBackingOff: Bool
    }

    /// An exponential average; the first value counts whole.
    private struct Average {
        private var value: Double?

        mutating func add(_ sample: Double) -> Double {
            let next = value.map { $0 + 0.2 * (sample - $0) } ?? sample
            value = next
            return next
        }
    }

    init(minimum: Int, maximum: Int) {
        self.minimum = minimum
        self.maximum = maximum
        current = minimum
        desired = Double(minimum)
    }

    /// The number of shards from now on.
    mutating func plan(_ observation: Observation) -> Int {
        guard observation.seconds > 0 else { return current }
        let rateIn = rateIn.add(Double(observation.samplesIn) / observation.seconds)
        let rateOut = rateOut.add(Double(observation.samplesOut) / observation.seconds)
        let busy = busy.add(observation.sendSeconds / observation.seconds)
        if rateOut > 0, observation.samplesOut > 0 {
            desired = busy / rateOut * (rateIn + 0.05 * Double(observation.pending))
            let lower = Double(current) * 0.7
            let upper = Double(current) * 1.3
            let isWithinTolerance = desired >= lower && desired <= upper
            let grows = desired > Double(current)
            if !isWithinTolerance, !(grows && observation.isBackingOff) {
                current = Int(min(desired.rounded(.up), Double(maximum)))
            }
        }
        current = max(minimum, min(maximum, current))
        return current
    }
}
