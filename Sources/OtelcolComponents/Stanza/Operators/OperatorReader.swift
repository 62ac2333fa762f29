import AlloySyntax
import ComponentKit
import Essentials
import TextFormats
import Wire

/// Reads the settings of one operator, an object of the `operators` argument. What is wrong is collected, with the name
/// of the operator in front; ``finish()`` refuses what nothing has read.
struct OperatorReader {
    /// What was wrong with all operators of a list.
    final class Problems {
        var list: [String] = []
    }

    let name: String
    private let object: ObjectValue
    private let problems: Problems
    private var used: Set<String> = []

    init(_ name: String, _ object: ObjectValue, _ problems: Problems) {
        self.name = name
        self.object = object
        self.problems = problems
    }

    func reject(_ message: String) { problems.list.append("\(name): \(message)") }

    mutating func value(_ key: String) -> Value? {
        used.insert(key)
        if case .null? = object[key] { return nil }
        return object[key]
    }

    func isSet(_ key: String) -> Bool { object[key] != nil }

    /// Refuses settings that nothing has read.
    func finish() {
        for key in object.keys where !used.contains(key) { reject("unknown or unsupported setting '\(key)'") }
    }

    private mutating func decoded<T: AlloyDecodable>(_ key: String, as type: T.Type) -> T? {
        guard let value = value(key) else { return nil }
        do throws(ValueError) {
            return try T(alloy: value)
        } catch {
            reject("'\(key)': \(error)")
            return nil
        }
    }

    // MARK: Kinds of settings

    mutating func string(_ key: String) -> String? { decoded(key, as: String.self) }

    mutating func required(_ key: String) -> String {
        if let text = string(key), !text.isEmpty { return text }
        if !isSet(key) || object[key].flatMap({ try? String(alloy: $0) }) == "" { reject("'\(key)' is required") }
        return ""
    }

    mutating func bool(_ key: String, default fallback: Bool) -> Bool { decoded(key, as: Bool.self) ?? fallback }
    mutating func int(_ key: String, default fallback: Int) -> Int { decoded(key, as: Int.self) ?? fallback }
    mutating func double(_ key: String, default fallback: Double) -> Double {
        decoded(key, as: Double.self) ?? fallback
    }

    mutating func duration(_ key: String, default fallback: Duration) -> Duration {
        guard let text = string(key) else { return fallback }
        do {
            return .nanoseconds(try GoDuration.nanoseconds(text))
        } catch {
            reject("'\(key)': \(error)")
            return fallback
        }
    }

    /// A number of bytes: a number or text such as `1MiB`.
    mutating func byteCount(_ key: String, default fallback: Int) -> Int {
        guard let value = value(key) else { return fallback }
        if case .number(let number) = value, let bytes: Int = number.integer() { return bytes }
        do throws(ValueError) {
            return try ByteCount(alloy: value).bytes
        } catch {
            reject("'\(key)': \(error)")
            return fallback
        }
    }

    /// One text or a list of them.
    mutating func strings(_ key: String) -> [String] {
        guard let value = value(key) else { return [] }
        if case .string(let text) = value { return [text] }
        do throws(ValueError) {
            return try [String](alloy: value)
        } catch {
            reject("'\(key)': \(error)")
            return []
        }
    }

    mutating func field(_ key: String) -> StanzaField? {
        guard let text = string(key) else { return nil }
        do throws(StanzaError) {
            return try StanzaField(text)
        } catch {
            reject("'\(key)': \(error)")
            return nil
        }
    }

    mutating func field(_ key: String, default fallback: StanzaField) -> StanzaField { field(key) ?? fallback }

    mutating func requiredField(_ key: String) -> StanzaField {
        if let field = field(key) { return field }
        if !isSet(key) { reject("'\(key)' is required") }
        return .body
    }

    mutating func expression(_ key: String) -> StanzaExpression? {
        guard let text = string(key), !text.isEmpty else { return nil }
        do throws(StanzaError) {
            return try StanzaExpression(text)
        } catch {
            reject("'\(key)': \(error)")
            return nil
        }
    }

    mutating func pattern(_ key: String) -> RegularExpression? {
        guard let text = string(key), !text.isEmpty else { return nil }
        do throws(RegularExpressionError) {
            return try RegularExpression(text)
        } catch {
            reject("'\(key)': \(error)")
            return nil
        }
    }

    /// The settings of a nested object.
    mutating func object(_ key: String) -> OperatorReader? {
        guard let value = value(key) else { return nil }
        guard let fields = value.objectFields else {
            reject("'\(key)' must be an object")
            return nil
        }
        return OperatorReader("\(name): \(key)", fields, problems)
    }

    /// A list of nested objects.
    mutating func objects(_ key: String) -> [OperatorReader] {
        guard let value = value(key) else { return [] }
        guard case .array(let elements) = value else {
            reject("'\(key)' must be a list of objects")
            return []
        }
        return elements.enumerated().compactMap { index, element in
            guard let fields = element.objectFields else {
                reject("'\(key)' must be a list of objects")
                return nil
            }
            return OperatorReader("\(name): \(key)[\(index)]", fields, problems)
        }
    }

    /// Texts by name, which may have expressions in them.
    mutating func templates(_ key: String) -> [(key: StanzaField, value: StanzaTemplate)] {
        guard let value = value(key) else { return [] }
        guard let fields = value.objectFields else {
            reject("'\(key)' must be an object")
            return []
        }
        var found: [(key: StanzaField, value: StanzaTemplate)] = []
        for (name, value) in fields.pairs {
            do {
                found.append((.attribute(name), try StanzaTemplate(String(alloy: value))))
            } catch {
                reject("'\(key)': \(error)")
            }
        }
        return found
    }
}

extension OTLPAnyValue {
    /// A JSON value; whole numbers stay such when `keepsIntegers` says so and are doubles otherwise, as in Go.
    init(_ json: JSONValue, keepsIntegers: Bool) {
        switch json {
        case .null: self = .empty
        case .bool(let flag): self = .bool(flag)
        case .number(let number):
            if keepsIntegers, let whole = number.intValue {
                self = .int(whole)
            } else {
                self = .double(number.doubleValue)
            }
        case .string(let text): self = .string(text)
        case .array(let elements): self = .array(elements.map { OTLPAnyValue($0, keepsIntegers: keepsIntegers) })
        case .object(let object):
            self = .map(
                Map(
                    unique: object.members.map { member in
                        Map.Entry(
                            key: Array(member.key.utf8),
                            value: OTLPAnyValue(member.value, keepsIntegers: keepsIntegers))
                    }))
        }
    }
}
