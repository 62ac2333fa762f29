/// Reads statements, conditions and values: the grammar of OTTL as `pkg/ottl/LANGUAGE.md` of
/// opentelemetry-collector-contrib describes it.
struct Parser {
    /// Values and conditions nested deeper are refused.
    static let maximumDepth = 64

    private let tokens: [(token: Token, offset: Int)]
    private var index = 0
    private var depth = 0
    /// For each opening parenthesis the index of the one that closes it.
    private var closing: [Int: Int] = [:]

    init(_ text: String) throws(OTTLError) {
        tokens = try Lexer.tokens(of: text)
        var open: [Int] = []
        for (position, entry) in tokens.enumerated() {
            if entry.token == .sign(.openParenthesis) { open.append(position) }
            if entry.token == .sign(.closeParenthesis), let start = open.popLast() { closing[start] = position }
        }
    }

    // MARK: Entrances

    mutating func statement() throws(OTTLError) -> StatementNode {
        guard case .word(let name) = token else {
            throw OTTLError("a statement begins with an editor such as set(...), not with \(token.name)", at: offset)
        }
        guard name.first?.isLowercase == true else {
            throw OTTLError("\(name) is a converter: a statement begins with an editor such as set(...)", at: offset)
        }
        guard next == .sign(.openParenthesis) else {
            throw OTTLError("an editor is called with its arguments in parentheses: \(name)(...)", at: offset)
        }
        let editor = try call(name)
        if !editor.keys.isEmpty { throw OTTLError("the result of an editor has no keys", at: editor.offset) }
        var condition: ConditionNode?
        if token == .word("where") {
            advance()
            condition = try anyCondition()
        }
        try finish("\"where\" or the end")
        return StatementNode(editor: editor, condition: condition)
    }

    mutating func condition() throws(OTTLError) -> ConditionNode {
        if token == .word("where") {
            throw OTTLError("a condition stands alone here, without \"where\"", at: offset)
        }
        let condition = try anyCondition()
        try finish("\"and\", \"or\" or the end")
        return condition
    }

    mutating func valueExpression() throws(OTTLError) -> Node {
        let node = try value()
        try finish("the end")
        return node
    }

    // MARK: Tokens

    private var token: Token { tokens[index].token }
    private var offset: Int { tokens[index].offset }
    private var next: Token { index + 1 < tokens.count ? tokens[index + 1].token : .end }

    private mutating func advance() { if index + 1 < tokens.count { index += 1 } }

    private mutating func expect(_ sign: Token.Sign) throws(OTTLError) {
        guard token == .sign(sign) else {
            throw OTTLError("\"\(sign.rawValue)\" expected, found \(token.name)", at: offset)
        }
        advance()
    }

    private func finish(_ expected: String) throws(OTTLError) {
        if token != .end { throw OTTLError("\(expected) expected, found \(token.name)", at: offset) }
    }

    private mutating func nested<Result>(
        _ body: (inout Parser) throws(OTTLError) -> Result
    ) throws(OTTLError) -> Result {
        depth += 1
        defer { depth -= 1 }
        if depth > Self.maximumDepth { throw OTTLError("nested too deep", at: offset) }
        return try body(&self)
    }

    // MARK: Conditions

    private mutating func anyCondition() throws(OTTLError) -> ConditionNode {
        var parts = [try allCondition()]
        while token == .word("or") {
            advance()
            parts.append(try allCondition())
        }
        return parts.count == 1 ? parts[0] : .any(parts)
    }

    private mutating func allCondition() throws(OTTLError) -> ConditionNode {
        var parts = [try singleCondition()]
        while token == .word("and") {
            advance()
            parts.append(try singleCondition())
        }
        return parts.count == 1 ? parts[0] : .all(parts)
    }

    private mutating func singleCondition() throws(OTTLError) -> ConditionNode {
        if token == .word("not") {
            advance()
            return .not(try nested { (parser) throws(OTTLError) in try parser.singleCondition() })
        }
        if token == .sign(.openParenthesis), !isValueGroup {
            return try nested { (parser) throws(OTTLError) in
                parser.advance()
                let inner = try parser.anyCondition()
                try parser.expect(.closeParenthesis)
                return inner
            }
        }
        let start = offset
        let left = try value()
        if case .comparison(let sign) = token {
            advance()
            return .comparison(sign, left, try value(), start)
        }
        if token == .sign(.equals) { throw OTTLError("values are compared by \"==\"", at: offset) }
        switch left {
        case .bool(let value, _): return .constant(value)
        case .call(let call): return .call(call)
        default:
            throw OTTLError("a condition is a comparison, true, false or a converter such as IsMatch(...)", at: start)
        }
    }

    /// Whether the parenthesis here groups a calculation: what stands behind it tells.
    private var isValueGroup: Bool {
        guard let end = closing[index], end + 1 < tokens.count else { return false }
        switch tokens[end + 1].token {
        case .comparison, .math: return true
        default: return false
        }
    }

    // MARK: Values

    private mutating func value() throws(OTTLError) -> Node {
        try nested { (parser) throws(OTTLError) in
            var left = try parser.term()
            while case .math(let sign) = parser.token, sign == .add || sign == .subtract {
                let start = parser.offset
                parser.advance()
                left = .math(sign, left, try parser.term(), start)
            }
            return left
        }
    }

