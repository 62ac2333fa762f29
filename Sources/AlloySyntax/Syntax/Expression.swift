/// An expression: what stands right of an attribute's `=`, and every part of it.
///
/// Two expressions are equal when they say the same, wherever they stand.
public struct Expression: Sendable {
    /// What the expression is, with its parts.
    public indirect enum Kind: Sendable, Equatable {
        /// A number, string, boolean or `null`.
        case literal(Literal)
        /// `[a, b]`.
        case array([Expression])
        /// `{ key = value, ... }`, in source order; keys may repeat.
        case object([ObjectField])
        /// A name alone.
        case identifier(String)
        /// `base.name`.
        case access(Expression, name: Identifier)
        /// `base[index]`.
        case index(Expression, index: Expression)
        /// `function(arguments)`.
        case call(Expression, arguments: [Expression])
        /// `-operand` or `!operand`.
        case unary(UnaryOperator, Expression)
        /// `left operator right`.
        case binary(BinaryOperator, Expression, Expression)
        /// `(inner)`.
        case parenthesized(Expression)
    }

    /// What the expression is.
    public var kind: Kind

    /// The bytes of the whole expression.
    public var range: SourceRange

    /// The offset of the token that makes the expression what it is: the operator, the `.`, or the bracket that opens an
    /// index, call, array, object or parenthesis; the start for everything else.
    public var anchor: Int

    /// Makes an expression; `range` and `anchor` are left out for one built in memory.
    public init(_ kind: Kind, range: SourceRange = .unknown, anchor: Int? = nil) {
        self.kind = kind
        self.range = range
        self.anchor = anchor ?? range.start
    }
}

extension Expression: Equatable {
    /// Compares what the expressions say, not where they stand.
    public static func == (left: Expression, right: Expression) -> Bool {
        left.kind == right.kind
    }
}

/// A name and where it stands.
public struct Identifier: Sendable {
    /// The name.
    public var name: String

    /// The bytes of the name.
    public var range: SourceRange

    /// Makes an identifier.
    public init(_ name: String, range: SourceRange = .unknown) {
        self.name = name
        self.range = range
    }
}

extension Identifier: Equatable {
    /// Compares the names only.
    public static func == (left: Identifier, right: Identifier) -> Bool {
        left.name == right.name
    }
}

/// One `key = value` of an object.
public struct ObjectField: Sendable {
    /// The key. For a quoted key this is the text between the quotes with its escapes unresolved, as Alloy reads it.
    /// The key `""` is kept with its quotes, as Alloy does.
    public var name: Identifier

    /// Whether the key was quoted.
    public var isQuoted: Bool

    /// The value.
    public var value: Expression

    /// Makes a field.
    public init(name: Identifier, isQuoted: Bool, value: Expression) {
        self.name = name
        self.isQuoted = isQuoted
        self.value = value
    }
}

extension ObjectField: Equatable {
    /// Compares key and value; quotes around a key change nothing.
    public static func == (left: ObjectField, right: ObjectField) -> Bool {
        left.name == right.name && left.value == right.value
    }
}

/// An operator with one operand.
public enum UnaryOperator: String, Sendable, CaseIterable {
    /// `-`
    case negate = "-"
    /// `!`
    case not = "!"
}

/// An operator between two operands; the raw value is its spelling.
public enum BinaryOperator: String, Sendable, CaseIterable {
    /// `||`
    case or = "||"
    /// `&&`
    case and = "&&"
    /// `==`
    case equal = "=="
    /// `!=`
    case notEqual = "!="
    /// `<`
    case less = "<"
    /// `<=`
    case lessOrEqual = "<="
    /// `>`
    case greater = ">"
    /// `>=`
    case greaterOrEqual = ">="
    /// `+`
    case add = "+"
    /// `-`
    case subtract = "-"
    /// `*`
    case multiply = "*"
    /// `/`
    case divide = "/"
    /// `%`
    case remainder = "%"
    /// `^`, the only one that groups from the right
    case power = "^"

    /// How strongly the operator binds, from 1 (`||`) to 6 (`^`).
    public var precedence: Int {
        switch self {
        case .or: 1
        case .and: 2
        case .equal, .notEqual, .less, .lessOrEqual, .greater, .greaterOrEqual: 3
        case .add, .subtract: 4
        case .multiply, .divide, .remainder: 5
        case .power: 6
        }
    }
}
