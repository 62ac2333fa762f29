package import Telemetry

/// What Jaeger calls a process: who made the spans.
package struct JaegerProcess: Sendable {
    package var service = ""
    package var tags: [JaegerTag] = []

    package init() {}

    /// The attributes of the resource. Names that OpenTelemetry has others for are changed.
    var resource: OTLPAnyValue.Map {
        var attributes = AttributeTable()
        if !service.isEmpty { attributes["service.name"] = .string(service) }
        for tag in tags { attributes[tag.key] = tag.value }
        if attributes["host.name"] == nil, let name = attributes.take("hostname") { attributes["host.name"] = name }
        if attributes["opencensus.exporterversion"] == nil, let version = attributes.takeString("jaeger.version") {
            attributes["opencensus.exporterversion"] = .string("Jaeger-" + version)
        }
        return attributes.map
    }
}

/// A tag, or a field of a log.
package struct JaegerTag: Sendable {
    package var key: String
    package var value: OTLPAnyValue

    package init(_ key: String, _ value: OTLPAnyValue) {
        self.key = key
        self.value = value
    }
}

/// A span of Jaeger's data model (jaegertracing.io, `model.proto` and `jaeger.thrift`).
package struct JaegerSpan: Sendable {
    package struct Reference: Sendable {
        package var traceID: SpanDraft.TraceNumber
        package var spanID: UInt64
        package var isChild: Bool
    }

    package struct Log: Sendable {
        /// Nanoseconds since 1970.
        package var time: UInt64
        package var fields: [JaegerTag]
    }

    var traceID = SpanDraft.TraceNumber(low: 0)
    var spanID: UInt64 = 0
    /// 0 when only references tell.
    var parentID: UInt64 = 0
    var name = ""
    var references: [Reference] = []
    /// Nanoseconds since 1970.
    var start: UInt64 = 0
    /// Nanoseconds.
    var duration: UInt64 = 0
    var tags: [JaegerTag] = []
    var logs: [Log] = []
    /// Who made the span where that is another than who made the batch.
    var process: JaegerProcess?

    /// The parent: as given, else the first reference of the same trace that is one of a child, else any.
    private var parent: UInt64 {
        if parentID != 0 { return parentID }
        let own = references.filter { $0.traceID == traceID }
        return (own.first(where: \.isChild) ?? own.first)?.spanID ?? 0
    }

    /// Adds the span to a batch. Tags with a meaning of their own become fields, as the OpenTelemetry Collector does.
    func append(to batch: inout SpanDraftBatch, process: OTLPAnyValue.Map) {
        var draft = SpanDraft()
        draft.traceID = traceID
        draft.spanID = spanID
        draft.name = name
        draft.start = start
        draft.end = start &+ duration
        let parent = parent
        draft.parentID = parent
        var attributes = AttributeTable()
        for tag in tags { attributes[tag.key] = tag.value }
        let scope = attributes.takeString("otel.scope.name") ?? attributes.takeString("otel.library.name")
        let version =
            scope == nil
            ? nil : attributes.takeString("otel.scope.version") ?? attributes.takeString("otel.library.version")
        if let kind = attributes.take("span.kind") { draft.kind = Self.kind(kind.string ?? "") }
        Self.setStatus(of: &draft, from: &attributes)
        if let state = attributes.take("w3c.tracestate") { draft.state = state.string ?? "" }
        draft.attributes = attributes
        draft.events = logs.map(Self.event)
        draft.links = references.compactMap { reference in
            if reference.isChild, reference.spanID == parent { return nil }
            var link = SpanDraft.Link(traceID: reference.traceID, spanID: reference.spanID)
            link.attributes["opentracing.ref_type"] = .string(reference.isChild ? "child_of" : "follows_from")
            return link
        }
        batch.append(draft, resource: self.process?.resource ?? process, scope: scope ?? "", version: version ?? "")
    }

    private static func kind(_ name: String) -> SpanDraft.Kind {
        switch name {
        case "client": .client
        case "server": .server
        case "producer": .producer
        case "consumer": .consumer
        case "internal": .internal
        default: .unspecified
        }
    }

    private static func event(_ log: Log) -> SpanDraft.Event {
        var event = SpanDraft.Event(time: log.time)
        for field in log.fields { event.attributes[field.key] = field.value }
        if let name = event.attributes.take("event") { event.name = name.string ?? "" }
        return event
    }

    /// The tag `error` comes first, then `otel.status_code`, then the status code of HTTP.
    private static func setStatus(of draft: inout SpanDraft, from attributes: inout AttributeTable) {
        var isKnown = false
        if attributes["error"] == .bool(true) {
            attributes["error"] = nil
            isKnown = true
            draft.status = .error
            draft.statusMessage =
                attributes.takeString("otel.status_description") ?? attributes["http.status_message"]?.string ?? ""
        }
        if let code = attributes.take("otel.status_code") {
            guard !isKnown else { return }
            switch code.string?.uppercased() {
            case "OK": draft.status = .ok
            case "ERROR": draft.status = .error
            default: break
            }
            draft.statusMessage = attributes.takeString("otel.status_description") ?? ""
            return
        }
        guard !isKnown, let code = attributes["http.status_code"].flatMap(number) else { return }
        // Of 4xx a client is to blame, the server is not.
        let isError = (400..<500).contains(code) ? draft.kind != .server : !(100..<400).contains(code)
        if isError { draft.status = .error }
        if let message = attributes["http.status_message"]?.string, isError { draft.statusMessage = message }
    }

    private static func number(_ value: OTLPAnyValue) -> Int64? {
        switch value {
        case .int(let value): value
        case .string(let text): Int64(String(decoding: text, as: UTF8.self))
        default: nil
        }
    }
}

/// What clients of Jaeger send.
package struct JaegerBatch: Sendable {
    package internal(set) var process: JaegerProcess?
    package internal(set) var spans: [JaegerSpan] = []

    init() {}

    /// The batch as traces of OpenTelemetry.
    package func traces(client: OTLPClient? = nil) -> OTLPBatch {
        var batch = SpanDraftBatch()
        let resource = process?.resource ?? OTLPAnyValue.Map()
        for span in spans { span.append(to: &batch, process: resource) }
        return batch.finish(client: client)
    }
}
