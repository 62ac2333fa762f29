import TextFormats

/// The condition of a filter `[?(...)]`.
struct JSONPathFilter: Sendable {
    /// An operand or operation.
    indirect enum Term: Sendable {
        case constant(Value)
        case nothing
        case list([Value])
        case pattern(RegularExpression)
        /// A path, with its number among the paths of the filter.
        case path(JSONPathReference, Int)
        case group(Term)
        case not(Term)
        case binary(Operator, Term, Term)
        case length(Term)
        case count(JSONPathReference)
        case match(Term, Term, isWhole: Bool)
    }

    /// The operators between two operands; lower precedences bind tighter.
    enum Operator: String, Sendable, CaseIterable {
        case exists, empty, has
        case within = "in"
        case equal = "=="
        case notEqual = "!="
        case lessOrEqual = "<="
        case greaterOrEqual = ">="
        case matches = "=~"
        case matchesToo = "~="
        case or = "||"
        case and = "&&"
        case less = "<"
        case greater = ">"
        case add = "+"
        case subtract = "-"
        case multiply = "*"
        case divide = "/"

        var precedence: Int {
            switch self {
            case .multiply, .divide: 1
            case .add, .subtract: 2
            case .or, .and: 4
            default: 3
            }
        }
    }

    /// Combinations of the values of paths one element is tried with.
    private static let maximumCombinations = 10_000

    let term: Term
    let paths: [JSONPathReference]

    /// Whether an element fulfils the condition with any combination of the values its paths select.
    func matches(_ element: Value, _ visit: inout JSONPath.Visit) throws(FormatError) -> Bool {
        var candidates: [[Value]] = []
        var combinations = 1
        for path in paths {
            let values = try path.values(element, &visit)
            candidates.append(values)
            combinations = combinations.multipliedReportingOverflow(by: max(1, values.count)).partialValue
            guard combinations <= JSONPathFilter.maximumCombinations else {
                throw FormatError(message: "the filter compares too many values")
            }
        }
        for combination in 0..<combinations {
            try visit.spend()
            var rest = combination
            var chosen: [Operand] = []
            for values in candidates {
                if values.isEmpty {
                    chosen.append(.nothing)
                } else {
                    chosen.append(.value(values[rest % values.count], isSelected: true))
                    rest /= values.count
                }
            }
            if try evaluate(term, chosen, element, &visit).isMatch { return true }
        }
        return false
    }

    // MARK: Evaluation

    private enum Operand {
        case nothing
        case value(Value, isSelected: Bool)
        case list([Value])
        case pattern(RegularExpression)

        static func bool(_ value: Bool) -> Operand { .value(.bool(value), isSelected: false) }

        /// A path that selects something is a match, whatever it selects; everything else must be true.
        var isMatch: Bool {
            guard case .value(let value, let isSelected) = self else { return false }
            if isSelected { return true }
            if case .bool(let bool) = value { return bool }
            return false
        }

        var value: Value? {
            if case .value(let value, _) = self { value } else { nil }
        }

        var text: String? {
            if case .string(let text) = value { text } else { nil }
        }

        var exists: Bool {
            if case .nothing = self { false } else { true }
        }
    }

    private func evaluate(
        _ term: Term, _ chosen: [Operand], _ element: Value, _ visit: inout JSONPath.Visit
    ) throws(FormatError) -> Operand {
        switch term {
        case .constant(let value): return .value(value, isSelected: false)
        case .nothing: return .nothing
        case .list(let values): return .list(values)
        case .pattern(let pattern): return .pattern(pattern)
        case .path(_, let index): return chosen[index]
        case .group(let inner):
            let result = try evaluate(inner, chosen, element, &visit)
            if case .value(let value, _) = result { return .value(value, isSelected: false) }
            return result
        case .not(let inner): return .bool(!(try evaluate(inner, chosen, element, &visit).isMatch))
        case .binary(let operation, let left, let right):
            let first = try evaluate(left, chosen, element, &visit)
            let second = try evaluate(right, chosen, element, &visit)
            return JSONPathFilter.apply(operation, first, second)
        case .length(let inner):
            switch try evaluate(inner, chosen, element, &visit).value {
            case .string(let text): return .value(.int(text.utf8.count), isSelected: false)
            case .array(let elements): return .value(.int(elements.count), isSelected: false)
            case .object(let object): return .value(.int(object.count), isSelected: false)
            default: return .nothing
            }
        case .count(let path):
            return .value(.int(try path.values(element, &visit).count), isSelected: false)
        case .match(let subject, let pattern, let isWhole):
            guard let text = try evaluate(subject, chosen, element, &visit).text,
                let source = try evaluate(pattern, chosen, element, &visit).text, !source.isEmpty
            else { return .nothing }
            var anchored = source
            if isWhole {
                if anchored.utf8.first != UInt8(ascii: "^") { anchored = "^" + anchored }
                if anchored.utf8.last != UInt8(ascii: "$") { anchored += "$" }
            }
            guard let compiled = try? RegularExpression(anchored) else { return .nothing }
            return .bool(compiled.matches(text))
        }
    }

