/// A type whose values travel through configurations without being understood there: receivers, targets, handlers.
///
/// A conforming type decodes from and encodes to an Alloy capsule of `capsuleName` without further code.
public protocol CapsuleValue: Sendable {
    /// The name between the parentheses of `capsule("...")`.
    static var capsuleName: String { get }

    /// The fields, when expressions may use the value like an object; `nil` when they may not.
    var alloyObject: ObjectValue? { get }

    /// What the interface shows; `nil` shows the name of the type.
    var alloyText: String? { get }

    /// Whether another value of the same type says the same.
    func isEqual(to other: any CapsuleValue) -> Bool

    /// The value another kind of value converts to; `nil` when that kind does not convert.
    static func converted(from value: Value) throws(ValueError) -> Self?
}

extension CapsuleValue {
    public var alloyObject: ObjectValue? { nil }

    public var alloyText: String? { nil }

    /// Compares with `==` where the type has it, by identity for classes, and otherwise says no.
    public func isEqual(to other: any CapsuleValue) -> Bool {
        if let equatable = self as? any Equatable { return Capsule.areEqual(equatable, other) }
        guard Self.self is AnyClass else { return false }
        return (self as AnyObject) === (other as AnyObject)
    }

    public static func converted(from value: Value) throws(ValueError) -> Self? { nil }
}

/// A value Alloy carries without understanding it.
///
/// Small values that say themselves how they behave stand in it without an allocation: a list of targets holds tens of
/// thousands of capsules.
public struct Capsule: Sendable {
    private enum Content: Sendable {
        case value(any CapsuleValue)
        case foreign(any ForeignCapsule)
    }

    private let content: Content

    /// Wraps a value that says itself how it behaves.
    public init(_ value: some CapsuleValue) { content = .value(value) }

    /// Wraps any value; without `isEqual` it is equal only to a capsule of the same object.
    public init<Wrapped: Sendable>(
        _ typeName: String, _ value: Wrapped, text: String? = nil,
        isEqual: (@Sendable (Wrapped, Wrapped) -> Bool)? = nil
    ) {
        content = .foreign(WrappedValue(typeName, value, text: text, isEqual: isEqual))
    }

    /// The name between the parentheses of `capsule("...")`.
    public var typeName: String {
        switch content {
        case .value(let value): type(of: value).capsuleName
        case .foreign(let wrapped): wrapped.typeName
        }
    }

    /// What is carried.
    public var payload: any Sendable {
        switch content {
        case .value(let value): value
        case .foreign(let wrapped): wrapped.payload
        }
    }

    /// The fields, when expressions may use the capsule like an object. Made anew each time: as values they would take
    /// many times what is carried.
    public var object: ObjectValue? {
        if case .value(let value) = content { value.alloyObject } else { nil }
    }

    /// What the interface shows; `nil` shows the type.
    public var text: String? {
        switch content {
        case .value(let value): value.alloyText
        case .foreign(let wrapped): wrapped.text
        }
    }

    /// What is carried, when it is of the given type.
    public func unwrap<Wrapped>(_ type: Wrapped.Type = Wrapped.self) -> Wrapped? {
        switch content {
        case .value(let value): value as? Wrapped
        case .foreign(let wrapped): wrapped.payload as? Wrapped
        }
    }

    static func areEqual<T: Equatable>(_ left: T, _ right: any CapsuleValue) -> Bool {
        guard let right = right as? T else { return false }
        return left == right
    }
}

extension Capsule: Equatable {
    /// Compares what is carried by the rule the capsule was made with.
    public static func == (left: Capsule, right: Capsule) -> Bool {
        guard left.typeName == right.typeName else { return false }
        switch (left.content, right.content) {
        case (.value(let a), .value(let b)): return type(of: a) == type(of: b) && a.isEqual(to: b)
        case (.foreign(let a), .foreign(let b)): return a.isEqual(to: b)
        default: return false
        }
    }
}

/// A value that knows nothing of capsules, with what its capsule says of it.
private protocol ForeignCapsule: AnyObject, Sendable {
    var typeName: String { get }
    var payload: any Sendable { get }
    var text: String? { get }
    func isEqual(to other: any ForeignCapsule) -> Bool
}

private final class WrappedValue<Wrapped: Sendable>: ForeignCapsule {
    let typeName: String
    let value: Wrapped
    let text: String?
    private let areEqual: (@Sendable (Wrapped, Wrapped) -> Bool)?

    init(_ typeName: String, _ value: Wrapped, text: String?, isEqual: (@Sendable (Wrapped, Wrapped) -> Bool)?) {
        self.typeName = typeName
        self.value = value
        self.text = text
        areEqual = isEqual
    }

    var payload: any Sendable { value }

    func isEqual(to other: any ForeignCapsule) -> Bool {
        guard let other = other as? WrappedValue<Wrapped> else { return false }
        if let areEqual { return areEqual(value, other.value) }
        guard Wrapped.self is AnyClass else { return false }
        return (value as AnyObject) === (other.value as AnyObject)
    }
}
