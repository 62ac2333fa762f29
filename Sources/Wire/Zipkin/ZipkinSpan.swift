package import Telemetry
import TextFormats

/// Why a body is no list of Zipkin spans.
package struct ZipkinError: Error, Sendable, Equatable, CustomStringConvertible {
    package let description: String
    init(_ description: String) { self.description = description }
}

/// A span of Zipkin's data model, version 2 (zipkin.io, `zipkin2-api.yaml`). Spans of version 1 are read into it.
struct ZipkinSpan: Sendable {
    struct Endpoint: Sendable {
        var service = ""
        var ipv4 = ""
        var ipv6 = ""
        var port: Int64 = 0
    }

    struct Annotation: Sendable {
        /// Microseconds since 1970.
        var time: UInt64
        var value: String
    }

    var traceID = SpanDraft.TraceNumber(low: 0)
    var id: UInt64 = 0
    var parentID: UInt64 = 0
    var name = ""
    var kind = SpanDraft.Kind.unspecified
    /// Microseconds since 1970; nil when not sent.
    var time: UInt64?
    /// Microseconds.
    var duration: UInt64 = 0
    var local = Endpoint()
    var remote = Endpoint()
    var annotations: [Annotation] = []
    var tags = AttributeTable()
    /// Times of the annotations that a span of version 1 begins and ends with.
    var edges: [UInt64] = []

    // MARK: Identifiers

    /// A trace ID of 1 to 32 hexadecimal digits.
    static func traceID(_ text: String) throws(ZipkinError) -> SpanDraft.TraceNumber {
        guard (1...32).contains(text.utf8.count) else { throw ZipkinError("invalid length for ID \"\(text)\"") }
        let low = text.suffix(16)
        let high = text.dropLast(min(16, text.count))
        return SpanDraft.TraceNumber(high: high.isEmpty ? 0 : try number(high), low: try number(low))
    }

    /// A span ID of 1 to 16 hexadecimal digits.
    static func spanID(_ text: String) throws(ZipkinError) -> UInt64 {
        guard (1...16).contains(text.utf8.count) else { throw ZipkinError("invalid length for ID \"\(text)\"") }
        return try number(text[...])
    }

    private static func number(_ text: Substring) throws(ZipkinError) -> UInt64 {
        guard let value = UInt64(text, radix: 16), text.first != "+" else {
            throw ZipkinError("ID \"\(text)\" is not hexadecimal")
        }
        return value
    }

    // MARK: Translation

    /// Attributes that belong to a resource by the semantic conventions, and are no attributes of spans here.
    private static let resourceKeys: Set<String> = {
        let groups: [(prefix: String, names: [String])] = [
            ("cloud.", ["provider", "account.id", "region", "availability_zone", "platform"]),
            (
                "aws.",
                [
                    "ecs.container.arn", "ecs.cluster.arn", "ecs.launchtype", "ecs.task.arn", "ecs.task.family",
                    "ecs.task.revision", "eks.cluster.arn", "log.group.names", "log.group.arns", "log.stream.names",
                    "log.stream.arns",
                ]
            ), ("container.", ["name", "id", "runtime", "image.name", "image.tag"]), ("deployment.", ["environment"]),
            ("device.", ["id", "model.identifier", "model.name", "manufacturer"]),
            ("faas.", ["name", "id", "version", "instance", "max_memory"]),
            ("host.", ["id", "name", "type", "arch", "image.name", "image.id", "image.version"]),
            (
                "k8s.",
                [
                    "cluster.name", "node.name", "node.uid", "namespace.name", "pod.uid", "pod.name", "container.name",
                    "replicaset.uid", "replicaset.name", "deployment.uid", "deployment.name", "statefulset.uid",
                    "statefulset.name", "daemonset.uid", "daemonset.name", "job.uid", "job.name", "cronjob.uid",
                    "cronjob.name",
                ]
            ), ("os.", ["type", "description", "name", "version"]),
            (
                "process.",
                [
                    "pid", "executable.name", "executable.path", "command", "command_line", "command_args", "owner",
                    "runtime.name", "runtime.version", "runtime.description",
                ]
            ), ("service.", ["name", "namespace", "instance.id", "version"]),
            ("telemetry.", ["sdk.name", "sdk.language", "sdk.version", "auto.version"]),
            ("webengine.", ["name", "version", "description"]),
            ("opencensus.", ["starttime", "exporterversion", "resourcetype"]),
        ]
        return Set(groups.flatMap { group in group.names.map { group.prefix + $0 } })
    }()

