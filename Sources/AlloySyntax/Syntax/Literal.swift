/// A constant as it is written.
public struct Literal: Sendable, Equatable {
    /// What sort of constant it is.
    public enum Kind: Sendable, Equatable {
        /// `null`
        case null
        /// `true` or `false`
        case bool
        /// Decimal digits; any length, leading zeros allowed.
        case integer
        /// Digits with a fraction or an exponent.
        case float
        /// Text in double quotes with escapes, or in backticks without.
        case string
    }

    /// What sort of constant it is.
    public var kind: Kind

    /// The text as written, quotes and escapes included.
    public var text: String

    /// Makes a literal from its spelling, which is taken as it is.
    public init(kind: Kind, text: String) {
        self.kind = kind
        self.text = text
    }

    /// The literal `null`.
    public static let null = Literal(kind: .null, text: "null")

    /// The literal `true` or `false`.
    public static func bool(_ value: Bool) -> Literal {
        Literal(kind: .bool, text: value ? "true" : "false")
    }

    /// A string literal saying `value`, double quoted.
    public static func string(_ value: String) -> Literal {
        Literal(kind: .string, text: StringLiteral.quoted(value))
    }

    /// The value of a boolean literal; `nil` for every other kind.
    public var boolValue: Bool? {
        kind == .bool ? text == "true" : nil
    }

    /// The text a string literal stands for, escapes resolved; `nil` for every other kind and for malformed text.
    public var stringValue: String? {
        kind == .string ? StringLiteral.unquoted(text) : nil
    }
}
