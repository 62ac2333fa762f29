/// The functions of the namespace `encoding`.
enum EncodingFunctions {
    static let all: [Function] = [
        text("encoding.from_json") { source throws(FormatError) in
            try Formats.decodeJSON(source, integers: false)
        },
        text("encoding.from_yaml") { source throws(FormatError) in try Formats.decodeYAML(source) },
        text("encoding.from_base64") { source throws(FormatError) in
            .string(try utf8(Base64.decode(Array(source.utf8), .standard)))
        },
        text("encoding.from_URLbase64") { source throws(FormatError) in
            .string(try utf8(Base64.decode(Array(source.utf8), .url)))
        },
        text("encoding.to_base64") { source throws(FormatError) in
            .string(Base64.encode(Array(source.utf8), .standard))
        },
        text("encoding.to_URLbase64") { source throws(FormatError) in
            .string(Base64.encode(Array(source.utf8), .url))
        },
        text("encoding.url_encode") { source throws(FormatError) in .string(QueryText.encode(source)) },
        text("encoding.url_decode") { source throws(FormatError) in .string(try utf8(QueryText.decode(source))) },
        Function("encoding.to_json") { arguments throws(Function.Failure) in
            try arguments.check(count: 1)
            guard case .object(let object) = arguments[0] else { throw .call("jsonEncode only supports map") }
            var writer = JSONText()
            do throws(FormatError) {
                try writer.append(arguments[0])
            } catch {
                throw .call(error.message)
            }
            return Revealing.result(writer.text, secret: object.values.contains { $0.containsSecret })
        },
    ]

    private static func text(
        _ name: String, _ body: @escaping @Sendable (String) throws(FormatError) -> Value
    ) -> Function {
        Function(name) { arguments throws(Function.Failure) in
            let source = try arguments.strings(count: 1)[0]
            do throws(FormatError) {
                return try body(source)
            } catch {
                throw .call(error.message)
            }
        }
    }

    private static func utf8(_ bytes: [UInt8]) throws(FormatError) -> String {
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw FormatError(message: "the decoded bytes are not UTF-8 text")
        }
        return text
    }
}

/// Base64 with padding (RFC 4648, sections 4 and 5); line breaks in the input are skipped, as Go does.
enum Base64 {
    enum Alphabet {
        case standard
        case url

        fileprivate var digits: [UInt8] {
            let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
            return Array((letters + (self == .standard ? "+/" : "-_")).utf8)
        }
    }

    static func encode(_ bytes: [UInt8], _ alphabet: Alphabet) -> String {
        let digits = alphabet.digits
        var out: [UInt8] = []
        out.reserveCapacity((bytes.count + 2) / 3 * 4)
        var index = 0
        while index < bytes.count {
            let count = min(3, bytes.count - index)
            var group: UInt32 = 0
            for offset in 0..<3 { group = group << 8 | (offset < count ? UInt32(bytes[index + offset]) : 0) }
            for position in 0..<4 {
                let digit = digits[Int(group >> UInt32(18 - 6 * position)) & 63]
                out.append(position <= count ? digit : UInt8(ascii: "="))
            }
            index += 3
        }
        return String(decoding: out, as: UTF8.self)
    }

    static func decode(_ source: [UInt8], _ alphabet: Alphabet) throws(FormatError) -> [UInt8] {
        var values = [UInt8](repeating: 0xFF, count: 256)
        for (value, digit) in alphabet.digits.enumerated() { values[Int(digit)] = UInt8(value) }
        var out: [UInt8] = []
        out.reserveCapacity(source.count / 4 * 3)
        var group: UInt32 = 0
        var count = 0
        var index = 0
        while index < source.count {
            let byte = source[index]
            index += 1
            if isLineBreak(byte) { continue }
            if byte == UInt8(ascii: "=") {
                guard count >= 2 else { throw corrupt(at: index - 1) }
                if count == 2 {
                    skipLineBreaks(source, &index)
                    guard index < source.count else { throw corrupt(at: source.count) }
                    guard source[index] == UInt8(ascii: "=") else { throw corrupt(at: index - 1) }
                    index += 1
                }
                skipLineBreaks(source, &index)
                guard index == source.count else { throw corrupt(at: index) }
                group <<= UInt32(6 * (4 - count))
                out.append(UInt8(truncatingIfNeeded: group >> 16))
                if count == 3 { out.append(UInt8(truncatingIfNeeded: group >> 8)) }
                return out
            }
            guard values[Int(byte)] != 0xFF else { throw corrupt(at: index - 1) }
            group = group << 6 | UInt32(values[Int(byte)])
            count += 1
            if count == 4 {
                for shift in [16, 8, 0] as [UInt32] { out.append(UInt8(truncatingIfNeeded: group >> shift)) }
                group = 0
                count = 0
            }
        }
        guard count == 0 else { throw corrupt(at: source.count - count) }
        return out
    }

    private static func isLineBreak(_ byte: UInt8) -> Bool { byte == 0x0A || byte == 0x0D }

    private static func skipLineBreaks(_ source: [UInt8], _ index: inout Int) {
        while index < source.count, isLineBreak(source[index]) { index += 1 }
    }

    private static func corrupt(at offset: Int) -> FormatError {
        FormatError(message: "illegal base64 data at input byte \(offset)")
    }
}

/// Text in the query of a URL: percent escapes, and `+` for a space.
enum QueryText {
    static func encode(_ text: String) -> String {
        let hex = Array("0123456789ABCDEF".utf8)
        var out: [UInt8] = []
        for byte in text.utf8 {
            if isPlain(byte) {
                out.append(byte)
            } else if byte == UInt8(ascii: " ") {
                out.append(UInt8(ascii: "+"))
            } else {
                out += [UInt8(ascii: "%"), hex[Int(byte >> 4)], hex[Int(byte & 15)]]
            }
        }
        return String(decoding: out, as: UTF8.self)
    }

    static func decode(_ text: String) throws(FormatError) -> [UInt8] {
        let bytes = Array(text.utf8)
        var out: [UInt8] = []
        out.reserveCapacity(bytes.count)
        var index = 0
        while index < bytes.count {
            switch bytes[index] {
            case UInt8(ascii: "+"): out.append(UInt8(ascii: " "))
            case UInt8(ascii: "%"):
                let end = min(index + 3, bytes.count)
                let escape = bytes[index..<end]
                let digits = escape.dropFirst().map { $0.hexDigitValue }
                guard digits.count == 2, digits.allSatisfy({ $0 < 16 }) else {
                    let shown = StringLiteral.quoted(String(decoding: escape, as: UTF8.self))
                    throw FormatError(message: "invalid URL escape \(shown)")
                }
                out.append(UInt8(truncatingIfNeeded: digits[0] << 4 | digits[1]))
                index += 2
            default: out.append(bytes[index])
            }
            index += 1
        }
        return out
    }

    private static func isPlain(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E: true
        default: false
        }
    }
}
