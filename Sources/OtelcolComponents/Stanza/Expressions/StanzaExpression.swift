import Essentials
import TextFormats
import Wire

/// An expression of the language `expr` as operators use it: conditions, routes, values of `EXPR(...)`.
///
/// Language: expr-lang.org, "Language Definition". Here are literals, `body`, `attributes`, `resource`, `timestamp`, `$`,
/// members and indexes, arithmetic, comparisons, `and`, `or`, `not`, `in`, `matches`, `contains`, `startsWith`,
/// `endsWith`, `??`, `? :`, slices, maps, pipes, the functions of ``ExpressionFunction`` and the predicates of
/// ``ExpressionPredicate``, `let` and `if` with `else`. Ranges and methods are refused by name. As upstream, a name nobody knows is nil; a
/// member of nil and a comparison by size of things that have none are errors of running.
///
/// Compiled once; running allocates values only. Depth and length are bounded.
struct StanzaExpression: Sendable {
    let text: String
    private let root: ExpressionNode

    /// Longer expressions are refused.
    static let maximumBytes = 64 << 10

    init(_ text: String) throws(StanzaError) {
        guard text.utf8.count <= Self.maximumBytes else { throw StanzaError("expression is too long") }
        self.text = text
        var parser = try ExpressionParser(text)
        root = try parser.expression()
        try parser.finish()
    }

    /// The value for an entry.
    func value(_ entry: StanzaEntry) throws(StanzaError) -> ExpressionValue { try root.value(entry) }

    /// Whether the condition holds; throws when the value is none of true and false.
    func holds(_ entry: StanzaEntry) throws(StanzaError) -> Bool {
        guard case .bool(let flag) = try root.value(entry) else {
            throw StanzaError("expression \"\(text)\" is neither true nor false")
        }
        return flag
    }
}

/// What an expression gives.
enum ExpressionValue: Sendable, Equatable {
    case null
    case bool(Bool)
    case int(Int64)
    case double(Double)
    case string([UInt8])
    case list([ExpressionValue])
    case map(OTLPAnyValue.Map)
    /// Nanoseconds since 1970.
    case time(Int64)

    init(_ value: OTLPAnyValue?) {
        switch value {
        case nil, .empty?: self = .null
        case .string(let bytes)?, .bytes(let bytes)?: self = .string(bytes)
        case .bool(let flag)?: self = .bool(flag)
        case .int(let number)?: self = .int(number)
        case .double(let number)?: self = .double(number)
        case .array(let elements)?: self = .list(elements.map { ExpressionValue($0) })
        case .map(let map)?: self = .map(map)
        }
    }

    /// The value as one of a record.
    var anyValue: OTLPAnyValue {
        switch self {
        case .null: .empty
        case .bool(let flag): .bool(flag)
        case .int(let number), .time(let number): .int(number)
        case .double(let number): .double(number)
        case .string(let bytes): .text(bytes)
        case .list(let elements): .array(elements.map(\.anyValue))
        case .map(let map): .map(map)
        }
    }

    var kindName: String {
        switch self {
        case .null: "nil"
        case .bool: "a boolean"
        case .int, .double: "a number"
        case .string: "a string"
        case .list: "a list"
        case .map: "a map"
        case .time: "a time"
        }
    }

    var number: Double? {
        switch self {
        case .int(let number): Double(number)
        case .double(let number): number
        default: nil
        }
    }

    /// Equality across kinds of numbers; different kinds are unequal.
    func isEqual(to other: ExpressionValue) -> Bool {
        if case .int(let left) = self, case .int(let right) = other { return left == right }
        if let left = number, let right = other.number { return left == right }
        return self == other
    }
}

/// Text with expressions in it: `a EXPR(env("X")) b`.
struct StanzaTemplate: Sendable {
    private enum Part: Sendable {
        case text(String)
        case expression(StanzaExpression)
    }

    private let parts: [Part]

    init(_ text: String) throws(StanzaError) {
        var parts: [Part] = []
        let marker = "EXPR("
        var rest = text[...]
        while let start = rest.firstRange(of: marker) {
            let limit = rest[start.upperBound...].firstRange(of: marker)?.lowerBound ?? rest.endIndex
            guard let end = rest[start.upperBound..<limit].lastIndex(of: ")") else { break }
            if start.lowerBound > rest.startIndex { parts.append(.text(String(rest[..<start.lowerBound]))) }
            parts.append(.expression(try StanzaExpression(String(rest[start.upperBound..<end]))))
            rest = rest[rest.index(after: end)...]
        }
        if !rest.isEmpty { parts.append(.text(String(rest))) }
        self.parts = parts
    }

    /// The text for an entry; throws when an expression gives no text.
    func text(_ entry: StanzaEntry) throws(StanzaError) -> [UInt8] {
        var output: [UInt8] = []
        for part in parts {
            switch part {
            case .text(let text): output.append(contentsOf: text.utf8)
            case .expression(let expression):
                guard case .string(let bytes) = try expression.value(entry) else {
                    throw StanzaError("expression \"\(expression.text)\" does not give a string")
                }
                output.append(contentsOf: bytes)
            }
        }
        return output
    }
}
