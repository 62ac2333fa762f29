import AlloySyntax
import ComponentKit
import Essentials
import SelfMetrics
import Telemetry

/// What a module is to become.
struct ModuleContent {
    var bodies: [Body]
    /// What expressions see besides nodes and the standard library.
    var variables: [String: Value]
    var enclosing: DeclareScope?
    var definition: Definition?
    /// Nil for the root, which takes none.
    var arguments: [String: Value]?
}

extension Supervisor {
    /// Modules may lie inside each other this deep.
    private static let depthLimit = 32

    // MARK: Modules

    /// Frees the memory that a leaving node and what is inside it demanded, so that what comes instead may have it.
    private func withdrawDemands(of node: NodeState) {
        node.instance?.withdrawDemand()
        var inner: [NodeState] = []
        for child in node.children { child.module.collect(into: &inner) }
        for node in inner { node.instance?.withdrawDemand() }
    }

    /// Makes a module what `content` says; false, with nothing changed, when that has structural errors.
    func reload(_ module: ModuleState, to content: ModuleContent, _ transition: Transition) async -> Bool {
        let scope = Scope(variables: content.variables, parent: rootScope)
        let built = GraphBuilder.build(
            content.bodies, registry: settings.registry, gates: settings.gates, scope: scope,
            enclosing: content.enclosing, isModule: content.arguments != nil,
            givenArguments: content.arguments.map { Set($0.keys) })
        transition.diagnostics.append(contentsOf: built.diagnostics)
        guard !built.diagnostics.hasErrors else { return false }
        transition.nodesMade += built.graph.nodes.count
        guard transition.nodesMade <= settings.gates.maximumNodes else {
            transition.diagnostics.error(
                "the configuration unfolds into more than \(settings.gates.maximumNodes) nodes",
                content.bodies.first?.statements.first?.range ?? .unknown)
            return false
        }

        let plan = GraphPlanner(running: module.graph.outline, wanted: built.graph.outline).plan()
        let leaving = module.stopOrders(plan.stopOrder)
        let replaced = Set(plan.replaced)
        let before = Dictionary(module.nodes.map { ($0.node.id, $0) }) { first, _ in first }
        module.nodes = built.graph.nodes.map { node in
            if let kept = before[node.id], !replaced.contains(node.id) {
                kept.node = node
                return kept
            }
            let record = NodeRecord(node, moduleID: module.id, clock: settings.services.clock, dirty: dirty)
            let made = NodeState(node, record: record, module: module)
            nodesByRecord[ObjectIdentifier(record)] = made
            return made
        }
        for id in plan.removed + plan.replaced {
            guard let gone = before[id] else { continue }
            nodesByRecord[ObjectIdentifier(gone.record)] = nil
            withdrawDemands(of: gone)
        }
        module.graph = built.graph
        module.declares = built.declares
        module.scope = scope
        module.arguments = content.arguments
        module.definition = content.definition
        module.enclosing = content.enclosing
        // What takes an ID over begins when its predecessor has stopped; everything else goes on while the old stops.
        let early = leaving.lastIndex { $0.contains { replaced.contains($0.record.localID) } }.map { $0 + 1 } ?? 0
        await stop(Array(leaving.prefix(early)))
        transition.stops += leaving.dropFirst(early)
        if !plan.added.isEmpty || !leaving.isEmpty || !plan.updated.isEmpty { transition.isStructural = true }

        for place in built.graph.order {
            let node = module.nodes[place]
            await waitForPredecessor(of: node)
            // Who sends is sent to new receivers when they can take what comes.
            if node.run != nil { await waitForReceivers(transition) }
            await evaluate(node, transition)
            await begin(node, transition)
        }
        return true
    }

    /// Evaluates the dependants of nodes whose exports may have changed, and theirs in turn.
    func evaluateDependants(of changed: [Int], in module: ModuleState, _ transition: Transition) async {
        var wave = Wave(module.graph)
        for place in changed where refresh(module.nodes[place]) { wave.insertDependants(of: place) }
        await run(&wave, in: module, transition)
    }

    /// Evaluates the given nodes, and what depends on them as far as exports change.
    func evaluateWave(from places: [Int], in module: ModuleState, _ transition: Transition) async {
        var wave = Wave(module.graph)
        for place in places { wave.insert(place) }
        await run(&wave, in: module, transition)
    }

