import TextFormats

enum JMESPathToken: Equatable, Sendable {
    case end
    case symbol(String)
    case identifier(String)
    case quoted(String)
    case variable(String)
    case number(Int)
    case literal(JSONValue)

    var name: String {
        switch self {
        case .end: "end of expression"
        case .symbol(let text): text
        case .identifier(let text): text
        case .quoted(let text): "\"\(text)\""
        case .variable(let text): text
        case .number(let value): "\(value)"
        case .literal: "literal"
        }
    }
}

/// Splits an expression into tokens.
struct JMESPathLexer {
    private let scalars: [Unicode.Scalar]
    private var index = 0

    init(_ text: String) { scalars = Array(text.unicodeScalars) }

    mutating func tokens() throws(JMESPathError) -> [JMESPathToken] {
        var tokens: [JMESPathToken] = []
        while let scalar = peek() {
            index += 1
            switch scalar {
            case " ", "\t", "\n", "\r": continue
            case "a"..."z", "A"..."Z", "_":
                index -= 1
                tokens.append(.identifier(word()))
            case "0"..."9":
                index -= 1
                tokens.append(.number(try number()))
            case "-":
                if let next = peek(), ("0"..."9").contains(next) {
                    tokens.append(.number(-(try number())))
                } else {
                    tokens.append(.symbol("-"))
                }
            case "\u{2212}": tokens.append(.symbol("-"))
            case "\u{D7}": tokens.append(.symbol("\u{D7}"))
            case "\u{F7}": tokens.append(.symbol("/"))
            case ".", "*", ",", ":", "{", "}", "]", "(", ")", "@", "+", "%": tokens.append(.symbol(String(scalar)))
            case "/": tokens.append(.symbol(take("/") ? "//" : "/"))
            case "[": tokens.append(.symbol(take("?") ? "[?" : take("]") ? "[]" : "["))
            case "|": tokens.append(.symbol(take("|") ? "||" : "|"))
            case "<": tokens.append(.symbol(take("=") ? "<=" : "<"))
            case ">": tokens.append(.symbol(take("=") ? ">=" : ">"))
            case "!": tokens.append(.symbol(take("=") ? "!=" : "!"))
            case "=": tokens.append(.symbol(take("=") ? "==" : "="))
            case "&": tokens.append(.symbol(take("&") ? "&&" : "&"))
            case "$":
                let name = word()
                tokens.append(name.isEmpty ? .symbol("$") : .variable("$" + name))
            case "\"": tokens.append(.quoted(try quoted()))
            case "'": tokens.append(.literal(.string(try rawString())))
            case "`": tokens.append(.literal(try literal()))
            default: throw JMESPathError("SyntaxError: Unknown char: '\(scalar)'")
            }
        }
        tokens.append(.end)
        return tokens
    }

    private func peek() -> Unicode.Scalar? { index < scalars.count ? scalars[index] : nil }

    private mutating func take(_ scalar: Unicode.Scalar) -> Bool {
        guard peek() == scalar else { return false }
        index += 1
        return true
    }

    private mutating func word() -> String {
        var text = String.UnicodeScalarView()
        while let scalar = peek(),
            scalar == "_" || (scalar.isASCII && scalar.properties.isAlphabetic)
                || ("0"..."9").contains(scalar)
        {
            text.append(scalar)
            index += 1
        }
        return String(text)
    }

    private mutating func number() throws(JMESPathError) -> Int {
        var digits = ""
        while let scalar = peek(), ("0"..."9").contains(scalar) {
            digits.unicodeScalars.append(scalar)
            index += 1
        }
        guard let value = Int(digits) else { throw JMESPathError("SyntaxError: number out of range: \(digits)") }
        return value
    }

    /// The text up to an unescaped `end`, escapes in place.
    private mutating func text(until end: Unicode.Scalar) throws(JMESPathError) -> String {
        var text = String.UnicodeScalarView()
        while let scalar = peek() {
            index += 1
            if scalar == end { return String(text) }
            text.append(scalar)
            if scalar == "\\", let escaped = peek() {
                text.append(escaped)
                index += 1
            }
        }
        throw JMESPathError("SyntaxError: Unclosed delimiter: \(end)")
    }

    private mutating func quoted() throws(JMESPathError) -> String {
        let content = try text(until: "\"")
        guard let value = try? JSONValue(parsing: "\"\(content)\""), let name = value.stringValue else {
            throw JMESPathError("SyntaxError: invalid quoted identifier \"\(content)\"")
        }
        return name
    }

    private mutating func rawString() throws(JMESPathError) -> String {
        var text = String.UnicodeScalarView()
        while let scalar = peek() {
            index += 1
            if scalar == "'" { return String(text) }
            if scalar == "\\", let next = peek(), next == "'" || next == "\\" {
                text.append(next)
                index += 1
            } else {
                text.append(scalar)
            }
        }
        throw JMESPathError("SyntaxError: Unclosed delimiter: '")
    }

    private mutating func literal() throws(JMESPathError) -> JSONValue {
        let content = try text(until: "`")
        var unescaped = String.UnicodeScalarView()
        var rest = content.unicodeScalars[...]
        while let scalar = rest.popFirst() {
            if scalar == "\\", rest.first == "`" { continue }
            unescaped.append(scalar)
        }
        do throws(TextFormatError) {
            return try JSONValue(parsing: String(unescaped))
        } catch {
            throw JMESPathError("SyntaxError: \(error)")
        }
    }
}
