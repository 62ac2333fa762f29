/// Runs XPath expressions on a document.
struct XPathEvaluator {
    enum Value {
        case nodes([XMLNode])
        case text(String)
        case number(Double)
        case bool(Bool)
    }

    struct Context {
        let node: XMLNode
        var position = 1
        var size = 1
    }

    /// Nodes looked at on behalf of one expression; the work on a hostile document ends there.
    static let maximumWork = 2_000_000

    private let document: XMLNode
    private var work = 0

    /// The nodes an expression selects, in the order of the document.
    static func select(_ expression: XPath, in document: XMLNode) throws -> [XMLNode] {
        var evaluator = XPathEvaluator(document: document)
        return try evaluator.nodes(expression, Context(node: document))
    }

    private init(document: XMLNode) { self.document = document }

    private mutating func count(_ nodes: Int) throws {
        work += nodes
        if work > Self.maximumWork { throw OTTLError("XPath: the document is too large for the expression") }
    }

    private mutating func nodes(_ expression: XPath, _ context: Context) throws -> [XMLNode] {
        if case .nodes(let nodes) = try value(expression, context) { return nodes }
        return []
    }

    private mutating func value(_ expression: XPath, _ context: Context) throws -> Value {
        try count(1)
        switch expression {
        case .text(let text): return .text(text)
        case .number(let number): return .number(number)
        case .negative(let inner): return .number(-number(try value(inner, context)))
        case .binary(let operation, let left, let right): return try binary(operation, left, right, context)
        case .call(let function, let arguments): return try call(function, arguments, context)
        case .filter(let inner, let predicates):
            var list = try nodes(inner, context)
            for predicate in predicates { list = try filter(list, predicate) }
            return .nodes(list)
        case .path(let start, let steps):
            var list: [XMLNode] =
                switch start {
                case .document: [document]
                case .context: [context.node]
                case .nodes(let inner): try nodes(inner, context)
                }
            for step in steps {
                var found: [XMLNode] = []
                for node in list {
                    var part = try along(step.axis, node).filter { step.test.matches($0, step.axis) }
                    for predicate in step.predicates { part = try filter(part, predicate) }
                    found.append(contentsOf: part)
                }
                list = list.count == 1 && !step.axis.isReverse ? found : Self.ordered(found)
            }
            return .nodes(list)
        }
    }

    /// Each node once, in the order of the document.
    private static func ordered(_ nodes: [XMLNode]) -> [XMLNode] {
        var result: [XMLNode] = []
        for node in nodes.sorted(by: { $0.order < $1.order }) where result.last !== node { result.append(node) }
        return result
    }

    private mutating func filter(_ nodes: [XMLNode], _ predicate: XPath) throws -> [XMLNode] {
        var result: [XMLNode] = []
        for (place, node) in nodes.enumerated() {
            let value = try value(predicate, Context(node: node, position: place + 1, size: nodes.count))
            if case .number(let number) = value {
                if number == Double(place + 1) { result.append(node) }
            } else if bool(value) {
                result.append(node)
            }
        }
        return result
    }

    /// The nodes of an axis, in the axis' own order.
    private mutating func along(_ axis: XPath.Axis, _ node: XMLNode) throws -> [XMLNode] {
        var found: [XMLNode] = []
        func descend(_ node: XMLNode) {
            for child in node.children {
                found.append(child)
                descend(child)
            }
        }
        switch axis {
        case .itself: found = [node]
        case .child: found = node.children
        case .attribute: found = node.attributes
        case .parent: if let parent = node.parent { found = [parent] }
        case .descendant: descend(node)
        case .descendantOrSelf:
            found = [node]
            descend(node)
        case .ancestor, .ancestorOrSelf:
            var next = axis == .ancestor ? node.parent : node
            while let one = next {
                found.append(one)
                next = one.parent
            }
        case .followingSibling, .precedingSibling:
            guard node.kind != .attribute, let parent = node.parent else { break }
            try count(parent.children.count)
            found = parent.children.filter { axis == .followingSibling ? $0.order > node.order : $0.order < node.order }
            if axis == .precedingSibling { found.reverse() }
        case .following:
            descend(document)
            try count(found.count)
            // What is inside of the node is no part; what is inside of an attribute's element is.
            let last = node.kind == .attribute ? node.order : node.lastOrder
            found.removeAll { $0.order <= last }
        case .preceding:
            descend(document)
            try count(found.count)
            found.removeAll { $0.order >= node.order || $0.lastOrder >= node.order }
            found.reverse()
        }
        try count(found.count)
        return found
    }

