/// Writes configuration text from statements and expressions built in memory.
///
/// What is written is laid out by `Formatter` in the end, so only the order of things matters here. Names that cannot
/// be written are collected and thrown by `formatted`.
public struct SourceWriter: Sendable {
    /// The text so far, not laid out.
    public private(set) var bytes: [UInt8] = []
    private var diagnostics = Diagnostics()

    /// Makes an empty writer.
    public init() {}

    // MARK: Statements

    /// Writes all statements of a body.
    public mutating func write(_ body: Body) {
        for statement in body.statements { write(statement) }
    }

    /// Writes a statement.
    public mutating func write(_ statement: Statement) {
        switch statement {
        case .attribute(let attribute): writeAttribute(attribute.name.name, attribute.value)
        case .block(let block):
            beginBlock(block.nameParts, label: block.label)
            write(block.body)
            endBlock()
        }
    }

    /// Writes `name = value`.
    public mutating func writeAttribute(_ name: String, _ value: Expression) {
        writeName(name, as: "attribute name")
        append(" = ")
        write(value)
        append("\n")
    }

    /// Writes `name = ` and the text of an expression as it is.
    public mutating func writeAttribute(_ name: String, expressionText: String) {
        writeName(name, as: "attribute name")
        append(" = ")
        append(expressionText)
        append("\n")
    }

    /// Opens a block; an empty label is no label.
    public mutating func beginBlock(_ nameParts: [String], label: String? = nil) {
        for (index, part) in nameParts.enumerated() {
            if index > 0 { append(".") }
            writeName(part, as: "block name")
        }
        if let label, !label.isEmpty {
            append(" \"")
            writeName(label, as: "block label")
            append("\"")
        }
        append(" {\n")
    }

    /// Closes the block opened last.
    public mutating func endBlock() {
        append("}\n")
    }

    /// Writes a comment on lines of its own, one `//` line for each line of the text.
    public mutating func writeComment(_ text: String) {
        let kept = text.utf8.filter { $0 != UInt8(ascii: "\r") && $0 != 0 }
        for line in kept.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
            append(line.isEmpty ? "//" : "// ")
            bytes.append(contentsOf: line)
            append("\n")
        }
    }

    /// Leaves a line empty.
    public mutating func writeBlankLine() {
        append("\n")
    }

    // MARK: Expressions

    /// Writes an expression; parentheses that its structure needs are added.
    public mutating func write(_ expression: Expression) {
        switch expression.kind {
        case .literal(let literal): append(literal.text)
        case .identifier(let name): writeName(name, as: "identifier")
        case .array(let elements): writeList(elements, "[", "]")
        case .object(let fields): writeObject(fields)
        case .access(let base, let name):
            writeOperand(base)
            append(" .")
            writeName(name.name, as: "field name")
        case .index(let base, let index):
            writeOperand(base)
            append("[")
            write(index)
            append("]")
        case .call(let function, let arguments):
            writeOperand(function)
            writeList(arguments, "(", ")")
        case .unary(let unaryOperator, let operand):
            append(unaryOperator.rawValue)
            if case .binary = operand.kind { writeParenthesized(operand) } else { write(operand) }
        case .binary(let binaryOperator, let left, let right):
            write(left, beside: binaryOperator, groupsItself: binaryOperator != .power)
            append(" \(binaryOperator.rawValue) ")
            write(right, beside: binaryOperator, groupsItself: binaryOperator == .power)
        case .parenthesized(let inner): writeParenthesized(inner)
        }
    }

    private mutating func write(
        _ operand: Expression, beside binaryOperator: BinaryOperator, groupsItself: Bool
    ) {
        guard case .binary(let inner, _, _) = operand.kind else { return write(operand) }
        let isGrouped =
            inner.precedence > binaryOperator.precedence
            || (inner.precedence == binaryOperator.precedence && groupsItself)
        if isGrouped { write(operand) } else { writeParenthesized(operand) }
    }

    /// Writes what `.`, `[` or `(` follows.
    private mutating func writeOperand(_ expression: Expression) {
        switch expression.kind {
        case .unary, .binary: writeParenthesized(expression)
        default: write(expression)
        }
    }

    private mutating func writeParenthesized(_ expression: Expression) {
        append("(")
        write(expression)
        append(")")
    }

    private mutating func writeList(_ elements: [Expression], _ opening: String, _ closing: String) {
        append(opening)
        for (index, element) in elements.enumerated() {
            if index > 0 { append(", ") }
            write(element)
        }
        append(closing)
    }

    private mutating func writeObject(_ fields: [ObjectField]) {
        append(fields.isEmpty ? "{" : "{\n")
        for field in fields {
            writeKey(field.name.name)
            append(" = ")
            write(field.value)
            append(",\n")
        }
        append("}")
    }

    /// Writes a key so that it reads back as the same one: Alloy does not resolve escapes in keys.
    private mutating func writeKey(_ key: String) {
        if IdentifierName.isValid(key) || key == "\"\"" || key == "``" {
            append(key)
        } else if !key.isEmpty && StringLiteral.quoted(key) == "\"\(key)\"" {
            append("\"\(key)\"")
        } else if !key.isEmpty && !key.utf8.contains(UInt8(ascii: "`")) {
            append("`\(key)`")
        } else {
            refuse(key, as: "object key")
        }
    }

    // MARK: Results

    /// The text laid out. Throws when a name or a text given cannot stand in a configuration.
    public func formatted() throws(Diagnostics) -> [UInt8] {
        guard diagnostics.isEmpty else { throw diagnostics }
        return try Formatter.format(SourceFile(name: "", bytes: bytes))
    }

    /// The text of a body laid out.
    public static func text(of body: Body) throws(Diagnostics) -> String {
        var writer = SourceWriter()
        writer.write(body)
        return String(decoding: try writer.formatted(), as: UTF8.self)
    }

    /// The text of an expression laid out, without a newline at its end; lines after the first are indented by
    /// `indentation` more tabs.
    public static func text(of expression: Expression, indentation: Int = 0) throws(Diagnostics) -> String {
        var writer = SourceWriter()
        writer.write(expression)
        guard writer.diagnostics.isEmpty else { throw writer.diagnostics }
        let source = SourceFile(name: "", bytes: writer.bytes)
        return String(decoding: try Formatter.formatExpression(source, indentation: indentation), as: UTF8.self)
    }

    // MARK: Bytes

    private mutating func append(_ text: String) {
        bytes.append(contentsOf: text.utf8)
    }

    private mutating func writeName(_ name: String, as role: String) {
        if IdentifierName.isValid(name) {
            append(name)
        } else {
            refuse(name, as: role)
        }
    }

    private mutating func refuse(_ name: String, as role: String) {
        diagnostics.append(
            Diagnostic(.error, "\(role) \(StringLiteral.quoted(name)) cannot be written", at: .unknown))
    }
}
