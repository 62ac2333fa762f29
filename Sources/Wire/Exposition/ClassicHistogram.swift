import Telemetry

/// Collects the series of one classic histogram and makes a native one with custom buckets of them.
struct ClassicHistogram: Sendable {
    private var buckets: [(bound: Double, count: Double)] = []
    private var count = 0.0
    private var sum = 0.0
    private var hasCount = false
    private var isBroken = false

    /// Keeps a hostile order of buckets from costing quadratic time.
    private static let maximumBuckets = 4096

    mutating func reset() {
        buckets.removeAll(keepingCapacity: true)
        count = 0
        sum = 0
        hasCount = false
        isBroken = false
    }

    /// Notes the cumulative count of a bucket. Buckets come in any order; the first of equal bounds counts.
    mutating func setBucket(_ bound: Double, _ cumulative: Double) {
        if isBroken { return }
        if bound.isNaN || cumulative < 0 || buckets.count >= Self.maximumBuckets {
            isBroken = true
            return
        }
        var position = buckets.count
        while position > 0, buckets[position - 1].bound >= bound { position -= 1 }
        if position < buckets.count, buckets[position].bound == bound { return }
        if position > 0, cumulative < buckets[position - 1].count { isBroken = true }
        if position < buckets.count, cumulative > buckets[position].count { isBroken = true }
        buckets.insert((bound, cumulative), at: position)
    }

    mutating func setCount(_ value: Double) {
        if value < 0 { isBroken = true }
        count = value
        hasCount = true
    }

    mutating func setSum(_ value: Double) { sum = value }

    /// The native histogram, or nil when the parts contradict each other.
    mutating func convert() -> NativeHistogram? {
        if isBroken { return nil }
        if !hasCount, let last = buckets.last { count = last.count }
        if buckets.last?.bound != .infinity { buckets.append((.infinity, count)) }
        guard let last = buckets.last, last.count == count else { return nil }
        let isWhole = buckets.allSatisfy { Self.isWhole($0.count) } && Self.isWhole(count)
        var histogram = NativeHistogram()
        histogram.schema = NativeHistogram.customBucketsSchema
        histogram.count = count
        histogram.sum = sum
        histogram.positiveSpans = [.init(offset: 0, length: UInt32(clamping: buckets.count))]
        histogram.customBounds = buckets.dropLast().map(\.bound)
        var before = 0.0
        if isWhole {
            var deltas: [Int64] = []
            var last: Int64 = 0
            for bucket in buckets {
                let own = Int64(bucket.count) - Int64(before)
                deltas.append(own - last)
                last = own
                before = bucket.count
            }
            histogram.buckets = .deltas(positive: deltas, negative: [])
            guard histogram.compact(keepingGapsOf: 2) else { return nil }
        } else {
            histogram.buckets = .counts(
                positive: buckets.map { bucket in
                    defer { before = bucket.count }
                    return bucket.count - before
                }, negative: [])
            guard histogram.compact(keepingGapsOf: 0) else { return nil }
        }
        return histogram.problem == nil ? histogram : nil
    }

    private static func isWhole(_ value: Double) -> Bool {
        value.magnitude < 9_007_199_254_740_992 && value.rounded() == value
    }
}

/// What is known about the text series that take part in histograms and start times.
struct ClassicState: Sendable {
    enum Part: UInt8, Sendable {
        case bucket, count, sum, created, other
    }

    /// The part a series plays; one per entry that has been asked for it.
    struct Role: Sendable {
        var part: Part
        /// The bound of a bucket.
        var bound: Double
        /// Hash of the family's name.
        var family: UInt64
        /// Hash of the labels without bound and quantile: equal for all series of one metric.
        var group: UInt64
    }

    var roles: [Role] = []
    /// The converted series of each group, or the code of a dropped one.
    var converted: [UInt64: UInt32] = [:]

    var histogram = ClassicHistogram()
    var isCollecting = false
    var group: UInt64 = 0
    var target: UInt32 = 0
    var isTargetNew = false
    var timestamp: Int64?
    var start: Int64?

    /// The series stored last that share ``recentGroup``.
    var recent: [SeriesRef] = []
    var recentGroup: UInt64 = 0

    mutating func beginScrape() {
        histogram.reset()
        isCollecting = false
        recent.removeAll(keepingCapacity: true)
        recentGroup = 0
    }
}

extension ExpositionReader {
    /// Takes part of a histogram to convert, or a start time. True when the line is dealt with.
    mutating func collect(
        _ entry: UInt32, _ sample: SampleText, _ base: UnsafePointer<UInt8>
    ) throws(ExpositionError) -> Bool {
        let role = try role(of: entry)
        let isPart = isPart(role)
        if classic.isCollecting, !(isPart && role.group == classic.group) {
            if !(collectsCreated && role.part == .created && role.group == classic.group) {
                try flushClassicHistogram()
            }
        }
        if isPart {
            try collectPart(entry, role, sample, base)
            if options.keepsClassicHistograms { return false }
            cache.setLastSeen(entry)
            return true
        }
        guard collectsCreated, role.part == .created, families.currentKind != .unknown else { return false }
        cache.setLastSeen(entry)
        let milliseconds = sample.value * 1000
        guard milliseconds.isFinite, milliseconds.magnitude < 9e15 else { return true }
        let start = Int64(milliseconds)
        if classic.isCollecting, classic.group == role.group { classic.start = start }
        if classic.recentGroup == role.group {
            for ref in classic.recent { starts.append(StartTimestamp(series: ref, milliseconds: start)) }
        }
        return true
    }

