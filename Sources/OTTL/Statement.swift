package import Telemetry
package import Wire

/// A compiled statement: an editor and the condition it runs under.
package struct OTTLStatement: Sendable {
    /// The statement as written.
    package let text: String
    package let context: OTTLContext
    private let condition: (@Sendable (OTTLFrame) throws -> Bool)?
    private let editor: @Sendable (OTTLFrame) throws -> Void

    /// Compiles `text` for a context. `requiresPrefix` refuses paths that do not begin with a context's name.
    ///
    /// Throws what is wrong and where in the statement it is.
    package init(_ text: String, in context: OTTLContext, requiresPrefix: Bool = false) throws(OTTLError) {
        let compiler = Compiler(context: context, requiresPrefix: requiresPrefix)
        self.text = text
        self.context = context
        (editor, condition) = try locating(text) {
            var parser = try Parser(text)
            let node = try parser.statement()
            return (try compiler.editor(node.editor), try node.condition.map { try compiler.condition($0) })
        }
    }

    /// Runs the editor when the condition holds; whether it did. Throws ``OTTLError`` when one could not be computed.
    @discardableResult
    @inline(__always)
    package func run(_ frame: OTTLFrame) throws -> Bool {
        if let condition, try !condition(frame) { return false }
        try editor(frame)
        return true
    }
}

/// A compiled condition.
package struct OTTLCondition: Sendable {
    /// The condition as written.
    package let text: String
    package let context: OTTLContext
    private let condition: @Sendable (OTTLFrame) throws -> Bool

    /// Compiles `text` for a context, as ``OTTLStatement/init(_:in:requiresPrefix:)``.
    package init(_ text: String, in context: OTTLContext, requiresPrefix: Bool = false) throws(OTTLError) {
        let compiler = Compiler(context: context, requiresPrefix: requiresPrefix)
        self.text = text
        self.context = context
        condition = try locating(text) {
            var parser = try Parser(text)
            return try compiler.condition(try parser.condition())
        }
    }

    /// Whether the condition holds. Throws ``OTTLError`` when it could not be computed.
    @inline(__always)
    package func holds(_ frame: OTTLFrame) throws -> Bool { try condition(frame) }
}

/// A compiled expression whose value is a number.
package struct OTTLNumberExpression: Sendable {
    /// The expression as written.
    package let text: String
    private let evaluate: @Sendable (OTTLFrame) throws -> Datum

    /// Compiles `text` for a context, as ``OTTLStatement/init(_:in:requiresPrefix:)``.
    package init(_ text: String, in context: OTTLContext) throws(OTTLError) {
        let compiler = Compiler(context: context, requiresPrefix: false)
        self.text = text
        evaluate = try locating(text) {
            var parser = try Parser(text)
            return try compiler.expression(try parser.valueExpression()).evaluate
        }
    }

    /// The number; throws ``OTTLError`` when it could not be computed or is none.
    package func number(_ frame: OTTLFrame) throws -> OTLPNumber {
        switch try evaluate(frame) {
        case .int(let value), .duration(let value): return .int(value)
        case .double(let value): return .double(value)
        default: throw OTTLError("\(text) is no number")
        }
    }
}

private func locating<Result>(_ text: String, _ body: () throws -> Result) throws(OTTLError) -> Result {
    do {
        return try body()
    } catch let error as OTTLError {
        throw error.located(in: text)
    } catch {
        throw OTTLError("\(error)").located(in: text)
    }
}

extension OTTLContext {
    /// The innermost context whose fields or functions the statements name: where they run when no context is given.
    package static func inferred(
        fromStatements statements: [String], conditions: [String] = [], for kind: OTLPBatch.Kind
    ) throws(OTTLError) -> OTTLContext {
        var used: Set<OTTLContext> = []
        for text in statements {
            try locating(text) {
                var parser = try Parser(text)
                let node = try parser.statement()
                collect(.call(node.editor), &used)
                if let condition = node.condition { collect(condition: condition, &used) }
            }
        }
        for text in conditions {
            try locating(text) {
                var parser = try Parser(text)
                collect(condition: try parser.condition(), &used)
            }
        }
        let known = contexts(of: kind)
        guard let innermost = known.last(where: { used.contains($0) }) else {
            let names = known.map { "\($0.rawValue).attributes" }.joined(separator: ", ")
            throw OTTLError("no path names a context: write \(names), or give the context")
                .located(in: statements.first ?? conditions.first ?? "")
        }
        return innermost
    }

    private static func collect(_ node: Node, _ used: inout Set<OTTLContext>) {
        switch node {
        case .path(let path):
            let first = path.segments[0].name
            if let context = OTTLContext(rawValue: first == "instrumentation_scope" ? "scope" : first) {
                used.insert(context)
            }
            for segment in path.segments { for key in segment.keys { collect(key, &used) } }
        case .call(let call):
            let contexts = Functions.editors[call.name]?.contexts ?? Functions.converters[call.name]?.contexts
            if let only = contexts, let first = only.first { used.insert(first) }
            for argument in call.arguments { collect(argument.value, &used) }
            for key in call.keys { collect(key, &used) }
        case .list(let elements, _): for element in elements { collect(element, &used) }
        case .map(let entries, _): for entry in entries { collect(entry.value, &used) }
        case .math(_, let left, let right, _):
            collect(left, &used)
            collect(right, &used)
        case .negative(let inner, _): collect(inner, &used)
        case .none, .bool, .int, .double, .string, .bytes, .name: break
        }
    }

    private static func collect(condition node: ConditionNode, _ used: inout Set<OTTLContext>) {
        switch node {
        case .any(let parts), .all(let parts): for part in parts { collect(condition: part, &used) }
        case .not(let inner): collect(condition: inner, &used)
        case .constant: break
        case .comparison(_, let left, let right, _):
            collect(left, &used)
            collect(right, &used)
        case .call(let call): collect(.call(call), &used)
        }
    }
}
