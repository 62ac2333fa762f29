import Glibc

/// Walks JSON text (RFC 8259) by bytes; errors carry Go's encoding/json wording and the offset of the byte at fault.
struct JSONReader {
    let bytes: UnsafeRawBufferPointer
    let end: Int
    let maximumDepth: Int
    var index: Int
    private var depth = 0

    init(_ bytes: UnsafeRawBufferPointer, range: Range<Int>? = nil, maximumDepth: Int) {
        self.bytes = bytes
        end = range?.upperBound ?? bytes.count
        index = range?.lowerBound ?? 0
        self.maximumDepth = maximumDepth
    }

    @inline(__always)
    mutating func skipSpace() {
        while index < end {
            let byte = bytes[index]
            guard byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 else { return }
            index &+= 1
        }
    }

    /// The next byte that is no space, not consumed.
    @inline(__always)
    mutating func peek() throws(TextFormatError) -> UInt8 {
        skipSpace()
        guard index < end else { throw ended }
        return bytes[index]
    }

    var ended: TextFormatError { TextFormatError("unexpected end of JSON input", offset: end) }

    func unexpected(_ context: String) -> TextFormatError {
        guard index < end else { return ended }
        let byte = bytes[index]
        var quoted: [UInt8] = []
        if byte == UInt8(ascii: "\"") {
            quoted = Array("'\"'".utf8)
        } else {
            GoQuote.append(UInt32(byte), quote: UInt8(ascii: "'"), ascii: false, to: &quoted)
            quoted = [UInt8(ascii: "'")] + quoted + [UInt8(ascii: "'")]
        }
        return TextFormatError("invalid character \(String(decoding: quoted, as: UTF8.self)) \(context)", offset: index)
    }

    mutating func finish() throws(TextFormatError) {
        skipSpace()
        if index < end { throw unexpected("after top-level value") }
    }

    mutating func enter() throws(TextFormatError) {
        depth += 1
        if depth > maximumDepth { throw TextFormatError("exceeded max depth", offset: index) }
        index += 1
    }

    mutating func leave() {
        depth -= 1
        index += 1
    }

    // MARK: Values

    mutating func value() throws(TextFormatError) -> JSONValue {
        switch try peek() {
        case UInt8(ascii: "{"): return .object(try object())
        case UInt8(ascii: "["): return .array(try array())
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"):
            try literal("true")
            return .bool(true)
        case UInt8(ascii: "f"):
            try literal("false")
            return .bool(false)
        case UInt8(ascii: "n"):
            try literal("null")
            return .null
        default:
            let range = try number()
            return .number(JSONNumber(validated: bytes.sliced(range).text))
        }
    }

    private mutating func object() throws(TextFormatError) -> JSONObject {
        var object = JSONObject()
        try enter()
        if try peek() == UInt8(ascii: "}") {
            leave()
            return object
        }
        while true {
            guard try peek() == UInt8(ascii: "\"") else {
                throw unexpected("looking for beginning of object key string")
            }
            let key = try string()
            guard try peek() == UInt8(ascii: ":") else { throw unexpected("after object key") }
            index += 1
            object[key] = try value()
            if try endOfMember() { return object }
        }
    }

    /// Consumes `,` (false) or `}` (true).
    mutating func endOfMember() throws(TextFormatError) -> Bool {
        switch try peek() {
        case UInt8(ascii: ","):
            index += 1
            return false
        case UInt8(ascii: "}"):
            leave()
            return true
        default:
            throw unexpected("after object key:value pair")
        }
    }

    private mutating func array() throws(TextFormatError) -> [JSONValue] {
        var array: [JSONValue] = []
        try enter()
        if try peek() == UInt8(ascii: "]") {
            leave()
            return array
        }
        while true {
            array.append(try value())
            if try endOfElement() { return array }
        }
    }

