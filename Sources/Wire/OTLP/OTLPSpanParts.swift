/// Parts of a span as exporters of older formats need them.
extension OTLPSpan {
    /// An ID as a number; of longer IDs the last eight bytes count.
    static func number(_ id: some Collection<UInt8>) -> UInt64 { id.suffix(8).reduce(0) { $0 << 8 | UInt64($1) } }

    /// A trace ID as two numbers; of longer IDs the last sixteen bytes count.
    static func traceNumber(_ id: some BidirectionalCollection<UInt8>) -> SpanDraft.TraceNumber {
        SpanDraft.TraceNumber(high: number(id.dropLast(min(8, id.count))), low: number(id))
    }

    /// Nanoseconds from the start to the end; 0 when the end is before the start.
    var duration: UInt64 {
        let (start, end) = (startTimeUnixNano, endTimeUnixNano)
        return end > start ? end - start : 0
    }

    /// Calls `body` with each event; the view is valid until `body` returns. Throws when one is broken.
    func forEachEvent(_ body: (OTLPEvent) -> Void) throws {
        let part = OTLPMessage()
        try message.forEachMessage(OTLPField.Span.events) { content in
            try part.load(content, as: .event)
            body(OTLPEvent(part))
        }
    }

    /// As ``forEachEvent(_:)`` for links.
    func forEachLink(_ body: (OTLPLink) -> Void) throws {
        let part = OTLPMessage()
        try message.forEachMessage(OTLPField.Span.links) { content in
            try part.load(content, as: .link)
            body(OTLPLink(part))
        }
    }
}

/// Names that both older formats have.
enum SpanWords {
    /// The name of a service where the resource has no attributes at all.
    static let noService = "OTLPResourceNoServiceName"

    static func text(_ bytes: UnsafeRawBufferPointer) -> String { String(decoding: bytes, as: UTF8.self) }

    /// `span.kind` of Jaeger; nil for what is not specified.
    static func kind(_ number: UInt32) -> String? {
        let names = ["internal", "server", "client", "producer", "consumer"]
        return (1...5).contains(number) ? names[Int(number) - 1] : nil
    }
}
