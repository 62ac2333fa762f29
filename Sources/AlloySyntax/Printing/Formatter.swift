/// Lays configurations out the way `alloy fmt` does.
///
/// The output is that of Alloy's formatter wherever that one keeps the meaning and is settled: where formatting its
/// output again would change it, that is done until it does not. Where Alloy's formatter would change the meaning
/// (tabs and trailing blanks in strings, escapes in quoted object keys, an empty argument list that spans lines, comments
/// inside dotted names), the meaning is kept here.
public enum Formatter {
    /// How often the output is laid out again until it is settled; two passes do for all but contrived input, where a
    /// comment inside a dotted name moves on by one name in each.
    private static let maximumPasses = 32

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
        var tree = tree
        for _ in 0..<maximumPasses {
            guard let next = pass(tree) else { return tree.source.bytes }
            if next.source.bytes == tree.source.bytes { break }
            tree = next
        }
        return tree.source.bytes
    }

    /// Lays a file out once and reads it back; `nil` when nothing that says the same came out.
    private static func pass(_ tree: SyntaxTree) -> SyntaxTree? {
        for usesExactPlaces in [false, true] {
            var printer = TokenPrinter(
                source: tree.source, comments: tree.comments, indentation: 0, usesExactPlaces: usesExactPlaces)
            printer.print(tree.body)
            let source = SourceFile(name: tree.source.name, bytes: printer.finish() + [UInt8(ascii: "\n")])
            if let result = try? Parser.parse(source), saysTheSame(result, tree) { return result }
        }
        return nil
    }

    private static func saysTheSame(_ left: SyntaxTree, _ right: SyntaxTree) -> Bool {
        guard left.body == right.body else { return false }
        return left.comments.lazy.flatMap(\.comments).map(\.text)
            .elementsEqual(right.comments.lazy.flatMap(\.comments).map(\.text))
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
