import Essentials
import TextFormats
import Wire

extension Functions {
    /// Functions of strings.
    static let stringConverters: [Converter] = [
        Converter("Concat", [Parameter("vals", .values), Parameter("delimiter", .string)], .string) { arguments in
            let values = arguments.values(0)
            let delimiter = Array((arguments.string(1) ?? "").utf8)
            return { frame in
                var output: [UInt8] = []
                for (place, value) in values.enumerated() {
                    if place > 0 { output.append(contentsOf: delimiter) }
                    let part = try value.evaluate(frame)
                    switch part {
                    case .text(let bytes): output.append(contentsOf: bytes)
                    case .ownText(let bytes): output.append(contentsOf: bytes)
                    case .none: output.append(contentsOf: "<nil>".utf8)
                    case .list, .ownList, .map, .attributes, .ownMap, .messages: break
                    default: output.append(contentsOf: part.textual ?? [])
                    }
                }
                return .ownText(output)
            }
        },
        Converter("Split", [.text("target"), Parameter("delimiter", .string)], .list) { arguments in
            let target = arguments.value(0)
            let delimiter = Array((arguments.string(1) ?? "").utf8)
            return { frame in
                let text = try target.evaluate(frame).requireText(arguments.what(0))
                return .ownList(Text.split(text, by: delimiter).map { .string(Array($0)) })
            }
        },
        Converter(
            "Substring",
            [.text("target"), .int("start"), .int("length"), Parameter("utf8_safe", .bool, optional: true)], .string
        ) { arguments in
            let (target, start, length) = (arguments.value(0), arguments.value(1), arguments.value(2))
            let isSafe = arguments.bool(3) ?? false
            return { frame in
                let text = try target.evaluate(frame).requireText(arguments.what(0))
                let first = try start.evaluate(frame).requireInt(arguments.what(1))
                let count = try length.evaluate(frame).requireInt(arguments.what(2))
                guard first >= 0, count >= 0, first <= Int64(text.count), count <= Int64(text.count) - first else {
                    throw OTTLError("Substring: \(first) and \(count) reach beyond a string of \(text.count) bytes")
                }
                var low = Int(first)
                var high = Int(first + count)
                if isSafe {
                    while low < high, text[low] & 0xC0 == 0x80 { low += 1 }
                    high = max(low, text.withUnsafeBytes { Strings.cut($0, at: high, true) })
                }
                return .ownText(Array(text[low..<high]))
            }
        },
        Converter("ConvertCase", [.text("target"), Parameter("to_case", .string)], .string) { arguments in
            let target = arguments.value(0)
            guard let letters = Letters(rawValue: arguments.string(1) ?? "") else {
                throw arguments.error(1, "must be \"lower\", \"upper\", \"snake\" or \"camel\"")
            }
            return { frame in .ownText(letters.convert(try target.evaluate(frame).requireText(arguments.what(0)))) }
        },
        letters("ToLowerCase", .lower),
        letters("ToUpperCase", .upper),
        letters("ToSnakeCase", .snake),
        letters("ToCamelCase", .camel),
        Converter("HasPrefix", [.text("target"), .text("prefix")], .bool) { arguments in
            let (target, prefix) = (arguments.value(0), arguments.value(1))
            return { frame in
                let text = try target.evaluate(frame).requireText(arguments.what(0))
                return .bool(text.starts(with: try prefix.evaluate(frame).requireText(arguments.what(1))))
            }
        },
        Converter("HasSuffix", [.text("target"), .text("suffix")], .bool) { arguments in
            let (target, suffix) = (arguments.value(0), arguments.value(1))
            return { frame in
                let text = try target.evaluate(frame).requireText(arguments.what(0))
                let end = try suffix.evaluate(frame).requireText(arguments.what(1))
                return .bool(text.count >= end.count && text.suffix(end.count).elementsEqual(end))
            }
        },
        Converter("Trim", [.text("target"), Parameter.text("replacement").optional], .string) { arguments in
            let (target, replacement) = (arguments.value(0), arguments.value(1))
            let isGiven = arguments.isPresent(1)
            return { frame in
                let text = try target.evaluate(frame).requireString(arguments.what(0))
                let cut = Set(isGiven ? try replacement.evaluate(frame).requireString(arguments.what(1)) : " ")
                return .string(String(text.drop { cut.contains($0) }.reversed().drop { cut.contains($0) }.reversed()))
            }
        },
        Converter("TrimPrefix", [.text("target"), .text("prefix")], .string) { arguments in
            let (target, prefix) = (arguments.value(0), arguments.value(1))
            return { frame in
                let text = try target.evaluate(frame).requireText(arguments.what(0))
                let start = try prefix.evaluate(frame).requireText(arguments.what(1))
                return .ownText(text.starts(with: start) ? Array(text.dropFirst(start.count)) : text)
            }
        },
        Converter("TrimSuffix", [.text("target"), .text("suffix")], .string) { arguments in
            let (target, suffix) = (arguments.value(0), arguments.value(1))
            return { frame in
                let text = try target.evaluate(frame).requireText(arguments.what(0))
                let end = try suffix.evaluate(frame).requireText(arguments.what(1))
                let isThere = text.count >= end.count && text.suffix(end.count).elementsEqual(end)
                return .ownText(isThere ? Array(text.dropLast(end.count)) : text)
            }
        },
        Converter("Format", [.text("format_string"), Parameter("format_args", .values)], .string) { arguments in
            let format = arguments.value(0)
            let values = arguments.values(1)
            return { frame in
                let text = try format.evaluate(frame).requireString(arguments.what(0))
                return .string(GoFormat.sprintf(text, try values.map { try $0.evaluate(frame).formatted }))
            }
        },
        Converter("IsMatch", [.any("target"), Parameter("pattern", .pattern)], .bool) { arguments in
            let target = arguments.value(0)
            let pattern = try arguments.pattern(1)
            return { frame in
                let expression = try pattern.expression(frame)
                let value = try target.evaluate(frame)
                if let result = value.withText({ expression.matches($0) }) { return .bool(result) }
                guard let text = value.textual else { return .bool(false) }
                return .bool(text.withUnsafeBytes { expression.matches($0) })
            }
        },
        Converter("Base64Decode", [.text("target")], .string) { arguments in
            let target = arguments.value(0)
            return { frame in
                let text = try target.evaluate(frame).requireText(arguments.what(0))
                guard let bytes = Base64.decode(text) else { throw OTTLError("Base64Decode: the value is no base64") }
                return .ownText(bytes)
            }
        },
        Converter("Base64Encode", [.text("target"), Parameter("variant", .string, optional: true)], .string) {
            arguments in
            let target = arguments.value(0)
            let name = arguments.string(1) ?? "base64"
            guard let variant = Text.base64[name] else {
                throw arguments.error(1, "must be one of \(Text.base64.keys.sorted().joined(separator: ", "))")
            }
            return { frame in
                .string(Base64.encode(try target.evaluate(frame).requireText(arguments.what(0)), variant))
            }
        },
        Converter("Decode", [.any("target"), Parameter("encoding", .string)], .string) { arguments in
            let target = arguments.value(0)
            let name = (arguments.string(1) ?? "").lowercased()
            guard let decode = Text.decoder(name) else {
                throw arguments.error(1, "\(name) is not supported; base64, utf-8, utf-16, us-ascii and iso-8859-1 are")
            }
            return { frame in
                guard let bytes = try target.evaluate(frame).binary else {
                    throw OTTLError("Decode: expected a string or bytes")
                }
                return .ownText(try decode(bytes))
            }
        },
        Converter("ParseInt", [.text("target"), .int("base")], .int) { arguments in
            let (target, base) = (arguments.value(0), arguments.value(1))
            if case .int(let number)? = base.literal, number != 0, !(2...36).contains(number) {
                throw arguments.error(1, "must be 0 or 2 to 36")
            }
            return { frame in
                let text = try target.evaluate(frame).requireString(arguments.what(0))
                let radix = try base.evaluate(frame).requireInt(arguments.what(1))
                guard radix == 0 || (2...36).contains(radix) else {
                    throw OTTLError("ParseInt: base must be 0 or 2 to 36")
                }
                guard let number = GoNumber.parseInt(text, base: Int(radix)) else {
                    throw OTTLError("ParseInt: \"\(text)\" is no integer of base \(radix)")
                }
                return .int(number)
            }
        },
        Converter("UUID", [], .string) { _ in { _ in .string(Text.uuid(Text.randomBytes(), version: 4)) } },
        Converter("UUIDv7", [], .string) { _ in
            { frame in
                var bytes = Text.randomBytes()
                let milliseconds = UInt64(bitPattern: frame.clock.wallMilliseconds)
                for place in 0..<6 { bytes[place] = UInt8(truncatingIfNeeded: milliseconds >> UInt64((5 - place) * 8)) }
                return .string(Text.uuid(bytes, version: 7))
            }
        },
    ]

