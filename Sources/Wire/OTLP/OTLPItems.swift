// Messages by the names of their fields: thin views on an `OTLPMessage`, whose rules of validity hold.

/// A resource by its fields.
package struct OTLPResource {
    package let message: OTLPMessage

    package init(_ message: OTLPMessage) { self.message = message }

    package var attributes: OTLPAttributes { message.attributes }

    package var droppedAttributesCount: UInt32 {
        get { UInt32(truncatingIfNeeded: message.varint(OTLPField.Resource.droppedAttributesCount)) }
        nonmutating set { message.set(OTLPField.Resource.droppedAttributesCount, varint: UInt64(newValue)) }
    }
}

/// An instrumentation scope by its fields.
package struct OTLPScope {
    package let message: OTLPMessage

    package init(_ message: OTLPMessage) { self.message = message }

    package var attributes: OTLPAttributes { message.attributes }

    package var name: UnsafeRawBufferPointer {
        get { message.bytes(OTLPField.Scope.name) }
        nonmutating set { message.set(OTLPField.Scope.name, bytes: newValue) }
    }

    package var version: UnsafeRawBufferPointer {
        get { message.bytes(OTLPField.Scope.version) }
        nonmutating set { message.set(OTLPField.Scope.version, bytes: newValue) }
    }

    package var droppedAttributesCount: UInt32 {
        get { UInt32(truncatingIfNeeded: message.varint(OTLPField.Scope.droppedAttributesCount)) }
        nonmutating set { message.set(OTLPField.Scope.droppedAttributesCount, varint: UInt64(newValue)) }
    }
}

