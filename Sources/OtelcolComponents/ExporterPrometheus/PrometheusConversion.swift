import Essentials
import Telemetry
import TextFormats
import Wire

/// Makes samples of data points, and remembers the labels of the series they belong to.
struct PrometheusConversion: ~Copyable {
    struct Outcome {
        var samples: MetricBatch
        /// Points that are no running totals.
        var unsupported = 0
        /// Points older than the last of their series.
        var late = 0
        /// Points with values or scales that cannot be samples.
        var malformed = 0
    }

    /// What tells a series from others: the stream, and which of its series.
    private struct Key: Hashable {
        var stream: StreamID
        var part: Part
        /// The bits of the bound or quantile.
        var bits: UInt64 = 0
    }

    private enum Part: UInt8 { case value, sum, count, bucket, quantile, target, scope }

    private struct Series {
        var ref: SeriesRef
        /// Milliseconds of the last sample.
        var last = Int64.min
        var isMarked = true
    }

    /// The series of one point, in order of writing.
    private struct PointContext {
        var stream: StreamID
        var name: String
        var time: Int64
        var start: Int64
        var isStale: Bool
    }

    private static let identity: [OTLPKey] = ["service.name", "service.namespace", "service.instance.id"]
    /// Bytes of a series besides its labels.
    private static let overhead = 160

    private var options: PrometheusOptions
    private var writer = SeriesTable.Writer()
    private var series: [Key: Series] = [:]
    private var builder = LabelSetBuilder()
    private var job = ""
    private var instance = ""
    private let message = OTLPMessage()
    /// Bytes held, about.
    private(set) var bytes = 0

    init(_ options: PrometheusOptions) { self.options = options }

    /// Forgets series that have had no point since the last call.
    mutating func forget() {
        guard series.values.contains(where: { !$0.isMarked }) else {
            for key in series.keys { series[key]?.isMarked = false }
            return
        }
        restart(keeping: series.filter(\.value.isMarked))
    }

    /// Begins a new table with the series given.
    private mutating func restart(keeping kept: [Key: Series]) {
        let old = writer
        writer.startEpoch()
        series = [:]
        bytes = 0
        for (key, var entry) in kept {
            let labels = old[entry.ref]
            entry.ref = writer.append(labels)
            entry.isMarked = false
            series[key] = entry
            bytes += Self.overhead + labels.encodedByteCount
        }
    }

    // MARK: Batches

    mutating func convert(_ batch: OTLPBatch, _ options: PrometheusOptions, now: Int64) throws -> Outcome {
        if options != self.options {
            self.options = options
            restart(keeping: [:])
        }
        let walker = OTLPWalker()
        var identity = StreamIdentity()
        var outcome = Outcome(samples: MetricBatch(table: .empty))
        var name = ""
        try walker.walk(batch, to: .point) { level in
            identity.begin(level, walker)
            switch level {
            case .resource: begin(resourceOf: walker, identity.resource, now, &outcome)
            case .scope: if options.includesScopeInfo { writeScope(walker, identity.scope, now, &outcome) }
            case .item:
                guard let kind = walker.metricKind else { return .skip }
                if !Self.isSupported(walker, kind) {
                    outcome.unsupported += walker.metric.pointCount
                    return .skip
                }
                name = PrometheusName.metric(
                    String(decoding: walker.metric.name, as: UTF8.self),
                    unit: String(decoding: walker.metric.unit, as: UTF8.self), kind,
                    isMonotonic: walker.metric.isMonotonic, addsSuffixes: options.addsSuffixes)
                if options.sendsMetadata { outcome.samples.metadata.append(Self.metadata(walker, kind, name)) }
            case .point:
                let times = PointTimes(walker)
                let point = PointContext(
                    stream: identity.stream(of: walker), name: name, time: Int64(times.time / 1_000_000),
                    start: Int64(times.start / 1_000_000), isStale: walker.hasNoRecordedValue)
                write(point, walker, &outcome)
            }
            return .keep
        }
        outcome.samples.move(to: writer.table)
        return outcome
    }

