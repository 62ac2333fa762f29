import Glibc
import TextFormats

// MARK: JSON

extension ZipkinSpan {
    static func json(_ spans: [ZipkinSpan]) -> [UInt8] {
        var bytes: [UInt8] = []
        JSONWriter(escapesHTML: true).append(.array(spans.map { .object($0.object) }), to: &bytes)
        return bytes
    }

    private var object: JSONObject {
        var object: JSONObject = ["traceId": .string(traceID.hexadecimal)]
        if parentID != 0 { object["parentId"] = .string(SpanDraft.TraceNumber.digits(parentID)) }
        object["id"] = .string(SpanDraft.TraceNumber.digits(id))
        if let word = SpanWords.kind(UInt32(kind.rawValue)), kind != .internal {
            object["kind"] = .string(word.uppercased())
        }
        if !name.isEmpty { object["name"] = .string(name) }
        if let time { object["timestamp"] = .number(JSONNumber(time)) }
        if duration != 0 { object["duration"] = .number(JSONNumber(duration)) }
        if !local.isEmpty { object["localEndpoint"] = .object(local.object) }
        if !remote.isEmpty { object["remoteEndpoint"] = .object(remote.object) }
        if !annotations.isEmpty {
            object["annotations"] = .array(
                annotations.map {
                    .object(["timestamp": .number(JSONNumber($0.time)), "value": .string($0.value)])
                })
        }
        if !tags.isEmpty {
            var texts = JSONObject()
            for entry in tags.map.entries {
                texts[String(decoding: entry.key, as: UTF8.self)] = .string(entry.value.string ?? "")
            }
            object["tags"] = .object(texts)
        }
        return object
    }
}

extension ZipkinSpan.Endpoint {
    /// Whether there is neither a name nor an address: a port alone is no endpoint.
    fileprivate var isEmpty: Bool { service.isEmpty && ipv4.isEmpty && ipv6.isEmpty }

    fileprivate var object: JSONObject {
        var object = JSONObject()
        for (name, text) in [("serviceName", service), ("ipv4", ipv4), ("ipv6", ipv6)] where !text.isEmpty {
            object[name] = .string(text)
        }
        if port != 0 { object["port"] = .number(JSONNumber(port)) }
        return object
    }
}

// MARK: Protobuf

extension ZipkinSpan {
    static func protobuf(_ spans: [ZipkinSpan]) -> [UInt8] {
        var writer = ProtobufWriter(capacity: 1024)
        for span in spans {
            let mark = writer.beginMessage(1)
            span.write(to: &writer)
            writer.endMessage(mark)
        }
        return writer.bytes
    }

    private func write(to writer: inout ProtobufWriter) {
        if traceID.high == 0 {
            withUnsafeBytes(of: traceID.low.bigEndian) { writer.field(1, bytes: $0) }
        } else {
            withUnsafeBytes(of: (traceID.high.bigEndian, traceID.low.bigEndian)) { writer.field(1, bytes: $0) }
        }
        if parentID != 0 { withUnsafeBytes(of: parentID.bigEndian) { writer.field(2, bytes: $0) } }
        withUnsafeBytes(of: id.bigEndian) { writer.field(3, bytes: $0) }
        let kinds: [SpanDraft.Kind] = [.client, .server, .producer, .consumer]
        if let index = kinds.firstIndex(of: kind) { writer.field(4, varint: UInt64(index + 1)) }
        if !name.isEmpty { writer.field(5, string: name) }
        if let time { writer.field(6, fixed64: time) }
        if duration != 0 { writer.field(7, varint: duration) }
        local.write(8, to: &writer)
        remote.write(9, to: &writer)
        for annotation in annotations {
            let mark = writer.beginMessage(10)
            writer.field(1, fixed64: annotation.time)
            writer.field(2, string: annotation.value)
            writer.endMessage(mark)
        }
        for entry in tags.map.entries {
            let mark = writer.beginMessage(11)
            entry.key.withUnsafeBytes { writer.field(1, bytes: $0) }
            writer.field(2, string: entry.value.string ?? "")
            writer.endMessage(mark)
        }
    }
}

extension ZipkinSpan.Endpoint {
    fileprivate func write(_ field: Int, to writer: inout ProtobufWriter) {
        if isEmpty { return }
        let mark = writer.beginMessage(field)
        if !service.isEmpty { writer.field(1, string: service) }
        IPText.ipv4(ipv4)?.withUnsafeBytes { writer.field(2, bytes: $0) }
        IPText.ipv6(ipv6)?.withUnsafeBytes { writer.field(3, bytes: $0) }
        if port != 0 { writer.field(4, int64: port) }
        writer.endMessage(mark)
    }
}

/// Addresses from text.
enum IPText {
    static func ipv4(_ text: String) -> [UInt8]? { bytes(text, AF_INET, 4) }
    static func ipv6(_ text: String) -> [UInt8]? { bytes(text, AF_INET6, 16) }

    private static func bytes(_ text: String, _ family: Int32, _ count: Int) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count)
        return inet_pton(family, text, &bytes) == 1 ? bytes : nil
    }
}
