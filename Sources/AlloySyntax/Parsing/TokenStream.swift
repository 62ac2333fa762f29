/// The tokens of a file without its comments, one token ahead; comments are set aside in groups.
struct TokenStream {
    private var scanner: Scanner
    let source: SourceFile
    private(set) var current: Token
    private(set) var comments: [CommentGroup] = []
    /// The line of the last parse error: only the first error of a line is reported.
    private var lastErrorLine = 0
    private var isAborted = false

    init(source: SourceFile) {
        self.source = source
        scanner = Scanner(source: source)
        current = Token(kind: .endOfFile, start: 0, end: 0)
        advance()
    }

    var kind: TokenKind { current.kind }
    var diagnostics: [Diagnostic] { scanner.diagnostics.items }

    /// The text of the current token.
    var text: String { String(decoding: source.bytes[current.start..<current.end], as: UTF8.self) }

    /// The range of the current token.
    var range: SourceRange { SourceRange(file: source, start: current.start, end: current.end) }

    mutating func advance() {
        guard !isAborted else { return }
        current = scanner.next()
        while current.kind == .comment { setCommentsAside() }
    }

    /// Goes on to the next token of the kind, or to the end of the file.
    mutating func skip(to kind: TokenKind) {
        while current.kind != .endOfFile && current.kind != kind { advance() }
    }

    /// Takes the current token, reporting it when it is not of the kind.
    @discardableResult
    mutating func expect(_ kind: TokenKind) -> Token {
        let token = current
        if token.kind != kind { report("expected \(kind.rawValue), got \(token.kind.rawValue)") }
        advance()
        return token
    }

    /// Reports an error at the current token unless its line has one already.
    mutating func report(_ message: String) {
        let line = source.line(at: current.start)
        guard line != lastErrorLine, !isAborted else { return }
        lastErrorLine = line
        scanner.diagnostics.add(message, at: current.start)
    }

    /// Reports an error over a range whatever else its line has.
    mutating func report(_ message: String, from start: Int, to end: Int) {
        guard !isAborted else { return }
        scanner.diagnostics.add(message, at: start, to: end)
    }

    /// Reports an error and gives up on the rest of the file.
    mutating func abort(_ message: String) {
        guard !isAborted else { return }
        scanner.diagnostics.add(message, at: current.start)
        isAborted = true
        current = Token(kind: .endOfFile, start: source.bytes.count, end: source.bytes.count)
    }

    private mutating func setCommentsAside() {
        var group: [Comment] = []
        var endLine = source.line(at: current.start)
        while current.kind == .comment, source.line(at: current.start) <= endLine + 1 {
            endLine = source.line(at: max(current.start, current.end - 1))
            group.append(Comment(text: commentText(current), range: range))
            current = scanner.next()
        }
        comments.append(CommentGroup(group))
    }

    private func commentText(_ token: Token) -> String {
        let bytes = source.bytes[token.start..<token.end]
        guard bytes.contains(UInt8(ascii: "\r")) else { return String(decoding: bytes, as: UTF8.self) }
        // Inside "*\r/" the carriage return keeps the comment from ending.
        var kept: [UInt8] = []
        for index in bytes.indices {
            let byte = bytes[index]
            let keepsOpen =
                kept.count > 2 && kept.last == UInt8(ascii: "*") && index + 1 < bytes.endIndex
                && bytes[index + 1] == UInt8(ascii: "/") && kept[1] == UInt8(ascii: "*")
            if byte != UInt8(ascii: "\r") || keepsOpen { kept.append(byte) }
        }
        return String(decoding: kept, as: UTF8.self)
    }
}
