import Telemetry

/// The samples of one series, the oldest first: columns that lose their beginning as time goes on.
struct RecentSeries: Sendable {
    let labels: LabelSet
    private(set) var times: [Int64] = []
    private(set) var values: [Double] = []
    /// Rows before this one are gone.
    private(set) var first = 0

    init(_ labels: LabelSet) { self.labels = labels }

    /// Bytes that a series takes beside its samples and labels, about.
    static let overhead = 200

    var count: Int { times.count - first }

    /// Bytes of all that is held, room for more included.
    var byteCount: Int { Self.overhead + labels.encodedByteCount + 16 * times.capacity }

    var last: (time: Int64, value: Double)? {
        count == 0 ? nil : (times[times.count - 1], values[values.count - 1])
    }

    /// Adds a sample; one that is not newer than the last takes its place when it has the same time, and is refused
    /// otherwise.
    mutating func append(_ value: Double, at time: Int64) -> Bool {
        if let last = last?.time, time <= last {
            guard time == last else { return false }
            values[values.count - 1] = value
            return true
        }
        if times.count == times.capacity {
            dropFront()
            let room = max(4, times.count + times.count / 2)
            times.reserveCapacity(room)
            values.reserveCapacity(room)
        }
        times.append(time)
        values.append(value)
        return true
    }

    /// Forgets samples before `time`; returns how many.
    mutating func forget(before time: Int64) -> Int {
        let start = first
        while first < times.count, times[first] < time { first += 1 }
        let gone = first - start
        if first > 16, first * 2 > times.count { dropFront() }
        return gone
    }

    private mutating func dropFront() {
        guard first > 0 else { return }
        times = Array(times[first...])
        values = Array(values[first...])
        first = 0
    }

    /// The samples from `start` to `end`, both included.
    func range(_ start: Int64, _ end: Int64) -> Range<Int> {
        let lower = Self.partition(times, first..<times.count) { $0 >= start }
        let upper = Self.partition(times, lower..<times.count) { $0 > end }
        return lower..<upper
    }

    /// The first row of `rows` whose time passes, where all after it do.
    private static func partition(_ times: [Int64], _ rows: Range<Int>, _ passes: (Int64) -> Bool) -> Int {
        var (low, high) = (rows.lowerBound, rows.upperBound)
        while low < high {
            let middle = (low + high) / 2
            if passes(times[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
