import AlloySyntax
import Wire

/// Turns the syntax of a statement into closures, checking paths, functions and types on the way.
struct Compiler {
    let context: OTTLContext
    /// Whether paths must begin with the name of their context, as in statements whose context was inferred.
    let requiresPrefix: Bool

    // MARK: Values

    func expression(_ node: Node) throws -> Expression {
        switch node {
        case .none: return Expression(.none, literal: .empty) { _ in .none }
        case .bool(let value, _): return Expression(.bool, literal: .bool(value)) { _ in .bool(value) }
        case .int(let value, _): return Expression(.int, literal: .int(value)) { _ in .int(value) }
        case .double(let value, _): return Expression(.double, literal: .double(value)) { _ in .double(value) }
        case .string(let value, _): return Expression(.string, literal: .string(value)) { _ in .ownText(value) }
        case .bytes(let value, _): return Expression(.bytes, literal: .bytes(value)) { _ in .ownData(value) }
        case .list(let elements, _): return try list(elements)
        case .map(let entries, _): return try map(entries)
        case .path(let path):
            let accessor = try accessor(path)
            return Expression(accessor.kind, accessor.get)
        case .call(let call): return try converter(call)
        case .name(let name, let offset):
            if let value = Enumerations.value(of: name, in: context) {
                return Expression(.int, literal: .int(value)) { _ in .int(value) }
            }
            let note =
                Functions.converters[name] != nil
                ? "a converter is called with its arguments in parentheses: \(name)(...)"
                : Spelling.note(for: name, among: Enumerations.names(in: context).sorted())
                    ?? "the \(context.rawValue) context has no such symbol"
            throw OTTLError("unknown name \(name); \(note)", at: offset)
        case .math(let sign, let left, let right, let offset): return try math(sign, left, right, offset)
        case .negative(let operand, _):
            let inner = try expression(operand)
            return Expression(inner.kind) { try Arithmetic.negated(inner.evaluate($0)) }
        }
    }

    private func list(_ elements: [Node]) throws -> Expression {
        let parts = try elements.map { try expression($0) }
        let literals = parts.compactMap(\.literal)
        if literals.count == parts.count {
            return Expression(.list, literal: .array(literals)) { _ in .ownList(literals) }
        }
        return Expression(.list) { frame in .ownList(try parts.map { try $0.evaluate(frame).stored() }) }
    }

    private func map(_ entries: [(key: [UInt8], value: Node)]) throws -> Expression {
        let parts = try entries.map { (key: $0.key, value: try expression($0.value)) }
        var literal = OTLPAnyValue.Map()
        for part in parts { if let value = part.value.literal { literal[part.key] = value } }
        if parts.allSatisfy({ $0.value.literal != nil }) {
            let value = literal
            return Expression(.map, literal: .map(value)) { _ in .ownMap(value) }
        }
        return Expression(.map) { frame in
            var map = OTLPAnyValue.Map()
            for part in parts { map[part.key] = try part.value.evaluate(frame).stored() }
            return .ownMap(map)
        }
    }

    private func math(_ sign: MathOperator, _ left: Node, _ right: Node, _ offset: Int) throws -> Expression {
        let a = try expression(left)
        let b = try expression(right)
        for operand in [a, b] {
            switch operand.kind {
            case .any, .int, .double, .time, .duration: break
            default: throw OTTLError("\(operand.kind.rawValue) cannot be calculated with", at: offset)
            }
        }
        if (a.kind == .int && b.kind == .double) || (a.kind == .double && b.kind == .int) {
            throw OTTLError("int and double do not mix in calculations: convert one with Int or Double", at: offset)
        }
        let isPlain = a.kind == b.kind && (a.kind == .int || a.kind == .double)
        return Expression(isPlain ? a.kind : .any) { frame in
            try Arithmetic.result(sign, a.evaluate(frame), b.evaluate(frame))
        }
    }

