package import TextFormats

/// A JMESPath expression, compiled: the language of the JMESPath Community specification (jmespath.site), which adds
/// arithmetic, `let`, `$` and string functions to the original.
package struct JMESPath: Sendable {
    let text: String
    let root: Node

    /// The keys, when the expression only steps from object to object by name.
    let keys: [String]?

    /// Compiles an expression.
    package init(_ text: String) throws(JMESPathError) {
        self.text = text
        var parser = try JMESPathParser(text)
        root = try parser.parse()
        keys = root.keys
    }

    /// What the expression finds in `document`.
    package func search(_ document: JSONValue) throws(JMESPathError) -> JSONValue {
        var evaluation = JMESPathEvaluation(document: document)
        return try evaluation.value(of: root, at: document)
    }

    indirect enum Node: Sendable, Equatable {
        case current
        case root
        case literal(JSONValue)
        case field(String)
        case variable(String)
        case index(Int)
        case slice(start: Int?, stop: Int?, step: Int?)
        /// The second is evaluated on the first unless that is null.
        case sub(Node, Node)
        case pipe(Node, Node)
        case or(Node, Node)
        case and(Node, Node)
        case not(Node)
        case compare(Comparison, Node, Node)
        case arithmetic(Arithmetic, Node, Node)
        case negative(Node)
        case positive(Node)
        case list([Node])
        case hash([Entry])
        case flatten(Node)
        /// The elements of the first, each through the second.
        case projection(Node, Node)
        case valueProjection(Node, Node)
        case filter(Node, condition: Node, Node)
        case call(String, [Node])
        case expression(Node)
        case bind([Entry], Node)

        /// The names of a chain of fields.
        fileprivate var keys: [String]? {
            switch self {
            case .field(let name): return [name]
            case .sub(let left, let right):
                guard let before = left.keys, let after = right.keys else { return nil }
                return before + after
            default: return nil
            }
        }
    }

    struct Entry: Sendable, Equatable {
        var name: String
        var node: Node
    }

    enum Comparison: Sendable { case equal, notEqual, less, lessOrEqual, greater, greaterOrEqual }
    enum Arithmetic: Sendable { case plus, minus, multiply, divide, modulo, floorDivide }
}

/// What is wrong with an expression or its use.
package struct JMESPathError: Error, Sendable, CustomStringConvertible {
    let message: String
    init(_ message: String) { self.message = message }
    package var description: String { message }
}
