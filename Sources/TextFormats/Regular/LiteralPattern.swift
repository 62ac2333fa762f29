import Glibc

/// A pattern simple enough to match without RE2: literals, alternations of literals, `.*`, `.+` and `literal.*`.
///
/// Most relabel rules are one of these. One group around the whole pattern is allowed.
struct LiteralPattern: Sendable {
    enum Form: Sendable {
        case alternatives(LiteralSet)
        /// `literal.*` (`minimum` 0) or `literal.+` (`minimum` 1); the literal may be empty.
        case prefix([UInt8], minimum: Int)
    }

    let form: Form
    /// Whether the pattern is `(...)`, so that group 1 is the whole match.
    let isGroup: Bool
    let dotMatchesNewline: Bool

    init?(_ pattern: [UInt8], dotMatchesNewline: Bool) {
        var body = pattern[...]
        var isGroup = false
        if body.first == UInt8(ascii: "("), body.last == UInt8(ascii: ")"), body.count >= 2 {
            let inner = body.dropFirst().dropLast()
            if inner.starts(with: Array("?:".utf8)) {
                body = inner.dropFirst(2)
            } else if inner.first != UInt8(ascii: "?") {
                body = inner
                isGroup = true
            } else {
                return nil
            }
            // A trailing `\)` is a literal parenthesis, not the end of the group.
            if Self.endsWithOpenEscape(body) { return nil }
        }
        var literals: [[UInt8]] = []
        for alternative in body.split(separator: UInt8(ascii: "|"), omittingEmptySubsequences: false) {
            // `\|` splits in the wrong place and leaves a lone backslash, which `literal` refuses.
            if let literal = Self.literal(alternative) {
                literals.append(literal)
            } else if let form = Self.prefixForm(body) {
                self.form = form
                self.isGroup = isGroup
                self.dotMatchesNewline = dotMatchesNewline
                return
            } else {
                return nil
            }
        }
        form = .alternatives(LiteralSet(literals))
        self.isGroup = isGroup
        self.dotMatchesNewline = dotMatchesNewline
    }

    /// The text to search for when the pattern is one literal.
    var needle: [UInt8]? {
        if case .alternatives(let set) = form, set.literals.count == 1 { return set.literals[0] }
        return nil
    }

    func matchesWhole(_ bytes: UnsafeRawBufferPointer) -> Bool {
        switch form {
        case .alternatives(let set):
            return set.contains(bytes)
        case .prefix(let literal, let minimum):
            guard bytes.count >= literal.count + minimum else { return false }
            if !literal.isEmpty, !bytes.sliced(0..<literal.count).equals(literal) { return false }
            return dotMatchesNewline || bytes.firstIndex(of: 0x0A, from: literal.count) == nil
        }
    }

    private static func endsWithOpenEscape(_ body: ArraySlice<UInt8>) -> Bool {
        var backslashes = 0
        for byte in body.reversed() {
            guard byte == UInt8(ascii: "\\") else { break }
            backslashes += 1
        }
        return backslashes % 2 == 1
    }

    private static func prefixForm(_ body: ArraySlice<UInt8>) -> Form? {
        guard body.count >= 2, let last = body.last else { return nil }
        guard last == UInt8(ascii: "*") || last == UInt8(ascii: "+") else { return nil }
        let head = body.dropLast()
        guard head.last == UInt8(ascii: "."), let literal = literal(head.dropLast()) else { return nil }
        return .prefix(literal, minimum: last == UInt8(ascii: "+") ? 1 : 0)
    }

    private static func literal(_ text: ArraySlice<UInt8>) -> [UInt8]? {
        var output: [UInt8] = []
        var index = text.startIndex
        while index < text.endIndex {
            var byte = text[index]
            switch byte {
            case UInt8(ascii: "\\"):
                index += 1
                guard index < text.endIndex else { return nil }
                byte = text[index]
                let isPunctuation = byte < 0x7F && byte > 0x20 && !isWord(byte)
                guard isPunctuation else { return nil }
            case UInt8(ascii: "."), UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "?"), UInt8(ascii: "("),
                UInt8(ascii: ")"), UInt8(ascii: "["), UInt8(ascii: "]"), UInt8(ascii: "{"), UInt8(ascii: "}"),
                UInt8(ascii: "^"), UInt8(ascii: "$"), UInt8(ascii: "|"):
                return nil
            default:
                break
            }
            output.append(byte)
            index += 1
        }
        return output
    }

    private static func isWord(_ byte: UInt8) -> Bool {
        (byte | 0x20 >= 0x61 && byte | 0x20 <= 0x7A) || (byte >= 0x30 && byte <= 0x39) || byte == 0x5F
    }
}

/// A fixed set of byte strings with a hashed lookup.
struct LiteralSet: Sendable {
    let literals: [[UInt8]]
    /// Open addressing over the literals' hashes; -1 is free. Empty where a linear search is faster.
    private let slots: [Int32]

    init(_ literals: [[UInt8]]) {
        self.literals = literals
        guard literals.count > 4 else {
            slots = []
            return
        }
        var size = 16
        while size < literals.count * 2 { size *= 2 }
        var slots = [Int32](repeating: -1, count: size)
        for (index, literal) in literals.enumerated() {
            var slot = literal.withUnsafeBytes { Int(truncatingIfNeeded: FNV1a.hash64($0)) } & (size - 1)
            while slots[slot] >= 0 { slot = (slot + 1) & (size - 1) }
            slots[slot] = Int32(truncatingIfNeeded: index)
        }
        self.slots = slots
    }

    func contains(_ bytes: UnsafeRawBufferPointer) -> Bool {
        if slots.isEmpty {
            for literal in literals where bytes.equals(literal) { return true }
            return false
        }
        var slot = Int(truncatingIfNeeded: FNV1a.hash64(bytes)) & (slots.count - 1)
        while slots[slot] >= 0 {
            if bytes.equals(literals[Int(slots[slot])]) { return true }
            slot = (slot + 1) & (slots.count - 1)
        }
        return false
    }
}