    private static func isSupported(_ walker: OTLPWalker, _ kind: OTLPMetricKind) -> Bool {
        switch kind {
        case .gauge, .summary: true
        case .sum, .histogram, .exponentialHistogram: walker.metric.aggregationTemporality == 2
        }
    }

    private static func metadata(_ walker: OTLPWalker, _ kind: OTLPMetricKind, _ name: String) -> MetricMetadata {
        let type: MetricMetadata.Kind =
            switch kind {
            case .gauge: .gauge
            case .sum: walker.metric.isMonotonic ? .counter : .gauge
            case .histogram, .exponentialHistogram: .histogram
            case .summary: .summary
            }
        return MetricMetadata(
            family: name, kind: type, help: String(decoding: walker.metric.description, as: UTF8.self),
            unit: String(decoding: walker.metric.unit, as: UTF8.self))
    }

    // MARK: Resources and scopes

    private mutating func begin(
        resourceOf walker: OTLPWalker, _ id: StreamID, _ now: Int64, _ outcome: inout Outcome
    ) {
        let attributes = walker.resource.attributes
        let service = attributes[Self.identity[0]].map { Self.text($0) }
        let namespace = attributes[Self.identity[1]].map { Self.text($0) }
        job = service.map { service in namespace.map { "\($0)/\(service)" } ?? service } ?? ""
        instance = attributes[Self.identity[2]].map { Self.text($0) } ?? ""
        guard options.includesTargetInfo else { return }
        let key = Key(stream: id, part: .target)
        if series[key] == nil {
            builder.reset()
            builder.set("__name__", to: "target_info")
            builder.set("job", to: job)
            builder.set("instance", to: instance)
            let keepsIdentity = options.keepsIdentity
            attributes.forEach { key, value in
                if !keepsIdentity, Self.identity.contains(where: { OTLPBytes.equal($0.bytes, key) }) { return }
                set(key, value)
            }
            add(key)
        }
        append(key, 1, at: now, &outcome)
        if options.sendsMetadata {
            outcome.samples.metadata.append(
                MetricMetadata(family: "target_info", kind: .gauge, help: "Target metadata"))
        }
    }

    private mutating func writeScope(
        _ walker: OTLPWalker, _ id: StreamID, _ now: Int64, _ outcome: inout Outcome
    ) {
        let key = Key(stream: id, part: .scope)
        if series[key] == nil {
            builder.reset()
            builder.set("__name__", to: "otel_scope_info")
            builder.set("job", to: job)
            builder.set("instance", to: instance)
            setScope(walker)
            walker.scope.attributes.forEach { set($0, $1) }
            add(key)
        }
        append(key, 1, at: now, &outcome)
        if options.sendsMetadata {
            outcome.samples.metadata.append(MetricMetadata(family: "otel_scope_info", kind: .gauge))
        }
    }

    private mutating func setScope(_ walker: OTLPWalker) {
        let scope = OTLPScope(walker.scope)
        builder.set("otel_scope_name", to: String(decoding: scope.name, as: UTF8.self))
        builder.set("otel_scope_version", to: String(decoding: scope.version, as: UTF8.self))
    }

    private mutating func set(_ key: UnsafeRawBufferPointer, _ value: OTLPValue) {
        PrometheusName.label(key).withRawBytes { name in
            if let text = value.stringBytes {
                builder.set(name, to: text)
            } else {
                OTLPText.bytes(value).withRawBytes { builder.set(name, to: $0) }
            }
        }
    }

    private static func text(_ value: OTLPValue) -> String { String(decoding: OTLPText.bytes(value), as: UTF8.self) }

    // MARK: Points

