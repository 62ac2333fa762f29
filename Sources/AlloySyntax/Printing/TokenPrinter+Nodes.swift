extension TokenPrinter {
    // MARK: Statements

    mutating func print(_ body: Body) {
        var previous: Statement?
        for statement in body.statements {
            if let previous {
                if case .block = statement {
                    write(.section)
                } else if line(statement.range.start) - lastLine(of: previous.range) > 1 {
                    write(.section)
                }
            }
            print(statement)
            write(spansLines(statement.range) ? .section : .newline)
            previous = statement
        }
    }

    private mutating func print(_ statement: Statement) {
        switch statement {
        case .attribute(let attribute):
            move(to: attribute.name.range.start)
            write(attribute.name.name)
            write(.column)
            write("=")
            write(.blank)
            print(attribute.value)
        case .block(let block):
            print(block)
        }
    }

    private mutating func print(_ block: BlockStatement) {
        // The places of the parts are not known: comments between them go in front.
        move(to: usesExactPlaces ? block.nameRange.end - 1 : block.nameRange.start)
        write(block.name)
        if let label = block.label {
            write(.blank)
            move(to: block.labelRange.start)
            write("\"" + label + "\"")
        }
        write(.blank)
        move(to: block.bodyRange.start)
        write("{")
        write(.indent)
        if block.body.isEmpty {
            write(.blank)
        } else {
            write(.section)
            print(block.body)
        }
        write(.unindent)
        move(to: block.bodyRange.end - 1)
        write("}")
    }

    // MARK: Expressions

    mutating func print(_ expression: Expression) {
        switch expression.kind {
        case .literal(let literal):
            move(to: expression.range.start)
            write(literal)
        case .identifier(let name):
            move(to: expression.range.start)
            write(name)
        case .array(let elements):
            printArray(elements, range: expression.range)
        case .object(let fields):
            printObject(fields, range: expression.range)
        case .access(let base, let name):
            print(base)
            move(toExact: expression.anchor)
            writeDot()
            move(toExact: name.range.start)
            write(name.name)
        case .index(let base, let index):
            print(base)
            move(to: expression.anchor)
            write("[")
            print(index)
            move(to: expression.range.end - 1)
            write("]")
        case .call(let function, let arguments):
            printCall(function, arguments, of: expression)
        case .unary(let unaryOperator, let operand):
            move(to: expression.anchor)
            write(unaryOperator.rawValue)
            print(operand)
        case .binary(let binaryOperator, let left, let right):
            print(left)
            write(.blank)
            move(to: expression.anchor)
            write(binaryOperator.rawValue)
            write(.blank)
            print(right)
        case .parenthesized(let inner):
            move(toExact: expression.anchor)
            write("(")
            print(inner)
            move(toExact: expression.range.end - 1)
            write(")")
        }
    }

    private mutating func printArray(_ elements: [Expression], range: SourceRange) {
        move(to: range.start)
        write("[")
        var lastLine = line(range.start)
        for (index, element) in elements.enumerated() {
            let isOnNewLine = line(element.range.start) != lastLine
            if isOnNewLine {
                // Indented first, so that comments before the newline are indented too.
                write(.indent)
                write(.section)
            } else if index > 0 {
                write(.blank)
            }
            lastLine = self.lastLine(of: element.range)
            print(element)
            if index + 1 < elements.count { write(",") }
            if isOnNewLine { write(.unindent) }
        }
        if !elements.isEmpty && lastLine != line(range.end - 1) {
            write(",")
            write(.indent)
            write(.section)
            write(.unindent)
        }
        move(to: range.end - 1)
        write("]")
    }

    private mutating func printObject(_ fields: [ObjectField], range: SourceRange) {
        move(to: range.start)
        write("{")
        write(.indent)
        var lastLine = line(range.start)
        for (index, field) in fields.enumerated() {
            if line(field.name.range.start) != lastLine {
                // Values of one line keep their equal signs in a column.
                let continuesColumn = index > 0 && !spansLines(fields[index - 1].value.range)
                write(continuesColumn ? .newline : .section)
            } else if index > 0 {
                write(.blank)
            }
            lastLine = self.lastLine(of: field.name.range)
            move(to: field.name.range.start)
            printKey(field)
            write(.column)
            write("=")
            write(.blank)
            print(field.value)
            if index + 1 < fields.count { write(",") }
        }
        if !fields.isEmpty && lastLine != line(range.end - 1) {
            write(",")
            write(.section)
        }
        write(.unindent)
        move(to: range.end - 1)
        write("}")
    }

    /// Writes a key. Alloy doubles the escapes of quoted keys and so changes them; here such keys stay as they are.
    private mutating func printKey(_ field: ObjectField) {
        let plain = "\"" + field.name.name + "\""
        if !field.isQuoted {
            writeVerbatim(field.name.name)
        } else if StringLiteral.quoted(field.name.name) == plain {
            writeVerbatim(plain)
        } else {
            writeVerbatim(source.text(in: field.name.range))
        }
    }

    /// Writes a call. Alloy puts a comma, which it then cannot read, into an argument list that is empty but for a
    /// newline; here it stays empty.
    private mutating func printCall(_ function: Expression, _ arguments: [Expression], of call: Expression) {
        print(function)
        move(toExact: call.anchor)
        write("(")
        var lastLine = line(call.anchor)
        for (index, argument) in arguments.enumerated() {
            let isOnNewLine = line(argument.range.start) != lastLine
            if isOnNewLine {
                write(.section)
                write(.indent)
            }
            print(argument)
            lastLine = self.lastLine(of: argument.range)
            if index + 1 < arguments.count {
                write(",")
                write(.blank)
            }
            if isOnNewLine { write(.unindent) }
        }
        if !arguments.isEmpty && lastLine != line(call.range.end - 1) {
            write(",")
            write(.section)
        }
        move(toExact: call.range.end - 1)
        write(")")
    }

    // MARK: Lines

    private func line(_ offset: Int) -> Int { source.line(at: offset) }

    private func lastLine(of range: SourceRange) -> Int { line(max(range.start, range.end - 1)) }

    private func spansLines(_ range: SourceRange) -> Bool { line(range.start) != lastLine(of: range) }
}
