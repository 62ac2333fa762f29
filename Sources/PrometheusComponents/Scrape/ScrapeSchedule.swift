import Essentials
import Telemetry
import TextFormats

/// When a target is scraped: every interval, at a point within it that its labels and URL decide.
///
/// Times are monotonic and computed from the first, so they do not drift. Timestamps are those of the schedule as long
/// as a scrape begins within two milliseconds of it (or a hundredth of the interval), so that they compress well.
struct ScrapeSchedule {
    struct Timing {
        /// Milliseconds since 1970 of the scrape's samples.
        var milliseconds: Int64
        var sinceLast: Duration?
    }

    private let interval: Int64
    /// Monotonic nanoseconds of the next scrape.
    private(set) var next: Int64
    /// Wall nanoseconds that the schedule has for it.
    private var nextWall: Int64
    /// Monotonic nanoseconds of the last one.
    private(set) var last: Int64?

    init(_ target: ScrapeTarget, seed: UInt64, clock: EngineClock, after old: ScrapeSchedule? = nil) {
        interval = max(1, target.interval.nanoseconds)
        let wall = clock.wallNanoseconds
        let hash = Self.hash(target.identity) ^ seed
        // The distance from now to the target's point in the interval, whose grid begins at 1970.
        var offset = interval - wall % interval + Int64(hash % UInt64(interval))
        if offset > interval { offset -= interval }
        next = clock.monotonicNanoseconds &+ offset
        nextWall = wall &+ offset
        last = old?.last
    }

    /// Equal for the same target in every process and run.
    static func hash(_ identity: ScrapeTarget.Identity) -> UInt64 {
        let labels = identity.labels.withEncoded { FNV1a.hash64($0) }
        var url = identity.url
        return url.withUTF8 { FNV1a.hash64(UnsafeRawBufferPointer($0), labels) }
    }

    /// Milliseconds since 1970 that the schedule has for the next scrape.
    var nextWallMilliseconds: Int64 { nextWall / 1_000_000 }

    /// Monotonic nanoseconds at which the series of a target that is gone end: when it could have been scraped again
    /// twice. At once if it never was scraped.
    var endOfSeries: Int64 { last == nil ? .min : next &+ interval &+ interval / 10 }

    /// Begins the scrape that is due and moves on to the next one.
    mutating func begin(_ clock: EngineClock) -> Timing {
        let now = clock.monotonicNanoseconds
        let wall = clock.wallNanoseconds
        let tolerance = min(interval / 100, 2_000_000)
        let distance = wall - nextWall
        // A wall clock that was set, or a late timer: from here on the schedule follows what the clock says.
        let isAligned = distance.magnitude <= tolerance
        let scheduled = isAligned ? nextWall : wall
        let timing = Timing(
            milliseconds: scheduled / 1_000_000, sinceLast: last.map { .nanoseconds(now - $0) })
        last = now
        if !isAligned, distance.magnitude >= interval { nextWall = wall }
        next &+= interval
        nextWall &+= interval
        return timing
    }

    /// Leaves out the scrapes whose time has passed.
    mutating func skipMissed(_ clock: EngineClock) {
        let late = clock.monotonicNanoseconds - next
        guard late > 0 else { return }
        let missed = late / interval + 1
        next &+= missed * interval
        nextWall &+= missed * interval
    }
}