    private func run(_ wave: inout Wave, in module: ModuleState, _ transition: Transition) async {
        while let place = wave.next() {
            module.metrics?.queueSize.set(wave.count)
            let node = module.nodes[place]
            if case .declare = node.node.kind {
                // It has no value of its own: it only passes on that what it uses has changed.
                wave.insertDependants(of: place)
                continue
            }
            let before = (node.exported, node.isPending)
            await evaluate(node, transition)
            if node.exported != before.0 || node.isPending != before.1 { wave.insertDependants(of: place) }
            if node.run == nil { transition.starts.append(node) }
        }
        module.metrics?.queueSize.set(0)
    }

    /// Takes over what a node exported by itself; true when that differs from what its dependants saw.
    private func refresh(_ node: NodeState) -> Bool {
        switch node.node.kind {
        case .custom:
            guard let child = node.children.first else { return false }
            let isPending = node.module.hasPendingInput(node) || child.module.hasPendingExport
            let wasPending = node.isPending
            node.isPending = isPending
            return publish(child.module.exports, of: node) || isPending != wasPending
        case .importing:
            guard let imported = node.record.imported else { return false }
            return install(imported, node)
        default:
            guard let instance = node.instance else { return false }
            let version = node.record.version
            guard version != node.seenVersion else { return false }
            node.seenVersion = version
            let value = instance.exportsValue
            let isPending = lacksExports(node, instance)
            guard value != node.exported || isPending != node.isPending else { return false }
            node.exported = value
            node.isPending = isPending
            return true
        }
    }

    /// Sets what expressions see of a node without an instance; true when it is new.
    private func publish(_ value: Value, of node: NodeState) -> Bool {
        guard value != node.exported else { return false }
        node.exported = value
        let shown = EffectiveValues(
            value.objectFields?.pairs.map { .attribute(name: $0.key, value: $0.value, isDefault: false) } ?? [])
        node.record.update { $0.exports = shown }
        return true
    }

    // MARK: Nodes

    /// Evaluates one node; what fails is told in the transition and in the node's health.
    func evaluate(_ node: NodeState, _ transition: Transition) async {
        let start = settings.services.clock.monotonicNanoseconds
        let scope = node.module.scope(for: node)
        var problems = Diagnostics()
        var success = "component evaluated"
        switch node.node.kind {
        case .component(let type): problems = await evaluateComponent(node, type, scope)
        case .custom(let namespace, let name):
            problems = await evaluateCustom(node, namespace, name, scope, transition)
        case .foreach:
            success = "foreach evaluated"
            problems = await evaluateForeach(node, scope, transition)
        case .importing(let kind):
            success = "source evaluated"
            problems = await evaluateImport(node, kind, scope)
        case .declare: return
        case .argument: problems = evaluateArgument(node, scope)
        case .export:
            let decoded = decode(ExportBlock.self, node, scope)
            problems = decoded.diagnostics
            node.isPending = node.module.hasPendingInput(node)
            if let block = decoded.value { node.exported = block.value }
        case .logging:
            let decoded = decode(LoggingBlock.self, node, scope)
            problems = decoded.diagnostics
            if let block = decoded.value {
                settings.logRouter?.configure(level: block.level, format: block.format, receivers: block.receivers)
            }
        case .tracing: problems = decode(TracingBlock.self, node, scope).diagnostics
        case .http:
            let decoded = decode(HTTPBlock.self, node, scope)
            problems = decoded.diagnostics
            if let block = decoded.value, block != settings.http.current { settings.http.replace(with: block) }
        case .liveDebugging:
            let decoded = decode(LiveDebuggingBlock.self, node, scope)
            problems = decoded.diagnostics
            if let block = decoded.value { settings.services.liveData.isEnabled = block.isEnabled }
        }
        let elapsed = settings.services.clock.elapsed(since: start)
        node.module.metrics?.evaluated(node.node.id, seconds: elapsed.seconds)
        log.debug("finished node evaluation", nil, [.nodeID: node.record.globalID])
        transition.diagnostics.append(contentsOf: problems)
        if let first = problems.items.first(where: { $0.severity == .error }) {
            node.record.evaluated(.unhealthy("component evaluation failed: \(first)"))
        } else {
            node.record.evaluated(.healthy(success))
        }
    }

    private func decode<B: Block>(
        _ type: B.Type, _ node: NodeState, _ scope: Scope, body: Body? = nil
    ) -> BlockDecoder.Result<B> {
        let block = node.node.block
        let decoded = BlockDecoder.decode(type, body: body ?? block.body, range: block.nameRange, in: scope)
        if decoded.value != nil { node.record.update { $0.arguments = decoded.values } }
        return decoded
    }

