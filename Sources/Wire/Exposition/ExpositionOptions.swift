import Glibc

/// How the answers of one target are read.
package struct ExpositionOptions: Sendable, Equatable {
    /// Use the timestamps of the exposition; otherwise every sample has the time of the scrape.
    package var honorsTimestamps = true
    /// Mark series with explicit timestamps stale too when they vanish.
    package var tracksTimestampStaleness = false
    /// Read native histograms of the protobuf format; otherwise their classic part.
    package var scrapesNativeHistograms = false
    /// Read the classic part as well where there is a native one (or one converted from it).
    package var keepsClassicHistograms = false
    /// Turn classic histograms into native ones with custom buckets.
    package var convertsClassicHistograms = false
    /// Take `_created` lines of OpenMetrics as start times instead of as series, and start times of protobuf.
    package var readsStartTimestamps = false
    /// Put a sample of zero at the start time of a counter, summary or histogram whenever that changes.
    package var injectsZeroSamples = false
    /// Add the labels `__type__` and `__unit__`.
    package var addsTypeAndUnitLabels = false
    package var collectsMetadata = false
    package var nameValidation = NameValidation.legacy
    package var limits = ExpositionLimits()

    package init() {}
}

/// Bounds on one answer; 0 where there is none. What exceeds one fails the scrape, except as noted.
package struct ExpositionLimits: Sendable, Equatable {
    /// Samples after relabelling.
    package var samples = 0
    /// Labels of a series after relabelling.
    package var labels = 0
    /// Bytes of a label name after relabelling.
    package var labelNameLength = 0
    /// Bytes of a label value after relabelling.
    package var labelValueLength = 0
    /// Bytes of the uncompressed body; reaching it is too much already, as in Prometheus.
    package var bodyBytes = 0
    /// Buckets of a native histogram; its resolution is halved until they fit.
    package var histogramBuckets = 0
    /// Native histograms of a finer schema are reduced to this one.
    package var histogramSchema: Int32 = 8
    /// Bytes of one line.
    package var lineBytes = 1 << 20
    /// Bytes of one metric in the protobuf format.
    package var messageBytes = 16 << 20

    package init() {}

    /// The finest schema whose buckets grow by at least `factor`; 8 for factors that name none.
    package static func schema(forMinimumBucketFactor factor: Double) -> Int32 {
        guard factor > 1 else { return 8 }
        let schema = (-log2(log2(factor))).rounded(.down)
        return Int32(min(max(schema, -4), 8))
    }
}

/// Labels a series may have at most, whatever the configuration says; keeps a hostile line from costing quadratic time.
let maximumLabelsPerSeries = 2048

/// Samples further ahead of the scrape than this are dropped.
let maximumAheadMilliseconds: Int64 = 10 * 60 * 1000

/// What one scrape brought, also when it failed.
package struct ExpositionCounts: Sendable, Equatable {
    /// Samples in the exposition.
    package var scraped = 0
    /// Samples left after relabelling.
    package var postRelabeling = 0
    /// Series not seen before.
    package var seriesAdded = 0
    /// Samples left out since their series had one already.
    package var duplicates = 0
    /// Samples left out since their time lies too far ahead.
    package var outOfBounds = 0
    /// Series that vanished since the scrape before and got a staleness marker.
    package var vanished = 0
    /// Uncompressed bytes read.
    package var bodyBytes = 0

    package init() {}
}

/// Why an exposition could not be used.
package struct ExpositionError: Error, Sendable, CustomStringConvertible {
    package enum Code: Sendable, Equatable {
        case malformed, unknownFormat
        case sampleLimit, labelLimit, labelNameLength, labelValueLength, bodyLimit, bucketLimit
        case lineTooLong, invalidName, tooManySeries
    }

    package var code: Code
    /// Counted from 1; nil in the protobuf format and where no single line is to blame.
    package var line: Int?
    /// Lower case, no full stop.
    package var message: String

    package init(_ code: Code, _ message: String, line: Int? = nil) {
        self.code = code
        self.message = message
        self.line = line
    }

    package var description: String { line.map { "line \($0): \(message)" } ?? message }
}
