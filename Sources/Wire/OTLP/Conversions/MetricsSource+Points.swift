import Telemetry

/// Data points of histograms and summaries, and exemplars.
extension MetricsSource {
    /// Encodes the points of everything that is not a number, those of a metric one after another, and returns the number
    /// of all data points.
    mutating func encodePoints(_ batch: MetricBatch, _ outcome: inout MetricsToOTLP.Outcome) -> Int {
        var count = numberPoints
        var writer = ProtobufWriter(capacity: 1024)
        for index in touchedMetrics where !metrics[Int(index)].shape.isNumber {
            let start = writer.count
            let shape = metrics[Int(index)].shape
            var link = metrics[Int(index)].first
            while link >= 0 {
                let item = links[Int(link)].item
                link = links[Int(link)].next
                switch shape {
                case .classic, .summary:
                    let taken = groups[Int(item)].taken
                    let isMade =
                        shape == .classic
                        ? encodeHistogram(groups[Int(item)], item, &writer) : encodeSummary(groups[Int(item)], &writer)
                    if isMade {
                        count += 1
                        outcome.merged += taken - 1
                    } else {
                        outcome.malformed += taken
                    }
                case .exponential, .custom:
                    if encodeNative(item, shape, batch, &writer) { count += 1 } else { outcome.malformed += 1 }
                case .gauge, .counter, .state: break
                }
            }
            metrics[Int(index)].pointsStart = start
            metrics[Int(index)].byteCount = writer.count - start
        }
        if !writer.isEmpty { writer.withBytes { points.append(contentsOf: $0) } }
        return count
    }

    // MARK: Classic histograms and summaries

    private func value(_ series: Int32) -> Double? {
        series >= 0 && stamps[Int(series)] == generation ? values[Int(series)] : nil
    }

    private func start(of group: PointGroup) -> Int64 {
        if let told = value(group.start) { return Self.nanoseconds(ofSeconds: told) }
        guard hasStarts else { return 0 }
        for series in [group.count, group.sum] where series >= 0 {
            let start = start(of: Int(series))
            if start != 0 { return start }
        }
        for member in group.members {
            let start = start(of: Int(member.series))
            if start != 0 { return start }
        }
        return 0
    }

    private func attributes(_ start: UInt32, _ count: UInt32, _ writer: inout ProtobufWriter) {
        arena.withRawBytes { arena in
            writer.append(UnsafeRawBufferPointer(rebasing: arena[Int(start)..<Int(start) + Int(count)]))
        }
    }

    /// A count as Prometheus has it, a float, as an integer; what cannot be one becomes the nearest that can.
    static func integer(_ value: Double) -> UInt64 {
        if !(value >= 1) { return 0 }
        return value >= 0x1p64 ? .max : UInt64(value)
    }

    /// False, with nothing written, when the parts make no histogram: no count, or buckets that decrease.
    private func encodeHistogram(_ group: PointGroup, _ index: Int32, _ writer: inout ProtobufWriter) -> Bool {
        typealias Field = OTLPField.HistogramPoint
        guard let count = value(group.count) else { return false }
        let sum = value(group.sum)
        let isStale = Sample.isStale(count) || (sum.map(Sample.isStale) ?? false)
        var bounds: [Double] = []
        var counts: [UInt64] = []
        var previous = 0.0
        for member in group.members {
            guard member.bound < .infinity, let value = value(member.series) else { continue }
            if isStale {
                counts.append(0)
            } else {
                guard value >= previous else { return false }
                counts.append(Self.integer(value) &- Self.integer(previous))
                previous = value
            }
            bounds.append(member.bound)
        }
        guard isStale || count >= previous else { return false }
        counts.append(isStale ? 0 : Self.integer(count) &- Self.integer(previous))
        let mark = writer.beginMessage(OTLPField.MetricData.points)
        let start = start(of: group)
        if start != 0 { writer.field(Field.startTimeUnixNano, fixed64: UInt64(bitPattern: start)) }
        writer.field(Field.timeUnixNano, fixed64: UInt64(bitPattern: group.time &* 1_000_000))
        if isStale {
            writer.field(Field.flags, varint: 1)
        } else {
            writer.field(Field.count, fixed64: Self.integer(count))
            if let sum { writer.field(Field.sum, double: sum) }
        }
        writer.appendTag(Field.bucketCounts, .lengthDelimited)
        writer.appendVarint(UInt64(counts.count * 8))
        for count in counts { writer.appendFixed64(count) }
        if !bounds.isEmpty {
            writer.appendTag(Field.explicitBounds, .lengthDelimited)
            writer.appendVarint(UInt64(bounds.count * 8))
            for bound in bounds { writer.appendFixed64(bound.bitPattern) }
        }
        if let encoded = exemplars[.group(index)] { encoded.withRawBytes { writer.append($0) } }
        attributes(group.attributesStart, group.attributesCount, &writer)
        writer.endMessage(mark)
        return true
    }