    /// Consumes `,` (false) or `]` (true).
    mutating func endOfElement() throws(TextFormatError) -> Bool {
        switch try peek() {
        case UInt8(ascii: ","):
            index += 1
            return false
        case UInt8(ascii: "]"):
            leave()
            return true
        default:
            throw unexpected("after array element")
        }
    }

    /// Steps over one value, checking it as `value` would.
    mutating func skip() throws(TextFormatError) {
        switch try peek() {
        case UInt8(ascii: "{"):
            try enter()
            if try peek() == UInt8(ascii: "}") { return leave() }
            repeat {
                guard try peek() == UInt8(ascii: "\"") else {
                    throw unexpected("looking for beginning of object key string")
                }
                _ = try stringRange()
                guard try peek() == UInt8(ascii: ":") else { throw unexpected("after object key") }
                index += 1
                try skip()
            } while try !endOfMember()
        case UInt8(ascii: "["):
            try enter()
            if try peek() == UInt8(ascii: "]") { return leave() }
            repeat { try skip() } while try !endOfElement()
        case UInt8(ascii: "\""): _ = try stringRange()
        case UInt8(ascii: "t"): try literal("true")
        case UInt8(ascii: "f"): try literal("false")
        case UInt8(ascii: "n"): try literal("null")
        default: _ = try number()
        }
    }

    private mutating func literal(_ word: StaticString) throws(TextFormatError) {
        for offset in 0..<word.utf8CodeUnitCount {
            let wanted = word.utf8Start[offset]
            guard index < end else { throw ended }
            guard bytes[index] == wanted else {
                throw unexpected("in literal \(word) (expecting '\(Unicode.Scalar(wanted))')")
            }
            index += 1
        }
    }

    private mutating func number() throws(TextFormatError) -> Range<Int> {
        let start = index
        if bytes[index] == UInt8(ascii: "-") {
            index += 1
            guard index < end else { throw ended }
            guard isDigit(bytes[index]) else { throw unexpected("in numeric literal") }
        }
        guard isDigit(bytes[index]) else { throw unexpected("looking for beginning of value") }
        if bytes[index] == 0x30 { index += 1 } else { digits() }
        if index < end, bytes[index] == UInt8(ascii: ".") {
            index += 1
            guard index < end else { throw ended }
            guard isDigit(bytes[index]) else { throw unexpected("after decimal point in numeric literal") }
            digits()
        }
        if index < end, bytes[index] | 0x20 == UInt8(ascii: "e") {
            index += 1
            if index < end, bytes[index] == UInt8(ascii: "+") || bytes[index] == UInt8(ascii: "-") { index += 1 }
            guard index < end else { throw ended }
            guard isDigit(bytes[index]) else { throw unexpected("in exponent of numeric literal") }
            digits()
        }
        return start..<index
    }

    @inline(__always)
    private func isDigit(_ byte: UInt8) -> Bool { byte &- 0x30 <= 9 }

    private mutating func digits() {
        while index < end, isDigit(bytes[index]) { index &+= 1 }
    }

    // MARK: Strings

    /// The content of the string at the cursor without its quotes, and whether it holds escapes.
    mutating func stringRange() throws(TextFormatError) -> (Range<Int>, hasEscapes: Bool) {
        index += 1
        let start = index
        var hasEscapes = false
        while index < end {
            skipOrdinary()
            guard index < end else { break }
            let byte = bytes[index]
            if byte == UInt8(ascii: "\"") {
                index &+= 1
                return (start..<(index - 1), hasEscapes)
            }
            if byte == UInt8(ascii: "\\") {
                hasEscapes = true
                try skipEscape()
            } else if byte < 0x20 {
                throw unexpected("in string literal")
            } else {
                index &+= 1
            }
        }
        throw ended
    }

