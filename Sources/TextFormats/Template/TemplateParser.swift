/// Builds the trees of a template and of those it defines.
struct TemplateParser {
    private let source: TemplateSource
    private let functions: [String: GoTemplate.Function]
    private var pieces: [TemplatePiece]
    private var position = 0
    private var variables: [String] = ["$"]
    private var loops = 0
    private var depth = 0
    private(set) var trees: [String: [TemplateStatement]] = [:]

    /// What ended a list of statements.
    private enum Terminator {
        case end
        case otherwise([TemplateToken], Range<Int>)
        case endOfText
    }

    private static let maximumDepth = 100

    init(_ source: TemplateSource, functions: [String: GoTemplate.Function]) throws(GoTemplateError) {
        self.source = source
        self.functions = functions
        pieces = try TemplateLexer.pieces(of: source)
    }

    mutating func run() throws(GoTemplateError) {
        let (statements, terminator) = try list(isTop: true)
        switch terminator {
        case .endOfText: break
        case .end: throw error("unexpected {{end}}")
        case .otherwise: throw error("unexpected {{else}}")
        }
        try define(source.name, statements, at: 0)
    }

    private var lastOffset: Int {
        guard position > 0, case .action(_, let range) = pieces[position - 1] else { return source.bytes.count }
        return range.lowerBound
    }

    private func error(_ message: String, at offset: Int? = nil) -> GoTemplateError {
        source.parseError(message, at: offset ?? lastOffset)
    }

    private mutating func define(_ name: String, _ statements: [TemplateStatement], at offset: Int)
        throws(GoTemplateError)
    {
        func isEmpty(_ statements: [TemplateStatement]) -> Bool {
            statements.allSatisfy { statement in
                if case .text(let text) = statement { return text.allSatisfy { $0 == 0x20 || ($0 >= 9 && $0 <= 13) } }
                return false
            }
        }
        if let old = trees[name], !isEmpty(old) {
            if isEmpty(statements) { return }
            throw error("template: multiple definition of template \(GoQuote.quote(name))", at: offset)
        }
        trees[name] = statements
    }

    // MARK: Statements

    private mutating func list(isTop: Bool = false) throws(GoTemplateError) -> ([TemplateStatement], Terminator) {
        depth += 1
        defer { depth -= 1 }
        guard depth <= Self.maximumDepth else { throw error("nesting exceeds \(Self.maximumDepth) levels") }
        var statements: [TemplateStatement] = []
        while position < pieces.count {
            let piece = pieces[position]
            position += 1
            guard case .action(let tokens, let range) = piece else {
                if case .text(let text) = piece { statements.append(.text(text)) }
                continue
            }
            guard let first = tokens.first else { throw error("missing value for command", at: range.lowerBound) }
            guard case .identifier(let word) = first.kind else {
                statements.append(.action(try pipeline(tokens, range, "command")))
                continue
            }
            let rest = Array(tokens.dropFirst())
            switch word {
            case "end":
                try expectNothing(rest, "end")
                return (statements, .end)
            case "else": return (statements, .otherwise(rest, range))
            case "if", "with", "range": statements.append(try control(word, rest, range))
            case "break", "continue":
                try expectNothing(rest, word)
                guard loops > 0 else { throw error("{{\(word)}} outside {{range}}", at: range.lowerBound) }
                statements.append(word == "break" ? .leaveLoop : .nextRound)
            case "template":
                let name = try templateName(rest, "template clause", range)
                let argument = rest.count > 1 ? try pipeline(Array(rest.dropFirst()), range, "template clause") : nil
                statements.append(.template(name, argument, range))
            case "block":
                let name = try templateName(rest, "block clause", range)
                let argument = try pipeline(Array(rest.dropFirst()), range, "block clause")
                try body(of: name, range)
                statements.append(.template(name, argument, range))
            case "define":
                guard isTop else { throw error("unexpected {{define}}", at: range.lowerBound) }
                let name = try templateName(rest, "define clause", range)
                if let extra = rest.dropFirst().first { throw unexpected(extra, "define clause") }
                try body(of: name, range)
            default:
                statements.append(.action(try pipeline(tokens, range, "command")))
            }
        }
        return (statements, .endOfText)
    }

    private func expectNothing(_ tokens: [TemplateToken], _ word: String) throws(GoTemplateError) {
        if let extra = tokens.first { throw unexpected(extra, word) }
    }

    private func unexpected(_ token: TemplateToken, _ context: String) -> GoTemplateError {
        let text = String(decoding: source.bytes[token.range], as: UTF8.self)
        return error("unexpected <\(text)> in \(context)", at: token.range.lowerBound)
    }

