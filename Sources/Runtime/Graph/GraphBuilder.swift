package import AlloySyntax
import ComponentKit

/// What a configuration may use.
package struct FeatureGates: Sendable {
    /// The least settled features that may be used (`--stability.level`).
    package var minimumStability: Stability
    /// `--feature.community-components.enabled`.
    package var allowsCommunityComponents: Bool
    /// How many nodes one process may have, custom components unfolded.
    package var maximumNodes: Int

    package init(
        minimumStability: Stability = .generallyAvailable, allowsCommunityComponents: Bool = false,
        maximumNodes: Int = 250_000
    ) {
        self.minimumStability = minimumStability
        self.allowsCommunityComponents = allowsCommunityComponents
        self.maximumNodes = maximumNodes
    }
}

/// Makes the graph of one module from its statements, or says everything that is wrong with it.
///
/// Names, messages and what counts as a reference agree with grafana/alloy `internal/runtime/internal/controller`.
/// Deviations: a cycle is named in the order of its edges with a note per edge; unknown names come with a suggestion.
struct GraphBuilder {
    /// What was built. The graph is usable only when there is no error.
    struct Result {
        var graph: Graph
        var declares: DeclareScope
        var diagnostics: Diagnostics
    }

    private let registry: ComponentRegistry
    private let gates: FeatureGates
    /// Names that are no nodes: variables of the module and the standard library.
    private let scope: Scope
    private let enclosing: DeclareScope?
    private let isModule: Bool
    /// The arguments the module is given; nil when that is not to be checked.
    private let givenArguments: Set<String>?

    private var graph = Graph()
    private var diagnostics = DiagnosticCollector()
    private var spelling = SpellingAdvisor()
    /// Where blocks that may be given once were given.
    private var definitions: [String: Definition] = [:]
    private var namespaces: [String: DeclareScope?] = [:]

    init(
        registry: ComponentRegistry, gates: FeatureGates, scope: Scope, enclosing: DeclareScope? = nil,
        isModule: Bool = false, givenArguments: Set<String>? = nil
    ) {
        self.registry = registry
        self.gates = gates
        self.scope = scope
        self.enclosing = enclosing
        self.isModule = isModule
        self.givenArguments = givenArguments
    }

    /// Builds the graph of all bodies together.
    static func build(
        _ bodies: [Body], registry: ComponentRegistry, gates: FeatureGates, scope: Scope,
        enclosing: DeclareScope? = nil, isModule: Bool = false, givenArguments: Set<String>? = nil
    ) -> Result {
        var builder = GraphBuilder(
            registry: registry, gates: gates, scope: scope, enclosing: enclosing, isModule: isModule,
            givenArguments: givenArguments)
        return builder.build(bodies)
    }

    private mutating func build(_ bodies: [Body]) -> Result {
        var blocks: [BlockStatement] = []
        for body in bodies {
            for statement in body.statements {
                switch statement {
                case .attribute(let attribute):
                    diagnostics.error("unrecognized attribute \(attribute.name.name)", attribute.name.range)
                case .block(let block): blocks.append(block)
                }
            }
        }
        if blocks.count > gates.maximumNodes {
            diagnostics.error("more than \(gates.maximumNodes) blocks in one configuration", blocks[0].nameRange)
            return Result(graph: .empty, declares: DeclareScope(parent: enclosing), diagnostics: diagnostics.all)
        }
        collectCustomComponents(blocks)
        let declares = DeclareScope(
            parent: enclosing, variables: scope.variables, declares: definitions, imports: namespaces)
        for block in blocks { addNode(block, declares) }
        checkArguments()
        let edges = wire()
        if !graph.connect(edges) { reportCycles(edges) }
        return Result(graph: graph, declares: declares, diagnostics: diagnostics.all)
    }

    // MARK: Nodes

    private mutating func collectCustomComponents(_ blocks: [BlockStatement]) {
        for block in blocks {
            guard let label = block.label else { continue }
            if block.nameParts == ["declare"], definitions[label] == nil {
                definitions[label] = Definition(name: label, body: block.body)
            } else if ImportKind(blockName: block.name) != nil {
                namespaces[label] = .some(nil)
            }
        }
    }

    private mutating func addNode(_ block: BlockStatement, _ declares: DeclareScope) {
        guard let (kind, type) = kind(of: block, declares) else { return }
        let id = block.label.map { block.name + "." + $0 } ?? block.name
        if let place = graph.places[id] {
            let earlier = graph.nodes[place].block.nameRange.startPosition
            let isService = id == "http" || id == "livedebugging"
            diagnostics.error(
                isService ? "duplicate definition of \"\(id)\"" : "block \(id) already declared at \(earlier)",
                block.nameRange.union(block.labelRange))
            return
        }
        graph.append(Graph.Node(id: id, kind: kind, typeName: type, label: block.label ?? "", block: block))
    }