    /// Steps over bytes that need no attention, eight at a time.
    @inline(__always)
    private mutating func skipOrdinary() {
        let ones: UInt64 = 0x0101_0101_0101_0101
        while index &+ 8 <= end {
            let word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self))
            let quote = word ^ (ones &* 0x22)
            let backslash = word ^ (ones &* 0x5C)
            let control = (word &- (ones &* 0x20)) & ~word
            let special = ((quote &- ones) & ~quote) | ((backslash &- ones) & ~backslash)
            let hits = (control | special) & (ones &* 0x80)
            if hits != 0 {
                index &+= hits.trailingZeroBitCount / 8
                return
            }
            index &+= 8
        }
    }

    private mutating func skipEscape() throws(TextFormatError) {
        index += 1
        guard index < end else { throw ended }
        switch bytes[index] {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
            UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
            index += 1
        case UInt8(ascii: "u"):
            for _ in 0..<4 {
                index += 1
                guard index < end else { throw ended }
                guard JSONText.hex(bytes[index]) != nil else {
                    throw unexpected("in \\u hexadecimal character escape")
                }
            }
            index += 1
        default:
            throw unexpected("in string escape code")
        }
    }

    mutating func string() throws(TextFormatError) -> String {
        let (range, hasEscapes) = try stringRange()
        return JSONText.decode(bytes.sliced(range), hasEscapes: hasEscapes)
    }
}

/// String contents, decoded.
enum JSONText {
    @inline(__always)
    static func hex(_ byte: UInt8) -> UInt32? {
        if byte &- 0x30 <= 9 { return UInt32(byte &- 0x30) }
        let letter = (byte | 0x20) &- 0x61
        return letter <= 5 ? UInt32(letter) + 10 : nil
    }

    /// The text of a checked string without its quotes; what is no UTF-8 or no scalar becomes U+FFFD as in Go.
    static func decode(_ content: UnsafeRawBufferPointer, hasEscapes: Bool) -> String {
        if !hasEscapes, let text = String(validating: content, as: UTF8.self) { return text }
        var output: [UInt8] = []
        output.reserveCapacity(content.count)
        append(content, to: &output)
        return String(decoding: output, as: UTF8.self)
    }

    static func append(_ content: UnsafeRawBufferPointer, to output: inout [UInt8]) {
        var index = 0
        while index < content.count {
            let byte = content[index]
            if byte == UInt8(ascii: "\\") {
                index += 1
                unescape(content, &index, to: &output)
            } else if byte < 0x80 {
                output.append(byte)
                index += 1
            } else if let length = UTF8Bytes.decode(content, at: index)?.length {
                output.append(contentsOf: content[index..<index + length])
                index += length
            } else {
                output.append(contentsOf: [0xEF, 0xBF, 0xBD])
                index += 1
            }
        }
    }

    /// `index` stands behind the backslash.
    private static func unescape(_ content: UnsafeRawBufferPointer, _ index: inout Int, to output: inout [UInt8]) {
        guard index < content.count else { return }
        let letter = content[index]
        index += 1
        switch letter {
        case UInt8(ascii: "b"): output.append(8)
        case UInt8(ascii: "f"): output.append(12)
        case UInt8(ascii: "n"): output.append(10)
        case UInt8(ascii: "r"): output.append(13)
        case UInt8(ascii: "t"): output.append(9)
        case UInt8(ascii: "u"):
            var scalar = unit(content, at: index)
            index += 4
            if scalar >= 0xD800, scalar < 0xDC00, index + 6 <= content.count, content[index] == UInt8(ascii: "\\"),
                content[index + 1] == UInt8(ascii: "u")
            {
                let second = unit(content, at: index + 2)
                if second >= 0xDC00, second < 0xE000 {
                    scalar = 0x10000 + ((scalar - 0xD800) << 10) + (second - 0xDC00)
                    index += 6
                }
            }
            UTF8Bytes.append(scalar, to: &output)
        default:
            output.append(letter)
        }
    }

    private static func unit(_ content: UnsafeRawBufferPointer, at start: Int) -> UInt32 {
        guard start + 4 <= content.count else { return 0xFFFD }
        var value: UInt32 = 0
        for offset in 0..<4 { value = value << 4 | (hex(content[start + offset]) ?? 0) }
        return value
    }
}