    private func encodeSummary(_ group: PointGroup, _ writer: inout ProtobufWriter) -> Bool {
        typealias Field = OTLPField.SummaryPoint
        guard let count = value(group.count) else { return false }
        let sum = value(group.sum)
        let isStale = Sample.isStale(count) || (sum.map(Sample.isStale) ?? false)
        let mark = writer.beginMessage(OTLPField.MetricData.points)
        let start = start(of: group)
        if start != 0 { writer.field(Field.startTimeUnixNano, fixed64: UInt64(bitPattern: start)) }
        writer.field(Field.timeUnixNano, fixed64: UInt64(bitPattern: group.time &* 1_000_000))
        if isStale {
            writer.field(Field.flags, varint: 1)
        } else {
            writer.field(Field.count, fixed64: Self.integer(count))
            if let sum { writer.field(Field.sum, double: sum) }
        }
        for member in group.members {
            guard let value = value(member.series) else { continue }
            let quantile = writer.beginMessage(Field.quantiles)
            if member.bound != 0 { writer.field(OTLPField.Quantile.quantile, double: member.bound) }
            if !isStale { writer.field(OTLPField.Quantile.value, double: value) }
            writer.endMessage(quantile)
        }
        attributes(group.attributesStart, group.attributesCount, &writer)
        writer.endMessage(mark)
        return true
    }

    // MARK: Native histograms

    /// Encodes the point of a native histogram (`item` is its index), or of a float staleness marker (the complement of its
    /// row). False, with nothing written, when the buckets do not fit their bounds or spans.
    private func encodeNative(
        _ item: Int32, _ shape: MetricShape, _ batch: MetricBatch, _ writer: inout ProtobufWriter
    ) -> Bool {
        let series: SeriesRef
        let time: Int64
        let histogram: NativeHistogram
        if item >= 0 {
            let sample = batch.histograms[Int(item)]
            (series, time, histogram) = (sample.series, sample.timestamp, sample.histogram)
        } else {
            series = batch.series[Int(~item)]
            time = batch.timestamps[Int(~item)]
            histogram = .staleMarker
        }
        guard let native = natives[series] else { return false }
        return shape == .custom
            ? encodeCustom(histogram, series, native, time, &writer)
            : encodeExponential(histogram, series, native, time, &writer)
    }