    /// Adds the span to a batch. Tags with a meaning of their own become fields, as the OpenTelemetry Collector does.
    func append(to batch: inout SpanDraftBatch, parsesTags: Bool) throws(ZipkinError) {
        var draft = SpanDraft()
        var tags = tags
        draft.traceID = traceID
        draft.spanID = id
        if parentID != id { draft.parentID = parentID }
        draft.name = name
        let resource = Self.resource(local.service, &tags)
        let scope = tags.takeString("otel.library.name") ?? tags.takeString("otel.scope.name") ?? ""
        let version = tags.takeString("otel.library.version") ?? tags.takeString("otel.scope.version") ?? ""
        if let state = tags.takeString("w3c.tracestate") { draft.state = state }
        draft.kind = kind
        if kind == .unspecified, let name = tags.takeString("span.kind"), name == "internal" { draft.kind = .internal }
        Self.setStatus(of: &draft, &tags)
        draft.links = try Self.links(&tags)
        draft.attributes = parsesTags ? Self.parsed(tags) : tags
        setEndpoints(&draft.attributes)
        let (start, _) = (time ?? 0).multipliedReportingOverflow(by: 1000)
        draft.start = start
        draft.end = start &+ (duration &* 1000)
        if time == nil { draft.attributes["otel.zipkin.absentField.startTime"] = true }
        for annotation in annotations { draft.events.append(try Self.event(annotation)) }
        batch.append(draft, resource: resource, scope: scope, version: version)
    }

    private static func resource(_ service: String, _ tags: inout AttributeTable) -> OTLPAnyValue.Map {
        var attributes = AttributeTable()
        let source = tags.takeString("otlp.service.name.source") ?? ""
        if !service.isEmpty, service != "OTLPResourceNoServiceName" {
            attributes[source.isEmpty ? "service.name" : source] = .string(service)
        }
        for entry in tags.map.entries {
            let key = String(decoding: entry.key, as: UTF8.self)
            guard resourceKeys.contains(key) else { continue }
            attributes[key] = tags.take(key)
        }
        return attributes.map
    }

    private static func setStatus(of draft: inout SpanDraft, _ tags: inout AttributeTable) {
        if let code = tags.takeString("otel.status_code") {
            switch code {
            case "STATUS_CODE_OK", "OK": draft.status = .ok
            case "STATUS_CODE_ERROR", "ERROR": draft.status = .error
            default: break
            }
            draft.statusMessage = tags.takeString("otel.status_description") ?? ""
        }
        if tags["error"]?.string == "true" {
            tags["error"] = nil
            draft.status = .error
        }
    }

    /// Links as exporters of OpenTelemetry write them: `trace|span|state|attributes as JSON|dropped`.
    private static func links(_ tags: inout AttributeTable) throws(ZipkinError) -> [SpanDraft.Link] {
        var links: [SpanDraft.Link] = []
        for index in 0..<128 {
            guard let text = tags.takeString("otlp.link.\(index)") else { break }
            let parts = text.split(separator: "|", omittingEmptySubsequences: false)
            guard parts.count >= 5 else { continue }
            var link = SpanDraft.Link(traceID: try traceID(String(parts[0])), spanID: try spanID(String(parts[1])))
            link.state = String(parts[2])
            link.attributes = try attributes(parts[3..<(parts.count - 1)].joined(separator: "|"))
            guard let dropped = UInt32(parts[parts.count - 1]) else {
                throw ZipkinError("link \"\(text)\" does not end in a number")
            }
            link.droppedAttributes = dropped
            links.append(link)
        }
        return links
    }

    /// An annotation; exporters of OpenTelemetry write `name|attributes as JSON|dropped`.
    private static func event(_ annotation: Annotation) throws(ZipkinError) -> SpanDraft.Event {
        var event = SpanDraft.Event(time: annotation.time &* 1000)
        let parts = annotation.value.split(separator: "|", omittingEmptySubsequences: false)
        guard parts.count >= 3, let dropped = UInt32(parts[parts.count - 1]) else {
            event.name = annotation.value
            return event
        }
        event.name = String(parts[0])
        event.attributes = try attributes(parts[1..<(parts.count - 1)].joined(separator: "|"))
        event.droppedAttributes = dropped
        return event
    }

