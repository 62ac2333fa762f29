import AlloySyntax
import ComponentKit
import Essentials

/// One module as it runs: the root configuration, an instance of a custom component, or an item of a `foreach`.
///
/// Confined to the supervisor.
final class ModuleState {
    /// The path of IDs that leads to the module; empty for the root.
    let id: String
    /// The node that made the module.
    weak let owner: NodeState?
    /// What components in the module are given.
    let services: EngineServices
    let metrics: ControllerMetrics?
    var graph = Graph.empty
    /// As in the graph.
    var nodes: [NodeState] = []
    var declares = DeclareScope()
    var scope: Scope
    /// What the module was given; nil when it takes no arguments.
    var arguments: [String: Value]?
    /// The definition it is an instance of.
    var definition: Definition?
    /// The scope the module's names end in.
    var enclosing: DeclareScope?

    init(
        id: String, owner: NodeState?, services: EngineServices, scope: Scope, metrics: ControllerMetrics?
    ) {
        self.id = id
        self.owner = owner
        self.services = services
        self.scope = scope
        self.metrics = metrics
    }

    /// What the module exports, by label.
    var exports: Value {
        var pairs: [(String, Value)] = []
        for node in nodes {
            if case .export = node.node.kind, let value = node.exported { pairs.append((node.node.label, value)) }
        }
        return .object(ObjectValue(ordered: pairs))
    }

    /// Whether something the module exports is not known yet.
    var hasPendingExport: Bool {
        nodes.contains { node in
            if case .export = node.node.kind { return node.isPending }
            return false
        }
    }

    /// The scope in which a node's expressions are evaluated: what it refers to, and nothing else.
    func scope(for node: NodeState) -> Scope {
        guard !node.node.references.isEmpty else { return scope }
        return Scope(variables: variables(for: node), parent: scope)
    }

    /// The values of the nodes a node refers to, nested by the parts of their IDs; with a range, only of those it refers to
    /// there.
    func variables(for node: NodeState, within range: SourceRange? = nil) -> [String: Value] {
        let tree = NameTree()
        var references = node.node.references
        if let range { references.removeAll { !range.contains($0.range) } }
        for target in Set(references.map(\.target)) {
            let referred = nodes[target]
            var parts = referred.node.block.nameParts
            if !referred.node.label.isEmpty { parts.append(referred.node.label) }
            tree.insert(referred.exported ?? .object(ObjectValue()), at: parts)
        }
        return tree.variables
    }

    /// Whether a node depends on something that has not been exported yet. Receivers are known from the beginning.
    func hasPendingInput(_ node: NodeState) -> Bool {
        node.node.references.contains { reference in
            nodes[reference.target].isPending && !nodes[reference.target].carriesData(reference.field)
        }
    }

    /// All nodes of the module in groups that may stop together.
    func stopOrders() -> [[StopOrder]] {
        stopOrders(GraphPlanner.stopGroups(of: Set(nodes.map(\.node.id)), in: graph.outline))
    }

    func stopOrders(_ groups: [[String]]) -> [[StopOrder]] {
        groups.map { group in group.compactMap { id in graph.places[id].map { nodes[$0].stopOrder } } }
    }

    /// The module's nodes and those of the modules inside.
    func collect(into all: inout [NodeState]) {
        for node in nodes {
            all.append(node)
            for child in node.children { child.module.collect(into: &all) }
        }
    }
}

/// One node as it runs. Confined to the supervisor.
final class NodeState {
    /// The module a `foreach` made for one item, or a custom component for itself.
    struct Child {
        let id: String
        let module: ModuleState
    }

    var node: Graph.Node
    let record: NodeRecord
    unowned let module: ModuleState
    /// What expressions see; nil until the node was evaluated.
    var exported: Value?
    /// The version of the record's exports that `exported` is of.
    var seenVersion: UInt64 = 0
    var run: NodeRun?
    var instance: (any ComponentInstance)?
    var children: [Child] = []
    /// Whether what is exported is not known yet, because the component or something it depends on has not exported.
    /// Dependants that run keep their arguments meanwhile.
    var isPending = false

    init(_ node: Graph.Node, record: NodeRecord, module: ModuleState) {
        self.node = node
        self.record = record
        self.module = module
    }

    var stopOrder: StopOrder {
        StopOrder(
            record: record, run: run, instance: instance, inside: children.map { $0.module.stopOrders() })
    }
}

/// Values by dotted name, on their way to becoming variables.
private final class NameTree {
    private var value: Value?
    private var children: [String: NameTree] = [:]

    /// Puts a value at a path; a shorter path that has a value keeps it.
    func insert(_ value: Value, at path: [String]) {
        var current = self
        for part in path {
            if let next = current.children[part] {
                current = next
            } else {
                let next = NameTree()
                current.children[part] = next
                current = next
            }
        }
        current.value = value
    }

    var variables: [String: Value] { children.mapValues(\.object) }

    private var object: Value {
        if let value { return value }
        return .object(children.mapValues(\.object))
    }
}

extension SourceRange {
    /// Whether `other` lies within this range; true of unknown ranges.
    func contains(_ other: SourceRange) -> Bool {
        guard let file, let theirs = other.file else { return true }
        return file === theirs && start <= other.start && other.end <= end
    }
}
