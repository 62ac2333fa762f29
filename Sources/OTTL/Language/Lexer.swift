import TextFormats

/// A word, literal or sign of a statement.
enum Token: Equatable {
    case word(String)
    case string([UInt8])
    case int(Int64)
    case double(Double)
    case bytes([UInt8])
    /// One of `( ) [ ] { } , . : =` and the arrow of lambda expressions.
    case sign(Sign)
    case comparison(ComparisonOperator)
    case math(MathOperator)
    case end

    enum Sign: String {
        case openParenthesis = "("
        case closeParenthesis = ")"
        case openBracket = "["
        case closeBracket = "]"
        case openBrace = "{"
        case closeBrace = "}"
        case comma = ","
        case dot = "."
        case colon = ":"
        case equals = "="
        case arrow = "=>"
    }

    /// How the token is called in an error.
    var name: String {
        switch self {
        case .word(let text): "\"\(text)\""
        case .string: "a string"
        case .int, .double: "a number"
        case .bytes: "a byte literal"
        case .sign(let sign): "\"\(sign.rawValue)\""
        case .comparison(let sign): "\"\(sign.rawValue)\""
        case .math(let sign): "\"\(sign.rawValue)\""
        case .end: "the end"
        }
    }
}

enum ComparisonOperator: String, Sendable {
    case equal = "=="
    case notEqual = "!="
    case less = "<"
    case lessOrEqual = "<="
    case greater = ">"
    case greaterOrEqual = ">="
}

enum MathOperator: String, Sendable {
    case add = "+"
    case subtract = "-"
    case multiply = "*"
    case divide = "/"
}

/// Cuts a statement into tokens.
struct Lexer {
    /// Longer statements are refused.
    static let maximumLength = 1 << 20

    private let bytes: [UInt8]
    private var index = 0
    private(set) var tokens: [(token: Token, offset: Int)] = []

    static func tokens(of text: String) throws(OTTLError) -> [(token: Token, offset: Int)] {
        var lexer = Lexer(bytes: Array(text.utf8))
        try lexer.run()
        return lexer.tokens
    }

    private init(bytes: [UInt8]) { self.bytes = bytes }

    private func peek(_ distance: Int = 0) -> UInt8 {
        index + distance < bytes.count ? bytes[index + distance] : 0
    }

    private mutating func run() throws(OTTLError) {
        if bytes.count > Self.maximumLength { throw OTTLError("longer than 1 MiB", at: 0) }
        while index < bytes.count {
            let start = index
            let byte = bytes[index]
            switch byte {
            case 0x20, 0x09, 0x0A, 0x0D:
                index += 1
                continue
            case UInt8(ascii: "\""): tokens.append((try string(), start))
            case UInt8(ascii: "0") where peek(1) | 0x20 == UInt8(ascii: "x"): tokens.append((try hexadecimal(), start))
            case _ where Self.isDigit(byte): tokens.append((try number(), start))
            case UInt8(ascii: ".") where Self.isDigit(peek(1)) && !followsName: tokens.append((try number(), start))
            case _ where Self.isLetter(byte): tokens.append((word(), start))
            default: tokens.append((try sign(), start))
            }
        }
        tokens.append((.end, bytes.count))
    }

    /// Whether a dot here separates the parts of a path.
    private var followsName: Bool {
        switch tokens.last?.token {
        case .word, .sign(.closeBracket): true
        default: false
        }
    }

    private mutating func word() -> Token {
        let start = index
        while Self.isLetter(peek()) || Self.isDigit(peek()) { index += 1 }
        return .word(String(decoding: bytes[start..<index], as: UTF8.self))
    }

    private mutating func number() throws(OTTLError) -> Token {
        let start = index
        var isDouble = false
        while Self.isDigit(peek()) { index += 1 }
        if peek() == UInt8(ascii: "."), Self.isDigit(peek(1)) {
            isDouble = true
            index += 1
            while Self.isDigit(peek()) { index += 1 }
            if peek() | 0x20 == UInt8(ascii: "e") {
                let sign = peek(1) == UInt8(ascii: "+") || peek(1) == UInt8(ascii: "-") ? 1 : 0
                if Self.isDigit(peek(1 + sign)) {
                    index += 1 + sign
                    while Self.isDigit(peek()) { index += 1 }
                }
            }
        }
        let text = String(decoding: bytes[start..<index], as: UTF8.self)
        if isDouble {
            guard let value = GoNumber.parseFloat(text) else { throw OTTLError("a number out of range", at: start) }
            return .double(value)
        }
        // The magnitude of the smallest integer is read as it is; the sign in front of it wraps it back.
        if text == "9223372036854775808", tokens.last?.token == .math(.subtract) { return .int(.min) }
        guard let value = Int64(text) else { throw OTTLError("an integer that does not fit 64 bits", at: start) }
        return .int(value)
    }

