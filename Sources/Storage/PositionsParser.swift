/// Reads the part of YAML 1.1 that positions files use. Refuses the rest (sequences, tags, anchors, block scalars).
struct PositionsParser {
    private let bytes: [UInt8]
    private var index = 0
    private var lineStart = 0
    private var line = 1

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) {
            index = 3
            lineStart = 3
        }
    }

    mutating func document() throws(PositionsError) -> PositionsNode {
        skipSpace()
        if column == 0, bytes[index...].starts(with: Array("---".utf8)) {
            index += 3
            skipSpace()
        }
        let node = try blockNode(above: -1, depth: 0)
        skipSpace()
        if column == 0, bytes[index...].starts(with: Array("...".utf8)) { index = bytes.count }
        guard peek == nil else { throw failure("unexpected content") }
        return node
    }

    /// A value in block context whose parent is indented by `indent`; the cursor is anywhere before it.
    private mutating func blockNode(above indent: Int, depth: Int) throws(PositionsError) -> PositionsNode {
        guard depth < 16 else { throw failure("nested too deeply") }
        let startLine = line
        skipSpace()
        guard let byte = peek else { return .null }
        if line != startLine, column <= indent { return .null }
        if byte == 0x3F, isSpace(at: index + 1) { return try blockMapping(at: column, depth: depth) }
        let saved = (index, lineStart, line)
        if byte == 0x7B || byte == 0x22 || byte == 0x27 || !isIndicator(byte) {
            // Only a look at what follows tells a key from a value.
            _ = try inlineNode(inFlow: false, continuingAbove: nil, depth: depth)
            let isKey = line == saved.2 && isAtColon
            (index, lineStart, line) = saved
            if isKey { return try blockMapping(at: column, depth: depth) }
            return try inlineNode(inFlow: false, continuingAbove: indent, depth: depth)
        }
        throw failure("unsupported content")
    }

    private mutating func blockMapping(at indent: Int, depth: Int) throws(PositionsError) -> PositionsNode {
        var pairs: [(PositionsNode, PositionsNode)] = []
        while peek != nil, column == indent {
            if isDocumentMark { break }
            var key = PositionsNode.null
            if peek == 0x3F, isSpace(at: index + 1) {
                index += 1
                key = try blockNode(above: indent, depth: depth + 1)
                skipSpace()
                guard peek == 0x3A, column == indent else {
                    pairs.append((key, .null))
                    continue
                }
            } else {
                key = try inlineNode(inFlow: false, continuingAbove: nil, depth: depth)
                guard isAtColon else { throw failure("could not find expected ':'") }
                skipBlanks()
            }
            index += 1
            pairs.append((key, try blockNode(above: indent, depth: depth + 1)))
            skipSpace()
        }
        if peek != nil, column > indent { throw failure("bad indentation of a mapping entry") }
        return .mapping(pairs)
    }

    /// A scalar or a flow mapping. A plain scalar goes on over lines indented by more than `continuingAbove`, if given.
    private mutating func inlineNode(
        inFlow: Bool, continuingAbove: Int?, depth: Int
    ) throws(PositionsError) -> PositionsNode {
        switch peek {
        case 0x7B: return try flowMapping(depth: depth + 1)
        case 0x22: return .scalar(try doubleQuoted())
        case 0x27: return .scalar(try singleQuoted())
        default:
            let text = try plain(inFlow: inFlow, continuingAbove: continuingAbove)
            return text == "~" || text == "null" || text.isEmpty ? .null : .scalar(text)
        }
    }

    private mutating func flowMapping(depth: Int) throws(PositionsError) -> PositionsNode {
        guard depth < 16 else { throw failure("nested too deeply") }
        var pairs: [(PositionsNode, PositionsNode)] = []
        index += 1
        skipSpace()
        while peek != 0x7D {
            guard peek != nil else { throw failure("did not find expected ',' or '}'") }
            let key = try inlineNode(inFlow: true, continuingAbove: nil, depth: depth)
            skipSpace()
            var value = PositionsNode.null
            if peek == 0x3A {
                index += 1
                skipSpace()
                if peek != 0x2C, peek != 0x7D {
                    value = try inlineNode(inFlow: true, continuingAbove: nil, depth: depth)
                }
                skipSpace()
            }
            pairs.append((key, value))
            if peek == 0x2C {
                index += 1
                skipSpace()
            } else if peek != 0x7D {
                throw failure("did not find expected ',' or '}'")
            }
        }
        index += 1
        return .mapping(pairs)
    }

    // MARK: Scalars

    private mutating func plain(inFlow: Bool, continuingAbove indent: Int?) throws(PositionsError) -> String {
        guard let first = peek, !isIndicator(first) else { throw failure("unsupported content") }
        var text: [UInt8] = []
        while true {
            let start = index
            var end = index
            while let byte = peek, byte != 0x0A {
                if byte == 0x3A, isSpace(at: index + 1) || inFlow && isFlowEnd(at: index + 1) { break }
                if byte == 0x23, index > start, isBlank(bytes[index - 1]) { break }
                if inFlow, byte == 0x2C || byte == 0x7B || byte == 0x7D || byte == 0x5B || byte == 0x5D { break }
                index += 1
                if !isBlank(byte), byte != 0x0D { end = index }
            }
            text.append(contentsOf: bytes[start..<end])
            index = end
            guard let indent else { break }
            let saved = (index, lineStart, line)
            skipSpace()
            guard peek != nil, line > saved.2, column > indent else {
                (index, lineStart, line) = saved
                break
            }
            appendFold(lines: line - saved.2, to: &text)
        }
        return String(decoding: text, as: UTF8.self)
    }

    private mutating func singleQuoted() throws(PositionsError) -> String {
        index += 1
        var text: [UInt8] = []
        while let byte = peek {
            if byte == 0x27 {
                index += 1
                guard peek == 0x27 else { return String(decoding: text, as: UTF8.self) }
                text.append(0x27)
                index += 1
            } else if byte == 0x0A {
                fold(&text)
            } else {
                text.append(byte)
                index += 1
            }
        }
        throw failure("found unexpected end of stream in a quoted scalar")
    }

    private mutating func doubleQuoted() throws(PositionsError) -> String {
        index += 1
        var text: [UInt8] = []
        while let byte = peek {
            switch byte {
            case 0x22:
                index += 1
                return String(decoding: text, as: UTF8.self)
            case 0x5C:
                index += 1
                try escape(&text)
            case 0x0A: fold(&text)
            default:
                text.append(byte)
                index += 1
            }
        }
        throw failure("found unexpected end of stream in a quoted scalar")
    }

    private mutating func escape(_ text: inout [UInt8]) throws(PositionsError) {
        guard let byte = peek else { throw failure("found unexpected end of stream in a quoted scalar") }
        index += 1
        let simple: [UInt8: UInt32] = [
            0x30: 0, 0x61: 7, 0x62: 8, 0x74: 9, 0x09: 9, 0x6E: 10, 0x76: 11, 0x66: 12, 0x72: 13, 0x65: 0x1B,
            0x20: 0x20, 0x22: 0x22, 0x2F: 0x2F, 0x5C: 0x5C, 0x4E: 0x85, 0x5F: 0xA0, 0x4C: 0x2028, 0x50: 0x2029,
        ]
        if byte == 0x0A {
            beginLine()
            skipBlanks()
            return
        }
        var value: UInt32 = 0
        if let known = simple[byte] {
            value = known
        } else if let digits = [0x78: 2, 0x75: 4, 0x55: 8][Int(byte)] {
            for _ in 0..<digits {
                guard let digit = peek.flatMap({ Character(Unicode.Scalar($0)).hexDigitValue }) else {
                    throw failure("did not find expected hexadecimal number")
                }
                value = value << 4 | UInt32(digit)
                index += 1
            }
        } else {
            throw failure("found unknown escape character")
        }
        guard let scalar = Unicode.Scalar(value) else { throw failure("found invalid Unicode character escape code") }
        text.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
    }

    /// At a line break inside quotes: one break is a space, more are that many less one.
    private mutating func fold(_ text: inout [UInt8]) {
        while let last = text.last, isBlank(last) || last == 0x0D { text.removeLast() }
        var breaks = 0
        while let byte = peek, byte == 0x0A || isBlank(byte) || byte == 0x0D {
            index += 1
            if byte == 0x0A {
                beginLine()
                breaks += 1
            }
        }
        appendFold(lines: breaks, to: &text)
    }

    private func appendFold(lines: Int, to text: inout [UInt8]) {
        if lines == 1 {
            text.append(0x20)
        } else {
            text.append(contentsOf: repeatElement(0x0A, count: lines - 1))
        }
    }

    // MARK: The cursor

    private var peek: UInt8? { index < bytes.count ? bytes[index] : nil }
    private var column: Int { index - lineStart }

    private var isDocumentMark: Bool {
        column == 0
            && (bytes[index...].starts(with: Array("---".utf8)) || bytes[index...].starts(with: Array("...".utf8)))
    }

    /// True at a colon that ends a key, blanks before it allowed.
    private var isAtColon: Bool {
        var position = index
        while position < bytes.count, isBlank(bytes[position]) { position += 1 }
        return position < bytes.count && bytes[position] == 0x3A && isSpace(at: position + 1)
    }

    private func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }

    private func isSpace(at position: Int) -> Bool {
        guard position < bytes.count else { return true }
        return isBlank(bytes[position]) || bytes[position] == 0x0A || bytes[position] == 0x0D
    }

    private func isFlowEnd(at position: Int) -> Bool {
        position < bytes.count && [0x2C, 0x7D, 0x5D].contains(bytes[position])
    }

    /// Characters that begin something else than a plain scalar.
    private func isIndicator(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x21, 0x26, 0x2A, 0x25, 0x40, 0x60, 0x7C, 0x3E, 0x5B, 0x5D, 0x7D, 0x2C, 0x22, 0x27, 0x7B, 0x23: true
        case 0x2D, 0x3F, 0x3A: isSpace(at: index + 1)
        default: false
        }
    }

    private mutating func beginLine() {
        line += 1
        lineStart = index
    }

    private mutating func skipBlanks() {
        while let byte = peek, isBlank(byte) { index += 1 }
    }

    /// Skips blanks, line breaks and comments.
    private mutating func skipSpace() {
        while let byte = peek {
            if byte == 0x0A {
                index += 1
                beginLine()
            } else if isBlank(byte) || byte == 0x0D {
                index += 1
            } else if byte == 0x23, index == lineStart || isBlank(bytes[index - 1]) {
                while let byte = peek, byte != 0x0A { index += 1 }
            } else {
                return
            }
        }
    }

    private func failure(_ message: String) -> PositionsError { PositionsError("yaml: line \(line): \(message)") }
}
