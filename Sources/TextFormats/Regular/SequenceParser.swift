/// Reads patterns that are sequences; gives up on anything else, however harmless.
struct SequenceParser {
    enum Item {
        case byte(UInt8)
        case run(ByteClass, minimum: Int, maximum: Int)
        case open(Int)
        case close(Int)
        case end
    }

    private static let maximumCount = 1000

    private let pattern: [UInt8]
    private let dotMatchesNewline: Bool
    private var index = 0
    private(set) var isAnchored = false

    init(_ pattern: [UInt8], dotMatchesNewline: Bool) {
        self.pattern = pattern
        self.dotMatchesNewline = dotMatchesNewline
    }

    mutating func parse() -> [Item]? {
        var items: [Item] = []
        var open: [Int?] = []
        var groups = 0
        if peek == UInt8(ascii: "^") {
            isAnchored = true
            index += 1
        }
        while let byte = peek {
            switch byte {
            case UInt8(ascii: "("):
                guard let isCapturing = openGroup() else { return nil }
                if isCapturing {
                    groups += 1
                    items.append(.open(groups))
                }
                open.append(isCapturing ? groups : nil)
            case UInt8(ascii: ")"):
                guard let group = open.popLast() else { return nil }
                index += 1
                if isQuantifier(peek) { return nil }
                if let group { items.append(.close(group)) }
            case UInt8(ascii: "$"):
                index += 1
                guard index == pattern.count, open.isEmpty else { return nil }
                items.append(.end)
            default:
                guard let item = parseAtom() else { return nil }
                items.append(item)
            }
        }
        return open.isEmpty && !items.isEmpty ? items : nil
    }

    private var peek: UInt8? { index < pattern.count ? pattern[index] : nil }

    private func isQuantifier(_ byte: UInt8?) -> Bool {
        byte == UInt8(ascii: "*") || byte == UInt8(ascii: "+") || byte == UInt8(ascii: "?") || byte == UInt8(ascii: "{")
    }

    /// Steps into a group; says whether it captures, nil when it is of another kind.
    private mutating func openGroup() -> Bool? {
        index += 1
        guard peek == UInt8(ascii: "?") else { return true }
        index += 1
        if peek == UInt8(ascii: ":") {
            index += 1
            return false
        }
        if peek == UInt8(ascii: "P") { index += 1 }
        guard peek == UInt8(ascii: "<") else { return nil }
        // RE2 has taken the pattern, so there is a name and it ends.
        while let byte = peek, byte != UInt8(ascii: ">") { index += 1 }
        guard peek != nil else { return nil }
        index += 1
        return true
    }

    /// A byte or class with what says how often.
    private mutating func parseAtom() -> Item? {
        guard let (members, byte) = parseMembers() else { return nil }
        var (minimum, maximum) = (1, 1)
        switch peek {
        case UInt8(ascii: "+"): (minimum, maximum) = (1, .max)
        case UInt8(ascii: "*"): (minimum, maximum) = (0, .max)
        case UInt8(ascii: "?"): (minimum, maximum) = (0, 1)
        case UInt8(ascii: "{"):
            guard let count = parseCount() else { return nil }
            (minimum, maximum) = (count, count)
            if isQuantifier(peek) { return nil }
            return .run(members, minimum: minimum, maximum: maximum)
        default:
            if let byte { return .byte(byte) }
            return .run(members, minimum: 1, maximum: 1)
        }
        index += 1
        if isQuantifier(peek) { return nil }
        return .run(members, minimum: minimum, maximum: maximum)
    }

    /// `{n}`, standing at the brace.
    private mutating func parseCount() -> Int? {
        index += 1
        var count = 0
        let start = index
        while let digit = peek, digit >= 0x30, digit <= 0x39, index - start < 4 {
            count = count * 10 + Int(digit - 0x30)
            index += 1
        }
        guard index > start, peek == UInt8(ascii: "}"), count >= 1, count <= Self.maximumCount else { return nil }
        index += 1
        return count
    }

    /// The bytes an atom stands for, and the byte itself when it is just one.
    private mutating func parseMembers() -> (ByteClass, UInt8?)? {
        guard let byte = peek, byte < 0x80 else { return nil }
        index += 1
        switch byte {
        case UInt8(ascii: "."): return (dotMatchesNewline ? ByteClass().inverted : ByteClass.newline.inverted, nil)
        case UInt8(ascii: "["): return parseBrackets().map { ($0, nil) }
        case UInt8(ascii: "\\"):
            guard let escaped = peek else { return nil }
            index += 1
            return escape(escaped)
        case UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "?"), UInt8(ascii: "{"), UInt8(ascii: "}"),
            UInt8(ascii: "|"), UInt8(ascii: "^"), UInt8(ascii: "]"):
            return nil
        default: return (ByteClass([byte...byte]), byte)
        }
    }

    private func escape(_ byte: UInt8) -> (ByteClass, UInt8?)? {
        switch byte {
        case UInt8(ascii: "d"): return (.digits, nil)
        case UInt8(ascii: "w"): return (.word, nil)
        case UInt8(ascii: "s"): return (.space, nil)
        case UInt8(ascii: "D"): return (ByteClass.digits.inverted, nil)
        case UInt8(ascii: "W"): return (ByteClass.word.inverted, nil)
        case UInt8(ascii: "S"): return (ByteClass.space.inverted, nil)
        case UInt8(ascii: "t"): return (ByteClass([0x09...0x09]), 0x09)
        default:
            guard byte > 0x20, byte < 0x7F, !ByteClass.word.contains(byte) else { return nil }
            return (ByteClass([byte...byte]), byte)
        }
    }

    /// The class after its opening bracket.
    private mutating func parseBrackets() -> ByteClass? {
        var members = ByteClass()
        var isInverted = false
        if peek == UInt8(ascii: "^") {
            isInverted = true
            index += 1
        }
        var isFirst = true
        while let byte = peek {
            if byte == UInt8(ascii: "]"), !isFirst {
                index += 1
                return isInverted ? members.inverted : members
            }
            isFirst = false
            guard byte < 0x80, byte != UInt8(ascii: "["), byte != UInt8(ascii: "]") else { return nil }
            index += 1
            var first = byte
            if byte == UInt8(ascii: "\\") {
                guard let escaped = peek, let (others, single) = escape(escaped) else { return nil }
                index += 1
                guard let single else {
                    // A negated class inside a class has characters of its own to tell apart.
                    if others.hasHighBytes { return nil }
                    members.formUnion(others)
                    if peek == UInt8(ascii: "-") { return nil }
                    continue
                }
                first = single
            }
            guard peek == UInt8(ascii: "-"), index + 1 < pattern.count, pattern[index + 1] != UInt8(ascii: "]") else {
                members.insert(first...first)
                continue
            }
            index += 1
            guard let last = peek, last < 0x80, last != UInt8(ascii: "\\"), last != UInt8(ascii: "["), last >= first
            else { return nil }
            index += 1
            members.insert(first...last)
        }
        return nil
    }
}
