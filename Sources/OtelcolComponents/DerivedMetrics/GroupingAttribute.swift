import AlloySyntax
import Wire

/// An attribute that tells the points of a derived metric apart.
struct GroupingAttribute: Sendable {
    let key: OTLPKey
    let fallback: OTLPAnyValue?
    /// Whether records without it count all the same.
    let isOptional: Bool

    init(_ key: String, fallback: OTLPAnyValue? = nil, isOptional: Bool = false) {
        self.key = OTLPKey(key)
        self.fallback = fallback
        self.isOptional = isOptional
    }

    /// The encoded attributes of a point: of each, the value in the first of `sources` that has it. Nil when one is missing
    /// that must be there.
    static func encode(
        _ attributes: [GroupingAttribute], from sources: [OTLPAttributes], _ writer: inout ProtobufWriter
    ) -> [UInt8]? {
        writer.removeAll()
        for attribute in attributes {
            var value: OTLPAnyValue?
            for source in sources {
                guard let found = source[attribute.key] else { continue }
                value = OTLPAnyValue(found)
                break
            }
            guard let value = value ?? attribute.fallback else {
                if attribute.isOptional { continue }
                return nil
            }
            let pair = writer.beginMessage(1)
            writer.field(OTLPField.KeyValue.key, bytes: attribute.key.bytes)
            let content = writer.beginMessage(OTLPField.KeyValue.value)
            value.encode(into: &writer)
            writer.endMessage(content)
            writer.endMessage(pair)
        }
        return writer.bytes
    }
}

extension OTLPAnyValue {
    /// A value of a configuration; nil for what has none in OpenTelemetry.
    init?(_ value: AlloySyntax.Value) {
        switch value {
        case .bool(let value): self = .bool(value)
        case .string(let text): self = .string(text)
        case .number(let number):
            if case .int(let integer) = number { self = .int(integer) } else { self = .double(number.double) }
        case .array(let elements):
            var converted: [OTLPAnyValue] = []
            for element in elements {
                guard let value = OTLPAnyValue(element) else { return nil }
                converted.append(value)
            }
            self = .array(converted)
        default: return nil
        }
    }
}
