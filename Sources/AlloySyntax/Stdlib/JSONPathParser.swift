import TextFormats

/// Compiles the text of a JSONPath expression.
struct JSONPathParser {
    /// Parentheses and paths inside filters may be nested this deep.
    private static let maximumDepth = 64

    private let bytes: [UInt8]
    private var position = 0
    private var depth = 0
    private var references: [JSONPathReference] = []

    init(_ text: String) { bytes = Array(text.utf8) }

    /// Parses the whole text.
    mutating func parseAll() throws(FormatError) -> [JSONPath.Step] {
        let steps = try parsePath()
        if position < bytes.count { throw failure("parse error") }
        return steps
    }

    private func failure(_ message: String) -> FormatError {
        let text = String(decoding: bytes.prefix(200), as: UTF8.self)
        return FormatError(message: "\(message) at \(position + 1) in \(text)")
    }

    // MARK: Bytes

    private var peek: UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func next() throws(FormatError) -> UInt8 {
        guard position < bytes.count else { throw failure("not terminated") }
        position += 1
        return bytes[position - 1]
    }

    private mutating func skipSpaces() {
        while peek == UInt8(ascii: " ") { position += 1 }
    }

    private mutating func skip(_ byte: Character) -> Bool {
        guard let ascii = byte.asciiValue, peek == ascii else { return false }
        position += 1
        return true
    }

    private mutating func expect(_ byte: Character) throws(FormatError) {
        skipSpaces()
        if !skip(byte) { throw failure("not terminated") }
    }

