/// Reads configurations.
///
/// Agrees with Alloy's `syntax/parser` in what it accepts, in its messages and in where it goes on after an error.
/// Nesting is bounded, and so are the number of diagnostics and the height of the tree.
public enum Parser {
    /// How deep brackets, blocks and unary operators may nest.
    public static let maximumNesting = 128

    /// How high an expression's tree may become; a chain such as `a + b + c` adds one level for each operator.
    public static let maximumHeight = 1_000

    /// The tree of a file. Throws all errors found, of which the first hundred are kept.
    public static func parse(_ source: SourceFile) throws(Diagnostics) -> SyntaxTree {
        var parser = BodyParser(source: source)
        let tree = parser.parseFile()
        guard parser.diagnostics.isEmpty else { throw Diagnostics(parser.diagnostics) }
        return tree
    }

    /// The tree of a text under a name.
    public static func parse(_ text: String, fileName: String = "") throws(Diagnostics) -> SyntaxTree {
        try parse(SourceFile(name: fileName, text: text))
    }

    /// A single expression, which must be all there is in the file.
    public static func parseExpression(_ source: SourceFile) throws(Diagnostics) -> Expression {
        var parser = BodyParser(source: source)
        let expression = parser.parseLoneExpression()
        guard parser.diagnostics.isEmpty else { throw Diagnostics(parser.diagnostics) }
        return expression
    }

    /// A single expression in a text.
    public static func parseExpression(_ text: String, fileName: String = "") throws(Diagnostics) -> Expression {
        try parseExpression(SourceFile(name: fileName, text: text))
    }
}
