import Telemetry
import TextFormats

extension RecentPages {
    private static let rangeSeriesLimit = 50

    /// Series that match, by their labels.
    func series(_ query: RecentQuery) throws(RecentQueryError) -> JSONObject {
        let selector = try query.selector("match")
        let limit = try query.count("limit", default: 100, upTo: 1000)
        return store.read { state in
            let (found, isTruncated) = Self.find(state, selector, limit)
            let list = found.map { series in
                let metadata = Self.metadata(of: series.labels, state)
                let last = series.last.map { JSONValue.array([.int(Int($0.time)), Self.value($0.value)]) }
                return JSONValue.object([
                    "labels": Self.object(series.labels), "type": .string(Self.type(of: series.labels, state)),
                    "unit": .string(metadata?.unit ?? ""), "help": .string(metadata?.help ?? ""),
                    "samples": .int(series.count), "last": last ?? .null,
                ])
            }
            return ["series": .array(list), "truncated": .bool(isTruncated)]
        }
    }

    /// Values of series over time, thinned to so many points.
    func range(_ query: RecentQuery) throws(RecentQueryError) -> JSONObject {
        let selector = try query.selector("match")
        let points = try query.count("points", default: 300, upTo: 2000)
        let isRate = try query.flag("rate")
        let now = store.now
        let end = try query.number("end", default: now, upTo: 1 << 53)
        let start = try query.number("start", default: max(0, end - 900_000), upTo: 1 << 53)
        guard start < end else { throw RecentQueryError(reason: "start must be before end") }
        let step = max(1, (end - start + Int64(points) - 1) / Int64(points))
        return store.read { state in
            let (found, isTruncated) = Self.find(state, selector, Self.rangeSeriesLimit)
            let list = found.map { series in
                let rows = series.range(isRate ? start - 300_000 : start, end)
                let samples = rows.map { (time: series.times[$0], value: series.values[$0]) }
                let shown = isRate ? Self.rates(samples, from: start) : samples
                return JSONValue.object([
                    "labels": Self.object(series.labels), "type": .string(Self.type(of: series.labels, state)),
                    "points": .array(Self.thinned(shown, start, step)),
                ])
            }
            return [
                "start": .int(Int(start)), "end": .int(Int(end)), "step": .int(Int(step)), "series": .array(list),
                "truncated": .bool(isTruncated),
            ]
        }
    }

    func names(_ query: RecentQuery) throws(RecentQueryError) -> JSONObject {
        let isLogs = try Self.isLogs(query)
        var names: Set<String> = []
        var isTruncated = false
        store.read { state in
            Self.forEachLabelSet(state, isLogs) { labels in
                for (name, _) in labels.pairs where !names.contains(name) {
                    if names.count < 1000 { names.insert(name) } else { isTruncated = true }
                }
            }
        }
        return ["names": .array(names.sorted().map { .string($0) }), "truncated": .bool(isTruncated)]
    }

    func values(_ query: RecentQuery) throws(RecentQueryError) -> JSONObject {
        let isLogs = try Self.isLogs(query)
        let limit = try query.count("limit", default: 200, upTo: 2000)
        guard let name = try query.text("name") else { throw RecentQueryError(reason: "name is missing") }
        var values: Set<String> = []
        var isTruncated = false
        store.read { state in
            Self.forEachLabelSet(state, isLogs) { labels in
                guard let value = labels[name], !values.contains(value) else { return }
                if values.count < limit { values.insert(value) } else { isTruncated = true }
            }
        }
        return ["values": .array(values.sorted().map { .string($0) }), "truncated": .bool(isTruncated)]
    }

    // MARK: Parts

    private static func isLogs(_ query: RecentQuery) throws(RecentQueryError) -> Bool {
        switch try query.text("kind") {
        case nil, "metrics": return false
        case "logs": return true
        default: throw RecentQueryError(reason: "kind must be metrics or logs")
        }
    }

    private static func forEachLabelSet(
        _ state: borrowing RecentStore.State, _ isLogs: Bool, _ body: (LabelSet) -> Void
    ) {
        if !isLogs { return state.series.keys.forEach(body) }
        for piece in state.entries.pieces { piece.streams.forEach(body) }
    }

    private static func find(
        _ state: borrowing RecentStore.State, _ selector: RecentSelector, _ limit: Int
    ) -> ([RecentSeries], isTruncated: Bool) {
        let found = state.series.values.filter { $0.count > 0 && selector.matches($0.labels) }
            .map { (text: $0.labels.description, series: $0) }.sorted { $0.text < $1.text }
        return (found.prefix(limit).map(\.series), found.count > limit)
    }

    private static func metadata(of labels: LabelSet, _ state: borrowing RecentStore.State) -> MetricMetadata? {
        guard let name = labels["__name__"] else { return nil }
        if let found = state.metadata[name] { return found }
        for suffix in ["_total", "_count", "_sum", "_bucket"] where name.hasSuffix(suffix) {
            if let found = state.metadata[String(name.dropLast(suffix.count))] { return found }
        }
        return nil
    }

    /// What is said of the metric, or what its name suggests.
    private static func type(of labels: LabelSet, _ state: borrowing RecentStore.State) -> String {
        let name = labels["__name__"] ?? ""
        let isCounting = ["_count", "_sum", "_bucket"].contains { name.hasSuffix($0) }
        switch metadata(of: labels, state)?.kind {
        case .counter?: return "counter"
        case .histogram?: return "counter"
        case .summary?: return isCounting ? "counter" : "gauge"
        case .gauge?, .gaugehistogram?, .info?, .stateset?: return "gauge"
        case .unknown?, nil: return name.hasSuffix("_total") || isCounting ? "counter" : "gauge"
        }
    }

    private static func value(_ value: Double) -> JSONValue { value.isFinite ? .double(value) : .null }

    /// The increase to each sample from the one before, a second; a counter that is lower than before began anew.
    private static func rates(
        _ samples: [(time: Int64, value: Double)], from start: Int64
    ) -> [(time: Int64, value: Double)] {
        var rates: [(time: Int64, value: Double)] = []
        var last: (time: Int64, value: Double)?
        for sample in samples {
            if Sample.isStale(sample.value) {
                last = nil
                if sample.time >= start { rates.append(sample) }
                continue
            }
            if let last, sample.time >= start {
                let increase = sample.value >= last.value ? sample.value - last.value : sample.value
                rates.append((sample.time, increase * 1000 / Double(sample.time - last.time)))
            }
            last = sample
        }
        return rates
    }

    /// The last sample of each step.
    private static func thinned(
        _ samples: [(time: Int64, value: Double)], _ start: Int64, _ step: Int64
    ) -> [JSONValue] {
        var points: [JSONValue] = []
        for (index, sample) in samples.enumerated() {
            let isLast = index + 1 == samples.count
            if isLast || (samples[index + 1].time - start) / step != (sample.time - start) / step {
                points.append(.array([.int(Int(sample.time)), value(sample.value)]))
            }
        }
        return points
    }
}
