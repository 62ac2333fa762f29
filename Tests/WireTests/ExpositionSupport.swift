import Telemetry
import Wire

/// Scrapes texts with one reader and shows what comes out.
struct ScrapeBench: ~Copyable {
    var reader: ExpositionReader

    init(
        _ configure: (inout ExpositionOptions) -> Void = { _ in },
        mapper: @escaping ExpositionReader.LabelMapper = { _ in true }
    ) {
        var options = ExpositionOptions()
        configure(&options)
        reader = ExpositionReader(options: options, mapper: mapper)
    }

    /// One whole scrape; on an error the reader is told that it failed.
    mutating func scrape(
        _ body: [UInt8], _ format: ExpositionFormat = .prometheusText, at time: Int64 = 1000, pieces: Int = .max
    ) throws(ExpositionError) -> MetricBatch {
        reader.begin(format, at: time)
        do throws(ExpositionError) {
            var offset = 0
            while offset < body.count {
                let end = min(body.count, offset + min(pieces, body.count))
                // A copy of its own size lets the sanitizer see reads beyond it.
                let piece = Array(body[offset..<end])
                var failed: ExpositionError?
                piece.withUnsafeBytes { bytes in
                    do throws(ExpositionError) { try reader.feed(bytes) } catch { failed = error }
                }
                if let failed { throw failed }
                offset = end
            }
            try reader.finish()
        } catch {
            reader.fail(at: time)
            throw error
        }
        return reader.takeBatch()
    }

    mutating func scrape(
        _ body: String, _ format: ExpositionFormat = .prometheusText, at time: Int64 = 1000, pieces: Int = .max
    ) throws(ExpositionError) -> MetricBatch {
        try scrape(Array(body.utf8), format, at: time, pieces: pieces)
    }
}

extension MetricBatch {
    /// `name{labels} value @time`, one per sample in order; staleness markers as `stale`.
    var lines: [String] {
        series.indices.map { row in
            let value = Sample.isStale(values[row]) ? "stale" : values[row].isNaN ? "nan" : "\(values[row])"
            return "\(table[series[row]].text) \(value) @\(timestamps[row])"
        }
    }

    var exemplarLines: [String] {
        exemplars.map { "\(table[$0.series].text) # \($0.labels) \($0.value) @\($0.timestamp ?? -1)" }
    }
}

extension LabelSet {
    /// As an exposition writes it.
    var text: String {
        var builder = LabelSetBuilder(self)
        let name = builder.value(of: "__name__") ?? ""
        builder.remove("__name__")
        let rest = builder.finish()
        return rest.isEmpty ? name : name + rest.description
    }
}