    // MARK: Operators

    private mutating func binary(
        _ operation: XPath.Operation, _ left: XPath, _ right: XPath, _ context: Context
    ) throws -> Value {
        let first = try value(left, context)
        switch operation {
        case .or: return .bool(bool(first) ? true : bool(try value(right, context)))
        case .and: return .bool(bool(first) ? bool(try value(right, context)) : false)
        default: break
        }
        let second = try value(right, context)
        switch operation {
        case .union:
            guard case .nodes(let one) = first, case .nodes(let other) = second else { return .nodes([]) }
            return .nodes(Self.ordered(one + other))
        case .add: return .number(number(first) + number(second))
        case .subtract: return .number(number(first) - number(second))
        case .multiply: return .number(number(first) * number(second))
        case .div: return .number(number(first) / number(second))
        case .mod: return .number(number(first).truncatingRemainder(dividingBy: number(second)))
        default: return .bool(try compare(operation, first, second))
        }
    }

    private mutating func compare(_ operation: XPath.Operation, _ left: Value, _ right: Value) throws -> Bool {
        switch (left, right) {
        case (.bool, .nodes): return try compare(operation, left, .bool(bool(right)))
        case (.nodes, .bool): return try compare(operation, .bool(bool(left)), right)
        case (.nodes(let nodes), _):
            try count(nodes.count)
            for node in nodes where try compare(operation, .text(node.string), right) { return true }
            return false
        case (_, .nodes(let nodes)):
            try count(nodes.count)
            for node in nodes where try compare(operation, left, .text(node.string)) { return true }
            return false
        default: break
        }
        let (one, other) = (number(left), number(right))
        switch operation {
        case .less: return one < other
        case .lessOrEqual: return one <= other
        case .greater: return one > other
        case .greaterOrEqual: return one >= other
        default: break
        }
        let isEqual: Bool =
            switch (left, right) {
            case (.bool, _), (_, .bool): bool(left) == bool(right)
            case (.number, _), (_, .number): one == other
            default: text(left) == text(right)
            }
        return isEqual == (operation == .equal)
    }

    // MARK: Conversions

    private func bool(_ value: Value) -> Bool {
        switch value {
        case .nodes(let nodes): !nodes.isEmpty
        case .text(let text): !text.isEmpty
        case .number(let number): number != 0 && !number.isNaN
        case .bool(let flag): flag
        }
    }

    private func number(_ value: Value) -> Double {
        switch value {
        case .number(let number): return number
        case .bool(let flag): return flag ? 1 : 0
        case .nodes, .text:
            let text = String(decoding: Text.trimmed(Array(text(value).utf8)[...]), as: UTF8.self)
            guard text.utf8.allSatisfy({ ($0 >= 0x30 && $0 <= 0x39) || $0 == 0x2E || $0 == 0x2D }) else { return .nan }
            return Double(text) ?? .nan
        }
    }

    private func text(_ value: Value) -> String {
        switch value {
        case .nodes(let nodes): nodes.first?.string ?? ""
        case .text(let text): text
        case .bool(let flag): flag ? "true" : "false"
        case .number(let number):
            if let whole = Int64(exactly: number) {
                String(whole)
            } else if number.isNaN {
                "NaN"
            } else if number.isInfinite {
                number < 0 ? "-Infinity" : "Infinity"
            } else {
                "\(number)"
            }
        }
    }

    // MARK: Functions

