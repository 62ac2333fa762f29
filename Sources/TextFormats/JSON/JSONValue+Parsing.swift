extension JSONValue {
    /// Levels of nesting accepted by default.
    package static let defaultMaximumDepth = 500

    /// Parses one document, which must fill `bytes` (RFC 8259, strict).
    ///
    /// Invalid UTF-8 and lone surrogates become U+FFFD and the last of duplicate keys wins, as in Go; errors carry the
    /// offset of the byte at fault.
    package init(
        parsing bytes: UnsafeRawBufferPointer, maximumDepth: Int = defaultMaximumDepth
    ) throws(TextFormatError) {
        var reader = JSONReader(bytes, maximumDepth: maximumDepth)
        self = try reader.value()
        try reader.finish()
    }

    /// Parses one document, which must fill `bytes`.
    package init(parsing bytes: [UInt8], maximumDepth: Int = defaultMaximumDepth) throws(TextFormatError) {
        self = try bytes.span.bytes.withUnsafeBytes { (raw) throws(TextFormatError) in
            try JSONValue(parsing: raw, maximumDepth: maximumDepth)
        }
    }

    /// Parses one document, which must fill `text`.
    package init(parsing text: String, maximumDepth: Int = defaultMaximumDepth) throws(TextFormatError) {
        try self.init(parsing: Array(text.utf8), maximumDepth: maximumDepth)
    }

    /// Parses the first document of `bytes` and returns the offset behind it, for streams of documents.
    package static func parsePrefix(
        of bytes: UnsafeRawBufferPointer, from start: Int = 0, maximumDepth: Int = defaultMaximumDepth
    ) throws(TextFormatError) -> (value: JSONValue, end: Int) {
        let start = max(0, min(start, bytes.count))
        var reader = JSONReader(bytes, range: start..<bytes.count, maximumDepth: maximumDepth)
        let value = try reader.value()
        return (value, reader.index)
    }
}