    private func evaluateComponent(
        _ node: NodeState, _ type: any Component.Type, _ scope: Scope
    ) async -> Diagnostics {
        if let run = unended(node) {
            return Diagnostics([
                Diagnostic(
                    .error, "\(run) of the configuration before has not stopped yet and may still use its files",
                    at: node.node.block.nameRange)
            ])
        }
        let instance: any ComponentInstance
        if let made = node.instance {
            instance = made
        } else {
            instance = type.makeInstance(
                id: node.record.globalID, label: node.node.label, services: node.module.services, observer: node.record)
            node.instance = instance
            node.record.update { $0.instance = instance }
        }
        if isRunning(node), instance.isMade, node.module.hasPendingInput(node) {
            // Not known yet is not the same as empty: what runs goes on with what it has.
            return instance.check(node.node.block, in: scope)
        }
        let evaluation = instance.evaluate(node.node.block, in: scope)
        if !settings.checksOnly { await instance.prepare() }
        node.seenVersion = node.record.version
        node.exported = instance.exportsValue
        node.isPending = lacksExports(node, instance)
        guard settings.checksOnly else { return evaluation.diagnostics }
        return UnknownValues(node).filter(evaluation.diagnostics)
    }

    /// Whether a node runs, so that new arguments would change what it does.
    private func isRunning(_ node: NodeState) -> Bool { node.run?.hasEnded == false }

    private func lacksExports(_ node: NodeState, _ instance: any ComponentInstance) -> Bool {
        if node.module.hasPendingInput(node) { return true }
        return instance.isMade && !instance.hasExported && !node.record.snapshot.isOverdue
    }

    private func evaluateArgument(_ node: NodeState, _ scope: Scope) -> Diagnostics {
        let decoded = decode(ArgumentBlock.self, node, scope)
        var problems = decoded.diagnostics
        let given = node.module.arguments?[node.node.label]
        if let given {
            _ = publish(.object(ObjectValue(ordered: [("value", given)])), of: node)
        } else if let block = decoded.value, block.isOptional {
            _ = publish(.object(ObjectValue(ordered: [("value", block.fallback)])), of: node)
        } else {
            problems.append(
                Diagnostic(
                    .error, "missing required argument \"\(node.node.label)\" to module", at: node.node.block.nameRange)
            )
        }
        return problems
    }

    // MARK: Custom components

    private func evaluateCustom(
        _ node: NodeState, _ namespace: String?, _ name: String, _ scope: Scope, _ transition: Transition
    ) async -> Diagnostics {
        let decoded = decode(CustomArguments.self, node, scope)
        var problems = decoded.diagnostics
        guard let given = decoded.value?.values else { return problems }
        let hasPendingInput = node.module.hasPendingInput(node)
        if hasPendingInput, isRunning(node), !node.children.isEmpty { return problems }
        guard let match = node.module.declares.definition(of: name, in: namespace) else {
            let known = Spelling.note(for: node.node.block.name, among: node.module.declares.names)
            problems.append(
                Diagnostic(
                    .error, "custom component \"\(node.node.block.name)\" is not declared",
                    at: node.node.block.nameRange,
                    notes: known.map { [$0] } ?? []))
            return problems
        }
        if let refusal = recursion(of: match.definition, at: node) {
            problems.append(refusal)
            return problems
        }
        let child: ModuleState
        if let existing = node.children.first {
            child = existing.module
        } else {
            child = makeModule(node.record.globalID, owner: node)
            node.children = [NodeState.Child(id: "", module: child)]
        }
        if child.definition === match.definition, child.enclosing === match.scope, let before = child.arguments {
            problems.append(contentsOf: await pass(given, replacing: before, to: child, node, transition))
        } else {
            let content = ModuleContent(
                bodies: [match.definition.body], variables: match.scope.variables, enclosing: match.scope,
                definition: match.definition, arguments: given)
            if await !reload(child, to: content, transition) {
                problems.append(
                    Diagnostic(
                        .error, "updating custom component: its definition has errors", at: node.node.block.nameRange))
            }
        }
        _ = publish(child.exports, of: node)
        node.isPending = hasPendingInput || child.hasPendingExport
        return problems
    }

