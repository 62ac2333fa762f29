/// A YAML document as a tree.
package enum YAMLValue: Sendable, Equatable {
    case scalar(YAMLScalar)
    case sequence([YAMLValue])
    case mapping(YAMLMapping)

    package static let null = YAMLValue.scalar(YAMLScalar(text: "null", resolved: .null))
    package static func bool(_ value: Bool) -> YAMLValue {
        .scalar(YAMLScalar(text: value ? "true" : "false", resolved: .bool(value)))
    }
    package static func int(_ value: Int64) -> YAMLValue {
        .scalar(YAMLScalar(text: String(value), resolved: .int(value)))
    }
    package static func uint(_ value: UInt64) -> YAMLValue {
        if let signed = Int64(exactly: value) { return .int(signed) }
        return .scalar(YAMLScalar(text: String(value), resolved: .uint(value)))
    }
    package static func float(_ value: Double) -> YAMLValue {
        .scalar(YAMLScalar(text: YAMLScalar.text(of: value), resolved: .float(value)))
    }
    package static func string(_ value: String) -> YAMLValue {
        .scalar(YAMLScalar(text: value, resolved: .string))
    }

    package var isNull: Bool {
        if case .scalar(let scalar) = self, scalar.resolved == .null { return true }
        return false
    }

    /// The text of any scalar but null, as written: what Go gives a field of type string.
    package var stringValue: String? {
        if case .scalar(let scalar) = self, scalar.resolved != .null { return scalar.text }
        return nil
    }

    /// The value as a Boolean; the words of YAML 1.1 (`yes`, `on`, ...) count, as they do for a Go field of type bool.
    package var boolValue: Bool? {
        guard case .scalar(let scalar) = self else { return nil }
        if case .bool(let value) = scalar.resolved { return value }
        return scalar.resolved == .string ? YAMLScalar.oldBooleans[scalar.text] : nil
    }

    /// The value as an integer; a float that is whole counts.
    package var intValue: Int64? {
        guard case .scalar(let scalar) = self else { return nil }
        switch scalar.resolved {
        case .int(let value): return value
        case .uint(let value): return Int64(exactly: value)
        case .float(let value): return Int64(exactly: value)
        default: return nil
        }
    }

    /// The value as a float.
    package var doubleValue: Double? {
        guard case .scalar(let scalar) = self else { return nil }
        switch scalar.resolved {
        case .int(let value): return Double(value)
        case .uint(let value): return Double(value)
        case .float(let value): return value
        default: return nil
        }
    }

    package var sequenceValue: [YAMLValue]? {
        if case .sequence(let value) = self { return value }
        return nil
    }

    package var mappingValue: YAMLMapping? {
        if case .mapping(let value) = self { return value }
        return nil
    }

    /// The value of the key written `key`, when this is a mapping that has it.
    package subscript(key: String) -> YAMLValue? { mappingValue?[key] }

    /// The element at `index`, when this is a sequence that long.
    package subscript(index: Int) -> YAMLValue? {
        guard let sequence = sequenceValue, sequence.indices.contains(index) else { return nil }
        return sequence[index]
    }

    /// The same data as JSON: keys become their text; infinities and NaN, which JSON lacks, null.
    package var json: JSONValue {
        switch self {
        case .sequence(let elements): return .array(elements.map(\.json))
        case .mapping(let mapping):
            var object = JSONObject()
            for entry in mapping { object[entry.key.stringValue ?? "null"] = entry.value.json }
            return .object(object)
        case .scalar(let scalar):
            switch scalar.resolved {
            case .null: return .null
            case .bool(let value): return .bool(value)
            case .int(let value): return .number(JSONNumber(value))
            case .uint(let value): return .number(JSONNumber(value))
            case .float(let value): return .double(value)
            case .string: return .string(scalar.text)
            }
        }
    }
}

/// A YAML scalar: its text and what it resolves to.
package struct YAMLScalar: Sendable, Equatable {
    /// What a scalar means under the core schema.
    package enum Resolved: Sendable, Equatable {
        case null
        case bool(Bool)
        case int(Int64)
        case uint(UInt64)
        case float(Double)
        case string
    }

    /// The text, quotes and escapes undone.
    package let text: String
    package let resolved: Resolved

    /// Equal when both mean the same; the text counts for strings only.
    package static func == (left: YAMLScalar, right: YAMLScalar) -> Bool {
        left.resolved == right.resolved && (left.resolved != .string || left.text == right.text)
    }

    static func text(of value: Double) -> String {
        if value.isNaN { return ".nan" }
        if value.isInfinite { return value < 0 ? "-.inf" : ".inf" }
        return GoNumber.format(value)
    }
}

/// The entries of a YAML mapping in the order they came; keys are unique.
package struct YAMLMapping: Sendable, Equatable, Sequence {
    package struct Entry: Sendable, Equatable {
        package let key: YAMLValue
        package var value: YAMLValue
        /// Line of the key, from 1; 0 for entries not read from text.
        package let line: Int

        package static func == (left: Entry, right: Entry) -> Bool {
            left.key == right.key && left.value == right.value
        }
    }

    package private(set) var entries: [Entry] = []
    /// Positions by the key's text, of scalar keys.
    private var positions: [String: Int] = [:]

    package init() {}

    /// Makes a mapping of string keys.
    package init(_ pairs: [(String, YAMLValue)]) {
        for (key, value) in pairs { set(.string(key), value) }
    }

    package var count: Int { entries.count }

    /// The value of the scalar key written `key`; setting replaces or appends, nil is ignored.
    package subscript(key: String) -> YAMLValue? {
        get { positions[key].map { entries[$0].value } }
        set {
            if let newValue { set(.string(key), newValue) }
        }
    }

    /// Sets the value of `key`, replacing an equal one.
    package mutating func set(_ key: YAMLValue, _ value: YAMLValue, line: Int = 0) {
        if let position = position(of: key) {
            entries[position].value = value
            return
        }
        if case .scalar(let scalar) = key, positions[scalar.text] == nil { positions[scalar.text] = entries.count }
        entries.append(Entry(key: key, value: value, line: line))
    }

    /// The line an equal key was defined at.
    func line(of key: YAMLValue) -> Int? { position(of: key).map { entries[$0].line } }

    package func makeIterator() -> IndexingIterator<[Entry]> { entries.makeIterator() }

    package static func == (left: YAMLMapping, right: YAMLMapping) -> Bool { left.entries == right.entries }

    private func position(of key: YAMLValue) -> Int? {
        if case .scalar(let scalar) = key {
            guard let position = positions[scalar.text] else { return nil }
            if entries[position].key == key { return position }
        }
        // A key of another type with the same text, or no scalar at all: rare, so a search will do.
        return entries.firstIndex { $0.key == key }
    }
}
