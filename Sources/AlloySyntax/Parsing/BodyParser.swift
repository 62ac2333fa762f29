/// Reads statements; expressions are in an extension of their own.
struct BodyParser {
    var tokens: TokenStream
    var nesting = 0

    init(source: SourceFile) {
        tokens = TokenStream(source: source)
    }

    var source: SourceFile { tokens.source }
    var diagnostics: [Diagnostic] { tokens.diagnostics }

    mutating func parseFile() -> SyntaxTree {
        let body = parseBody(until: .endOfFile)
        return SyntaxTree(source: source, body: body, comments: tokens.comments)
    }

    mutating func parseLoneExpression() -> Expression {
        let expression = parseExpression().expression
        tokens.expect(.terminator)
        if tokens.kind != .endOfFile {
            tokens.report("expected \(TokenKind.endOfFile.rawValue), got \(tokens.kind.rawValue)")
        }
        return expression
    }

    /// Counts one level of nesting; gives up on the file, and says so, when it is one too many.
    mutating func enter() -> Bool {
        guard nesting < Parser.maximumNesting else {
            tokens.abort("nested too deeply: more than \(Parser.maximumNesting) levels")
            return false
        }
        nesting += 1
        return true
    }

    mutating func leave() { nesting -= 1 }

    mutating func parseBody(until end: TokenKind) -> Body {
        var statements: [Statement] = []
        while tokens.kind != end && tokens.kind != .endOfFile {
            if let statement = parseStatement() { statements.append(statement) }
            if tokens.kind == end { break }
            if tokens.kind != .terminator {
                tokens.report("expected \(TokenKind.terminator.rawValue), got \(tokens.kind.rawValue)")
                skipStatement()
            }
            tokens.advance()
        }
        return Body(statements)
    }

    /// Goes on to the terminator of the statement, past the brackets that open in it.
    mutating func skipStatement() {
        var curly = 0
        var bracket = 0
        var parenthesis = 0
        while tokens.kind != .endOfFile {
            switch tokens.kind {
            case .leftCurly: curly += 1
            case .rightCurly: curly -= 1
            case .leftBracket: bracket += 1
            case .rightBracket: bracket -= 1
            case .leftParenthesis: parenthesis += 1
            case .rightParenthesis: parenthesis -= 1
            case .terminator where curly <= 0 && bracket <= 0 && parenthesis <= 0: return
            default: break
            }
            tokens.advance()
        }
    }

    private mutating func parseStatement() -> Statement? {
        guard let header = parseHeader() else {
            tokens.skip(to: .identifier)
            return nil
        }
        switch tokens.kind {
        case .assign:
            tokens.advance()
            checkAttributeName(header)
            let name = Identifier(
                header.parts[0],
                range: SourceRange(
                    file: source, start: header.start, end: header.start + header.parts[0].utf8.count))
            return .attribute(Attribute(name: name, value: parseExpression().expression))
        case .leftCurly:
            return parseBlock(header)
        default:
            let expected = header.canBeAttribute ? "attribute assignment or block body" : "block body"
            tokens.report("expected \(expected), got \(tokens.kind.rawValue)")
            tokens.skip(to: .identifier)
            return nil
        }
    }

    private mutating func parseBlock(_ header: StatementHeader) -> Statement? {
        guard enter() else { return nil }
        defer { leave() }
        let opening = tokens.expect(.leftCurly)
        let body = parseBody(until: .rightCurly)
        let closing = tokens.expect(.rightCurly)
        return .block(
            BlockStatement(
                nameParts: header.parts,
                nameRange: SourceRange(file: source, start: header.start, end: header.end),
                label: header.label.isEmpty ? nil : header.label,
                labelRange: header.labelRange ?? .unknown,
                body: body,
                bodyRange: SourceRange(file: source, start: opening.start, end: closing.end)))
    }

    private mutating func checkAttributeName(_ header: StatementHeader) {
        if header.parts.count != 1 {
            let length = header.parts.reduce(header.parts.count - 1) { $0 + $1.utf8.count }
            tokens.report(
                #"attribute names may only consist of a single identifier with no ".""#, from: header.start,
                to: header.start + length)
        } else if let range = header.labelRange {
            tokens.report("attribute names may not have labels", from: range.start, to: range.end)
        }
    }

    // MARK: Names and labels

    /// What stands before `=` or `{`.
    private struct StatementHeader {
        var parts: [String]
        var start: Int
        var end: Int
        var label = ""
        var labelRange: SourceRange?

        var canBeAttribute: Bool { parts.count == 1 && label.isEmpty }
    }

    private mutating func parseHeader() -> StatementHeader? {
        guard tokens.kind == .identifier else {
            tokens.report("expected identifier, got \(tokens.kind.rawValue)")
            return nil
        }
        var header = StatementHeader(parts: [tokens.text], start: tokens.current.start, end: tokens.current.end)
        tokens.advance()
        while tokens.kind == .dot {
            tokens.advance()
            if tokens.kind != .identifier {
                tokens.report("expected identifier, got \(tokens.kind.rawValue)")
            }
            header.parts.append(tokens.text)
            header.end = tokens.current.end
            tokens.advance()
        }
        guard tokens.kind != .assign, tokens.kind != .leftCurly else { return header }
        if tokens.kind == .string {
            parseLabel(into: &header)
        } else {
            tokens.report("expected block label, got \(tokens.kind.rawValue)")
        }
        tokens.advance()
        return header
    }

    private mutating func parseLabel(into header: inout StatementHeader) {
        let text = tokens.text
        if text.utf8.first != UInt8(ascii: "\"") {
            tokens.report(
                "expected block label to be a double quoted string, but got \(StringLiteral.quoted(text))")
        }
        if text.utf8.count > 2 {
            header.label = String(decoding: text.utf8.dropFirst().dropLast(), as: UTF8.self)
            if !IdentifierName.isValid(header.label) {
                tokens.report(
                    "expected block label to be a valid identifier, but got \(StringLiteral.quoted(header.label))")
            }
        }
        header.labelRange = tokens.range
    }
}
