package import Telemetry

/// A span of another protocol on its way into OTLP.
package struct SpanDraft: Sendable {
    package struct Event: Sendable {
        package var time: UInt64
        package var name = ""
        package var attributes = AttributeTable()
        package var droppedAttributes: UInt32 = 0

        package init(time: UInt64) { self.time = time }
    }

    package struct Link: Sendable {
        package var traceID: TraceNumber
        package var spanID: UInt64
        package var state = ""
        package var attributes = AttributeTable()
        package var droppedAttributes: UInt32 = 0

        package init(traceID: TraceNumber, spanID: UInt64) {
            self.traceID = traceID
            self.spanID = spanID
        }
    }

    /// A trace ID as the two numbers that older protocols make it of.
    package struct TraceNumber: Sendable, Hashable {
        package var high: UInt64
        package var low: UInt64

        package init(high: UInt64 = 0, low: UInt64) {
            self.high = high
            self.low = low
        }
    }

    package enum Kind: UInt64, Sendable {
        case unspecified, `internal`, server, client, producer, consumer
    }

    package enum Status: UInt64, Sendable {
        case unset, ok, error
    }

    package var traceID = TraceNumber(low: 0)
    package var spanID: UInt64 = 0
    /// 0 when there is none.
    package var parentID: UInt64 = 0
    package var state = ""
    package var name = ""
    package var kind = Kind.unspecified
    /// Nanoseconds since 1970.
    package var start: UInt64 = 0
    package var end: UInt64 = 0
    package var attributes = AttributeTable()
    package var events: [Event] = []
    package var links: [Link] = []
    package var status = Status.unset
    package var statusMessage = ""

    package init() {}

    /// Appends the fields of the `Span` message.
    package func encode(into writer: inout ProtobufWriter) {
        typealias Field = OTLPField.Span
        Self.write(traceID, Field.traceID, &writer)
        Self.write(spanID, Field.spanID, &writer)
        if !state.isEmpty { writer.field(Field.traceState, string: state) }
        if parentID != 0 { Self.write(parentID, Field.parentSpanID, &writer) }
        writer.field(Field.name, string: name)
        if kind != .unspecified { writer.field(Field.kind, varint: kind.rawValue) }
        writer.field(Field.startTimeUnixNano, fixed64: start)
        writer.field(Field.endTimeUnixNano, fixed64: end)
        attributes.map.encode(field: Field.attributes, into: &writer)
        for event in events { Self.encode(event, &writer) }
        for link in links { Self.encode(link, &writer) }
        if status != .unset || !statusMessage.isEmpty {
            let mark = writer.beginMessage(Field.status)
            if !statusMessage.isEmpty { writer.field(OTLPField.Status.message, string: statusMessage) }
            if status != .unset { writer.field(OTLPField.Status.code, varint: status.rawValue) }
            writer.endMessage(mark)
        }
    }

    private static func encode(_ event: Event, _ writer: inout ProtobufWriter) {
        typealias Field = OTLPField.Event
        let mark = writer.beginMessage(OTLPField.Span.events)
        writer.field(Field.timeUnixNano, fixed64: event.time)
        if !event.name.isEmpty { writer.field(Field.name, string: event.name) }
        event.attributes.map.encode(field: Field.attributes, into: &writer)
        if event.droppedAttributes > 0 {
            writer.field(Field.droppedAttributesCount, varint: UInt64(event.droppedAttributes))
        }
        writer.endMessage(mark)
    }

    private static func encode(_ link: Link, _ writer: inout ProtobufWriter) {
        typealias Field = OTLPField.Link
        let mark = writer.beginMessage(OTLPField.Span.links)
        write(link.traceID, Field.traceID, &writer)
        write(link.spanID, Field.spanID, &writer)
        if !link.state.isEmpty { writer.field(Field.traceState, string: link.state) }
        link.attributes.map.encode(field: Field.attributes, into: &writer)
        if link.droppedAttributes > 0 {
            writer.field(Field.droppedAttributesCount, varint: UInt64(link.droppedAttributes))
        }
        writer.endMessage(mark)
    }

    private static func write(_ id: TraceNumber, _ field: Int, _ writer: inout ProtobufWriter) {
        let bytes = (id.high.bigEndian, id.low.bigEndian)
        withUnsafeBytes(of: bytes) { writer.field(field, bytes: $0) }
    }

    private static func write(_ id: UInt64, _ field: Int, _ writer: inout ProtobufWriter) {
        withUnsafeBytes(of: id.bigEndian) { writer.field(field, bytes: $0) }
    }
}

/// Gathers drafts of spans with their resources and scopes into a batch.
package struct SpanDraftBatch: ~Copyable {
    private var assembler = OTLPAssembler(kind: .traces)
    private var writer = ProtobufWriter(capacity: 1024)
    private let message = OTLPMessage()

    package init() {}

    /// Adds a span; its resource has the attributes, its scope name and version.
    package mutating func append(
        _ span: SpanDraft, resource: OTLPAnyValue.Map, scope: String = "", version: String = ""
    ) {
        message.clear(as: .resource)
        message.attributes.replaceAll(with: resource)
        assembler.begin(resource: message)
        message.clear(as: .scope)
        message.set(OTLPField.Scope.name, string: scope)
        message.set(OTLPField.Scope.version, string: version)
        assembler.begin(scope: message)
        writer.removeAll()
        span.encode(into: &writer)
        writer.withBytes { assembler.append(item: $0) }
    }

    /// The batch of everything added.
    package mutating func finish(client: OTLPClient? = nil) -> OTLPBatch { assembler.finish(client: client) }
}
