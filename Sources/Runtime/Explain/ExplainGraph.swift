import AlloySyntax
import ComponentKit

/// The graph of all modules at one moment, as far as following an item through it needs.
struct ExplainGraph: Sendable {
    /// Where a block uses another node of its module.
    struct Use: Sendable {
        /// The node used, by place in ``ExplainGraph/nodes``.
        var target: Int
        /// The exported field: `output`.
        var field: String
        /// The attribute of the block that the use stands in, or the block within it.
        var attribute: String
        var range: SourceRange
        /// Whether the field is a list: what targets travel in.
        var isList: Bool
        /// Whether nobody knows the field's value, which is no receiver.
        var isUnknown: Bool
    }

    enum Kind: Sendable, Equatable {
        case component, custom, foreach, argument, export, other
    }

    struct Node: Sendable {
        var id: String
        var moduleID: String
        var name: String
        var label: String
        var kind: Kind
        var block: BlockStatement
        var instance: (any ComponentInstance)?
        var uses: [Use] = []
        /// Nodes of the module that use this one.
        var users: [Int] = []
        /// The custom component or `foreach` whose module the node is in.
        var owner: Int?
        var modules: [String] = []
        /// Why the block has no good arguments; empty when it has.
        var problem = ""
    }

    var nodes: [Node] = []
    /// Places by full ID.
    var places: [String: Int] = [:]

    func node(_ id: String) -> Node? { places[id].map { nodes[$0] } }

    func place(_ localID: String, in moduleID: String) -> Int? {
        places[moduleID.isEmpty ? localID : moduleID + "/" + localID]
    }
}

extension Supervisor {
    /// The nodes as they are now.
    func explainGraph() -> ExplainGraph {
        var states: [NodeState] = []
        root.collect(into: &states)
        var graph = ExplainGraph()
        var places: [ObjectIdentifier: Int] = [:]
        for (place, state) in states.enumerated() {
            places[ObjectIdentifier(state)] = place
            graph.places[state.record.globalID] = place
            graph.nodes.append(
                ExplainGraph.Node(
                    id: state.record.globalID, moduleID: state.module.id, name: state.node.block.name,
                    label: state.node.label, kind: state.explainKind, block: state.node.block,
                    instance: state.instance, owner: state.module.owner.flatMap { places[ObjectIdentifier($0)] },
                    modules: state.children.map(\.module.id), problem: state.problem))
        }
        for (place, state) in states.enumerated() {
            for reference in state.node.references {
                let target = state.module.nodes[reference.target]
                guard let targetPlace = places[ObjectIdentifier(target)] else { continue }
                let field = reference.field.first ?? ""
                let carriesData = target.carriesData(reference.field)
                var isList = false
                if case .array? = target.exported?.objectFields?[field] { isList = true }
                graph.nodes[place].uses.append(
                    ExplainGraph.Use(
                        target: targetPlace, field: field,
                        attribute: state.node.block.body.name(at: reference.range), range: reference.range,
                        isList: isList, isUnknown: target.isPending && !carriesData))
                if graph.nodes[targetPlace].users.last != place { graph.nodes[targetPlace].users.append(place) }
            }
        }
        return graph
    }
}

extension NodeState {
    fileprivate var explainKind: ExplainGraph.Kind {
        switch node.kind {
        case .component: .component
        case .custom: .custom
        case .foreach: .foreach
        case .argument: .argument
        case .export: .export
        default: .other
        }
    }

    /// What was wrong at the last evaluation.
    fileprivate var problem: String {
        let health = record.snapshot.evaluation.health
        return health.state == .unhealthy ? health.message : ""
    }
}

extension Body {
    /// The name of the statement that holds `range`.
    fileprivate func name(at range: SourceRange) -> String {
        for statement in statements where statement.range.isKnown && statement.range.contains(range) {
            switch statement {
            case .attribute(let attribute): return attribute.name.name
            case .block(let block): return block.name
            }
        }
        return ""
    }
}
