/// Lays configurations out the way `alloy fmt` does.
///
/// The output is that of Alloy's formatter but for three inputs whose meaning it changes or destroys: tabs and
/// trailing blanks inside strings, escapes in quoted object keys, and calls whose empty argument list spans lines. They
/// come out with their meaning here.
public enum Formatter {
    /// The text laid out, ending in one newline. Throws what the parser found wrong.
    public static func format(_ source: SourceFile) throws(Diagnostics) -> [UInt8] {
        format(try Parser.parse(source))
    }

    /// The text laid out, ending in one newline. Throws what the parser found wrong.
    public static func format(_ text: String, fileName: String = "") throws(Diagnostics) -> String {
        String(decoding: try format(SourceFile(name: fileName, text: text)), as: UTF8.self)
    }

    /// A parsed file laid out, ending in one newline. The tree must be as the parser returned it.
    public static func format(_ tree: SyntaxTree) -> [UInt8] {
        var printer = TokenPrinter(source: tree.source, comments: tree.comments, indentation: 0)
        printer.print(tree.body)
        return printer.finish() + [UInt8(ascii: "\n")]
    }

    /// A single expression laid out, without a newline at its end; lines after the first are indented by
    /// `indentation` more tabs. Throws what the parser found wrong.
    public static func formatExpression(
        _ source: SourceFile, indentation: Int = 0
    ) throws(Diagnostics) -> [UInt8] {
        let expression = try Parser.parseExpression(source)
        var printer = TokenPrinter(source: source, comments: [], indentation: indentation)
        printer.print(expression)
        return Array(printer.finish().drop { $0 == UInt8(ascii: "\t") })
    }
}
