import Glibc

/// A pattern of paths in the language of `bmatcuk/doublestar` version 4, which Alloy uses for files.
///
/// `*` and `?` stay within a path segment, `**` as a whole segment stands for any number of segments, `[a-z]`, `[!a]`
/// and `[^a]` for one character, `{a,b}` for alternatives; `\` takes the meaning off the next character. Names that begin
/// with a dot are like any others.
package struct PathPattern: Sendable, Equatable {
    /// A pattern that cannot be read.
    package struct Invalid: Error, Sendable, Equatable, CustomStringConvertible {
        package let pattern: String
        package var description: String { "syntax error in pattern \(pattern)" }
    }

    private enum Piece: Sendable, Equatable {
        case character(Unicode.Scalar)
        case any
        case star
        case set([ClosedRange<Unicode.Scalar>], isNegated: Bool)
    }

    private enum Segment: Sendable, Equatable {
        case literal(String)
        case pattern([Piece])
        case globstar
    }

    /// One list of segments per combination of alternatives.
    private let variants: [[Segment]]
    private let isAbsolute: Bool
    package let text: String

    /// Reads `text`; throws when a class, an alternative or an escape is not closed, or on more than 1,000 combinations.
    package init(_ text: String) throws(Invalid) {
        self.text = text
        isAbsolute = text.hasPrefix("/")
        var variants: [[Segment]] = []
        for variant in try Self.expandBraces(Array(text.unicodeScalars), whole: text) {
            variants.append(try Self.segments(variant, whole: text))
        }
        self.variants = variants
    }

    /// True when all of `path` matches.
    package func matches(_ path: String) -> Bool {
        guard path.hasPrefix("/") == isAbsolute else { return false }
        let names = path.split(separator: "/").filter { $0 != "." }.map { Array($0.unicodeScalars) }
        return variants.contains { Self.matches($0[...], names[...]) }
    }

    /// The existing paths that match, sorted within each directory, at most `limit`. Directories that cannot be read
    /// have no entries. Blocks.
    package func paths(limit: Int = 1_000_000) -> [String] {
        var found: [String] = []
        var seen: Set<String> = []
        for variant in variants {
            Self.walk(isAbsolute ? "/" : "", variant[...], ancestors: []) { path in
                if found.count < limit, seen.insert(path).inserted { found.append(path) }
                return found.count < limit
            }
        }
        return found
    }

    // MARK: Reading patterns

    private static func expandBraces(
        _ text: [Unicode.Scalar], whole: String
    ) throws(Invalid) -> [[Unicode.Scalar]] {
        var done: [[Unicode.Scalar]] = []
        var waiting = [text]
        while let next = waiting.popLast() {
            guard done.count + waiting.count <= 1000 else { throw Invalid(pattern: whole) }
            guard let open = firstBrace(next) else {
                done.append(next)
                continue
            }
            var depth = 0
            var start = open + 1
            var alternatives: [ArraySlice<Unicode.Scalar>] = []
            var index = open
            var end: Int?
            while index < next.count {
                switch next[index] {
                case "\\": index += 1
                case "{": depth += 1
                case ",":
                    if depth == 1 {
                        alternatives.append(next[start..<index])
                        start = index + 1
                    }
                case "}":
                    depth -= 1
                    if depth == 0 { end = index }
                default: break
                }
                if end != nil { break }
                index += 1
            }
            guard let end else { throw Invalid(pattern: whole) }
            alternatives.append(next[start..<end])
            // The last one first, so that they leave the stack in the order they were written.
            for alternative in alternatives.reversed() {
                waiting.append(Array(next[..<open]) + alternative + next[(end + 1)...])
            }
        }
        return done
    }

    private static func firstBrace(_ text: [Unicode.Scalar]) -> Int? {
        var index = 0
        var isInClass = false
        while index < text.count {
            switch text[index] {
            case "\\": index += 1
            case "[": isInClass = true
            case "]": isInClass = false
            case "{": if !isInClass { return index }
            default: break
            }
            index += 1
        }
        return nil
    }

    private static func segments(_ text: [Unicode.Scalar], whole: String) throws(Invalid) -> [Segment] {
        var segments: [Segment] = []
        for part in text.split(separator: "/") {
            let part = Array(part)
            if part == ["."] { continue }
            if part == ["*", "*"] {
                if segments.last != .globstar { segments.append(.globstar) }
                continue
            }
            let pieces = try pieces(part, whole: whole)
            var literal = String.UnicodeScalarView()
            for case .character(let character) in pieces { literal.append(character) }
            segments.append(literal.count == pieces.count ? .literal(String(literal)) : .pattern(pieces))
        }
        return segments
    }

    private static func pieces(_ part: [Unicode.Scalar], whole: String) throws(Invalid) -> [Piece] {
        var pieces: [Piece] = []
        var index = 0
        while index < part.count {
            switch part[index] {
            case "*": if pieces.last != .star { pieces.append(.star) }
            case "?": pieces.append(.any)
            case "\\":
                index += 1
                guard index < part.count else { throw Invalid(pattern: whole) }
                pieces.append(.character(part[index]))
            case "[": pieces.append(try characterClass(part, &index, whole: whole))
            default: pieces.append(.character(part[index]))
            }
            index += 1
        }
        return pieces
    }

    /// Reads a class whose bracket stands at `index` and leaves `index` at its end.
    private static func characterClass(
        _ part: [Unicode.Scalar], _ index: inout Int, whole: String
    ) throws(Invalid) -> Piece {
        func next() throws(Invalid) -> Unicode.Scalar {
            if index < part.count, part[index] == "\\" { index += 1 }
            guard index < part.count else { throw Invalid(pattern: whole) }
            defer { index += 1 }
            return part[index]
        }
        index += 1
        let isNegated = index < part.count && (part[index] == "!" || part[index] == "^")
        if isNegated { index += 1 }
        var ranges: [ClosedRange<Unicode.Scalar>] = []
        repeat {
            let low = try next()
            var high = low
            if index + 1 < part.count, part[index] == "-", part[index + 1] != "]" {
                index += 1
                high = try next()
            }
            guard low <= high, index < part.count else { throw Invalid(pattern: whole) }
            ranges.append(low...high)
        } while part[index] != "]"
        return .set(ranges, isNegated: isNegated)
    }

    // MARK: Matching

    private static func matches(_ segments: ArraySlice<Segment>, _ names: ArraySlice<[Unicode.Scalar]>) -> Bool {
        var segments = segments
        var names = names
        // Where to go on when what follows the last globstar does not fit: one more name for the globstar.
        var retry: (segments: ArraySlice<Segment>, names: ArraySlice<[Unicode.Scalar]>)?
        while true {
            if let segment = segments.first {
                if segment == .globstar {
                    segments = segments.dropFirst()
                    retry = (segments, names)
                    continue
                }
                if let name = names.first, matches(segment, name) {
                    segments = segments.dropFirst()
                    names = names.dropFirst()
                    continue
                }
            } else if names.isEmpty {
                return true
            }
            guard let last = retry, !last.names.isEmpty else { return false }
            segments = last.segments
            names = last.names.dropFirst()
            retry = (segments, names)
        }
    }

    private static func matches(_ segment: Segment, _ name: [Unicode.Scalar]) -> Bool {
        switch segment {
        case .globstar: return true
        case .literal(let text): return text.unicodeScalars.elementsEqual(name)
        case .pattern(let pieces):
            var piece = 0
            var index = 0
            var retry: (piece: Int, index: Int)?
            while true {
                if piece < pieces.count, pieces[piece] == .star {
                    piece += 1
                    retry = (piece, index)
                    continue
                }
                if piece < pieces.count, index < name.count, matches(pieces[piece], name[index]) {
                    piece += 1
                    index += 1
                    continue
                }
                if piece == pieces.count, index == name.count { return true }
                guard let last = retry, last.index < name.count else { return false }
                piece = last.piece
                index = last.index + 1
                retry = (piece, index)
            }
        }
    }

    private static func matches(_ piece: Piece, _ character: Unicode.Scalar) -> Bool {
        switch piece {
        case .character(let wanted): wanted == character
        case .any, .star: true
        case .set(let ranges, let isNegated): ranges.contains { $0.contains(character) } != isNegated
        }
    }

    // MARK: Walking directories

    /// Calls `body` with each path below `base` that matches; `body` returns false to stop. Returns false when stopped.
    @discardableResult
    private static func walk(
        _ base: String, _ segments: ArraySlice<Segment>, ancestors: [FileIdentity], _ body: (String) -> Bool
    ) -> Bool {
        guard let segment = segments.first else { return body(base) }
        let rest = segments.dropFirst()
        switch segment {
        case .literal(let name):
            let path = join(base, name)
            if rest.isEmpty { return exists(path) ? body(path) : true }
            return walk(path, rest, ancestors: ancestors, body)
        case .pattern:
            for name in list(base) where matches(segment, Array(name.unicodeScalars)) {
                let path = join(base, name)
                if !rest.isEmpty, directoryIdentity(path) == nil { continue }
                if !walk(path, rest, ancestors: ancestors, body) { return false }
            }
            return true
        case .globstar:
            if rest.isEmpty, !base.isEmpty, base != "/" {
                if exists(base), !body(base) { return false }
            } else if !rest.isEmpty {
                if !walk(base, rest, ancestors: ancestors, body) { return false }
            }
            for name in list(base) {
                let path = join(base, name)
                guard let identity = directoryIdentity(path) else {
                    if rest.isEmpty, !body(path) { return false }
                    continue
                }
                // A link back to a directory on the way here would not end.
                if ancestors.contains(identity) || ancestors.count >= 255 { continue }
                if !walk(path, segments, ancestors: ancestors + [identity], body) { return false }
            }
            return true
        }
    }

    private struct FileIdentity: Equatable {
        var device: dev_t
        var inode: ino_t
    }

    private static func directoryIdentity(_ path: String) -> FileIdentity? {
        var status = stat()
        guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else { return nil }
        return FileIdentity(device: status.st_dev, inode: status.st_ino)
    }

    private static func exists(_ path: String) -> Bool {
        var status = stat()
        return lstat(path, &status) == 0
    }

    private static func list(_ path: String) -> [String] { (try? Files.list(path.isEmpty ? "." : path)) ?? [] }

    /// The working directory of the process.
    package static var workingDirectory: String {
        guard let path = getcwd(nil, 0) else { return "/" }
        defer { free(path) }
        return String(cString: path)
    }

    private static func join(_ base: String, _ name: String) -> String {
        base.isEmpty || base.hasSuffix("/") ? base + name : base + "/" + name
    }
}
