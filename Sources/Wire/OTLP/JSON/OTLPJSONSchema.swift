/// How a field is written in OTLP/JSON.
enum OTLPJSONKind: Sendable {
    case text
    /// Trace and span IDs: hexadecimal digits, not base64.
    case hex
    case base64
    case bool
    /// `int64` as a varint: text of digits.
    case int64
    case uint32
    case int32
    case sint32
    /// Text of digits.
    case uint64
    /// Text of digits.
    case fixed64
    /// Text of digits.
    case sfixed64
    case fixed32
    case double
    /// A number, or one of the names, whose index is the number.
    case enumeration([String])
    case message(OTLPJSONMessage)
}

struct OTLPJSONField: Sendable {
    let name: String
    let number: Int
    let kind: OTLPJSONKind
    let isRepeated: Bool
    /// A choice or optional field: zero says something.
    let keepsZero: Bool

    init(
        _ number: Int, _ name: String, _ kind: OTLPJSONKind, repeated: Bool = false, keepsZero: Bool = false
    ) {
        self.name = name
        self.number = number
        self.kind = kind
        isRepeated = repeated
        self.keepsZero = keepsZero
    }
}

/// The messages of OTLP as JSON has them (OTLP specification, "JSON Protobuf Encoding"; opentelemetry-proto 1.7).
enum OTLPJSONMessage: Sendable {
    case tracesRequest, metricsRequest, logsRequest
    case resourceSpans, resourceMetrics, resourceLogs
    case scopeSpans, scopeMetrics, scopeLogs
    case resource, scope, entityRef
    case keyValue, anyValue, arrayValue, keyValueList
    case span, event, link, status
    case logRecord
    case metric, gauge, sum, histogram, exponentialHistogram, summary
    case numberPoint, histogramPoint, exponentialHistogramPoint, buckets, summaryPoint, quantile, exemplar
    case partialSuccessResponse(String)
    case partialSuccess(String)

    var fields: [OTLPJSONField] {
        switch self {
        case .tracesRequest: [OTLPJSONField(1, "resourceSpans", .message(.resourceSpans), repeated: true)]
        case .metricsRequest: [OTLPJSONField(1, "resourceMetrics", .message(.resourceMetrics), repeated: true)]
        case .logsRequest: [OTLPJSONField(1, "resourceLogs", .message(.resourceLogs), repeated: true)]
        case .resourceSpans: Self.resourceGroup("scopeSpans", .scopeSpans)
        case .resourceMetrics: Self.resourceGroup("scopeMetrics", .scopeMetrics)
        case .resourceLogs: Self.resourceGroup("scopeLogs", .scopeLogs)
        case .scopeSpans: Self.scopeGroup("spans", .span)
        case .scopeMetrics: Self.scopeGroup("metrics", .metric)
        case .scopeLogs: Self.scopeGroup("logRecords", .logRecord)
        case .resource:
            [
                Self.attributes(1), OTLPJSONField(2, "droppedAttributesCount", .uint32),
                OTLPJSONField(3, "entityRefs", .message(.entityRef), repeated: true),
            ]
        case .entityRef:
            [
                OTLPJSONField(1, "schemaUrl", .text), OTLPJSONField(2, "type", .text),
                OTLPJSONField(3, "idKeys", .text, repeated: true),
                OTLPJSONField(4, "descriptionKeys", .text, repeated: true),
            ]
        case .scope:
            [
                OTLPJSONField(1, "name", .text), OTLPJSONField(2, "version", .text), Self.attributes(3),
                OTLPJSONField(4, "droppedAttributesCount", .uint32),
            ]
        case .keyValue: [OTLPJSONField(1, "key", .text), OTLPJSONField(2, "value", .message(.anyValue))]
        case .arrayValue: [OTLPJSONField(1, "values", .message(.anyValue), repeated: true)]
        case .keyValueList: [OTLPJSONField(1, "values", .message(.keyValue), repeated: true)]
        case .anyValue: Self.anyValueFields
        case .span, .event, .link, .status: traceFields
        case .logRecord: Self.logRecordFields
        case .metric, .gauge, .sum, .histogram, .exponentialHistogram, .summary: metricFields
        case .numberPoint, .histogramPoint, .exponentialHistogramPoint, .buckets, .summaryPoint, .quantile, .exemplar:
            pointFields
        case .partialSuccessResponse(let rejected):
            [OTLPJSONField(1, "partialSuccess", .message(.partialSuccess(rejected)))]
        case .partialSuccess(let rejected):
            [OTLPJSONField(1, rejected, .int64), OTLPJSONField(2, "errorMessage", .text)]
        }
    }

