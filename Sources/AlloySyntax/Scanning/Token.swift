/// The smallest piece of a configuration: what it is and which bytes it covers.
struct Token: Equatable {
    var kind: TokenKind
    /// The offset of the first byte.
    var start: Int
    /// The offset after the last byte; the start for a terminator and at the end of the file.
    var end: Int
}

/// What a token is; the raw value is the name messages use for it.
enum TokenKind: String {
    case illegal = "ILLEGAL"
    case endOfFile = "EOF"
    case comment = "COMMENT"

    case identifier = "IDENT"
    case number = "NUMBER"
    case float = "FLOAT"
    case string = "STRING"
    case bool = "BOOL"
    case null = "NULL"

    case or = "||"
    case and = "&&"
    case not = "!"
    case assign = "="
    case equal = "=="
    case notEqual = "!="
    case less = "<"
    case lessOrEqual = "<="
    case greater = ">"
    case greaterOrEqual = ">="
    case add = "+"
    case subtract = "-"
    case multiply = "*"
    case divide = "/"
    case remainder = "%"
    case power = "^"

    case leftCurly = "{"
    case rightCurly = "}"
    case leftParenthesis = "("
    case rightParenthesis = ")"
    case leftBracket = "["
    case rightBracket = "]"
    case comma = ","
    case dot = "."

    case terminator = "TERMINATOR"

    /// The binary operator the token spells, if any.
    var binaryOperator: BinaryOperator? {
        switch self {
        case .or: .or
        case .and: .and
        case .equal: .equal
        case .notEqual: .notEqual
        case .less: .less
        case .lessOrEqual: .lessOrEqual
        case .greater: .greater
        case .greaterOrEqual: .greaterOrEqual
        case .add: .add
        case .subtract: .subtract
        case .multiply: .multiply
        case .divide: .divide
        case .remainder: .remainder
        case .power: .power
        default: nil
        }
    }

    /// The unary operator the token spells, if any.
    var unaryOperator: UnaryOperator? {
        switch self {
        case .not: .not
        case .subtract: .negate
        default: nil
        }
    }

    /// Whether a newline after the token ends the statement.
    var endsStatement: Bool {
        switch self {
        case .identifier, .number, .float, .string, .bool, .null, .rightCurly, .rightParenthesis, .rightBracket: true
        default: false
        }
    }
}
