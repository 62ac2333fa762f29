/// A pattern for paths.
///
/// Two dialects: `.doublestar` has `*`, `?`, `[a-z]`, `[!a]`, `{a,b}` and `**` for any number of directories, as the Go
/// library `github.com/bmatcuk/doublestar` (version 4) reads them; `.plain` has `*`, `?` and `[^a]` alone, as Go's
/// `path/filepath`. A backslash takes the meaning from what follows. Nothing but `**` matches a slash.
package struct Glob: Sendable, Hashable {
    package enum Dialect: Sendable, Hashable { case doublestar, plain }

    /// One element of a segment's pattern.
    enum Token: Sendable, Hashable {
        case literal(UInt8)
        case anyCharacter
        case anySequence
        case oneOf([ClosedRange<UInt32>], negated: Bool)
    }

    /// What stands between two slashes.
    enum Segment: Sendable, Hashable {
        /// `**`: any number of directories.
        case directories
        /// Text without wildcards.
        case literal([UInt8])
        case pattern([Token])
    }

    /// One pattern without alternatives.
    struct Alternative: Sendable, Hashable {
        var isAbsolute: Bool
        var segments: [Segment]
    }

    /// Patterns a group of `{...}` may grow into; one with more is refused.
    static let maximumAlternatives = 1024

    /// Parts between slashes; a pattern with more is refused, so that a search never nests deeper.
    static let maximumSegments = 256

    /// The pattern as written.
    package let pattern: String
    let alternatives: [Alternative]

    /// Reads a pattern; throws ``GlobError`` when a class or group is not closed.
    package init(_ pattern: String, _ dialect: Dialect = .doublestar) throws(GlobError) {
        self.pattern = pattern
        let bytes = Array(pattern.utf8)
        if bytes.count > 16 << 10 { throw GlobError(pattern: "", reason: "longer than 16 KiB") }
        let plain = dialect == .doublestar ? try GlobParser.expand(bytes, pattern) : [bytes]
        var parsed: [Alternative] = []
        for text in plain {
            parsed.append(try GlobParser.parse(text, dialect, pattern))
        }
        alternatives = parsed
    }

    /// Whether the pattern can match more than one path.
    package var hasWildcards: Bool {
        alternatives.count > 1
            || alternatives.contains { alternative in
                alternative.segments.contains { segment in
                    if case .literal = segment { false } else { true }
                }
            }
    }

    /// Whether all of `path` matches. Compares text: neither touches the file system nor resolves `..`.
    package func matches(_ path: String) -> Bool {
        let bytes = Array(path.utf8)
        let isAbsolute = bytes.first == UInt8(ascii: "/")
        var names = bytes.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        if isAbsolute { names.removeFirst() }
        if names.count > 1, names.last?.isEmpty == true { names.removeLast() }
        return alternatives.contains { $0.matches(names, isAbsolute: isAbsolute) }
    }
}

/// A pattern that cannot be read.
package struct GlobError: Error, Sendable, Hashable, CustomStringConvertible {
    package let pattern: String
    package let reason: String
    package var description: String { "syntax error in pattern \"\(pattern)\": \(reason)" }
}

extension Glob.Alternative {
    /// Follows all ways through the segments at once, so that time is bounded by names times segments.
    func matches(_ names: [ArraySlice<UInt8>], isAbsolute: Bool) -> Bool {
        if segments.isEmpty { return self.isAbsolute == isAbsolute && names.allSatisfy(\.isEmpty) }
        // `**` first in a relative pattern also covers the root of an absolute path.
        if self.isAbsolute != isAbsolute, segments.first != .directories { return false }
        var states = closure([0])
        for name in names {
            var next: Set<Int> = []
            for state in states where state < segments.count {
                if case .directories = segments[state] {
                    next.insert(state)
                } else if segments[state].matches(name) {
                    next.insert(state + 1)
                }
            }
            states = closure(next)
            if states.isEmpty { return false }
        }
        return states.contains(segments.count)
    }

    /// `**` may stand for no directory: every state on it is also behind it.
    func closure(_ states: Set<Int>) -> Set<Int> {
        var closed = states
        for state in states {
            var index = state
            while index < segments.count, case .directories = segments[index] {
                index += 1
                closed.insert(index)
            }
        }
        return closed
    }
}

