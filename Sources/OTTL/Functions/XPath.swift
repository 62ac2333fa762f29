/// An expression of XPath 1.0, read when a statement is loaded.
///
/// Location paths with the axes of XPath 1.0 but `namespace`, predicates, unions, arithmetic, comparisons and the core
/// functions but `id`, `lang` and `namespace-uri`; `ends-with` and `lower-case` of XPath 2.0 too. Names are compared as
/// they are written, prefix included: prefixes are not resolved. Specification: <https://www.w3.org/TR/xpath-10/>.
indirect enum XPath: Sendable {
    case text(String)
    case number(Double)
    case negative(XPath)
    case binary(Operation, XPath, XPath)
    case call(Function, [XPath])
    case filter(XPath, [XPath])
    /// Steps from the document (nil: from the node in question, or from the nodes of an expression).
    case path(Start, [Step])

    indirect enum Start: Sendable {
        case document, context
        case nodes(XPath)
    }

    enum Operation: String, Sendable {
        case or, and, div, mod
        case union = "|"
        case equal = "="
        case notEqual = "!="
        case less = "<"
        case lessOrEqual = "<="
        case greater = ">"
        case greaterOrEqual = ">="
        case add = "+"
        case subtract = "-"
        case multiply = "*"
    }

    enum Axis: String, Sendable {
        case ancestor, attribute, child, descendant, following, parent, preceding
        case ancestorOrSelf = "ancestor-or-self"
        case descendantOrSelf = "descendant-or-self"
        case followingSibling = "following-sibling"
        case precedingSibling = "preceding-sibling"
        case itself = "self"

        /// Whether positions count backwards in the document.
        var isReverse: Bool {
            switch self {
            case .ancestor, .ancestorOrSelf, .preceding, .precedingSibling: true
            default: false
            }
        }
    }

    enum Test: Sendable {
        case any, anyNode, text, comment
        case name([UInt8])
        /// Any name with the prefix, colon included.
        case prefix([UInt8])
        case instruction([UInt8]?)
    }

    struct Step: Sendable {
        let axis: Axis
        let test: Test
        var predicates: [XPath] = []

        /// What `//` stands for.
        static var anywhere: Step { Step(axis: .descendantOrSelf, test: .anyNode) }
    }

    enum Function: String, Sendable {
        case last, position, count, string, concat, contains, substring, translate, boolean, not, `true`, `false`
        case number, sum, floor, ceiling, round, name
        case localName = "local-name"
        case startsWith = "starts-with"
        case endsWith = "ends-with"
        case substringBefore = "substring-before"
        case substringAfter = "substring-after"
        case stringLength = "string-length"
        case normalizeSpace = "normalize-space"
        case lowerCase = "lower-case"

        /// How many arguments it takes.
        var arguments: ClosedRange<Int> {
            switch self {
            case .last, .position, .true, .false: 0...0
            case .string, .number, .name, .localName, .stringLength, .normalizeSpace: 0...1
            case .count, .sum, .boolean, .not, .floor, .ceiling, .round, .lowerCase: 1...1
            case .contains, .startsWith, .endsWith, .substringBefore, .substringAfter: 2...2
            case .substring: 2...3
            case .translate: 3...3
            case .concat: 2...100
            }
        }
    }

    /// Whether the value is a set of nodes.
    var selectsNodes: Bool {
        switch self {
        case .path: true
        case .filter(let inner, _): inner.selectsNodes
        case .binary(.union, _, _): true
        default: false
        }
    }
}

/// Reads XPath expressions; an error names the byte of the expression.
struct XPathParser {
    private enum Token: Equatable {
        case name(String)
        case text(String)
        case number(Double)
        case sign(String)
        case operation(XPath.Operation)
        case end
    }

    private var tokens: [(token: Token, offset: Int)] = []
    private var place = 0
    private var depth = 0
    private static let maximumDepth = 50

    /// - Throws: `OTTLError` for what is no expression that selects nodes.
    static func nodes(_ text: String) throws -> XPath {
        var parser = try XPathParser(text)
        let expression = try parser.expression()
        guard parser.token == .end else { throw parser.error("unexpected end of an expression") }
        guard expression.selectsNodes else { throw OTTLError("invalid XPath: the expression selects no nodes") }
        return expression
    }

    private var token: Token { tokens[place].token }
    private var next: Token { place + 1 < tokens.count ? tokens[place + 1].token : .end }
    private func error(_ message: String) -> OTTLError { Self.error(message, tokens[place].offset) }
    private static func error(_ message: String, _ offset: Int) -> OTTLError {
        OTTLError("invalid XPath at byte \(offset): \(message)")
    }