    func keys(_ nodes: [Node]) throws -> Keys? {
        if nodes.isEmpty { return nil }
        var steps: [OTLPPathStep] = []
        for node in nodes {
            switch node {
            case .string(let key, _): steps.append(.key(key.withRawBytes { OTLPKey($0) }))
            case .int(let index, let offset):
                guard index >= 0 else { throw OTTLError("an index is not negative", at: offset) }
                steps.append(.index(Int(index)))
            case .path, .call, .math: break
            default: throw OTTLError("a key is a string, an int, a path or a converter", at: node.offset)
            }
        }
        if steps.count == nodes.count { return .fixed(steps) }
        return .computed(try nodes.map { try expression($0) })
    }

    // MARK: Calls

    private func converter(_ call: CallNode) throws -> Expression {
        guard let converter = Functions.converters[call.name] else { throw unknown(call) }
        try check(converter.contexts, call)
        let arguments = try bind(call, converter.parameters)
        let evaluate = try converter.make(arguments)
        guard let keys = try keys(call.keys) else { return Expression(converter.kind, evaluate) }
        return Expression(.any) { frame in try Indexing.value(try evaluate(frame), keys.steps(frame)) }
    }

    func editor(_ call: CallNode) throws -> @Sendable (OTTLFrame) throws -> Void {
        guard let editor = Functions.editors[call.name] else { throw unknown(call) }
        try check(editor.contexts, call)
        return try editor.make(bind(call, editor.parameters))
    }

    private func unknown(_ call: CallNode) -> OTTLError {
        if let reason = Functions.refused[call.name] {
            return OTTLError("\(call.name) is not supported: \(reason)", at: call.offset)
        }
        let isEditor = call.name.first?.isLowercase == true
        let names = isEditor ? Array(Functions.editors.keys) : Array(Functions.converters.keys)
        let note = Spelling.note(for: call.name, among: names.sorted()).map { "; " + $0 } ?? ""
        return OTTLError("unknown function \(call.name)\(note)", at: call.offset)
    }

    private func check(_ contexts: [OTTLContext]?, _ call: CallNode) throws {
        guard let contexts, !contexts.contains(context) else { return }
        let names = contexts.map(\.rawValue).joined(separator: " or ")
        throw OTTLError(
            "\(call.name) is for the \(names) context, and this statement runs in \(context.rawValue)", at: call.offset)
    }

    /// Puts the arguments of a call in the order of the parameters, compiled.
    private func bind(_ call: CallNode, _ parameters: [Parameter]) throws -> Arguments {
        var nodes = [Node?](repeating: nil, count: parameters.count)
        for (position, argument) in call.arguments.enumerated() {
            var index = position
            if let name = argument.name {
                guard let found = parameters.firstIndex(where: { $0.isCalled(name) }) else {
                    let note = Spelling.note(for: name, among: parameters.map(\.name)).map { "; " + $0 } ?? ""
                    throw OTTLError("\(call.name) has no argument \(name)\(note)", at: argument.value.offset)
                }
                index = found
            }
            guard index < parameters.count else {
                throw OTTLError(
                    "\(call.name) takes \(parameters.count) arguments at most: \(signature(call.name, parameters))",
                    at: argument.value.offset)
            }
            if nodes[index] != nil {
                throw OTTLError("\(call.name): \(parameters[index].name) is given twice", at: argument.value.offset)
            }
            nodes[index] = argument.value
        }
        var arguments: [Argument] = []
        for (parameter, node) in zip(parameters, nodes) {
            if let node {
                arguments.append(try argument(node, parameter, of: call.name))
            } else if parameter.isOptional {
                arguments.append(.absent)
            } else {
                throw OTTLError(
                    "\(call.name): \(parameter.name) is missing: \(signature(call.name, parameters))", at: call.offset)
            }
        }
        return Arguments(
            function: call.name, arguments: arguments, names: parameters.map(\.name),
            offsets: nodes.map { $0?.offset ?? call.offset })
    }

    private func signature(_ name: String, _ parameters: [Parameter]) -> String {
        let list = parameters.map { $0.isOptional ? "[\($0.name)]" : $0.name }
        return "\(name)(\(list.joined(separator: ", ")))"
    }