    /// Gives a module new arguments and evaluates what uses them.
    private func pass(
        _ given: [String: Value], replacing before: [String: Value], to child: ModuleState, _ node: NodeState,
        _ transition: Transition
    ) async -> Diagnostics {
        var problems = Diagnostics()
        for name in given.keys.sorted() where child.graph.places["argument." + name] == nil {
            problems.append(
                Diagnostic(
                    .error, "Provided argument \"\(name)\" is not defined in the module", at: node.node.block.nameRange)
            )
        }
        guard problems.isEmpty else { return problems }
        let changed = Set(given.keys).union(before.keys).filter { given[$0] != before[$0] }
        child.arguments = given
        // What failed is tried again: its error belongs to this evaluation, too.
        var places = changed.compactMap { child.graph.places["argument." + $0] }
        for (place, inner) in child.nodes.enumerated()
        where inner.record.snapshot.evaluation.health.state == .unhealthy { places.append(place) }
        await evaluateWave(from: places, in: child, transition)
        return problems
    }

    /// Makes a module inside another. One that is not measured keeps its components' metrics to itself, too.
    private func makeModule(_ id: String, owner: NodeState, isMeasured: Bool = true) -> ModuleState {
        var services = owner.module.services
        guard isMeasured, owner.module.metrics != nil else {
            if owner.module.metrics != nil { services.metrics = MetricRegistry() }
            return ModuleState(id: id, owner: owner, services: services, scope: rootScope, metrics: nil)
        }
        return ModuleState(
            id: id, owner: owner, services: services, scope: rootScope,
            metrics: ControllerMetrics(services.metrics, moduleID: id))
    }

    /// Why `node` may not make an instance of `definition`: it is inside one already, or too deep.
    private func recursion(of definition: Definition, at node: NodeState) -> Diagnostic? {
        var path = [definition.name]
        var module: ModuleState? = node.module
        var depth = 0
        while let current = module {
            depth += 1
            if let around = current.definition {
                path.insert(around.name, at: 0)
                if around === definition {
                    return Diagnostic(
                        .error,
                        "custom component \"\(definition.name)\" contains itself: \(path.joined(separator: " > "))",
                        at: node.node.block.nameRange)
                }
            }
            module = current.owner?.module
        }
        guard depth > Supervisor.depthLimit else { return nil }
        return Diagnostic(
            .error, "custom components are nested more than \(Supervisor.depthLimit) deep",
            at: node.node.block.nameRange)
    }

    // MARK: Foreach

    private func evaluateForeach(
        _ node: NodeState, _ scope: Scope, _ transition: Transition
    ) async -> Diagnostics {
        let block = node.node.block
        var own = Body()
        var templates: [BlockStatement] = []
        for statement in block.body.statements {
            if case .block(let inner) = statement, inner.name == "template" {
                templates.append(inner)
            } else {
                own.statements.append(statement)
            }
        }
        let decoded = decode(ForeachBlock.self, node, scope, body: own)
        var problems = decoded.diagnostics
        guard let template = templates.first, templates.count == 1 else {
            let message =
                templates.isEmpty
                ? "the block template is missing in the foreach block" : "block \"template\" may only be specified once"
            problems.append(Diagnostic(.error, message, at: templates.last?.nameRange ?? block.nameRange))
            return problems
        }
        guard let arguments = decoded.value else { return problems }
        if node.module.hasPendingInput(node), isRunning(node), !node.children.isEmpty { return problems }

        var existing = Dictionary(node.children.map { ($0.id, $0.module) }) { first, _ in first }
        var variables = node.module.scope.variables
        // Only what the template uses: a child has no part in the other items.
        variables.merge(node.module.variables(for: node, within: template.range)) { _, new in new }
        var children: [NodeState.Child] = []
        var counts: [String: Int] = [:]
        for item in arguments.collection {
            let base = arguments.moduleID(of: item)
            counts[base, default: 0] += 1
            let id = "\(base)_\(counts[base] ?? 1)"
            variables[arguments.variable] = item
            let child: ModuleState
            // Whether a module is measured does not change while it lives: it is made anew.
            let isMeasured = arguments.enablesMetrics && node.module.metrics != nil
            if let kept = existing.removeValue(forKey: id), (kept.metrics != nil) == isMeasured {
                child = kept
            } else {
                if let old = node.children.first(where: { $0.id == id }) { await stop(retire(old.module, transition)) }
                child = makeModule(
                    node.record.globalID + "/" + id, owner: node, isMeasured: arguments.enablesMetrics)
            }
            children.append(NodeState.Child(id: id, module: child))
            // Between loads the template is the same: only what it sees can make a difference.
            let isUnchanged = child.scope.variables == variables && child.enclosing === node.module.declares
            if isUnchanged, !transition.isLoad, !child.nodes.isEmpty { continue }
            let content = ModuleContent(
                bodies: [template.body], variables: variables, enclosing: node.module.declares, arguments: [:])
            if await !reload(child, to: content, transition) {
                problems.append(
                    Diagnostic(
                        .error, "updating custom component in foreach: its template has errors", at: template.nameRange)
                )
                break
            }
        }
        // Items that were not reached keep their modules until the template is right again.
        if problems.hasErrors {
            let reached = Set(children.map(\.id))
            children += node.children.filter { !reached.contains($0.id) }
        } else {
            // The modules have nothing to do with each other: they stop side by side.
            var groups: [[StopOrder]] = []
            for module in existing.values {
                for (place, group) in retire(module, transition).enumerated() {
                    if place == groups.count { groups.append([]) }
                    groups[place] += group
                }
            }
            transition.stops += groups
        }
        node.children = children
        transition.isStructural = true
        return problems
    }

