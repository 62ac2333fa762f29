import Glibc
import TextFormats

/// One search: the document and the variables in scope.
struct JMESPathEvaluation {
    let document: JSONValue
    private var bindings: [String: JSONValue] = [:]

    init(document: JSONValue) { self.document = document }

    mutating func value(of node: JMESPath.Node, at current: JSONValue) throws(JMESPathError) -> JSONValue {
        switch node {
        case .current: return current
        case .root: return document
        case .literal(let value): return value
        case .field(let name): return current[name] ?? .null
        case .variable(let name):
            guard let value = bindings[name] else { throw JMESPathError("variable not defined: \(name)") }
            return value
        case .index(let index):
            guard case .array(let array) = current else { return .null }
            return current[index < 0 ? index + array.count : index] ?? .null
        case .slice(let start, let stop, let step): return try Self.slice(current, start, stop, step)
        case .sub(let left, let right):
            let found = try value(of: left, at: current)
            return found == .null ? .null : try value(of: right, at: found)
        case .pipe(let left, let right): return try value(of: right, at: value(of: left, at: current))
        case .or(let left, let right):
            let found = try value(of: left, at: current)
            return found.isFalse ? try value(of: right, at: current) : found
        case .and(let left, let right):
            let found = try value(of: left, at: current)
            return found.isFalse ? found : try value(of: right, at: current)
        case .not(let inner): return .bool(try value(of: inner, at: current).isFalse)
        case .negative(let inner):
            return try value(of: inner, at: current).doubleValue.map { .double(-$0) } ?? .null
        case .positive(let inner): return try value(of: inner, at: current).doubleValue.map { .double($0) } ?? .null
        case .compare(let operation, let left, let right):
            return Self.compare(operation, try value(of: left, at: current), try value(of: right, at: current))
        case .arithmetic(let operation, let left, let right):
            return Self.calculate(operation, try value(of: left, at: current), try value(of: right, at: current))
        case .list(let nodes):
            var values: [JSONValue] = []
            for node in nodes { values.append(try value(of: node, at: current)) }
            return .array(values)
        case .hash(let entries):
            var object = JSONObject()
            for entry in entries { object[entry.name] = try value(of: entry.node, at: current) }
            return .object(object)
        case .flatten(let inner):
            guard case .array(let array) = try value(of: inner, at: current) else { return .null }
            return .array(array.flatMap { $0.arrayValue ?? [$0] })
        case .projection(let left, let right):
            let found = try value(of: left, at: current)
            if case .array(let array) = found { return try project(array, through: right) }
            if case .sub(_, .slice) = left, case .string = found { return try value(of: right, at: found) }
            return .null
        case .valueProjection(let left, let right):
            guard case .object(let object) = try value(of: left, at: current) else { return .null }
            return try project(object.map(\.value), through: right)
        case .filter(let left, let condition, let right):
            guard case .array(let array) = try value(of: left, at: current) else { return .null }
            var kept: [JSONValue] = []
            for element in array where !(try value(of: condition, at: element).isFalse) { kept.append(element) }
            return try project(kept, through: right)
        case .call(let name, let nodes):
            var arguments: [JMESPathArgument] = []
            for node in nodes {
                if case .expression(let inner) = node {
                    arguments.append(.expression(inner))
                } else {
                    arguments.append(.value(try value(of: node, at: current)))
                }
            }
            return try JMESPathFunctions.call(name, arguments, &self)
        case .expression: throw JMESPathError("an expression reference may only be an argument of a function")
        case .bind(let entries, let body):
            let outer = bindings
            defer { bindings = outer }
            for entry in entries { bindings[entry.name] = try value(of: entry.node, at: current) }
            return try value(of: body, at: current)
        }
    }

    private mutating func project(
        _ elements: [JSONValue], through node: JMESPath.Node
    ) throws(JMESPathError) -> JSONValue {
        var values: [JSONValue] = []
        for element in elements {
            let value = try value(of: node, at: element)
            if value != .null { values.append(value) }
        }
        return .array(values)
    }

    private static func compare(
        _ operation: JMESPath.Comparison, _ left: JSONValue, _ right: JSONValue
    ) -> JSONValue {
        switch operation {
        case .equal: return .bool(left.means(right))
        case .notEqual: return .bool(!left.means(right))
        default: break
        }
        guard let a = left.doubleValue, let b = right.doubleValue else { return .null }
        switch operation {
        case .less: return .bool(a < b)
        case .lessOrEqual: return .bool(a <= b)
        case .greater: return .bool(a > b)
        default: return .bool(a >= b)
        }
    }

    private static func calculate(
        _ operation: JMESPath.Arithmetic, _ left: JSONValue, _ right: JSONValue
    ) -> JSONValue {
        guard let a = left.doubleValue, let b = right.doubleValue else { return .null }
        switch operation {
        case .plus: return .double(a + b)
        case .minus: return .double(a - b)
        case .multiply: return .double(a * b)
        case .divide: return .double(a / b)
        case .modulo: return .double(fmod(a, b))
        case .floorDivide: return .double((a / b).rounded(.down))
        }
    }

    private static func slice(
        _ value: JSONValue, _ start: Int?, _ stop: Int?, _ step: Int?
    ) throws(JMESPathError) -> JSONValue {
        switch value {
        case .array(let array): return .array(try picked(array, start, stop, step))
        case .string(let text):
            guard step != 0 else { return .null }
            let scalars = try picked(Array(text.unicodeScalars), start, stop, step)
            var result = String.UnicodeScalarView()
            result.append(contentsOf: scalars)
            return .string(String(result))
        default: return .null
        }
    }

    private static func picked<T>(
        _ elements: [T], _ start: Int?, _ stop: Int?, _ step: Int?
    ) throws(JMESPathError) -> [T] {
        let step = step ?? 1
        if step == 0 { throw JMESPathError("invalid slice, step cannot be 0") }
        let count = elements.count
        func bounded(_ index: Int) -> Int {
            if index < 0 { return index < -count ? (step < 0 ? -1 : 0) : index + count }
            return index >= count ? (step < 0 ? count - 1 : count) : index
        }
        let first = start.map(bounded) ?? (step < 0 ? count - 1 : 0)
        let end = stop.map(bounded) ?? (step < 0 ? -1 : count)
        var result: [T] = []
        var index = first
        while step > 0 ? index < end : index > end {
            result.append(elements[index])
            let (next, overflow) = index.addingReportingOverflow(step)
            if overflow { break }
            index = next
        }
        return result
    }
}

extension JSONValue {
    /// False by the specification: null, false, and empty text, lists and objects.
    var isFalse: Bool {
        switch self {
        case .null: true
        case .bool(let value): !value
        case .number: false
        case .string(let text): text.isEmpty
        case .array(let array): array.isEmpty
        case .object(let object): object.count == 0
        }
    }

    /// Equality by value: numbers by what they stand for, not by how they are written.
    func means(_ other: JSONValue) -> Bool {
        switch (self, other) {
        case (.number(let a), .number(let b)): return a.doubleValue == b.doubleValue
        case (.array(let a), .array(let b)): return a.count == b.count && zip(a, b).allSatisfy { $0.means($1) }
        case (.object(let a), .object(let b)):
            return a.count == b.count
                && a.allSatisfy { member in b[member.key].map { member.value.means($0) } ?? false }
        default: return self == other
        }
    }
}
