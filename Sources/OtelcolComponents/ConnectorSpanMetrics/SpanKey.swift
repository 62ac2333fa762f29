import Essentials
import Telemetry
import Wire

/// Writes the attributes of a series, which are also what tells it from others.
struct SpanKey: ~Copyable {
    private var writer = ProtobufWriter(capacity: 512)
    private let included: [Bool]
    private let instance: String?

    static let serviceName: OTLPKey = "service.name"
    private static let names: [OTLPKey] = ["service.name", "span.name", "span.kind", "status.code"]
    private static let kinds: [OTLPKey] = [
        "SPAN_KIND_UNSPECIFIED", "SPAN_KIND_INTERNAL", "SPAN_KIND_SERVER", "SPAN_KIND_CLIENT", "SPAN_KIND_PRODUCER",
        "SPAN_KIND_CONSUMER",
    ]
    private static let codes: [OTLPKey] = ["STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"]
    private static let unknown: OTLPKey = ""
    private static let instanceKey: OTLPKey = "collector.instance.id"
    private static let scopeName: OTLPKey = "span.instrumentation.scope.name"
    private static let scopeVersion: OTLPKey = "span.instrumentation.scope.version"

    init(excluding excluded: [String], instance: String?) {
        included = Self.names.map { !excluded.contains($0.name) }
        self.instance = excluded.contains(Self.instanceKey.name) ? nil : instance
    }

    /// A dimension made ready.
    struct Dimension {
        let key: OTLPKey
        let fallback: [UInt8]?
        let glob: Glob?

        init(_ dimension: SpanDimension) {
            key = OTLPKey(dimension.name)
            fallback = dimension.fallback.map { Array($0.utf8) }
            glob = dimension.pattern.isEmpty ? nil : try? Glob(dimension.pattern, .plain)
        }
    }

    /// The attributes written so far.
    borrowing func withBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
        try writer.withBytes(body)
    }

    /// Begins with what every series has.
    mutating func begin(_ walker: OTLPWalker, service: OTLPValue, isScopeIncluded: Bool) {
        writer.removeAll()
        let span = walker.span
        if included[0] { append(Self.names[0].bytes, service) }
        if included[1] { append(Self.names[1].bytes, .string(span.name)) }
        if included[2] { append(Self.names[2].bytes, .string(Self.word(Self.kinds, span.kind))) }
        if included[3] { append(Self.names[3].bytes, .string(Self.word(Self.codes, span.statusCode))) }
        if var instance {
            instance.withUTF8 { append(Self.instanceKey.bytes, .string(UnsafeRawBufferPointer($0))) }
        }
        if isScopeIncluded {
            let scope = OTLPScope(walker.scope)
            append(Self.scopeName.bytes, .string(scope.name))
            if !scope.version.isEmpty { append(Self.scopeVersion.bytes, .string(scope.version)) }
        }
    }

    private static func word(_ words: [OTLPKey], _ value: UInt32) -> UnsafeRawBufferPointer {
        (value < words.count ? words[Int(value)] : unknown).bytes
    }

    /// Adds dimensions: from the span, else from the event if there is one, else from the resource, else as configured.
    mutating func append(_ dimensions: [Dimension], _ walker: OTLPWalker, isEvent: Bool) {
        for dimension in dimensions {
            if let glob = dimension.glob {
                append(glob, walker, isEvent: isEvent)
            } else if let value = Self.find(dimension.key, walker, isEvent: isEvent) {
                append(dimension.key.bytes, value)
            } else if let fallback = dimension.fallback {
                fallback.withUnsafeBytes { append(dimension.key.bytes, .string($0)) }
            }
        }
    }

    private static func find(_ key: OTLPKey, _ walker: OTLPWalker, isEvent: Bool) -> OTLPValue? {
        if let value = walker.item.attributes[key] { return value }
        if isEvent, let value = walker.point.attributes[key] { return value }
        return walker.resource.attributes[key]
    }

    /// Adds every attribute whose name matches, each name once, in the order of names.
    private mutating func append(_ glob: Glob, _ walker: OTLPWalker, isEvent: Bool) {
        var names: Set<String> = []
        func collect(_ attributes: OTLPAttributes) {
            attributes.forEach { key, _ in
                let name = String(decoding: key, as: UTF8.self)
                if glob.matches(name) { names.insert(name) }
            }
        }
        collect(walker.item.attributes)
        if isEvent { collect(walker.point.attributes) }
        collect(walker.resource.attributes)
        for name in names.sorted() where !SpanMetricsSettings.ownDimensions.contains(name) {
            let key = OTLPKey(name)
            if let value = Self.find(key, walker, isEvent: isEvent) { append(key.bytes, value) }
        }
    }

    /// Adds attributes of a resource: those named, or all.
    mutating func begin(resource: OTLPAttributes, keys: [OTLPKey]) {
        writer.removeAll()
        if keys.isEmpty {
            resource.forEach { append($0, $1) }
        } else {
            for key in keys {
                if let value = resource[key] { append(key.bytes, value) }
            }
        }
    }

    private mutating func append(_ key: UnsafeRawBufferPointer, _ value: OTLPValue) {
        let pair = writer.beginMessage(1)
        writer.field(OTLPField.KeyValue.key, bytes: key)
        let content = writer.beginMessage(OTLPField.KeyValue.value)
        switch value {
        case .empty: break
        case .string(let bytes): writer.field(OTLPField.AnyValue.string, bytes: bytes)
        case .bool(let value): writer.field(OTLPField.AnyValue.bool, bool: value)
        case .int(let value): writer.field(OTLPField.AnyValue.int, int64: value)
        case .double(let value): writer.field(OTLPField.AnyValue.double, double: value)
        case .array(let list): writer.field(OTLPField.AnyValue.array, bytes: list.content)
        case .map(let map): writer.field(OTLPField.AnyValue.map, bytes: map.content)
        case .bytes(let bytes): writer.field(OTLPField.AnyValue.bytes, bytes: bytes)
        }
        writer.endMessage(content)
        writer.endMessage(pair)
    }

    /// The attributes of the series for spans without one of their own.
    static var overflow: [UInt8] {
        var key = SpanKey(excluding: [], instance: nil)
        let name: OTLPKey = "otel.metric.overflow"
        key.append(name.bytes, .bool(true))
        return key.withBytes { Array($0) }
    }
}
