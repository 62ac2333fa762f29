import Telemetry
import TextFormats
import Wire

/// A record to be written to a topic.
struct KafkaRecord: Sendable, Equatable {
    var topic: String
    /// Decides the partition; nil leaves that to the partitioner.
    var key: [UInt8]?
    var value: [UInt8]
    /// Items of the batch that are in the record.
    var itemCount: Int
}

/// How the items of a batch are written into records.
enum KafkaEncoding: String, Sendable, CaseIterable {
    case otlpProtobuf = "otlp_proto"
    case otlpJSON = "otlp_json"
    /// The bodies of log records, one record each.
    case raw
    /// Spans as Jaeger has them, one record each with the trace ID as key.
    case jaegerProtobuf = "jaeger_proto"
    case jaegerJSON = "jaeger_json"
    /// Lists of spans as Zipkin has them.
    case zipkinProtobuf = "zipkin_proto"
    case zipkinJSON = "zipkin_json"

    /// The signal an encoding is for; nil for any.
    var kind: OTLPBatch.Kind? {
        switch self {
        case .otlpProtobuf, .otlpJSON: nil
        case .raw: .logs
        case .jaegerProtobuf, .jaegerJSON, .zipkinProtobuf, .zipkinJSON: .traces
        }
    }

    /// Whether each item is a record of its own, so that there is nothing to group.
    var isByItem: Bool { self == .raw || self == .jaegerProtobuf || self == .jaegerJSON }
}

/// What of one signal goes where; settled by the `logs`, `metrics` and `traces` blocks and the older arguments.
struct KafkaRoute: Sendable, Equatable {
    /// What items are put into one record, and what its key is.
    enum Grouping: Sendable, Equatable {
        case together
        /// The key is the trace ID as hexadecimal text.
        case byTrace
        /// The key is a digest of the resource's attributes in the order of their names.
        case byResource
    }

    var topic: String
    var topicMetadata = ""
    var topicAttribute = ""
    var keyMetadata = ""
    var encoding = KafkaEncoding.otlpProtobuf
    var grouping = Grouping.together

    /// The records for a batch. Throws when its bytes are broken. Spans that an encoding has no way to write are in none.
    func records(for batch: OTLPBatch) throws -> [KafkaRecord] {
        let topic = try topic(for: batch)
        let metadataKey = keyMetadata.isEmpty ? nil : batch.client?.values(of: keyMetadata).first
        let key = metadataKey.flatMap { $0.isEmpty ? nil : Array($0.utf8) }
        switch encoding {
        case .raw: return try bodies(of: batch, topic, key)
        case .jaegerProtobuf: return try spans(of: batch, .protobuf, topic, key)
        case .jaegerJSON: return try spans(of: batch, .json, topic, key)
        default: break
        }
        return try groups(of: batch).compactMap { group in
            let (value, count) = try encode(group.batch)
            if count == 0, group.batch.itemCount > 0 { return nil }
            return KafkaRecord(topic: topic, key: group.key ?? key, value: value, itemCount: count)
        }
    }

    private func encode(_ batch: OTLPBatch) throws -> (bytes: [UInt8], count: Int) {
        switch encoding {
        case .zipkinProtobuf: return try ZipkinSpans.encode(batch, as: .protobuf)
        case .zipkinJSON: return try ZipkinSpans.encode(batch, as: .json)
        case .otlpJSON:
            return (batch.requestBytes.withUnsafeBytes { OTLPJSON.encode($0, of: batch.kind) }, batch.itemCount)
        default: return (batch.requestBytes, batch.itemCount)
        }
    }

    /// Spans of Jaeger: the key is the one of the client's metadata, or the trace ID.
    private func spans(
        of batch: OTLPBatch, _ encoding: JaegerSpans.Encoding, _ topic: String, _ key: [UInt8]?
    ) throws -> [KafkaRecord] {
        var records: [KafkaRecord] = []
        try JaegerSpans.forEach(of: batch, encoding) { trace, span in
            records.append(KafkaRecord(topic: topic, key: key ?? Array(trace.utf8), value: span, itemCount: 1))
        }
        return records
    }

    // MARK: Topics

    /// By the client's metadata, by the first resource that has the attribute, or the one configured.
    private func topic(for batch: OTLPBatch) throws -> String {
        if !topicMetadata.isEmpty, let topic = batch.client?.values(of: topicMetadata).first, !topic.isEmpty {
            return topic
        }
        if topicAttribute.isEmpty { return topic }
        let attribute = OTLPKey(topicAttribute)
        var found: String?
        let walker = OTLPWalker()
        try walker.walk(batch, to: .resource) { _ in
            if found == nil, let text = walker.resource.attributes[attribute]?.stringBytes, !text.isEmpty {
                found = String(decoding: text, as: UTF8.self)
            }
            return .skip
        }
        return found ?? topic
    }

    // MARK: Groups

    private struct Group {
        var key: [UInt8]?
        var batch: OTLPBatch
    }

    private func groups(of batch: OTLPBatch) throws -> [Group] {
        if grouping == .together { return [Group(key: nil, batch: batch)] }
        var order: [[UInt8]] = []
        var parts: [[UInt8]: OTLPAssembler] = [:]
        var key: [UInt8] = []
        let walker = OTLPWalker()
        try walker.walk(batch, to: .item) { level in
            switch level {
            case .resource: if grouping == .byResource { key = Self.digest(walker.resource.attributes) }
            case .item:
                if grouping == .byTrace { key = Self.traceKey(walker) }
                if parts[key] == nil {
                    parts[key] = OTLPAssembler(kind: batch.kind)
                    order.append(key)
                }
                parts[key]?.append(walker)
            default: break
            }
            return .keep
        }
        return order.compactMap { key in
            guard var part = parts[key] else { return nil }
            return Group(key: key.isEmpty ? nil : key, batch: part.finish(client: batch.client))
        }
    }

    /// The trace ID of a span or log record as hexadecimal text; empty where there is none.
    private static func traceKey(_ walker: OTLPWalker) -> [UInt8] {
        let id = walker.kind == .traces ? walker.span.traceID : walker.logRecord.traceID
        return id.contains { $0 != 0 } ? Array(Hex.encode(Array(id)).utf8) : []
    }

    private static func digest(_ attributes: OTLPAttributes) -> [UInt8] {
        var entries: [(name: [UInt8], value: OTLPAnyValue)] = []
        attributes.forEach { name, value in entries.append((Array(name), OTLPAnyValue(value))) }
        entries.sort { $0.name.lexicographicallyPrecedes($1.name) }
        let message = OTLPMessage()
        message.clear(as: .resource)
        for entry in entries {
            entry.name.withUnsafeBytes { message.attributes.set($0, to: entry.value) }
        }
        return Array(message.encoded.withUnsafeBytes { SHA256.digest($0) }.prefix(16))
    }

    // MARK: Bodies

    private func bodies(of batch: OTLPBatch, _ topic: String, _ key: [UInt8]?) throws -> [KafkaRecord] {
        var records: [KafkaRecord] = []
        let walker = OTLPWalker()
        try walker.walk(batch, to: .item) { level in
            guard level == .item else { return .keep }
            let value: [UInt8]
            switch walker.logRecord.body {
            case .string(let bytes), .bytes(let bytes): value = Array(bytes)
            case .empty: value = []
            case let other: value = OTLPText.bytes(other)
            }
            records.append(KafkaRecord(topic: topic, key: key, value: value, itemCount: 1))
            return .keep
        }
        return records
    }
}
