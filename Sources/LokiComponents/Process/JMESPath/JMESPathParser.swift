import TextFormats

/// Parses by operator precedence, with the binding powers of go-jmespath.
struct JMESPathParser {
    private let tokens: [JMESPathToken]
    private var position = 0
    private var depth = 0

    private static let maximumDepth = 200

    init(_ text: String) throws(JMESPathError) {
        var lexer = JMESPathLexer(text)
        tokens = try lexer.tokens()
    }

    mutating func parse() throws(JMESPathError) -> JMESPath.Node {
        let node = try expression(0)
        guard current == .end else {
            throw JMESPathError("SyntaxError: Unexpected token at the end of the expression: \(current.name)")
        }
        return node
    }

    private var current: JMESPathToken { tokens[min(position, tokens.count - 1)] }
    private var following: JMESPathToken { tokens[min(position + 1, tokens.count - 1)] }

    private mutating func advance() -> JMESPathToken {
        let token = current
        if position < tokens.count - 1 { position += 1 }
        return token
    }

    private mutating func take(_ symbol: String) -> Bool {
        guard current == .symbol(symbol) else { return false }
        position += 1
        return true
    }

    private mutating func expect(_ symbol: String) throws(JMESPathError) {
        guard take(symbol) else { throw JMESPathError("SyntaxError: Expected \(symbol), received: \(current.name)") }
    }

    private static func power(_ token: JMESPathToken) -> Int {
        guard case .symbol(let symbol) = token else { return 0 }
        switch symbol {
        case "|", "=": return 1
        case "||": return 2
        case "&&": return 3
        case "==", "<", "<=", ">", ">=", "!=": return 5
        case "-", "+": return 6
        case "/", "//", "%", "\u{D7}": return 7
        case "[]": return 9
        case "*": return 20
        case "[?": return 21
        case ".": return 40
        case "!": return 45
        case "{": return 50
        case "[": return 55
        case "(": return 60
        default: return 0
        }
    }

    private mutating func expression(_ power: Int) throws(JMESPathError) -> JMESPath.Node {
        depth += 1
        defer { depth -= 1 }
        if depth > Self.maximumDepth { throw JMESPathError("SyntaxError: expression is nested too deeply") }
        var left = try prefix(advance())
        while power < Self.power(current) { left = try infix(advance(), left) }
        return left
    }

    private mutating func prefix(_ token: JMESPathToken) throws(JMESPathError) -> JMESPath.Node {
        switch token {
        case .variable(let name): return .variable(name)
        case .literal(let value): return .literal(value)
        case .identifier("let"):
            if case .variable = current { return try letExpression() }
            return .field("let")
        case .identifier(let name): return .field(name)
        case .quoted(let name):
            if current == .symbol("(") {
                throw JMESPathError("SyntaxError: Can't have quoted identifier as function name.")
            }
            return .field(name)
        case .end: throw JMESPathError("SyntaxError: Incomplete expression")
        case .number: throw JMESPathError("SyntaxError: Invalid token: \(token.name)")
        case .symbol(let symbol): return try prefix(symbol)
        }
    }

    private mutating func prefix(_ symbol: String) throws(JMESPathError) -> JMESPath.Node {
        switch symbol {
        case "+": return .positive(try expression(6))
        case "-": return .negative(try expression(6))
        case "*":
            if current == .symbol("]") { return .valueProjection(.current, .current) }
            return .valueProjection(.current, try projected(20))
        case "[?": return try filter(.current)
        case "{": return try multiSelectHash()
        case "[]": return .projection(.flatten(.current), try projected(9))
        case "[":
            if isIndex { return try index(of: .current) }
            if current == .symbol("*"), following == .symbol("]") {
                position += 2
                return .projection(.current, try projected(20))
            }
            return try multiSelectList()
        case "@": return .current
        case "$": return .root
        case "&": return .expression(try expression(0))
        case "!": return .not(try expression(45))
        case "(":
            let node = try expression(0)
            try expect(")")
            return node
        default: throw JMESPathError("SyntaxError: Invalid token: \(symbol)")
        }
    }

