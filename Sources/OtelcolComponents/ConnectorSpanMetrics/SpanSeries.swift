import Essentials

/// The trace and span shown as an example of a point.
struct SpanExemplar: Sendable {
    var trace: [UInt8]
    var span: [UInt8]
    var value: Double
}

/// What is counted of the spans with the same attributes.
struct SpanSeries: Sendable {
    /// The attributes as `KeyValue` messages, each a length-delimited field 1.
    let attributes: [UInt8]
    let hash: UInt64
    var count: UInt64 = 0
    var sum = 0.0
    /// Of an explicit histogram: one more than bounds.
    var buckets: [UInt64] = []
    var exponential: ExponentialHistogram?
    var exemplars: [SpanExemplar] = []
    var lastSeen: Int64

    init(attributes: [UInt8], hash: UInt64, lastSeen: Int64) {
        self.attributes = attributes
        self.hash = hash
        self.lastSeen = lastSeen
    }

    mutating func observe(_ value: Double, _ shape: SpanMetricsSettings.Shape) {
        count += 1
        sum += value
        switch shape {
        case .explicit(let bounds):
            if buckets.isEmpty { buckets = [UInt64](repeating: 0, count: bounds.count + 1) }
            var (low, high) = (0, bounds.count)
            while low < high {
                let middle = (low + high) / 2
                if bounds[middle] < value { low = middle + 1 } else { high = middle }
            }
            buckets[low] += 1
        case .exponential(let size):
            if exponential == nil { exponential = ExponentialHistogram() }
            exponential?.add(value, maximumSize: size)
        case .none: break
        }
    }
}

/// The series of one metric and one resource, found by their attributes.
struct SpanSeriesTable: Sendable {
    private(set) var series: [SpanSeries] = []
    private var places: [UInt64: [Int]] = [:]
    /// Where spans are counted that got no series of their own.
    private var overflow: Int?

    var isEmpty: Bool { series.isEmpty }

    /// The place of the series with `attributes`.
    func place(of attributes: UnsafeRawBufferPointer, hash: UInt64) -> Int? {
        guard let candidates = places[hash] else { return nil }
        for candidate in candidates {
            let isEqual = series[candidate].attributes.withUnsafeBytes { own in
                own.count == attributes.count && own.elementsEqual(attributes)
            }
            if isEqual { return candidate }
        }
        return nil
    }

    /// Number of series with attributes of their own.
    var ownCount: Int { series.count - (overflow == nil ? 0 : 1) }

    mutating func add(_ attributes: UnsafeRawBufferPointer, hash: UInt64, now: Int64) -> Int {
        series.append(SpanSeries(attributes: Array(attributes), hash: hash, lastSeen: now))
        places[hash, default: []].append(series.count - 1)
        return series.count - 1
    }

    /// The place of the series for what has none.
    mutating func overflowPlace(_ attributes: [UInt8], now: Int64) -> Int {
        if let overflow { return overflow }
        series.append(SpanSeries(attributes: attributes, hash: 0, lastSeen: now))
        overflow = series.count - 1
        return series.count - 1
    }

    mutating func update(_ place: Int, _ body: (inout SpanSeries) -> Void) { body(&series[place]) }

    /// Removes exemplars, which belong to one flush.
    mutating func clearExemplars() {
        for place in series.indices where !series[place].exemplars.isEmpty { series[place].exemplars = [] }
    }

    /// Keeps the series for which `isKept` is true; what the others cost.
    mutating func filter(_ isKept: (SpanSeries) -> Bool, _ cost: (SpanSeries) -> Int) -> Int {
        guard series.contains(where: { !isKept($0) }) else { return 0 }
        let old = (series, overflow)
        self = SpanSeriesTable()
        var freed = 0
        for (place, one) in old.0.enumerated() {
            guard isKept(one) else {
                if place != old.1 { freed += cost(one) }
                continue
            }
            series.append(one)
            if place == old.1 {
                overflow = series.count - 1
            } else {
                places[one.hash, default: []].append(series.count - 1)
            }
        }
        return freed
    }
}