/// A span by its fields.
package struct OTLPSpan {
    package let message: OTLPMessage

    package init(_ message: OTLPMessage) { self.message = message }

    package var attributes: OTLPAttributes { message.attributes }

    /// 16 bytes, or none.
    package var traceID: UnsafeRawBufferPointer {
        get { message.bytes(OTLPField.Span.traceID) }
        nonmutating set { message.set(OTLPField.Span.traceID, bytes: newValue) }
    }

    /// 8 bytes, or none.
    package var spanID: UnsafeRawBufferPointer {
        get { message.bytes(OTLPField.Span.spanID) }
        nonmutating set { message.set(OTLPField.Span.spanID, bytes: newValue) }
    }

    package var traceState: UnsafeRawBufferPointer {
        get { message.bytes(OTLPField.Span.traceState) }
        nonmutating set { message.set(OTLPField.Span.traceState, bytes: newValue) }
    }

    /// 8 bytes, or none for a root span.
    package var parentSpanID: UnsafeRawBufferPointer {
        get { message.bytes(OTLPField.Span.parentSpanID) }
        nonmutating set { message.set(OTLPField.Span.parentSpanID, bytes: newValue) }
    }

    package var name: UnsafeRawBufferPointer {
        get { message.bytes(OTLPField.Span.name) }
        nonmutating set { message.set(OTLPField.Span.name, bytes: newValue) }
    }

    /// 0 unspecified, 1 internal, 2 server, 3 client, 4 producer, 5 consumer.
    package var kind: UInt32 {
        get { UInt32(truncatingIfNeeded: message.varint(OTLPField.Span.kind)) }
        nonmutating set { message.set(OTLPField.Span.kind, varint: UInt64(newValue)) }
    }

    package var startTimeUnixNano: UInt64 {
        get { message.fixed64(OTLPField.Span.startTimeUnixNano) }
        nonmutating set { message.set(OTLPField.Span.startTimeUnixNano, fixed64: newValue) }
    }

    package var endTimeUnixNano: UInt64 {
        get { message.fixed64(OTLPField.Span.endTimeUnixNano) }
        nonmutating set { message.set(OTLPField.Span.endTimeUnixNano, fixed64: newValue) }
    }

    package var droppedAttributesCount: UInt32 {
        get { UInt32(truncatingIfNeeded: message.varint(OTLPField.Span.droppedAttributesCount)) }
        nonmutating set { message.set(OTLPField.Span.droppedAttributesCount, varint: UInt64(newValue)) }
    }

    package var droppedEventsCount: UInt32 {
        get { UInt32(truncatingIfNeeded: message.varint(OTLPField.Span.droppedEventsCount)) }
        nonmutating set { message.set(OTLPField.Span.droppedEventsCount, varint: UInt64(newValue)) }
    }

    package var droppedLinksCount: UInt32 {
        get { UInt32(truncatingIfNeeded: message.varint(OTLPField.Span.droppedLinksCount)) }
        nonmutating set { message.set(OTLPField.Span.droppedLinksCount, varint: UInt64(newValue)) }
    }

    package var flags: UInt32 {
        get { message.fixed32(OTLPField.Span.flags) }
        nonmutating set { message.set(OTLPField.Span.flags, fixed32: newValue) }
    }

    /// 0 unset, 1 ok, 2 error.
    package var statusCode: UInt32 {
        get { UInt32(truncatingIfNeeded: status(OTLPField.Status.code) { try $0.uint64($1) } ?? 0) }
        nonmutating set { setStatus(code: newValue, message: statusMessage) }
    }

    package var statusMessage: UnsafeRawBufferPointer {
        get { status(OTLPField.Status.message) { try $0.bytes($1) } ?? OTLPBytes.empty }
        nonmutating set { setStatus(code: statusCode, message: newValue) }
    }

    /// Replaces the status as a whole.
    package func setStatus(code: UInt32, message text: UnsafeRawBufferPointer) {
        var writer = ProtobufWriter(capacity: 64)
        if !text.isEmpty { writer.field(OTLPField.Status.message, bytes: text) }
        if code != 0 { writer.field(OTLPField.Status.code, varint: UInt64(code)) }
        writer.withBytes { message.set(OTLPField.Span.status, message: $0) }
    }

    private func status<Value>(
        _ field: Int, _ read: (inout ProtobufReader, ProtobufTag) throws -> Value
    ) -> Value? {
        var reader = ProtobufReader(message.bytes(OTLPField.Span.status))
        var found: Value?
        while let tag = try? reader.nextTag() {
            if tag.field == field {
                guard let value = try? read(&reader, tag) else { return found }
                found = value
            } else if (try? reader.skip(tag)) == nil {
                return found
            }
        }
        return found
    }
}

/// A span event by its fields.
package struct OTLPEvent {
    package let message: OTLPMessage

    package init(_ message: OTLPMessage) { self.message = message }

    package var attributes: OTLPAttributes { message.attributes }

    package var timeUnixNano: UInt64 {
        get { message.fixed64(OTLPField.Event.timeUnixNano) }
        nonmutating set { message.set(OTLPField.Event.timeUnixNano, fixed64: newValue) }
    }

    package var name: UnsafeRawBufferPointer {
        get { message.bytes(OTLPField.Event.name) }
        nonmutating set { message.set(OTLPField.Event.name, bytes: newValue) }
    }

    package var droppedAttributesCount: UInt32 {
        get { UInt32(truncatingIfNeeded: message.varint(OTLPField.Event.droppedAttributesCount)) }
        nonmutating set { message.set(OTLPField.Event.droppedAttributesCount, varint: UInt64(newValue)) }
    }
}