    private func encodeExponential(
        _ histogram: NativeHistogram, _ series: SeriesRef, _ native: NativeSeries, _ time: Int64,
        _ writer: inout ProtobufWriter
    ) -> Bool {
        typealias Field = OTLPField.ExponentialHistogramPoint
        let isStale = Sample.isStale(histogram.sum)
        var sides: [(field: Int, offset: Int32, counts: [UInt64])] = []
        if !isStale {
            let positive = (Field.positive, histogram.positiveSpans, true)
            let negative = (Field.negative, histogram.negativeSpans, false)
            for (field, spans, isPositive) in [positive, negative] where !spans.isEmpty {
                guard let counts = Self.dense(histogram, spans, isPositive) else { return false }
                // OTLP counts from the lower bound of a bucket, Prometheus from the upper.
                sides.append((field, spans[0].offset &- 1, counts))
            }
        }
        let mark = writer.beginMessage(OTLPField.MetricData.points)
        attributes(native.exponentialStart, native.exponentialCount, &writer)
        if hasStarts, start(of: Int(series)) != 0 {
            writer.field(Field.startTimeUnixNano, fixed64: UInt64(bitPattern: start(of: Int(series))))
        }
        writer.field(Field.timeUnixNano, fixed64: UInt64(bitPattern: time &* 1_000_000))
        if isStale {
            writer.field(Field.flags, varint: 1)
        } else {
            writer.field(Field.count, fixed64: Self.integer(histogram.count))
            writer.field(Field.sum, double: histogram.sum)
            writer.field(Field.scale, sint64: Int64(histogram.schema))
            writer.field(Field.zeroCount, fixed64: Self.integer(histogram.zeroCount))
            writer.field(Field.zeroThreshold, double: histogram.zeroThreshold)
            for side in sides {
                let buckets = writer.beginMessage(side.field)
                writer.field(OTLPField.Buckets.offset, sint64: Int64(side.offset))
                let packed = writer.beginMessage(OTLPField.Buckets.counts)
                for count in side.counts { writer.appendVarint(count) }
                writer.endMessage(packed)
                writer.endMessage(buckets)
            }
        }
        if let encoded = exemplars[.series(series)] { encoded.withRawBytes { writer.append($0) } }
        writer.endMessage(mark)
        return true
    }

    private func encodeCustom(
        _ histogram: NativeHistogram, _ series: SeriesRef, _ native: NativeSeries, _ time: Int64,
        _ writer: inout ProtobufWriter
    ) -> Bool {
        typealias Field = OTLPField.HistogramPoint
        let isStale = Sample.isStale(histogram.sum)
        let bounds = histogram.customBounds
        var counts = [UInt64](repeating: 0, count: bounds.count + 1)
        if !isStale, !histogram.positiveSpans.isEmpty {
            guard let dense = Self.dense(histogram, histogram.positiveSpans, true) else { return false }
            let offset = Int(histogram.positiveSpans[0].offset)
            guard offset >= 0, offset + dense.count <= counts.count else { return false }
            for (index, count) in dense.enumerated() { counts[offset + index] = count }
        }
        let mark = writer.beginMessage(OTLPField.MetricData.points)
        if hasStarts, start(of: Int(series)) != 0 {
            writer.field(Field.startTimeUnixNano, fixed64: UInt64(bitPattern: start(of: Int(series))))
        }
        writer.field(Field.timeUnixNano, fixed64: UInt64(bitPattern: time &* 1_000_000))
        if isStale {
            writer.field(Field.flags, varint: 1)
        } else {
            writer.field(Field.count, fixed64: Self.integer(histogram.count))
            writer.field(Field.sum, double: histogram.sum)
        }
        writer.appendTag(Field.bucketCounts, .lengthDelimited)
        writer.appendVarint(UInt64(counts.count * 8))
        for count in counts { writer.appendFixed64(count) }
        if !bounds.isEmpty {
            writer.appendTag(Field.explicitBounds, .lengthDelimited)
            writer.appendVarint(UInt64(bounds.count * 8))
            for bound in bounds { writer.appendFixed64(bound.bitPattern) }
        }
        if let encoded = exemplars[.series(series)] { encoded.withRawBytes { writer.append($0) } }
        attributes(native.customStart, native.customCount, &writer)
        writer.endMessage(mark)
        return true
    }

    /// Most buckets of one side: more would be more memory than any histogram is worth.
    private static let bucketLimit = 1 << 16

