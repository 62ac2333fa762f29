import TextFormats

/// The one place where this module meets the text formats.
enum Formats {
    /// Reads JSON; with `integers`, whole numbers stay integers, otherwise every number is floating.
    static func decodeJSON(_ text: String, integers: Bool) throws(FormatError) -> Value {
        do throws(TextFormatError) {
            return value(of: try JSONValue(parsing: text), integers)
        } catch {
            throw FormatError(message: error.message)
        }
    }

    /// Reads YAML; an empty document is null, and keys that are not text become it.
    static func decodeYAML(_ text: String) throws(FormatError) -> Value {
        do throws(TextFormatError) {
            return value(of: try YAMLParser().parse(text))
        } catch {
            throw FormatError(message: error.message)
        }
    }

    private static func value(of json: JSONValue, _ integers: Bool) -> Value {
        switch json {
        case .null: return .null
        case .bool(let bool): return .bool(bool)
        case .number(let number):
            if integers, let integer = number.intValue { return .number(.int(integer)) }
            return .float(number.doubleValue)
        case .string(let text): return .string(text)
        case .array(let elements): return .array(elements.map { value(of: $0, integers) })
        case .object(let object):
            var fields: [String: Value] = [:]
            for (key, member) in object { fields[key] = value(of: member, integers) }
            return .object(fields)
        }
    }

    private static func value(of yaml: YAMLValue) -> Value {
        switch yaml {
        case .sequence(let elements): return .array(elements.map { value(of: $0) })
        case .mapping(let mapping):
            var fields: [String: Value] = [:]
            for entry in mapping { fields[entry.key.stringValue ?? "null"] = value(of: entry.value) }
            return .object(fields)
        case .scalar(let scalar):
            switch scalar.resolved {
            case .null: return .null
            case .bool(let bool): return .bool(bool)
            case .int(let integer): return .number(.int(integer))
            case .uint(let integer): return .number(.uint(integer))
            case .float(let number): return .float(number)
            case .string: return .string(scalar.text)
            }
        }
    }

    /// Formats like Go's `fmt.Sprintf`; secrets are formatted as what they hold, so the result must become one.
    static func sprintf(_ format: String, _ arguments: [Value]) -> String {
        GoFormat.sprintf(format, arguments.map { goValue(of: $0) })
    }

    private static func goValue(of value: Value) -> GoValue {
        switch value {
        case .null: return .nil
        case .bool(let bool): return .bool(bool)
        case .number(.uint(let number)):
            if let signed = Int64(exactly: number) { return .int(signed) }
            return .uint(number)
        case .number(.int(let number)): return .int(number)
        case .number(.float(let number)): return .float(number)
        case .string(let text): return .string(text)
        case .array(let elements): return .list(elements.map { goValue(of: $0) })
        case .object(let object): return .dictionary(object.dictionary.mapValues { goValue(of: $0) })
        case .function: return .string("function")
        case .capsule(let capsule):
            if let text = capsule.text { return .string(text) }
            guard let object = capsule.object else { return .string(value.describedType) }
            return .dictionary(object.dictionary.mapValues { goValue(of: $0) })
        case .secret, .optionalSecret: return .string(Revealing.text(of: value) ?? "")
        }
    }
}

/// Go's spelling of durations.
enum DurationText {
    static func parse(_ text: String) throws(ValueError) -> Duration {
        do throws(TextFormatError) {
            return try GoDuration.parse(text)
        } catch {
            throw ValueError(error.message)
        }
    }

    static func format(_ duration: Duration) -> String { GoDuration.format(duration) }
}
