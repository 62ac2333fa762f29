import AlloySyntax
import ComponentKit
import Essentials
import SelfMetrics
import Telemetry
import TextFormats

/// Brings the running graph to what configurations want, and keeps it evaluated.
///
/// Everything that changes the graph happens in one transaction after another; what only looks goes to ``Directory``.
actor Supervisor {
    struct Settings: Sendable {
        var services: EngineServices
        var registry: ComponentRegistry
        var gates: FeatureGates
        var standardLibrary: StandardLibrary
        var shutdownDeadline: Duration
        var logRouter: LogRouter?
        /// Hears the `http` block's settings.
        var http: Live<HTTPBlock>
    }

    let settings: Settings
    let log: Log
    let dirty: DirtyQueue
    let directory: Directory
    let rootScope: Scope
    var root: ModuleState
    /// Running nodes by their record.
    var nodesByRecord: [ObjectIdentifier: NodeState] = [:]
    private(set) var hasLoaded = false
    private var hasShutDown = false

    private var isBusy = false
    private var waiting: [CheckedContinuation<Void, Never>] = []
    private let starts: AsyncStream<NodeRun>.Continuation
    private let startStream: AsyncStream<NodeRun>

    init(_ settings: Settings, directory: Directory) {
        self.settings = settings
        self.directory = directory
        let clock = settings.services.clock
        log = Log(
            sink: settings.services.logSink, clock: clock, metadata: [("controller_path", "/"), ("controller_id", "")])
        dirty = DirtyQueue(clock: clock)
        rootScope = Scope(standardLibrary: settings.standardLibrary)
        root = ModuleState(
            id: "", owner: nil, services: settings.services, scope: rootScope,
            metrics: ControllerMetrics(settings.services.metrics, moduleID: ""))
        (startStream, starts) = AsyncStream.makeStream()
    }

    // MARK: Life

    /// Runs the nodes that loads start, and evaluates what their exports change, until shut down or cancelled.
    ///
    /// Call ``shutDown()`` first for an orderly end: a cancellation stops everything at once.
    nonisolated func run() async {
        await withDiscardingTaskGroup { group in
            group.addTask { await self.keepEvaluated() }
            if let router = settings.logRouter { group.addTask { await router.forward() } }
            for await run in startStream { group.addTask { await run.live() } }
            group.cancelAll()
        }
    }

    private nonisolated func keepEvaluated() async {
        while !Task.isCancelled {
            await dirty.arrival.wait()
            if Task.isCancelled { return }
            await propagate()
        }
    }

    /// Stops everything: sources first, sinks last, each within its deadline.
    func shutDown() async {
        await begin()
        defer { end() }
        hasShutDown = true
        let orders = root.stopOrders()
        root.graph = .empty
        root.nodes = []
        await StopOrder.execute(orders, within: settings.shutdownDeadline, clock: settings.services.clock, log: log)
        publish()
        starts.finish()
    }

    // MARK: Transactions

    private func begin() async {
        if isBusy {
            await withCheckedContinuation { waiting.append($0) }
        } else {
            isBusy = true
        }
    }

    private func end() {
        if waiting.isEmpty {
            isBusy = false
        } else {
            waiting.removeFirst().resume()
        }
    }

    // MARK: Loading

    /// Makes the running graph what `source` says.
    ///
    /// With structural errors nothing changes. With other errors nothing is applied the first time; later the new graph
    /// is, and nodes that could not be evaluated keep their last good arguments.
    func load(_ source: ConfigurationSource) async -> LoadResult {
        await begin()
        defer { end() }
        guard !hasShutDown else {
            return LoadResult(
                diagnostics: Diagnostics([Diagnostic(.error, "the process is shutting down", at: .unknown)]),
                applied: false)
        }
        let parsed = ParsedSource(source)
        guard !parsed.diagnostics.hasErrors else { return LoadResult(diagnostics: parsed.diagnostics, applied: false) }

        let clock = settings.services.clock
        let start = clock.monotonicNanoseconds
        log.info("starting complete graph evaluation")
        root.metrics?.evaluating.set(1)
        let transition = Transition()
        transition.isLoad = true
        let isApplied = await reload(
            root, to: ModuleContent(bodies: parsed.bodies, variables: rootVariables(source)), transition)
        root.metrics?.evaluating.set(0)
        log.info(
            "finished complete graph evaluation", nil,
            [.duration: GoDuration.format(clock.elapsed(since: start))])
        let diagnostics = transition.diagnostics.all
        guard isApplied else { return LoadResult(diagnostics: diagnostics, applied: false) }
        if !hasLoaded, diagnostics.hasErrors {
            discardRoot()
            return LoadResult(diagnostics: diagnostics, applied: false)
        }
        hasLoaded = true
        applyDefaults()
        await commit(transition)
        return LoadResult(diagnostics: diagnostics, applied: true)
    }

    /// What loading `source` would do.
    func plan(_ source: ConfigurationSource) -> PlanResult {
        let parsed = ParsedSource(source)
        guard !parsed.diagnostics.hasErrors else { return PlanResult(diagnostics: parsed.diagnostics, plan: nil) }
        let scope = Scope(variables: rootVariables(source), parent: rootScope)
        let built = GraphBuilder.build(
            parsed.bodies, registry: settings.registry, gates: settings.gates, scope: scope)
        guard !built.diagnostics.hasErrors else { return PlanResult(diagnostics: built.diagnostics, plan: nil) }
        let plan = GraphPlanner(running: root.graph.outline, wanted: built.graph.outline).plan()
        return PlanResult(diagnostics: built.diagnostics, plan: plan)
    }

    private func rootVariables(_ source: ConfigurationSource) -> [String: Value] {
        ["module_path": .string(source.modulePath)]
    }

    /// Forgets what a first load made.
    private func discardRoot() {
        var nodes: [NodeState] = []
        root.collect(into: &nodes)
        for node in nodes { node.instance?.retire() }
        nodesByRecord = [:]
        _ = dirty.take()
        root = ModuleState(
            id: "", owner: nil, services: settings.services, scope: rootScope, metrics: root.metrics)
        publish()
    }

    /// Configuration blocks that are not there have their defaults.
    private func applyDefaults() {
        if root.graph["logging"] == nil {
            settings.logRouter?.configure(level: .info, format: .logfmt, receivers: [])
        }
        if root.graph["http"] == nil, settings.http.current != .none { settings.http.replace(with: .none) }
        if root.graph["livedebugging"] == nil { settings.services.liveData.isEnabled = false }
    }

    // MARK: Propagation

    /// Evaluates what depends on the nodes whose exports changed since the last time.
    private func propagate() async {
        await begin()
        defer { end() }
        let changes = dirty.take()
        guard !changes.isEmpty, hasLoaded else { return }
        let transition = Transition()
        // What changed, by module. Evaluating one module may remake those inside it, so nodes are looked up as they come.
        var modules: [ObjectIdentifier: Int] = [:]
        var groups: [(module: ModuleState, records: [NodeRecord], since: Int64)] = []
        for change in changes {
            guard let module = nodesByRecord[ObjectIdentifier(change.record)]?.module else { continue }
            if let group = modules[ObjectIdentifier(module)] {
                groups[group].records.append(change.record)
            } else {
                modules[ObjectIdentifier(module)] = groups.count
                groups.append((module, [change.record], change.since))
            }
        }
        for (module, records, since) in groups {
            var places: [Int] = []
            for record in records {
                guard let node = nodesByRecord[ObjectIdentifier(record)], node.module === module else { continue }
                if let place = module.graph.places[node.node.id] { places.append(place) }
            }
            let waited = settings.services.clock.elapsed(since: since).seconds
            module.metrics?.dependenciesWait.observe(waited)
            module.metrics?.evaluating.set(1)
            await evaluateDependants(of: places, in: module, transition)
            module.metrics?.evaluating.set(0)
            noteExports(of: module)
        }
        for diagnostic in transition.diagnostics.all.items where diagnostic.severity == .error {
            log.error("failed to evaluate config", nil, [.error: "\(diagnostic)"])
        }
        await commit(transition)
    }

    /// Tells the node around a module that the module's exports may have changed.
    private func noteExports(of module: ModuleState) {
        guard let owner = module.owner, case .custom = owner.node.kind else { return }
        if owner.exported != module.exports { owner.record.exported() }
    }

    // MARK: Committing

    /// Stops what the transition removed, then starts what it added.
    private func commit(_ transition: Transition) async {
        if transition.isStructural { publish() }
        if !transition.stops.isEmpty {
            await StopOrder.execute(
                transition.stops, within: settings.shutdownDeadline, clock: settings.services.clock, log: log)
        }
        for node in transition.starts { start(node, transition) }
    }

    private func start(_ node: NodeState, _ transition: Transition) {
        if let run = node.run, !run.hasEnded || !transition.isLoad { return }
        guard nodesByRecord[ObjectIdentifier(node.record)] === node, let body = body(of: node) else { return }
        // What an earlier run said about itself is history.
        if node.run != nil { node.record.update { $0.reported = nil } }
        let run = NodeRun(node.record, log: log, body)
        node.run = run
        starts.yield(run)
    }

    /// What running a node means; nil for nodes that do not run.
    private func body(of node: NodeState) -> (@Sendable () async throws -> Void)? {
        switch node.node.kind {
        case .component:
            guard let instance = node.instance, instance.isMade else { return nil }
            return { try await instance.run() }
        case .custom, .foreach: return { try await waitForCancellation() }
        case .importing:
            let watcher = ImportWatcher(
                record: node.record, loader: ImportLoader(root: rootScope, services: settings.services),
                services: settings.services, log: log,
                label: node.node.label)
            return { try await watcher.run() }
        default: return nil
        }
    }

    /// Shows the nodes as they are now to everyone.
    func publish() {
        var nodes: [NodeState] = []
        root.collect(into: &nodes)
        nodesByRecord = Dictionary(nodes.map { (ObjectIdentifier($0.record), $0) }) { first, _ in first }
        var flows: [ObjectIdentifier: [String]] = [:]
        for node in nodes {
            let graph = node.module.graph
            guard node.node.kind.isComponent else { continue }
            for reference in node.node.references where graph.nodes[reference.target].kind.isComponent {
                let target = node.module.nodes[reference.target]
                if target.carriesData(reference.field) {
                    flows[ObjectIdentifier(node), default: []].append(target.node.id)
                } else {
                    flows[ObjectIdentifier(target), default: []].append(node.node.id)
                }
            }
        }
        for node in nodes {
            let graph = node.module.graph
            let componentIDs = { (places: [Int]) in
                places.filter { graph.nodes[$0].kind.isComponent }.map { graph.nodes[$0].id }
            }
            var seen: Set<String> = []
            let outgoing = (flows[ObjectIdentifier(node)] ?? []).filter { seen.insert($0).inserted }
            let place = graph.places[node.node.id].map { graph.nodes[$0] }
            node.record.update { state in
                state.referencesTo = componentIDs(place?.dependencies ?? [])
                state.referencedBy = componentIDs(place?.dependants ?? [])
                state.dataFlowsTo = outgoing
                state.moduleIDs = node.children.map(\.module.id)
                state.instance = node.instance
            }
        }
        directory.publish(nodes.map(\.record))
    }

    /// Nodes there are now, in all modules.
    var nodeCount: Int {
        var nodes: [NodeState] = []
        root.collect(into: &nodes)
        return nodes.count
    }
}

/// What a transaction has to do after its evaluations.
final class Transition {
    var diagnostics = DiagnosticCollector()
    /// Groups of nodes to stop, in order.
    var stops: [[StopOrder]] = []
    /// Nodes to start unless they run, in order.
    var starts: [NodeState] = []
    /// Whether nodes came or went.
    var isStructural = false
    /// Whether a configuration is being loaded: nodes that ended by themselves begin again.
    var isLoad = false
    /// Nodes made by this transaction, to bound what one configuration may unfold into.
    var nodesMade = 0
}

extension NodeState {
    /// Whether the exported field is where data goes, not where it comes from.
    func carriesData(_ field: [String]) -> Bool {
        guard let name = field.first, let value = exported?.objectFields?[name] else { return false }
        guard case .capsule(let capsule) = value else { return false }
        return NodeState.receiverNames.contains(capsule.typeName)
    }

    private static let receiverNames: Set<String> = [
        MetricBatch.receiverName, LogBatch.receiverName, OTLPBatch.receiverName, ProfileBatch.receiverName,
    ]
}