    private static func resourceGroup(_ name: String, _ scopes: OTLPJSONMessage) -> [OTLPJSONField] {
        [
            OTLPJSONField(1, "resource", .message(.resource)),
            OTLPJSONField(2, name, .message(scopes), repeated: true), OTLPJSONField(3, "schemaUrl", .text),
        ]
    }

    private static func scopeGroup(_ name: String, _ item: OTLPJSONMessage) -> [OTLPJSONField] {
        [
            OTLPJSONField(1, "scope", .message(.scope)), OTLPJSONField(2, name, .message(item), repeated: true),
            OTLPJSONField(3, "schemaUrl", .text),
        ]
    }

    private static func attributes(_ number: Int) -> OTLPJSONField {
        OTLPJSONField(number, "attributes", .message(.keyValue), repeated: true)
    }

    private static let anyValueFields: [OTLPJSONField] = [
        OTLPJSONField(1, "stringValue", .text, keepsZero: true),
        OTLPJSONField(2, "boolValue", .bool, keepsZero: true),
        OTLPJSONField(3, "intValue", .int64, keepsZero: true),
        OTLPJSONField(4, "doubleValue", .double, keepsZero: true),
        OTLPJSONField(5, "arrayValue", .message(.arrayValue)),
        OTLPJSONField(6, "kvlistValue", .message(.keyValueList)),
        OTLPJSONField(7, "bytesValue", .base64, keepsZero: true),
    ]