    private mutating func infix(_ token: JMESPathToken, _ left: JMESPath.Node) throws(JMESPathError) -> JMESPath.Node {
        guard case .symbol(let symbol) = token else { throw JMESPathError("SyntaxError: Unexpected token") }
        switch symbol {
        case ".":
            if take("*") { return .valueProjection(left, try projected(40)) }
            return .sub(left, try afterDot(40))
        case "|": return .pipe(left, try expression(1))
        case "||": return .or(left, try expression(2))
        case "&&": return .and(left, try expression(3))
        case "(":
            guard case .field(let name) = left else {
                throw JMESPathError("SyntaxError: Invalid node as function name.")
            }
            return try call(name)
        case "[?": return try filter(left)
        case "[]": return .projection(.flatten(left), try projected(9))
        case "+": return .arithmetic(.plus, left, try expression(6))
        case "-": return .arithmetic(.minus, left, try expression(6))
        case "*": return .arithmetic(.multiply, left, try expression(20))
        case "\u{D7}": return .arithmetic(.multiply, left, try expression(7))
        case "/": return .arithmetic(.divide, left, try expression(7))
        case "%": return .arithmetic(.modulo, left, try expression(7))
        case "//": return .arithmetic(.floorDivide, left, try expression(7))
        case "==": return .compare(.equal, left, try expression(5))
        case "!=": return .compare(.notEqual, left, try expression(5))
        case "<": return .compare(.less, left, try expression(5))
        case "<=": return .compare(.lessOrEqual, left, try expression(5))
        case ">": return .compare(.greater, left, try expression(5))
        case ">=": return .compare(.greaterOrEqual, left, try expression(5))
        case "[":
            if isIndex { return try index(of: left) }
            try expect("*")
            try expect("]")
            return .projection(left, try projected(20))
        default: throw JMESPathError("SyntaxError: Unexpected token: \(symbol)")
        }
    }

    private var isIndex: Bool {
        if case .number = current { return true }
        return current == .symbol(":")
    }

    private mutating func index(of left: JMESPath.Node) throws(JMESPathError) -> JMESPath.Node {
        if current != .symbol(":"), following != .symbol(":") {
            guard case .number(let number) = advance() else { throw JMESPathError("SyntaxError: Expected tNumber") }
            try expect("]")
            return .sub(left, .index(number))
        }
        var parts: [Int?] = [nil, nil, nil]
        var part = 0
        while current != .symbol("]") {
            if take(":") {
                part += 1
                if part == 3 { throw JMESPathError("SyntaxError: Too many colons in slice expression") }
            } else if case .number(let number) = current {
                parts[part] = number
                position += 1
            } else {
                throw JMESPathError("SyntaxError: Expected tColon or tNumber, received: \(current.name)")
            }
        }
        try expect("]")
        let slice = JMESPath.Node.sub(left, .slice(start: parts[0], stop: parts[1], step: parts[2]))
        return .projection(slice, try projected(20))
    }

    private mutating func filter(_ left: JMESPath.Node) throws(JMESPathError) -> JMESPath.Node {
        let condition = try expression(0)
        try expect("]")
        if current == .symbol("[]") { return .filter(left, condition: condition, .current) }
        return .filter(left, condition: condition, try projected(21))
    }

    private mutating func afterDot(_ power: Int) throws(JMESPathError) -> JMESPath.Node {
        switch current {
        case .quoted, .identifier, .symbol("*"): return try expression(power)
        case .symbol("["):
            position += 1
            return try multiSelectList()
        case .symbol("{"):
            position += 1
            return try multiSelectHash()
        default: throw JMESPathError("SyntaxError: Expected identifier, lbracket, or lbrace")
        }
    }

    private mutating func projected(_ power: Int) throws(JMESPathError) -> JMESPath.Node {
        if Self.power(current) < 10 { return .current }
        if current == .symbol("[") || current == .symbol("[?") { return try expression(power) }
        if take(".") { return try afterDot(power) }
        throw JMESPathError("SyntaxError: Unexpected token: \(current.name)")
    }

    private mutating func multiSelectList() throws(JMESPathError) -> JMESPath.Node {
        var nodes = [try expression(0)]
        while !take("]") {
            try expect(",")
            nodes.append(try expression(0))
        }
        return .list(nodes)
    }

    private mutating func multiSelectHash() throws(JMESPathError) -> JMESPath.Node {
        var entries: [JMESPath.Entry] = []
        while true {
            let name: String
            switch advance() {
            case .identifier(let text), .quoted(let text): name = text
            default: throw JMESPathError("SyntaxError: Expected tQuotedIdentifier or tUnquotedIdentifier")
            }
            try expect(":")
            entries.append(JMESPath.Entry(name: name, node: try expression(0)))
            if take("}") { return .hash(entries) }
            try expect(",")
        }
    }

    private mutating func call(_ name: String) throws(JMESPathError) -> JMESPath.Node {
        var arguments: [JMESPath.Node] = []
        while !take(")") {
            arguments.append(try expression(0))
            if !take(","), current != .symbol(")") {
                throw JMESPathError("SyntaxError: Expected ), received: \(current.name)")
            }
        }
        return .call(name, arguments)
    }

    private mutating func letExpression() throws(JMESPathError) -> JMESPath.Node {
        var bindings: [JMESPath.Entry] = []
        while current != .identifier("in") {
            guard case .variable(let name) = advance() else { throw JMESPathError("SyntaxError: Expected a variable") }
            try expect("=")
            bindings.append(JMESPath.Entry(name: name, node: try expression(0)))
            if !take(","), current != .identifier("in") {
                throw JMESPathError("SyntaxError: Expected keyword in, received: \(current.name)")
            }
        }
        position += 1
        return .bind(bindings, try expression(0))
    }
}
