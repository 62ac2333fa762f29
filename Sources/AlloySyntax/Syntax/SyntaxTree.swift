/// A parsed file: its statements and, beside them, its comments.
public struct SyntaxTree: Sendable {
    /// The file that was parsed.
    public var source: SourceFile

    /// The statements of the file.
    public var body: Body

    /// All comments, in source order.
    public var comments: [CommentGroup]

    /// Makes a tree.
    public init(source: SourceFile, body: Body, comments: [CommentGroup]) {
        self.source = source
        self.body = body
        self.comments = comments
    }
}

/// Comments that follow each other without an empty line or code between them; never empty.
public struct CommentGroup: Sendable, Equatable {
    /// The comments, in source order.
    public var comments: [Comment]

    /// Makes a group.
    public init(_ comments: [Comment]) {
        self.comments = comments
    }
}

/// One `//` or `/* */` comment.
public struct Comment: Sendable, Equatable {
    /// The text with its markers, without carriage returns; a line comment's text has no newline.
    public var text: String

    /// The bytes of the comment.
    public var range: SourceRange

    /// Whether the comment is a `/* */` one.
    public var isBlock: Bool { text.utf8.dropFirst().first == UInt8(ascii: "*") }

    /// Makes a comment from its text, markers included.
    public init(text: String, range: SourceRange) {
        self.text = text
        self.range = range
    }
}