    private static func letters(_ name: String, _ letters: Letters) -> Converter {
        Converter(name, [.text("target")], .string) { arguments in
            let target = arguments.value(0)
            return { frame in .ownText(letters.convert(try target.evaluate(frame).requireText(arguments.what(0)))) }
        }
    }
}

/// The ways of writing names.
enum Letters: String, Sendable {
    case lower, upper, snake, camel

    func convert(_ text: [UInt8]) -> [UInt8] {
        switch self {
        case .lower: return Array(String(decoding: text, as: UTF8.self).lowercased().utf8)
        case .upper: return Array(String(decoding: text, as: UTF8.self).uppercased().utf8)
        case .snake: return Array(Self.snake(String(decoding: text, as: UTF8.self)).utf8)
        case .camel: return Array(Self.camel(String(decoding: text, as: UTF8.self)).utf8)
        }
    }

    /// A word begins at an upper-case letter behind a lower-case one or a digit, and at the last of several upper-case
    /// letters when a lower-case one follows.
    private static func snake(_ text: String) -> String {
        let characters = Array(text)
        var output = ""
        for (place, character) in characters.enumerated() {
            if character == " " || character == "-" || character == "." || character == "_" {
                output.append("_")
                continue
            }
            if character.isUppercase, place > 0, characters[place - 1] != "_" {
                let previous = characters[place - 1]
                let isNextLower = place + 1 < characters.count && characters[place + 1].isLowercase
                if previous.isLowercase || previous.isNumber || (previous.isUppercase && isNextLower) {
                    output.append("_")
                }
            }
            output += character.lowercased()
        }
        return output
    }

