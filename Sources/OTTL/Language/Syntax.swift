/// A value of a statement as written.
indirect enum Node {
    case none(Int)
    case bool(Bool, Int)
    case int(Int64, Int)
    case double(Double, Int)
    case string([UInt8], Int)
    case bytes([UInt8], Int)
    case list([Node], Int)
    case map([(key: [UInt8], value: Node)], Int)
    case path(PathNode)
    case call(CallNode)
    /// An upper-case word that is not called: an enumeration's symbol or the name of a function.
    case name(String, Int)
    case math(MathOperator, Node, Node, Int)
    case negative(Node, Int)

    /// Byte of the statement it begins at.
    var offset: Int {
        switch self {
        case .none(let offset), .bool(_, let offset), .int(_, let offset), .double(_, let offset),
            .string(_, let offset), .bytes(_, let offset), .list(_, let offset), .map(_, let offset),
            .name(_, let offset), .math(_, _, _, let offset), .negative(_, let offset):
            offset
        case .path(let path): path.offset
        case .call(let call): call.offset
        }
    }
}

/// `span.attributes["a"][0]`.
struct PathNode {
    struct Segment {
        var name: String
        var keys: [Node]
        var offset: Int
    }

    var segments: [Segment]
    var offset: Int

    /// The path as people write it, keys left out.
    var text: String {
        segments.map { $0.keys.isEmpty ? $0.name : $0.name + "[...]" }.joined(separator: ".")
    }
}

/// `Name(a, b, c = d)["key"]`.
struct CallNode {
    struct Argument {
        /// Set for `name = value`.
        var name: String?
        var value: Node
    }

    var name: String
    var arguments: [Argument]
    var keys: [Node]
    var offset: Int
}

/// A condition as written.
indirect enum ConditionNode {
    case any([ConditionNode])
    case all([ConditionNode])
    case not(ConditionNode)
    case constant(Bool)
    case comparison(ComparisonOperator, Node, Node, Int)
    case call(CallNode)
}

/// An editor with the condition it runs under.
struct StatementNode {
    var editor: CallNode
    var condition: ConditionNode?
}
