import CRE2

/// A compiled regular expression: Go's `regexp` syntax and semantics on RE2.
///
/// Matching reads bytes and allocates nothing on valid UTF-8; a byte that is no UTF-8 stands for U+FFFD, one byte wide,
/// as in Go. An expression keeps at most `memoryLimit` bytes of automata; a pattern too large for that is compiled once
/// more with `largeMemoryLimit`.
///
/// `@unchecked Sendable`: every stored property is immutable after `init`, and RE2 documents that one object may be
/// used by many threads through its const methods, the only ones called here; it guards its lazily built automata with
/// its own locks. The object is deleted in `deinit`, when no reference is left.
package final class RegularExpression: @unchecked Sendable {
    static let memoryLimit = 4 << 20
    static let largeMemoryLimit = 64 << 20

    /// The pattern as written.
    package let pattern: String
    /// Number of capturing groups, the whole match not counted.
    package let groupCount: Int
    /// Names by group number; index 0 and unnamed groups are nil.
    package let groupNames: [String?]

    private let handle: OpaquePointer
    private let literal: LiteralPattern?
    private let sequence: SequencePattern?

    /// Compiles `pattern`; `dotMatchesNewline` is Go's `(?s)`, `caseInsensitive` its `(?i)`.
    package convenience init(
        _ pattern: String, caseInsensitive: Bool = false, dotMatchesNewline: Bool = false
    ) throws(RegularExpressionError) {
        try self.init(
            pattern, caseInsensitive: caseInsensitive, dotMatchesNewline: dotMatchesNewline, usesShortcuts: true)
    }

    /// As the other one; without shortcuts every text is matched by RE2, for comparison.
    init(
        _ pattern: String, caseInsensitive: Bool, dotMatchesNewline: Bool, usesShortcuts: Bool
    ) throws(RegularExpressionError) {
        let source = Array(pattern.utf8)
        let rewritten = try PatternRewriter.rewrite(source)
        var made: OpaquePointer?
        var error = invar_re2_error()
        for limit in [Self.memoryLimit, Self.largeMemoryLimit] where made == nil {
            error = invar_re2_error()
            made = rewritten.withUnsafeBytes { bytes in
                invar_re2_new(
                    bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count, caseInsensitive,
                    dotMatchesNewline, limit, &error)
            }
            if error.code != 15 { break }
        }
        guard let made else {
            let piece = withUnsafeBytes(of: &error.argument) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            throw RegularExpressionError(code: Int(error.code), piece: rewritten == source ? piece : pattern)
        }
        handle = made
        self.pattern = pattern
        groupCount = Int(invar_re2_group_count(made))
        groupNames = (0...max(0, groupCount)).map { index in
            invar_re2_group_name(made, Int32(index)).map { String(cString: $0) }
        }
        let isPlain = usesShortcuts && !caseInsensitive
        literal = isPlain ? LiteralPattern(source, dotMatchesNewline: dotMatchesNewline) : nil
        sequence =
            isPlain && literal?.needle == nil ? SequencePattern(source, dotMatchesNewline: dotMatchesNewline) : nil
    }

    deinit { invar_re2_delete(handle) }

    // MARK: Matching

    /// Whether all of `bytes` matches, as if the pattern stood between `^(?:` and `)$`.
    package func matchesWhole(_ bytes: UnsafeRawBufferPointer) -> Bool {
        if let literal { return literal.matchesWhole(bytes) }
        return withSubject(bytes) { subject, _ in search(subject, from: 0, anchored: true, nil) }
    }

    /// Whether all of `text` matches.
    package func matchesWhole(_ text: String) -> Bool { text.withBytes { matchesWhole($0) } }

    /// Whether all of `bytes` matches, filling `captures` when it does.
    package func matchWhole(_ bytes: UnsafeRawBufferPointer, into captures: inout Captures) -> Bool {
        if let literal, groupCount == 0 || literal.isGroup {
            guard literal.matchesWhole(bytes) else { return false }
            captures.setWhole(bytes.count, groups: groupCount)
            return true
        }
        return find(bytes, from: 0, anchored: true, &captures)
    }

    /// Whether the pattern matches anywhere in `bytes`.
    package func matches(_ bytes: UnsafeRawBufferPointer) -> Bool {
        if let needle = literal?.needle { return position(of: needle, in: bytes, from: 0) != nil }
        return withSubject(bytes) { subject, _ in search(subject, from: 0, anchored: false, nil) }
    }

    /// Whether the pattern matches anywhere in `text`.
    package func matches(_ text: String) -> Bool { text.withBytes { matches($0) } }

    /// Finds the leftmost match at or after byte `start`, filling `captures`; context before `start` counts for `^` and
    /// `\b`.
    package func firstMatch(
        in bytes: UnsafeRawBufferPointer, from start: Int = 0, into captures: inout Captures
    ) -> Bool {
        if let needle = literal?.needle {
            guard let found = position(of: needle, in: bytes, from: start) else { return false }
            captures.setWhole(needle.count, groups: groupCount, at: found)
            return true
        }
        if let sequence, !sequence.needsValidText || UTF8Bytes.isValid(bytes) {
            let outcome = captures.fill(groups: groupCount) { sequence.firstMatch(in: bytes, from: start, $0) }
            if outcome != .undecided { return outcome == .matched }
        }
        return find(bytes, from: start, anchored: false, &captures)
    }

    /// Submatches of the leftmost match in `text` (nil where a group took no part), or nil without a match.
    package func firstMatch(in text: String) -> [String?]? {
        text.withBytes { bytes in
            var captures = Captures()
            guard firstMatch(in: bytes, into: &captures) else { return nil }
            return (0..<captures.count).map { index in captures[index].map { bytes.sliced($0).text } }
        }
    }

    /// The number of the group called `name`.
    package func group(named name: String) -> Int? { groupNames.firstIndex(of: name) }

    // MARK: Replacing

    /// Appends `bytes` with every match replaced, as Go's `ReplaceAll`: an empty match next to the match before it does
    /// not count, and the search after an empty match steps over one UTF-8 sequence.
    package func replaceAll(
        in bytes: UnsafeRawBufferPointer, with template: Template, into output: inout [UInt8]
    ) {
        var captures = Captures()
        withSubject(bytes) { subject, map in
            var searched = 0
            var copied = 0
            while searched <= subject.count, search(subject, from: searched, anchored: false, &captures) {
                guard let whole = captures[0] else { break }
                let original = map.original(whole)
                output.append(contentsOf: bytes[map.original(copied)..<original.lowerBound])
                if whole.upperBound > copied || whole.lowerBound == 0 {
                    for part in template.parts {
                        switch part {
                        case .literal(let text):
                            output.append(contentsOf: text)
                        case .group(let index):
                            if let range = captures[index] { output.append(contentsOf: bytes[map.original(range)]) }
                        }
                    }
                }
                copied = whole.upperBound
                let width = searched < subject.count ? UTF8Bytes.width(subject, at: searched) : 1
                searched = max(whole.upperBound, searched + width)
            }
            output.append(contentsOf: bytes[map.original(copied)...])
        }
    }

    /// `text` with every match replaced by `template` (Go's `$1`, `${name}`, `$$`).
    package func replaceAll(_ text: String, with template: String) -> String {
        replaceAll(text, with: self.template(template))
    }

    /// `text` with every match replaced by `template`.
    package func replaceAll(_ text: String, with template: Template) -> String {
        var output: [UInt8] = []
        text.withBytes { replaceAll(in: $0, with: template, into: &output) }
        return String(decoding: output, as: UTF8.self)
    }

    /// Appends `template` with the groups of `captures`, which are ranges of `bytes`, filled in.
    package func expand(
        _ template: Template, _ captures: Captures, of bytes: UnsafeRawBufferPointer, into output: inout [UInt8]
    ) {
        for part in template.parts {
            switch part {
            case .literal(let text): output.append(contentsOf: text)
            case .group(let index):
                if let range = captures[index], range.upperBound <= bytes.count {
                    output.append(contentsOf: bytes[range])
                }
            }
        }
    }

    // MARK: Calls into RE2

    private func find(
        _ bytes: UnsafeRawBufferPointer, from start: Int, anchored: Bool, _ captures: inout Captures
    ) -> Bool {
        guard start >= 0, start <= bytes.count else { return false }
        return withSubject(bytes) { subject, map in
            guard search(subject, from: map.substitute(start), anchored: anchored, &captures) else { return false }
            captures.translate(map)
            return true
        }
    }

    private func search(
        _ subject: UnsafeRawBufferPointer, from start: Int, anchored: Bool, _ captures: UnsafeMutablePointer<Captures>?
    ) -> Bool {
        let text = subject.baseAddress?.assumingMemoryBound(to: CChar.self)
        guard let captures else {
            return invar_re2_match(handle, text, subject.count, start, anchored, nil, 0)
        }
        return captures.pointee.fill(groups: groupCount) { ranges, count in
            invar_re2_match(handle, text, subject.count, start, anchored, ranges, count)
        }
    }

    private func withSubject<Result>(
        _ bytes: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer, OffsetMap) -> Result
    ) -> Result {
        if UTF8Bytes.isValid(bytes) { return body(bytes, OffsetMap()) }
        var substitute: [UInt8] = []
        substitute.reserveCapacity(bytes.count + 16)
        var map = OffsetMap()
        var index = 0
        while index < bytes.count {
            let width = UTF8Bytes.decode(bytes, at: index)?.length
            if let width {
                substitute.append(contentsOf: bytes[index..<index + width])
                for step in 0..<width { map.offsets.append(index + step) }
            } else {
                substitute.append(contentsOf: [0xEF, 0xBF, 0xBD])
                map.offsets.append(contentsOf: [index, index, index])
            }
            index += width ?? 1
        }
        map.offsets.append(bytes.count)
        return substitute.withUnsafeBytes { body($0, map) }
    }

    private func position(of needle: [UInt8], in bytes: UnsafeRawBufferPointer, from start: Int) -> Int? {
        guard start >= 0, start <= bytes.count else { return nil }
        guard !needle.isEmpty else { return start }
        guard let base = bytes.baseAddress else { return nil }
        return needle.withUnsafeBytes { wanted in
            wanted.baseAddress.flatMap { invar_find(base + start, bytes.count - start, $0, wanted.count) }
        }.map { $0 - base }
    }
}

/// Where each byte of a text made valid comes from; empty when the text was valid.
struct OffsetMap {
    var offsets: [Int] = []

    func original(_ offset: Int) -> Int { offsets.isEmpty ? offset : offsets[offset] }
    func original(_ range: Range<Int>) -> Range<Int> {
        offsets.isEmpty ? range : offsets[range.lowerBound]..<offsets[range.upperBound]
    }
    func substitute(_ offset: Int) -> Int {
        offsets.isEmpty ? offset : offsets.firstIndex { $0 >= offset } ?? offsets.count - 1
    }
}
