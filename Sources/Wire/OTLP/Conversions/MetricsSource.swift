import Glibc
import Telemetry

/// The series of one source as OTLP metrics: what is the same in every batch, and the conversion of a batch.
struct MetricsSource: Sendable {
    struct Link: Sendable {
        var item: Int32
        var next: Int32
    }

    let defaultScope: ScopeIdentity

    // What is known of the source.
    var epoch: UInt64 = .max
    var origin: MetricOrigin?
    var families: [String: MetricMetadata] = [:]
    var slots: [SeriesSlot] = []
    var arena: [UInt8] = []
    var metrics: [MetricState] = []
    var metricsByName: [MetricKey: Int32] = [:]
    var scopes: [ScopeState] = []
    var scopesByIdentity: [ScopeKey: Int32] = [:]
    var resources: [ResourceState] = []
    var resourcesByTarget: [TargetKey: Int32] = [:]
    var groups: [PointGroup] = []
    var groupsByKey: [GroupKey: Int32] = [:]
    var pairs: [CounterPair] = []
    var pairsByKey: [GroupKey: Int32] = [:]
    var natives: [SeriesRef: NativeSeries] = [:]
    /// Labels of `target_info` and `otel_scope_info`, by series.
    var infoLabels: [Int32: LabelSet] = [:]

    // Of the batch at hand.
    var generation: UInt32 = 0
    var batchNumber: UInt64 = 0
    var values: [Double] = []
    var stamps: [UInt32] = []
    var starts: [Int64] = []
    var startStamps: [UInt32] = []
    var hasStarts = false
    var exemplars: [ExemplarOwner: [UInt8]] = [:]
    var links: [Link] = []
    var touchedMetrics: [Int32] = []
    var touchedResources: [Int32] = []
    var touchedGroups: [Int32] = []
    var deferred: [Int32] = []
    var points: [UInt8] = []
    var numberPoints = 0

    init(defaultScope: ScopeIdentity) { self.defaultScope = defaultScope }

    mutating func convert(_ batch: MetricBatch) -> MetricsToOTLP.Outcome {
        prepare(batch)
        var outcome = MetricsToOTLP.Outcome(batch: OTLPBatch(kind: .metrics))
        batchNumber &+= 1
        beginRound()
        noteStarts(batch)
        noteExemplars(batch)
        var rows: [Int32]?
        var isFirst = true
        repeat {
            if !isFirst { beginRound() }
            deferred.removeAll(keepingCapacity: true)
            collect(batch, rows, &outcome)
            if isFirst { collectHistograms(batch, &outcome) }
            let taken = encodePoints(batch, &outcome)
            if let chunk = write(batch, pointCount: taken) { outcome.batch.append(chunk) }
            rows = deferred
            isFirst = false
        } while !deferred.isEmpty
        exemplars.removeAll()
        return outcome
    }

    // MARK: What is known

    private mutating func prepare(_ batch: MetricBatch) {
        var isOther = false
        if let told = batch.origin, told !== origin {
            origin = told
            families = Dictionary(told.families.map { ($0.family, $0) }, uniquingKeysWith: { $1 })
            isOther = true
        }
        for metadata in batch.metadata where families[metadata.family] != metadata {
            families[metadata.family] = metadata
            isOther = true
        }
        if isOther || epoch != batch.table.epoch {
            epoch = batch.table.epoch
            forgetSeries()
        }
        let count = batch.table.count
        guard slots.count < count else { return }
        for index in slots.count..<count {
            let slot = makeSlot(SeriesRef(index), batch.table[SeriesRef(index)])
            slots.append(slot)
            if slot.role == .targetInfo || slot.role == .scopeInfo {
                infoLabels[Int32(index)] = batch.table[SeriesRef(index)]
            }
        }
        values += Array(repeating: 0, count: count - values.count)
        stamps += Array(repeating: 0, count: count - stamps.count)
    }

    private mutating func forgetSeries() {
        slots = []
        arena = []
        metrics = []
        metricsByName = [:]
        scopes = []
        scopesByIdentity = [:]
        resources = []
        resourcesByTarget = [:]
        groups = []
        groupsByKey = [:]
        pairs = []
        pairsByKey = [:]
        natives = [:]
        infoLabels = [:]
        values = []
        stamps = []
        starts = []
        startStamps = []
        generation = 0
    }