    private mutating func call(_ function: XPath.Function, _ arguments: [XPath], _ context: Context) throws -> Value {
        var values: [Value] = []
        for argument in arguments { values.append(try value(argument, context)) }
        let first = values.first ?? .nodes([context.node])
        func string(_ place: Int) -> String { place < values.count ? text(values[place]) : "" }
        switch function {
        case .last: return .number(Double(context.size))
        case .position: return .number(Double(context.position))
        case .true: return .bool(true)
        case .false: return .bool(false)
        case .not: return .bool(!bool(first))
        case .boolean: return .bool(bool(first))
        case .string: return .text(text(first))
        case .number: return .number(number(first))
        case .floor: return .number(number(first).rounded(.down))
        case .ceiling: return .number(number(first).rounded(.up))
        case .round: return .number((number(first) + 0.5).rounded(.down))
        case .count:
            guard case .nodes(let nodes) = first else { return .number(0) }
            return .number(Double(nodes.count))
        case .sum:
            guard case .nodes(let nodes) = first else { return .number(0) }
            return .number(nodes.reduce(0) { $0 + number(.text($1.string)) })
        case .name, .localName:
            guard case .nodes(let nodes) = first, let node = nodes.first else { return .text("") }
            let name = function == .name ? node.name[...] : node.localName
            return .text(String(decoding: name, as: UTF8.self))
        case .concat: return .text(values.map { text($0) }.joined())
        case .contains: return .bool(Self.find(string(1), in: string(0)) != nil)
        case .startsWith: return .bool(string(0).utf8.starts(with: string(1).utf8))
        case .endsWith: return .bool(string(0).utf8.reversed().starts(with: string(1).utf8.reversed()))
        case .substringBefore, .substringAfter:
            let (whole, part) = (Array(string(0).utf8), string(1))
            guard let place = Self.find(part, in: string(0)) else { return .text("") }
            let result = function == .substringBefore ? whole[..<place] : whole[(place + part.utf8.count)...]
            return .text(String(decoding: result, as: UTF8.self))
        case .substring:
            let start = (number(values[1]) + 0.5).rounded(.down)
            let end = values.count > 2 ? start + (number(values[2]) + 0.5).rounded(.down) : .infinity
            var output = String.UnicodeScalarView()
            for (place, scalar) in string(0).unicodeScalars.enumerated()
            where Double(place + 1) >= start && Double(place + 1) < end { output.append(scalar) }
            return .text(String(output))
        case .stringLength: return .number(Double(text(first).unicodeScalars.count))
        case .normalizeSpace:
            let words = text(first).utf8.split { $0 == 0x20 || ($0 >= 9 && $0 <= 13) }
            return .text(words.map { String(decoding: $0, as: UTF8.self) }.joined(separator: " "))
        case .lowerCase: return .text(text(first).lowercased())
        case .translate:
            var table: [Unicode.Scalar: Unicode.Scalar?] = [:]
            let new = Array(string(2).unicodeScalars)
            for (place, scalar) in string(1).unicodeScalars.enumerated() where table[scalar] == nil {
                table[scalar] = .some(place < new.count ? new[place] : nil)
            }
            var output = String.UnicodeScalarView()
            for scalar in string(0).unicodeScalars {
                if let known = table[scalar] {
                    if let known { output.append(known) }
                } else {
                    output.append(scalar)
                }
            }
            return .text(String(output))
        }
    }

    private static func find(_ part: String, in whole: String) -> Int? {
        part.isEmpty ? 0 : Text.firstIndex(of: Array(part.utf8), in: Array(whole.utf8), from: 0)
    }
}

extension XPath.Test {
    func matches(_ node: XMLNode, _ axis: XPath.Axis) -> Bool {
        let principal: XMLNode.Kind = axis == .attribute ? .attribute : .element
        return switch self {
        case .anyNode: true
        case .any: node.kind == principal
        case .name(let name): node.kind == principal && node.name == name
        case .prefix(let prefix): node.kind == principal && node.name.starts(with: prefix)
        case .text: node.kind == .text || node.kind == .data
        case .comment: node.kind == .comment
        case .instruction(let target): node.kind == .instruction && (target == nil || node.name == target)
        }
    }
}
