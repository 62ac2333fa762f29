/// Text that breaks the format it was read as.
package struct TextFormatError: Error, Equatable, Sendable, CustomStringConvertible {
    /// What is wrong, in upstream's wording where users know it.
    package var message: String
    /// Byte of the input the problem was found at, from 0.
    package var offset: Int?
    /// Line of the input, from 1.
    package var line: Int?

    package init(_ message: String, offset: Int? = nil, line: Int? = nil) {
        self.message = message
        self.offset = offset
        self.line = line
    }

    package var description: String { message }
}