    private func templateName(
        _ tokens: [TemplateToken], _ context: String, _ range: Range<Int>
    ) throws(GoTemplateError) -> String {
        guard let first = tokens.first else { throw error("unexpected \"}}\" in \(context)", at: range.lowerBound) }
        guard case .string(let name) = first.kind else { throw unexpected(first, context) }
        return name
    }

    private mutating func body(of name: String, _ range: Range<Int>) throws(GoTemplateError) {
        let (outerVariables, outerLoops) = (variables, loops)
        variables = ["$"]
        loops = 0
        let (statements, terminator) = try list()
        (variables, loops) = (outerVariables, outerLoops)
        guard case .end = terminator else { throw unended(terminator, "define") }
        try define(name, statements, at: range.lowerBound)
    }

    private func unended(_ terminator: Terminator, _ context: String) -> GoTemplateError {
        if case .otherwise = terminator { return error("unexpected {{else}} in \(context) clause") }
        return error("unexpected EOF", at: source.bytes.count)
    }

    private mutating func control(
        _ word: String, _ tokens: [TemplateToken], _ range: Range<Int>
    ) throws(GoTemplateError) -> TemplateStatement {
        let mark = variables.count
        let head = try pipeline(tokens, range, word)
        if word == "range" { loops += 1 }
        var (then, terminator) = try list()
        if word == "range" { loops -= 1 }
        var otherwise: [TemplateStatement] = []
        if case .otherwise(let rest, let elseRange) = terminator {
            if let first = rest.first {
                guard case .identifier(let next) = first.kind, next == word, word != "range" else {
                    throw unexpected(first, "else")
                }
                depth += 1
                defer { depth -= 1 }
                guard depth <= Self.maximumDepth else { throw error("nesting exceeds \(Self.maximumDepth) levels") }
                // The chained clause takes the {{end}} of this one.
                otherwise = [try control(word, Array(rest.dropFirst()), elseRange)]
                variables.removeSubrange(mark...)
                return statement(word, head, then, otherwise)
            }
            (otherwise, terminator) = try list()
        }
        guard case .end = terminator else { throw unended(terminator, word) }
        variables.removeSubrange(mark...)
        return statement(word, head, then, otherwise)
    }

    private func statement(
        _ word: String, _ head: TemplatePipeline, _ then: [TemplateStatement], _ otherwise: [TemplateStatement]
    ) -> TemplateStatement {
        switch word {
        case "if": .condition(head, then, otherwise)
        case "with": .with(head, then, otherwise)
        default: .range(head, then, otherwise)
        }
    }

    // MARK: Pipelines

    private mutating func pipeline(
        _ tokens: [TemplateToken], _ range: Range<Int>, _ context: String
    ) throws(GoTemplateError) -> TemplatePipeline {
        var index = 0
        return try pipeline(tokens, &index, range, context, isNested: false)
    }

    private mutating func pipeline(
        _ tokens: [TemplateToken], _ index: inout Int, _ range: Range<Int>, _ context: String, isNested: Bool
    ) throws(GoTemplateError) -> TemplatePipeline {
        depth += 1
        defer { depth -= 1 }
        guard depth <= Self.maximumDepth else { throw error("nesting exceeds \(Self.maximumDepth) levels") }
        var pipeline = TemplatePipeline(range: range)
        if !isNested { try declarations(tokens, &index, &pipeline, context) }
        let first = index
        var operands: [TemplateOperand] = []
        func command() -> TemplateCommand {
            let start = operands.first?.range.lowerBound ?? range.lowerBound
            return TemplateCommand(operands: operands, range: start..<(operands.last?.range.upperBound ?? start))
        }
        var isClosed = false
        while index < tokens.count, !isClosed {
            let token = tokens[index]
            switch token.kind {
            case .pipe:
                guard !operands.isEmpty else { throw error("missing value for \(context)", at: token.range.lowerBound) }
                pipeline.commands.append(command())
                operands = []
                index += 1
            case .rightParenthesis:
                guard isNested else { throw unexpected(token, context) }
                isClosed = true
            default:
                if !operands.isEmpty, !token.hasSpaceBefore { throw unexpected(token, "operand") }
                operands.append(try operand(tokens, &index, range, context))
            }
        }
        guard !operands.isEmpty else { throw error("missing value for \(context)", at: range.lowerBound) }
        pipeline.commands.append(command())
        for later in pipeline.commands.dropFirst() {
            // Only the first stage may be a plain value.
            if case .constant = later.operands[0].kind {
                throw error("non executable command in pipeline stage 2", at: later.range.lowerBound)
            }
            if case .dot = later.operands[0].kind {
                throw error("non executable command in pipeline stage 2", at: later.range.lowerBound)
            }
        }
        if first < tokens.count {
            pipeline.range = tokens[first].range.lowerBound..<tokens[max(first, index - 1)].range.upperBound
        }
        if !pipeline.isAssignment { variables.append(contentsOf: pipeline.declared) }
        return pipeline
    }