    private mutating func write(_ point: PointContext, _ walker: OTLPWalker, _ outcome: inout Outcome) {
        switch walker.metricKind {
        case .gauge, .sum:
            let view = OTLPNumberPoint(walker.point)
            let key = key(.value, point, point.name, walker)
            if walker.metricKind == .sum, walker.metric.isMonotonic { writeZero(key, point, &outcome) }
            guard append(key, view.value?.double ?? 0, point, &outcome) else {
                outcome.late += 1
                return
            }
            if walker.metricKind == .sum, walker.metric.isMonotonic {
                writeExemplars(walker, OTLPField.NumberPoint.exemplars, [], key, &outcome)
            }
        case .histogram:
            if options.convertsHistograms {
                writeCustom(point, walker, &outcome)
            } else {
                writeClassic(point, walker, &outcome)
            }
        case .exponentialHistogram:
            writeNative(
                NativeHistogram(exponential: ExponentialBuckets(OTLPExponentialHistogramPoint(walker.point))), point,
                walker,
                OTLPField.ExponentialHistogramPoint.exemplars, &outcome)
        case .summary: writeSummary(point, walker, &outcome)
        case nil: break
        }
    }

    private mutating func writeClassic(_ point: PointContext, _ walker: OTLPWalker, _ outcome: inout Outcome) {
        let value = ExplicitBuckets(OTLPHistogramPoint(walker.point))
        func one(_ key: Key, _ value: Double) -> Bool {
            writeZero(key, point, &outcome)
            return append(key, value, point, &outcome)
        }
        if let sum = value.sum { _ = one(key(.sum, point, point.name + "_sum", walker), sum) }
        guard one(key(.count, point, point.name + "_count", walker), Double(value.count)) else {
            outcome.late += 1
            return
        }
        var buckets: [(bound: Double, count: UInt64)] = []
        for (bound, count) in zip(value.bounds, value.counts) { buckets.append((bound, count)) }
        buckets.sort { $0.bound < $1.bound }
        var keys: [(bound: Double, key: Key)] = []
        var total: UInt64 = 0
        for bucket in buckets where bucket.bound < .infinity {
            total &+= bucket.count
            let label = GoNumber.formatFloat(bucket.bound, "f", precision: -1)
            let key = key(.bucket, point, point.name + "_bucket", walker, ("le", label), bits: bucket.bound.bitPattern)
            _ = one(key, Double(total))
            keys.append((bucket.bound, key))
        }
        let last = key(
            .bucket, point, point.name + "_bucket", walker, ("le", "+Inf"), bits: Double.infinity.bitPattern)
        _ = one(last, Double(value.count))
        writeExemplars(walker, OTLPField.HistogramPoint.exemplars, keys, last, &outcome)
    }

    private mutating func writeCustom(_ point: PointContext, _ walker: OTLPWalker, _ outcome: inout Outcome) {
        let value = ExplicitBuckets(OTLPHistogramPoint(walker.point))
        writeNative(
            NativeHistogram(explicit: value), point, walker, OTLPField.HistogramPoint.exemplars, &outcome)
    }

    private mutating func writeNative(
        _ histogram: NativeHistogram?, _ point: PointContext, _ walker: OTLPWalker, _ exemplars: Int,
        _ outcome: inout Outcome
    ) {
        guard let histogram else {
            outcome.malformed += 1
            return
        }
        let key = key(.value, point, point.name, walker)
        guard let entry = series[key], point.time >= entry.last else {
            outcome.late += 1
            return
        }
        if options.sendsZeros, point.start > entry.last, point.start > 0, point.start < point.time {
            var empty = NativeHistogram()
            (empty.schema, empty.zeroThreshold) = (histogram.schema, histogram.zeroThreshold)
            empty.customBounds = histogram.customBounds
            outcome.samples.histograms.append(
                HistogramSample(series: entry.ref, timestamp: point.start, histogram: empty))
        }
        series[key]?.last = point.time
        outcome.samples.histograms.append(
            HistogramSample(
                series: entry.ref, timestamp: point.time, histogram: point.isStale ? .staleMarker : histogram))
        writeExemplars(walker, exemplars, [], key, &outcome)
    }

