import AlloySyntax
import TextFormats
import Wire

/// The fields of each context by name.
struct PathTable {
    /// A field: its name below the context, whether keys may follow, and what it reads and writes.
    struct Field {
        let name: String
        var takesKeys = false
        /// Refused with keys before it is called; `keys` is nil where none were written.
        let make: (_ keys: Keys?) -> Accessor

        init(_ name: String, keys takesKeys: Bool, _ make: @escaping (Keys?) -> Accessor) {
            self.name = name
            self.takesKeys = takesKeys
            self.make = make
        }

        init(_ name: String, _ accessor: @escaping @autoclosure () -> Accessor) {
            self.name = name
            make = { _ in accessor() }
        }
    }

    static func fields(of context: OTTLContext) -> [Field] {
        switch context {
        case .resource: resource
        case .scope: scope
        case .span: span
        case .spanevent: event
        case .log: log
        case .metric: metric
        case .datapoint: point
        }
    }

    private static var resource: [Field] {
        [
            Field("attributes", keys: true) { Fields.attributes(.resource, $0) },
            Field("dropped_attributes_count", Fields.varint(.resource, OTLPField.Resource.droppedAttributesCount)),
            Field("schema_url", Fields.text(.resourceGroup, OTLPField.ResourceGroup.schemaURL)),
        ]
    }

    private static var scope: [Field] {
        [
            Field("attributes", keys: true) { Fields.attributes(.scope, $0) },
            Field("name", Fields.text(.scope, OTLPField.Scope.name)),
            Field("version", Fields.text(.scope, OTLPField.Scope.version)),
            Field("dropped_attributes_count", Fields.varint(.scope, OTLPField.Scope.droppedAttributesCount)),
            Field("schema_url", Fields.text(.scopeGroup, OTLPField.ScopeGroup.schemaURL)),
        ]
    }

    private static let kinds = ["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"]

    private static var span: [Field] {
        [
            Field("attributes", keys: true) { Fields.attributes(.item, $0) },
            Field("trace_id", Fields.identifier(.item, OTLPField.Span.traceID, count: 16)),
            Field("trace_id.string", Fields.identifierText(.item, OTLPField.Span.traceID, count: 16)),
            Field("span_id", Fields.identifier(.item, OTLPField.Span.spanID, count: 8)),
            Field("span_id.string", Fields.identifierText(.item, OTLPField.Span.spanID, count: 8)),
            Field("parent_span_id", Fields.identifier(.item, OTLPField.Span.parentSpanID, count: 8)),
            Field("parent_span_id.string", Fields.identifierText(.item, OTLPField.Span.parentSpanID, count: 8)),
            Field("trace_state", keys: true) { traceState($0) },
            Field("name", Fields.text(.item, OTLPField.Span.name)),
            Field("kind", Fields.varint(.item, OTLPField.Span.kind)),
            Field(
                "kind.string",
                Symbols(names: kinds.map { $0.prefix(1) + $0.dropFirst().lowercased() }).accessor(
                    .item, OTLPField.Span.kind)),
            Field(
                "kind.deprecated_string",
                Symbols(names: kinds.map { "SPAN_KIND_" + $0 }).accessor(.item, OTLPField.Span.kind)),
            Field("start_time_unix_nano", Fields.fixed64(.item, OTLPField.Span.startTimeUnixNano)),
            Field("end_time_unix_nano", Fields.fixed64(.item, OTLPField.Span.endTimeUnixNano)),
            Field("start_time", Fields.time(.item, OTLPField.Span.startTimeUnixNano)),
            Field("end_time", Fields.time(.item, OTLPField.Span.endTimeUnixNano)),
            Field("dropped_attributes_count", Fields.varint(.item, OTLPField.Span.droppedAttributesCount)),
            Field("events", Fields.messages(.item, OTLPField.Span.events, .events)),
            Field("dropped_events_count", Fields.varint(.item, OTLPField.Span.droppedEventsCount)),
            Field("links", Fields.messages(.item, OTLPField.Span.links, .links)),
            Field("dropped_links_count", Fields.varint(.item, OTLPField.Span.droppedLinksCount)),
            Field("flags", Fields.fixed32(.item, OTLPField.Span.flags)),
            Field("status", Fields.messages(.item, OTLPField.Span.status, .status)),
            Field(
                "status.code",
                Accessor(
                    .int, get: { .int(Int64(OTLPSpan($0.item).statusCode)) },
                    set: { OTLPSpan($0.item).statusCode = UInt32(truncatingIfNeeded: try $1.requireInt("value")) })),
            Field(
                "status.message",
                Accessor(
                    .string, get: { .text(OTLPSpan($0.item).statusMessage) },
                    set: { frame, value in
                        let done: Void? = value.withText { OTLPSpan(frame.item).statusMessage = $0 }
                        if done == nil { throw Fields.mismatch("string", value) }
                    })),
        ]
    }