    private mutating func hexadecimal() throws(OTTLError) -> Token {
        let start = index
        index += 2
        while Self.isDigit(peek()) || (peek() | 0x20 >= 0x61 && peek() | 0x20 <= 0x66) { index += 1 }
        guard let value = Hex.decode(bytes[(start + 2)..<index]), !Self.isLetter(peek()) else {
            throw OTTLError("a byte literal has two hexadecimal digits for each byte", at: start)
        }
        return .bytes(value)
    }

    private mutating func string() throws(OTTLError) -> Token {
        let start = index
        index += 1
        var output: [UInt8] = []
        while index < bytes.count {
            let byte = bytes[index]
            index += 1
            if byte == UInt8(ascii: "\"") { return .string(output) }
            guard byte == UInt8(ascii: "\\") else {
                output.append(byte)
                continue
            }
            try escape(into: &output)
        }
        throw OTTLError("the string is not closed", at: start)
    }

    private mutating func escape(into output: inout [UInt8]) throws(OTTLError) {
        let start = index - 1
        let byte = peek()
        index += 1
        switch byte {
        case UInt8(ascii: "a"): output.append(7)
        case UInt8(ascii: "b"): output.append(8)
        case UInt8(ascii: "f"): output.append(12)
        case UInt8(ascii: "n"): output.append(10)
        case UInt8(ascii: "r"): output.append(13)
        case UInt8(ascii: "t"): output.append(9)
        case UInt8(ascii: "v"): output.append(11)
        case UInt8(ascii: "\\"), UInt8(ascii: "\""), UInt8(ascii: "'"): output.append(byte)
        case UInt8(ascii: "x"): output.append(UInt8(truncatingIfNeeded: try digits(2, base: 16, start)))
        case UInt8(ascii: "u"): try append(scalar: try digits(4, base: 16, start), to: &output, start)
        case UInt8(ascii: "U"): try append(scalar: try digits(8, base: 16, start), to: &output, start)
        case UInt8(ascii: "0")...UInt8(ascii: "7"):
            index -= 1
            let value = try digits(3, base: 8, start)
            if value > 255 { throw OTTLError("an octal escape above \\377", at: start) }
            output.append(UInt8(value))
        default:
            let text = index <= bytes.count ? String(decoding: [byte], as: UTF8.self) : ""
            throw OTTLError("unknown escape \\\(text) in a string; a backslash is written \\\\", at: start)
        }
    }

    private mutating func digits(_ count: Int, base: Int, _ start: Int) throws(OTTLError) -> UInt32 {
        guard index + count <= bytes.count,
            let value = UInt32(String(decoding: bytes[index..<(index + count)], as: UTF8.self), radix: base)
        else { throw OTTLError("an incomplete escape in a string", at: start) }
        index += count
        return value
    }

    private func append(scalar value: UInt32, to output: inout [UInt8], _ start: Int) throws(OTTLError) {
        guard let scalar = Unicode.Scalar(value) else { throw OTTLError("an escape that is no character", at: start) }
        output.append(contentsOf: Array(String(Character(scalar)).utf8))
    }

    private mutating func sign() throws(OTTLError) -> Token {
        let start = index
        let next = peek(1)
        index += 1
        switch bytes[start] {
        case UInt8(ascii: "="):
            if next == UInt8(ascii: "=") { return two(.comparison(.equal)) }
            if next == UInt8(ascii: ">") { return two(.sign(.arrow)) }
            return .sign(.equals)
        case UInt8(ascii: "!"):
            if next == UInt8(ascii: "=") { return two(.comparison(.notEqual)) }
            throw OTTLError("\"!\" is written \"not\"", at: start)
        case UInt8(ascii: "<"): return next == UInt8(ascii: "=") ? two(.comparison(.lessOrEqual)) : .comparison(.less)
        case UInt8(ascii: ">"):
            return next == UInt8(ascii: "=") ? two(.comparison(.greaterOrEqual)) : .comparison(.greater)
        case UInt8(ascii: "+"): return .math(.add)
        case UInt8(ascii: "-"): return .math(.subtract)
        case UInt8(ascii: "*"): return .math(.multiply)
        case UInt8(ascii: "/"): return .math(.divide)
        case let byte:
            let text = String(decoding: [byte], as: UTF8.self)
            if byte < 0x80, let sign = Token.Sign(rawValue: text) { return .sign(sign) }
            if text == "'" || text == "`" { throw OTTLError("strings stand in double quotes", at: start) }
            if text == "&" || text == "|" { throw OTTLError("conditions are joined by \"and\" and \"or\"", at: start) }
            throw OTTLError("an unexpected character", at: start)
        }
    }

    private mutating func two(_ token: Token) -> Token {
        index += 1
        return token
    }

    private static func isDigit(_ byte: UInt8) -> Bool { byte >= 0x30 && byte <= 0x39 }
    private static func isLetter(_ byte: UInt8) -> Bool { (byte | 0x20 >= 0x61 && byte | 0x20 <= 0x7A) || byte == 0x5F }
}
