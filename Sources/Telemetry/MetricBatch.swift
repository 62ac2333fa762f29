import Glibc

/// Samples of the series of one source.
///
/// Columns of equal length, one row a sample; what is rare (histograms, exemplars, metadata, start times) is sparse.
/// A value type whose columns are shared until changed.
package struct MetricBatch: Batch {
    package static var signal: Signal { .metrics }

    /// The series the refs below point into; shared, never copied.
    package var table: SeriesTable
    package private(set) var series: [SeriesRef] = []
    package private(set) var values: [Double] = []
    package private(set) var timestamps = TimestampColumn()

    package var histograms: [HistogramSample] = []
    package var exemplars: [ExemplarSample] = []
    /// Start (created) times of counters and histograms, by series.
    package var startTimestamps: [StartTimestamp] = []
    package var metadata: [MetricMetadata] = []
    /// What is known of the target the samples come from, where metadata was asked for.
    package var origin: MetricOrigin?
    package var takenBy = ReceiverSet()

    package init(table: SeriesTable) { self.table = table }

    /// Takes columns built elsewhere: `series` and `values` of equal length, `timestamps` uniform or as long as they are.
    package init(table: SeriesTable, series: [SeriesRef], values: [Double], timestamps: TimestampColumn) {
        precondition(series.count == values.count && timestamps.fits(series.count), "columns of different lengths")
        self.table = table
        self.series = series
        self.values = values
        self.timestamps = timestamps
    }

    /// The number of samples, native histograms included.
    package var itemCount: Int { series.count + histograms.count }

    package var byteCount: Int {
        series.count * 12 + timestamps.byteCount + histograms.count * 256 + exemplars.count * 96 + metadata.count * 96
    }

    package var isEmpty: Bool { series.isEmpty && histograms.isEmpty && exemplars.isEmpty && metadata.isEmpty }

    package mutating func reserveCapacity(_ count: Int) {
        series.reserveCapacity(count)
        values.reserveCapacity(count)
    }

    /// Adds a sample. `timestampMilliseconds` since 1970.
    @inlinable
    package mutating func append(_ ref: SeriesRef, _ value: Double, at timestampMilliseconds: Int64) {
        appendRow(ref, value, timestampMilliseconds)
    }

    @usableFromInline
    mutating func appendRow(_ ref: SeriesRef, _ value: Double, _ timestampMilliseconds: Int64) {
        timestamps.append(timestampMilliseconds, count: series.count)
        series.append(ref)
        values.append(value)
    }

    /// The same samples of a table whose series stand at the same indices; the columns stay shared.
    package mutating func move(to newTable: SeriesTable) { table = newTable }

    /// The same samples with other refs into another table: `mapping[ref]` is the new ref, or nil where dropped.
    /// Returns the number of samples (histograms included) that were dropped.
    package mutating func remap(to newTable: SeriesTable, _ mapping: (SeriesRef) -> SeriesRef?) -> Int {
        let before = itemCount
        table = newTable
        var kept = 0
        let rows = series.count
        var keptRows: [Int] = []
        let needsRows = !timestamps.isUniform
        if needsRows { keptRows.reserveCapacity(rows) }
        for row in 0..<rows {
            guard let ref = mapping(series[row]) else { continue }
            series[kept] = ref
            values[kept] = values[row]
            if needsRows { keptRows.append(row) }
            kept += 1
        }
        series.removeLast(rows - kept)
        values.removeLast(rows - kept)
        if needsRows { timestamps.keep(keptRows) }
        histograms = histograms.compactMap { sample in
            mapping(sample.series).map {
                HistogramSample(series: $0, timestamp: sample.timestamp, histogram: sample.histogram)
            }
        }
        if !exemplars.isEmpty {
            exemplars = exemplars.compactMap { exemplar in
                guard let ref = mapping(exemplar.series) else { return nil }
                var mapped = exemplar
                mapped.series = ref
                return mapped
            }
        }
        if !startTimestamps.isEmpty {
            startTimestamps = startTimestamps.compactMap { start in
                mapping(start.series).map { StartTimestamp(series: $0, milliseconds: start.milliseconds) }
            }
        }
        return before - itemCount
    }
}

/// Milliseconds since 1970 of each row. Costs nothing while all rows have the same time, as in most scrapes.
package struct TimestampColumn: Sendable, Equatable {
    private var common: Int64 = 0
    private var rows: [Int64] = []

    package init() {}

    /// Every row has the time `common`.
    package init(common: Int64) { self.common = common }

    /// A time per row; none at all when there are no rows.
    package init(rows: [Int64]) { self.rows = rows }

    func fits(_ count: Int) -> Bool { rows.isEmpty || rows.count == count }

    /// True when every row has the same time.
    package var isUniform: Bool { rows.isEmpty }
    var byteCount: Int { rows.count * 8 }

    /// The time of `row`.
    package subscript(row: Int) -> Int64 { rows.isEmpty ? common : rows[row] }

    /// Adds the time of row number `count`.
    mutating func append(_ milliseconds: Int64, count: Int) {
        if rows.isEmpty {
            if count == 0 {
                common = milliseconds
                return
            }
            if milliseconds == common { return }
            rows = Array(repeating: common, count: count)
        }
        rows.append(milliseconds)
    }

    mutating func keep(_ indices: [Int]) {
        if rows.isEmpty { return }
        rows = indices.map { rows[$0] }
    }
}

/// Reserved values of samples.
package enum Sample {
    /// The NaN that ends a series, by its bit pattern as Prometheus defines it.
    package static let staleMarker = Double(bitPattern: 0x7FF0_0000_0000_0002)
    /// The NaN of ordinary arithmetic in Prometheus.
    package static let normalNaN = Double(bitPattern: 0x7FF8_0000_0000_0001)

    package static func isStale(_ value: Double) -> Bool { value.bitPattern == staleMarker.bitPattern }
}

/// A native histogram of a series at a time.
package struct HistogramSample: Sendable {
    package var series: SeriesRef
    /// Milliseconds since 1970.
    package var timestamp: Int64
    package var histogram: NativeHistogram

    package init(series: SeriesRef, timestamp: Int64, histogram: NativeHistogram) {
        self.series = series
        self.timestamp = timestamp
        self.histogram = histogram
    }
}

/// An example trace or request behind a sample.
package struct ExemplarSample: Sendable {
    package var series: SeriesRef
    package var labels: LabelSet
    package var value: Double
    /// Milliseconds since 1970, nil when the exposition gave none.
    package var timestamp: Int64?

    package init(series: SeriesRef, labels: LabelSet, value: Double, timestamp: Int64?) {
        self.series = series
        self.labels = labels
        self.value = value
        self.timestamp = timestamp
    }
}

/// When the counting of a series began.
package struct StartTimestamp: Sendable {
    package var series: SeriesRef
    package var milliseconds: Int64

    package init(series: SeriesRef, milliseconds: Int64) {
        self.series = series
        self.milliseconds = milliseconds
    }
}

/// Type, help and unit of a metric family.
package struct MetricMetadata: Sendable, Equatable {
    package enum Kind: String, Sendable, CaseIterable {
        case unknown, counter, gauge, histogram, gaugehistogram, summary, info, stateset
    }

    package var family: String
    package var kind: Kind
    package var help: String
    package var unit: String

    package init(family: String, kind: Kind, help: String = "", unit: String = "") {
        self.family = family
        self.kind = kind
        self.help = help
        self.unit = unit
    }
}