    private static func traceState(_ keys: Keys?) -> Accessor {
        guard let keys else { return Fields.text(.item, OTLPField.Span.traceState) }
        @Sendable func key(_ frame: OTTLFrame) throws -> [UInt8] {
            let steps = try keys.steps(frame)
            guard steps.count == 1, case .key(let key) = steps[0] else {
                throw OTTLError("trace_state has one string key")
            }
            return Array(key.bytes)
        }
        return Accessor(
            .string,
            get: { frame in
                TraceState.value(of: try key(frame), in: OTLPSpan(frame.item).traceState).map { .ownText($0) } ?? .none
            },
            set: { frame, value in
                let text = try value.requireText("value")
                let state = TraceState.setting(try key(frame), to: text, in: OTLPSpan(frame.item).traceState)
                state.withRawBytes { OTLPSpan(frame.item).traceState = $0 }
            })
    }

    private static var event: [Field] {
        [
            Field("attributes", keys: true) { Fields.attributes(.point, $0) },
            Field("name", Fields.text(.point, OTLPField.Event.name)),
            Field("time_unix_nano", Fields.fixed64(.point, OTLPField.Event.timeUnixNano)),
            Field("time", Fields.time(.point, OTLPField.Event.timeUnixNano)),
            Field("dropped_attributes_count", Fields.varint(.point, OTLPField.Event.droppedAttributesCount)),
            Field("event_index", Accessor(.int, get: { .int(Int64($0.eventIndex)) })),
        ]
    }

    private static var log: [Field] {
        [
            Field("attributes", keys: true) { Fields.attributes(.item, $0) },
            Field("body", keys: true) { Fields.value(.item, OTLPField.LogRecord.body, $0) },
            Field(
                "body.string",
                Accessor(
                    .string,
                    get: { frame in
                        let value = Datum(frame.item.value(OTLPField.LogRecord.body))
                        if case .text = value { return value }
                        return .ownText(value.textual ?? [])
                    },
                    set: { frame, value in
                        let text = try value.requireText("value")
                        frame.item.set(OTLPField.LogRecord.body, value: .string(text) as OTLPAnyValue)
                    })),
            Field("severity_number", Fields.varint(.item, OTLPField.LogRecord.severityNumber)),
            Field("severity_text", Fields.text(.item, OTLPField.LogRecord.severityText)),
            Field("time_unix_nano", Fields.fixed64(.item, OTLPField.LogRecord.timeUnixNano)),
            Field("observed_time_unix_nano", Fields.fixed64(.item, OTLPField.LogRecord.observedTimeUnixNano)),
            Field("time", Fields.time(.item, OTLPField.LogRecord.timeUnixNano)),
            Field("observed_time", Fields.time(.item, OTLPField.LogRecord.observedTimeUnixNano)),
            Field("dropped_attributes_count", Fields.varint(.item, OTLPField.LogRecord.droppedAttributesCount)),
            Field("flags", Fields.fixed32(.item, OTLPField.LogRecord.flags)),
            Field("event_name", Fields.text(.item, OTLPField.LogRecord.eventName)),
            Field("trace_id", Fields.identifier(.item, OTLPField.LogRecord.traceID, count: 16)),
            Field("trace_id.string", Fields.identifierText(.item, OTLPField.LogRecord.traceID, count: 16)),
            Field("span_id", Fields.identifier(.item, OTLPField.LogRecord.spanID, count: 8)),
            Field("span_id.string", Fields.identifierText(.item, OTLPField.LogRecord.spanID, count: 8)),
        ]
    }

    private static var metric: [Field] {
        [
            Field("name", Fields.text(.item, OTLPField.Metric.name)),
            Field("description", Fields.text(.item, OTLPField.Metric.description)),
            Field("unit", Fields.text(.item, OTLPField.Metric.unit)),
            Field("metadata", keys: true) { Fields.attributes(.item, $0) },
            Field("type", Accessor(.int, get: { .int(MetricTypes.number(of: $0.metricKind)) })),
            Field(
                "aggregation_temporality",
                Accessor(
                    .int,
                    get: { frame in
                        guard frame.hasTemporality else { return .none }
                        return .int(Int64(bitPattern: frame.data.varint(OTLPField.MetricData.aggregationTemporality)))
                    },
                    set: { frame, value in
                        let number = UInt64(UInt32(truncatingIfNeeded: try value.requireInt("value")))
                        guard frame.hasTemporality else { return }
                        frame.data.set(OTLPField.MetricData.aggregationTemporality, varint: number)
                    })),
            Field(
                "is_monotonic",
                Accessor(
                    .bool,
                    get: { frame in
                        guard frame.metricKind == .sum else { return .none }
                        return .bool(frame.data.bool(OTLPField.MetricData.isMonotonic))
                    },
                    set: { frame, value in
                        let flag = try value.requireBool("value")
                        if frame.metricKind == .sum { frame.data.set(OTLPField.MetricData.isMonotonic, bool: flag) }
                    })),
            Field("data_points", Fields.messages(.data, OTLPField.MetricData.points, .dataPoints)),
        ]
    }

