/// The words of an expression.
enum ExpressionToken: Sendable, Equatable {
    case name(String)
    case string([UInt8])
    case int(Int64)
    case double(Double)
    /// An operator or bracket.
    case symbol(String)
    case end

    var text: String {
        switch self {
        case .name(let text), .symbol(let text): text
        case .string(let bytes): "\"" + String(decoding: bytes, as: UTF8.self) + "\""
        case .int(let number): "\(number)"
        case .double(let number): "\(number)"
        case .end: "the end"
        }
    }
}

struct ExpressionLexer {
    private let bytes: [UInt8]
    private var index = 0

    init(_ text: String) { bytes = Array(text.utf8) }

    private static let symbols = [
        "??", "?.", "==", "!=", "<=", ">=", "&&", "||", "**", "..", "+", "-", "*", "/", "%", "^", "<", ">", "!", "?",
        ":",
        "(", ")", "[", "]", "{", "}", ",", ".", "|", "#", ";", "=",
    ].map { Array($0.utf8) }

    mutating func next() throws(StanzaError) -> ExpressionToken {
        while index < bytes.count, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[index]) { index += 1 }
        guard index < bytes.count else { return .end }
        let byte = bytes[index]
        if Self.isLetter(byte) || byte == UInt8(ascii: "$") { return name() }
        if Self.isDigit(byte) { return try number() }
        if byte == 0x22 || byte == 0x27 || byte == 0x60 { return .string(try string(byte)) }
        for symbol in Self.symbols where bytes[index...].starts(with: symbol) {
            index += symbol.count
            return .symbol(String(decoding: symbol, as: UTF8.self))
        }
        throw StanzaError("unexpected character at byte \(index) of the expression")
    }

    private static func isLetter(_ byte: UInt8) -> Bool {
        (byte | 0x20 >= 0x61 && byte | 0x20 <= 0x7A) || byte == 0x5F || byte >= 0x80
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

    private mutating func name() -> ExpressionToken {
        let start = index
        index += 1
        while index < bytes.count, Self.isLetter(bytes[index]) || Self.isDigit(bytes[index]) { index += 1 }
        return .name(String(decoding: bytes[start..<index], as: UTF8.self))
    }

    private mutating func number() throws(StanzaError) -> ExpressionToken {
        let start = index
        if bytes[index] == 0x30, index + 1 < bytes.count, bytes[index + 1] | 0x20 == UInt8(ascii: "x") {
            index += 2
            let digits = index
            while index < bytes.count, Self.isDigit(bytes[index]) || (0x61...0x66).contains(bytes[index] | 0x20) {
                index += 1
            }
            let text = String(decoding: bytes[digits..<index], as: UTF8.self)
            guard let value = Int64(text, radix: 16) else { throw StanzaError("invalid number at byte \(start)") }
            return .int(value)
        }
        var isDouble = false
        while index < bytes.count {
            let byte = bytes[index]
            if byte == UInt8(ascii: "."), index + 1 < bytes.count, Self.isDigit(bytes[index + 1]), !isDouble {
                isDouble = true
            } else if byte | 0x20 == UInt8(ascii: "e"), index + 1 < bytes.count {
                isDouble = true
                if bytes[index + 1] == UInt8(ascii: "-") || bytes[index + 1] == UInt8(ascii: "+") { index += 1 }
            } else if !Self.isDigit(byte), byte != 0x5F {
                break
            }
            index += 1
        }
        let text = String(decoding: bytes[start..<index].filter { $0 != 0x5F }, as: UTF8.self)
        if !isDouble, let value = Int64(text) { return .int(value) }
        guard let value = Double(text) else { throw StanzaError("invalid number \(text)") }
        return .double(value)
    }

    private mutating func string(_ quote: UInt8) throws(StanzaError) -> [UInt8] {
        var value: [UInt8] = []
        index += 1
        while index < bytes.count {
            let byte = bytes[index]
            index += 1
            if byte == quote { return value }
            guard byte == UInt8(ascii: "\\"), quote != 0x60 else {
                value.append(byte)
                continue
            }
            guard index < bytes.count else { break }
            let escape = bytes[index]
            index += 1
            switch escape {
            case UInt8(ascii: "n"): value.append(0x0A)
            case UInt8(ascii: "t"): value.append(0x09)
            case UInt8(ascii: "r"): value.append(0x0D)
            case UInt8(ascii: "a"): value.append(0x07)
            case UInt8(ascii: "b"): value.append(0x08)
            case UInt8(ascii: "f"): value.append(0x0C)
            case UInt8(ascii: "v"): value.append(0x0B)
            case 0x22, 0x27, 0x60, UInt8(ascii: "\\"): value.append(escape)
            case UInt8(ascii: "x"): value.append(UInt8(truncatingIfNeeded: try hex(2)))
            case UInt8(ascii: "u"), UInt8(ascii: "U"):
                let scalar = Unicode.Scalar(try hex(escape == UInt8(ascii: "u") ? 4 : 8)) ?? "\u{FFFD}"
                value.append(contentsOf: String(scalar).utf8)
            default: throw StanzaError("unknown escape in a string of the expression")
            }
        }
        throw StanzaError("a string of the expression does not end")
    }

    private mutating func hex(_ count: Int) throws(StanzaError) -> UInt32 {
        guard bytes.count - index >= count,
            let value = UInt32(String(decoding: bytes[index..<index + count], as: UTF8.self), radix: 16)
        else { throw StanzaError("invalid escape in a string of the expression") }
        index += count
        return value
    }
}
