/// A value that cannot be printed, encoded or compared in variable time by accident.
///
/// Every textual form is `(secret)`. The only way to the value is ``reveal(_:)``, called at the moment of use.
public struct Secret<Value: Sendable>: Sendable {
    private let value: Value

    public init(_ value: Value) {
        self.value = value
    }

    /// Hands the value to `body`, which must not keep it longer than its use needs.
    public func reveal<Result, Failure: Error>(_ body: (Value) throws(Failure) -> Result) throws(Failure) -> Result {
        try body(value)
    }
}

extension Secret: Equatable where Value == String {
    /// Compares in time that depends on the lengths only.
    public static func == (left: Secret, right: Secret) -> Bool {
        let a = Array(left.value.utf8)
        let b = Array(right.value.utf8)
        guard a.count == b.count else { return false }
        var difference: UInt8 = 0
        for index in a.indices { difference |= a[index] ^ b[index] }
        return difference == 0
    }
}

extension Secret: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    public var description: String { "(secret)" }
    public var debugDescription: String { "(secret)" }
    public var customMirror: Mirror { Mirror(self, children: []) }
}

extension DefaultStringInterpolation {
    /// Refuses at compile time: warnings are errors, and this overload is always deprecated.
    @available(*, deprecated, message: "a Secret must not be interpolated; use reveal where the value is sent")
    public mutating func appendInterpolation<Value>(_ secret: Secret<Value>) {
        appendLiteral("(secret)")
    }
}
