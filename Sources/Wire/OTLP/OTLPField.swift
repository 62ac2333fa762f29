/// Field numbers of the OpenTelemetry protocol, opentelemetry-proto 1.7 (`opentelemetry/proto/*/v1/*.proto`).
package enum OTLPField {
    /// `ResourceSpans`, `ResourceMetrics`, `ResourceLogs`: the same numbers for all signals.
    package enum ResourceGroup {
        package static let resource = 1
        package static let scopes = 2
        package static let schemaURL = 3
    }

    /// `ScopeSpans`, `ScopeMetrics`, `ScopeLogs`.
    package enum ScopeGroup {
        package static let scope = 1
        package static let items = 2
        package static let schemaURL = 3
    }

    package enum Resource {
        package static let attributes = 1
        package static let droppedAttributesCount = 2
        package static let entityRefs = 3
    }

    package enum Scope {
        package static let name = 1
        package static let version = 2
        package static let attributes = 3
        package static let droppedAttributesCount = 4
    }

    package enum LogRecord {
        package static let timeUnixNano = 1
        package static let severityNumber = 2
        package static let severityText = 3
        package static let body = 5
        package static let attributes = 6
        package static let droppedAttributesCount = 7
        package static let flags = 8
        package static let traceID = 9
        package static let spanID = 10
        package static let observedTimeUnixNano = 11
        package static let eventName = 12
    }

    package enum Span {
        package static let traceID = 1
        package static let spanID = 2
        package static let traceState = 3
        package static let parentSpanID = 4
        package static let name = 5
        package static let kind = 6
        package static let startTimeUnixNano = 7
        package static let endTimeUnixNano = 8
        package static let attributes = 9
        package static let droppedAttributesCount = 10
        package static let events = 11
        package static let droppedEventsCount = 12
        package static let links = 13
        package static let droppedLinksCount = 14
        package static let status = 15
        package static let flags = 16
    }

    package enum Status {
        package static let message = 2
        package static let code = 3
    }

    package enum Event {
        package static let timeUnixNano = 1
        package static let name = 2
        package static let attributes = 3
        package static let droppedAttributesCount = 4
    }

    package enum Link {
        package static let traceID = 1
        package static let spanID = 2
        package static let traceState = 3
        package static let attributes = 4
        package static let droppedAttributesCount = 5
        package static let flags = 6
    }

    package enum Metric {
        package static let name = 1
        package static let description = 2
        package static let unit = 3
        package static let gauge = 5
        package static let sum = 7
        package static let histogram = 9
        package static let exponentialHistogram = 10
        package static let summary = 11
        package static let metadata = 12
    }

    /// `Gauge`, `Sum`, `Histogram`, `ExponentialHistogram`, `Summary`: what holds the data points.
    package enum MetricData {
        package static let points = 1
        package static let aggregationTemporality = 2
        /// Sums only.
        package static let isMonotonic = 3
    }

    package enum NumberPoint {
        package static let startTimeUnixNano = 2
        package static let timeUnixNano = 3
        package static let asDouble = 4
        package static let exemplars = 5
        package static let asInt = 6
        package static let attributes = 7
        package static let flags = 8
    }

    package enum HistogramPoint {
        package static let startTimeUnixNano = 2
        package static let timeUnixNano = 3
        package static let count = 4
        package static let sum = 5
        package static let bucketCounts = 6
        package static let explicitBounds = 7
        package static let exemplars = 8
        package static let attributes = 9
        package static let flags = 10
        package static let min = 11
        package static let max = 12
    }

    package enum ExponentialHistogramPoint {
        package static let attributes = 1
        package static let startTimeUnixNano = 2
        package static let timeUnixNano = 3
        package static let count = 4
        package static let sum = 5
        package static let scale = 6
        package static let zeroCount = 7
        package static let positive = 8
        package static let negative = 9
        package static let flags = 10
        package static let exemplars = 11
        package static let min = 12
        package static let max = 13
        package static let zeroThreshold = 14
    }

    /// The positive or negative side of an exponential histogram.
    package enum Buckets {
        package static let offset = 1
        package static let counts = 2
    }

    package enum SummaryPoint {
        package static let startTimeUnixNano = 2
        package static let timeUnixNano = 3
        package static let count = 4
        package static let sum = 5
        package static let quantiles = 6
        package static let attributes = 7
        package static let flags = 8
    }

    package enum Quantile {
        package static let quantile = 1
        package static let value = 2
    }

    package enum Exemplar {
        package static let timeUnixNano = 2
        package static let asDouble = 3
        package static let spanID = 4
        package static let traceID = 5
        package static let asInt = 6
        package static let filteredAttributes = 7
    }

    package enum KeyValue {
        package static let key = 1
        package static let value = 2
    }

    package enum AnyValue {
        package static let string = 1
        package static let bool = 2
        package static let int = 3
        package static let double = 4
        package static let array = 5
        package static let map = 6
        package static let bytes = 7
    }
}

/// Which message bytes are: what a scanner or an editor must know about them.
package enum OTLPShape: UInt8, Sendable {
    case resourceGroup, resource, scopeGroup, scope
    case span, event, link
    case logRecord
    case metric, metricData
    case numberPoint, histogramPoint, exponentialHistogramPoint, summaryPoint
    case exemplar
    /// Any other message: no attributes.
    case other

    /// The field that repeats the message's attributes; 0 when it has none. A metric's are its metadata.
    package var attributesField: Int {
        switch self {
        case .resource, .exponentialHistogramPoint: 1
        case .scope, .event: 3
        case .link: 4
        case .logRecord: 6
        case .numberPoint, .summaryPoint, .exemplar: 7
        case .span, .histogramPoint: 9
        case .metric: 12
        case .resourceGroup, .scopeGroup, .metricData, .other: 0
        }
    }
}

/// What a metric's data points are; the raw value is the field of `Metric` that holds them.
package enum OTLPMetricKind: Int, Sendable, CaseIterable {
    case gauge = 5
    case sum = 7
    case histogram = 9
    case exponentialHistogram = 10
    case summary = 11

    package var pointShape: OTLPShape {
        switch self {
        case .gauge, .sum: .numberPoint
        case .histogram: .histogramPoint
        case .exponentialHistogram: .exponentialHistogramPoint
        case .summary: .summaryPoint
        }
    }
}
