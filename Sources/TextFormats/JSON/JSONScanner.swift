import Glibc

/// Finds values in JSON text without building a tree, for stages that read a few fields of every line.
///
/// The text is borrowed: a scanner must not outlive the buffer it was made with. Every method checks what it walks
/// over, so that a malformed line is an error as with the parser.
package struct JSONScanner {
    /// What a raw value is, told by its first byte.
    package enum Kind: Sendable {
        case null, bool, number, string, array, object
    }

    /// A value as the bytes it was written with, quotes and braces included.
    package struct RawValue: Sendable, Equatable {
        package let kind: Kind
        package let range: Range<Int>
    }

    private let bytes: UnsafeRawBufferPointer
    private let maximumDepth: Int

    package init(_ bytes: UnsafeRawBufferPointer, maximumDepth: Int = JSONValue.defaultMaximumDepth) {
        self.bytes = bytes
        self.maximumDepth = maximumDepth
    }

    /// The document's own value, the whole text checked.
    package func root() throws(TextFormatError) -> RawValue {
        var reader = JSONReader(bytes, maximumDepth: maximumDepth)
        let value = try raw(&reader)
        try reader.finish()
        return value
    }

    /// The value at `path` (keys of nested objects), or nil; the last of duplicate keys wins, as in Go.
    ///
    /// Checks the whole object the first key is looked up in. An empty path is the document.
    package func value(at path: [String]) throws(TextFormatError) -> RawValue? {
        guard let first = path.first else { return try root() }
        var reader = JSONReader(bytes, maximumDepth: maximumDepth)
        guard try reader.peek() == UInt8(ascii: "{") else {
            _ = try root()
            return nil
        }
        // Walking the members checks the whole document, so that this is the only pass over most of it.
        var current = try member(first, &reader)
        try reader.finish()
        for key in path.dropFirst() {
            guard let object = current, object.kind == .object else { return nil }
            var inner = JSONReader(bytes, range: object.range, maximumDepth: maximumDepth)
            current = try member(key, &inner)
        }
        return current
    }

    private func member(_ key: String, _ reader: inout JSONReader) throws(TextFormatError) -> RawValue? {
        var found: RawValue?
        try walk(&reader) { name, hasEscapes, value in
            if matches(name, key, hasEscapes: hasEscapes) { found = value }
            return true
        }
        return found
    }

    /// Calls `body` with each member of an object until it returns false; keys come without quotes, escapes in place.
    package func forEachMember(
        of object: RawValue, _ body: (UnsafeRawBufferPointer, _ hasEscapes: Bool, RawValue) -> Bool
    ) throws(TextFormatError) {
        var reader = JSONReader(bytes, range: object.range, maximumDepth: maximumDepth)
        guard try reader.peek() == UInt8(ascii: "{") else { throw reader.unexpected("looking for an object") }
        try walk(&reader, body)
    }

    /// Walks the members of the object the reader stands at.
    private func walk(
        _ reader: inout JSONReader, _ body: (UnsafeRawBufferPointer, _ hasEscapes: Bool, RawValue) -> Bool
    ) throws(TextFormatError) {
        try reader.enter()
        if try reader.peek() == UInt8(ascii: "}") { return reader.leave() }
        repeat {
            guard try reader.peek() == UInt8(ascii: "\"") else {
                throw reader.unexpected("looking for beginning of object key string")
            }
            let (name, hasEscapes) = try reader.stringRange()
            guard try reader.peek() == UInt8(ascii: ":") else { throw reader.unexpected("after object key") }
            reader.index += 1
            let value = try raw(&reader)
            if !body(bytes.sliced(name), hasEscapes, value) { return }
        } while try !reader.endOfMember()
    }

    /// Calls `body` with each element of an array until it returns false.
    package func forEachElement(of array: RawValue, _ body: (RawValue) -> Bool) throws(TextFormatError) {
        var reader = JSONReader(bytes, range: array.range, maximumDepth: maximumDepth)
        guard try reader.peek() == UInt8(ascii: "[") else { throw reader.unexpected("looking for an array") }
        try reader.enter()
        if try reader.peek() == UInt8(ascii: "]") { return }
        repeat {
            if !body(try raw(&reader)) { return }
        } while try !reader.endOfElement()
    }

    /// The text of a string value, decoded; of any other value its JSON text.
    package func text(of value: RawValue) -> String {
        let content = bytes.sliced(value.range)
        guard value.kind == .string, content.count >= 2 else { return content.text }
        let inner = content.sliced(1..<content.count - 1)
        return JSONText.decode(inner, hasEscapes: inner.firstIndex(of: UInt8(ascii: "\\"), from: 0) != nil)
    }

    /// Appends the text of a string value, decoded, or the JSON text of any other.
    package func appendText(of value: RawValue, to output: inout [UInt8]) {
        let content = bytes.sliced(value.range)
        if value.kind == .string, content.count >= 2 {
            JSONText.append(content.sliced(1..<content.count - 1), to: &output)
        } else {
            output.append(contentsOf: content)
        }
    }

    /// Parses a raw value into a tree.
    package func parse(_ value: RawValue) throws(TextFormatError) -> JSONValue {
        try JSONValue(parsing: bytes.sliced(value.range), maximumDepth: maximumDepth)
    }

    private func raw(_ reader: inout JSONReader) throws(TextFormatError) -> RawValue {
        let first = try reader.peek()
        let start = reader.index
        try reader.skip()
        let kind: Kind =
            switch first {
            case UInt8(ascii: "{"): .object
            case UInt8(ascii: "["): .array
            case UInt8(ascii: "\""): .string
            case UInt8(ascii: "t"), UInt8(ascii: "f"): .bool
            case UInt8(ascii: "n"): .null
            default: .number
            }
        return RawValue(kind: kind, range: start..<reader.index)
    }

    private func matches(_ name: UnsafeRawBufferPointer, _ key: String, hasEscapes: Bool) -> Bool {
        if hasEscapes { return JSONText.decode(name, hasEscapes: true) == key }
        return key.withBytes { wanted in
            guard wanted.count == name.count, let left = wanted.baseAddress, let right = name.baseAddress else {
                return wanted.isEmpty && name.isEmpty
            }
            return memcmp(left, right, name.count) == 0
        }
    }
}