    private func argument(_ node: Node, _ parameter: Parameter, of function: String) throws -> Argument {
        func wrong(_ wanted: String) -> OTTLError {
            OTTLError("\(function): \(parameter.name) must be \(wanted)", at: node.offset)
        }
        switch parameter.kind {
        case .value(let kind):
            let expression = try expression(node)
            guard expression.kind.can(be: kind) else {
                throw wrong("a \(kind.rawValue), and this is a \(expression.kind.rawValue)")
            }
            return .value(expression)
        case .target(let kind):
            guard case .path(let path) = node else { throw wrong("a field such as attributes[\"name\"]") }
            let accessor = try accessor(path)
            guard accessor.set != nil else { throw wrong("a field that can be changed; \(path.text) cannot") }
            guard accessor.kind.can(be: kind) else {
                throw wrong("a \(kind.rawValue), and \(path.text) is a \(accessor.kind.rawValue)")
            }
            return .target(accessor)
        case .values:
            guard case .list(let elements, _) = node else { throw wrong("a list in brackets: [a, b]") }
            return .values(try elements.map { try expression($0) })
        case .pattern:
            let expression = try expression(node)
            guard expression.kind.can(be: .string) else { throw wrong("a regular expression in quotes") }
            guard case .string(let text)? = expression.literal else { return .pattern(Pattern(expression)) }
            do {
                return .pattern(try Pattern(String(decoding: text, as: UTF8.self)))
            } catch {
                throw OTTLError("\(function): \(parameter.name): \(error)", at: node.offset)
            }
        case .function:
            return .function(try reference(node, function, parameter))
        case .string, .int, .double, .bool, .strings, .doubles:
            return try literal(node, parameter, wrong)
        }
    }

    private func literal(_ node: Node, _ parameter: Parameter, _ wrong: (String) -> OTTLError) throws -> Argument {
        let value = try expression(node).literal
        switch (parameter.kind, value) {
        case (.string, .string(let text)?): return .string(String(decoding: text, as: UTF8.self))
        case (.int, .int(let value)?): return .int(value)
        case (.double, .double(let value)?): return .double(value)
        case (.double, .int(let value)?): return .double(Double(value))
        case (.bool, .bool(let value)?): return .bool(value)
        case (.strings, .array(let elements)?):
            return .strings(
                try elements.map { element in
                    guard let text = element.string else { throw wrong("a list of strings") }
                    return text
                })
        case (.doubles, .array(let elements)?):
            return .doubles(
                try elements.map { element in
                    switch element {
                    case .double(let value): return value
                    case .int(let value): return Double(value)
                    default: throw wrong("a list of numbers")
                    }
                })
        case (.string, _): throw wrong("a string in quotes")
        case (.int, _): throw wrong("an int")
        case (.double, _): throw wrong("a number")
        case (.bool, _): throw wrong("true or false")
        case (.strings, _): throw wrong("a list of strings in brackets: [\"a\", \"b\"]")
        default: throw wrong("a list of numbers in brackets: [1.0, 2.0]")
        }
    }

    /// A converter given by name: applied to what the frame offers as its input.
    private func reference(_ node: Node, _ function: String, _ parameter: Parameter) throws -> Expression {
        guard case .name(let name, let offset) = node else {
            throw OTTLError(
                "\(function): \(parameter.name) must be the name of a converter, such as SHA256", at: node.offset)
        }
        guard let converter = Functions.converters[name] else {
            throw unknown(CallNode(name: name, arguments: [], keys: [], offset: offset))
        }
        guard let first = converter.parameters.first, case .value(let kind) = first.kind, kind.can(be: .string),
            converter.parameters.dropFirst().allSatisfy(\.isOptional)
        else { throw OTTLError("\(function): \(name) does not make one string into another", at: offset) }
        var arguments: [Argument] = [.value(Expression(.string) { $0.functionInput })]
        for _ in converter.parameters.dropFirst() { arguments.append(.absent) }
        let bound = Arguments(
            function: name, arguments: arguments, names: converter.parameters.map(\.name),
            offsets: [Int](repeating: offset, count: arguments.count))
        return Expression(converter.kind, try converter.make(bound))
    }
}