    /// What a block is; nil, with a diagnostic, when it may not stand here.
    private mutating func kind(of block: BlockStatement, _ declares: DeclareScope) -> (Graph.Kind, String)? {
        let name = block.name
        if let config = configKind(of: block, name) { return config.map { ($0, name) } }
        if declares.isCustom(block.nameParts[0]) {
            guard requireLabel(block, "component") else { return nil }
            let isNamespaced = block.nameParts.count > 1
            return (
                .custom(
                    namespace: isNamespaced ? block.nameParts[0] : nil,
                    name: block.nameParts.dropFirst(isNamespaced ? 1 : 0).joined(separator: ".")),
                "custom " + name
            )
        }
        guard let type = registry[name] else {
            let candidates = { registry.names + declares.names + GraphBuilder.configBlockNames }
            diagnostics.error(
                "cannot find the definition of component name \"\(name)\"", block.nameRange,
                notes: spelling.note(for: name, key: "components", among: candidates))
            return nil
        }
        let spec = type.spec
        if spec.isCommunity, !gates.allowsCommunityComponents {
            diagnostics.error(
                "the component \"\(name)\" is a community component. Use the --feature.community-components.enabled "
                    + "command-line flag to enable community components", block.nameRange)
            return nil
        }
        // Community components have no stability of their own.
        if !spec.isCommunity,
            let refusal = spec.stability.refusal(of: "component \"\(name)\"", minimum: gates.minimumStability)
        {
            diagnostics.error(refusal, block.nameRange)
            return nil
        }
        if spec.isSingleton {
            guard refuseLabel(block, "component") else { return nil }
        } else {
            guard requireLabel(block, "component") else { return nil }
        }
        return (.component(type), name)
    }

    private static let configBlockNames = [
        "argument", "declare", "export", "foreach", "http", "import.file", "import.git", "import.http",
        "import.string", "livedebugging", "logging", "remotecfg", "tracing",
    ]

    /// The kind of a configuration block: nil when it is none, `.some(nil)` when it is refused.
    private mutating func configKind(of block: BlockStatement, _ name: String) -> Graph.Kind?? {
        switch name {
        case "declare":
            guard requireLabel(block, "block") else { return .some(nil) }
            if block.label == "declare" {
                diagnostics.error("'declare' is not a valid label for a declare block", block.range)
                return .some(nil)
            }
            return .declare
        case "argument", "export":
            guard requireLabel(block, "block") else { return .some(nil) }
            if !isModule {
                diagnostics.error("\(name) blocks only allowed inside a module", block.range)
                return .some(nil)
            }
            return name == "argument" ? .argument : .export
        case "logging", "tracing":
            guard refuseLabel(block, "block") else { return .some(nil) }
            if isModule {
                diagnostics.error("\(name) block not allowed inside a module", block.range)
                return .some(nil)
            }
            return name == "logging" ? .logging : .tracing
        case "http", "livedebugging", "remotecfg":
            guard refuseLabel(block, "block") else { return .some(nil) }
            if isModule {
                diagnostics.error("service blocks not allowed inside a module: \"\(name)\"", block.range)
                return .some(nil)
            }
            if name == "remotecfg" {
                diagnostics.error("block \"remotecfg\" is not supported", block.nameRange)
                return .some(nil)
            }
            return name == "http" ? .http : .liveDebugging
        case "foreach":
            guard requireLabel(block, "block") else { return .some(nil) }
            let feature = "config block \"foreach\""
            if let refusal = Stability.experimental.refusal(of: feature, minimum: gates.minimumStability) {
                diagnostics.error(refusal, block.range)
                return .some(nil)
            }
            return .foreach
        default:
            guard let kind = ImportKind(blockName: name) else { return nil }
            guard requireLabel(block, "block") else { return .some(nil) }
            if let refusal = kind.refusal {
                diagnostics.error(refusal, block.nameRange)
                return .some(nil)
            }
            return .importing(kind)
        }
    }

    private mutating func requireLabel(_ block: BlockStatement, _ what: String) -> Bool {
        if block.label != nil { return true }
        diagnostics.error("\(what) \"\(block.name)\" must have a label", block.nameRange)
        return false
    }

    private mutating func refuseLabel(_ block: BlockStatement, _ what: String) -> Bool {
        if block.label == nil { return true }
        diagnostics.error("\(what) \"\(block.name)\" does not support specifying labels", block.labelRange)
        return false
    }

    private mutating func checkArguments() {
        guard isModule, let givenArguments else { return }
        for name in givenArguments.sorted() where graph.places["argument." + name] == nil {
            let known = { [nodes = graph.nodes] in
                nodes.compactMap { if case .argument = $0.kind { $0.label } else { nil } }
            }
            diagnostics.error(
                "Provided argument \"\(name)\" is not defined in the module", .unknown,
                notes: spelling.note(for: name, key: "arguments", among: known))
        }
    }

