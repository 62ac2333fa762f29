/// The spelling of an expression in messages: laid out as the formatter does.
enum ExpressionText {
    static func text(of expression: Expression) -> String {
        guard let file = expression.range.file else { return "the expression" }
        let source = file.text(in: expression.range)
        let formatted = try? Formatter.formatExpression(SourceFile(name: "", text: source))
        return formatted.map { String(decoding: $0, as: UTF8.self) } ?? source
    }
}