    private mutating func beginRound() {
        // After so many batches stamps of the first would seem new again.
        if generation == .max {
            for index in stamps.indices { stamps[index] = 0 }
            for index in startStamps.indices { startStamps[index] = 0 }
            for index in metrics.indices { metrics[index].generation = 0 }
            for index in scopes.indices { scopes[index].generation = 0 }
            for index in resources.indices { resources[index].generation = 0 }
            for index in groups.indices { groups[index].generation = 0 }
            generation = 0
        }
        generation += 1
        links.removeAll(keepingCapacity: true)
        touchedMetrics.removeAll(keepingCapacity: true)
        touchedResources.removeAll(keepingCapacity: true)
        touchedGroups.removeAll(keepingCapacity: true)
        points.removeAll(keepingCapacity: true)
        numberPoints = 0
    }

    /// Start times by series, those that the batch gives and those that series of their own tell.
    private mutating func noteStarts(_ batch: MetricBatch) {
        hasStarts = !batch.startTimestamps.isEmpty || !pairs.isEmpty
        guard hasStarts else { return }
        if starts.count < slots.count {
            starts += Array(repeating: 0, count: slots.count - starts.count)
            startStamps += Array(repeating: 0, count: slots.count - startStamps.count)
        }
        for start in batch.startTimestamps where Int(start.series) < slots.count {
            setStart(Int(start.series), nanoseconds: start.milliseconds.multipliedReportingOverflow(by: 1_000_000).0)
        }
        guard !pairs.isEmpty else { return }
        for row in batch.series.indices {
            let ref = Int(batch.series[row])
            guard slots[ref].role == .counterStart else { continue }
            setStart(ref, nanoseconds: Self.nanoseconds(ofSeconds: batch.values[row]))
        }
    }

    private mutating func setStart(_ series: Int, nanoseconds: Int64) {
        starts[series] = nanoseconds
        startStamps[series] = UInt32(truncatingIfNeeded: batchNumber)
    }

    static func nanoseconds(ofSeconds seconds: Double) -> Int64 {
        guard seconds.isFinite, seconds > 0, seconds < 9e9 else { return 0 }
        let whole = seconds.rounded(.down)
        return Int64(whole) * 1_000_000_000 + Int64((seconds - whole) * 1e9)
    }

    /// When the counting of `series` began, in nanoseconds; 0 when nothing tells.
    @inline(__always)
    func start(of series: Int) -> Int64 {
        startStamps[series] == UInt32(truncatingIfNeeded: batchNumber) ? starts[series] : 0
    }

    /// The start of a number's data point, 0 for none.
    @inline(__always)
    func numberStart(_ series: Int, _ slot: SeriesSlot) -> Int64 {
        guard hasStarts, metrics[Int(slot.metric)].shape != .gauge else { return 0 }
        let own = start(of: series)
        if own != 0 || slot.group < 0 { return own }
        let told = pairs[Int(slot.group)].start
        return told < 0 ? 0 : start(of: Int(told))
    }

    // MARK: Rows

    private mutating func collect(_ batch: MetricBatch, _ rows: [Int32]?, _ outcome: inout MetricsToOTLP.Outcome) {
        let count = rows?.count ?? batch.series.count
        if rows == nil { links.reserveCapacity(count) }
        for index in 0..<count {
            let row = rows.map { Int($0[index]) } ?? index
            let ref = Int(batch.series[row])
            let slot = slots[ref]
            switch slot.role {
            case .number:
                let count = numberCount(batch.values[row], ref, slot)
                touch(slot.metric, Int32(truncatingIfNeeded: row))
                numberPoints &+= 1
                metrics[Int(slot.metric)].byteCount &+= 1 &+ ProtobufWriter.varintSize(UInt64(count)) &+ count
            case .bucket, .sum, .count, .pointStart:
                take(row, ref, slot, batch)
            case .counterStart: outcome.merged += 1
            case .nativeEnd:
                guard Sample.isStale(batch.values[row]) else {
                    outcome.malformed += 1
                    continue
                }
                let native = native(SeriesRef(ref), batch.table, isCustom: false)
                touch(native.exponential, ~Int32(truncatingIfNeeded: row))
            case .targetInfo:
                resources[Int(slot.group)].info = Int32(ref)
                resources[Int(slot.group)].infoBatch = batchNumber
                outcome.merged += 1
            case .scopeInfo:
                scopes[Int(slot.group)].info = Int32(ref)
                scopes[Int(slot.group)].infoBatch = batchNumber
                outcome.merged += 1
            case .withoutTarget: outcome.withoutTarget += 1
            case .malformed: outcome.malformed += 1
            }
        }
    }