    private mutating func term() throws(OTTLError) -> Node {
        var left = try factor()
        while case .math(let sign) = token, sign == .multiply || sign == .divide {
            let start = offset
            advance()
            left = .math(sign, left, try factor(), start)
        }
        return left
    }

    private mutating func factor() throws(OTTLError) -> Node {
        let start = offset
        let current = token
        switch current {
        case .int(let value):
            advance()
            return .int(value, start)
        case .double(let value):
            advance()
            return .double(value, start)
        case .string(let value):
            advance()
            return .string(value, start)
        case .bytes(let value):
            advance()
            return .bytes(value, start)
        case .math(let sign) where sign == .add || sign == .subtract:
            advance()
            let operand = try nested { (parser) throws(OTTLError) in try parser.factor() }
            if sign == .add { return operand }
            switch operand {
            case .int(let value, _): return .int(0 &- value, start)
            case .double(let value, _): return .double(-value, start)
            default: return .negative(operand, start)
            }
        case .sign(.openParenthesis):
            advance()
            if token == .sign(.closeParenthesis), next == .sign(.arrow) { throw lambda(at: start) }
            if case .word = token, next == .sign(.comma) { throw lambda(at: start) }
            let inner = try value()
            try expect(.closeParenthesis)
            return inner
        case .sign(.openBracket): return try list()
        case .sign(.openBrace): return try map()
        case .word(let name): return try named(name)
        default: throw OTTLError("a value expected, found \(current.name)", at: start)
        }
    }

    private func lambda(at offset: Int) -> OTTLError {
        OTTLError(
            "lambda expressions are an experiment behind ottl.functions.enableLambda, a gate of the collector that is not "
                + "open in Alloy", at: offset)
    }

    private mutating func named(_ name: String) throws(OTTLError) -> Node {
        let start = offset
        if next == .sign(.openParenthesis) {
            if name.first?.isLowercase == true {
                throw OTTLError(
                    "\(name) is an editor: values are made by converters, whose names begin upper case", at: start)
            }
            return .call(try call(name))
        }
        switch name {
        case "true", "false":
            advance()
            return .bool(name == "true", start)
        case "nil":
            advance()
            return .none(start)
        case "and", "or", "not", "where": throw OTTLError("a value expected, found \"\(name)\"", at: start)
        default: break
        }
        if name.first?.isUppercase == true {
            advance()
            return .name(name, start)
        }
        return .path(try path())
    }

    private mutating func path() throws(OTTLError) -> PathNode {
        let start = offset
        var segments: [PathNode.Segment] = []
        while true {
            let place = offset
            guard case .word(let name) = token else {
                throw OTTLError("a field's name expected, found \(token.name)", at: place)
            }
            advance()
            segments.append(PathNode.Segment(name: name, keys: try keys(), offset: place))
            guard token == .sign(.dot) else { return PathNode(segments: segments, offset: start) }
            advance()
        }
    }

    private mutating func keys() throws(OTTLError) -> [Node] {
        var keys: [Node] = []
        while token == .sign(.openBracket) {
            advance()
            keys.append(try value())
            try expect(.closeBracket)
        }
        return keys
    }

    private mutating func list() throws(OTTLError) -> Node {
        let start = offset
        advance()
        var elements: [Node] = []
        while token != .sign(.closeBracket) {
            elements.append(try value())
            if token == .sign(.comma) { advance() } else { break }
        }
        try expect(.closeBracket)
        return .list(elements, start)
    }

    private mutating func map() throws(OTTLError) -> Node {
        let start = offset
        advance()
        var entries: [(key: [UInt8], value: Node)] = []
        while token != .sign(.closeBrace) {
            guard case .string(let key) = token else {
                throw OTTLError("a map's key is a string, found \(token.name)", at: offset)
            }
            advance()
            try expect(.colon)
            entries.append((key, try value()))
            if token == .sign(.comma) { advance() } else { break }
        }
        try expect(.closeBrace)
        return .map(entries, start)
    }

    private mutating func call(_ name: String) throws(OTTLError) -> CallNode {
        try nested { (parser) throws(OTTLError) in
            let start = parser.offset
            parser.advance()
            try parser.expect(.openParenthesis)
            var arguments: [CallNode.Argument] = []
            while parser.token != .sign(.closeParenthesis) {
                arguments.append(try parser.argument(hasNamed: arguments.last?.name != nil))
                if parser.token == .sign(.comma) { parser.advance() } else { break }
            }
            try parser.expect(.closeParenthesis)
            return CallNode(name: name, arguments: arguments, keys: try parser.keys(), offset: start)
        }
    }

    private mutating func argument(hasNamed: Bool) throws(OTTLError) -> CallNode.Argument {
        if case .word(let name) = token, next == .sign(.equals) {
            advance()
            advance()
            return CallNode.Argument(name: name, value: try value())
        }
        if hasNamed { throw OTTLError("arguments without a name come before those with one", at: offset) }
        return CallNode.Argument(name: nil, value: try value())
    }
}
