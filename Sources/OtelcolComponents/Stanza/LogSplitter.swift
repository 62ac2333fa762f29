import AlloySyntax
import Glibc
import LogSources
import TextFormats

/// Cuts bytes into logs and makes text of them.
///
/// A log is a line, what begins or ends with a match of a pattern, a frame with its length in front (RFC 6587, section
/// 3.4.1), or all there is. Patterns are matched with `^` and `$` at lines, as upstream.
struct LogSplitter: Sendable, Equatable {
    enum Rule: Sendable {
        case lines
        case startsWith(RegularExpression, isOmitted: Bool)
        case endsWith(RegularExpression, isOmitted: Bool)
        /// `123 ` and as many bytes; the length stays in front of the log.
        case octets
        /// All there is, in pieces of at most the maximum length.
        case whole
    }

    let rule: Rule
    let encoding: LogEncoding
    let trimsLeading: Bool
    let trimsTrailing: Bool
    /// Bytes of the longest log.
    let maximumBytes: Int

    /// What was found: the bytes of the log and where the next one begins.
    struct Token: Equatable {
        var content: Range<Int>
        var next: Int
    }

    static func == (left: LogSplitter, right: LogSplitter) -> Bool {
        left.encoding == right.encoding && left.trimsLeading == right.trimsLeading
            && left.trimsTrailing == right.trimsTrailing && left.maximumBytes == right.maximumBytes
            && left.rule.words == right.rule.words
    }

    /// The first log of `bytes` at or after `start`; nil when more bytes are needed, which with `isLast` means that
    /// nothing is left.
    func next(in bytes: UnsafeRawBufferPointer, from start: Int, isLast: Bool) -> Token? {
        guard start < bytes.count else { return nil }
        let rest = UnsafeRawBufferPointer(rebasing: bytes[start...])
        let found: Token?
        switch rule {
        case .lines: found = line(rest)
        case .octets: found = frame(rest)
        case .whole: found = rest.count >= maximumBytes ? Token(content: 0..<maximumBytes, next: maximumBytes) : nil
        case .startsWith(let pattern, let isOmitted):
            found = search(rest) { text, isAll in logFrom(pattern, isOmitted, text, isLast && isAll) }
        case .endsWith(let pattern, let isOmitted): found = search(rest) { text, _ in logTo(pattern, isOmitted, text) }
        }
        let token = found ?? (isLast ? Token(content: 0..<rest.count, next: rest.count) : nil)
        return token.map {
            Token(content: $0.content.lowerBound + start..<$0.content.upperBound + start, next: $0.next + start)
        }
    }

    /// Whether to look again in what a connection has brought so far, the first `searched` bytes of which hold no whole log:
    /// a peer that sends a long log byte by byte must not make all of it be looked through for each.
    func isWorthSearching(_ buffer: [UInt8], after searched: Int) -> Bool {
        if buffer.count <= 65_536 || buffer.count >= maximumBytes { return true }
        if case .octets = rule { return true }
        if buffer.count - searched >= buffer.count / 16 { return true }
        return buffer[min(searched, buffer.count)...].contains(encoding.decoder.newlineByte)
    }

