import Telemetry
import Wire

/// One log record while a receiver of logs makes it and operators work on it.
struct StanzaEntry: Sendable, Equatable {
    /// Nanoseconds since 1970; nil when the record does not say.
    var timestamp: Int64?
    /// Nanoseconds since 1970 of its arrival.
    var observed: Int64
    /// The severity number of OpenTelemetry, 0 to 24.
    var severity = 0
    var severityText: [UInt8] = []
    var body: OTLPAnyValue
    var attributes = OTLPAnyValue.Map()
    var resource = OTLPAnyValue.Map()
    var scopeName: [UInt8] = []
    /// 16 bytes, or none.
    var traceID: [UInt8] = []
    /// 8 bytes, or none.
    var spanID: [UInt8] = []
    var flags: UInt32 = 0
    /// Where it was read, for receivers that remember that.
    var origin: EntryOrigin?

    init(body: OTLPAnyValue, observed: Int64) {
        self.body = body
        self.observed = observed
    }

    /// Bytes it takes in memory, about.
    var byteCount: Int {
        160 + body.approximateBytes + OTLPAnyValue.map(attributes).approximateBytes
            + OTLPAnyValue.map(resource).approximateBytes
    }

    /// Appends the content of the `LogRecord` message.
    func encode(into writer: inout ProtobufWriter) {
        typealias Field = OTLPField.LogRecord
        if let timestamp { writer.field(Field.timeUnixNano, fixed64: UInt64(bitPattern: timestamp)) }
        if severity > 0 { writer.field(Field.severityNumber, varint: UInt64(severity)) }
        if !severityText.isEmpty { severityText.withRawBytes { writer.field(Field.severityText, bytes: $0) } }
        if body != .empty {
            let mark = writer.beginMessage(Field.body)
            body.encode(into: &writer)
            writer.endMessage(mark)
        }
        attributes.encode(field: Field.attributes, into: &writer)
        if flags != 0 { writer.field(Field.flags, fixed32: flags) }
        if !traceID.isEmpty { traceID.withRawBytes { writer.field(Field.traceID, bytes: $0) } }
        if !spanID.isEmpty { spanID.withRawBytes { writer.field(Field.spanID, bytes: $0) } }
        writer.field(Field.observedTimeUnixNano, fixed64: UInt64(bitPattern: observed))
    }

    /// A batch of entries in their order, grouped by resource and scope.
    static func batch(of entries: [StanzaEntry]) -> OTLPBatch {
        var assembler = OTLPAssembler(kind: .logs)
        let message = OTLPMessage()
        var last: (resource: OTLPAnyValue.Map, scope: [UInt8])?
        var writer = ProtobufWriter(capacity: 512)
        for entry in entries {
            if last?.resource != entry.resource {
                message.clear(as: .resource)
                message.attributes.replaceAll(with: entry.resource)
                assembler.begin(resource: message)
                last = nil
            }
            if last?.scope != entry.scopeName {
                message.clear(as: .scope)
                entry.scopeName.withRawBytes { if !$0.isEmpty { message.set(OTLPField.Scope.name, bytes: $0) } }
                assembler.begin(scope: message)
                last = (entry.resource, entry.scopeName)
            }
            writer.removeAll()
            entry.encode(into: &writer)
            writer.withBytes { assembler.append(item: $0) }
        }
        return assembler.finish()
    }
}

/// The place in a file where an entry begins.
struct EntryOrigin: Sendable, Equatable {
    /// A number the receiver gave the file.
    var file: Int
    var offset: Int64
    /// Entries of the file before this one.
    var record: Int64 = 0
}

extension OTLPAnyValue {
    /// Text as a string where it is valid UTF-8, which OTLP asks of strings, and as bytes otherwise.
    static func text(_ bytes: [UInt8]) -> OTLPAnyValue {
        String(validating: bytes, as: UTF8.self) == nil ? .bytes(bytes) : .string(bytes)
    }

    /// Bytes it takes in memory, about.
    var approximateBytes: Int {
        switch self {
        case .empty, .bool, .int, .double: 16
        case .string(let bytes), .bytes(let bytes): 48 + bytes.count
        case .array(let elements): elements.reduce(48) { $0 + $1.approximateBytes }
        case .map(let map): map.entries.reduce(48) { $0 + 48 + $1.key.count + $1.value.approximateBytes }
        }
    }
}
