/// A statement that cannot be loaded, or that could not be run on one record.
package struct OTTLError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What is wrong and, where there is one, the remedy: lower case, no full stop.
    package let message: String
    /// Byte of the statement the problem is at, from 0; nil while records are processed.
    package let offset: Int?

    package init(_ message: String, at offset: Int? = nil) {
        self.message = message
        self.offset = offset
    }

    package var description: String { message }

    /// The error with the statement and the place inside it.
    package func located(in statement: String) -> OTTLError {
        guard let offset else { return OTTLError("\"\(statement)\": \(message)") }
        let bytes = Array(statement.utf8)
        let start = min(offset, bytes.count)
        let rest = String(decoding: bytes[start..<min(bytes.count, start + 24)], as: UTF8.self)
        let near = rest.isEmpty ? "at its end" : "near \"\(rest)\""
        return OTTLError("\"\(statement)\": column \(start + 1), \(near): \(message)", at: offset)
    }
}
