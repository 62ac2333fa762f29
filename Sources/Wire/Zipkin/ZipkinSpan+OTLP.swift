package import Telemetry
import TextFormats

extension ZipkinSpans {
    /// How spans of version 2 are written.
    package enum Written: Sendable {
        /// A list of spans as JSON.
        case json
        /// A `ListOfSpans` of `zipkin.proto`.
        case protobuf
    }

    /// Writes traces of OpenTelemetry as one list of spans. `count` is the number of spans in it: those without a trace
    /// or span ID are not, for Zipkin has no such. Throws when the batch is broken.
    ///
    /// Follows "OpenTelemetry to Zipkin Transformation" of the OpenTelemetry specification and, where that leaves it open,
    /// `pkg/translator/zipkin` of the OpenTelemetry Collector. Deviations: names of spans keep their case; a span that ends
    /// before it begins has no duration.
    package static func encode(_ batch: OTLPBatch, as format: Written) throws -> (bytes: [UInt8], count: Int) {
        let walker = OTLPWalker()
        var (service, shared) = ("", AttributeTable())
        var spans: [ZipkinSpan] = []
        try walker.walk(batch, to: .item) { level in
            if level == .resource { (service, shared) = ZipkinSpan.service(walker.resource.attributes) }
            guard level == .item else { return .keep }
            if let span = try ZipkinSpan(walker, service, shared) { spans.append(span) }
            return .keep
        }
        switch format {
        case .json: return (ZipkinSpan.json(spans), spans.count)
        case .protobuf: return (ZipkinSpan.protobuf(spans), spans.count)
        }
    }
}

extension ZipkinSpan {
    /// Attributes that name a service, the best first.
    private static let serviceKeys = ["service.name", "faas.name", "k8s.deployment.name", "process.executable.name"]

    /// The name of the service a resource is, and its other attributes as tags.
    fileprivate static func service(_ attributes: OTLPAttributes) -> (String, AttributeTable) {
        var tags = AttributeTable()
        attributes.forEach { key, value in tags[SpanWords.text(key)] = .string(OTLPText.bytes(value)) }
        for key in serviceKeys {
            guard let name = tags.takeString(key) else { continue }
            if key != "service.name" { tags["otlp.service.name.source"] = .string(key) }
            return (name, tags)
        }
        return (SpanWords.noService, tags)
    }

    /// The span a walk is at; nil when it has no IDs.
    fileprivate init?(_ walker: OTLPWalker, _ service: String, _ shared: AttributeTable) throws {
        let span = walker.span
        self.init()
        traceID = OTLPSpan.traceNumber(span.traceID)
        id = OTLPSpan.number(span.spanID)
        guard traceID.high != 0 || traceID.low != 0, id != 0 else { return nil }
        parentID = OTLPSpan.number(span.parentSpanID)
        name = SpanWords.text(span.name)
        kind = SpanDraft.Kind(rawValue: UInt64(span.kind)) ?? .unspecified
        let start = span.startTimeUnixNano
        if start / 1_000_000_000 != 0 { time = Self.microseconds(start) }
        duration = span.duration == 0 ? 0 : max(Self.microseconds(span.duration), 1)
        tags = shared
        set(OTLPScope(walker.scope))
        span.attributes.forEach { key, value in tags[SpanWords.text(key)] = .string(OTLPText.bytes(value)) }
        if !span.traceState.isEmpty { tags["w3c.tracestate"] = .string(Array(span.traceState)) }
        if kind == .internal { tags["span.kind"] = "internal" }
        local = takeEndpoint("host", service)
        remote = takeEndpoint("peer", tags.takeString("peer.service") ?? "")
        setStatus(span)
        try span.forEachEvent { annotations.append(Self.annotation($0)) }
        var links = 0
        try span.forEachLink { link in
            tags["otlp.link.\(links)"] = .string(Self.text(link))
            links += 1
        }
    }

    /// Rounded to the nearest.
    private static func microseconds(_ nanoseconds: UInt64) -> UInt64 {
        nanoseconds / 1_000 + (nanoseconds % 1_000 >= 500 ? 1 : 0)
    }

    private mutating func set(_ scope: OTLPScope) {
        for (key, value) in [("otel.scope.name", scope.name), ("otel.scope.version", scope.version)]
        where !value.isEmpty { tags[key] = .string(Array(value)) }
    }

    /// The endpoint of a side, whose address and port are tags no longer.
    private mutating func takeEndpoint(_ side: String, _ service: String) -> Endpoint {
        var endpoint = Endpoint()
        endpoint.service = service
        if let text = tags.takeString("net.\(side).ip") {
            if let bytes = IPText.ipv4(text) {
                endpoint.ipv4 = Endpoint.ipv4(bytes)
            } else if let bytes = IPText.ipv6(text) {
                endpoint.ipv6 = Endpoint.ipv6(bytes)
            } else {
                tags["net.\(side).ip"] = .string(text)
            }
        }
        if let text = tags["net.\(side).port"]?.string, let port = UInt16(text) {
            tags["net.\(side).port"] = nil
            endpoint.port = Int64(port)
        }
        return endpoint
    }

    /// The tag `error` says that a span failed whatever its value: one that did not has none.
    private mutating func setStatus(_ span: OTLPSpan) {
        tags["error"] = span.statusCode == 2 ? "true" : nil
        guard span.statusCode == 1 || span.statusCode == 2 else { return }
        tags["otel.status_code"] = span.statusCode == 1 ? "OK" : "ERROR"
        if !span.statusMessage.isEmpty { tags["otel.status_description"] = .string(Array(span.statusMessage)) }
    }

    /// The name, or `name|attributes as JSON|dropped attributes` where there are such.
    private static func annotation(_ event: OTLPEvent) -> Annotation {
        var text = SpanWords.text(event.name)
        if !event.attributes.isEmpty || event.droppedAttributesCount > 0 {
            text += "|\(OTLPText.string(.map(event.attributes.map)))|\(event.droppedAttributesCount)"
        }
        return Annotation(time: microseconds(event.timeUnixNano), value: text)
    }

    /// `trace|span|state|attributes as JSON|dropped attributes`.
    private static func text(_ link: OTLPLink) -> String {
        let trace = OTLPSpan.traceNumber(link.traceID)
        let parts = [
            SpanDraft.TraceNumber.digits(trace.high) + SpanDraft.TraceNumber.digits(trace.low),
            SpanDraft.TraceNumber.digits(OTLPSpan.number(link.spanID)), SpanWords.text(link.traceState),
            OTLPText.string(.map(link.attributes.map)), "\(link.droppedAttributesCount)",
        ]
        return parts.joined(separator: "|")
    }
}
