/// Computes the values of expressions.
///
/// An expression has at most one error: the first one met, from left to right.
public struct Evaluator {
    /// Parts of an expression may be nested this deep; deeper ones are refused so that no input exhausts the stack.
    static let maximumDepth = 400

    private let scope: Scope
    private let concealed: Bool
    private var depth = 0

    private init(_ scope: Scope, concealed: Bool) {
        self.scope = scope
        self.concealed = concealed
    }

    /// The value of an expression.
    ///
    /// With `concealed`, what the expression says is kept out of the diagnostic: its result is to be a secret.
    public static func evaluate(
        _ expression: Expression, in scope: Scope, concealed: Bool = false
    ) throws(Diagnostic) -> Value {
        var evaluator = Evaluator(scope, concealed: concealed)
        return try evaluator.value(of: expression)
    }

    private mutating func value(of expression: Expression) throws(Diagnostic) -> Value {
        depth += 1
        defer { depth -= 1 }
        if depth > Evaluator.maximumDepth {
            throw Diagnostic(.error, "the expression is nested too deeply", at: expression.range)
        }
        switch expression.kind {
        case .literal(let literal): return try value(of: literal, expression)
        case .array(let elements):
            var values: [Value] = []
            values.reserveCapacity(elements.count)
            for element in elements { values.append(try value(of: element)) }
            return .array(values)
        case .object(let fields):
            var values: [String: Value] = [:]
            for field in fields { values[field.name.name] = try value(of: field.value) }
            return .object(values)
        case .identifier(let name):
            guard let found = scope.lookup(name) else {
                throw Diagnostic(
                    .error, "identifier \(StringLiteral.quoted(name)) does not exist", at: expression.range)
            }
            return found
        case .access(let base, let name): return try access(base, name, expression)
        case .index(let base, let index): return try element(of: base, at: index)
        case .call(let function, let arguments): return try call(function, arguments)
        case .unary(let operation, let operand):
            let value = try value(of: operand)
            do throws(ValueError) {
                return try Operators.apply(operation, value)
            } catch {
                throw diagnostic(error, operand)
            }
        case .binary(let operation, let left, let right): return try binary(operation, left, right)
        case .parenthesized(let inner): return try value(of: inner)
        }
    }

    private func diagnostic(_ error: ValueError, _ expression: Expression) -> Diagnostic {
        ValueDiagnostic.make(error, for: expression, concealed: concealed)
    }

    // MARK: Literals

    private func value(of literal: Literal, _ expression: Expression) throws(Diagnostic) -> Value {
        switch literal.kind {
        case .null: return .null
        case .bool: return .bool(literal.text == "true")
        case .string:
            guard let text = literal.stringValue else {
                throw Diagnostic(.error, "invalid string literal", at: expression.range)
            }
            return .string(text)
        case .integer, .float:
            guard let number = NumberLiteral.value(of: literal) else {
                throw Diagnostic(.error, "invalid number literal", at: expression.range)
            }
            return .number(number)
        }
    }

    // MARK: Operators

    /// A long chain of operators leans left; it is walked in a loop so that its length is not stack depth.
    private mutating func binary(
        _ operation: BinaryOperator, _ left: Expression, _ right: Expression
    ) throws(Diagnostic) -> Value {
        var chain: [(operation: BinaryOperator, left: Expression, right: Expression)] = [(operation, left, right)]
        var first = left
        while case .binary(let inner, let innerLeft, let innerRight) = first.kind {
            chain.append((inner, innerLeft, innerRight))
            first = innerLeft
        }
        var result = try value(of: first)
        for link in chain.reversed() {
            let operand = try value(of: link.right)
            do throws(Operators.Failure) {
                result = try Operators.apply(link.operation, result, operand)
            } catch {
                switch error {
                case .left(let error): throw diagnostic(error, link.left)
                case .right(let error): throw diagnostic(error, link.right)
                }
            }
        }
        return result
    }

    // MARK: Parts of values

    private mutating func access(
        _ base: Expression, _ name: Identifier, _ expression: Expression
    ) throws(Diagnostic) -> Value {
        let value = try value(of: base)
        if let fields = value.objectFields {
            guard let field = fields[name.name] else {
                let hint = Suggestion.note(for: name.name, among: fields.keys)
                throw Diagnostic(
                    .error, "field \(StringLiteral.quoted(name.name)) does not exist", at: name.range, notes: hint)
            }
            if case .identifier(let namespace) = base.kind, scope.variable(namespace) == nil,
                let refusal = scope.standardLibrary.refusal(of: namespace + "." + name.name)
            {
                throw Diagnostic(.error, refusal, at: expression.range)
            }
            return field
        }
        if value.type == .capsule {
            throw diagnostic(
                ValueError("expected object or array or a capsule convertible to an object, got capsule"), base)
        }
        throw diagnostic(
            ValueError(
                "cannot access field \(StringLiteral.quoted(name.name)) on value of type \(value.type.rawValue)"), base)
    }

    private mutating func element(of base: Expression, at index: Expression) throws(Diagnostic) -> Value {
        let value = try value(of: base)
        let key = try self.value(of: index)
        if case .array(let elements) = value {
            guard case .number(let number) = key else {
                throw diagnostic(ValueError(expected: .number, got: key), index)
            }
            guard let position = number.integer(Int.self), elements.indices.contains(position) else {
                throw diagnostic(
                    ValueError("index \(number.text) is out of range of array with length \(elements.count)"), index)
            }
            return elements[position]
        }
        if let fields = value.objectFields {
            guard case .string(let name) = key else {
                throw diagnostic(ValueError(expected: .string, got: key), index)
            }
            return fields[name] ?? .null
        }
        let wanted =
            value.type == .capsule ? "object or array or a capsule convertible to an object" : "object or array"
        throw diagnostic(ValueError("expected \(wanted), got \(value.type.rawValue)"), base)
    }

    // MARK: Calls

    private mutating func call(_ callee: Expression, _ arguments: [Expression]) throws(Diagnostic) -> Value {
        let target = try value(of: callee)
        guard case .function(let function) = target else {
            throw diagnostic(ValueError(expected: .function, got: target), callee)
        }
        var values: [Value] = []
        values.reserveCapacity(arguments.count)
        for argument in arguments { values.append(try value(of: argument)) }
        do throws(Function.Failure) {
            return try function(values)
        } catch {
            switch error {
            case .argument(let index, let error):
                throw diagnostic(error, arguments.indices.contains(index) ? arguments[index] : callee)
            case .call(let message): throw diagnostic(ValueError(message), callee)
            }
        }
    }
}

/// The numbers that literals spell.
enum NumberLiteral {
    /// The value of a number literal: signed if it fits, else unsigned, else floating.
    ///
    /// Digits after a leading zero are octal when they can be, as in Alloy.
    static func value(of literal: Literal) -> Number? {
        if literal.kind == .float { return floating(literal.text) }
        let digits = literal.text
        let isOctal = digits.utf8.count > 1 && digits.utf8.first == UInt8(ascii: "0")
        let radix = isOctal ? 8 : 10
        if let value = Int64(digits, radix: radix) { return .int(value) }
        if let value = UInt64(digits, radix: radix) { return .uint(value) }
        return floating(digits)
    }

    private static func floating(_ text: String) -> Number? {
        guard let value = Double(text), value.isFinite else { return nil }
        return .float(value)
    }
}