    /// Takes a module out of the graph; what is to be stopped.
    private func retire(_ module: ModuleState, _ transition: Transition) -> [[StopOrder]] {
        transition.isStructural = true
        var nodes: [NodeState] = []
        module.collect(into: &nodes)
        for node in nodes {
            nodesByRecord[ObjectIdentifier(node.record)] = nil
            node.instance?.withdrawDemand()
        }
        return module.stopOrders()
    }

    // MARK: Imports

    private func evaluateImport(_ node: NodeState, _ kind: ImportKind, _ scope: Scope) async -> Diagnostics {
        let block = node.node.block
        let read = ImportArguments.read(kind, block, in: scope)
        var problems = read.diagnostics
        guard let arguments = read.value else { return problems }
        node.record.update { $0.arguments = read.values }
        let loader = ImportLoader(root: rootScope, services: settings.services)
        let label = node.node.label
        var modulePath = ""
        if case .string(let path)? = node.module.scope.variable("module_path") { modulePath = path }
        let path = modulePath
        let source = ImportedModule.Source(arguments: arguments, modulePath: path)
        let isSame = node.record.importSource.current == source
        if !isSame { node.record.importSource.replace(with: source) }
        // What is far away is asked for by the watcher; a reload does not wait for it.
        if isSame, case .http = arguments, let imported = node.record.imported {
            _ = install(imported, node)
            return problems
        }
        do {
            let imported = try await loader.load(arguments, label: label, modulePath: path)
            node.record.update { $0.imported = imported }
            _ = install(imported, node)
        } catch {
            problems.append(contentsOf: error.diagnostics)
            problems.append(Diagnostic(.error, "import \"\(label)\": \(error)", at: block.nameRange))
            // What was imported before stays in use.
            if let imported = node.record.imported { _ = install(imported, node) }
        }
        return problems
    }

    /// Makes an import's components usable in its module; true when they are new.
    private func install(_ imported: ImportedModule, _ node: NodeState) -> Bool {
        let module = node.module
        let label = node.node.label
        if let current = module.declares.imports[label] ?? nil, current === imported.declares { return false }
        var imports = module.declares.imports
        imports[label] = .some(imported.declares)
        module.declares = DeclareScope(
            parent: module.declares.parent, variables: module.declares.variables, declares: module.declares.declares,
            imports: imports)
        // The value is for noticing the change; expressions have no use for it.
        node.exported = .object(ObjectValue(ordered: [("digest", .string(imported.digest))]))
        return true
    }
}

/// The nodes still to be evaluated in one pass, in evaluation order.
private struct Wave {
    private let graph: Graph
    private var heap = PlaceHeap()
    private var queued: Set<Int> = []

    init(_ graph: Graph) { self.graph = graph }

    var count: Int { queued.count }

    mutating func insert(_ place: Int) {
        let rank = graph.rank[place]
        if queued.insert(rank).inserted { heap.push(rank) }
    }

    mutating func insertDependants(of place: Int) {
        for dependant in graph.nodes[place].dependants { insert(dependant) }
    }

    mutating func next() -> Int? {
        guard let rank = heap.pop() else { return nil }
        queued.remove(rank)
        return graph.order[rank]
    }
}
