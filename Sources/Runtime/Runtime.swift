package import AlloySyntax
package import ComponentKit
import Essentials
import SelfMetrics
import Synchronization
package import Telemetry

/// The engine behind the command line and the web interface: loads configurations, runs their graph, tells about it.
package final class Runtime: Sendable {
    private let supervisor: Supervisor
    private let directory: Directory
    private let metrics: LoadMetrics
    private let clock: EngineClock
    /// What the `http` block says: whoever serves follows it.
    package let http: Live<HTTPBlock>
    private let liveData: LiveDataHub
    private let blocking: BlockingPool
    private let loads = Mutex(Loads())

    private struct Loads: Sendable {
        var last: LoadReport?
        var running: String?
    }

    /// Prepares an engine without a graph.
    ///
    /// - Parameters:
    ///   - services: handed to every component.
    ///   - registry: the components configurations may use.
    ///   - shutdownDeadline: how long one component may take to stop (`--feature.component-shutdown-deadline`).
    ///   - version: what `constants.version` says.
    ///   - logRouter: follows the `logging` block; usually also the services' log sink.
    ///   - checksOnly: true when nothing will run: components fetch nothing, and what depends on values that only a running
    ///     component could tell is not held against the configuration.
    package init(
        services: EngineServices, registry: ComponentRegistry, gates: FeatureGates = FeatureGates(),
        shutdownDeadline: Duration = .seconds(600), version: String = "", logRouter: LogRouter? = nil,
        checksOnly: Bool = false
    ) {
        http = Live(HTTPBlock.none)
        clock = services.clock
        liveData = services.liveData
        blocking = services.blocking
        directory = Directory()
        let library = StandardLibrary(minimumStability: gates.minimumStability, version: version)
        let settings = Supervisor.Settings(
            services: services, registry: registry, gates: gates, standardLibrary: library,
            shutdownDeadline: shutdownDeadline, logRouter: logRouter, http: http, checksOnly: checksOnly)
        supervisor = Supervisor(settings, directory: directory)
        metrics = LoadMetrics(services.metrics, directory: directory, logRouter: logRouter)
    }

    // MARK: Life

    /// Runs what is loaded until ``shutDown()``; cancelling the task stops everything at once instead of in order.
    package func run() async { await supervisor.run() }

    /// Stops everything in order, each component within the deadline; ``run()`` returns when all have stopped. Returns the
    /// books of every component there was as they were closed: what is held then is on disk.
    @discardableResult
    package func shutDown() async -> [LedgerStatement] { await supervisor.shutDown() }

    /// Makes the running graph what `source` says; see ``LoadResult``.
    package func load(_ source: ConfigurationSource) async -> LoadResult {
        let result = await supervisor.load(source)
        let now = clock.wallMilliseconds
        metrics.loaded(source, result, at: now)
        loads.withLock { loads in
            loads.last = LoadReport(
                time: now, applied: result.applied, digest: source.digest, diagnostics: result.diagnostics,
                files: source.files.map { .init(name: $0.name, bytes: $0.bytes.count, lines: $0.lineCount) })
            if result.applied { loads.running = source.digest }
        }
        return result
    }

    /// Notes that a configuration could not even be read, for the metrics.
    package func loadFailed(_ problem: String = "the configuration could not be read") {
        metrics.failed()
        let now = clock.wallMilliseconds
        loads.withLock { loads in
            loads.last = LoadReport(
                time: now, applied: false, digest: "", diagnostics: Diagnostics(), files: [], problem: problem)
        }
    }

    /// The last attempt to load a configuration; nil before the first.
    package var lastLoad: LoadReport? { loads.withLock { $0.last } }

    /// The digest of the configuration that was applied last.
    package var runningDigest: String? { loads.withLock { $0.running } }

    /// What loading `source` would change.
    package func plan(_ source: ConfigurationSource) async -> PlanResult { await supervisor.plan(source) }

    /// Whether a configuration has been applied and started: components that listen do so, have said why they cannot, or
    /// have had their time.
    package var isReady: Bool { get async { await supervisor.isReady } }

    // MARK: Looking

    /// All components: those of the root configuration, or with `moduleID` those of one module, in evaluation order.
    package func components(in moduleID: String = "") -> [ComponentSnapshot] {
        directory.all.filter { $0.isComponent && $0.moduleID == moduleID }.map { ComponentSnapshot($0, liveData) }
    }

    /// The components of every module.
    package func allComponents() -> [ComponentSnapshot] {
        directory.all.filter(\.isComponent).map { ComponentSnapshot($0, liveData) }
    }

    /// One component by its full ID, `module/component`.
    package func component(_ id: String) -> ComponentSnapshot? {
        directory.all.first { $0.isComponent && $0.globalID == id }.map { ComponentSnapshot($0, liveData) }
    }

    /// Whether there is a module of this ID.
    package func hasModule(_ id: String) -> Bool {
        id.isEmpty || directory.all.contains { $0.snapshot.moduleIDs.contains(id) }
    }

    /// The full IDs of components that are not well.
    package var unhealthyComponents: [String] {
        directory.all.filter { $0.isComponent && [.unhealthy, .exited].contains($0.health.health.state) }
            .map(\.globalID)
    }

    /// The books of every component there is or was; what left the graph counts on under its ID.
    package func ledger() -> [LedgerStatement] { directory.ledgers }

    /// What `item` meets: from component `id` on, or from every component where it can enter. Nothing is moved, counted
    /// or changed, and nothing need run.
    package func explain(_ item: ExplainedItem, at id: String? = nil) async throws(ExplainError) -> ExplainReport {
        let graph = await supervisor.explainGraph()
        do {
            // Components may look at files.
            return try await blocking.run {
                var walk = ExplainWalk(item, graph)
                try walk.follow(at: id)
                return walk.report
            }
        } catch {
            throw error as? ExplainError ?? ExplainError("\(error)")
        }
    }

    /// The components of one module and the edges data takes between them.
    package func graph(of moduleID: String = "") -> GraphView {
        GraphView(directory.all.filter { $0.isComponent && $0.moduleID == moduleID })
    }
}

/// What came of loading a configuration.
package struct LoadResult: Sendable {
    /// Errors and warnings, with their places.
    package let diagnostics: Diagnostics
    /// Whether the graph is now that of the configuration. It may be in spite of errors: components that could not be
    /// evaluated have their last good arguments, or do not run.
    package let applied: Bool
}

/// An attempt to load a configuration, for people who ask later.
package struct LoadReport: Sendable {
    package struct File: Sendable {
        package let name: String
        package let bytes: Int
        package let lines: Int
    }

    /// Milliseconds since 1970.
    package let time: Int64
    package let applied: Bool
    /// Empty when nothing could be read.
    package let digest: String
    package let diagnostics: Diagnostics
    package let files: [File]
    /// Why nothing could be read.
    package var problem: String?
}

/// What loading a configuration would do.
package struct PlanResult: Sendable {
    package let diagnostics: Diagnostics
    /// Nil when the configuration has errors that leave the graph as it is.
    package let plan: ReloadPlan?
}
