/// One token inside an action.
struct TemplateToken: Sendable {
    enum Kind: Sendable, Equatable {
        case identifier(String)
        /// `.name`
        case field(String)
        case dot
        /// `$name`, the dollar included.
        case variable(String)
        case string(String)
        case number(String)
        case character(UInt32)
        case pipe, leftParenthesis, rightParenthesis, declare, assign, comma
    }

    var kind: Kind
    var range: Range<Int>
    var hasSpaceBefore: Bool
}

/// A stretch of the template: text, or the tokens of an action.
enum TemplatePiece: Sendable {
    case text([UInt8])
    case action([TemplateToken], Range<Int>)
}

/// Cuts a template into text and actions; trim markers and comments are gone afterwards.
struct TemplateLexer {
    private let source: TemplateSource
    private let bytes: [UInt8]
    private var index = 0

    init(_ source: TemplateSource) {
        self.source = source
        bytes = source.bytes
    }

    static func pieces(of source: TemplateSource) throws(GoTemplateError) -> [TemplatePiece] {
        var lexer = TemplateLexer(source)
        return try lexer.run()
    }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0D || byte == 0x0A }

    private func starts(_ text: StaticString, at position: Int) -> Bool {
        guard position + text.utf8CodeUnitCount <= bytes.count else { return false }
        for offset in 0..<text.utf8CodeUnitCount where bytes[position + offset] != text.utf8Start[offset] {
            return false
        }
        return true
    }

    private mutating func run() throws(GoTemplateError) -> [TemplatePiece] {
        var pieces: [TemplatePiece] = []
        var trimsNext = false
        while index < bytes.count {
            let start = index
            while index < bytes.count, !starts("{{", at: index) { index += 1 }
            var text = bytes[start..<index]
            if trimsNext { text = text.drop { Self.isSpace($0) } }
            trimsNext = false
            let atAction = index < bytes.count
            let trimsBefore =
                atAction && starts("{{-", at: index) && index + 3 < bytes.count && Self.isSpace(bytes[index + 3])
            if trimsBefore {
                while let last = text.last, Self.isSpace(last) { text.removeLast() }
            }
            if !text.isEmpty { pieces.append(.text(Array(text))) }
            guard atAction else { break }
            let opening = index
            index += trimsBefore ? 4 : 2
            if starts("/*", at: index) {
                trimsNext = try skipComment(opening)
                continue
            }
            let (tokens, trimsAfter) = try action(opening)
            trimsNext = trimsAfter
            pieces.append(.action(tokens, opening..<index))
        }
        return pieces
    }

    /// Returns whether the text after the comment is trimmed.
    private mutating func skipComment(_ opening: Int) throws(GoTemplateError) -> Bool {
        index += 2
        while index < bytes.count, !starts("*/", at: index) { index += 1 }
        guard index < bytes.count else { throw source.parseError("unclosed comment", at: opening) }
        index += 2
        if starts("}}", at: index) {
            index += 2
            return false
        }
        if index < bytes.count, Self.isSpace(bytes[index]), starts("-}}", at: index + 1) {
            index += 4
            return true
        }
        throw source.parseError("comment ends before closing delimiter", at: opening)
    }

    private mutating func action(_ opening: Int) throws(GoTemplateError) -> ([TemplateToken], Bool) {
        var tokens: [TemplateToken] = []
        var depth = 0
        var hasSpace = true
        while true {
            guard index < bytes.count else { throw source.parseError("unclosed action", at: opening) }
            if starts("}}", at: index)
                || (hasSpace && index > opening + 2 && starts("-}}", at: index) && Self.isSpace(bytes[index - 1]))
            {
                let trims = bytes[index] == UInt8(ascii: "-")
                guard depth == 0 else { throw source.parseError("unclosed left paren", at: index) }
                index += trims ? 3 : 2
                return (tokens, trims)
            }
            if Self.isSpace(bytes[index]) {
                hasSpace = true
                index += 1
                continue
            }
            let start = index
            let kind = try token()
            if kind == .leftParenthesis { depth += 1 }
            if kind == .rightParenthesis {
                depth -= 1
                if depth < 0 { throw source.parseError("unexpected right paren", at: start) }
            }
            tokens.append(TemplateToken(kind: kind, range: start..<index, hasSpaceBefore: hasSpace))
            hasSpace = false
        }
    }

    private func nameEnd(from start: Int) -> Int {
        bytes.withUnsafeBytes { raw in
            var end = start
            while end < raw.count {
                guard let (length, value) = UTF8Bytes.decode(raw, at: end), let scalar = Unicode.Scalar(value) else {
                    break
                }
                let isName =
                    value < 0x80
                    ? value == 0x5F || (value >= 0x30 && value <= 0x39)
                        || (value | 0x20 >= 0x61 && value | 0x20 <= 0x7A)
                    : scalar.properties.isAlphabetic || scalar.properties.numericType == .decimal
                guard isName else { break }
                end += length
            }
            return end
        }
    }

    private mutating func token() throws(GoTemplateError) -> TemplateToken.Kind {
        let byte = bytes[index]
        let next = index + 1 < bytes.count ? bytes[index + 1] : 0
        switch byte {
        case UInt8(ascii: "|"): return take(1, .pipe)
        case UInt8(ascii: "("): return take(1, .leftParenthesis)
        case UInt8(ascii: ")"): return take(1, .rightParenthesis)
        case UInt8(ascii: ","): return take(1, .comma)
        case UInt8(ascii: "="): return take(1, .assign)
        case UInt8(ascii: ":") where next == UInt8(ascii: "="): return take(2, .declare)
        case UInt8(ascii: "\""): return try quoted()
        case UInt8(ascii: "`"): return try raw()
        case UInt8(ascii: "'"): return try character()
        case UInt8(ascii: "$"):
            let end = nameEnd(from: index + 1)
            let name = String(decoding: bytes[index..<end], as: UTF8.self)
            index = end
            return .variable(name)
        case UInt8(ascii: ".") where next < 0x30 || next > 0x39:
            let end = nameEnd(from: index + 1)
            let name = String(decoding: bytes[(index + 1)..<end], as: UTF8.self)
            index = end
            return name.isEmpty ? .dot : .field(name)
        case UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."), 0x30...0x39:
            return try number()
        default:
            let end = nameEnd(from: index)
            guard end > index else {
                let scalar = bytes.withUnsafeBytes { UTF8Bytes.decode($0, at: index)?.scalar ?? UInt32($0[index]) }
                throw source.parseError(
                    "unexpected bad character \(GoFormat.sprintf("%#U", [.int(Int64(scalar))])) in command", at: index)
            }
            let name = String(decoding: bytes[index..<end], as: UTF8.self)
            index = end
            return .identifier(name)
        }
    }

    private mutating func take(_ count: Int, _ kind: TemplateToken.Kind) -> TemplateToken.Kind {
        index += count
        return kind
    }

    private mutating func number() throws(GoTemplateError) -> TemplateToken.Kind {
        let start = index
        if bytes[index] == UInt8(ascii: "+") || bytes[index] == UInt8(ascii: "-") { index += 1 }
        while index < bytes.count {
            let byte = bytes[index]
            let previous = bytes[index - (index > start ? 1 : 0)] | 0x20
            let isSign =
                (byte == UInt8(ascii: "+") || byte == UInt8(ascii: "-")) && index > start
                && (previous == UInt8(ascii: "e") || previous == UInt8(ascii: "p"))
            let isDigit = (byte >= 0x30 && byte <= 0x39) || (byte | 0x20 >= 0x61 && byte | 0x20 <= 0x7A)
            guard isSign || isDigit || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "_") else { break }
            index += 1
        }
        let text = String(decoding: bytes[start..<index], as: UTF8.self)
        guard text != "+", text != "-" else {
            throw source.parseError("bad number syntax: \(GoQuote.quote(text))", at: start)
        }
        return .number(text)
    }

    private mutating func quoted() throws(GoTemplateError) -> TemplateToken.Kind {
        let start = index
        index += 1
        var output: [UInt8] = []
        while index < bytes.count, bytes[index] != 0x0A {
            let byte = bytes[index]
            if byte == UInt8(ascii: "\"") {
                index += 1
                return .string(String(decoding: output, as: UTF8.self))
            }
            if byte == UInt8(ascii: "\\") {
                try escape(quote: UInt8(ascii: "\""), into: &output)
            } else {
                output.append(byte)
                index += 1
            }
        }
        throw source.parseError("unterminated quoted string", at: start)
    }

    private mutating func raw() throws(GoTemplateError) -> TemplateToken.Kind {
        let start = index
        guard let end = bytes[(index + 1)...].firstIndex(of: UInt8(ascii: "`")) else {
            throw source.parseError("unterminated raw quoted string", at: start)
        }
        index = end + 1
        return .string(String(decoding: bytes[(start + 1)..<end].filter { $0 != 0x0D }, as: UTF8.self))
    }

    private mutating func character() throws(GoTemplateError) -> TemplateToken.Kind {
        let start = index
        index += 1
        var output: [UInt8] = []
        let malformed = source.parseError("malformed character constant", at: start)
        guard index < bytes.count, bytes[index] != 0x0A else {
            throw source.parseError("unterminated character constant", at: start)
        }
        if bytes[index] == UInt8(ascii: "\\") {
            try escape(quote: UInt8(ascii: "'"), into: &output)
        } else {
            let width = bytes.withUnsafeBytes { UTF8Bytes.width($0, at: index) }
            output.append(contentsOf: bytes[index..<index + width])
            index += width
        }
        guard index < bytes.count, bytes[index] == UInt8(ascii: "'") else { throw malformed }
        index += 1
        guard
            let scalar = output.withUnsafeBytes({
                $0.isEmpty ? nil : UTF8Bytes.decode($0, at: 0)?.scalar ?? UInt32($0[0])
            })
        else { throw malformed }
        return .character(scalar)
    }

    /// Go's escapes: `\n`, `\x41`, `\101`, `\u0041`, `\U00000041`, the quote.
    private mutating func escape(quote: UInt8, into output: inout [UInt8]) throws(GoTemplateError) {
        let start = index
        index += 1
        let bad = source.parseError("invalid syntax", at: start)
        guard index < bytes.count else { throw bad }
        let letter = bytes[index]
        index += 1
        let simple: [UInt8: UInt8] = [
            UInt8(ascii: "a"): 7, UInt8(ascii: "b"): 8, UInt8(ascii: "f"): 12, UInt8(ascii: "n"): 10,
            UInt8(ascii: "r"): 13,
            UInt8(ascii: "t"): 9, UInt8(ascii: "v"): 11, UInt8(ascii: "\\"): 0x5C,
        ]
        if let byte = simple[letter] { return output.append(byte) }
        if letter == quote { return output.append(letter) }
        var digits = 0
        var radix: UInt32 = 16
        switch letter {
        case UInt8(ascii: "x"): digits = 2
        case UInt8(ascii: "u"): digits = 4
        case UInt8(ascii: "U"): digits = 8
        case 0x30...0x37:
            digits = 3
            radix = 8
            index -= 1
        default: throw bad
        }
        var value: UInt32 = 0
        for _ in 0..<digits {
            guard index < bytes.count, let digit = JSONText.hex(bytes[index]), digit < radix,
                value <= UInt32.max / radix - 1
            else { throw bad }
            value = value * radix + digit
            index += 1
        }
        if digits <= 3 {
            guard value <= 255 else { throw bad }
            output.append(UInt8(value))
        } else {
            guard Unicode.Scalar(value) != nil else { throw bad }
            UTF8Bytes.append(value, to: &output)
        }
    }
}
