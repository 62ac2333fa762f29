import Glibc

/// Walks JSON text once, checking it (RFC 8259) and pointing out the members of its top-level object.
enum JSONSkimmer {
    enum Kind { case null, bool, number, string, array, object }

    /// A value by place; text includes its quotes.
    struct Found {
        var kind: Kind
        var start: Int
        var end: Int
        var hasEscapes: Bool
    }

    static let maximumDepth = 500

    /// Calls `body` with every member of the object that fills `text`; keys come without quotes, escapes in place. False
    /// when the text is not a JSON object or `null`; members before the fault have been seen then.
    @inline(__always)
    static func members(
        of text: UnsafeRawBufferPointer,
        _ body: (_ key: UnsafeRawBufferPointer, _ keyHasEscapes: Bool, _ value: Found) -> Void
    ) -> Bool {
        var walk = Walk(text)
        walk.space()
        guard walk.index < text.count else { return false }
        if text[walk.index] == UInt8(ascii: "n") {
            guard walk.value() != nil else { return false }
            walk.space()
            return walk.index == text.count
        }
        guard text[walk.index] == UInt8(ascii: "{") else { return false }
        walk.depth = 1
        walk.index += 1
        walk.space()
        if walk.index < text.count, text[walk.index] == UInt8(ascii: "}") {
            walk.index += 1
        } else {
            while true {
                walk.space()
                let start = walk.index
                guard let keyHasEscapes = walk.string() else { return false }
                let key = text.part(start + 1, walk.index - start - 2)
                walk.space()
                guard walk.take(UInt8(ascii: ":")) else { return false }
                guard let value = walk.value() else { return false }
                body(key, keyHasEscapes, value)
                walk.space()
                if walk.take(UInt8(ascii: ",")) { continue }
                guard walk.take(UInt8(ascii: "}")) else { return false }
                break
            }
        }
        walk.space()
        return walk.index == text.count
    }

    /// The elements of the array that fills `text`, or nil when it is not one.
    static func elements(of text: UnsafeRawBufferPointer) -> [Range<Int>]? {
        var walk = Walk(text)
        walk.space()
        guard walk.take(UInt8(ascii: "[")) else { return nil }
        walk.depth = 1
        var elements: [Range<Int>] = []
        walk.space()
        if !walk.take(UInt8(ascii: "]")) {
            while true {
                guard let value = walk.value() else { return nil }
                elements.append(value.start..<value.end)
                walk.space()
                if walk.take(UInt8(ascii: ",")) { continue }
                guard walk.take(UInt8(ascii: "]")) else { return nil }
                break
            }
        }
        walk.space()
        return walk.index == text.count ? elements : nil
    }

