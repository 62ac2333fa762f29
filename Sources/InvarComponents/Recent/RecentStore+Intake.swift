import Telemetry
import TextFormats
import Wire

extension RecentStore {
    /// Adds samples; of native histograms count and sum.
    func add(_ batch: MetricBatch) -> Refused {
        change { (state: inout State, _) in
            for metadata in batch.metadata { state.note(metadata) }
            for row in batch.series.indices {
                state.addSample(batch.table[batch.series[row]], batch.values[row], at: batch.timestamps[row])
            }
            for sample in batch.histograms {
                let labels = batch.table[sample.series]
                guard let name = labels["__name__"] else { continue }
                let parts = [("_count", sample.histogram.count), ("_sum", sample.histogram.sum)]
                for (suffix, value) in parts {
                    state.addSample(labels.renamed(name + suffix), value, at: sample.timestamp)
                }
            }
        }
    }

    func add(_ batch: LogBatch) -> Refused {
        change { (state: inout State, now) in
            for entry in batch.entries {
                batch.withLine(entry) { line in
                    state.entries.append(
                        line, labels: batch.streams[Int(entry.stream)], timestamp: entry.timestamp,
                        metadata: entry.metadata, now: now)
                }
            }
        }
    }

    func add(_ batch: OTLPBatch) -> Refused {
        let walker = OTLPWalker()
        return change { (state: inout State, now) in
            var intake = OTLPIntake(now: now)
            let deepest: OTLPWalker.Level = batch.kind == .logs ? .item : .point
            // What cannot be read ends the walk: the batch was checked where it came in.
            try? walker.walk(batch, to: deepest) { level in
                intake.visit(level, walker, &state)
                return .keep
            }
            intake.finish(&state)
        }
    }
}

extension LabelSet {
    fileprivate func renamed(_ name: String) -> LabelSet {
        var builder = LabelSetBuilder(self)
        builder.set("__name__", to: name)
        return builder.finish()
    }
}

/// Takes OpenTelemetry data apart: data points become samples, log records entries, spans spans.
///
/// Series are called by the metric's name and carry the point's attributes, and of the resource `service.name` and
/// `service.instance.id` as `job` and `instance`.
private struct OTLPIntake {
    let now: Int64
    private var service = ""
    private var instance = ""
    private var resource = RecentTraces.Attributes([])
    /// The span whose events come.
    private var span: (trace: String, span: RecentTraces.Span)?

    init(now: Int64) { self.now = now }

    mutating func visit(_ level: OTLPWalker.Level, _ walker: OTLPWalker, _ state: inout RecentStore.State) {
        if level == .resource {
            finish(&state)
            let pairs = Self.pairs(walker.resource.attributes)
            resource = RecentTraces.Attributes(pairs)
            service = pairs.first { $0.name == "service.name" }?.value ?? ""
            instance = pairs.first { $0.name == "service.instance.id" }?.value ?? ""
        } else if level == .item {
            switch walker.kind {
            case .logs: add(walker.logRecord, &state)
            case .traces:
                finish(&state)
                begin(walker.span)
            case .metrics: note(walker, &state)
            }
        } else if level == .point {
            switch walker.kind {
            case .traces:
                let event = OTLPEvent(walker.point)
                guard span != nil, span?.span.events.count ?? 0 < 128 else { return }
                span?.span.events.append(
                    RecentTraces.Event(
                        time: event.timeUnixNano, name: String(decoding: event.name, as: UTF8.self),
                        attributes: Self.pairs(event.attributes)))
            case .metrics: add(walker, &state)
            case .logs: break
            }
        }
    }

    /// Puts down the span that was begun.
    mutating func finish(_ state: inout RecentStore.State) {
        guard let begun = span else { return }
        state.addSpan(begun.span, to: begun.trace, now: now)
        span = nil
    }

    private mutating func begin(_ span: OTLPSpan) {
        self.span = (
            OTLPBytes.hex(span.traceID),
            RecentTraces.Span(
                id: OTLPBytes.hex(span.spanID), parent: OTLPBytes.hex(span.parentSpanID), service: service,
                name: String(decoding: span.name, as: UTF8.self), kind: span.kind, start: span.startTimeUnixNano,
                end: span.endTimeUnixNano, status: span.statusCode,
                message: String(decoding: span.statusMessage, as: UTF8.self), attributes: Self.pairs(span.attributes),
                resource: resource, events: [])
        )
    }

