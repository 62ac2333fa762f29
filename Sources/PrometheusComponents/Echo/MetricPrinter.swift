import SelfMetrics
package import Telemetry

/// Prints batches for people in the Prometheus text format or in OpenMetrics, one series a line.
package enum MetricPrinter {
    /// The text of all samples; families appear in order of their first sample.
    package static func print(_ batch: MetricBatch, isOpenMetrics: Bool) -> [UInt8] {
        var exemplars: [SeriesRef: ExemplarSample] = [:]
        for exemplar in batch.exemplars { exemplars[exemplar.series] = exemplar }
        let metadata = Dictionary(batch.metadata.map { ($0.family, $0) }, uniquingKeysWith: { $1 })
        var announced: Set<String> = []
        var out: [UInt8] = []
        for row in batch.series.indices {
            let ref = batch.series[row]
            let (name, labels) = split(batch.table[ref])
            announce(name, metadata, isOpenMetrics, &announced, &out)
            out += "\(name)\(labels) \(Exposition.number(batch.values[row])) ".utf8
            out += time(batch.timestamps[row], isOpenMetrics).utf8
            if isOpenMetrics, let exemplar = exemplars[ref] {
                out += " # \(exemplar.labels) \(Exposition.number(exemplar.value))".utf8
                if let timestamp = exemplar.timestamp { out += " \(time(timestamp, true))".utf8 }
            }
            out.append(UInt8(ascii: "\n"))
        }
        for sample in batch.histograms {
            let (name, labels) = split(batch.table[sample.series])
            announce(name, metadata, isOpenMetrics, &announced, &out)
            let histogram = sample.histogram
            let buckets =
                "{count:\(Exposition.number(histogram.count)),sum:\(Exposition.number(histogram.sum)),"
                + "schema:\(histogram.schema),zero_count:\(Exposition.number(histogram.zeroCount)),"
                + "buckets:\(histogram.bucketCount)}"
            out += "\(name)\(labels) \(buckets) \(time(sample.timestamp, isOpenMetrics))\n".utf8
        }
        if isOpenMetrics { out += "# EOF\n".utf8 }
        return out
    }

    private static func announce(
        _ name: String, _ metadata: [String: MetricMetadata], _ isOpenMetrics: Bool, _ announced: inout Set<String>,
        _ out: inout [UInt8]
    ) {
        guard let entry = metadata[name] ?? family(of: name, in: metadata), announced.insert(entry.family).inserted
        else { return }
        if !entry.help.isEmpty { out += "# HELP \(entry.family) \(escaped(entry.help))\n".utf8 }
        let unknown = isOpenMetrics ? "unknown" : "untyped"
        out += "# TYPE \(entry.family) \(entry.kind == .unknown ? unknown : entry.kind.rawValue)\n".utf8
        if isOpenMetrics, !entry.unit.isEmpty { out += "# UNIT \(entry.family) \(entry.unit)\n".utf8 }
    }

    /// The family of a series whose name carries one of the suffixes expositions add.
    private static func family(of name: String, in metadata: [String: MetricMetadata]) -> MetricMetadata? {
        for suffix in ["_total", "_bucket", "_count", "_sum", "_created", "_info"] where name.hasSuffix(suffix) {
            if let entry = metadata[String(name.dropLast(suffix.count))] { return entry }
        }
        return nil
    }

    private static func split(_ labels: LabelSet) -> (name: String, labels: String) {
        let name = labels["__name__"] ?? ""
        var builder = LabelSetBuilder(labels)
        builder.remove("__name__")
        let rest = builder.finish()
        return (name, rest.isEmpty ? "" : "\(rest)")
    }

    private static func time(_ milliseconds: Int64, _ isOpenMetrics: Bool) -> String {
        isOpenMetrics ? Exposition.number(Double(milliseconds) / 1000) : "\(milliseconds)"
    }

    private static func escaped(_ help: String) -> String {
        String(help.flatMap { $0 == "\\" ? "\\\\" : $0 == "\n" ? "\\n" : String($0) })
    }
}
