/// The fields of an Alloy object.
///
/// An object written in a configuration has no order and prints its keys sorted; one a component exports prints them in
/// the order it wrote them.
public struct ObjectValue: Sendable {
    private var fields: [String: Value]
    private var order: [String]?

    /// Makes an object whose keys print sorted.
    public init(_ fields: [String: Value] = [:]) {
        self.fields = fields
        order = nil
    }

    /// Makes an object whose keys keep their order; a key that repeats keeps its first place and its last value.
    public init(ordered pairs: [(String, Value)]) {
        fields = [:]
        var order: [String] = []
        for (key, value) in pairs where fields.updateValue(value, forKey: key) == nil {
            order.append(key)
        }
        self.order = order
    }

    /// The value of a key; `nil` when the object has no such key.
    public subscript(key: String) -> Value? {
        get { fields[key] }
        set {
            let isNew = fields[key] == nil
            fields[key] = newValue
            guard order != nil else { return }
            if newValue == nil {
                order?.removeAll { $0 == key }
            } else if isNew {
                order?.append(key)
            }
        }
    }

    /// How many fields there are.
    public var count: Int { fields.count }

    /// Whether there is no field.
    public var isEmpty: Bool { fields.isEmpty }

    /// The keys in the order they print; O(n log n) for an object without an order.
    public var keys: [String] { order ?? fields.keys.sorted() }

    /// The values, in no order.
    public var values: Dictionary<String, Value>.Values { fields.values }

    /// The fields in the order they print.
    public var pairs: [(key: String, value: Value)] { keys.map { ($0, fields[$0] ?? .null) } }

    /// The fields by name.
    public var dictionary: [String: Value] { fields }
}

extension ObjectValue: Equatable {
    /// Compares the fields; order changes nothing.
    public static func == (left: ObjectValue, right: ObjectValue) -> Bool { left.fields == right.fields }
}

extension ObjectValue: ExpressibleByDictionaryLiteral {
    public init(dictionaryLiteral elements: (String, Value)...) {
        self.init(Dictionary(elements) { _, last in last })
    }
}