    private static func attributes(_ json: String) throws(ZipkinError) -> AttributeTable {
        guard let object = (try? JSONValue(parsing: json))?.objectValue else {
            throw ZipkinError("attributes \"\(json)\" are no JSON object")
        }
        var table = AttributeTable()
        for (key, value) in object {
            switch value {
            case .string(let text): table[key] = .string(text)
            case .bool(let value): table[key] = .bool(value)
            case .number(let number): table[key] = number.intValue.map { .int($0) } ?? .double(number.doubleValue)
            case .null, .array, .object: break
            }
        }
        return table
    }

    private func setEndpoints(_ attributes: inout AttributeTable) {
        for (endpoint, side) in [(local, "host"), (remote, "peer")] {
            if side == "peer", !endpoint.service.isEmpty, attributes["peer.service"] == nil {
                attributes["peer.service"] = .string(endpoint.service)
            }
            for address in [endpoint.ipv4, endpoint.ipv6] where !address.isEmpty {
                if attributes["net.\(side).ip"] == nil { attributes["net.\(side).ip"] = .string(address) }
            }
            if endpoint.port > 0 { attributes["net.\(side).port"] = .int(endpoint.port) }
        }
    }

    /// Numbers and truth values in place of the text that says them.
    private static func parsed(_ tags: AttributeTable) -> AttributeTable {
        var result = AttributeTable()
        for entry in tags.map.entries {
            let key = String(decoding: entry.key, as: UTF8.self)
            guard let text = entry.value.string else {
                result[key] = entry.value
                continue
            }
            if let value = Int64(text) {
                result[key] = .int(value)
            } else if text == "true" || text == "false" {
                result[key] = .bool(text == "true")
            } else if let first = text.utf8.first, first == 0x2D || (0x30...0x39).contains(first),
                let value = DecimalParser.parse(text)
            {
                result[key] = .double(value)
            } else {
                result[key] = entry.value
            }
        }
        return result
    }
}

/// What clients of Zipkin send, in its four encodings.
package enum ZipkinSpans {
    package enum Encoding: String, Sendable, CaseIterable {
        case jsonV1 = "http_v1_json"
        case thriftV1 = "http_v1_thrift"
        case jsonV2 = "http_v2_json"
        case protobufV2 = "http_v2_proto"
    }

    /// Reads a list of spans as traces of OpenTelemetry. With `parsesTags`, tags that look like numbers or truth values become
    /// such.
    package static func traces(
        _ body: UnsafeRawBufferPointer, _ encoding: Encoding, parsesTags: Bool, client: OTLPClient? = nil
    ) throws(ZipkinError) -> OTLPBatch {
        let spans: [ZipkinSpan]
        switch encoding {
        case .jsonV1: spans = try list(body, ZipkinSpan.init(jsonV1:))
        case .jsonV2: spans = try list(body, ZipkinSpan.init(jsonV2:))
        case .protobufV2:
            do { spans = try ZipkinSpan.list(protobuf: body) } catch { throw ZipkinError("\(error)") }
        case .thriftV1:
            do { spans = try ZipkinSpan.list(thrift: body) } catch { throw ZipkinError("\(error)") }
        }
        var batch = SpanDraftBatch()
        for span in spans { try span.append(to: &batch, parsesTags: parsesTags) }
        return batch.finish(client: client)
    }

    private static func list(
        _ body: UnsafeRawBufferPointer, _ read: (JSONValue) throws(ZipkinError) -> ZipkinSpan
    ) throws(ZipkinError) -> [ZipkinSpan] {
        let value: JSONValue
        do { value = try JSONValue(parsing: body) } catch { throw ZipkinError("\(error)") }
        guard let elements = value.arrayValue else { throw ZipkinError("the body is no JSON array") }
        var spans: [ZipkinSpan] = []
        spans.reserveCapacity(elements.count)
        for element in elements { spans.append(try read(element)) }
        return spans
    }
}
