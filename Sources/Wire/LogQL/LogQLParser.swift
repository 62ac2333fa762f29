extension LogQLExpression {
    /// Parses `text`; at most 1,000 matchers and filters together.
    package init(parsing text: String) throws(LogQLError) {
        var parser = LogQLParser(text)
        self = try parser.parse()
    }
}

private struct LogQLParser {
    private var scanner: LogQLScanner
    private var token: LogQLToken = .end
    private var position = LogQLPosition()
    private var count = 0

    init(_ text: String) { scanner = LogQLScanner(text) }

    mutating func parse() throws(LogQLError) -> LogQLExpression {
        try advance()
        try expect(.symbol("{"))
        var expression = LogQLExpression(matchers: [try matcher()], lineFilters: [])
        while token == .symbol(",") {
            try advance()
            expression.matchers.append(try matcher())
        }
        guard token == .symbol("}") else { throw unexpected("} or ,") }
        try advance()
        while token != .end { expression.lineFilters.append(try lineFilter()) }
        return expression
    }

    private mutating func matcher() throws(LogQLError) -> LogQLExpression.Matcher {
        try bound()
        let start = position
        guard case .identifier(let name) = token else { throw unexpected("IDENTIFIER") }
        try advance()
        guard case .symbol(let symbol) = token, let operation = LogQLExpression.MatchOperator(rawValue: symbol) else {
            throw unexpected("= or != or =~ or !~")
        }
        try advance()
        return LogQLExpression.Matcher(name: name, operation: operation, value: try string(), position: start)
    }

    private mutating func lineFilter() throws(LogQLError) -> LogQLExpression.LineFilter {
        try bound()
        let start = position
        guard case .symbol(let symbol) = token, let operation = LogQLExpression.FilterOperator(rawValue: symbol) else {
            throw unexpected("!= or !~ or |~ or |=")
        }
        try advance()
        return LogQLExpression.LineFilter(operation: operation, value: try string(), position: start)
    }

    private mutating func string() throws(LogQLError) -> String {
        guard case .string(let value) = token else { throw unexpected("STRING") }
        try advance()
        return value
    }

    private mutating func bound() throws(LogQLError) {
        count += 1
        if count > 1000 { throw LogQLError(position: position, message: "more than 1000 matchers and filters") }
    }

    private mutating func expect(_ wanted: LogQLToken) throws(LogQLError) {
        guard token == wanted else { throw unexpected(wanted.name) }
        try advance()
    }

    private mutating func advance() throws(LogQLError) { (token, position) = try scanner.next() }

    private func unexpected(_ wanted: String) -> LogQLError {
        LogQLError(position: position, message: "syntax error: unexpected \(token.name), expecting \(wanted)")
    }
}

enum LogQLToken: Equatable {
    case end
    case identifier(String)
    case string(String)
    case symbol(String)

    /// As upstream's parser names it in messages.
    var name: String {
        switch self {
        case .end: "$end"
        case .identifier: "IDENTIFIER"
        case .string: "STRING"
        case .symbol(let text): text
        }
    }
}

/// Splits LogQL text the way Go's `text/scanner` does, comments included.
private struct LogQLScanner {
    private let characters: [Unicode.Scalar]
    private var index = 0
    private var position = LogQLPosition()

    init(_ text: String) { characters = Array(text.unicodeScalars) }

    mutating func next() throws(LogQLError) -> (LogQLToken, LogQLPosition) {
        try skipSpaceAndComments()
        let start = position
        guard let first = peek else { return (.end, start) }
        if isIdentifierPart(first) {
            var name = String.UnicodeScalarView()
            while let character = peek, isIdentifierPart(character) {
                name.append(character)
                step()
            }
            return (.identifier(String(name)), start)
        }
        if first == "\"" { return (.string(try string(from: start)), start) }
        step()
        if let second = peek {
            let pair = String(first) + String(second)
            if ["!=", "=~", "!~", "|=", "|~"].contains(pair) {
                step()
                return (.symbol(pair), start)
            }
        }
        guard ["{", "}", ",", "=", "."].contains(first) else {
            throw LogQLError(position: start, message: "syntax error: unexpected \(first)")
        }
        return (.symbol(String(first)), start)
    }

    private mutating func string(from start: LogQLPosition) throws(LogQLError) -> String {
        // Escapes are the same as in labels: hand the bytes from the quote on to the shared reader.
        let rest = Array(String(String.UnicodeScalarView(characters[index...])).utf8)
        var content: [UInt8] = []
        var failure: QuotedTextError?
        var end = 0
        rest.withUnsafeBytes { bytes in
            do throws(QuotedTextError) {
                end = try QuotedText.unquote(bytes, at: 0, into: &content)
            } catch {
                failure = error
            }
        }
        if let failure { throw LogQLError(position: start, message: failure.message) }
        for _ in String(decoding: rest[..<end], as: UTF8.self).unicodeScalars { step() }
        return String(decoding: content, as: UTF8.self)
    }

    private mutating func skipSpaceAndComments() throws(LogQLError) {
        while let character = peek {
            if character == " " || character == "\t" || character == "\n" || character == "\r" {
                step()
            } else if character == "/", index + 1 < characters.count, characters[index + 1] == "/" {
                while let character = peek, character != "\n" { step() }
            } else if character == "/", index + 1 < characters.count, characters[index + 1] == "*" {
                let start = position
                step()
                step()
                while true {
                    guard index + 1 < characters.count else {
                        throw LogQLError(position: start, message: "comment not terminated")
                    }
                    let isEnd = characters[index] == "*" && characters[index + 1] == "/"
                    step()
                    if isEnd { break }
                }
                step()
            } else {
                return
            }
        }
    }

    private func isIdentifierPart(_ character: Unicode.Scalar) -> Bool {
        if character == "_" { return true }
        switch character.properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter, .decimalNumber:
            return true
        default: return false
        }
    }

    private var peek: Unicode.Scalar? { index < characters.count ? characters[index] : nil }

    private mutating func step() {
        guard index < characters.count else { return }
        if characters[index] == "\n" {
            position.line += 1
            position.column = 1
        } else {
            position.column += 1
        }
        index += 1
    }
}
