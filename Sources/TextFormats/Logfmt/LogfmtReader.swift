/// Steps through `key=value` pairs as go-logfmt's decoder: values may be quoted, a line break ends a record, the first
/// fault ends everything.
package struct LogfmtReader {
    package struct Pair {
        package var key: Range<Int>
        /// Without quotes.
        package var value: Range<Int>
        package var hasEscapes: Bool
    }

    private var index = 0
    /// Whether reading ended before the text did, at what is no pair.
    package private(set) var isBroken = false

    /// A reader at the beginning of a text.
    package init() {}

    /// The next pair; nil at the end and from the first mistake on. `text` is the same at each call.
    package mutating func next(_ text: UnsafeRawBufferPointer) -> Pair? {
        while index < text.count, text[index] <= 0x20 { index += 1 }
        let start = index
        while index < text.count, text[index] > 0x20, text[index] != UInt8(ascii: "=") {
            if text[index] == UInt8(ascii: "\"") { return fail(text) }
            index += 1
        }
        guard index > start else { return fail(text) }
        let key = start..<index
        let name = text.part(start, key.count)
        if name.contains(where: { $0 >= 0x80 }),
            String(decoding: name, as: UTF8.self).unicodeScalars.contains("\u{FFFD}")
        {
            isBroken = true
            return fail(text)
        }
        guard index < text.count, text[index] == UInt8(ascii: "=") else {
            return Pair(key: key, value: index..<index, hasEscapes: false)
        }
        index += 1
        guard index < text.count, text[index] > 0x20 else {
            return Pair(key: key, value: index..<index, hasEscapes: false)
        }
        if text[index] == UInt8(ascii: "\"") { return quoted(text, key) }
        let begin = index
        while index < text.count, text[index] > 0x20 {
            if text[index] == UInt8(ascii: "=") || text[index] == UInt8(ascii: "\"") { return fail(text) }
            index += 1
        }
        return Pair(key: key, value: begin..<index, hasEscapes: false)
    }

    private mutating func quoted(_ text: UnsafeRawBufferPointer, _ key: Range<Int>) -> Pair? {
        let begin = index + 1
        var hasEscapes = false
        var position = begin
        while position < text.count, text[position] != 0x0A {
            if text[position] == UInt8(ascii: "\\") {
                hasEscapes = true
                position += 2
                continue
            }
            if text[position] == UInt8(ascii: "\"") {
                index = position + 1
                return Pair(key: key, value: begin..<position, hasEscapes: hasEscapes)
            }
            position += 1
        }
        return fail(text)
    }

    private mutating func fail(_ text: UnsafeRawBufferPointer) -> Pair? {
        isBroken = isBroken || index < text.count
        index = text.count
        return nil
    }

    /// The content of a quoted value with JSON's escapes and `\'`; nil when an escape is none.
    package static func unquote(_ content: UnsafeRawBufferPointer) -> [UInt8]? {
        var plain: [UInt8] = []
        var index = 0
        while index < content.count {
            let byte = content[index]
            guard byte == UInt8(ascii: "\\") else {
                if byte == UInt8(ascii: "\"") || byte < 0x20 { return nil }
                plain.append(byte)
                index += 1
                continue
            }
            guard index + 1 < content.count else { return nil }
            let letter = content[index + 1]
            guard "\"\\/'bfnrtu".utf8.contains(letter) else { return nil }
            let length = letter == UInt8(ascii: "u") ? 6 : 2
            guard index + length <= content.count else { return nil }
            if letter == UInt8(ascii: "'") {
                plain.append(letter)
            } else {
                // Two halves of a character outside the basic plane belong together.
                var end = index + length
                if letter == UInt8(ascii: "u"), end + 6 <= content.count, content[end] == UInt8(ascii: "\\"),
                    content[end + 1] == UInt8(ascii: "u")
                {
                    end += 6
                }
                let piece = "\"\(String(decoding: content.part(index, end - index), as: UTF8.self))\""
                guard let text = (try? JSONValue(parsing: piece))?.stringValue else { return nil }
                plain.append(contentsOf: text.utf8)
                index = end
                continue
            }
            index += length
        }
        return plain
    }
}

extension UnsafeRawBufferPointer {
    fileprivate func part(_ start: Int, _ count: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: self[start..<start + count])
    }
}