    /// The text of a log, without the white space around it that is not wanted.
    func text(of content: UnsafeRawBufferPointer) -> [UInt8] {
        var text: [UInt8] = []
        text.reserveCapacity(content.count)
        encoding.decoder.decode(content, into: &text)
        func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D }
        if trimsTrailing { while let last = text.last, isSpace(last) { text.removeLast() } }
        if trimsLeading, let first = text.first, isSpace(first) {
            text.removeFirst(text.firstIndex { !isSpace($0) } ?? text.count)
        }
        return text
    }

    // MARK: Rules

    private func line(_ bytes: UnsafeRawBufferPointer) -> Token? {
        let decoder = encoding.decoder
        guard let base = bytes.baseAddress else { return nil }
        var position = 0
        while position < bytes.count {
            guard let hit = memchr(base + position, CInt(decoder.newlineByte), bytes.count - position) else {
                return nil
            }
            let index = UnsafeRawPointer(hit) - base
            let first = index - decoder.newlineOffset
            let isBreak =
                decoder.unit == 1
                || first >= 0 && first % 2 == 0 && first + 2 <= bytes.count
                    && bytes[first + 1 - decoder.newlineOffset] == 0
            if isBreak {
                let end = decoder.carriageReturn
                var content = first
                if content >= end.count, bytes[(content - end.count)..<content].elementsEqual(end) {
                    content -= end.count
                }
                return Token(content: 0..<content, next: first + decoder.unit)
            }
            position = index + 1
        }
        return nil
    }

    private func frame(_ bytes: UnsafeRawBufferPointer) -> Token? {
        var index = 0
        var length = 0
        while index < bytes.count, bytes[index] >= 0x30, bytes[index] <= 0x39 {
            if index == 0, bytes[index] == 0x30 { return nil }
            length = min(length * 10 + Int(bytes[index] - 0x30), 1 << 40)
            index += 1
        }
        guard index > 0, index < bytes.count, bytes[index] == 0x20 || (0x09...0x0D).contains(bytes[index]) else {
            return nil
        }
        let end = index + 1 + length
        return end <= bytes.count ? Token(content: 0..<end, next: end) : nil
    }

    private func logFrom(
        _ pattern: RegularExpression, _ isOmitted: Bool, _ text: UnsafeRawBufferPointer, _ isLast: Bool
    ) -> Token? {
        var captures = RegularExpression.Captures()
        guard pattern.firstMatch(in: text, into: &captures), let first = captures[0] else { return nil }
        if first.lowerBound > 0 { return Token(content: 0..<first.lowerBound, next: first.lowerBound) }
        let begin = isOmitted ? first.upperBound : 0
        var position = first.upperBound
        while position < text.count, pattern.firstMatch(in: text, from: position, into: &captures),
            let second = captures[0]
        {
            if second.lowerBound > first.upperBound {
                return Token(content: begin..<second.lowerBound, next: second.lowerBound)
            }
            position = max(second.upperBound, position + 1)
        }
        return isLast ? Token(content: begin..<text.count, next: text.count) : nil
    }

    private func logTo(_ pattern: RegularExpression, _ isOmitted: Bool, _ text: UnsafeRawBufferPointer) -> Token? {
        var captures = RegularExpression.Captures()
        var position = 0
        while position <= text.count, pattern.firstMatch(in: text, from: position, into: &captures),
            let match = captures[0]
        {
            if match.upperBound > 0 {
                return Token(content: 0..<(isOmitted ? match.lowerBound : match.upperBound), next: match.upperBound)
            }
            position += 1
        }
        return nil
    }

    /// Looks in the first lines before it looks in all of them, because each search costs as much as there is to search.
    /// `find` is told whether it has all. Patterns that match across a line break may miss what begins before the last
    /// one looked at.
    private func search(_ bytes: UnsafeRawBufferPointer, _ find: (UnsafeRawBufferPointer, Bool) -> Token?) -> Token? {
        for window in [4096, 32_768] where bytes.count > window * 2 {
            guard let end = lastLine(UnsafeRawBufferPointer(rebasing: bytes[..<window])) else { continue }
            if let token = text(UnsafeRawBufferPointer(rebasing: bytes[..<end]), { find($0, false) }) { return token }
        }
        return text(bytes) { find($0, true) }
    }

    /// Where the last line break in `bytes` ends.
    private func lastLine(_ bytes: UnsafeRawBufferPointer) -> Int? {
        let unit = encoding.decoder.unit
        if unit == 1 { return bytes.lastIndex(of: encoding.decoder.newlineByte).map { $0 + 1 } }
        var index = bytes.count / unit * unit - unit
        while index >= 0 {
            if bytes[index + encoding.decoder.newlineOffset] == encoding.decoder.newlineByte,
                bytes[index + 1 - encoding.decoder.newlineOffset] == 0
            {
                return index + unit
            }
            index -= unit
        }
        return nil
    }

    /// Calls `find` with the text of `bytes` and turns places in it into places in the bytes.
    private func text(_ bytes: UnsafeRawBufferPointer, _ find: (UnsafeRawBufferPointer) -> Token?) -> Token? {
        if encoding.decoder.isVerbatim || encoding.isUTF8 { return find(bytes) }
        var text: [UInt8] = []
        encoding.decoder.decode(
            UnsafeRawBufferPointer(rebasing: bytes[..<(bytes.count / encoding.decoder.unit * encoding.decoder.unit)]),
            into: &text)
        guard let token = text.withUnsafeBytes({ find($0) }) else { return nil }
        func place(_ offset: Int) -> Int {
            var count = 0
            for byte in text[..<offset] where byte & 0xC0 != 0x80 {
                count += byte >= 0xF0 && encoding.decoder.unit == 2 ? 4 : encoding.decoder.unit
            }
            return min(count, bytes.count)
        }
        return Token(
            content: place(token.content.lowerBound)..<place(token.content.upperBound), next: place(token.next))
    }
}

extension LogEncoding {
    var isUTF8: Bool { ["", "ascii", "us-ascii", "utf-8", "utf8"].contains(name.lowercased()) }
}

extension LogSplitter.Rule {
    /// What tells rules apart.
    fileprivate var words: [String] {
        switch self {
        case .lines: ["lines"]
        case .startsWith(let pattern, let isOmitted): ["start", pattern.pattern, "\(isOmitted)"]
        case .endsWith(let pattern, let isOmitted): ["end", pattern.pattern, "\(isOmitted)"]
        case .octets: ["octets"]
        case .whole: ["whole"]
        }
    }
}

/// The `multiline` block.
struct MultilineArguments: Block, Sendable {
    let rule: LogSplitter.Rule?

    init(from block: inout BlockReader) {
        let start = block.optional("line_start_pattern", default: "", "Regular expression a log begins with.")
        let end = block.optional("line_end_pattern", default: "", "Regular expression a log ends with.")
        let isOmitted = block.optional("omit_pattern", default: false, "Whether what matches is left out.")
        guard start.isEmpty != end.isEmpty else {
            rule = nil
            block.reject(
                start.isEmpty
                    ? "either line_start_pattern or line_end_pattern must be set"
                    : "only one of line_start_pattern or line_end_pattern can be set")
            return
        }
        let name = start.isEmpty ? "line_end_pattern" : "line_start_pattern"
        do throws(RegularExpressionError) {
            let pattern = try RegularExpression("(?m)" + (start.isEmpty ? end : start))
            rule =
                start.isEmpty
                ? .endsWith(pattern, isOmitted: isOmitted) : .startsWith(pattern, isOmitted: isOmitted)
        } catch {
            rule = nil
            block.reject(name, "\(error)")
        }
    }

    /// The rule of an optional block beside an encoding.
    static func rule(
        _ multiline: MultilineArguments?, _ encoding: LogEncoding?, _ block: inout BlockReader
    ) -> LogSplitter.Rule {
        guard let encoding else { return .lines }
        if !encoding.hasLines {
            if multiline != nil { block.reject("multiline", "cannot be used with the encoding \"nop\"") }
            return .whole
        }
        guard let rule = multiline?.rule else { return .lines }
        if !encoding.isMappable { block.reject("multiline", "is not supported with the encoding \"\(encoding.name)\"") }
        return rule
    }
}
