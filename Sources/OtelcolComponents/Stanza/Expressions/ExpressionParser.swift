import TextFormats

/// Makes a tree of an expression, by precedence. Names of what is not supported are refused here.
struct ExpressionParser {
    private var lexer: ExpressionLexer
    private var token = ExpressionToken.end
    private var depth = 0

    /// Predicates around the word.
    private var predicates = 0

    /// Variables around the word, the outermost first.
    private var variables: [String] = []

    /// Words so far; the tree is not deeper than that.
    private var parts = 0

    private static let maximumDepth = 100
    private static let maximumParts = 2000
    /// Each looks at every element of a list, once for each element of those around it.
    private static let maximumPredicates = 4

    init(_ text: String) throws(StanzaError) {
        lexer = ExpressionLexer(text)
        token = try lexer.next()
    }

    mutating func finish() throws(StanzaError) {
        if token != .end { throw unexpected() }
    }

    private func unexpected() -> StanzaError {
        switch token {
        case .symbol(".."): StanzaError("ranges are not supported in expressions")
        case .symbol("#"): StanzaError("# has no meaning outside of predicates")
        case .symbol(";"): StanzaError("; stands between let and what follows, not elsewhere in expressions")
        case .symbol("="): StanzaError("= stands in let only: use == to compare")
        default: StanzaError("unexpected \(token.text) in the expression")
        }
    }

    private mutating func advance() throws(StanzaError) {
        parts += 1
        guard parts <= Self.maximumParts else { throw StanzaError("expression has too many parts") }
        token = try lexer.next()
    }

    private mutating func take(_ symbol: String) throws(StanzaError) -> Bool {
        guard token == .symbol(symbol) || token == .name(symbol) else { return false }
        try advance()
        return true
    }

    private mutating func expect(_ symbol: String) throws(StanzaError) {
        if try !take(symbol) { throw unexpected() }
    }

    // MARK: Levels of precedence

    mutating func expression() throws(StanzaError) -> ExpressionNode {
        depth += 1
        defer { depth -= 1 }
        guard depth <= Self.maximumDepth else { throw StanzaError("expression is nested too deeply") }
        if token == .name("let") { return try binding() }
        if token == .name("if") { return try choice() }
        var condition = try binary(0)
        while token == .symbol("|") {
            try advance()
            guard case .name(let name) = token else { throw unexpected() }
            try advance()
            try expect("(")
            condition = try postfix(try call(name, [condition]))
        }
        if try take("?") {
            if try take(":") { return .coalesce(condition, try expression()) }
            let first = try expression()
            try expect(":")
            return .conditional(condition, first, try expression())
        }
        return condition
    }

    /// `let name = value; rest`.
    private mutating func binding() throws(StanzaError) -> ExpressionNode {
        try advance()
        guard case .name(let name) = token else { throw unexpected() }
        let isTaken =
            Self.names.contains(name) || variables.contains(name) || ExpressionFunction(rawValue: name) != nil
            || ExpressionPredicate(rawValue: name) != nil
        if isTaken { throw StanzaError("let cannot give \(name) another meaning") }
        try advance()
        try expect("=")
        let value = try expression()
        try expect(";")
        variables.append(name)
        defer { variables.removeLast() }
        return .binding(value, try expression())
    }

    /// `if condition { first } else { second }`, and another `if` in place of the second.
    private mutating func choice() throws(StanzaError) -> ExpressionNode {
        try advance()
        let condition = try expression()
        try expect("{")
        let first = try expression()
        try expect("}")
        try expect("else")
        if token == .name("if") { return .conditional(condition, first, try expression()) }
        try expect("{")
        let second = try expression()
        try expect("}")
        return .conditional(condition, first, second)
    }

    private static let names: Set = [
        "true", "false", "nil", "body", "attributes", "resource", "timestamp", "let", "if", "else", "not", "and", "or",
        "in", "matches", "contains", "startsWith", "endsWith",
    ]

    /// Operators by precedence, the weakest first.
    private static let levels: [[String: ExpressionOperator]] = [
        ["or": .or, "||": .or],
        ["and": .and, "&&": .and],
        [
            "==": .equal, "!=": .notEqual, "<": .less, "<=": .lessOrEqual, ">": .greater, ">=": .greaterOrEqual,
            "in": .isIn, "matches": .matches, "contains": .contains, "startsWith": .startsWith, "endsWith": .endsWith,
        ],
        ["+": .add, "-": .subtract],
        ["*": .multiply, "/": .divide, "%": .remainder],
    ]

    private mutating func binary(_ level: Int) throws(StanzaError) -> ExpressionNode {
        guard level < Self.levels.count else { return try power() }
        var left = try binary(level + 1)
        while true {
            var isNegated = false
            let word: String
            switch token {
            case .name(let text), .symbol(let text): word = text
            default: return left
            }
            var found = Self.levels[level][word]
            if level == 2, word == "not" {
                // `a not in b`: only here can `not` follow a value.
                isNegated = true
                try advance()
                guard case .name(let next) = token, let kind = Self.levels[2][next] else { throw unexpected() }
                found = kind
            }
            guard let kind = found else { return left }
            try advance()
            let right = try binary(level + 1)
            var node = ExpressionNode.binary(kind, left, right)
            if kind == .matches, case .literal(.string(let pattern)) = right {
                do throws(RegularExpressionError) {
                    node = .matches(left, try RegularExpression(String(decoding: pattern, as: UTF8.self)))
                } catch {
                    throw StanzaError("\(error)")
                }
            }
            left = isNegated ? .not(node) : node
        }
    }

