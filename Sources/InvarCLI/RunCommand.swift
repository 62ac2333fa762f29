import AlloySyntax
import ArgumentParser
import ComponentKit
import Console
import Essentials
import Glibc
import Runtime
import Synchronization
import Telemetry
import TextFormats
import Transport

/// `invar run`: the collector.
struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Run a configuration file or directory until stopped.",
        discussion: """
            SIGHUP, or POST to /-/reload, loads the configuration again: components whose arguments did not change \
            are not disturbed, and a configuration with errors changes nothing. SIGTERM or SIGINT stops: sources \
            first, then what is buffered is sent.
            """)

    @Argument(help: "A file, or a directory of *.alloy files.") var path: String
    @OptionGroup var server: ServerFlags
    @OptionGroup var features: FeatureFlags
    @OptionGroup var cluster: ClusterFlags
    @Option(name: .customLong("storage.path"), help: "Directory for positions, queues and other state.")
    var storagePath = "data-alloy/"
    @Option(
        name: .customLong("storage.sync"),
        help: """
            When queues on disk are made to survive the machine: an interval such as 1s, `always` before data is \
            taken, or `never`. What is taken survives the process in any case.
            """)
    var storageSync = "1s"
    @Option(
        name: .customLong("memory.limit"),
        help: """
            Bytes all buffers together may hold, such as 512MiB; half of the control group's memory limit, or of the \
            machine's memory, unless given.
            """)
    var memoryLimit: String?
    @Option(name: .customLong("feature.component-shutdown-deadline"), help: "Time one component may take to stop.")
    var shutdownDeadline = "10m"
    @Option(name: .customLong("disable-reporting"), help: "Accepted for compatibility: nothing is ever reported home.")
    var disableReporting = false
    @Option(
        name: .customLong("feature.prometheus.direct-fanout.enabled"),
        help: "Accepted with --stability.level=experimental: samples always go directly to receivers.")
    var directFanout = false
    @Option(name: .customLong("feature.prometheus.metric-validation-scheme"), help: .hidden) var validationScheme:
        String?
    @Option(name: .customLong("windows.priority"), help: .hidden) var windowsPriority: String?

    func run() async throws {
        let choices = try choices()
        let signals = ProcessSignals.listen()
        let engine = Engine(choices)
        let log = Log(sink: engine.services.logSink, clock: engine.services.clock)
        warnAboutInertFlags(log)
        do {
            try Files.makeDirectory(storagePath)
        } catch {
            throw CommandFailure("Error: --storage.path: \(error)")
        }
        let loader = ConfigurationLoader(path: path, runtime: engine.runtime, log: log)
        guard let address = SocketAddress(server.listenAddress) else {
            throw CommandFailure("Error: --server.http.listen-addr: \"\(server.listenAddress)\" is not host:port")
        }
        let settings = ConsoleServer.Settings(
            address: address, pathPrefix: server.pathPrefix, servesSupportBundle: !server.disableSupportBundle,
            servesProfiles: server.enableProfiles, flags: flagValues, version: Invar.version)
        let console: ConsoleServer
        do {
            console = try await ConsoleServer.bind(
                settings, runtime: engine.runtime, services: engine.services, log: log, recentLogs: engine.recentLogs,
                reload: { await loader.reload() })
        } catch {
            throw CommandFailure("Error: cannot listen on \(server.listenAddress): \(error)")
        }
        try await serve(engine, console, loader, signals, log)
    }

    private func serve(
        _ engine: Engine, _ console: ConsoleServer, _ loader: ConfigurationLoader, _ signals: AsyncStream<CInt>,
        _ log: Log
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await engine.runtime.run() }
            group.addTask { try await console.run() }
            if let problem = await loader.loadFirst() {
                group.cancelAll()
                engine.logRouter.flush()
                throw CommandFailure(problem + "Error: could not perform the initial load successfully")
            }
            log.info("now listening for http traffic", nil, ["addr": "\(console.address)"])
            StartCode.release()
            for await signal in signals {
                if signal == SIGHUP {
                    _ = await loader.reload()
                } else {
                    break
                }
            }
            log.info("Stopping")
            logBooks(await engine.runtime.shutDown(), log)
            group.cancelAll()
        }
        engine.logRouter.flush()
    }

    /// One line for each component that data passed through or stayed in.
    private func logBooks(_ statements: [LedgerStatement], _ log: Log) {
        for statement in statements {
            let moved = statement.incoming + statement.restored + statement.created + statement.droppedItems
            guard moved != 0 || statement.unaccounted != 0 else { continue }
            let dropped = statement.dropped.map { "\($0.reason.name)=\($0.items)" }.joined(separator: " ")
            log.info(
                "Ledger at exit", nil,
                [
                    .componentID: statement.componentID, "in": "\(statement.incoming)",
                    "held_before": "\(statement.restored)", "created": "\(statement.created)",
                    "out": "\(statement.outgoing)", "merged": "\(statement.merged)",
                    "dropped": "\(statement.droppedItems)", "reasons": dropped,
                    "held": "\(statement.heldItems)", "unaccounted": "\(statement.unaccounted)",
                ])
        }
    }

    private func choices() throws -> Engine.Choices {
        let stability = try features.stability()
        try cluster.refuse()
        try server.refuse()
        if let windowsPriority, windowsPriority != "normal" { throw unsupported("--windows.priority") }
        if directFanout, stability != .experimental {
            throw CommandFailure(
                "Error: --feature.prometheus.direct-fanout.enabled needs --stability.level=experimental")
        }
        var limit = Engine.defaultMemoryLimit
        if let memoryLimit {
            guard let bytes = try? ByteSize.parseBase2(memoryLimit), bytes > 0 else {
                throw CommandFailure("Error: --memory.limit must be a size such as 512MiB, not \"\(memoryLimit)\"")
            }
            limit = ByteCount(bytes: Int(bytes))
        }
        let sync: SyncPolicy
        switch storageSync {
        case "always": sync = .always
        case "never": sync = .never
        default:
            let interval = try duration(storageSync, flag: "--storage.sync")
            guard interval >= .milliseconds(10) else {
                throw CommandFailure("Error: --storage.sync must be `always`, `never` or at least 10ms")
            }
            sync = .interval(interval)
        }
        return Engine.Choices(
            storagePath: storagePath, sync: sync, listenAddress: server.listenAddress,
            memoryAddress: server.memoryAddress,
            stability: stability, allowsCommunityComponents: features.communityComponents,
            shutdownDeadline: try duration(shutdownDeadline, flag: "--feature.component-shutdown-deadline"),
            memoryLimit: limit)
    }

    private func warnAboutInertFlags(_ log: Log) {
        if cluster.useDiscoveryV1 { log.warn("The flag --cluster.use-discovery-v1 is deprecated and has no effect") }
        if validationScheme != nil {
            log.warn("The flag --feature.prometheus.metric-validation-scheme is deprecated and has no effect")
        }
    }

    private var flagValues: [(name: String, value: String)] {
        [
            ("server.http.listen-addr", server.listenAddress), ("server.http.memory-addr", server.memoryAddress),
            ("server.http.ui-path-prefix", server.pathPrefix), ("server.http.enable-pprof", "\(server.enableProfiles)"),
            ("server.http.disable-support-bundle", "\(server.disableSupportBundle)"),
            ("stability.level", features.stabilityLevel), ("storage.path", storagePath),
            ("storage.sync", storageSync), ("memory.limit", memoryLimit ?? "\(Engine.defaultMemoryLimit)"),
            ("feature.component-shutdown-deadline", shutdownDeadline),
            ("feature.community-components.enabled", "\(features.communityComponents)"),
        ]
    }
}

/// Reads and loads the configuration, one load at a time.
actor ConfigurationLoader {
    private let path: String
    private let runtime: Runtime
    private let log: Log

    init(path: String, runtime: Runtime, log: Log) {
        self.path = path
        self.runtime = runtime
        self.log = log
    }

    /// Nil when the first configuration runs without errors, otherwise all that is wrong.
    func loadFirst() async -> String? { await load() }

    /// Loads again; nil when applied without errors.
    func reload() async -> String? {
        log.info("Reload requested")
        let problem = await load()
        if problem == nil {
            log.info("Config reloaded")
        } else {
            log.error("Failed to reload config")
        }
        return problem
    }

    private func load() async -> String? {
        let source: ConfigurationSource
        do {
            source = try ConfigurationSource.read(path)
        } catch {
            runtime.loadFailed("\(error)")
            return "\(error)\n"
        }
        let result = await runtime.load(source)
        guard result.diagnostics.hasErrors else {
            for warning in result.diagnostics.items {
                log.warn("Configuration warning", nil, ["detail": "\(warning)"])
            }
            return nil
        }
        return DiagnosticRenderer(usesColor: false).render(result.diagnostics)
    }
}