    // MARK: Edges

    /// Resolves all references; the result has the dependencies of each node.
    private mutating func wire() -> [[Int]] {
        var edges: [[Int]] = []
        edges.reserveCapacity(graph.nodes.count)
        // IDs of more names than any node has need not be tried.
        let longest = min(graph.nodes.map { $0.block.nameParts.count + 1 }.max() ?? 0, 32)
        for place in graph.nodes.indices {
            let node = graph.nodes[place]
            var targets: [Int] = []
            switch node.kind {
            case .declare:
                // A declare block does nothing when evaluated; its edges are there to find recursion.
                edges.append(customComponents(in: node.block.body))
                continue
            case .custom(let namespace, let name):
                if let namespace, let target = importNode(namespace) {
                    targets.append(target)
                } else if namespace == nil, let target = graph.places["declare." + name] {
                    targets.append(target)
                }
            case .foreach: targets += customComponents(in: node.block.body)
            default: break
            }
            let references = resolve(node, longest)
            graph.nodes[place].references = references
            edges.append(targets + references.map(\.target))
        }
        return edges
    }

    private func importNode(_ namespace: String) -> Int? {
        guard namespaces[namespace] != nil else { return nil }
        for kind in ImportKind.allCases {
            if let place = graph.places[kind.blockName + "." + namespace] { return place }
        }
        return nil
    }

    /// The declare and import nodes whose components a body makes, at any depth of declares.
    private func customComponents(in body: Body) -> [Int] {
        var places: [Int] = []
        for case .block(let block) in body.statements {
            let first = block.nameParts[0]
            if block.name == "declare" || block.name == "template" || block.name == "foreach" {
                places += customComponents(in: block.body)
            } else if definitions[first] != nil, let place = graph.places["declare." + first] {
                places.append(place)
            } else if let place = importNode(first) {
                places.append(place)
            }
        }
        return places
    }

    private mutating func resolve(_ node: Graph.Node, _ longest: Int) -> [Graph.Reference] {
        var found: [Graph.Reference] = []
        for reference in References.collect(in: node.block.body) {
            if let (target, count) = target(of: reference, longest) {
                found.append(
                    Graph.Reference(
                        target: target, field: reference.parts.dropFirst(count).map(\.name), range: reference.range))
                continue
            }
            let first = reference.parts[0].name
            guard scope.lookup(first) != nil else {
                // What a template refers to may be inside the template: its own graph tells.
                if case .foreach = node.kind { continue }
                diagnostics.error(
                    "component \"\(reference.path)\" does not exist or is out of scope", reference.range,
                    notes: suggestion(for: reference))
                continue
            }
            guard scope.variable(first) == nil else { continue }
            if let better = StandardLibrary.replacement(forDeprecated: first), reference.parts.count == 1 {
                diagnostics.warning(
                    "function \"\(first)\" is deprecated", reference.range, notes: ["use \"\(better)\" instead"])
            } else if let refusal = scope.standardLibrary.refusal(of: reference.path) {
                diagnostics.error(refusal, reference.range)
            }
        }
        return found
    }

    /// The node an expression refers to, and how many of the names are its ID.
    private func target(of reference: AlloySyntax.Reference, _ longest: Int) -> (place: Int, count: Int)? {
        var id = ""
        for (index, part) in reference.parts.prefix(longest).enumerated() {
            id += index == 0 ? part.name : "." + part.name
            if let place = graph.places[id] { return (place, index + 1) }
        }
        return nil
    }

    private mutating func suggestion(for reference: AlloySyntax.Reference) -> [String] {
        for count in (2...4).reversed() where reference.parts.count >= count {
            let written = reference.parts.prefix(count).map(\.name).joined(separator: ".")
            let candidates = { [nodes = graph.nodes] in
                nodes.lazy.filter { $0.block.nameParts.count == count - 1 && !$0.label.isEmpty }.map(\.id)
            }
            let note = spelling.note(for: written, key: "nodes \(count)", among: { Array(candidates()) })
            if !note.isEmpty { return note }
        }
        return []
    }

    private mutating func reportCycles(_ edges: [[Int]]) {
        for cycle in CycleFinder(edges: edges).cycles() {
            let names = cycle.map { graph.nodes[$0].id }
            let range = graph.nodes[cycle[0]].block.nameRange
            if cycle.count == 1 {
                diagnostics.error("self reference: \(names[0])", range)
                continue
            }
            let shown = names.prefix(20)
            var notes: [String] = []
            for (index, name) in shown.enumerated() {
                notes.append("\(name) refers to \(names[(index + 1) % names.count])")
            }
            let more = names.count > shown.count ? " and \(names.count - shown.count) more" : ""
            diagnostics.error("cycle: \(shown.joined(separator: ", "))\(more)", range, notes: notes)
        }
    }
}
