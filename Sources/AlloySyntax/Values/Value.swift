public import Essentials

/// What an Alloy expression evaluates to.
///
/// Secrets are values of their own kind: no operation but `convert.nonsensitive` turns one into a string, and every
/// printed form of one is `(secret)`.
public enum Value: Sendable {
    /// Nothing.
    case null
    /// `true` or `false`.
    case bool(Bool)
    /// A number.
    case number(Number)
    /// Text.
    case string(String)
    /// Values in order.
    case array([Value])
    /// Values by name.
    case object(ObjectValue)
    /// Something to call.
    case function(Function)
    /// Something only components understand.
    case capsule(Capsule)
    /// Text that must not be shown.
    case secret(Secret<String>)
    /// Text that may have to stay hidden, depending on where it came from.
    case optionalSecret(OptionalSecret)

    /// A signed number.
    public static func int(_ value: some BinaryInteger) -> Value {
        if let signed = Int64(exactly: value) { return .number(.int(signed)) }
        return .number(.uint(UInt64(truncatingIfNeeded: value)))
    }

    /// A floating-point number.
    public static func float(_ value: Double) -> Value { .number(.float(value)) }

    /// An object without an order of its own.
    public static func object(_ fields: [String: Value]) -> Value { .object(ObjectValue(fields)) }

    /// The kind of the value.
    public var type: ValueType {
        switch self {
        case .null: .null
        case .bool: .bool
        case .number: .number
        case .string: .string
        case .array: .array
        case .object: .object
        case .function: .function
        case .capsule, .secret, .optionalSecret: .capsule
        }
    }

    /// The kind with the capsule's name: `capsule("MetricsReceiver")`.
    public var describedType: String {
        switch self {
        case .capsule(let capsule): "capsule(\"\(capsule.typeName)\")"
        case .secret: "capsule(\"alloytypes.Secret\")"
        case .optionalSecret: "capsule(\"alloytypes.OptionalSecret\")"
        default: type.rawValue
        }
    }

    /// The fields of an object, or of a capsule that reads as one; `nil` for every other value.
    public var objectFields: ObjectValue? {
        switch self {
        case .object(let object): object
        case .capsule(let capsule): capsule.object
        default: nil
        }
    }

    /// Whether a secret is anywhere inside the value.
    public var containsSecret: Bool {
        switch self {
        case .secret: true
        case .optionalSecret(let value): value.isSecret
        case .array(let elements): elements.contains { $0.containsSecret }
        case .object(let object): object.values.contains { $0.containsSecret }
        default: false
        }
    }
}

/// The kinds of values, as messages call them.
public enum ValueType: String, Sendable {
    /// Nothing.
    case null
    /// A number.
    case number
    /// Text.
    case string
    /// `true` or `false`.
    case bool
    /// Values in order.
    case array
    /// Values by name.
    case object
    /// Something to call.
    case function
    /// Something only components understand; secrets count as one.
    case capsule
}

extension Value: Equatable {
    /// The equality of Alloy's `==`: values of two kinds differ, numbers compare across their kinds, and no function
    /// equals another.
    public static func == (left: Value, right: Value) -> Bool {
        switch (left, right) {
        case (.null, .null): true
        case (.bool(let a), .bool(let b)): a == b
        case (.number(let a), .number(let b)): a == b
        case (.string(let a), .string(let b)): a.utf8.elementsEqual(b.utf8)
        case (.array(let a), .array(let b)): a == b
        case (.object(let a), .object(let b)): a == b
        case (.capsule(let a), .capsule(let b)): a == b
        case (.secret(let a), .secret(let b)): a == b
        case (.optionalSecret(let a), .optionalSecret(let b)): a == b
        default: false
        }
    }
}

extension Value: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByFloatLiteral, ExpressibleByArrayLiteral
{
    /// Text.
    public init(stringLiteral value: String) { self = .string(value) }
    /// A signed number.
    public init(integerLiteral value: Int64) { self = .number(.int(value)) }
    /// `true` or `false`.
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    /// A floating-point number.
    public init(floatLiteral value: Double) { self = .number(.float(value)) }
    /// An array.
    public init(arrayLiteral elements: Value...) { self = .array(elements) }
}