    // MARK: Logs

    private static let levels = ["trace", "debug", "info", "warn", "error", "fatal"]

    private func add(_ record: OTLPLogRecord, _ state: inout RecentStore.State) {
        var labels: [(String, String)] = []
        if !service.isEmpty { labels.append(("service_name", service)) }
        var severity = String(decoding: record.severityText, as: UTF8.self)
        if severity.isEmpty, (1...24).contains(record.severityNumber) {
            severity = Self.levels[(Int(record.severityNumber) - 1) / 4]
        }
        if !severity.isEmpty { labels.append(("level", severity)) }
        var metadata = Self.pairs(record.attributes).map { ($0.name, $0.value) }
        if !record.traceID.isEmpty { metadata.append(("trace_id", OTLPBytes.hex(record.traceID))) }
        let moment = record.timeUnixNano == 0 ? record.observedTimeUnixNano : record.timeUnixNano
        var line = OTLPLines.text(of: record.body)
        let (time, wanted) = (Int64(clamping: moment), Self.labels(metadata))
        let stream = Self.labels(labels)
        line.withUTF8 { bytes in
            state.entries.append(
                UnsafeRawBufferPointer(bytes), labels: stream, timestamp: time == 0 ? now * 1_000_000 : time,
                metadata: wanted, now: now)
        }
    }

    // MARK: Metrics

    private func note(_ walker: OTLPWalker, _ state: inout RecentStore.State) {
        let metric = walker.metric
        let isCumulative = metric.aggregationTemporality == 2
        let kind: MetricMetadata.Kind =
            switch walker.metricKind {
            case .sum: metric.isMonotonic && isCumulative ? .counter : .gauge
            case .histogram, .exponentialHistogram: isCumulative ? .histogram : .gaugehistogram
            case .summary: .summary
            case .gauge: .gauge
            case nil: .unknown
            }
        state.note(
            MetricMetadata(
                family: String(decoding: metric.name, as: UTF8.self), kind: kind,
                help: String(decoding: metric.description.prefix(200), as: UTF8.self),
                unit: String(decoding: metric.unit, as: UTF8.self)))
    }

    private func add(_ walker: OTLPWalker, _ state: inout RecentStore.State) {
        let name = String(decoding: walker.metric.name, as: UTF8.self)
        var labels = Self.pairs(walker.point.attributes).map { ($0.name, $0.value) }
        if !service.isEmpty { labels.append(("job", service)) }
        if !instance.isEmpty { labels.append(("instance", instance)) }
        func add(_ name: String, _ value: Double, _ time: UInt64) {
            let moment = Int64(clamping: time / 1_000_000)
            state.addSample(Self.labels([("__name__", name)] + labels), value, at: moment == 0 ? now : moment)
        }
        switch walker.metricKind {
        case .gauge, .sum:
            let point = OTLPNumberPoint(walker.point)
            if let value = point.value { add(name, value.double, point.timeUnixNano) }
        case .histogram:
            let point = OTLPHistogramPoint(walker.point)
            add(name + "_count", Double(point.count), point.timeUnixNano)
            if let sum = point.sum { add(name + "_sum", sum, point.timeUnixNano) }
        case .exponentialHistogram:
            let point = OTLPExponentialHistogramPoint(walker.point)
            add(name + "_count", Double(point.count), point.timeUnixNano)
            if let sum = point.sum { add(name + "_sum", sum, point.timeUnixNano) }
        case .summary:
            let point = OTLPSummaryPoint(walker.point)
            add(name + "_count", Double(point.count), point.timeUnixNano)
            add(name + "_sum", point.sum, point.timeUnixNano)
        case nil: break
        }
    }

    // MARK: Attributes

    private static func labels(_ pairs: [(String, String)]) -> LabelSet {
        var builder = LabelSetBuilder()
        for (name, value) in pairs { builder.set(name, to: value) }
        return builder.finish()
    }

    /// At most 128 attributes, long values cut.
    private static func pairs(_ attributes: OTLPAttributes) -> [(name: String, value: String)] {
        var pairs: [(name: String, value: String)] = []
        attributes.forEach { key, value in
            guard pairs.count < 128 else { return }
            pairs.append((String(decoding: key, as: UTF8.self), String(OTLPLines.text(of: value).prefix(4096))))
        }
        return pairs
    }
}
