/// A chain of names in an expression, such as `loki.write.default.receiver`: what may refer to a component, a variable
/// or the standard library.
///
/// The chain ends at an index or a call: `a.b[0].c` refers to `a.b`.
public struct Reference: Sendable, Equatable {
    /// The names, in order; never empty.
    public let parts: [Identifier]

    /// The names joined with dots.
    public var path: String { parts.map(\.name).joined(separator: ".") }

    /// From the first name to the last.
    public var range: SourceRange { parts.reduce(.unknown) { $0.union($1.range) } }

    /// Makes a reference.
    public init(parts: [Identifier]) {
        self.parts = parts
    }
}

/// Finds the references a configuration makes.
public enum References {
    /// The references of an expression, in source order.
    public static func collect(in expression: Expression) -> [Reference] {
        var collector = Collector()
        collector.finish(collector.visit(expression))
        return collector.references
    }

    /// The references of all attributes of a body and of the blocks inside it, in source order.
    public static func collect(in body: Body) -> [Reference] {
        var references: [Reference] = []
        for statement in body.statements {
            switch statement {
            case .attribute(let attribute): references += collect(in: attribute.value)
            case .block(let block): references += collect(in: block.body)
            }
        }
        return references
    }

    private struct Collector {
        var references: [Reference] = []

        mutating func finish(_ parts: [Identifier]?) {
            if let parts { references.append(Reference(parts: parts)) }
        }

        /// Collects inside an expression; returns the chain a following `.name` would continue.
        mutating func visit(_ expression: Expression) -> [Identifier]? {
            switch expression.kind {
            case .literal: return nil
            case .identifier(let name): return [Identifier(name, range: expression.range)]
            case .access(let base, let name): return visit(base).map { $0 + [name] }
            case .parenthesized(let inner): return visit(inner)
            case .array(let elements):
                for element in elements { finish(visit(element)) }
            case .object(let fields):
                for field in fields { finish(visit(field.value)) }
            case .index(let base, let index):
                finish(visit(base))
                finish(visit(index))
            case .call(let function, let arguments):
                finish(visit(function))
                for argument in arguments { finish(visit(argument)) }
            case .unary(_, let operand):
                finish(visit(operand))
            case .binary(_, let left, let right):
                // A long chain of operators leans left; its length must not become stack depth.
                var operands = [right]
                var first = left
                while case .binary(_, let inner, let operand) = first.kind {
                    operands.append(operand)
                    first = inner
                }
                finish(visit(first))
                for operand in operands.reversed() { finish(visit(operand)) }
            }
            return nil
        }
    }
}
