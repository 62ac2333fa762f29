import Synchronization
package import Telemetry

/// Turns batches of Prometheus samples into OTLP metrics.
///
/// Follows the OpenTelemetry specification "Prometheus and OpenMetrics Compatibility" and the collector's
/// `receiver/prometheusreceiver`: series of a family become one metric of the type the metadata tells, series of a classic
/// histogram or summary one data point, `job` and `instance` the resource, `otel_scope_` labels the scope. What stays the
/// same from scrape to scrape (attributes, names, resources) is encoded once for each series of a source and copied from
/// then on.
///
/// Differs where upstream loses data: samples of one series at several times all become data points, and series of a family
/// without type keep their own names.
package final class MetricsToOTLP: Sendable {
    /// What became of a batch: its samples are the data points of `batch`, those that were merged into others, and those
    /// dropped.
    package struct Outcome: Sendable {
        package var batch: OTLPBatch
        /// Samples that are part of another's data point, or became attributes of the resource or scope.
        package var merged = 0
        /// Samples of series without `job` or `instance`.
        package var withoutTarget = 0
        /// Samples that make no data point: histograms without a count, buckets without a bound.
        package var malformed = 0
    }

    private struct Entry {
        weak var identity: SeriesTable.Identity?
        var source: Source
    }

    /// One source's state; used by one batch at a time.
    private final class Source: Sendable {
        let state: Mutex<MetricsSource>
        init(_ scope: ScopeIdentity) { state = Mutex(MetricsSource(defaultScope: scope)) }
    }

    private struct Sources {
        var entries: [ObjectIdentifier: Entry] = [:]
        var sweepAt = 64
    }

    private let scope: ScopeIdentity
    private let sources = Mutex(Sources())

    /// `scopeName` is the scope of metrics that name none.
    package init(scopeName: String) {
        scope = ScopeIdentity(name: Array(scopeName.utf8))
    }

    /// Converts a batch. The result depends on the batch and on what earlier ones told about types, so that converting
    /// again after a failure gives the same.
    package func convert(_ batch: MetricBatch) -> Outcome {
        source(of: batch.table.identity).state.withLock { $0.convert(batch) }
    }

    /// Sources known now.
    package var sourceCount: Int { sources.withLock { $0.entries.count } }

    private func source(of identity: SeriesTable.Identity) -> Source {
        sources.withLock { sources in
            let key = ObjectIdentifier(identity)
            if let entry = sources.entries[key], entry.identity === identity { return entry.source }
            if sources.entries.count >= sources.sweepAt {
                sources.entries = sources.entries.filter { $0.value.identity != nil }
                sources.sweepAt = max(64, sources.entries.count * 2)
            }
            let source = Source(scope)
            sources.entries[key] = Entry(identity: identity, source: source)
            return source
        }
    }
}

/// What makes scopes the same.
struct ScopeIdentity: Hashable, Sendable {
    var name: [UInt8] = []
    var version: [UInt8] = []
    var schemaURL: [UInt8] = []
    /// Attributes, encoded.
    var attributes: [UInt8] = []

    var isEmpty: Bool { name.isEmpty && version.isEmpty && schemaURL.isEmpty && attributes.isEmpty }
}

/// What the samples of a series are for.
enum SeriesRole: UInt8, Sendable {
    /// A data point each.
    case number
    /// The start time of the counter of the same labels.
    case counterStart
    /// Parts of a histogram or summary.
    case bucket, sum, count, pointStart
    /// A float sample of a native histogram: only the staleness marker makes sense.
    case nativeEnd
    /// Attributes of the resource or scope.
    case targetInfo, scopeInfo
    case withoutTarget, malformed
}

/// One series of a source, ready for use.
struct SeriesSlot: Sendable {
    var role: SeriesRole
    /// The metric the samples belong to.
    var metric: Int32 = -1
    /// By role: the group of a histogram's part, the resource of `target_info`, the scope of `otel_scope_info`, the pair of
    /// a counter with a start time.
    var group: Int32 = -1
    /// Encoded attribute fields in the arena.
    var attributesStart: UInt32 = 0
    var attributesCount: UInt32 = 0
}

/// A counter and the series that tells when it began.
struct CounterPair: Sendable {
    var start: Int32 = -1
}