    private static var point: [Field] {
        [
            Field("attributes", keys: true) { Fields.attributes(.point, $0) },
            Field("start_time_unix_nano", Fields.fixed64(.point, OTLPField.NumberPoint.startTimeUnixNano)),
            Field("time_unix_nano", Fields.fixed64(.point, OTLPField.NumberPoint.timeUnixNano)),
            Field("start_time", Fields.time(.point, OTLPField.NumberPoint.startTimeUnixNano)),
            Field("time", Fields.time(.point, OTLPField.NumberPoint.timeUnixNano)),
            Field("value_double", DataPointFields.valueDouble()),
            Field("value_int", DataPointFields.valueInt()),
            Field("exemplars", DataPointFields.exemplars()),
            Field("flags", DataPointFields.flags()),
            Field("count", DataPointFields.count()),
            Field("sum", DataPointFields.sum()),
            Field("bucket_counts", DataPointFields.bucketCounts()),
            Field("explicit_bounds", DataPointFields.explicitBounds()),
            Field("scale", DataPointFields.scale()),
            Field("zero_count", DataPointFields.zeroCount()),
            Field("positive", buckets(OTLPField.ExponentialHistogramPoint.positive, nil)),
            Field("positive.offset", buckets(OTLPField.ExponentialHistogramPoint.positive, "offset")),
            Field("positive.bucket_counts", buckets(OTLPField.ExponentialHistogramPoint.positive, "bucket_counts")),
            Field("negative", buckets(OTLPField.ExponentialHistogramPoint.negative, nil)),
            Field("negative.offset", buckets(OTLPField.ExponentialHistogramPoint.negative, "offset")),
            Field("negative.bucket_counts", buckets(OTLPField.ExponentialHistogramPoint.negative, "bucket_counts")),
            Field("quantile_values", DataPointFields.quantiles()),
        ]
    }

    private static func buckets(_ side: Int, _ field: String?) -> Accessor {
        DataPointFields.buckets(side, field) ?? Accessor(.none, get: { _ in .none })
    }
}

/// The numbers of `metric.type`.
enum MetricTypes {
    static func number(of kind: OTLPMetricKind?) -> Int64 {
        switch kind {
        case nil: 0
        case .gauge: 1
        case .sum: 2
        case .histogram: 3
        case .exponentialHistogram: 4
        case .summary: 5
        }
    }
}

extension OTTLFrame {
    /// Whether the metric's kind has an aggregation temporality.
    var hasTemporality: Bool {
        switch metricKind {
        case .sum, .histogram, .exponentialHistogram: true
        case .gauge, .summary, nil: false
        }
    }
}

/// Symbols for numbers.
enum Enumerations {
    static func value(of name: String, in context: OTTLContext) -> Int64? { table(context)[name] }

    static func names(in context: OTTLContext) -> [String] { Array(table(context).keys) }

    private static func table(_ context: OTTLContext) -> [String: Int64] {
        switch context {
        case .span, .spanevent: span
        case .metric, .datapoint: metric
        case .log: log
        case .resource, .scope: [:]
        }
    }

    private static let span: [String: Int64] = [
        "SPAN_KIND_UNSPECIFIED": 0, "SPAN_KIND_INTERNAL": 1, "SPAN_KIND_SERVER": 2, "SPAN_KIND_CLIENT": 3,
        "SPAN_KIND_PRODUCER": 4, "SPAN_KIND_CONSUMER": 5, "STATUS_CODE_UNSET": 0, "STATUS_CODE_OK": 1,
        "STATUS_CODE_ERROR": 2,
    ]

    private static let metric: [String: Int64] = [
        "AGGREGATION_TEMPORALITY_UNSPECIFIED": 0, "AGGREGATION_TEMPORALITY_DELTA": 1,
        "AGGREGATION_TEMPORALITY_CUMULATIVE": 2, "METRIC_DATA_TYPE_NONE": 0, "METRIC_DATA_TYPE_GAUGE": 1,
        "METRIC_DATA_TYPE_SUM": 2, "METRIC_DATA_TYPE_HISTOGRAM": 3, "METRIC_DATA_TYPE_EXPONENTIAL_HISTOGRAM": 4,
        "METRIC_DATA_TYPE_SUMMARY": 5, "FLAG_NONE": 0, "FLAG_NO_RECORDED_VALUE": 1,
    ]

    private static let log: [String: Int64] = {
        var table: [String: Int64] = ["SEVERITY_NUMBER_UNSPECIFIED": 0]
        for (place, name) in ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"].enumerated() {
            for step in 0..<4 {
                table["SEVERITY_NUMBER_\(name)\(step == 0 ? "" : String(step + 1))"] = Int64(place * 4 + step + 1)
            }
        }
        return table
    }()
}
