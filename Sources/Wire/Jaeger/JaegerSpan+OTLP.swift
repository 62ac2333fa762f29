package import Telemetry

/// Traces of OpenTelemetry as spans of Jaeger, each with the process that made it.
///
/// Follows "OpenTelemetry to Jaeger Transformation" of the OpenTelemetry specification and, where that leaves it open,
/// `pkg/translator/jaeger` of the OpenTelemetry Collector. Deviations: a span that ends before it begins has the duration
/// 0 instead of a negative one.
package enum JaegerSpans {
    package enum Encoding: Sendable {
        /// A `Span` of `model.proto`.
        case protobuf
        /// The same by the mapping of protobuf to JSON, IDs in base64.
        case json
    }

    /// Calls `body` with each span in the order of the batch, and its trace ID: 32 hexadecimal digits, or 16 where the
    /// first half is zero. Throws when the batch is broken.
    package static func forEach(
        of batch: OTLPBatch, _ encoding: Encoding, _ body: (_ traceID: String, _ span: [UInt8]) -> Void
    ) throws {
        let walker = OTLPWalker()
        var process = JaegerProcess()
        try walker.walk(batch, to: .item) { level in
            if level == .resource { process = JaegerProcess(walker.resource) }
            guard level == .item else { return .keep }
            let span = try JaegerSpan(walker, process)
            switch encoding {
            case .protobuf: body(span.traceID.hexadecimal, span.protobuf)
            case .json: body(span.traceID.hexadecimal, span.json)
            }
            return .keep
        }
    }
}

extension SpanDraft.TraceNumber {
    /// 32 hexadecimal digits, or 16 where the first half is zero.
    var hexadecimal: String { (high == 0 ? "" : Self.digits(high)) + Self.digits(low) }

    /// 16 hexadecimal digits.
    static func digits(_ number: UInt64) -> String {
        let text = String(number, radix: 16)
        return String(repeating: "0", count: 16 - text.utf8.count) + text
    }
}

extension JaegerProcess {
    /// The process of a resource: `service.name` is its service, the other attributes are its tags.
    fileprivate init(_ resource: OTLPMessage) {
        self.init()
        if resource.attributes.isEmpty { service = SpanWords.noService }
        resource.attributes.forEach { key, value in
            let key = SpanWords.text(key)
            if key == "service.name" {
                service = String(decoding: OTLPText.bytes(value), as: UTF8.self)
            } else {
                tags.append(JaegerTag(key, value))
            }
        }
    }
}

extension JaegerTag {
    /// A tag of an attribute; lists and maps become JSON.
    fileprivate init(_ key: String, _ value: OTLPValue) {
        let kept: OTLPAnyValue =
            switch value {
            case .string(let bytes): .string(Array(bytes))
            case .bool(let flag): .bool(flag)
            case .int(let number): .int(number)
            case .double(let number): .double(number)
            case .bytes(let bytes): .bytes(Array(bytes))
            case .empty, .array, .map: .string(OTLPText.bytes(value))
            }
        self.init(key, kept)
    }

    fileprivate static func list(_ attributes: OTLPAttributes) -> [JaegerTag] {
        var tags: [JaegerTag] = []
        attributes.forEach { key, value in tags.append(JaegerTag(SpanWords.text(key), value)) }
        return tags
    }
}

extension JaegerSpan {
    /// The span a walk is at.
    fileprivate init(_ walker: OTLPWalker, _ process: JaegerProcess) throws {
        let span = walker.span
        traceID = OTLPSpan.traceNumber(span.traceID)
        spanID = OTLPSpan.number(span.spanID)
        name = SpanWords.text(span.name)
        start = span.startTimeUnixNano
        duration = span.duration
        references = try Self.references(of: span, in: traceID)
        tags = Self.scopeTags(OTLPScope(walker.scope)) + JaegerTag.list(span.attributes) + Self.fieldTags(span)
        try span.forEachEvent { logs.append(Self.log($0)) }
        self.process = process
    }

    /// The parent first, as readers look for it there, then the links.
    private static func references(of span: OTLPSpan, in trace: SpanDraft.TraceNumber) throws -> [Reference] {
        var references: [Reference] = []
        let parent = OTLPSpan.number(span.parentSpanID)
        if parent != 0 { references.append(Reference(traceID: trace, spanID: parent, isChild: true)) }
        try span.forEachLink { link in
            let isChild = link.attributes[referenceType]?.string == "child_of"
            references.append(
                Reference(
                    traceID: OTLPSpan.traceNumber(link.traceID), spanID: OTLPSpan.number(link.spanID),
                    isChild: isChild))
        }
        return references
    }

    private static let referenceType: OTLPKey = "opentracing.ref_type"

    private static func scopeTags(_ scope: OTLPScope) -> [JaegerTag] {
        [("otel.scope.name", scope.name), ("otel.scope.version", scope.version)].filter { !$0.1.isEmpty }
            .map { JaegerTag($0.0, .string(Array($0.1))) }
    }

    /// Fields that Jaeger has as tags.
    private static func fieldTags(_ span: OTLPSpan) -> [JaegerTag] {
        var tags: [JaegerTag] = []
        if let kind = SpanWords.kind(span.kind) { tags.append(JaegerTag("span.kind", .string(kind))) }
        switch span.statusCode {
        case 1: tags.append(JaegerTag("otel.status_code", "OK"))
        case 2:
            tags.append(JaegerTag("otel.status_code", "ERROR"))
            tags.append(JaegerTag("error", true))
        default: break
        }
        let text = [("otel.status_description", span.statusMessage), ("w3c.tracestate", span.traceState)]
        return tags + text.filter { !$0.1.isEmpty }.map { JaegerTag($0.0, .string(Array($0.1))) }
    }

    /// The name of an event is the field `event` of a log.
    private static func log(_ event: OTLPEvent) -> Log {
        var fields = JaegerTag.list(event.attributes)
        if !event.name.isEmpty { fields.insert(JaegerTag("event", .string(Array(event.name))), at: 0) }
        return Log(time: event.timeUnixNano, fields: fields)
    }
}
