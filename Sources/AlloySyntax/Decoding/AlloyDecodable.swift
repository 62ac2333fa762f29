/// A type with a name in the reference: `string`, `list(map(string))`, `capsule(Handler)`.
public protocol AlloyTyped {
    /// The name of the type as the reference spells it.
    static var alloyTypeName: String { get }
}

/// A type an attribute's value can be read into.
public protocol AlloyDecodable: AlloyTyped {
    /// What stands for a value that could not be read, so that reading can go on and find every error.
    static var placeholder: Self { get }

    /// Reads a value. `null` reads as the type's zero where it has one.
    init(alloy value: Value) throws(ValueError)
}

/// A type that can be shown as a value: exported, printed as a default, or put into the interface.
public protocol AlloyEncodable: AlloyTyped {
    /// The value.
    var alloyValue: Value { get }
}

/// A closed set of words: an enumeration whose raw values are the spellings.
public protocol AlloyWord: AlloyDecodable, AlloyEncodable, CaseIterable, RawRepresentable<String> {}

extension AlloyWord {
    public static var alloyTypeName: String { "string" }

    public init(alloy value: Value) throws(ValueError) {
        let text = try String(alloy: value)
        guard let word = Self(rawValue: text) else {
            let words = Self.allCases.map { StringLiteral.quoted($0.rawValue) }.joined(separator: ", ")
            throw ValueError("should be one of \(words)")
        }
        self = word
    }

    public var alloyValue: Value { .string(rawValue) }
}

extension AlloyDecodable where Self: CapsuleValue {
    public static var alloyTypeName: String { "capsule(\(capsuleName))" }

    /// Takes the carried value out of its capsule, or converts where the type knows how.
    public init(alloy value: Value) throws(ValueError) {
        if case .capsule(let capsule) = value, let same = capsule.unwrap(Self.self) {
            self = same
        } else if let converted = try Self.converted(from: value) {
            self = converted
        } else if value.type == .capsule {
            throw ValueError("expected capsule(\"\(Self.capsuleName)\"), got \(value.describedType)")
        } else {
            throw ValueError(expected: .capsule, got: value)
        }
    }
}

extension AlloyEncodable where Self: CapsuleValue {
    public static var alloyTypeName: String { "capsule(\(capsuleName))" }

    public var alloyValue: Value { .capsule(Capsule(self)) }
}

extension AlloyDecodable where Self: CapsuleValue & AlloyEncodable {
    public static var alloyTypeName: String { "capsule(\(capsuleName))" }
}

extension Value: AlloyDecodable, AlloyEncodable {
    public static var alloyTypeName: String { "any" }

    public static var placeholder: Value { .null }

    public init(alloy value: Value) throws(ValueError) { self = value }

    public var alloyValue: Value { self }
}

extension ObjectValue: AlloyDecodable, AlloyEncodable {
    public static var alloyTypeName: String { "object" }

    public static var placeholder: ObjectValue { ObjectValue() }

    public init(alloy value: Value) throws(ValueError) {
        if case .null = value {
            self = ObjectValue()
        } else if let fields = value.objectFields {
            self = fields
        } else {
            throw ValueError(expected: .object, got: value)
        }
    }

    public var alloyValue: Value { .object(self) }
}