    /// The counts of one side from its first bucket to its last, gaps as zeros; nil when spans and buckets disagree.
    private static func dense(
        _ histogram: NativeHistogram, _ spans: [NativeHistogram.Span], _ isPositive: Bool
    ) -> [UInt64]? {
        var counts: [UInt64] = []
        var next = 0
        var running: Int64 = 0
        for (index, span) in spans.enumerated() {
            if index > 0 {
                guard span.offset >= 0, counts.count + Int(span.offset) <= bucketLimit else { return nil }
                counts.append(contentsOf: repeatElement(0, count: Int(span.offset)))
            }
            guard counts.count + Int(span.length) <= bucketLimit else { return nil }
            for _ in 0..<span.length {
                switch histogram.buckets {
                case .deltas(let positive, let negative):
                    let deltas = isPositive ? positive : negative
                    guard next < deltas.count else { return nil }
                    running &+= deltas[next]
                    guard running >= 0 else { return nil }
                    counts.append(UInt64(running))
                case .counts(let positive, let negative):
                    let absolute = isPositive ? positive : negative
                    guard next < absolute.count, absolute[next] >= 0 else { return nil }
                    counts.append(integer(absolute[next]))
                }
                next += 1
            }
        }
        return counts
    }

    // MARK: Exemplars

    mutating func noteExemplars(_ batch: MetricBatch) {
        for exemplar in batch.exemplars where Int(exemplar.series) < slots.count {
            let slot = slots[Int(exemplar.series)]
            switch slot.role {
            case .number: append(exemplar, OTLPField.NumberPoint.exemplars, to: .series(exemplar.series))
            case .bucket, .count, .sum:
                guard metrics[Int(slot.metric)].shape == .classic else { continue }
                append(exemplar, OTLPField.HistogramPoint.exemplars, to: .group(slot.group))
            case .nativeEnd, .malformed:
                guard let sample = batch.histograms.first(where: { $0.series == exemplar.series }) else { continue }
                let isCustom = sample.histogram.schema == NativeHistogram.customBucketsSchema
                append(
                    exemplar,
                    isCustom ? OTLPField.HistogramPoint.exemplars : OTLPField.ExponentialHistogramPoint.exemplars,
                    to: .series(exemplar.series))
            case .counterStart, .pointStart, .targetInfo, .scopeInfo, .withoutTarget: continue
            }
        }
    }

    private mutating func append(_ exemplar: ExemplarSample, _ field: Int, to owner: ExemplarOwner) {
        var writer = ProtobufWriter(capacity: 256)
        let mark = writer.beginMessage(field)
        if let time = exemplar.timestamp {
            writer.field(OTLPField.Exemplar.timeUnixNano, fixed64: UInt64(bitPattern: time &* 1_000_000))
        }
        writer.field(OTLPField.Exemplar.asDouble, double: exemplar.value)
        exemplar.labels.forEach { name, value in
            if Self.equals(name, "trace_id"), let id = Self.identifier(value, count: 16) {
                id.withRawBytes { writer.field(OTLPField.Exemplar.traceID, bytes: $0) }
            } else if Self.equals(name, "span_id"), let id = Self.identifier(value, count: 8) {
                id.withRawBytes { writer.field(OTLPField.Exemplar.spanID, bytes: $0) }
            } else {
                Self.attribute(UInt8(OTLPField.Exemplar.filteredAttributes << 3 | 2), name, value, &writer)
            }
        }
        writer.endMessage(mark)
        exemplars[owner, default: []].append(contentsOf: writer.bytes)
    }

    private static func equals(_ name: UnsafeRawBufferPointer, _ text: StaticString) -> Bool {
        OTLPBytes.equal(name, UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    /// The bytes of `count * 2` hexadecimal digits that are not all zero; nil for anything else.
    private static func identifier(_ text: UnsafeRawBufferPointer, count: Int) -> [UInt8]? {
        guard text.count == count * 2 else { return nil }
        var bytes: [UInt8] = []
        for index in stride(from: 0, to: text.count, by: 2) {
            guard let high = digit(text[index]), let low = digit(text[index + 1]) else { return nil }
            bytes.append(high << 4 | low)
        }
        return bytes.contains { $0 != 0 } ? bytes : nil
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x37
        case 0x61...0x66: byte - 0x57
        default: nil
        }
    }
}