/// A span link by its fields.
package struct OTLPLink {
    package let message: OTLPMessage

    package init(_ message: OTLPMessage) { self.message = message }

    package var attributes: OTLPAttributes { message.attributes }

    package var traceID: UnsafeRawBufferPointer {
        get { message.bytes(OTLPField.Link.traceID) }
        nonmutating set { message.set(OTLPField.Link.traceID, bytes: newValue) }
    }

    package var spanID: UnsafeRawBufferPointer {
        get { message.bytes(OTLPField.Link.spanID) }
        nonmutating set { message.set(OTLPField.Link.spanID, bytes: newValue) }
    }

    package var traceState: UnsafeRawBufferPointer {
        get { message.bytes(OTLPField.Link.traceState) }
        nonmutating set { message.set(OTLPField.Link.traceState, bytes: newValue) }
    }

    package var droppedAttributesCount: UInt32 {
        get { UInt32(truncatingIfNeeded: message.varint(OTLPField.Link.droppedAttributesCount)) }
        nonmutating set { message.set(OTLPField.Link.droppedAttributesCount, varint: UInt64(newValue)) }
    }

    package var flags: UInt32 {
        get { message.fixed32(OTLPField.Link.flags) }
        nonmutating set { message.set(OTLPField.Link.flags, fixed32: newValue) }
    }
}

/// A log record by its fields.
package struct OTLPLogRecord {
    package let message: OTLPMessage

    package init(_ message: OTLPMessage) { self.message = message }

    package var attributes: OTLPAttributes { message.attributes }

    package var timeUnixNano: UInt64 {
        get { message.fixed64(OTLPField.LogRecord.timeUnixNano) }
        nonmutating set { message.set(OTLPField.LogRecord.timeUnixNano, fixed64: newValue) }
    }

    package var observedTimeUnixNano: UInt64 {
        get { message.fixed64(OTLPField.LogRecord.observedTimeUnixNano) }
        nonmutating set { message.set(OTLPField.LogRecord.observedTimeUnixNano, fixed64: newValue) }
    }

    package var severityNumber: UInt32 {
        get { UInt32(truncatingIfNeeded: message.varint(OTLPField.LogRecord.severityNumber)) }
        nonmutating set { message.set(OTLPField.LogRecord.severityNumber, varint: UInt64(newValue)) }
    }

    package var severityText: UnsafeRawBufferPointer {
        get { message.bytes(OTLPField.LogRecord.severityText) }
        nonmutating set { message.set(OTLPField.LogRecord.severityText, bytes: newValue) }
    }

    package var droppedAttributesCount: UInt32 {
        get { UInt32(truncatingIfNeeded: message.varint(OTLPField.LogRecord.droppedAttributesCount)) }
        nonmutating set { message.set(OTLPField.LogRecord.droppedAttributesCount, varint: UInt64(newValue)) }
    }

    package var flags: UInt32 {
        get { message.fixed32(OTLPField.LogRecord.flags) }
        nonmutating set { message.set(OTLPField.LogRecord.flags, fixed32: newValue) }
    }

    /// 16 bytes, or none.
    package var traceID: UnsafeRawBufferPointer {
        get { message.bytes(OTLPField.LogRecord.traceID) }
        nonmutating set { message.set(OTLPField.LogRecord.traceID, bytes: newValue) }
    }

    /// 8 bytes, or none.
    package var spanID: UnsafeRawBufferPointer {
        get { message.bytes(OTLPField.LogRecord.spanID) }
        nonmutating set { message.set(OTLPField.LogRecord.spanID, bytes: newValue) }
    }

    package var eventName: UnsafeRawBufferPointer {
        get { message.bytes(OTLPField.LogRecord.eventName) }
        nonmutating set { message.set(OTLPField.LogRecord.eventName, bytes: newValue) }
    }

    /// The body; `.empty` when there is none.
    package var body: OTLPValue {
        get { message.value(OTLPField.LogRecord.body) ?? .empty }
        nonmutating set { message.set(OTLPField.LogRecord.body, value: newValue) }
    }
}

extension OTLPWalker {
    /// The span being visited.
    package var span: OTLPSpan { OTLPSpan(item) }
    /// The span event being visited.
    package var event: OTLPEvent { OTLPEvent(point) }
    /// The log record being visited.
    package var logRecord: OTLPLogRecord { OTLPLogRecord(item) }
    /// The metric being visited.
    package var metric: OTLPMetric { OTLPMetric(item, data) }
}
