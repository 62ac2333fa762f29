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
public struct Capsule: Sendable {
    /// The name between the parentheses of `capsule("...")`.
    public let typeName: String

    /// What is carried.
    public let payload: any Sendable

    /// The fields, when expressions may use the capsule like an object. Made anew each time: a list of targets holds tens
    /// of thousands of capsules, and their fields as values would take many times what the targets take.
    public var object: ObjectValue? { readObject() }

    /// What the interface shows; `nil` shows the type.
    public var text: String? { readText() }

    private let readObject: @Sendable () -> ObjectValue?
    private let readText: @Sendable () -> String?
    private let isSame: @Sendable (any Sendable) -> Bool

    /// Wraps a value that says itself how it behaves.
    public init<Wrapped: CapsuleValue>(_ value: Wrapped) {
        typeName = Wrapped.capsuleName
        payload = value
        readObject = { value.alloyObject }
        readText = { value.alloyText }
        isSame = { other in
            guard let other = other as? Wrapped else { return false }
            return value.isEqual(to: other)
        }
    }

    /// Wraps any value; without `isEqual` it is equal only to a capsule of the same object.
    public init<Wrapped: Sendable>(
        _ typeName: String, _ value: Wrapped, text: String? = nil,
        isEqual: (@Sendable (Wrapped, Wrapped) -> Bool)? = nil
    ) {
        self.typeName = typeName
        payload = value
        readObject = { nil }
        readText = { text }
        isSame = { other in
            guard let other = other as? Wrapped else { return false }
            if let isEqual { return isEqual(value, other) }
            guard Wrapped.self is AnyClass else { return false }
            return (value as AnyObject) === (other as AnyObject)
        }
    }

    /// What is carried, when it is of the given type.
    public func unwrap<Wrapped>(_ type: Wrapped.Type = Wrapped.self) -> Wrapped? {
        payload as? Wrapped
    }

    static func areEqual<T: Equatable>(_ left: T, _ right: any CapsuleValue) -> Bool {
        guard let right = right as? T else { return false }
        return left == right
    }
}

extension Capsule: Equatable {
    /// Compares what is carried by the rule the capsule was made with.
    public static func == (left: Capsule, right: Capsule) -> Bool {
        left.typeName == right.typeName && left.isSame(right.payload)
    }
}
