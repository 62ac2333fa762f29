import TextFormats
import Wire

enum ExpressionOperator: Sendable {
    case or, and
    case equal, notEqual, less, lessOrEqual, greater, greaterOrEqual
    case isIn, matches, contains, startsWith, endsWith
    case add, subtract, multiply, divide, remainder, power
}

/// A part of an expression that has a value.
indirect enum ExpressionNode: Sendable {
    case literal(ExpressionValue)
    case body, attributes, resource, timestamp
    case list([ExpressionNode])
    case member(ExpressionNode, ExpressionNode, isOptional: Bool)
    case not(ExpressionNode)
    case negative(ExpressionNode)
    case binary(ExpressionOperator, ExpressionNode, ExpressionNode)
    /// `matches` with a pattern that is known.
    case matches(ExpressionNode, RegularExpression)
    case conditional(ExpressionNode, ExpressionNode, ExpressionNode)
    case coalesce(ExpressionNode, ExpressionNode)
    case call(ExpressionFunction, [ExpressionNode])
    case map([(key: ExpressionNode, value: ExpressionNode)])
    case slice(ExpressionNode, from: ExpressionNode?, to: ExpressionNode?)
    /// `#`, and `#index`: what a predicate is asked about.
    case element, index
    case predicate(ExpressionPredicate, ExpressionNode, ExpressionNode?)
    /// `let`: the value of the next variable, and what it is for.
    case binding(ExpressionNode, ExpressionNode)
    /// A variable, by the number of those bound around it.
    case variable(Int)

    /// What the innermost predicate is asked about, and the variables bound around.
    struct Scope: Sendable {
        var element: ExpressionValue = .null
        var index = 0
        var variables: [ExpressionValue] = []
    }

    func value(_ entry: StanzaEntry, _ scope: Scope = Scope()) throws(StanzaError) -> ExpressionValue {
        switch self {
        case .literal(let value): return value
        case .body: return ExpressionValue(entry.body)
        case .attributes: return .map(entry.attributes)
        case .resource: return .map(entry.resource)
        case .timestamp: return entry.timestamp.map { .time($0) } ?? .null
        case .list(let nodes):
            var values: [ExpressionValue] = []
            for node in nodes { values.append(try node.value(entry, scope)) }
            return .list(values)
        case .member(let node, let key, let isOptional):
            // Members of roots are looked up without copying the whole.
            if case .literal(.string(let name)) = key {
                switch node {
                case .attributes: return ExpressionValue(entry.attributes[name])
                case .resource: return ExpressionValue(entry.resource[name])
                default: break
                }
            }
            return try Self.member(try node.value(entry, scope), try key.value(entry, scope), isOptional)
        case .not(let node): return .bool(try !node.flag(entry, scope))
        case .negative(let node):
            switch try node.value(entry, scope) {
            case .int(let number): return .int(0 &- number)
            case .double(let number): return .double(-number)
            case let other: throw StanzaError("\(other.kindName) has no negative")
            }
        case .matches(let node, let pattern):
            return .bool(try node.string(entry, scope, "matches").withUnsafeBytes { pattern.matches($0) })
        case .conditional(let condition, let first, let second):
            return try condition.flag(entry, scope) ? first.value(entry, scope) : second.value(entry, scope)
        case .coalesce(let first, let second):
            let value = try first.value(entry, scope)
            return value == .null ? try second.value(entry, scope) : value
        case .binary(let kind, let left, let right): return try Self.combine(kind, left, right, entry, scope)
        case .call(let function, let nodes):
            var values: [ExpressionValue] = []
            for node in nodes { values.append(try node.value(entry, scope)) }
            return try function.call(values)
        case .map(let pairs):
            var map = OTLPAnyValue.Map()
            for (key, value) in pairs {
                map[try key.string(entry, scope, "a key")] = try value.value(entry, scope).anyValue
            }
            return .map(map)
        case .slice(let node, let from, let to):
            return try Self.slice(
                try node.value(entry, scope), try from?.value(entry, scope), try to?.value(entry, scope))
        case .element: return scope.element
        case .index: return .int(Int64(scope.index))
        case .predicate(let kind, let list, let condition):
            return try kind.value(of: try list.value(entry, scope), condition, entry, scope.variables)
        case .binding(let value, let rest):
            var inner = scope
            inner.variables.append(try value.value(entry, scope))
            return try rest.value(entry, inner)
        case .variable(let index): return scope.variables[index]
        }
    }

    func flag(_ entry: StanzaEntry, _ scope: Scope) throws(StanzaError) -> Bool {
        switch try value(entry, scope) {
        case .bool(let flag): return flag
        case let other: throw StanzaError("\(other.kindName) is neither true nor false")
        }
    }

    private func string(_ entry: StanzaEntry, _ scope: Scope, _ what: String) throws(StanzaError) -> [UInt8] {
        switch try value(entry, scope) {
        case .string(let bytes): return bytes
        case let other: throw StanzaError("\(what) takes strings, not \(other.kindName)")
        }
    }

    private static func member(
        _ value: ExpressionValue, _ key: ExpressionValue, _ isOptional: Bool
    ) throws(StanzaError) -> ExpressionValue {
        switch (value, key) {
        case (.map(let map), .string(let name)): return ExpressionValue(map[name])
        case (.list(let elements), .int(let index)):
            let place = index < 0 ? Int64(elements.count) + index : index
            guard place >= 0, place < elements.count else { throw StanzaError("index \(index) is out of range") }
            return elements[Int(place)]
        case (.null, _) where isOptional: return .null
        default:
            let name = if case .string(let bytes) = key { String(decoding: bytes, as: UTF8.self) } else { "an element" }
            throw StanzaError("cannot fetch \(name) from \(value.kindName)")
        }
    }

    /// A part of a text, in bytes, or of a list; places below zero count from the end, and those behind it are it.
    private static func slice(
        _ value: ExpressionValue, _ from: ExpressionValue?, _ to: ExpressionValue?
    ) throws(StanzaError) -> ExpressionValue {
        let count: Int
        switch value {
        case .string(let bytes): count = bytes.count
        case .list(let elements): count = elements.count
        case let other: throw StanzaError("\(other.kindName) has no slices")
        }
        func place(_ bound: ExpressionValue?, _ fallback: Int) throws(StanzaError) -> Int {
            guard let bound else { return fallback }
            guard case .int(let number) = bound else { throw StanzaError("bounds of slices are whole numbers") }
            let place = Int(clamping: number)
            return min(max(place < 0 ? count &+ place : place, 0), count)
        }
        let end = try place(to, count)
        let start = min(try place(from, 0), end)
        switch value {
        case .string(let bytes): return .string(Array(bytes[start..<end]))
        case .list(let elements): return .list(Array(elements[start..<end]))
        default: return .null
        }
    }

    private static func combine(
        _ kind: ExpressionOperator, _ left: ExpressionNode, _ right: ExpressionNode, _ entry: StanzaEntry,
        _ scope: Scope
    ) throws(StanzaError) -> ExpressionValue {
        switch kind {
        case .or: return .bool(try left.flag(entry, scope) ? true : right.flag(entry, scope))
        case .and: return .bool(try left.flag(entry, scope) ? right.flag(entry, scope) : false)
        case .equal: return .bool(try left.value(entry, scope).isEqual(to: right.value(entry, scope)))
        case .notEqual: return .bool(try !left.value(entry, scope).isEqual(to: right.value(entry, scope)))
        case .less, .lessOrEqual, .greater, .greaterOrEqual:
            return .bool(try compare(kind, left.value(entry, scope), right.value(entry, scope)))
        case .isIn:
            let value = try left.value(entry, scope)
            switch try right.value(entry, scope) {
            case .list(let elements): return .bool(elements.contains { $0.isEqual(to: value) })
            case .map(let map):
                guard case .string(let name) = value else { return .bool(false) }
                return .bool(map[name] != nil)
            case .null: return .bool(false)
            case let other: throw StanzaError("nothing is in \(other.kindName)")
            }
        case .matches:
            let text = try left.string(entry, scope, "matches")
            let pattern = try right.string(entry, scope, "matches")
            do throws(RegularExpressionError) {
                let expression = try RegularExpression(String(decoding: pattern, as: UTF8.self))
                return .bool(text.withUnsafeBytes { expression.matches($0) })
            } catch {
                throw StanzaError("\(error)")
            }
        case .contains:
            let (text, part) = (try left.string(entry, scope, "contains"), try right.string(entry, scope, "contains"))
            return .bool(ExpressionFunction.index(of: part, in: text) != nil)
        case .startsWith:
            return .bool(
                try left.string(entry, scope, "startsWith").starts(with: right.string(entry, scope, "startsWith")))
        case .endsWith:
            return .bool(
                try left.string(entry, scope, "endsWith").reversed().starts(
                    with: right.string(entry, scope, "endsWith").reversed()))
        case .add, .subtract, .multiply, .divide, .remainder, .power:
            return try calculate(kind, left.value(entry, scope), right.value(entry, scope))
        }
    }

    private static func compare(
        _ kind: ExpressionOperator, _ left: ExpressionValue, _ right: ExpressionValue
    ) throws(StanzaError) -> Bool {
        func holds<T: Comparable>(_ left: T, _ right: T) -> Bool {
            switch kind {
            case .less: left < right
            case .lessOrEqual: left <= right
            case .greater: left > right
            default: left >= right
            }
        }
        switch (left, right) {
        case (.int(let left), .int(let right)), (.time(let left), .time(let right)): return holds(left, right)
        case (.string(let left), .string(let right)):
            return holds(
                left.lexicographicallyPrecedes(right) ? -1 : left == right ? 0 : 1, 0)
        default:
            guard let first = left.number, let second = right.number else {
                throw StanzaError("\(left.kindName) and \(right.kindName) cannot be compared by size")
            }
            return holds(first, second)
        }
    }

    private static func calculate(
        _ kind: ExpressionOperator, _ left: ExpressionValue, _ right: ExpressionValue
    ) throws(StanzaError) -> ExpressionValue {
        if kind == .add, case .string(let first) = left, case .string(let second) = right {
            return .string(first + second)
        }
        if case .int(let first) = left, case .int(let second) = right {
            switch kind {
            case .add: return .int(first &+ second)
            case .subtract: return .int(first &- second)
            case .multiply: return .int(first &* second)
            case .remainder:
                guard second != 0 else { throw StanzaError("division by zero") }
                return .int(second == -1 ? 0 : first % second)
            default: break
            }
        }
        guard let first = left.number, let second = right.number, kind != .remainder else {
            throw StanzaError("cannot calculate with \(left.kindName) and \(right.kindName)")
        }
        switch kind {
        case .add: return .double(first + second)
        case .subtract: return .double(first - second)
        case .multiply: return .double(first * second)
        case .divide: return .double(first / second)
        default: return .double(ExpressionFunction.power(first, second))
        }
    }
}
