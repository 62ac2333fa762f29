import Wire

/// Reads trace ID, span ID and flags of an entry from fields: the `trace` block of parsers, and `trace_parser`.
struct StanzaTrace: Sendable {
    private let traceID: StanzaField
    private let spanID: StanzaField
    private let flags: StanzaField

    init(_ reader: inout OperatorReader) {
        func field(_ key: String, _ reader: inout OperatorReader) -> StanzaField {
            let fallback = StanzaField(.body, [Array(key.utf8)])
            guard var inner = reader.object(key) else { return fallback }
            defer { inner.finish() }
            return inner.field("parse_from", default: fallback)
        }
        traceID = field("trace_id", &reader)
        spanID = field("span_id", &reader)
        flags = field("trace_flags", &reader)
    }

    /// Puts what is there into the entry; what is missing is no error.
    func parse(_ entry: inout StanzaEntry) throws(StanzaError) {
        if let bytes = try bytes(of: traceID, in: entry, count: 16) { entry.traceID = bytes }
        if let bytes = try bytes(of: spanID, in: entry, count: 8) { entry.spanID = bytes }
        if let bytes = try bytes(of: flags, in: entry, count: 1) { entry.flags = UInt32(bytes[0]) }
    }

    private func bytes(of field: StanzaField, in entry: StanzaEntry, count: Int) throws(StanzaError) -> [UInt8]? {
        guard let value = field.get(entry) else { return nil }
        guard case .string(let text) = value, !text.isEmpty else { return nil }
        var bytes: [UInt8] = []
        var index = 0
        while index + 1 < text.count {
            guard let high = Self.digit(text[index]), let low = Self.digit(text[index + 1]) else { break }
            bytes.append(high << 4 | low)
            index += 2
        }
        guard bytes.count == count, index == text.count else {
            throw StanzaError("trace parser: \(field.text) is not \(count * 2) hexadecimal digits")
        }
        return bytes
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x37
        case 0x61...0x66: byte - 0x57
        default: nil
        }
    }
}
