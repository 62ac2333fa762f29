/// Cuts a configuration into tokens.
///
/// Agrees with Alloy's `syntax/scanner`: newlines become terminators only after a token that can end a statement, and
/// comments are tokens. Two deliberate differences: an encoding error is reported once where Alloy may report it
/// several times, and it is not repeated as an illegal character.
struct Scanner {
    let source: SourceFile
    let bytes: [UInt8]
    var diagnostics: DiagnosticList

    /// Where the next token is looked for.
    private var offset = 0
    /// Whether the next newline is a terminator.
    private var insertsTerminator = false
    /// Up to which offset encoding errors were looked for.
    private var checkedOffset = 0

    init(source: SourceFile) {
        self.source = source
        bytes = source.bytes
        diagnostics = DiagnosticList(source: source)
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) {
            offset = 3
            checkedOffset = 3
        }
    }

    /// The next token; the end of the file again and again once it is reached.
    mutating func next() -> Token {
        skipSpace()
        let start = offset
        guard let first = byte(at: start) else {
            checkEncoding(upTo: start)
            if insertsTerminator {
                insertsTerminator = false
                return Token(kind: .terminator, start: start, end: start)
            }
            return Token(kind: .endOfFile, start: start, end: start)
        }
        if first == UInt8(ascii: "\n") {
            // Only reached when a terminator is due; space otherwise includes newlines.
            offset += 1
            insertsTerminator = false
            checkEncoding(upTo: offset)
            return Token(kind: .terminator, start: start, end: start)
        }
        if first == UInt8(ascii: "/"), let second = byte(at: start + 1),
            second == UInt8(ascii: "/") || second == UInt8(ascii: "*")
        {
            if insertsTerminator && commentsRunToLineEnd(from: start) {
                insertsTerminator = false
                return Token(kind: .terminator, start: start, end: start)
            }
            insertsTerminator = false
            offset = endOfComment(from: start, reporting: true)
            checkEncoding(upTo: offset)
            return Token(kind: .comment, start: start, end: offset)
        }

        let kind = scanToken(first, start: start)
        checkEncoding(upTo: offset)
        // An illegal character keeps what the token before it asked for.
        if kind != .illegal || first == UInt8(ascii: "'") {
            insertsTerminator = kind.endsStatement || kind == .illegal
        }
        return Token(kind: kind, start: start, end: offset)
    }

    // MARK: Tokens

    private mutating func scanToken(_ first: UInt8, start: Int) -> TokenKind {
        if first.isIdentifierStart { return scanIdentifier(from: start) }
        if first.isDigit { return scanNumber(from: start) }
        if first == UInt8(ascii: "."), let second = byte(at: start + 1), second.isDigit {
            return scanNumber(from: start)
        }
        offset = start + 1
        switch first {
        case UInt8(ascii: "\""):
            scanQuoted(until: first, from: start)
            return .string
        case UInt8(ascii: "`"):
            scanRaw(from: start)
            return .string
        case UInt8(ascii: "'"):
            diagnostics.add("illegal single-quoted string; use double quotes", at: start)
            scanQuoted(until: first, from: start)
            return .illegal
        case UInt8(ascii: "|"): return doubled(first, .or, missing: "missing second | in ||")
        case UInt8(ascii: "&"): return doubled(first, .and, missing: "missing second & in &&")
        case UInt8(ascii: "!"): return withEquals(.notEqual, without: .not)
        case UInt8(ascii: "="): return withEquals(.equal, without: .assign)
        case UInt8(ascii: "<"): return withEquals(.lessOrEqual, without: .less)
        case UInt8(ascii: ">"): return withEquals(.greaterOrEqual, without: .greater)
        case UInt8(ascii: "+"): return .add
        case UInt8(ascii: "-"): return .subtract
        case UInt8(ascii: "*"): return .multiply
        case UInt8(ascii: "/"): return .divide
        case UInt8(ascii: "%"): return .remainder
        case UInt8(ascii: "^"): return .power
        case UInt8(ascii: "{"): return .leftCurly
        case UInt8(ascii: "}"): return .rightCurly
        case UInt8(ascii: "("): return .leftParenthesis
        case UInt8(ascii: ")"): return .rightParenthesis
        case UInt8(ascii: "["): return .leftBracket
        case UInt8(ascii: "]"): return .rightBracket
        case UInt8(ascii: ","): return .comma
        case UInt8(ascii: "."): return .dot
        default: return scanOther(from: start)
        }
    }

    /// A token that begins with a character without a meaning of its own: a letter beyond ASCII or something illegal.
    private mutating func scanOther(from start: Int) -> TokenKind {
        let (scalar, length) = UTF8Decoding.scalar(in: bytes, at: start)
        guard let scalar else { return .illegal }
        offset = start + length
        if scalar.isAlloyLetter { return scanIdentifier(from: start) }
        // NUL and a misplaced byte order mark are reported as encoding errors.
        if scalar.value != 0 && scalar.value != 0xFEFF {
            diagnostics.add("illegal character \(scalar.unicodeNotation)", at: start)
        }
        return .illegal
    }

    private mutating func scanIdentifier(from start: Int) -> TokenKind {
        var index = start
        while index < bytes.count {
            let byte = bytes[index]
            if byte.isIdentifierStart || byte.isDigit {
                index += 1
            } else if byte < 0x80 {
                break
            } else {
                let (scalar, length) = UTF8Decoding.scalar(in: bytes, at: index)
                guard let scalar, scalar.isAlloyLetter || scalar.isAlloyDigit else { break }
                index += length
            }
        }
        offset = index
        let text = bytes[start..<index]
        if text.elementsEqual("true".utf8) || text.elementsEqual("false".utf8) { return .bool }
        if text.elementsEqual("null".utf8) { return .null }
        return .identifier
    }

    private mutating func scanNumber(from start: Int) -> TokenKind {
        var kind = TokenKind.number
        var index = endOfDigits(from: start)
        if byte(at: index) == UInt8(ascii: ".") {
            kind = .float
            index = endOfDigits(from: index + 1)
        }
        if let byte = byte(at: index), byte == UInt8(ascii: "e") || byte == UInt8(ascii: "E") {
            kind = .float
            index += 1
            if let sign = self.byte(at: index), sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-") { index += 1 }
            let end = endOfDigits(from: index)
            if end == index { diagnostics.add("exponent has no digits", at: start) }
            index = end
        }
        offset = index
        return kind
    }

    private func endOfDigits(from start: Int) -> Int {
        var index = start
        while index < bytes.count, bytes[index].isDigit { index += 1 }
        return index
    }

    private mutating func doubled(_ byte: UInt8, _ kind: TokenKind, missing message: String) -> TokenKind {
        if self.byte(at: offset) == byte {
            offset += 1
        } else {
            diagnostics.add(message, at: offset)
        }
        return kind
    }

    private mutating func withEquals(_ kind: TokenKind, without: TokenKind) -> TokenKind {
        guard byte(at: offset) == UInt8(ascii: "=") else { return without }
        offset += 1
        return kind
    }

    // MARK: Strings

    private mutating func scanRaw(from start: Int) {
        if let end = bytes[offset...].firstIndex(of: UInt8(ascii: "`")) {
            offset = end + 1
        } else {
            offset = bytes.count
            diagnostics.add("string literal not terminated", at: start)
        }
    }

    private mutating func scanQuoted(until quote: UInt8, from start: Int) {
        while let byte = byte(at: offset), byte != UInt8(ascii: "\n") {
            offset += 1
            if byte == quote { return }
            if byte == UInt8(ascii: "\\") { scanEscape() }
        }
        diagnostics.add("string literal not terminated", at: start)
    }

    /// Checks what follows a backslash; stops in front of what does not belong there.
    private mutating func scanEscape() {
        let start = offset
        guard let first = byte(at: start) else {
            diagnostics.add("escape sequence not terminated", at: start)
            return
        }
        let digits: Int
        var radix: UInt32 = 16
        var largest: UInt32 = 0x10FFFF
        switch first {
        case UInt8(ascii: "a"), UInt8(ascii: "b"), UInt8(ascii: "f"), UInt8(ascii: "n"), UInt8(ascii: "r"),
            UInt8(ascii: "t"), UInt8(ascii: "v"), UInt8(ascii: "\\"), UInt8(ascii: "\""):
            offset += 1
            return
        case UInt8(ascii: "0")...UInt8(ascii: "7"):
            (digits, radix, largest) = (3, 8, 255)
        case UInt8(ascii: "x"):
            offset += 1
            (digits, largest) = (2, 255)
        case UInt8(ascii: "u"):
            offset += 1
            digits = 4
        case UInt8(ascii: "U"):
            offset += 1
            digits = 8
        default:
            diagnostics.add("unknown escape sequence", at: start)
            return
        }
        var value: UInt32 = 0
        for _ in 0..<digits {
            guard let byte = byte(at: offset) else {
                diagnostics.add("escape sequence not terminated", at: start)
                return
            }
            let digit = byte.hexDigitValue
            guard digit < radix else {
                let scalar = UTF8Decoding.scalar(in: bytes, at: offset).scalar ?? "\u{FFFD}"
                diagnostics.add("illegal character \(scalar.unicodeNotation) in escape sequence", at: start)
                return
            }
            // At most eight hexadecimal digits: the value fits.
            value = value &* radix &+ digit
            offset += 1
        }
        if value > largest || (0xD800..<0xE000).contains(value) {
            diagnostics.add("escape sequence is invalid Unicode code point", at: start)
        }
    }

    // MARK: Space and comments

    private mutating func skipSpace() {
        while offset < bytes.count {
            switch bytes[offset] {
            case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\r"): offset += 1
            case UInt8(ascii: "\n") where !insertsTerminator: offset += 1
            default: return
            }
        }
    }

    /// The offset after the comment that begins at `start`; a line comment ends before its newline.
    private mutating func endOfComment(from start: Int, reporting: Bool) -> Int {
        var index = start + 2
        if bytes[start + 1] == UInt8(ascii: "/") {
            return bytes[index...].firstIndex(of: UInt8(ascii: "\n")) ?? bytes.count
        }
        while index + 1 < bytes.count {
            if bytes[index] == UInt8(ascii: "*") && bytes[index + 1] == UInt8(ascii: "/") { return index + 2 }
            index += 1
        }
        if reporting { diagnostics.add("block comment not terminated", at: start) }
        return bytes.count
    }

    /// Whether nothing but comments stands between `start`, where one begins, and the end of its line. A block comment
    /// with a newline inside counts as the end of the line.
    private mutating func commentsRunToLineEnd(from start: Int) -> Bool {
        var index = start
        while true {
            guard bytes[index + 1] == UInt8(ascii: "*") else { return true }
            let end = endOfComment(from: index, reporting: false)
            if bytes[index..<end].contains(UInt8(ascii: "\n")) { return true }
            index = end
            while let byte = byte(at: index), byte == 0x20 || byte == 0x09 || byte == 0x0D { index += 1 }
            guard let byte = byte(at: index), byte != UInt8(ascii: "\n") else { return true }
            guard byte == UInt8(ascii: "/"), let second = self.byte(at: index + 1),
                second == UInt8(ascii: "/") || second == UInt8(ascii: "*")
            else { return false }
        }
    }

    // MARK: Bytes

    private func byte(at index: Int) -> UInt8? {
        index < bytes.count ? bytes[index] : nil
    }

    /// Reports NUL, malformed UTF-8 and byte order marks between what was checked so far and `end`.
    private mutating func checkEncoding(upTo end: Int) {
        var index = checkedOffset
        while index < end {
            let byte = bytes[index]
            if byte == 0 {
                diagnostics.add("illegal character NUL", at: index)
                index += 1
            } else if byte < 0x80 {
                index += 1
            } else {
                let (scalar, length) = UTF8Decoding.scalar(in: bytes, at: index)
                if scalar == nil {
                    diagnostics.add("illegal UTF-8 encoding", at: index)
                } else if scalar?.value == 0xFEFF {
                    diagnostics.add("illegal byte order mark", at: index)
                }
                index += length
            }
        }
        checkedOffset = max(checkedOffset, index)
    }
}