    private func isPart(_ role: ClassicState.Role) -> Bool {
        guard options.convertsClassicHistograms, families.currentKind == .histogram,
            role.family == families.currentHash
        else { return false }
        switch role.part {
        case .bucket, .count, .sum: return true
        case .created, .other: return false
        }
    }

    private mutating func collectPart(
        _ entry: UInt32, _ role: ClassicState.Role, _ sample: SampleText, _ base: UnsafePointer<UInt8>
    ) throws(ExpositionError) {
        if !classic.isCollecting {
            classic.isCollecting = true
            classic.histogram.reset()
            classic.group = role.group
            classic.start = nil
            if let known = classic.converted[role.group] {
                classic.target = known
                classic.isTargetNew = false
            } else {
                try fillBuilder(entry)
                builder.set("__name__", to: families.currentName)
                builder.remove("le")
                classic.target = try mapBuilder()
                classic.isTargetNew = true
                classic.converted[role.group] = classic.target
            }
        }
        classic.timestamp = sample.timestamp
        switch role.part {
        case .bucket: classic.histogram.setBucket(role.bound, sample.value)
        case .count: classic.histogram.setCount(sample.value)
        default: classic.histogram.setSum(sample.value)
        }
        if sample.exemplarStart > 0, classic.target < SeriesCache.Code.first {
            try storeExemplar(sample, base, classic.target, sample.timestamp, isNative: true)
        }
    }

    /// Stores the histogram collected so far, if its parts make one.
    mutating func flushClassicHistogram() throws(ExpositionError) {
        guard classic.isCollecting else { return }
        classic.isCollecting = false
        guard let histogram = classic.histogram.convert() else { return }
        let ref = try store(classic.target, histogram, explicit: classic.timestamp, isNew: classic.isTargetNew)
        if let ref, let start = classic.start { starts.append(StartTimestamp(series: ref, milliseconds: start)) }
    }

    /// Remembers a stored sample for the `_created` line that may follow.
    mutating func noteSample(_ entry: UInt32, _ ref: SeriesRef) {
        let payload = cache.entries[Int(entry)].payload
        guard payload != SeriesCache.none else { return }
        let role = classic.roles[Int(payload)]
        if role.group != classic.recentGroup {
            classic.recentGroup = role.group
            classic.recent.removeAll(keepingCapacity: true)
        }
        // A group this large is no metric; its start time is not worth the memory.
        if classic.recent.count < 10_000 { classic.recent.append(ref) }
    }

    private mutating func role(of entry: UInt32) throws(ExpositionError) -> ClassicState.Role {
        let payload = cache.entries[Int(entry)].payload
        if payload != SeriesCache.none { return classic.roles[Int(payload)] }
        try fillBuilder(entry)
        let name = builder.value(of: "__name__") ?? ""
        var (part, family) = Self.part(name)
        if part == .other, name != families.currentName, name.hasSuffix("_total") { family = String(name.dropLast(6)) }
        if name == families.currentName { (part, family) = (.other, name) }
        var bound = 0.0
        if part == .bucket {
            let parsed = builder.value(of: "le").flatMap { text -> Double? in
                var text = text
                return text.withUTF8 { FloatText.parse(UnsafeRawBufferPointer($0)) }
            }
            if let parsed, !parsed.isNaN { bound = parsed } else { part = .other }
        }
        builder.set("__name__", to: family)
        builder.remove("le")
        builder.remove("quantile")
        let role = ClassicState.Role(
            part: part, bound: bound, family: ByteText.hash(family), group: builder.finish().hash | 1)
        classic.roles.append(role)
        cache.setPayload(entry, UInt32(classic.roles.count - 1))
        return role
    }

    private static func part(_ name: String) -> (ClassicState.Part, String) {
        if name.hasSuffix("_bucket") { return (.bucket, String(name.dropLast(7))) }
        if name.hasSuffix("_count") { return (.count, String(name.dropLast(6))) }
        if name.hasSuffix("_sum") { return (.sum, String(name.dropLast(4))) }
        if name.hasSuffix("_created") { return (.created, String(name.dropLast(8))) }
        return (.other, name)
    }

    /// Puts a sample of zero before the rest of the batch for every series whose start time is new.
    mutating func injectZeroSamples() {
        var zeros: [StartTimestamp] = []
        for start in starts {
            let known = lastStarts[start.series]
            if known == start.milliseconds { continue }
            lastStarts[start.series] = start.milliseconds
            guard start.milliseconds < scrapeTime, start.milliseconds > 0 else { continue }
            if known != nil, start.milliseconds <= previousScrapeTime { continue }
            zeros.append(start)
        }
        guard !zeros.isEmpty else { return }
        var native: [SeriesRef: Int] = [:]
        for (index, sample) in histograms.enumerated() where native[sample.series] == nil {
            native[sample.series] = index
        }
        var series = FlatArray<SeriesRef>()
        var values = FlatArray<Double>()
        var times = FlatArray<Int64>()
        swap(&series, &rowSeries)
        swap(&values, &rowValues)
        swap(&times, &rowTimes)
        var empty: [HistogramSample] = []
        for zero in zeros {
            if let index = native[zero.series] {
                empty.append(
                    HistogramSample(
                        series: zero.series, timestamp: zero.milliseconds,
                        histogram: histograms[index].histogram.emptied))
            } else {
                appendRow(zero.series, 0, zero.milliseconds)
            }
        }
        for row in 0..<series.count { appendRow(series[row], values[row], times.isEmpty ? scrapeTime : times[row]) }
        histograms = empty + histograms
    }
}