/// What a metric's data points are made of.
enum MetricShape: UInt8, Sendable {
    case gauge, counter, state, classic, summary, exponential, custom

    /// The field of `Metric` that holds the data, as tag byte.
    var dataTag: UInt8 {
        switch self {
        case .gauge: UInt8(OTLPField.Metric.gauge << 3 | 2)
        case .counter, .state: UInt8(OTLPField.Metric.sum << 3 | 2)
        case .classic, .custom: UInt8(OTLPField.Metric.histogram << 3 | 2)
        case .exponential: UInt8(OTLPField.Metric.exponentialHistogram << 3 | 2)
        case .summary: UInt8(OTLPField.Metric.summary << 3 | 2)
        }
    }

    /// Temporality and monotony: cumulative in any case.
    var dataFields: [UInt8] {
        switch self {
        case .gauge, .summary: []
        case .counter: [0x10, 2, 0x18, 1]
        case .state, .classic, .custom, .exponential: [0x10, 2]
        }
    }

    /// Points of numbers take one sample each.
    var isNumber: Bool { self == .gauge || self == .counter || self == .state }

    /// The field of attributes in the data point, as tag byte.
    var attributesTag: UInt8 {
        switch self {
        case .gauge, .counter, .state, .summary: UInt8(OTLPField.NumberPoint.attributes << 3 | 2)
        case .classic, .custom: UInt8(OTLPField.HistogramPoint.attributes << 3 | 2)
        case .exponential: UInt8(OTLPField.ExponentialHistogramPoint.attributes << 3 | 2)
        }
    }
}

/// A metric of a source, and what the batch at hand has of it.
struct MetricState: Sendable {
    let scope: Int32
    let shape: MetricShape
    /// Name, description, unit and metadata, encoded.
    let header: [UInt8]

    var generation: UInt32 = 0
    /// The list of what the batch has: rows or groups by shape; indices into the links.
    var first: Int32 = -1
    var last: Int32 = -1
    /// Bytes of all data points with tag and length.
    var byteCount = 0
    /// Where the points are that were encoded apart.
    var pointsStart = 0
    var next: Int32 = -1

    /// Bytes of the `Gauge`, `Sum`, ... message.
    var dataCount: Int { byteCount &+ shape.dataFields.count }
    /// Bytes of the `Metric` message.
    var contentCount: Int {
        header.count &+ 1 &+ ProtobufWriter.varintSize(UInt64(dataCount)) &+ dataCount
    }
}

struct ScopeState: Sendable {
    let resource: Int32
    let identity: ScopeIdentity
    /// Labels of `otel_scope_info` for this scope, by series; -1 while there are none.
    var info: Int32 = -1
    var infoBatch: UInt64 = 0
    /// The scope message and the schema URL as fields of the scope group, and for which info they were encoded.
    var header: [UInt8] = []
    var headerInfo: Int32 = -2

    var generation: UInt32 = 0
    var firstMetric: Int32 = -1
    var lastMetric: Int32 = -1
    var byteCount = 0
    var next: Int32 = -1
}

struct ResourceState: Sendable {
    let job: String
    let instance: String
    var info: Int32 = -1
    var infoBatch: UInt64 = 0
    /// The resource as a field of the resource group, and for which `target_info` it was encoded.
    var header: [UInt8] = []
    var headerInfo: Int32 = -2

    var generation: UInt32 = 0
    var firstScope: Int32 = -1
    var lastScope: Int32 = -1
    var byteCount = 0
}

/// The parts of one data point of a histogram or summary.
struct PointGroup: Sendable {
    struct Member: Sendable {
        /// Upper bound or quantile.
        var bound: Double
        var series: Int32
    }

    let metric: Int32
    var attributesStart: UInt32
    var attributesCount: UInt32
    /// By bound.
    var members: [Member] = []
    var sum: Int32 = -1
    var count: Int32 = -1
    var start: Int32 = -1

    var generation: UInt32 = 0
    var time: Int64 = 0
    /// Samples taken in this generation.
    var taken = 0
}

/// A series with native histograms.
struct NativeSeries: Sendable {
    var exponential: Int32 = -1
    var exponentialStart: UInt32 = 0
    var custom: Int32 = -1
    var customStart: UInt32 = 0
    var exponentialCount: UInt32 = 0
    var customCount: UInt32 = 0
}