extension Glob.Segment {
    /// Whether one name between slashes matches; `**` matches any.
    func matches(_ name: ArraySlice<UInt8>) -> Bool {
        switch self {
        case .directories: return true
        case .literal(let text): return text.elementsEqual(name)
        case .pattern(let tokens): return Self.matches(tokens, name)
        }
    }

    /// Goes back to the last `*` only: linear for a given star, never exponential.
    private static func matches(_ tokens: [Glob.Token], _ name: ArraySlice<UInt8>) -> Bool {
        var token = 0
        var index = name.startIndex
        var star: (token: Int, index: Int)?
        while index < name.endIndex {
            if token < tokens.count {
                switch tokens[token] {
                case .anySequence:
                    star = (token + 1, index)
                    token += 1
                    continue
                case .literal(let byte) where byte == name[index]:
                    token += 1
                    index += 1
                    continue
                case .anyCharacter:
                    index += scalar(in: name, at: index).width
                    token += 1
                    continue
                case .oneOf(let ranges, let negated):
                    let (value, width) = scalar(in: name, at: index)
                    if ranges.contains(where: { $0.contains(value) }) != negated {
                        index += width
                        token += 1
                        continue
                    }
                case .literal: break
                }
            }
            guard let back = star else { return false }
            token = back.token
            index = back.index + scalar(in: name, at: back.index).width
            star = (token, index)
        }
        return tokens[token...].allSatisfy { $0 == .anySequence }
    }

    /// The character at `index`; a byte that is no UTF-8 stands for U+FFFD.
    private static func scalar(in name: ArraySlice<UInt8>, at index: Int) -> (value: UInt32, width: Int) {
        if name[index] < 0x80 { return (UInt32(name[index]), 1) }
        return GlobParser.scalar(name, index)
    }
}

/// Reads patterns into segments.
enum GlobParser {
    private static let slash = UInt8(ascii: "/")
    private static let backslash = UInt8(ascii: "\\")

    /// Writes `{a,b}` out: every combination as a pattern of its own.
    static func expand(_ bytes: [UInt8], _ pattern: String) throws(GlobError) -> [[UInt8]] {
        var results: [[UInt8]] = []
        var pending = [bytes]
        while let text = pending.popLast() {
            guard let group = try firstGroup(text, pattern) else {
                results.append(text)
                if results.count > Glob.maximumAlternatives {
                    throw GlobError(pattern: pattern, reason: "more than \(Glob.maximumAlternatives) alternatives")
                }
                continue
            }
            if pending.count > Glob.maximumAlternatives {
                throw GlobError(pattern: pattern, reason: "more than \(Glob.maximumAlternatives) alternatives")
            }
            for choice in group.choices.reversed() {
                pending.append(Array(text[..<group.open]) + text[choice] + text[(group.close + 1)...])
            }
        }
        return results
    }

    private static func firstGroup(
        _ text: [UInt8], _ pattern: String
    ) throws(GlobError) -> (open: Int, close: Int, choices: [Range<Int>])? {
        var index = 0
        var open: Int?
        var depth = 0
        var choices: [Range<Int>] = []
        var start = 0
        while index < text.count {
            switch text[index] {
            case backslash: index += 1
            case UInt8(ascii: "["):
                if let end = classEnd(text, index) { index = end }
            case UInt8(ascii: "{"):
                depth += 1
                if open == nil {
                    open = index
                    start = index + 1
                }
            case UInt8(ascii: ",") where depth == 1:
                choices.append(start..<index)
                start = index + 1
            case UInt8(ascii: "}") where depth > 0:
                depth -= 1
                if depth == 0, let open {
                    choices.append(start..<index)
                    return (open, index, choices)
                }
            default: break
            }
            index += 1
        }
        if open != nil { throw GlobError(pattern: pattern, reason: "unclosed {") }
        return nil
    }

    /// The index of the `]` that closes the class begun at `open`.
    private static func classEnd(_ text: [UInt8], _ open: Int) -> Int? {
        var index = open + 1
        if index < text.count, text[index] == UInt8(ascii: "^") || text[index] == UInt8(ascii: "!") { index += 1 }
        var isFirst = true
        while index < text.count {
            if text[index] == backslash {
                index += 2
            } else if text[index] == UInt8(ascii: "]"), !isFirst {
                return index
            } else {
                index += 1
            }
            isFirst = false
        }
        return nil
    }