    private mutating func take(_ sign: String) -> Bool {
        guard token == .sign(sign) else { return false }
        place += 1
        return true
    }

    private mutating func expect(_ sign: String) throws {
        if !take(sign) { throw error("\"\(sign)\" is missing") }
    }

    // MARK: Tokens

    private init(_ text: String) throws {
        let bytes = Array(text.utf8)
        var index = 0
        func part(_ range: Range<Int>) -> String { String(decoding: bytes[range], as: UTF8.self) }
        func isDigit(_ at: Int) -> Bool { at < bytes.count && bytes[at] >= 0x30 && bytes[at] <= 0x39 }
        func isName(_ at: Int, first: Bool) -> Bool {
            guard at < bytes.count else { return false }
            let byte = bytes[at]
            if byte >= 0x80 || byte == 0x5F || (byte | 0x20 >= 0x61 && byte | 0x20 <= 0x7A) { return true }
            return !first && (isDigit(at) || byte == 0x2D || byte == 0x2E)
        }
        while index < bytes.count {
            let start = index
            let byte = bytes[index]
            if byte == 0x20 || (byte >= 9 && byte <= 13) {
                index += 1
                continue
            }
            /// After these, a star or a word is an operator.
            let endsOperand: Bool =
                switch tokens.last?.token {
                case nil, .operation: false
                case .sign(let sign): [")", "]", ".", ".."].contains(sign)
                default: true
                }
            if byte == 0x22 || byte == 0x27 {
                guard let end = bytes[(index + 1)...].firstIndex(of: byte) else {
                    throw Self.error("a string is not closed", start)
                }
                tokens.append((.text(part((index + 1)..<end)), start))
                index = end + 1
            } else if isDigit(index) || (byte == 0x2E && isDigit(index + 1)) {
                while isDigit(index) { index += 1 }
                if index < bytes.count, bytes[index] == 0x2E {
                    index += 1
                    while isDigit(index) { index += 1 }
                }
                let digits = part(start..<index)
                tokens.append((.number(Double(digits.hasSuffix(".") ? digits + "0" : digits) ?? .nan), start))
            } else if isName(index, first: true) {
                while isName(index, first: false) { index += 1 }
                if index + 1 < bytes.count, bytes[index] == 0x3A {
                    if isName(index + 1, first: true) {
                        index += 1
                        while isName(index, first: false) { index += 1 }
                    } else if bytes[index + 1] == 0x2A {
                        index += 2
                    }
                }
                let name = part(start..<index)
                if endsOperand {
                    guard let operation = XPath.Operation(rawValue: name) else {
                        throw Self.error("an operator expected, found \"\(name)\"", start)
                    }
                    tokens.append((.operation(operation), start))
                } else {
                    tokens.append((.name(name), start))
                }
            } else {
                let two = index + 1 < bytes.count ? part(index..<(index + 2)) : ""
                let sign = ["//", "::", "..", "!=", "<=", ">="].contains(two) ? two : part(index..<(index + 1))
                index += sign.utf8.count
                if sign == "*" && !endsOperand {
                    tokens.append((.name("*"), start))
                } else if let operation = XPath.Operation(rawValue: sign) {
                    tokens.append((.operation(operation), start))
                } else if ["/", "//", "::", "..", ".", "@", "(", ")", "[", "]", ","].contains(sign) {
                    tokens.append((.sign(sign), start))
                } else {
                    throw Self.error("unexpected \"\(sign)\"", start)
                }
            }
        }
        tokens.append((.end, bytes.count))
    }

    // MARK: Expressions

    private static let levels: [[XPath.Operation]] = [
        [.or], [.and], [.equal, .notEqual], [.less, .lessOrEqual, .greater, .greaterOrEqual], [.add, .subtract],
        [.multiply, .div, .mod],
    ]

    private mutating func expression(_ level: Int = 0) throws -> XPath {
        if level == 0 {
            depth += 1
            if depth > Self.maximumDepth { throw error("expressions are nested too deep") }
        }
        defer { if level == 0 { depth -= 1 } }
        guard level < Self.levels.count else { return try unary() }
        var left = try expression(level + 1)
        while case .operation(let operation) = token, Self.levels[level].contains(operation) {
            place += 1
            left = .binary(operation, left, try expression(level + 1))
        }
        return left
    }

