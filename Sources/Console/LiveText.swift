import ComponentKit
import Telemetry
import TextFormats
import Wire

/// Batches at the edges of components as text: an item a line, as many as one reads.
enum LiveText {
    /// Characters of one item; what is beyond is cut off.
    private static let longest = 4_096

    /// Calls `body` with the text of each item of a batch that passed and the number of items it stands for.
    static func forEachItem(of sight: EdgeSight, _ body: (String, Int) -> Void) {
        let way = sight.passage == .incoming ? "[IN]: " : "[OUT]: "
        guard let batch = sight.batch else {
            let items = sight.count == 1 ? "1 item was" : "\(sight.count) items were"
            return body(way + "\(items) not taken: \(sight.problem?.message ?? "")", 0)
        }
        let limit = LiveView.itemLimit
        let shown =
            switch batch {
            case let batch as MetricBatch: samples(batch, limit) { body(way + cut($0), 1) }
            case let batch as LogBatch: entries(batch, limit) { body(way + cut($0), 1) }
            case let batch as OTLPBatch: OTLPLines.forEachItem(of: batch, upTo: limit) { body(way + cut($0), 1) }
            case let batch as ProfileBatch: profiles(batch, limit) { body(way + cut($0), 1) }
            default: 0
            }
        if shown < sight.count {
            body(way + "\(sight.count - shown) more of the same batch are not shown", sight.count - shown)
        }
    }

    /// What is left of a text that is too long.
    static func cut(_ text: String) -> String {
        guard text.utf8.count > longest else { return text }
        return text.prefix(longest) + " ... (\(text.utf8.count) bytes)"
    }

    private static func samples(_ batch: MetricBatch, _ limit: Int, _ body: (String) -> Void) -> Int {
        var shown = 0
        for row in batch.series.indices.prefix(limit) {
            let value = batch.values[row]
            let text = Sample.isStale(value) ? "stale" : "\(value)"
            body("sample: ts=\(batch.timestamps[row]), labels=\(batch.table[batch.series[row]]), value=\(text)")
            shown += 1
        }
        for sample in batch.histograms.prefix(limit - shown) {
            body(
                "histogram: ts=\(sample.timestamp), labels=\(batch.table[sample.series]), "
                    + "count=\(sample.histogram.count), sum=\(sample.histogram.sum)")
            shown += 1
        }
        return shown
    }

    private static func entries(_ batch: LogBatch, _ limit: Int, _ body: (String) -> Void) -> Int {
        let layout = GoTimeLayout("RFC3339Nano")
        for entry in batch.entries.prefix(limit) {
            // No more of a long line is decoded than is shown.
            let line = batch.withLine(entry) { String(decoding: $0.prefix(longest * 2), as: UTF8.self) }
            let metadata = entry.metadata.isEmpty ? "" : ", structured_metadata: \(entry.metadata)"
            body(
                "timestamp: \(layout.format(unixNanoseconds: entry.timestamp)), entry: \(line), "
                    + "labels: \(batch.streams[Int(entry.stream)])\(metadata)")
        }
        return min(limit, batch.entries.count)
    }

    private static func profiles(_ batch: ProfileBatch, _ limit: Int, _ body: (String) -> Void) -> Int {
        for profile in batch.profiles.prefix(limit) { body("profile: labels=\(batch.labels), \(profile.count) bytes") }
        return min(limit, batch.profiles.count)
    }
}
