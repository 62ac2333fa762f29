/// An expression and how high its tree is.
struct ParsedExpression {
    var expression: Expression
    var height: Int
}

extension BodyParser {
    mutating func parseExpression() -> ParsedExpression {
        guard enter() else { return missingExpression() }
        defer { leave() }
        return parseBinary(atLeast: 1)
    }

    // MARK: Operators

    /// An operand and the operators after it that bind at least as strongly as `precedence`.
    private mutating func parseBinary(atLeast precedence: Int) -> ParsedExpression {
        var left = parsePower()
        while let binaryOperator = tokens.kind.binaryOperator, binaryOperator.precedence >= precedence {
            let anchor = tokens.current.start
            tokens.advance()
            let right = parseBinary(atLeast: binaryOperator.precedence + 1)
            left = node(
                .binary(binaryOperator, left.expression, right.expression),
                range: left.expression.range.union(right.expression.range), anchor: anchor,
                above: max(left.height, right.height))
        }
        return left
    }

    private mutating func parsePower() -> ParsedExpression {
        let left = parseUnary()
        guard tokens.kind == .power else { return left }
        let anchor = tokens.current.start
        tokens.advance()
        guard enter() else { return missingExpression() }
        defer { leave() }
        let right = parsePower()
        return node(
            .binary(.power, left.expression, right.expression),
            range: left.expression.range.union(right.expression.range), anchor: anchor,
            above: max(left.height, right.height))
    }

    private mutating func parseUnary() -> ParsedExpression {
        guard let unaryOperator = tokens.kind.unaryOperator else { return parsePostfix() }
        let start = tokens.current.start
        tokens.advance()
        guard enter() else { return missingExpression() }
        defer { leave() }
        let operand = parseUnary()
        return node(
            .unary(unaryOperator, operand.expression), from: start, to: operand.expression.range.end, anchor: start,
            above: operand.height)
    }

    private mutating func parsePostfix() -> ParsedExpression {
        var base = parsePrimary()
        while true {
            let anchor = tokens.current.start
            let start = base.expression.range.start
            switch tokens.kind {
            case .dot:
                tokens.advance()
                let name = Identifier(tokens.text, range: tokens.range)
                tokens.expect(.identifier)
                base = node(
                    .access(base.expression, name: name), from: start, to: name.range.end, anchor: anchor,
                    above: base.height)
            case .leftBracket:
                tokens.advance()
                let index = parseExpression()
                let closing = tokens.expect(.rightBracket)
                base = node(
                    .index(base.expression, index: index.expression), from: start, to: closing.end, anchor: anchor,
                    above: max(base.height, index.height))
            case .leftParenthesis:
                tokens.advance()
                let (arguments, height) = parseList(until: .rightParenthesis)
                let closing = tokens.expect(.rightParenthesis)
                base = node(
                    .call(base.expression, arguments: arguments), from: start, to: closing.end, anchor: anchor,
                    above: max(base.height, height))
            case .string, .leftCurly:
                guard skipMisplacedBlock(from: start) else { return base }
            default:
                return base
            }
        }
    }

    /// Reads what looks like a block where an expression should be; `false` when it turned out not to be one.
    private mutating func skipMisplacedBlock(from start: Int) -> Bool {
        guard enter() else { return false }
        defer { leave() }
        if tokens.kind == .string { tokens.advance() }
        guard tokens.expect(.leftCurly).kind == .leftCurly else {
            skipStatement()
            return false
        }
        _ = parseBody(until: .rightCurly)
        let closing = tokens.expect(.rightCurly)
        guard closing.kind == .rightCurly else {
            skipStatement()
            return false
        }
        tokens.report("cannot use a block as an expression", from: start, to: closing.end)
        return true
    }

    // MARK: Operands