    /// The bytes a name may have without quotes.
    private static func isName(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x80...0xFF: true
        default: "#%;?^_{|}~".utf8.contains(byte)
        }
    }

    private static func isDigit(_ byte: UInt8?) -> Bool {
        guard let byte else { return false }
        return byte >= 0x30 && byte <= 0x39
    }

    // MARK: Paths

    private mutating func parsePath() throws(FormatError) -> [JSONPath.Step] {
        var steps: [JSONPath.Step] = []
        while let byte = peek {
            switch byte {
            case UInt8(ascii: "$") where steps.isEmpty:
                position += 1
                steps.append(.root)
            case UInt8(ascii: "@") where steps.isEmpty:
                position += 1
                steps.append(.current)
            case UInt8(ascii: "."):
                position += 1
                steps.append(try parseAfterDot())
            case UInt8(ascii: "*"):
                position += 1
                steps.append(.wildcard)
            case UInt8(ascii: "["):
                position += 1
                steps.append(try parseBracket())
            default:
                var mayBeName = steps.isEmpty
                if case .descent = steps.last { mayBeName = true }
                guard mayBeName, JSONPathParser.isName(byte) else { return steps }
                steps.append(.child(parseName()))
            }
        }
        return steps
    }

    private mutating func parseName() -> String {
        let start = position
        while let byte = peek, JSONPathParser.isName(byte) { position += 1 }
        return String(decoding: bytes[start..<position], as: UTF8.self)
    }

    private mutating func parseAfterDot() throws(FormatError) -> JSONPath.Step {
        guard let byte = peek else { throw failure("not terminated") }
        if skip("*") { return .wildcard }
        if skip(".") { return .descent }
        guard JSONPathParser.isName(byte) else {
            let shown = String(Unicode.Scalar(byte))
            throw failure("an expression fragment can not start with a '\(shown)'")
        }
        return .child(parseName())
    }

    private mutating func parseBracket() throws(FormatError) -> JSONPath.Step {
        skipSpaces()
        guard let byte = peek else { throw failure("not terminated") }
        switch byte {
        case UInt8(ascii: "*"):
            position += 1
            try expect("]")
            return .wildcard
        case UInt8(ascii: "'"), UInt8(ascii: "\""):
            position += 1
            return try parseUnion(.name(try parseQuoted(byte)))
        case UInt8(ascii: ":"): return try parseSlice(from: 0)
        case UInt8(ascii: "?"):
            position += 1
            return .filter(try parseFilter())
        case UInt8(ascii: "("): throw failure("scripts are not supported")
        case UInt8(ascii: "-"), 0x30...0x39:
            let number = try parseInteger()
            skipSpaces()
            if peek == UInt8(ascii: ":") { return try parseSlice(from: number) }
            return try parseUnion(.element(number))
        default: throw failure("parse error")
        }
    }

    private mutating func parseUnion(_ first: JSONPath.Member) throws(FormatError) -> JSONPath.Step {
        var members = [first]
        while true {
            skipSpaces()
            if skip("]") { break }
            guard skip(",") else { throw failure("invalid bracket fragment") }
            skipSpaces()
            guard let byte = peek else { throw failure("not terminated") }
            if byte == UInt8(ascii: "'") || byte == UInt8(ascii: "\"") {
                position += 1
                members.append(.name(try parseQuoted(byte)))
            } else if byte == UInt8(ascii: "-") || JSONPathParser.isDigit(byte) {
                members.append(.element(try parseInteger()))
            } else {
                throw failure("invalid union syntax")
            }
        }
        guard members.count == 1 else { return .union(members) }
        switch first {
        case .name(let name): return .child(name)
        case .element(let index): return .element(index)
        }
    }

    private mutating func parseSlice(from start: Int) throws(FormatError) -> JSONPath.Step {
        position += 1
        var end: Int?
        var step = 1
        skipSpaces()
        if peek != UInt8(ascii: ":"), peek != UInt8(ascii: "]") { end = try parseInteger() }
        skipSpaces()
        if skip(":") {
            skipSpaces()
            if peek != UInt8(ascii: "]") { step = try parseInteger() }
            skipSpaces()
        }
        guard skip("]") else { throw failure("invalid slice syntax") }
        return .slice(start: start, end: end, step: step)
    }

    private mutating func parseInteger() throws(FormatError) -> Int {
        let start = position
        _ = skip("-")
        let digits = position
        while JSONPathParser.isDigit(peek) { position += 1 }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        guard position > digits, let value = Int32(text) else { throw failure("expected a number") }
        return Int(value)
    }

    private mutating func parseQuoted(_ quote: UInt8) throws(FormatError) -> String {
        var out: [UInt8] = []
        while true {
            let byte = try next()
            if byte == quote { return String(decoding: out, as: UTF8.self) }
            guard byte == UInt8(ascii: "\\") else {
                out.append(byte)
                continue
            }
            let escape = try next()
            switch escape {
            case UInt8(ascii: "b"): out.append(0x08)
            case UInt8(ascii: "t"): out.append(0x09)
            case UInt8(ascii: "n"): out.append(0x0A)
            case UInt8(ascii: "f"): out.append(0x0C)
            case UInt8(ascii: "r"): out.append(0x0D)
            case UInt8(ascii: "\""), UInt8(ascii: "'"), UInt8(ascii: "\\"): out.append(escape)
            case UInt8(ascii: "x"): out.append(UInt8(truncatingIfNeeded: try parseHex(2)))
            case UInt8(ascii: "u"), UInt8(ascii: "U"):
                let scalar = Unicode.Scalar(try parseHex(4)) ?? "\u{FFFD}"
                out.append(contentsOf: String(scalar).utf8)
            default: throw failure("'\\\(String(Unicode.Scalar(escape)))' is not a valid escape")
            }
        }
    }

    private mutating func parseHex(_ count: Int) throws(FormatError) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<count {
            let digit = try next().hexDigitValue
            guard digit < 16 else { throw failure("not a valid hexadecimal character") }
            value = value << 4 | digit
        }
        return value
    }

    // MARK: Filters

    private mutating func parseFilter() throws(FormatError) -> JSONPathFilter {
        // A filter inside a path of a filter numbers its own paths.
        let outer = references
        references = []
        defer { references = outer }
        var term = try parseTerm(minimumPrecedence: 4)
        // The parentheses around the whole condition change nothing.
        while case .group(let inner) = term { term = inner }
        try expect("]")
        return JSONPathFilter(term: term, paths: references)
    }

    /// Parses operands joined by operators that bind at least as tight as the precedence, grouping from the left.
    private mutating func parseTerm(minimumPrecedence: Int) throws(FormatError) -> JSONPathFilter.Term {
        depth += 1
        defer { depth -= 1 }
        if depth > JSONPathParser.maximumDepth { throw failure("nested too deeply") }
        var left = try parseOperand()
        while let operation = try peekOperator(), operation.precedence <= minimumPrecedence {
            position += operation.rawValue.utf8.count
            let right = try parseTerm(minimumPrecedence: operation.precedence - 1)
            left = .binary(operation, left, right)
        }
        return left
    }

    /// The operator that comes next; `nil` where the condition or a part of it ends.
    private mutating func peekOperator() throws(FormatError) -> JSONPathFilter.Operator? {
        skipSpaces()
        guard let byte = peek, !",)]".utf8.contains(byte) else { return nil }
        let rest = bytes[position...]
        guard let found = JSONPathFilter.Operator.allCases.first(where: { rest.starts(with: $0.rawValue.utf8) }) else {
            let shown = String(decoding: rest.prefix(8), as: UTF8.self)
            throw failure("'\(shown)' is not a valid operation")
        }
        return found
    }

    private mutating func parseOperand() throws(FormatError) -> JSONPathFilter.Term {
        skipSpaces()
        guard let byte = peek else { throw failure("not terminated") }
        switch byte {
        case UInt8(ascii: "!"):
            position += 1
            // The negation covers everything up to the end of the group, as upstream reads it.
            return .not(try parseTerm(minimumPrecedence: 4))
        case UInt8(ascii: "-"), 0x30...0x39: return .constant(try parseNumber())
        case UInt8(ascii: "'"), UInt8(ascii: "\""):
            position += 1
            return .constant(.string(try parseQuoted(byte)))
        case UInt8(ascii: "@"), UInt8(ascii: "$"):
            let reference = try parseReference()
            references.append(reference)
            return .path(reference, references.count - 1)
        case UInt8(ascii: "("):
            position += 1
            let inner = try parseTerm(minimumPrecedence: 4)
            try expect(")")
            return .group(inner)
        case UInt8(ascii: "["): return try parseList()
        case UInt8(ascii: "/"):
            position += 1
            return .pattern(try parsePattern())
        default: return try parseWord()
        }
    }

    private mutating func parseReference() throws(FormatError) -> JSONPathReference {
        depth += 1
        defer { depth -= 1 }
        if depth > JSONPathParser.maximumDepth { throw failure("nested too deeply") }
        return JSONPathReference(path: JSONPath(steps: try parsePath()))
    }

    private mutating func parseNumber() throws(FormatError) -> Value {
        let start = position
        position += 1
        while JSONPathParser.isDigit(peek) { position += 1 }
        var isFloating = false
        if skip(".") {
            isFloating = true
            while JSONPathParser.isDigit(peek) { position += 1 }
        }
        if let byte = peek, byte | 0x20 == UInt8(ascii: "e") {
            isFloating = true
            position += 1
            if !skip("+") { _ = skip("-") }
            while JSONPathParser.isDigit(peek) { position += 1 }
        }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        if !isFloating, let value = Int64(text) { return .number(.int(value)) }
        guard isFloating, let value = Double(text), value.isFinite else { throw failure("expected a number") }
        return .float(value)
    }

    private mutating func parseList() throws(FormatError) -> JSONPathFilter.Term {
        position += 1
        var values: [Value] = []
        skipSpaces()
        if skip("]") { return .list(values) }
        while true {
            guard case .constant(let value) = try parseOperand() else { throw failure("expected a constant") }
            values.append(value)
            skipSpaces()
            if skip("]") { return .list(values) }
            guard skip(",") else { throw failure("expected a comma or an array close") }
        }
    }

    private mutating func parsePattern() throws(FormatError) -> RegularExpression {
        let start = position
        while true {
            let byte = try next()
            if byte == UInt8(ascii: "/") { break }
            if byte == UInt8(ascii: "\\") { _ = try next() }
        }
        do {
            return try RegularExpression(String(decoding: bytes[start..<(position - 1)], as: UTF8.self))
        } catch {
            throw failure("\(error)")
        }
    }

    private mutating func parseWord() throws(FormatError) -> JSONPathFilter.Term {
        let start = position
        if bytes[position...].starts(with: "Nothing".utf8) {
            position += 7
            return .nothing
        }
        while let byte = peek, (0x61...0x7A).contains(byte) { position += 1 }
        let word = String(decoding: bytes[start..<position], as: UTF8.self)
        switch word {
        case "true": return .constant(.bool(true))
        case "false": return .constant(.bool(false))
        case "null": return .constant(.null)
        case "length", "count", "match", "search": return try parseFunction(word)
        default:
            position = start
            throw failure("'\(word)' is not a value or function")
        }
    }

    private mutating func parseFunction(_ name: String) throws(FormatError) -> JSONPathFilter.Term {
        guard skip("(") else { throw failure("expected a \(name) function") }
        skipSpaces()
        if name == "count" {
            guard peek == UInt8(ascii: "@") || peek == UInt8(ascii: "$") else { throw failure("expected a path") }
            let path = try parseReference()
            try expect(")")
            return .count(path)
        }
        let subject = try parseTerm(minimumPrecedence: 4)
        if name == "length" {
            try expect(")")
            return .length(subject)
        }
        skipSpaces()
        guard skip(",") else { throw failure("not terminated") }
        let pattern = try parseTerm(minimumPrecedence: 4)
        try expect(")")
        return .match(subject, pattern, isWhole: name == "match")
    }
}
