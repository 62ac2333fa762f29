import AlloySyntax
import LogSources
import Wire

/// The `encoding` of a receiver of logs: how bytes become text.
///
/// Names are those of the IANA registry, and `utf8-raw` (bytes stay as they are) and `nop` (no lines either: what arrives
/// is one log). As upstream, no name and `ascii` mean UTF-8, in which bytes that are none become U+FFFD.
struct LogEncoding: Sendable {
    let name: String
    let decoder: TextDecoder
    /// Whether lines are looked for.
    let hasLines: Bool
    /// Whether positions in the text tell positions in the bytes.
    let isMappable: Bool

    static let utf8 = LogEncoding()

    private init() {
        (name, hasLines, isMappable) = ("utf-8", true, true)
        decoder = TextDecoder(.utf8) ?? .verbatim
    }

    /// Nil when there is no such encoding.
    init?(_ name: String) {
        self.name = name
        switch name.lowercased() {
        case "nop": (decoder, hasLines, isMappable) = (.verbatim, false, true)
        case "utf8-raw": (decoder, hasLines, isMappable) = (.verbatim, true, true)
        default:
            let wanted = ["", "ascii", "us-ascii"].contains(name.lowercased()) ? "utf-8" : name
            guard let set = CharacterSet(name: wanted), let decoder = TextDecoder(set) else { return nil }
            self.decoder = decoder
            hasLines = true
            isMappable = !Self.unmappable.contains(set)
        }
    }

    /// Sets whose characters take one or more bytes, in a way that cannot be told from the text.
    private static let unmappable: Set<CharacterSet> = [
        .big5, .eucJP, .eucKR, .gb18030, .gbk, .hzGB2312, .iso2022JP, .shiftJIS,
    ]

    /// The body of a log: text, and bytes where they are none.
    func body(_ text: [UInt8]) -> OTLPAnyValue {
        // What a decoder has made is valid.
        if !decoder.isVerbatim { return .string(text) }
        return hasLines ? .text(text) : .bytes(text)
    }

    /// Reads the argument.
    static func read(default fallback: String = "utf-8", from block: inout BlockReader) -> LogEncoding? {
        let name = block.optional("encoding", default: fallback, "Encoding of the logs.")
        let encoding = LogEncoding(name)
        if encoding == nil { block.reject("encoding", "unsupported encoding '\(name)'") }
        return encoding
    }
}

extension LogEncoding: Equatable {
    static func == (left: LogEncoding, right: LogEncoding) -> Bool { left.name == right.name }
}
