extension Array: AlloyTyped where Element: AlloyTyped {
    public static var alloyTypeName: String { "list(\(Element.alloyTypeName))" }
}

extension Array: AlloyDecodable where Element: AlloyDecodable {
    public static var placeholder: [Element] { [] }

    public init(alloy value: Value) throws(ValueError) {
        switch value {
        case .array(let elements):
            var result: [Element] = []
            result.reserveCapacity(elements.count)
            for (index, element) in elements.enumerated() {
                do throws(ValueError) {
                    result.append(try Element(alloy: element))
                } catch {
                    throw error.inside(.index(index))
                }
            }
            self = result
        case .null: self = []
        default: throw ValueError(expected: .array, got: value)
        }
    }
}

extension Array: AlloyEncodable where Element: AlloyEncodable {
    public var alloyValue: Value { .array(map(\.alloyValue)) }
}

extension Dictionary: AlloyTyped where Key == String, Value: AlloyTyped {
    public static var alloyTypeName: String { "map(\(Value.alloyTypeName))" }
}

extension Dictionary: AlloyDecodable where Key == String, Value: AlloyDecodable {
    public static var placeholder: [String: Value] { [:] }

    public init(alloy value: AlloySyntax.Value) throws(ValueError) {
        if case .null = value {
            self = [:]
            return
        }
        guard let fields = value.objectFields else { throw ValueError(expected: .object, got: value) }
        var result: [String: Value] = [:]
        result.reserveCapacity(fields.count)
        for (key, field) in fields.pairs {
            do throws(ValueError) {
                result[key] = try Value(alloy: field)
            } catch {
                throw error.inside(.field(key))
            }
        }
        self = result
    }
}

extension Dictionary: AlloyEncodable where Key == String, Value: AlloyEncodable {
    public var alloyValue: AlloySyntax.Value { .object(mapValues(\.alloyValue)) }
}

extension Optional: AlloyTyped where Wrapped: AlloyTyped {
    public static var alloyTypeName: String { Wrapped.alloyTypeName }
}

extension Optional: AlloyDecodable where Wrapped: AlloyDecodable {
    public static var placeholder: Wrapped? { nil }

    /// Reads `null` as `nil`.
    public init(alloy value: Value) throws(ValueError) {
        if case .null = value {
            self = nil
        } else {
            self = try Wrapped(alloy: value)
        }
    }
}

extension Optional: AlloyEncodable where Wrapped: AlloyEncodable {
    public var alloyValue: Value { self?.alloyValue ?? .null }
}