    private mutating func writeSummary(_ point: PointContext, _ walker: OTLPWalker, _ outcome: inout Outcome) {
        let view = OTLPSummaryPoint(walker.point)
        let sum = key(.sum, point, point.name + "_sum", walker)
        writeZero(sum, point, &outcome)
        _ = append(sum, view.sum, point, &outcome)
        let count = key(.count, point, point.name + "_count", walker)
        writeZero(count, point, &outcome)
        guard append(count, Double(view.count), point, &outcome) else {
            outcome.late += 1
            return
        }
        var quantiles: [(Double, Double)] = []
        view.forEachQuantile { quantiles.append(($0, $1)) }
        for (quantile, value) in quantiles {
            let label = GoNumber.formatFloat(quantile, "f", precision: -1)
            let key = key(.quantile, point, point.name, walker, ("quantile", label), bits: quantile.bitPattern)
            _ = append(key, value, point, &outcome)
        }
    }

    // MARK: Series

    /// The key of a series, which is made if it is new.
    private mutating func key(
        _ part: Part, _ point: PointContext, _ name: String, _ walker: OTLPWalker, _ extra: (String, String)? = nil,
        bits: UInt64 = 0
    ) -> Key {
        let key = Key(stream: point.stream, part: part, bits: bits)
        if series[key] != nil { return key }
        builder.reset()
        builder.set("__name__", to: name)
        builder.set("job", to: job)
        builder.set("instance", to: instance)
        if let extra { builder.set(extra.0, to: extra.1) }
        if options.includesScopeLabels { setScope(walker) }
        if options.convertsResource { walker.resource.attributes.forEach { set($0, $1) } }
        walker.point.attributes.forEach { key, value in
            // As upstream, where the resource's attributes replace those of the point.
            if options.convertsResource, walker.resource.attributes.value(of: key) != nil { return }
            set(key, value)
        }
        add(key)
        return key
    }

    private mutating func add(_ key: Key) {
        let labels = builder.finish()
        series[key] = Series(ref: writer.append(labels))
        bytes += Self.overhead + labels.encodedByteCount
    }

    private mutating func append(_ key: Key, _ value: Double, at time: Int64, _ outcome: inout Outcome) {
        guard let entry = series[key] else { return }
        series[key]?.isMarked = true
        series[key]?.last = time
        outcome.samples.append(entry.ref, value, at: time)
    }

    /// False when the series has a later sample already.
    private mutating func append(
        _ key: Key, _ value: Double, _ point: PointContext, _ outcome: inout Outcome
    ) -> Bool {
        guard let entry = series[key], point.time >= entry.last else { return false }
        append(key, point.isStale ? Sample.staleMarker : value, at: point.time, &outcome)
        return true
    }

    /// Marks where a counter began, if that is after its last sample.
    private mutating func writeZero(_ key: Key, _ point: PointContext, _ outcome: inout Outcome) {
        guard options.sendsZeros, point.start > 0, point.start < point.time, let entry = series[key],
            point.start > entry.last
        else { return }
        append(key, 0, at: point.start, &outcome)
    }

    /// Adds a point's exemplars, each to the first of `buckets` whose bound is above its value, else to `last`.
    private func writeExemplars(
        _ walker: OTLPWalker, _ field: Int, _ buckets: [(bound: Double, key: Key)], _ last: Key,
        _ outcome: inout Outcome
    ) {
        walker.point.forEachMessage(field) { content in
            guard (try? message.load(content, as: .exemplar)) != nil else { return }
            let value =
                message.has(OTLPField.Exemplar.asInt)
                ? Double(Int64(bitPattern: message.fixed64(OTLPField.Exemplar.asInt)))
                : message.double(OTLPField.Exemplar.asDouble)
            let key = buckets.first { value < $0.bound }?.key ?? last
            guard let ref = series[key]?.ref else { return }
            var labels: [(String, String)] = []
            for (name, field) in [("trace_id", OTLPField.Exemplar.traceID), ("span_id", OTLPField.Exemplar.spanID)] {
                let id = message.bytes(field)
                if id.contains(where: { $0 != 0 }) { labels.append((name, OTLPBytes.hex(id))) }
            }
            outcome.samples.exemplars.append(
                ExemplarSample(
                    series: ref, labels: LabelSet(labels), value: value,
                    timestamp: Int64(message.fixed64(OTLPField.Exemplar.timeUnixNano) / 1_000_000)))
        }
    }
}