    static func parse(
        _ text: [UInt8], _ dialect: Glob.Dialect, _ pattern: String
    ) throws(GlobError) -> Glob.Alternative {
        var segments: [Glob.Segment] = []
        let dots = [UInt8(ascii: "."), UInt8(ascii: ".")]
        var tokens: [Glob.Token] = []
        var isPattern = false
        var stars = 0
        var length = 0
        func finish() {
            defer {
                tokens = []
                isPattern = false
                stars = 0
                length = 0
            }
            if length == 0 { return }
            if dialect == .doublestar, stars == 2, length == 2 {
                if segments.last != .directories { segments.append(.directories) }
            } else if isPattern {
                segments.append(.pattern(tokens))
            } else {
                let name = tokens.compactMap { if case .literal(let byte) = $0 { byte } else { nil } }
                if name == [UInt8(ascii: ".")] { return }
                if name == dots {
                    // As cleaned by text: `a/..` is nothing, and the root has no parent.
                    if case .literal(let last)? = segments.last, last != dots {
                        segments.removeLast()
                        return
                    }
                    if segments.isEmpty, text.first == slash { return }
                }
                segments.append(.literal(name))
            }
        }
        var index = 0
        while index < text.count {
            let byte = text[index]
            if byte == slash {
                finish()
                index += 1
                continue
            }
            length += 1
            switch byte {
            case UInt8(ascii: "*"):
                isPattern = true
                stars += 1
                if tokens.last != .anySequence { tokens.append(.anySequence) }
            case UInt8(ascii: "?"):
                isPattern = true
                tokens.append(.anyCharacter)
            case UInt8(ascii: "["):
                isPattern = true
                let (token, end) = try characterClass(text, index, dialect, pattern)
                tokens.append(token)
                index = end
            case backslash:
                index += 1
                guard index < text.count else { throw GlobError(pattern: pattern, reason: "ends in a backslash") }
                length += 1
                tokens.append(.literal(text[index]))
            default: tokens.append(.literal(byte))
            }
            index += 1
        }
        finish()
        if segments.count > Glob.maximumSegments {
            throw GlobError(pattern: "", reason: "more than \(Glob.maximumSegments) directories")
        }
        return Glob.Alternative(isAbsolute: text.first == slash, segments: segments)
    }

    private static func characterClass(
        _ text: [UInt8], _ open: Int, _ dialect: Glob.Dialect, _ pattern: String
    ) throws(GlobError) -> (Glob.Token, end: Int) {
        var index = open + 1
        var negated = false
        if index < text.count,
            text[index] == UInt8(ascii: "^") || (dialect == .doublestar && text[index] == UInt8(ascii: "!"))
        {
            negated = true
            index += 1
        }
        var ranges: [ClosedRange<UInt32>] = []
        func next() throws(GlobError) -> UInt32 {
            if index < text.count, text[index] == backslash { index += 1 }
            guard index < text.count, text[index] != slash else {
                throw GlobError(pattern: pattern, reason: "unclosed [")
            }
            let (value, width) = scalar(text[...], index)
            index += width
            return value
        }
        while true {
            guard index < text.count else { throw GlobError(pattern: pattern, reason: "unclosed [") }
            if text[index] == UInt8(ascii: "]"), !ranges.isEmpty { return (.oneOf(ranges, negated: negated), index) }
            if text[index] == UInt8(ascii: "]") || text[index] == UInt8(ascii: "-") {
                throw GlobError(pattern: pattern, reason: "misplaced character in a class")
            }
            let low = try next()
            var high = low
            if index < text.count, text[index] == UInt8(ascii: "-") {
                index += 1
                guard index < text.count, text[index] != UInt8(ascii: "]") else {
                    throw GlobError(pattern: pattern, reason: "unfinished range in a class")
                }
                high = try next()
            }
            // A range the wrong way round matches nothing.
            ranges.append(low <= high ? low...high : UInt32.max...UInt32.max)
        }
    }

    /// The scalar at `index` and its length in bytes; U+FFFD and 1 where the bytes are no UTF-8.
    static func scalar(_ text: ArraySlice<UInt8>, _ index: Int) -> (value: UInt32, width: Int) {
        var decoder = UTF8()
        var iterator = text[index..<min(index + 4, text.endIndex)].makeIterator()
        if case .scalarValue(let scalar) = decoder.decode(&iterator) {
            return (scalar.value, UTF8.width(scalar))
        }
        return (0xFFFD, 1)
    }
}