    /// `$x :=`, `$x =`, and in `range` `$i, $x :=`.
    private func declarations(
        _ tokens: [TemplateToken], _ index: inout Int, _ pipeline: inout TemplatePipeline, _ context: String
    ) throws(GoTemplateError) {
        var cursor = index
        var names: [String] = []
        while cursor < tokens.count, case .variable(let name) = tokens[cursor].kind {
            names.append(name)
            guard cursor + 1 < tokens.count else { return }
            let next = tokens[cursor + 1]
            switch next.kind {
            case .declare, .assign:
                pipeline.isAssignment = next.kind == .assign
                if pipeline.isAssignment {
                    for name in names where !variables.contains(name) {
                        throw error("undefined variable \(GoQuote.quote(name))", at: tokens[cursor].range.lowerBound)
                    }
                }
                if names.count > 1, context != "range" {
                    throw error("too many declarations in \(context)", at: next.range.lowerBound)
                }
                pipeline.declared = names
                index = cursor + 2
                return
            case .comma:
                guard names.count < 2 else {
                    throw error("too many declarations in \(context)", at: next.range.lowerBound)
                }
                cursor += 2
            default:
                return
            }
        }
    }

    private mutating func operand(
        _ tokens: [TemplateToken], _ index: inout Int, _ range: Range<Int>, _ context: String
    ) throws(GoTemplateError) -> TemplateOperand {
        let token = tokens[index]
        index += 1
        var end = token.range.upperBound
        func fields() -> [String] {
            var names: [String] = []
            while index < tokens.count, !tokens[index].hasSpaceBefore, case .field(let name) = tokens[index].kind {
                names.append(name)
                end = tokens[index].range.upperBound
                index += 1
            }
            return names
        }
        let kind: TemplateOperand.Kind
        switch token.kind {
        case .dot: kind = .dot
        case .field(let name): kind = .field([name] + fields())
        case .string(let text): kind = .constant(.string(text))
        case .character(let scalar): kind = .constant(.int(Int64(scalar)))
        case .number(let text): kind = .constant(try number(text, token))
        case .variable(let name):
            guard variables.contains(name) else {
                throw error("undefined variable \(GoQuote.quote(name))", at: token.range.lowerBound)
            }
            kind = .variable(name, fields())
        case .identifier("true"): kind = .constant(.bool(true))
        case .identifier("false"): kind = .constant(.bool(false))
        case .identifier("nil"): kind = .constant(.nil)
        case .identifier(let name):
            guard let function = functions[name] else {
                throw error("function \(GoQuote.quote(name)) not defined", at: token.range.lowerBound)
            }
            if let reason = function.refusal {
                throw error("function \(GoQuote.quote(name)) is not supported: \(reason)", at: token.range.lowerBound)
            }
            kind = .function(name, fields())
        case .leftParenthesis:
            let inner = try pipeline(tokens, &index, range, "parenthesized pipeline", isNested: true)
            guard index < tokens.count else { throw error("unclosed left paren", at: token.range.lowerBound) }
            end = tokens[index].range.upperBound
            index += 1
            kind = .pipeline(inner, fields())
        default:
            throw unexpected(token, context)
        }
        return TemplateOperand(kind: kind, range: token.range.lowerBound..<end)
    }

    private func number(_ text: String, _ token: TemplateToken) throws(GoTemplateError) -> GoValue {
        if let value = GoNumber.parseInt(text, base: 0) { return .int(value) }
        if GoNumber.parseUInt(text, base: 0) != nil {
            throw error("integer overflow: \(GoQuote.quote(text))", at: token.range.lowerBound)
        }
        let plain = String(decoding: text.utf8.filter { $0 != UInt8(ascii: "_") }, as: UTF8.self)
        let first = plain.utf8.first { $0 != UInt8(ascii: "+") && $0 != UInt8(ascii: "-") } ?? 0
        if first == UInt8(ascii: ".") || (first >= 0x30 && first <= 0x39), let value = GoNumber.parseFloat(plain) {
            return .float(value)
        }
        throw error("bad number syntax: \(GoQuote.quote(text))", at: token.range.lowerBound)
    }
}
