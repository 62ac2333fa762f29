import Synchronization

/// A value as Go's `any` would hold it: what `GoFormat` prints and `GoTemplate` computes with.
package enum GoValue: Sendable {
    case `nil`
    case bool(Bool)
    case int(Int64)
    case uint(UInt64)
    case float(Double)
    case string(String)
    case list([GoValue])
    case map(GoMap)
    case time(GoTime)
    /// Nanoseconds.
    case duration(Int64)

    /// A map of `entries`.
    package static func dictionary(_ entries: [String: GoValue]) -> GoValue { .map(GoMap(entries)) }

    /// The value of a JSON document as Go decodes it into `any`: numbers are floats.
    package init(_ json: JSONValue) {
        switch json {
        case .null: self = .nil
        case .bool(let value): self = .bool(value)
        case .number(let value): self = .float(value.doubleValue)
        case .string(let value): self = .string(value)
        case .array(let elements): self = .list(elements.map { GoValue($0) })
        case .object(let object):
            var entries: [String: GoValue] = [:]
            for member in object { entries[member.key] = GoValue(member.value) }
            self = .dictionary(entries)
        }
    }

    /// The name `%T` prints.
    package var typeName: String {
        switch self {
        case .nil: "<nil>"
        case .bool: "bool"
        case .int: "int"
        case .uint: "uint"
        case .float: "float64"
        case .string: "string"
        case .list: "[]interface {}"
        case .map: "map[string]interface {}"
        case .time: "time.Time"
        case .duration: "time.Duration"
        }
    }

    /// The name of `reflect.Kind`.
    package var kindName: String {
        switch self {
        case .nil: "invalid"
        case .list: "slice"
        case .map: "map"
        case .time: "struct"
        case .duration: "int64"
        default: typeName
        }
    }

    /// Whether a template takes the value for true: not the zero value of its type, not empty.
    package var isTrue: Bool {
        switch self {
        case .nil: false
        case .bool(let value): value
        case .int(let value), .duration(let value): value != 0
        case .uint(let value): value != 0
        case .float(let value): value != 0
        case .string(let value): !value.isEmpty
        case .list(let elements): !elements.isEmpty
        case .map(let map): map.count > 0
        case .time: true
        }
    }

    package var isNil: Bool {
        if case .nil = self { return true }
        return false
    }

    /// The value as `%v` prints it.
    package var text: String {
        if case .string(let value) = self { return value }
        return GoFormat.sprint([self])
    }
}

extension GoValue: Equatable {
    /// Deep equality, as `reflect.DeepEqual`.
    package static func == (left: GoValue, right: GoValue) -> Bool {
        switch (left, right) {
        case (.nil, .nil): true
        case (.bool(let left), .bool(let right)): left == right
        case (.int(let left), .int(let right)): left == right
        case (.uint(let left), .uint(let right)): left == right
        case (.float(let left), .float(let right)): left == right
        case (.string(let left), .string(let right)): left == right
        case (.list(let left), .list(let right)): left == right
        case (.map(let left), .map(let right)): left === right || left.entries == right.entries
        case (.time(let left), .time(let right)): left == right
        case (.duration(let left), .duration(let right)): left == right
        default: false
        }
    }
}

/// A map with the reference semantics Go's maps have: `set` of a template is seen by all that hold it.
package final class GoMap: Sendable {
    private let storage: Mutex<[String: GoValue]>

    package init(_ entries: [String: GoValue] = [:]) { storage = Mutex(entries) }

    package var entries: [String: GoValue] { storage.withLock { $0 } }
    package var count: Int { storage.withLock { $0.count } }
    /// The keys in byte order, as Go prints and ranges over maps.
    package var sortedKeys: [String] {
        entries.keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    /// The value of `key`; a value that holds this very map is not taken, because it would never end.
    package subscript(key: String) -> GoValue? {
        get { storage.withLock { $0[key] } }
        set {
            if let newValue, contains(self, in: newValue, depth: 0) { return }
            storage.withLock { $0[key] = newValue }
        }
    }

    private func contains(_ map: GoMap, in value: GoValue, depth: Int) -> Bool {
        if depth > 100 { return true }
        switch value {
        case .map(let other):
            return other === map || other.entries.values.contains { contains(map, in: $0, depth: depth + 1) }
        case .list(let elements):
            return elements.contains { contains(map, in: $0, depth: depth + 1) }
        default:
            return false
        }
    }
}
