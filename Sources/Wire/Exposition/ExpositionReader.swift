package import Telemetry

/// Turns the answers of one scrape target into batches: one reader per target, kept from scrape to scrape.
///
/// A scrape is `begin`, the body in pieces of any size through `feed` as they arrive, then `finish`; or `fail` when the
/// body could not be had or was refused. Then `report` for the series about the scrape itself and `takeBatch`. Nothing of
/// a body that fails reaches the batch: instead every series that lived before it gets a staleness marker. A piece is not
/// kept after `feed` returns, except for the line or message that straddles its end.
///
/// A series known from an earlier scrape costs one `memcmp`; labels are built, mapped and checked once per series. What
/// is accepted and what the samples mean follows Prometheus (`model/textparse` and `scrape` of version 3).
package struct ExpositionReader: ~Copyable, Sendable {
    /// Changes the labels of a new series (target labels, relabelling); false drops it. Called once per series.
    package typealias LabelMapper = @Sendable (_ labels: inout LabelSetBuilder) -> Bool

    /// What the next scrape follows. A change of what ends up in labels asks for ``forgetSeries()`` as well.
    package var options: ExpositionOptions
    /// What became of the current scrape so far.
    package internal(set) var counts = ExpositionCounts()

    var mapper: LabelMapper
    var cache = SeriesCache()
    var syntax = SeriesSyntax()
    var builder = LabelSetBuilder()

    // The current scrape.
    var format = ExpositionFormat.prometheusText
    var scrapeTime: Int64 = 0
    var previousScrapeTime: Int64 = 0
    var latestTime: Int64 = 0
    var previous = SeriesCache.none
    var isLimitExceeded = false
    var isBucketLimitExceeded = false
    var accepted = 0

    // Rows of the batch being built.
    var rowSeries = FlatArray<SeriesRef>()
    var rowValues = FlatArray<Double>()
    /// One per row, or empty while all rows have the time of the scrape.
    var rowTimes = FlatArray<Int64>()
    var histograms: [HistogramSample] = []
    var exemplars: [ExemplarSample] = []
    var starts: [StartTimestamp] = []
    var lastRowCount = 0

    // Known per series.
    var lastExemplars: [SeriesRef: UInt64] = [:]
    var lastStarts: [SeriesRef: Int64] = [:]

    var text = TextState()
    var families = FamilyTable()
    var classic = ClassicState()
    var message = MessageState()

    /// Labels of series that lived when they were forgotten and are stale unless the next scrape has them.
    private var orphans: [LabelSet] = []
    private var lastEntryCount = 0
    private var lastWasComplete = false

    /// Entries and series not seen in this many scrapes are forgotten.
    static let retainedScrapes: UInt32 = 10

    package init(options: ExpositionOptions = ExpositionOptions(), mapper: @escaping LabelMapper) {
        self.options = options
        self.mapper = mapper
    }

    /// Bytes of memory the reader keeps between scrapes, about.
    package var byteCount: Int { cache.byteCount + families.byteCount + text.carry.capacity + message.carry.capacity }

    /// Series known now, whether they live or not.
    package var seriesCount: Int { cache.states.count }

    /// Series that a staleness marker is due for when they vanish.
    package var liveSeriesCount: Int { cache.liveCount }

    /// Starts a scrape whose samples have the time `timestampMilliseconds` unless they say otherwise.
    package mutating func begin(_ format: ExpositionFormat, at timestampMilliseconds: Int64) {
        compactIfWorthwhile()
        cache.beginScrape()
        counts = ExpositionCounts()
        self.format = format
        previousScrapeTime = scrapeTime
        scrapeTime = timestampMilliseconds
        latestTime = timestampMilliseconds &+ maximumAheadMilliseconds
        previous = SeriesCache.none
        isLimitExceeded = false
        isBucketLimitExceeded = false
        accepted = 0
        discardRows()
        rowSeries.reserve(lastRowCount)
        rowValues.reserve(lastRowCount)
        text = TextState()
        message = MessageState()
        classic.beginScrape()
        families.beginScrape()
    }

    /// Says what the body is written in, where that was not known at ``begin(_:at:)``; before the first piece.
    package mutating func format(_ format: ExpositionFormat) { self.format = format }

    /// Reads the next piece of the body.
    package mutating func feed(_ bytes: UnsafeRawBufferPointer) throws(ExpositionError) {
        guard !bytes.isEmpty else { return }
        counts.bodyBytes += bytes.count
        if options.limits.bodyBytes > 0, counts.bodyBytes >= options.limits.bodyBytes {
            throw ExpositionError(.bodyLimit, "body size limit exceeded")
        }
        switch format {
        case .prometheusText, .openMetricsText: try feedText(bytes)
        case .prometheusProtobuf: try feedMessages(bytes)
        }
    }

    /// Ends a body that arrived whole: checks what only its end shows and adds the staleness markers of the series that
    /// vanished. After an error call ``fail(at:)``.
    package mutating func finish() throws(ExpositionError) {
        if counts.bodyBytes > 0 {
            switch format {
            case .prometheusText, .openMetricsText: try finishText()
            case .prometheusProtobuf: try finishMessages()
            }
        }
        if isLimitExceeded { throw ExpositionError(.sampleLimit, "sample limit exceeded") }
        if isBucketLimitExceeded { throw ExpositionError(.bucketLimit, "histogram bucket limit exceeded") }
        if options.injectsZeroSamples { injectZeroSamples() }
        lastRowCount = rowSeries.count
        var vanished: [SeriesRef] = []
        cache.commit { vanished.append($0) }
        for labels in orphans {
            let ref = cache.intern(labels)
            if cache.states[Int(ref)].tracked != cache.iteration { vanished.append(ref) }
        }
        orphans = []
        appendStaleMarkers(vanished, at: scrapeTime)
        lastEntryCount = cache.entries.count - cache.staleEntries(olderThan: 1)
        lastWasComplete = true
        releaseScratch()
    }

    /// Discards what was read and marks every series that lived as stale at `timestampMilliseconds`. Needs no ``begin``.
    package mutating func fail(at timestampMilliseconds: Int64) {
        discardRows()
        scrapeTime = timestampMilliseconds
        var vanished: [SeriesRef] = []
        cache.endAll { vanished.append($0) }
        vanished += orphans.map { cache.intern($0) }
        orphans = []
        appendStaleMarkers(vanished, at: timestampMilliseconds)
        lastWasComplete = false
        releaseScratch()
    }

    /// Adds a sample about the scrape itself at its time; `labels` makes the series' labels when it is not known yet.
    /// Such series never go stale by themselves.
    package mutating func report(
        _ name: String, _ value: Double, at timestampMilliseconds: Int64, labels: () -> LabelSet
    ) {
        var key = Array(name.utf8)
        // No exposition holds this byte there.
        key.append(0xFF)
        let entry: UInt32
        if let found = key.withUnsafeBytes({ cache.find($0, after: previous) }) {
            entry = found
        } else {
            let ref = cache.intern(labels())
            guard let inserted = key.withUnsafeBytes({ cache.insert($0, ref: ref, after: previous) }) else { return }
            entry = inserted
        }
        cache.setLastSeen(entry)
        previous = entry
        appendRow(cache.entries[Int(entry)].ref, value, timestampMilliseconds)
    }

    /// The batch of the scrape that was finished or failed; empties the reader's rows.
    package mutating func takeBatch() -> MetricBatch {
        var batch = MetricBatch(
            table: cache.writer.table, series: Array(rowSeries.elements), values: Array(rowValues.elements),
            timestamps: rowTimes.isEmpty
                ? TimestampColumn(common: scrapeTime) : TimestampColumn(rows: Array(rowTimes.elements)))
        batch.histograms = histograms
        batch.exemplars = exemplars
        batch.startTimestamps = starts
        if options.collectsMetadata { batch.metadata = families.takeChanged() }
        discardRows()
        rowSeries = FlatArray()
        rowValues = FlatArray()
        rowTimes = FlatArray()
        return batch
    }

    /// Metadata of every family exposed lately.
    package var metadata: [MetricMetadata] { families.all }

    /// Differs whenever ``metadata`` does.
    package var metadataRevision: UInt64 { families.revision }

    /// Bytes of the batch being built.
    package var pendingByteCount: Int {
        rowSeries.byteCount + rowValues.byteCount + rowTimes.byteCount + histograms.count * 256 + exemplars.count * 96
            + text.carry.capacity + message.carry.capacity
    }

    /// Forgets every series, as a change of what ends up in labels asks for. Those that lived and are not in the next
    /// scrape get their staleness markers then.
    package mutating func forgetSeries(mapper: LabelMapper? = nil) {
        if let mapper { self.mapper = mapper }
        var living: [SeriesRef] = []
        cache.endAll { living.append($0) }
        orphans += living.map { cache.writer[$0] }
        _ = cache.compact(keepingLast: 0)
        families.forgetAll()
        classic = ClassicState()
        lastExemplars = [:]
        lastStarts = [:]
        previous = SeriesCache.none
    }

    // MARK: Rows

    @inline(__always)
    mutating func appendRow(_ ref: SeriesRef, _ value: Double, _ time: Int64) {
        if time != scrapeTime || !rowTimes.isEmpty {
            if rowTimes.isEmpty { rowTimes.append(repeating: scrapeTime, count: rowSeries.count) }
            rowTimes.append(time)
        }
        rowSeries.append(ref)
        rowValues.append(value)
    }

    private mutating func appendStaleMarkers(_ vanished: [SeriesRef], at time: Int64) {
        counts.vanished += vanished.count
        for ref in vanished {
            appendRow(ref, Sample.staleMarker, time)
            lastExemplars[ref] = nil
        }
    }

    private mutating func discardRows() {
        rowSeries.removeAll()
        rowValues.removeAll()
        rowTimes.removeAll()
        histograms = []
        exemplars = []
        starts = []
    }

    private mutating func releaseScratch() {
        text.carry = []
        message.carry = []
    }

    // MARK: Samples

    /// Whether a sample of `ref` is to be stored, after the limits and duplicates that can prevent it.
    private mutating func admits(_ ref: SeriesRef, isNew: Bool, explicit: Int64?) -> Bool {
        let isSeen = cache.states.base[Int(ref)].seen == cache.iteration
        counts.postRelabeling += 1
        if isSeen, explicit == nil {
            counts.duplicates += 1
            return false
        }
        if let explicit, explicit > latestTime {
            counts.outOfBounds += 1
            return false
        }
        accepted += 1
        if options.limits.samples > 0, accepted > options.limits.samples {
            isLimitExceeded = true
            return false
        }
        if isNew, !isBucketLimitExceeded { counts.seriesAdded += 1 }
        return true
    }

    /// Stores a sample of the series of `entry`, which is mapped. Returns its reference unless it was left out.
    @discardableResult
    mutating func store(_ entry: UInt32, _ value: Double, explicit stated: Int64?, isNew: Bool) -> SeriesRef? {
        counts.scraped += 1
        cache.setLastSeen(entry)
        let ref = cache.entries.base[Int(entry)].ref
        guard ref < SeriesCache.Code.first else { return nil }
        let explicit = options.honorsTimestamps ? stated : nil
        guard admits(ref, isNew: isNew, explicit: explicit) else { return nil }
        cache.setSeen(ref)
        if explicit == nil || options.tracksTimestampStaleness { cache.track(ref) }
        appendRow(ref, value.isNaN ? Sample.normalNaN : value, explicit ?? scrapeTime)
        return ref
    }

    /// As ``store(_:_:explicit:isNew:)`` for a native histogram.
    @discardableResult
    mutating func store(
        _ ref: SeriesRef, _ histogram: consuming NativeHistogram, explicit stated: Int64?, isNew: Bool
    ) throws(ExpositionError) -> SeriesRef? {
        counts.scraped += 1
        guard ref < SeriesCache.Code.first else { return nil }
        let explicit = options.honorsTimestamps ? stated : nil
        guard admits(ref, isNew: isNew, explicit: explicit) else { return nil }
        var histogram = histogram
        let limits = options.limits
        if histogram.schema != NativeHistogram.customBucketsSchema {
            let finest = min(limits.histogramSchema, 8)
            if histogram.schema > finest, !histogram.reduceResolution(to: finest) {
                throw ExpositionError(.malformed, "native histogram cannot be reduced to schema \(finest)")
            }
        }
        if limits.histogramBuckets > 0, histogram.bucketCount > limits.histogramBuckets {
            guard histogram.reduce(toBuckets: limits.histogramBuckets) else {
                isBucketLimitExceeded = true
                return nil
            }
        }
        if let problem = histogram.problem { throw ExpositionError(.malformed, "native histogram: \(problem)") }
        cache.setSeen(ref)
        if explicit == nil || options.tracksTimestampStaleness { cache.track(ref) }
        histograms.append(HistogramSample(series: ref, timestamp: explicit ?? scrapeTime, histogram: histogram))
        return ref
    }

    /// Keeps an exemplar of `ref` unless it is the one stored last. `identity` hashes how it was written.
    mutating func store(_ exemplar: ExemplarSample, identity: UInt64) {
        if lastExemplars[exemplar.series] == identity { return }
        lastExemplars[exemplar.series] = identity
        exemplars.append(exemplar)
    }

    // MARK: New series

    /// Maps and checks the labels in `builder` and returns their series, or the code of a dropped one.
    mutating func mapBuilder() throws(ExpositionError) -> UInt32 {
        guard mapper(&builder), !builder.isEmpty else { return SeriesCache.Code.dropped }
        try checkLabels()
        guard cache.states.count < Int(SeriesCache.Code.first) else {
            throw failure(.tooManySeries, "too many series")
        }
        return cache.intern(builder.finish())
    }

    private mutating func checkLabels() throws(ExpositionError) {
        let limits = options.limits
        let validation = options.nameValidation
        var hasName = false
        var isValid = true
        var long: (code: ExpositionError.Code, text: String)?
        builder.forEach { name, value in
            if ByteText.equal(name, "__name__") {
                hasName = true
                if !validation.accepts(metric: value) { isValid = false }
            } else if !validation.accepts(label: name) {
                isValid = false
            }
            if !ByteText.isUTF8(value) { isValid = false }
            if limits.labelNameLength > 0, name.count > limits.labelNameLength, long == nil {
                long = (
                    .labelNameLength,
                    "label_name_length_limit exceeded: label \(ByteText.excerpt(name, limit: 50)) has"
                        + " \(name.count) bytes, the limit is \(limits.labelNameLength)"
                )
            }
            if limits.labelValueLength > 0, value.count > limits.labelValueLength, long == nil {
                long = (
                    .labelValueLength,
                    "label_value_length_limit exceeded: value \(ByteText.excerpt(value, limit: 50)) of label"
                        + " \(ByteText.excerpt(name, limit: 50)) has \(value.count) bytes, the limit is"
                        + " \(limits.labelValueLength)"
                )
            }
        }
        guard hasName else { throw failure(.invalidName, "missing metric name (label __name__)") }
        guard isValid else {
            throw failure(
                .invalidName, "invalid metric name or label names: \(String("\(builder.finish())".prefix(200)))")
        }
        if limits.labels > 0, builder.count > limits.labels {
            let name = (builder.value(of: "__name__") ?? "").prefix(50)
            throw failure(
                .labelLimit,
                "label_limit exceeded: metric \(name) has \(builder.count) labels, the limit is \(limits.labels)")
        }
        if let long { throw failure(long.code, long.text) }
    }

    /// An error at the line being read.
    func failure(_ code: ExpositionError.Code, _ message: String) -> ExpositionError {
        ExpositionError(code, message, line: format == .prometheusProtobuf ? nil : text.line + 1)
    }

    // MARK: Upkeep

    /// Forgets what has not been seen for a while, when that is a good part of the cache.
    private mutating func compactIfWorthwhile() {
        let count = cache.entries.count
        if lastWasComplete {
            guard count > 256 + lastEntryCount + lastEntryCount / 4 else { return }
            let stale = cache.staleEntries(olderThan: Self.retainedScrapes)
            if stale * 4 > count {
                compact(keepingLast: Self.retainedScrapes)
                return
            }
        }
        // Labels that change with every scrape, or scrapes that bring new series and then fail, must not pile up.
        if count > lastEntryCount * 2 + 1000 { compact(keepingLast: 1) }
    }

    private mutating func compact(keepingLast age: UInt32) {
        let refs = cache.compact(keepingLast: age)
        families.forgetAll()
        classic = ClassicState()
        func renumber<Value>(_ old: [SeriesRef: Value]) -> [SeriesRef: Value] {
            var new: [SeriesRef: Value] = [:]
            for (ref, value) in old where Int(ref) < refs.count && refs[Int(ref)] != SeriesCache.none {
                new[refs[Int(ref)]] = value
            }
            return new
        }
        lastExemplars = renumber(lastExemplars)
        lastStarts = renumber(lastStarts)
    }
}
