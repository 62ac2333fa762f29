/// How far the log of a container was delivered: enough to go on without a gap and without repeats.
///
/// The API only takes whole seconds to begin at, and lines may share a time or come out of order. So what counts is
/// how many lines of the newest second were delivered: they are the first that the server sends again.
struct LogResume: Sendable, Equatable {
    /// Nanoseconds since 1970 of the newest line delivered.
    var newest: Int64
    /// Lines delivered of the second of `newest`.
    var count: Int
    /// False when the count is not known, because only the time was kept.
    var isExact = true

    /// The second a server is asked for, since 1970.
    var second: Int64 { Self.second(newest) }

    private static func second(_ nanoseconds: Int64) -> Int64 {
        nanoseconds >= 0 ? nanoseconds / 1_000_000_000 : (nanoseconds + 1) / 1_000_000_000 - 1
    }

    /// Takes note of a line.
    mutating func add(_ time: Int64) {
        let second = Self.second(time)
        if second > self.second {
            newest = time
            count = 1
        } else if second == self.second {
            newest = max(newest, time)
            count += 1
        }
    }

    /// Tells lines that were delivered before from new ones, in the order a server sends them from ``second`` on.
    struct Filter {
        private var resume: LogResume?
        private var remaining: Int
        private let limit: Int64
        private var isCatchingUp: Bool
        private let takesOnlyLater: Bool

        /// `resume` is nil when nothing was delivered yet. With `takesOnlyLater` lines of its very second count as
        /// delivered up to its time, however many there are.
        init(_ resume: LogResume?, takesOnlyLater: Bool = false) {
            self.takesOnlyLater = takesOnlyLater
            self.resume = resume
            remaining = resume?.count ?? 0
            limit = resume?.newest ?? .min
            isCatchingUp = resume != nil
            if resume?.isExact == false { self.resume?.count = 0 }
        }

        /// How far delivery is with all lines that ``isNew(_:)`` was asked about.
        var progress: LogResume? { resume }

        mutating func isNew(_ time: Int64) -> Bool {
            guard isCatchingUp, var known = resume else {
                if resume == nil { resume = LogResume(newest: time, count: 1) } else { resume?.add(time) }
                return true
            }
            if time > limit {
                isCatchingUp = false
                // Lines that did not come again were rotated away: they would not come the next time either.
                if known.isExact { known.count -= remaining }
                known.isExact = true
                known.add(time)
                resume = known
                return true
            }
            if takesOnlyLater || LogResume.second(time) < known.second { return false }
            if known.isExact {
                if remaining > 0 {
                    remaining -= 1
                    return false
                }
                resume?.add(time)
                return true
            }
            // Only the time is known: what is older was delivered, and what is equal is sent again rather than lost.
            resume?.count += 1
            return time == limit
        }
    }

    // MARK: Text

    /// As it is kept in a file of positions.
    var text: String { "\(newest):\(count)" }

    /// Reads what was kept: the exact text counts when it agrees with the time in microseconds.
    init?(exact: String?, microseconds: String?) {
        guard let micros = microseconds.flatMap({ Int64($0) }), micros != 0 else { return nil }
        let parts = (exact ?? "").split(separator: ":")
        if parts.count == 2, let newest = Int64(parts[0]), let count = Int(parts[1]), count >= 0,
            newest / 1_000 == micros
        {
            self.init(newest: newest, count: count)
            return
        }
        let (newest, overflow) = micros.multipliedReportingOverflow(by: 1_000)
        if overflow { return nil }
        self.init(newest: newest, count: 0, isExact: false)
    }

    init(newest: Int64, count: Int, isExact: Bool = true) {
        self.newest = newest
        self.count = count
        self.isExact = isExact
    }
}
