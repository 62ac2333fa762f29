import Glibc

/// Reads JSON text front to back in one pass, for documents of which a few fields are kept.
///
/// The text is borrowed: a cursor must not outlive the buffer it was made with. A value that is not what is asked for
/// is stepped over, as for a missing one; text that breaks the syntax (RFC 8259) is an error. A value that is left
/// alone is stepped over too.
///
///     if try cursor.enterObject() {
///         while let name = try cursor.nextMember() {
///             switch name {
///             case "kind": kind = try cursor.string()
///             default: break
///             }
///         }
///     }
package struct JSONCursor {
    private let bytes: UnsafeRawBufferPointer
    private var reader: JSONReader
    /// Whether an object or array has just been entered.
    private var isFirst = false
    /// Where the value begins that was handed out last: the cursor still stands there when it was left alone.
    private var valueStart = -1

    package init(
        _ bytes: UnsafeRawBufferPointer, from start: Int = 0, maximumDepth: Int = JSONValue.defaultMaximumDepth
    ) {
        self.bytes = bytes
        reader = JSONReader(bytes, range: max(0, min(start, bytes.count))..<bytes.count, maximumDepth: maximumDepth)
    }

    /// The byte the cursor stands at.
    package var offset: Int { reader.index }

    /// A member's name as it is written, valid as long as the text is.
    package struct Name {
        fileprivate let bytes: UnsafeRawBufferPointer
        fileprivate let hasEscapes: Bool

        /// The name, escapes undone.
        package var text: String { JSONText.decode(bytes, hasEscapes: hasEscapes) }

        /// The bytes of a name without escapes; nil when there are some.
        package var plain: UnsafeRawBufferPointer? { hasEscapes ? nil : bytes }

        /// Lets names be the cases of a `switch`.
        package static func ~= (pattern: StaticString, name: Name) -> Bool {
            guard pattern.utf8CodeUnitCount == name.bytes.count, let base = name.bytes.baseAddress else { return false }
            return memcmp(pattern.utf8Start, base, name.bytes.count) == 0
        }
    }

    // MARK: Objects and arrays

    /// Goes into the object at the cursor; anything else is stepped over. Take all its members then.
    package mutating func enterObject() throws(TextFormatError) -> Bool { try enter(UInt8(ascii: "{")) }

    /// Goes into the array at the cursor; anything else is stepped over. Take all its elements then.
    package mutating func enterArray() throws(TextFormatError) -> Bool { try enter(UInt8(ascii: "[")) }

    private mutating func enter(_ bracket: UInt8) throws(TextFormatError) -> Bool {
        guard try reader.peek() == bracket else {
            try reader.skip()
            return false
        }
        try reader.enter()
        isFirst = true
        return true
    }

    /// The name of the next member, whose value the cursor then stands at; nil behind the object.
    package mutating func nextMember() throws(TextFormatError) -> Name? {
        if isFirst {
            isFirst = false
            if try reader.peek() == UInt8(ascii: "}") {
                reader.leave()
                return nil
            }
        } else {
            if reader.index == valueStart { try reader.skip() }
            if try reader.endOfMember() { return nil }
        }
        guard try reader.peek() == UInt8(ascii: "\"") else {
            throw reader.unexpected("looking for beginning of object key string")
        }
        let (range, hasEscapes) = try reader.stringRange()
        guard try reader.peek() == UInt8(ascii: ":") else { throw reader.unexpected("after object key") }
        reader.index += 1
        try beginValue()
        return Name(bytes: bytes.sliced(range), hasEscapes: hasEscapes)
    }

    /// Whether there is another element, which the cursor then stands at; false behind the array.
    package mutating func nextElement() throws(TextFormatError) -> Bool {
        if isFirst {
            isFirst = false
            if try reader.peek() == UInt8(ascii: "]") {
                reader.leave()
                return false
            }
        } else {
            if reader.index == valueStart { try reader.skip() }
            if try reader.endOfElement() { return false }
        }
        try beginValue()
        return true
    }

    private mutating func beginValue() throws(TextFormatError) {
        _ = try reader.peek()
        valueStart = reader.index
    }

    // MARK: Values

    /// The content of the string at the cursor as it is written; nil for anything else.
    package mutating func rawString() throws(TextFormatError) -> (bytes: UnsafeRawBufferPointer, hasEscapes: Bool)? {
        guard try reader.peek() == UInt8(ascii: "\"") else {
            try reader.skip()
            return nil
        }
        let (range, hasEscapes) = try reader.stringRange()
        return (bytes.sliced(range), hasEscapes)
    }

    /// The text of the string at the cursor; nil for anything else.
    package mutating func string() throws(TextFormatError) -> String? {
        guard let (content, hasEscapes) = try rawString() else { return nil }
        return JSONText.decode(content, hasEscapes: hasEscapes)
    }

    /// The text of the string at the cursor, or the number as it is written.
    package mutating func stringOrNumber() throws(TextFormatError) -> String? {
        let first = try reader.peek()
        guard first == UInt8(ascii: "-") || first &- 0x30 <= 9 else { return try string() }
        return try raw().text
    }

    /// The integer at the cursor; nil when it is none, or too large.
    package mutating func integer() throws(TextFormatError) -> Int? {
        let text = try raw()
        let isNegative = text.first == UInt8(ascii: "-")
        var magnitude = 0
        for byte in isNegative ? text.dropFirst() : text[...] {
            guard byte &- 0x30 <= 9 else { return nil }
            let (scaled, overflow) = magnitude.multipliedReportingOverflow(by: 10)
            let (sum, carry) = scaled.addingReportingOverflow(Int(byte &- 0x30))
            if overflow || carry { return nil }
            magnitude = sum
        }
        return isNegative ? -magnitude : magnitude
    }

    /// The Boolean at the cursor; nil for anything else.
    package mutating func bool() throws(TextFormatError) -> Bool? {
        let first = try reader.peek()
        try reader.skip()
        return first == UInt8(ascii: "t") ? true : first == UInt8(ascii: "f") ? false : nil
    }

    /// The value at the cursor as a tree.
    package mutating func value() throws(TextFormatError) -> JSONValue { try reader.value() }

    /// Steps over the value at the cursor and returns the bytes it is written with.
    package mutating func raw() throws(TextFormatError) -> UnsafeRawBufferPointer {
        _ = try reader.peek()
        let start = reader.index
        try reader.skip()
        return bytes.sliced(start..<reader.index)
    }

    /// Fails unless nothing but white space follows.
    package mutating func finish() throws(TextFormatError) { try reader.finish() }
}