    private mutating func power() throws(StanzaError) -> ExpressionNode {
        let base = try unary()
        if token == .symbol("**") || token == .symbol("^") {
            try advance()
            depth += 1
            defer { depth -= 1 }
            guard depth <= Self.maximumDepth else { throw StanzaError("expression is nested too deeply") }
            return .binary(.power, base, try power())
        }
        if token == .symbol("??") {
            try advance()
            return .coalesce(base, try power())
        }
        return base
    }

    private mutating func unary() throws(StanzaError) -> ExpressionNode {
        depth += 1
        defer { depth -= 1 }
        guard depth <= Self.maximumDepth else { throw StanzaError("expression is nested too deeply") }
        if token == .name("not") || token == .symbol("!") {
            try advance()
            return .not(try unary())
        }
        if try take("-") { return .negative(try unary()) }
        if try take("+") { return try unary() }
        return try postfix(try primary())
    }

    private mutating func postfix(_ start: ExpressionNode) throws(StanzaError) -> ExpressionNode {
        var node = start
        while true {
            if token == .symbol(".") || token == .symbol("?.") {
                let isOptional = token == .symbol("?.")
                try advance()
                guard case .name(let name) = token else { throw unexpected() }
                try advance()
                if token == .symbol("(") {
                    throw StanzaError("methods such as \(name)() are not supported in expressions")
                }
                node = .member(node, .literal(.string(Array(name.utf8))), isOptional: isOptional)
            } else if try take("[") {
                let start: ExpressionNode? = token == .symbol(":") ? nil : try expression()
                if try take(":") {
                    let end: ExpressionNode? = token == .symbol("]") ? nil : try expression()
                    node = .slice(node, from: start, to: end)
                } else if let start {
                    node = .member(node, start, isOptional: false)
                }
                try expect("]")
            } else {
                return node
            }
        }
    }

    private mutating func primary() throws(StanzaError) -> ExpressionNode {
        switch token {
        case .int(let value):
            try advance()
            return .literal(.int(value))
        case .double(let value):
            try advance()
            return .literal(.double(value))
        case .string(let value):
            try advance()
            return .literal(.string(value))
        case .symbol("("):
            try advance()
            let inner = try expression()
            try expect(")")
            return inner
        case .symbol("["):
            try advance()
            return .list(try arguments(until: "]"))
        case .symbol("{"):
            try advance()
            return .map(try pairs())
        case .symbol("#") where predicates > 0:
            try advance()
            guard token == .name("index") else { return .element }
            try advance()
            return .index
        case .symbol(".") where predicates > 0:
            // `.name` is `#.name`.
            return .element
        case .name(let name): return try named(name)
        default: throw unexpected()
        }
    }

    /// Keys with their values, until the bracket is closed.
    private mutating func pairs() throws(StanzaError) -> [(key: ExpressionNode, value: ExpressionNode)] {
        var pairs: [(key: ExpressionNode, value: ExpressionNode)] = []
        while try !take("}") {
            if !pairs.isEmpty {
                try expect(",")
                if try take("}") { break }
            }
            let key: ExpressionNode
            switch token {
            case .name(let name):
                key = .literal(.string(Array(name.utf8)))
                try advance()
            case .string(let text):
                key = .literal(.string(text))
                try advance()
            case .int(let number):
                key = .literal(.string(Array(String(number).utf8)))
                try advance()
            case .symbol("("):
                try advance()
                key = try expression()
                try expect(")")
            default: throw unexpected()
            }
            try expect(":")
            pairs.append((key, try expression()))
        }
        return pairs
    }

    /// A call whose opening bracket has been read; `first` are arguments that stand before a pipe.
    private mutating func call(_ name: String, _ first: [ExpressionNode]) throws(StanzaError) -> ExpressionNode {
        if let kind = ExpressionPredicate(rawValue: name) { return try predicate(kind, first) }
        guard let function = ExpressionFunction(rawValue: name) else {
            throw StanzaError("function \(name) is not supported in expressions")
        }
        let given = first + (try arguments(until: ")"))
        guard function.argumentCounts.contains(given.count) else {
            throw StanzaError("function \(name) does not take \(given.count) arguments")
        }
        return .call(function, given)
    }

    private mutating func predicate(
        _ kind: ExpressionPredicate, _ first: [ExpressionNode]
    ) throws(StanzaError) -> ExpressionNode {
        var list = first.first
        if list == nil {
            list = try expression()
            if token != .symbol(")") { try expect(",") }
        }
        guard let list else { throw unexpected() }
        if kind == .count, try take(")") { return .predicate(kind, list, nil) }
        predicates += 1
        defer { predicates -= 1 }
        guard predicates <= Self.maximumPredicates else { throw StanzaError("predicates are nested too deeply") }
        let isInBraces = try take("{")
        let condition = try expression()
        if isInBraces { try expect("}") }
        try expect(")")
        return .predicate(kind, list, condition)
    }

    private mutating func named(_ name: String) throws(StanzaError) -> ExpressionNode {
        try advance()
        if try take("(") { return try call(name, []) }
        switch name {
        case "true": return .literal(.bool(true))
        case "false": return .literal(.bool(false))
        case "nil": return .literal(.null)
        case "body", "$": return .body
        case "attributes": return .attributes
        case "resource": return .resource
        case "timestamp": return .timestamp
        case "let", "if", "else": throw StanzaError("\(name) cannot stand here: put it in brackets")
        default: return variables.firstIndex(of: name).map { .variable($0) } ?? .literal(.null)
        }
    }

    private mutating func arguments(until end: String) throws(StanzaError) -> [ExpressionNode] {
        var nodes: [ExpressionNode] = []
        if try take(end) { return nodes }
        while true {
            nodes.append(try expression())
            if try take(end) { return nodes }
            try expect(",")
        }
    }
}
