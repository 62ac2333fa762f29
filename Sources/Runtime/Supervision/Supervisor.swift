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
        /// Whether nothing will run.
        var checksOnly: Bool
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
    /// Whether what the first load started can be reached.
    private(set) var isReady = false
    private var hasShutDown = false

    private var isBusy = false
    private var waiting: [CheckedContinuation<Void, Never>] = []
    /// Whether what is put into `works` is being done.
    private var isRunning = false
    private let works: AsyncStream<@Sendable () async -> Void>.Continuation
    private let workStream: AsyncStream<@Sendable () async -> Void>
    /// The IDs of nodes that have left the graph and are stopping, each with what opens when that is over.
    private var leaving: [String: Latch] = [:]
    /// By ID, runs that went on after their deadline.
    private var stuck: [String: NodeRun] = [:]

    /// How long a load waits until new receivers can take batches.
    private static let receiverPatience: Duration = .seconds(5)
    /// How long a program that has just started waits for those who listen before it says that it is ready.
    private static let listenerPatience: Duration = .seconds(10)
    /// How long dependants that run wait for the first export of what they newly depend on.
    private static let exportPatience: Duration = .seconds(120)

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
        (workStream, works) = AsyncStream.makeStream()
    }

    // MARK: Life

    /// Runs the nodes that loads start, and evaluates what their exports change, until shut down or cancelled.
    ///
    /// Call ``shutDown()`` first for an orderly end: a cancellation stops everything at once.
    nonisolated func run() async {
        await noteRunning(true)
        await withDiscardingTaskGroup { group in
            group.addTask { await self.keepEvaluated() }
            if let router = settings.logRouter { group.addTask { await router.forward() } }
            for await work in workStream { group.addTask { await work() } }
            group.cancelAll()
        }
        await noteRunning(false)
    }

    private func noteRunning(_ value: Bool) { isRunning = value }

    private nonisolated func keepEvaluated() async {
        while !Task.isCancelled {
            await dirty.arrival.wait()
            if Task.isCancelled { return }
            await propagate()
        }
    }

    /// Stops everything: sources first, sinks last, each within its deadline. Returns the books as they were closed.
    func shutDown() async -> [LedgerStatement] {
        await begin()
        defer { end() }
        hasShutDown = true
        let orders = root.stopOrders()
        root.graph = .empty
        root.nodes = []
        await stop(orders)
        // What left earlier has a deadline of its own.
        if isRunning { for latch in leaving.values { await latch.wait() } }
        publish()
        works.finish()
        return directory.ledgers
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
        let isFirst = !hasLoaded
        hasLoaded = true
        applyDefaults()
        await commit(transition)
        if isFirst { works.yield { [self] in await becomeReady() } }
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

    /// Starts what the transition added, receivers first, and lets what it removed stop while everything else goes on.
    private func commit(_ transition: Transition) async {
        directory.leave(transition.stops.flatMap { $0 }.flatMap(\.all).map(\.record))
        if transition.isStructural { publish() }
        for node in transition.starts where !receivers(of: node).isEmpty { start(node, transition) }
        await waitForReceivers(transition)
        for node in transition.starts { start(node, transition) }
        stopLater(transition.stops)
    }

    /// Starts a new node, unless that waits for the end of the transition: in a first load, which applies all or nothing.
    func begin(_ node: NodeState, _ transition: Transition) async {
        guard hasLoaded, node.run == nil else {
            transition.starts.append(node)
            return
        }
        if receivers(of: node).isEmpty { await waitForReceivers(transition) }
        start(node, transition)
    }

    /// Waits until the receivers started in the transition can take batches, but not forever.
    func waitForReceivers(_ transition: Transition) async {
        let waiting = transition.receivers.filter { !$0.isServed }
        transition.receivers = []
        guard !waiting.isEmpty, isRunning, transition.isPatient else { return }
        let clock = settings.services.clock
        transition.isPatient = await withTaskGroup(of: Bool.self) { group in
            group.addTask {
                for receiver in waiting { await receiver.served() }
                return true
            }
            group.addTask {
                try? await clock.sleep(for: Self.receiverPatience)
                return false
            }
            defer { group.cancelAll() }
            return await group.next() ?? false
        }
        if !transition.isPatient { log.warn("New components are not ready to receive; going on without waiting") }
    }

    /// Waits until everyone who listens does, or has said why not, but not forever.
    private func becomeReady() async {
        let listeners = nodesByRecord.values.filter { $0.run != nil && $0.instance?.listens ?? false }.map(\.record)
        if listeners.contains(where: { !$0.spoke.isOpen }) {
            let clock = settings.services.clock
            let isComplete = await withTaskGroup(of: Bool.self) { group in
                group.addTask {
                    for listener in listeners { await listener.spoke.wait() }
                    return true
                }
                group.addTask {
                    try? await clock.sleep(for: Self.listenerPatience)
                    return false
                }
                defer { group.cancelAll() }
                return await group.next() ?? false
            }
            if !isComplete { log.warn("Not everything listens yet; going on without waiting") }
        }
        isReady = true
    }

    private func receivers(of node: NodeState) -> [any ReceiverHandle] {
        guard let pairs = node.exported?.objectFields?.pairs else { return [] }
        return pairs.compactMap { pair in
            guard case .capsule(let capsule) = pair.value else { return nil }
            return capsule.payload as? any ReceiverHandle
        }
    }

    // MARK: Stopping

    /// Stops nodes that have left the graph, each within its deadline.
    func stop(_ groups: [[StopOrder]]) async {
        if groups.isEmpty { return }
        let orders = groups.flatMap { $0 }.flatMap(\.all)
        directory.leave(orders.map(\.record))
        await StopOrder.execute(
            groups,
            StopOrder.Manner(
                deadline: settings.shutdownDeadline, clock: settings.services.clock, log: log, directory: directory))
        for order in orders {
            let id = order.record.globalID
            leaving[id] = nil
            if let run = order.run, !run.hasEnded { stuck[id] = run }
        }
    }

    /// As ``stop(_:)``, without waiting for it.
    private func stopLater(_ groups: [[StopOrder]]) {
        if groups.isEmpty { return }
        let latch = Latch()
        for order in groups.flatMap({ $0 }).flatMap(\.all) {
            order.run?.withdraw()
            leaving[order.record.globalID] = latch
        }
        works.yield { [self] in
            await stop(groups)
            latch.open()
        }
    }

    /// Waits until the node that had the same ID before has stopped: its files and metrics are the new one's now.
    func waitForPredecessor(of node: NodeState) async {
        guard node.run == nil, isRunning, let latch = leaving[node.record.globalID] else { return }
        await latch.wait()
    }

    /// The ID of a node, when an earlier one of that ID did not stop when it should have and still runs.
    func unended(_ node: NodeState) -> String? {
        let id = node.record.globalID
        guard node.instance == nil, let run = stuck[id] else { return nil }
        if !run.hasEnded { return id }
        stuck[id] = nil
        return nil
    }

    // MARK: Starting

    private func start(_ node: NodeState, _ transition: Transition) {
        if let run = node.run, !run.hasEnded || !transition.isLoad { return }
        guard nodesByRecord[ObjectIdentifier(node.record)] === node, let body = body(of: node) else { return }
        // What an earlier run said about itself is history.
        if node.run != nil { node.record.update { $0.reported = nil } }
        let run = NodeRun(node.record, log: log, executor: settings.services.executor, body)
        node.run = run
        works.yield { await run.live() }
        transition.receivers += receivers(of: node)
        if let instance = node.instance, !instance.hasExported { watchForExport(instance, node.record) }
    }

    /// Lets dependants go on without what is not exported in time.
    private func watchForExport(_ instance: any ComponentInstance, _ record: NodeRecord) {
        let clock = settings.services.clock
        works.yield { [weak instance] in
            do { try await clock.sleep(for: Self.exportPatience) } catch { return }
            if let instance, !instance.hasExported { record.becameOverdue() }
        }
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
    /// Receivers of nodes that were started and may not be able to take batches yet.
    var receivers: [any ReceiverHandle] = []
    /// Whether it is worth waiting for them.
    var isPatient = true
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
