import TextFormats
import Wire

extension Functions {
    /// Editors of spans.
    static let spanEditors: [Editor] = [
        Editor(
            "set_semconv_span_name",
            [
                Parameter("semconv_version", .string),
                Parameter("original_span_name_attribute", .string, optional: true),
            ], in: [.span]
        ) { arguments in
            guard let version = SpanName.version(arguments.string(0) ?? ""), SpanName.versions.contains(version) else {
                throw arguments.error(0, "must be a version of the semantic conventions from 1.37.0 to 1.40.0")
            }
            let original = arguments.string(1)
            if original?.isEmpty == true { throw arguments.error(1, "must not be empty") }
            let key = original.map { OTLPKey($0) }
            return { frame in
                guard let name = SpanName.name(OTLPSpan(frame.item)) else { return }
                let old = Array(frame.item.bytes(OTLPField.Span.name))
                if old == name { return }
                name.withRawBytes { frame.item.set(OTLPField.Span.name, bytes: $0) }
                if let key { frame.item.attributes.set(key, to: OTLPAnyValue.string(old)) }
            }
        }
    ]
}

/// The names OpenTelemetry's semantic conventions give to spans of HTTP, RPC, databases and messaging.
private enum SpanName {
    /// Minor versions of 1 whose names are these, times 1000 and the patch.
    static let versions = 37_000...40_000

    static func version(_ text: String) -> Int? {
        let parts = (text.hasPrefix("v") ? text.dropFirst() : text[...]).split(
            separator: ".", omittingEmptySubsequences: false)
        let numbers = parts.compactMap { UInt16($0) }
        guard numbers.count == parts.count, (1...3).contains(parts.count), numbers[0] == 1 else { return nil }
        return (numbers.count > 1 ? Int(numbers[1]) : 0) * 1000 + (numbers.count > 2 ? Int(numbers[2]) : 0)
    }

    /// nil where no convention names the span.
    static func name(_ span: OTLPSpan) -> [UInt8]? {
        let attributes = span.message.attributes
        let found: [UInt8]? =
            switch span.kind {
            case 2: http(attributes, "http.route") ?? rpc(attributes) ?? messaging(attributes)
            case 3:
                http(attributes, "url.template") ?? rpc(attributes) ?? database(attributes) ?? messaging(attributes)
            case 4, 5: messaging(attributes)
            default: nil
            }
        return found?.isEmpty == false ? found : nil
    }

    /// The first of the attributes there is, as text.
    private static func text(_ attributes: OTLPAttributes, _ keys: String...) -> [UInt8]? {
        for key in keys {
            if let value = attributes[OTLPKey(key)] { return Datum(value).textual ?? [] }
        }
        return nil
    }

    private static func joined(_ first: [UInt8], _ separator: Character, _ second: [UInt8]) -> [UInt8] {
        first + Array(String(separator).utf8) + second
    }

    private static func http(_ attributes: OTLPAttributes, _ target: String) -> [UInt8]? {
        guard let method = text(attributes, "http.request.method", "http.method") else { return nil }
        return text(attributes, target).map { joined(method, " ", $0) } ?? method
    }

    private static func rpc(_ attributes: OTLPAttributes) -> [UInt8]? {
        guard let system = text(attributes, "rpc.system.name", "rpc.system") else { return nil }
        let method = text(attributes, "rpc.method", "rpc.grpc.method")
        guard let service = text(attributes, "rpc.service", "rpc.grpc.service") else { return method ?? system }
        return joined(service, "/", method ?? Array("*".utf8))
    }

    private static func database(_ attributes: OTLPAttributes) -> [UInt8]? {
        guard let system = text(attributes, "db.system.name", "db.system") else { return nil }
        if let summary = text(attributes, "db.query.summary") { return summary }
        let operation = text(attributes, "db.operation.name", "db.operation") ?? []
        let space = text(attributes, "db.namespace", "db.name") ?? []
        var target = space
        if let part = text(attributes, "db.collection.name", "db.stored_procedure.name") {
            target = space.isEmpty ? part : joined(space, ".", part)
        }
        if target.isEmpty { target = server(attributes) ?? [] }
        if !operation.isEmpty, !target.isEmpty { return joined(operation, " ", target) }
        return operation.isEmpty ? (target.isEmpty ? system : target) : operation
    }

    private static func messaging(_ attributes: OTLPAttributes) -> [UInt8]? {
        guard let system = text(attributes, "messaging.system") else { return nil }
        let operation = text(attributes, "messaging.operation.name", "messaging.operation")
        let destination = destination(attributes)
        guard let operation else { return destination.isEmpty ? system : destination }
        return destination.isEmpty ? operation : joined(operation, " ", destination)
    }

    private static func destination(_ attributes: OTLPAttributes) -> [UInt8] {
        for kind in ["temporary", "anonymous"] {
            if case .bool(true)? = attributes[OTLPKey("messaging.destination.\(kind)")] {
                return Array("(\(kind))".utf8)
            }
        }
        return text(
            attributes, "messaging.destination.template", "messaging.destination.name", "messaging.destination")
            ?? server(attributes) ?? []
    }

    private static func server(_ attributes: OTLPAttributes) -> [UInt8]? {
        guard let address = text(attributes, "server.address") else { return nil }
        return text(attributes, "server.port").map { joined(address, ":", $0) } ?? address
    }
}