    private mutating func take(_ row: Int, _ ref: Int, _ slot: SeriesSlot, _ batch: MetricBatch) {
        let group = Int(slot.group)
        let time = batch.timestamps[row]
        if groups[group].generation != generation {
            groups[group].generation = generation
            groups[group].time = time
            groups[group].taken = 0
            touch(slot.metric, slot.group)
            touchedGroups.append(slot.group)
        } else if groups[group].time != time || stamps[ref] == generation {
            return deferred.append(Int32(truncatingIfNeeded: row))
        }
        groups[group].taken += 1
        values[ref] = batch.values[row]
        stamps[ref] = generation
    }

    private mutating func collectHistograms(_ batch: MetricBatch, _ outcome: inout MetricsToOTLP.Outcome) {
        for (index, sample) in batch.histograms.enumerated() {
            guard Int(sample.series) < slots.count else { continue }
            switch slots[Int(sample.series)].role {
            case .withoutTarget:
                outcome.withoutTarget += 1
                continue
            case .targetInfo, .scopeInfo:
                outcome.malformed += 1
                continue
            default: break
            }
            let isCustom = sample.histogram.schema == NativeHistogram.customBucketsSchema
            let native = native(sample.series, batch.table, isCustom: isCustom)
            touch(isCustom ? native.custom : native.exponential, Int32(truncatingIfNeeded: index))
        }
    }

    @inline(__always)
    private mutating func touch(_ metric: Int32, _ item: Int32) {
        let link = Int32(truncatingIfNeeded: links.count)
        links.append(Link(item: item, next: -1))
        let index = Int(metric)
        if metrics[index].generation == generation {
            links[Int(metrics[index].last)].next = link
        } else {
            metrics[index].generation = generation
            metrics[index].first = link
            metrics[index].byteCount = 0
            touchedMetrics.append(metric)
        }
        metrics[index].last = link
    }

    /// Bytes of the data point of a number.
    @inline(__always)
    private func numberCount(_ value: Double, _ ref: Int, _ slot: SeriesSlot) -> Int {
        var count = (Sample.isStale(value) ? 11 : 18) &+ Int(slot.attributesCount)
        if hasStarts, numberStart(ref, slot) != 0 { count &+= 9 }
        if !exemplars.isEmpty { count &+= exemplars[.series(UInt32(ref))]?.count ?? 0 }
        return count
    }

    // MARK: Writing

    /// The batch of everything collected; nil when nothing was.
    private mutating func write(_ batch: MetricBatch, pointCount: Int) -> OTLPBatch? {
        guard pointCount > 0 else { return nil }
        for metric in touchedMetrics where metrics[Int(metric)].byteCount > 0 { linkMetric(metric) }
        var total = 0
        for index in touchedResources {
            let content = resources[Int(index)].header.count + resources[Int(index)].byteCount
            total += 1 + ProtobufWriter.varintSize(UInt64(content)) + content
        }
        let bytes = [UInt8](unsafeUninitializedCapacity: total) { buffer, initialized in
            guard let base = buffer.baseAddress else { return }
            var cursor = WriteCursor(UnsafeMutableRawPointer(base))
            arena.withRawBytes { arena in
                points.withRawBytes { points in
                    for resource in touchedResources { write(resource, batch, arena, points, &cursor) }
                }
            }
            initialized = cursor.pointer - UnsafeMutableRawPointer(base)
            precondition(initialized == total, "metrics were measured wrongly")
        }
        return OTLPBatch(kind: .metrics, bytes: bytes, itemCount: pointCount)
    }

