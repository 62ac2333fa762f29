/// A pattern that does not compile, in the words of Go's `regexp` package.
package struct RegularExpressionError: Error, Equatable, Sendable, CustomStringConvertible {
    /// What is wrong, as Go's `syntax.ErrorCode`.
    package let reason: String
    /// The piece of the pattern it is about.
    package let piece: String

    package var description: String { "error parsing regexp: \(reason): `\(piece)`" }

    /// Go's sentence for RE2's error code; both libraries share one list of codes.
    init(code: Int, piece: String) {
        let reasons: [String] = [
            "regexp/syntax: internal error", "regexp/syntax: internal error", "invalid escape sequence",
            "invalid character class", "invalid character class range", "missing closing ]", "missing closing )",
            "unexpected )", "trailing backslash at end of expression", "missing argument to repetition operator",
            "invalid repeat count", "invalid nested repetition operator", "invalid or unsupported Perl syntax",
            "invalid UTF-8", "invalid named capture", "expression too large",
        ]
        reason = reasons.indices.contains(code) ? reasons[code] : "regexp/syntax: internal error"
        self.piece = piece
    }

    init(reason: String, piece: String) {
        self.reason = reason
        self.piece = piece
    }
}