    private static let severities: [String] =
        ["SEVERITY_NUMBER_UNSPECIFIED"]
        + ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"].flatMap { name in
            ["", "2", "3", "4"].map { "SEVERITY_NUMBER_\(name)\($0)" }
        }

    private static let logRecordFields: [OTLPJSONField] = [
        OTLPJSONField(1, "timeUnixNano", .fixed64), OTLPJSONField(11, "observedTimeUnixNano", .fixed64),
        OTLPJSONField(2, "severityNumber", .enumeration(severities)), OTLPJSONField(3, "severityText", .text),
        OTLPJSONField(5, "body", .message(.anyValue)), attributes(6),
        OTLPJSONField(7, "droppedAttributesCount", .uint32), OTLPJSONField(8, "flags", .fixed32),
        OTLPJSONField(9, "traceId", .hex), OTLPJSONField(10, "spanId", .hex), OTLPJSONField(12, "eventName", .text),
    ]

    private var traceFields: [OTLPJSONField] {
        switch self {
        case .span: Self.spanFields
        case .event:
            [
                OTLPJSONField(1, "timeUnixNano", .fixed64), OTLPJSONField(2, "name", .text), Self.attributes(3),
                OTLPJSONField(4, "droppedAttributesCount", .uint32),
            ]
        case .link:
            [
                OTLPJSONField(1, "traceId", .hex), OTLPJSONField(2, "spanId", .hex),
                OTLPJSONField(3, "traceState", .text), Self.attributes(4),
                OTLPJSONField(5, "droppedAttributesCount", .uint32), OTLPJSONField(6, "flags", .fixed32),
            ]
        default:
            [
                OTLPJSONField(2, "message", .text),
                OTLPJSONField(
                    3, "code", .enumeration(["STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"])),
            ]
        }
    }

    private static let spanKinds: [String] = [
        "SPAN_KIND_UNSPECIFIED", "SPAN_KIND_INTERNAL", "SPAN_KIND_SERVER", "SPAN_KIND_CLIENT",
        "SPAN_KIND_PRODUCER", "SPAN_KIND_CONSUMER",
    ]

    private static let spanFields: [OTLPJSONField] = [
        OTLPJSONField(1, "traceId", .hex), OTLPJSONField(2, "spanId", .hex), OTLPJSONField(3, "traceState", .text),
        OTLPJSONField(4, "parentSpanId", .hex), OTLPJSONField(16, "flags", .fixed32),
        OTLPJSONField(5, "name", .text), OTLPJSONField(6, "kind", .enumeration(spanKinds)),
        OTLPJSONField(7, "startTimeUnixNano", .fixed64), OTLPJSONField(8, "endTimeUnixNano", .fixed64),
        attributes(9), OTLPJSONField(10, "droppedAttributesCount", .uint32),
        OTLPJSONField(11, "events", .message(.event), repeated: true),
        OTLPJSONField(12, "droppedEventsCount", .uint32),
        OTLPJSONField(13, "links", .message(.link), repeated: true), OTLPJSONField(14, "droppedLinksCount", .uint32),
        OTLPJSONField(15, "status", .message(.status)),
    ]

    private static let temporalities = [
        "AGGREGATION_TEMPORALITY_UNSPECIFIED", "AGGREGATION_TEMPORALITY_DELTA", "AGGREGATION_TEMPORALITY_CUMULATIVE",
    ]

    private var metricFields: [OTLPJSONField] {
        func points(_ kind: OTLPJSONMessage) -> OTLPJSONField {
            OTLPJSONField(1, "dataPoints", .message(kind), repeated: true)
        }
        let temporality = OTLPJSONField(2, "aggregationTemporality", .enumeration(Self.temporalities))
        switch self {
        case .gauge: return [points(.numberPoint)]
        case .sum: return [points(.numberPoint), temporality, OTLPJSONField(3, "isMonotonic", .bool)]
        case .histogram: return [points(.histogramPoint), temporality]
        case .exponentialHistogram: return [points(.exponentialHistogramPoint), temporality]
        case .summary: return [points(.summaryPoint)]
        default:
            return [
                OTLPJSONField(1, "name", .text), OTLPJSONField(2, "description", .text),
                OTLPJSONField(3, "unit", .text), OTLPJSONField(5, "gauge", .message(.gauge)),
                OTLPJSONField(7, "sum", .message(.sum)), OTLPJSONField(9, "histogram", .message(.histogram)),
                OTLPJSONField(10, "exponentialHistogram", .message(.exponentialHistogram)),
                OTLPJSONField(11, "summary", .message(.summary)),
                OTLPJSONField(12, "metadata", .message(.keyValue), repeated: true),
            ]
        }
    }

    private static let times: [OTLPJSONField] = [
        OTLPJSONField(2, "startTimeUnixNano", .fixed64), OTLPJSONField(3, "timeUnixNano", .fixed64),
    ]

    private static func exemplars(_ number: Int) -> OTLPJSONField {
        OTLPJSONField(number, "exemplars", .message(.exemplar), repeated: true)
    }

    private var pointFields: [OTLPJSONField] {
        switch self {
        case .numberPoint:
            return [Self.attributes(7)] + Self.times + [
                OTLPJSONField(4, "asDouble", .double, keepsZero: true),
                OTLPJSONField(6, "asInt", .sfixed64, keepsZero: true), Self.exemplars(5),
                OTLPJSONField(8, "flags", .uint32),
            ]
        case .histogramPoint:
            return [Self.attributes(9)] + Self.times + [
                OTLPJSONField(4, "count", .fixed64), OTLPJSONField(5, "sum", .double, keepsZero: true),
                OTLPJSONField(6, "bucketCounts", .fixed64, repeated: true),
                OTLPJSONField(7, "explicitBounds", .double, repeated: true), Self.exemplars(8),
                OTLPJSONField(10, "flags", .uint32), OTLPJSONField(11, "min", .double, keepsZero: true),
                OTLPJSONField(12, "max", .double, keepsZero: true),
            ]
        case .exponentialHistogramPoint:
            return [Self.attributes(1)] + Self.times + [
                OTLPJSONField(4, "count", .fixed64), OTLPJSONField(5, "sum", .double, keepsZero: true),
                OTLPJSONField(6, "scale", .sint32), OTLPJSONField(7, "zeroCount", .fixed64),
                OTLPJSONField(8, "positive", .message(.buckets)), OTLPJSONField(9, "negative", .message(.buckets)),
                OTLPJSONField(10, "flags", .uint32), Self.exemplars(11),
                OTLPJSONField(12, "min", .double, keepsZero: true),
                OTLPJSONField(13, "max", .double, keepsZero: true), OTLPJSONField(14, "zeroThreshold", .double),
            ]
        case .buckets:
            return [OTLPJSONField(1, "offset", .sint32), OTLPJSONField(2, "bucketCounts", .uint64, repeated: true)]
        case .summaryPoint:
            return [Self.attributes(7)] + Self.times + [
                OTLPJSONField(4, "count", .fixed64), OTLPJSONField(5, "sum", .double),
                OTLPJSONField(6, "quantileValues", .message(.quantile), repeated: true),
                OTLPJSONField(8, "flags", .uint32),
            ]
        case .quantile: return [OTLPJSONField(1, "quantile", .double), OTLPJSONField(2, "value", .double)]
        default:
            return [
                OTLPJSONField(7, "filteredAttributes", .message(.keyValue), repeated: true),
                OTLPJSONField(2, "timeUnixNano", .fixed64), OTLPJSONField(3, "asDouble", .double, keepsZero: true),
                OTLPJSONField(6, "asInt", .sfixed64, keepsZero: true), OTLPJSONField(4, "spanId", .hex),
                OTLPJSONField(5, "traceId", .hex),
            ]
        }
    }
}