    private mutating func linkMetric(_ index: Int32) {
        let scope = Int(metrics[Int(index)].scope)
        let resource = Int(scopes[scope].resource)
        metrics[Int(index)].next = -1
        if scopes[scope].generation != generation {
            scopes[scope].generation = generation
            scopes[scope].firstMetric = index
            scopes[scope].next = -1
            encodeHeader(ofScope: scope)
            scopes[scope].byteCount = scopes[scope].header.count
            if resources[resource].generation != generation {
                resources[resource].generation = generation
                resources[resource].firstScope = Int32(scope)
                resources[resource].byteCount = 0
                encodeHeader(ofResource: resource)
                touchedResources.append(Int32(resource))
            } else {
                scopes[Int(resources[resource].lastScope)].next = Int32(scope)
            }
            resources[resource].lastScope = Int32(scope)
            resources[resource].byteCount += Self.fieldCount(scopes[scope].byteCount)
        } else {
            metrics[Int(scopes[scope].lastMetric)].next = index
        }
        scopes[scope].lastMetric = index
        let before = Self.fieldCount(scopes[scope].byteCount)
        scopes[scope].byteCount += Self.fieldCount(metrics[Int(index)].contentCount)
        resources[resource].byteCount += Self.fieldCount(scopes[scope].byteCount) - before
    }

    /// Bytes of a delimited field with a tag of one byte.
    static func fieldCount(_ content: Int) -> Int { 1 + ProtobufWriter.varintSize(UInt64(content)) + content }

    private func write(
        _ index: Int32, _ batch: MetricBatch, _ arena: UnsafeRawBufferPointer, _ points: UnsafeRawBufferPointer,
        _ cursor: inout WriteCursor
    ) {
        let resource = resources[Int(index)]
        cursor.byte(0x0A)
        cursor.varint(UInt64(resource.header.count + resource.byteCount))
        resource.header.withRawBytes { cursor.bytes($0) }
        var scopeIndex = resource.firstScope
        while scopeIndex >= 0 {
            let scope = scopes[Int(scopeIndex)]
            cursor.byte(0x12)
            cursor.varint(UInt64(scope.byteCount))
            scope.header.withRawBytes { cursor.bytes($0) }
            var metricIndex = scope.firstMetric
            while metricIndex >= 0 {
                let metric = metrics[Int(metricIndex)]
                cursor.byte(0x12)
                cursor.varint(UInt64(metric.contentCount))
                metric.header.withRawBytes { cursor.bytes($0) }
                cursor.byte(metric.shape.dataTag)
                cursor.varint(UInt64(metric.dataCount))
                if metric.shape.isNumber {
                    writeNumbers(metric, batch, arena, &cursor)
                } else {
                    cursor.bytes(
                        UnsafeRawBufferPointer(
                            rebasing: points[metric.pointsStart..<metric.pointsStart + metric.byteCount]))
                }
                metric.shape.dataFields.withRawBytes { cursor.bytes($0) }
                metricIndex = metric.next
            }
            scopeIndex = scope.next
        }
    }

    private func writeNumbers(
        _ metric: MetricState, _ batch: MetricBatch, _ arena: UnsafeRawBufferPointer, _ cursor: inout WriteCursor
    ) {
        var link = metric.first
        while link >= 0 {
            let row = Int(links[Int(link)].item)
            link = links[Int(link)].next
            let ref = Int(batch.series[row])
            let slot = slots[ref]
            let value = batch.values[row]
            cursor.byte(0x0A)
            cursor.varint(UInt64(numberCount(value, ref, slot)))
            if hasStarts {
                let start = numberStart(ref, slot)
                if start != 0 {
                    cursor.byte(0x11)
                    cursor.fixed64(UInt64(bitPattern: start))
                }
            }
            cursor.byte(0x19)
            cursor.fixed64(UInt64(bitPattern: batch.timestamps[row] &* 1_000_000))
            if Sample.isStale(value) {
                cursor.byte(0x40)
                cursor.byte(1)
            } else {
                cursor.byte(0x21)
                cursor.fixed64(value.bitPattern)
            }
            if !exemplars.isEmpty, let encoded = exemplars[.series(UInt32(ref))] {
                encoded.withRawBytes { cursor.bytes($0) }
            }
            let start = Int(slot.attributesStart)
            cursor.bytes(UnsafeRawBufferPointer(rebasing: arena[start..<start + Int(slot.attributesCount)]))
        }
    }
}

/// What an exemplar belongs to.
enum ExemplarOwner: Hashable, Sendable {
    case series(UInt32)
    case group(Int32)
}
