package import AlloySyntax
package import Essentials
package import SelfMetrics
package import Transport

/// What the program gives every component: one value, made at start and handed down.
package struct EngineServices: Sendable {
    package var clock: EngineClock
    package var budget: MemoryBudget
    /// As many as there are cores; CPU-bound stages take one.
    package var slots: Slots
    /// Threads for calls that block on disks.
    package var blocking: BlockingPool
    /// Threads every socket runs on.
    package var eventLoops: EventLoops
    package var metrics: MetricRegistry
    package var logSink: any LogSink
    /// The directory under which each component keeps its own (`--storage.path`).
    package var storagePath: String
    /// Handlers components serve under `/api/v0/component/<id>/`.
    package var handlers: ComponentHandlers
    /// When queues on disk are made to survive the machine (`--storage.sync`).
    package var sync: SyncPolicy = .interval(.seconds(1))
    /// The address that reaches this process without a socket (`--server.http.memory-addr`).
    package var memoryAddress: String
    /// The address the HTTP server listens on (`--server.http.listen-addr`).
    package var listenAddress: String
    /// The least stable feature that may be used.
    package var minimumStability: Stability
    /// Where components offer the items that pass, when somebody looks.
    package var liveData: LiveDataHub
    /// Where tasks run that must outlive the cancellation of their component; nil is everywhere. Tests set it.
    package var executor: (any TaskExecutor)?
    /// What components share among each other, such as clients of the same server.
    package var shared = SharedInstances()
    /// Where components that have targets list themselves.
    package var scrapes = ScrapeDirectory()

    package init(
        clock: EngineClock, budget: MemoryBudget, slots: Slots, blocking: BlockingPool, eventLoops: EventLoops,
        metrics: MetricRegistry, logSink: any LogSink, storagePath: String, handlers: ComponentHandlers,
        memoryAddress: String, listenAddress: String, minimumStability: Stability, liveData: LiveDataHub
    ) {
        self.clock = clock
        self.budget = budget
        self.slots = slots
        self.blocking = blocking
        self.eventLoops = eventLoops
        self.metrics = metrics
        self.logSink = logSink
        self.storagePath = storagePath
        self.handlers = handlers
        self.memoryAddress = memoryAddress
        self.listenAddress = listenAddress
        self.minimumStability = minimumStability
        self.liveData = liveData
    }
}