    private mutating func unary() throws -> XPath {
        var signs = 0
        while token == .operation(.subtract) {
            place += 1
            signs += 1
        }
        var left = try path()
        while token == .operation(.union) {
            let offset = place
            place += 1
            let right = try path()
            guard left.selectsNodes, right.selectsNodes else {
                place = offset
                throw error("both sides of | select nodes")
            }
            left = .binary(.union, left, right)
        }
        if signs == 0 { return left }
        return signs % 2 == 1 ? .negative(left) : .negative(.negative(left))
    }

    private mutating func path() throws -> XPath {
        if take("/") {
            return .path(.document, startsStep ? try steps() : [])
        }
        if take("//") { return .path(.document, [.anywhere] + (try steps())) }
        if startsStep { return .path(.context, try steps()) }
        let offset = place
        let primary = try primary()
        var predicates: [XPath] = []
        while token == .sign("[") { predicates.append(try predicate()) }
        let filtered = predicates.isEmpty ? primary : .filter(primary, predicates)
        let isPath = token == .sign("/") || token == .sign("//")
        if isPath || !predicates.isEmpty, !primary.selectsNodes {
            place = offset
            throw error("a predicate or step belongs to nodes")
        }
        if take("//") { return .path(.nodes(filtered), [.anywhere] + (try steps())) }
        if take("/") { return .path(.nodes(filtered), try steps()) }
        return filtered
    }

    private static let nodeTypes = ["node", "text", "comment", "processing-instruction"]

    private var startsStep: Bool {
        switch token {
        case .sign("."), .sign(".."), .sign("@"): true
        case .name(let name): next != .sign("(") || Self.nodeTypes.contains(name)
        default: false
        }
    }

    private mutating func primary() throws -> XPath {
        switch token {
        case .text(let text):
            place += 1
            return .text(text)
        case .number(let number):
            place += 1
            return .number(number)
        case .sign("("):
            place += 1
            let inner = try expression()
            try expect(")")
            return inner
        case .name(let name):
            guard let function = XPath.Function(rawValue: name) else { throw error("unknown function \(name)()") }
            let start = place
            place += 2
            var arguments: [XPath] = []
            if token != .sign(")") {
                repeat { arguments.append(try expression()) } while take(",")
            }
            try expect(")")
            let isOfNodes = [.count, .sum].contains(function) || [.name, .localName].contains(function)
            guard function.arguments.contains(arguments.count),
                !isOfNodes || arguments.allSatisfy({ $0.selectsNodes })
            else {
                place = start
                throw error("\(name)() does not take these arguments")
            }
            return .call(function, arguments)
        default: throw error("a path or value expected")
        }
    }

    private mutating func predicate() throws -> XPath {
        try expect("[")
        let inner = try expression()
        try expect("]")
        return inner
    }

    // MARK: Steps

    private mutating func steps() throws -> [XPath.Step] {
        var steps = [try step()]
        while true {
            if take("//") {
                steps.append(.anywhere)
            } else if !take("/") {
                return steps
            }
            steps.append(try step())
        }
    }

    private mutating func step() throws -> XPath.Step {
        if take(".") { return XPath.Step(axis: .itself, test: .anyNode) }
        if take("..") { return XPath.Step(axis: .parent, test: .anyNode) }
        var axis = XPath.Axis.child
        if take("@") {
            axis = .attribute
        } else if case .name(let name) = token, next == .sign("::") {
            guard let known = XPath.Axis(rawValue: name) else { throw error("unknown axis \(name)") }
            axis = known
            place += 2
        }
        var step = XPath.Step(axis: axis, test: try test())
        while token == .sign("[") { step.predicates.append(try predicate()) }
        return step
    }

    private mutating func test() throws -> XPath.Test {
        guard case .name(let name) = token else { throw error("a name or test expected") }
        if next == .sign("(") {
            guard Self.nodeTypes.contains(name) else { throw error("\(name)() is no test of nodes") }
            place += 2
            var target: [UInt8]?
            if name == "processing-instruction", case .text(let text) = token {
                target = Array(text.utf8)
                place += 1
            }
            try expect(")")
            switch name {
            case "text": return .text
            case "comment": return .comment
            case "node": return .anyNode
            default: return .instruction(target)
            }
        }
        place += 1
        if name == "*" { return .any }
        if name.hasSuffix("*") { return .prefix(Array(name.utf8.dropLast())) }
        return .name(Array(name.utf8))
    }
}
