/// A function of the standard library.
public struct Function: Sendable {
    /// Why a call failed.
    public enum Failure: Error, Sendable, Equatable {
        /// One argument, counted from 0, was not acceptable.
        case argument(Int, ValueError)
        /// The call as a whole failed.
        case call(String)
    }

    /// The full name, such as `array.concat`.
    public let name: String

    private let body: @Sendable ([Value]) throws(Failure) -> Value

    /// Makes a function.
    public init(_ name: String, _ body: @escaping @Sendable ([Value]) throws(Failure) -> Value) {
        self.name = name
        self.body = body
    }

    /// Calls the function.
    public func callAsFunction(_ arguments: [Value]) throws(Failure) -> Value {
        try body(arguments)
    }
}