    private static func apply(_ operation: Operator, _ left: Operand, _ right: Operand) -> Operand {
        switch operation {
        case .and: .bool(left.isMatch && right.isMatch)
        case .or: .bool(left.isMatch || right.isMatch)
        case .equal: .bool(areEqual(left, right))
        case .notEqual: .bool(!areEqual(left, right))
        case .less, .greater, .lessOrEqual, .greaterOrEqual: .bool(compare(operation, left, right))
        case .add, .subtract, .multiply, .divide: calculate(operation, left, right)
        case .within:
            if case .list(let values) = right, let value = left.value {
                .bool(values.contains(value))
            } else {
                .bool(false)
            }
        case .empty:
            if case .bool(let wanted) = right.value, let isEmpty = isEmpty(left) {
                .bool(wanted == isEmpty)
            } else {
                .bool(false)
            }
        case .has, .exists:
            if case .bool(let wanted) = right.value { .bool(wanted == left.exists) } else { .bool(false) }
        case .matches, .matchesToo: .bool(isMatch(left, right))
        }
    }

    private static func areEqual(_ left: Operand, _ right: Operand) -> Bool {
        switch (left, right) {
        case (.nothing, .nothing): true
        case (.value(let a, _), .value(let b, _)): a == b
        default: false
        }
    }

    private static func isEmpty(_ operand: Operand) -> Bool? {
        switch operand.value {
        case .string(let text): text.isEmpty
        case .array(let elements): elements.isEmpty
        case .object(let object): object.isEmpty
        default: nil
        }
    }

    private static func isMatch(_ left: Operand, _ right: Operand) -> Bool {
        guard let text = left.text else { return false }
        if case .pattern(let pattern) = right { return pattern.matches(text) }
        guard let source = right.text, let pattern = try? RegularExpression(source) else { return false }
        return pattern.matches(text)
    }

    private static func compare(_ operation: Operator, _ left: Operand, _ right: Operand) -> Bool {
        switch (left.value, right.value) {
        case (.number, .number), (.string, .string): break
        default: return false
        }
        let spelling: BinaryOperator? =
            switch operation {
            case .less: .less
            case .greater: .greater
            case .lessOrEqual: .lessOrEqual
            case .greaterOrEqual: .greaterOrEqual
            default: nil
            }
        guard let spelling, let a = left.value, let b = right.value,
            case .bool(let result) = try? Operators.apply(spelling, a, b)
        else { return false }
        return result
    }

    /// Arithmetic; what has no result, such as a division by zero, is nothing.
    private static func calculate(_ operation: Operator, _ left: Operand, _ right: Operand) -> Operand {
        guard let a = left.value, let b = right.value else { return .nothing }
        let spelling: BinaryOperator
        switch (operation, a, b) {
        case (.add, .number, .number), (.add, .string, .string): spelling = .add
        case (.subtract, .number, .number): spelling = .subtract
        case (.multiply, .number, .number): spelling = .multiply
        case (.divide, .number, .number): spelling = .divide
        default: return .nothing
        }
        guard let result = try? Operators.apply(spelling, a, b) else { return .nothing }
        return .value(result, isSelected: false)
    }
}

/// A path inside a filter, which starts at the element or at the whole document.
struct JSONPathReference: Sendable {
    let path: JSONPath

    /// The values the path selects for an element.
    func values(_ element: Value, _ visit: inout JSONPath.Visit) throws(FormatError) -> [Value] {
        var start = element
        if case .root = path.steps.first { start = visit.root }
        return try path.values(from: start, &visit)
    }
}
