/// Puts the tokens of a parsed file out in order, with the comments and the space that belong between them.
///
/// Space is held back until the next token, because a comment that comes first decides what becomes of it. Which
/// comments come first is told by comparing offsets: `place` follows the source as tokens are put out and is corrected
/// whenever a node says where it stands. Agrees with Alloy's `syntax/printer`.
struct TokenPrinter {
    /// What stands between tokens until it is decided.
    enum Space {
        case none
        case blank
        /// A soft column stop.
        case column
        case newline
        /// A newline that ends all columns.
        case section
        case indent
        case unindent
    }

    private struct Place {
        var offset = 0
        var line = 1
    }

    /// How many empty lines in the source become at most one in the output.
    private static let maximumNewlines = 2
    private static let maximumHeldSpace = 16

    let source: SourceFile
    /// Whether all tokens whose place is known say so, rather than only those that do in Alloy.
    let usesExactPlaces: Bool
    private var layout = ColumnLayout()
    private var comments: ArraySlice<CommentGroup>
    private var space: [Space] = []
    private var indentation: Int
    private var place = Place()
    /// The line in the source of what was put out last; `nil` before anything was.
    private var lastLine: Int?
    private var isAtLineStart = true
    private var isAfterNumber = false

    init(source: SourceFile, comments: [CommentGroup], indentation: Int, usesExactPlaces: Bool = false) {
        self.source = source
        self.usesExactPlaces = usesExactPlaces
        self.comments = comments[...]
        self.indentation = max(0, indentation)
    }

    /// The text, after the comments that are left.
    mutating func finish() -> [UInt8] {
        while let group = comments.popFirst() {
            for comment in group.comments { putOut(comment, beforeLine: nil) }
        }
        return layout.finish()
    }

    // MARK: Tokens

    /// Says where in the source the next token stands.
    mutating func move(to offset: Int) {
        place = Place(offset: offset, line: source.line(at: offset))
    }

    /// Says where in the source the next token stands, if all of them are to say so.
    mutating func move(toExact offset: Int) {
        if usesExactPlaces { move(to: offset) }
    }

    mutating func write(_ item: Space) {
        if space.count == Self.maximumHeldSpace { release(space.count) }
        space.append(item)
        isAfterNumber = false
    }

    mutating func write(_ token: String) {
        let next = beginToken()
        layout.append(token.utf8)
        endToken(next, length: token.utf8.count, newlines: 0)
    }

    /// Writes `.`, apart from a number it would otherwise become a part of.
    mutating func writeDot() {
        if isAfterNumber { space.append(.blank) }
        write(".")
    }

    /// Writes a constant; the text of strings is never changed.
    mutating func write(_ literal: Literal) {
        if literal.kind == .string {
            writeVerbatim(literal.text)
        } else {
            write(literal.text)
            isAfterNumber = literal.kind == .integer
        }
    }

    mutating func writeVerbatim(_ text: String) {
        let next = beginToken()
        layout.appendLiteral(text.utf8)
        endToken(next, length: text.utf8.count, newlines: text.utf8.count { $0 == UInt8(ascii: "\n") })
    }

    private mutating func beginToken() -> Place {
        let next = place
        if let first = comments.first?.comments.first, first.range.start <= next.offset {
            putOutComments(before: next)
        } else {
            release(space.count)
        }
        indentIfAtLineStart()
        return next
    }

    private mutating func endToken(_ next: Place, length: Int, newlines: Int) {
        place = Place(offset: next.offset + length, line: next.line + newlines)
        lastLine = place.line
        isAfterNumber = false
    }

    // MARK: Comments

    private mutating func putOutComments(before next: Place) {
        var last: Comment?
        while let group = comments.first, let first = group.comments.first, first.range.start <= next.offset {
            comments.removeFirst()
            for comment in group.comments {
                putOut(comment, beforeLine: next.line)
                last = comment
            }
        }
        if let last { separate(last, from: next) }
    }

    /// Puts a comment out; `nextLine` is the line of the token after it, `nil` at the end of the file.
    private mutating func putOut(_ comment: Comment, beforeLine nextLine: Int?) {
        let line = source.line(at: comment.range.start)
        if let lastLine {
            if line == lastLine {
                if line == nextLine { putBlank() } else { putTab() }
            } else {
                releaseIndentation()
                putNewlines(line - lastLine, endingColumns: true)
            }
        }
        indentIfAtLineStart()
        layout.appendProtected(comment.text.utf8)
        place = Place(
            offset: comment.range.start + comment.text.utf8.count,
            line: line + comment.text.utf8.count { $0 == UInt8(ascii: "\n") })
        lastLine = place.line
    }

    /// Applies the changes of indentation before the first other space, which is dropped.
    private mutating func releaseIndentation() {
        guard let index = space.firstIndex(where: { $0 != .indent && $0 != .unindent }) else { return }
        space[index] = .none
        release(index)
    }

    /// Puts out what stands between the last comment and the token after it.
    private mutating func separate(_ comment: Comment, from next: Place) {
        let lastByte = max(comment.range.start, comment.range.start + comment.text.utf8.count - 1)
        if comment.isBlock && next.line == source.line(at: lastByte) { putBlank() }
        var newlines = next.line - (lastLine ?? next.line)
        // Nothing may follow a line comment on its line.
        if usesExactPlaces && !comment.isBlock { newlines = max(1, newlines) }
        let endsColumns = space.contains(.section)
        for index in space.indices where space[index] != .indent && space[index] != .unindent {
            space[index] = .none
        }
        release(space.count)
        putNewlines(newlines, endingColumns: endsColumns)
    }

    // MARK: Space

    /// Puts out the first `count` items of the space held back.
    private mutating func release(_ count: Int) {
        for item in space.prefix(count) {
            switch item {
            case .none: break
            case .blank: putBlank()
            case .column:
                indentIfAtLineStart()
                layout.endCell(isHard: false)
                place.offset += 1
            case .newline: putNewlines(1, endingColumns: false)
            case .section: putNewlines(1, endingColumns: true)
            case .indent: indentation += 1
            case .unindent: indentation = max(0, indentation - 1)
            }
        }
        space.removeFirst(count)
    }

    private mutating func putBlank() {
        indentIfAtLineStart()
        layout.append(UInt8(ascii: " "))
        place.offset += 1
    }

    private mutating func putTab() {
        indentIfAtLineStart()
        layout.endCell(isHard: true)
        place.offset += 1
    }

    private mutating func putNewlines(_ count: Int, endingColumns: Bool) {
        guard count > 0 else { return }
        indentIfAtLineStart()
        let count = min(count, Self.maximumNewlines)
        for _ in 0..<count { layout.endLine(endingColumns: endingColumns) }
        place.offset += count
        place.line += count
        isAtLineStart = true
    }

    private mutating func indentIfAtLineStart() {
        guard isAtLineStart else { return }
        isAtLineStart = false
        for _ in 0..<indentation { layout.endCell(isHard: true) }
        place.offset += indentation
    }
}