    private static func camel(_ text: String) -> String {
        var output = ""
        var isStart = true
        for character in text {
            if character == "_" || character == " " || character == "-" || character == "." {
                isStart = true
                continue
            }
            output += isStart ? character.uppercased() : String(character)
            isStart = false
        }
        return output
    }
}

/// Work on bytes of text.
enum Text {
    static let base64: [String: Base64.Variant] = [
        "base64": .standard, "base64-raw": .standardUnpadded, "base64-url": .url, "base64-raw-url": .urlUnpadded,
    ]

    /// The parts between delimiters; without a delimiter each UTF-8 sequence is a part.
    static func split(_ text: [UInt8], by delimiter: [UInt8]) -> [ArraySlice<UInt8>] {
        guard !delimiter.isEmpty else {
            var parts: [ArraySlice<UInt8>] = []
            var start = 0
            while start < text.count {
                var end = start + 1
                while end < text.count, text[end] & 0xC0 == 0x80 { end += 1 }
                parts.append(text[start..<end])
                start = end
            }
            return parts
        }
        var parts: [ArraySlice<UInt8>] = []
        var start = 0
        while let found = firstIndex(of: delimiter, in: text, from: start) {
            parts.append(text[start..<found])
            start = found + delimiter.count
        }
        parts.append(text[start...])
        return parts
    }

    /// Where `needle` begins at or after `start`.
    static func firstIndex(of needle: [UInt8], in text: [UInt8], from start: Int = 0) -> Int? {
        guard !needle.isEmpty else { return start }
        guard text.count >= needle.count else { return nil }
        var index = start
        while index <= text.count - needle.count {
            if text[index] == needle[0], text[index..<(index + needle.count)].elementsEqual(needle) { return index }
            index += 1
        }
        return nil
    }

    static func trimmed(_ text: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        var text = text
        while let first = text.first, first == 0x20 || (first >= 9 && first <= 13) { text = text.dropFirst() }
        while let last = text.last, last == 0x20 || (last >= 9 && last <= 13) { text = text.dropLast() }
        return text
    }

    static func decoder(_ name: String) -> (@Sendable ([UInt8]) throws -> [UInt8])? {
        if let variant = base64[name] {
            return { bytes in
                guard let decoded = Base64.decode(bytes, variant) else { throw OTTLError("Decode: invalid \(name)") }
                return decoded
            }
        }
        switch name {
        case "utf-8", "utf8": return { Array(String(decoding: $0, as: UTF8.self).utf8) }
        case "us-ascii", "ascii": return { $0.map { $0 < 0x80 ? $0 : UInt8(ascii: "?") } }
        case "iso-8859-1", "latin1":
            return { Array(String(String.UnicodeScalarView($0.map { Unicode.Scalar($0) })).utf8) }
        case "utf-16", "utf16", "utf-16be", "utf-16le":
            return { bytes in
                guard bytes.count % 2 == 0 else { throw OTTLError("Decode: an odd number of bytes for \(name)") }
                var start = 0
                var isLittle = name == "utf-16le"
                if bytes.starts(with: [0xFF, 0xFE]) || bytes.starts(with: [0xFE, 0xFF]) {
                    isLittle = bytes[0] == 0xFF
                    start = 2
                }
                let units = stride(from: start, to: bytes.count, by: 2).map { place in
                    isLittle
                        ? UInt16(bytes[place]) | UInt16(bytes[place + 1]) << 8
                        : UInt16(bytes[place]) << 8 | UInt16(bytes[place + 1])
                }
                return Array(String(decoding: units, as: UTF16.self).utf8)
            }
        default: return nil
        }
    }

    static func randomBytes() -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        return (0..<16).map { _ in UInt8.random(in: 0...255, using: &generator) }
    }

    /// Sixteen bytes as a UUID of a version (RFC 9562).
    static func uuid(_ random: [UInt8], version: UInt8) -> String {
        var bytes = random
        bytes[6] = bytes[6] & 0x0F | version << 4
        bytes[8] = bytes[8] & 0x3F | 0x80
        let digits = Array(Hex.encode(bytes).utf8)
        let parts = [0..<8, 8..<12, 12..<16, 16..<20, 20..<32].map { String(decoding: digits[$0], as: UTF8.self) }
        return parts.joined(separator: "-")
    }
}