    private mutating func parsePrimary() -> ParsedExpression {
        let token = tokens.current
        switch token.kind {
        case .identifier:
            let name = tokens.text
            tokens.advance()
            return node(.identifier(name), from: token.start, to: token.end, anchor: token.start, above: 0)
        case .string: return parseLiteral(.string)
        case .number: return parseLiteral(.integer)
        case .float: return parseLiteral(.float)
        case .bool: return parseLiteral(.bool)
        case .null: return parseLiteral(.null)
        case .leftParenthesis:
            tokens.advance()
            let inner = parseExpression()
            let closing = tokens.expect(.rightParenthesis)
            return node(
                .parenthesized(inner.expression), from: token.start, to: closing.end, anchor: token.start,
                above: inner.height)
        case .leftBracket:
            tokens.advance()
            let (elements, height) = parseList(until: .rightBracket)
            let closing = tokens.expect(.rightBracket)
            return node(.array(elements), from: token.start, to: closing.end, anchor: token.start, above: height)
        case .leftCurly:
            tokens.advance()
            let (fields, height) = parseFields()
            let closing = tokens.expect(.rightCurly)
            return node(.object(fields), from: token.start, to: closing.end, anchor: token.start, above: height)
        default:
            tokens.report("expected expression, got \(token.kind.rawValue)")
            let missing = missingExpression()
            skipOperand()
            return missing
        }
    }

    private mutating func parseLiteral(_ kind: Literal.Kind) -> ParsedExpression {
        let token = tokens.current
        let literal = Literal(kind: kind, text: tokens.text)
        tokens.advance()
        return node(.literal(literal), from: token.start, to: token.end, anchor: token.start, above: 0)
    }

    /// Goes on to where an operand can end.
    private mutating func skipOperand() {
        while true {
            switch tokens.kind {
            case .endOfFile, .terminator, .rightParenthesis, .rightCurly, .rightBracket, .comma: return
            default: tokens.advance()
            }
        }
    }

    private mutating func parseList(until end: TokenKind) -> (elements: [Expression], height: Int) {
        var elements: [Expression] = []
        var height = 0
        while tokens.kind != end && tokens.kind != .endOfFile {
            let element = parseExpression()
            elements.append(element.expression)
            height = max(height, element.height)
            if tokens.kind == end { break }
            if tokens.kind != .comma { tokens.report("missing ',' in expression list") }
            tokens.advance()
        }
        return (elements, height)
    }

    private mutating func parseFields() -> (fields: [ObjectField], height: Int) {
        var fields: [ObjectField] = []
        var height = 0
        while tokens.kind != .rightCurly && tokens.kind != .endOfFile {
            let (field, fieldHeight) = parseField()
            fields.append(field)
            height = max(height, fieldHeight)
            if tokens.kind == .rightCurly { break }
            if tokens.kind != .comma { tokens.report("missing ',' in field list") }
            tokens.advance()
        }
        return (fields, height)
    }

    private mutating func parseField() -> (field: ObjectField, height: Int) {
        var name = Identifier("", range: tokens.range)
        var isQuoted = false
        if tokens.kind == .string || tokens.kind == .identifier {
            name.name = tokens.text
            if tokens.kind == .string && name.name.utf8.count > 2 {
                name.name = String(decoding: name.name.utf8.dropFirst().dropLast(), as: UTF8.self)
                isQuoted = true
            }
            tokens.advance()
        } else {
            tokens.report("expected field name (string or identifier), got \(tokens.kind.rawValue)")
            tokens.skip(to: .assign)
        }
        tokens.expect(.assign)
        let value = parseExpression()
        return (ObjectField(name: name, isQuoted: isQuoted, value: value.expression), value.height)
    }

    // MARK: Nodes

    private mutating func node(
        _ kind: Expression.Kind, from start: Int, to end: Int, anchor: Int, above height: Int
    ) -> ParsedExpression {
        node(kind, range: SourceRange(file: source, start: start, end: end), anchor: anchor, above: height)
    }

    private mutating func node(
        _ kind: Expression.Kind, range: SourceRange, anchor: Int, above height: Int
    ) -> ParsedExpression {
        guard height < Parser.maximumHeight else {
            tokens.abort("expression too long: more than \(Parser.maximumHeight) operators in a chain")
            return missingExpression()
        }
        return ParsedExpression(expression: Expression(kind, range: range, anchor: anchor), height: height + 1)
    }

    /// Stands for an operand that is not there; the file has an error then.
    private func missingExpression() -> ParsedExpression {
        let start = tokens.current.start
        return ParsedExpression(
            expression: Expression(.literal(.null), range: SourceRange(file: source, start: start, end: start)),
            height: 1)
    }
}