    /// Appends the content of a checked string. Bytes that are no UTF-8 stay, or become U+FFFD.
    static func unescape(_ content: UnsafeRawBufferPointer, repairsUTF8: Bool, into output: inout [UInt8]) {
        var index = 0
        while index < content.count {
            guard let escape = content.index(of: UInt8(ascii: "\\"), from: index) else {
                append(content.part(index, content.count - index), repairsUTF8, to: &output)
                return
            }
            append(content.part(index, escape - index), repairsUTF8, to: &output)
            index = escape + 1
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
                var scalar = unit(content, index)
                index += 4
                if scalar >= 0xD800, scalar < 0xDC00, index + 6 <= content.count,
                    content[index] == UInt8(ascii: "\\"), content[index + 1] == UInt8(ascii: "u")
                {
                    let second = unit(content, index + 2)
                    if second >= 0xDC00, second < 0xE000 {
                        scalar = 0x10000 + ((scalar - 0xD800) << 10) + (second - 0xDC00)
                        index += 6
                    }
                }
                output.append(contentsOf: String(Unicode.Scalar(scalar) ?? "\u{FFFD}").utf8)
            default: output.append(letter)
            }
        }
    }

    private static func append(_ bytes: UnsafeRawBufferPointer, _ repairsUTF8: Bool, to output: inout [UInt8]) {
        if repairsUTF8, !bytes.isValidUTF8 {
            output.append(contentsOf: bytes.string.utf8)
        } else {
            output.append(contentsOf: bytes)
        }
    }

    private static func unit(_ content: UnsafeRawBufferPointer, _ start: Int) -> UInt32 {
        guard start + 4 <= content.count else { return 0xFFFD }
        var value: UInt32 = 0
        for offset in 0..<4 { value = value << 4 | UInt32(hex(content[start + offset]) ?? 0) }
        return value
    }

    fileprivate static func hex(_ byte: UInt8) -> UInt8? {
        if byte &- 0x30 <= 9 { return byte &- 0x30 }
        let letter = (byte | 0x20) &- 0x61
        return letter <= 5 ? letter + 10 : nil
    }

    private struct Walk {
        let text: UnsafeRawBufferPointer
        var index = 0
        var depth = 0

        init(_ text: UnsafeRawBufferPointer) { self.text = text }

        @inline(__always)
        mutating func space() {
            while index < text.count {
                let byte = text[index]
                guard byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 else { return }
                index &+= 1
            }
        }

        @inline(__always)
        mutating func take(_ byte: UInt8) -> Bool {
            guard index < text.count, text[index] == byte else { return false }
            index &+= 1
            return true
        }

        /// Steps over a string; nil when it is none, else whether it holds escapes.
        @inline(__always)
        mutating func string() -> Bool? {
            guard take(UInt8(ascii: "\"")) else { return nil }
            var hasEscapes = false
            while index < text.count {
                skipPlain()
                guard index < text.count else { return nil }
                let byte = text[index]
                if byte == UInt8(ascii: "\"") {
                    index &+= 1
                    return hasEscapes
                }
                if byte == UInt8(ascii: "\\") {
                    hasEscapes = true
                    guard escape() else { return nil }
                } else if byte < 0x20 {
                    return nil
                } else {
                    index &+= 1
                }
            }
            return nil
        }

        /// Steps over bytes that mean nothing in a string, eight at a time; where fewer are left, over none.
        @inline(__always)
        private mutating func skipPlain() {
            let ones: UInt64 = 0x0101_0101_0101_0101
            let tops: UInt64 = 0x8080_8080_8080_8080
            while index &+ 8 <= text.count {
                let word = UInt64(littleEndian: text.loadUnaligned(fromByteOffset: index, as: UInt64.self))
                // The lowest top bit that is set marks the first byte that is a control, a quote or a backslash.
                let controls = (word &- ones &* 0x20) & ~word
                let quotes = word ^ ones &* 0x22
                let slashes = word ^ ones &* 0x5C
                let found = (controls | (quotes &- ones) & ~quotes | (slashes &- ones) & ~slashes) & tops
                if found != 0 {
                    index &+= found.trailingZeroBitCount >> 3
                    return
                }
                index &+= 8
            }
        }

        private mutating func escape() -> Bool {
            index += 1
            guard index < text.count else { return false }
            let letter = text[index]
            index += 1
            switch letter {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
                UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
                return true
            case UInt8(ascii: "u"):
                guard index + 4 <= text.count else { return false }
                for offset in 0..<4 where JSONSkimmer.hex(text[index + offset]) == nil { return false }
                index += 4
                return true
            default: return false
            }
        }

        mutating func value() -> Found? {
            space()
            guard index < text.count else { return nil }
            let start = index
            switch text[index] {
            case UInt8(ascii: "\""):
                guard let hasEscapes = string() else { return nil }
                return Found(kind: .string, start: start, end: index, hasEscapes: hasEscapes)
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                let kind: Kind = text[index] == UInt8(ascii: "{") ? .object : .array
                guard container() else { return nil }
                return Found(kind: kind, start: start, end: index, hasEscapes: false)
            case UInt8(ascii: "t"): return word("true", .bool)
            case UInt8(ascii: "f"): return word("false", .bool)
            case UInt8(ascii: "n"): return word("null", .null)
            default:
                guard number() else { return nil }
                return Found(kind: .number, start: start, end: index, hasEscapes: false)
            }
        }

        private mutating func container() -> Bool {
            depth += 1
            defer { depth -= 1 }
            guard depth <= JSONSkimmer.maximumDepth else { return false }
            let isObject = text[index] == UInt8(ascii: "{")
            let close = isObject ? UInt8(ascii: "}") : UInt8(ascii: "]")
            index += 1
            space()
            if take(close) { return true }
            while true {
                space()
                if isObject {
                    guard string() != nil else { return false }
                    space()
                    guard take(UInt8(ascii: ":")) else { return false }
                }
                guard value() != nil else { return false }
                space()
                if take(UInt8(ascii: ",")) { continue }
                return take(close)
            }
        }

        private mutating func word(_ word: StaticString, _ kind: Kind) -> Found? {
            let count = word.utf8CodeUnitCount
            guard text.count - index >= count, let base = text.baseAddress,
                memcmp(base + index, word.utf8Start, count) == 0
            else { return nil }
            let start = index
            index += count
            return Found(kind: kind, start: start, end: index, hasEscapes: false)
        }

        private mutating func number() -> Bool {
            _ = take(UInt8(ascii: "-"))
            guard index < text.count, text[index] &- 0x30 <= 9 else { return false }
            if text[index] == 0x30 { index += 1 } else { digits() }
            if take(UInt8(ascii: ".")) {
                guard index < text.count, text[index] &- 0x30 <= 9 else { return false }
                digits()
            }
            if index < text.count, text[index] | 0x20 == UInt8(ascii: "e") {
                index += 1
                if index < text.count, text[index] == UInt8(ascii: "+") || text[index] == UInt8(ascii: "-") {
                    index += 1
                }
                guard index < text.count, text[index] &- 0x30 <= 9 else { return false }
                digits()
            }
            return true
        }

        @inline(__always)
        private mutating func digits() {
            while index < text.count, text[index] &- 0x30 <= 9 { index &+= 1 }
        }
    }
}
