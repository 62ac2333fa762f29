import AlloySyntax
package import ComponentKit
import Console
import DiscoveryComponents
import Essentials
import Glibc
import InvarComponents
import LokiComponents
import OtelcolComponents
import PlatformComponents
import PrometheusComponents
import PrometheusExporters
import Runtime
import SelfMetrics
import Telemetry
import TextFormats
import Transport

/// Every component of every family: the one place that knows them all.
package let allComponents: [any Component.Type] =
    discoveryComponents + invarComponents + lokiComponents + otelcolComponents + platformComponents
    + prometheusComponents
    + prometheusExporters

/// The parts of a running program, made from the command line's choices.
struct Engine {
    let services: EngineServices
    let runtime: Runtime
    let logRouter: LogRouter
    let recentLogs: RecentLogs
    let processScope: MetricScope

    struct Choices {
        var storagePath: String
        var sync: SyncPolicy = .interval(.seconds(1))
        var listenAddress = "127.0.0.1:12345"
        var memoryAddress = "alloy.internal:12345"
        var stability: Stability
        var allowsCommunityComponents: Bool
        var shutdownDeadline: Duration = .seconds(600)
        var memoryLimit: ByteCount
        /// False keeps log lines from standard error, for commands that only check.
        var writesLog = true
        /// Whether nothing will run.
        var checksOnly = false
    }

    init(_ choices: Choices) {
        let recent = RecentLogs()
        recentLogs = recent
        logRouter = LogRouter { line in
            recent.keep(line)
            if choices.writesLog { LogRouter.standardError(line) }
        }
        let cores = max(1, sysconf(CInt(_SC_NPROCESSORS_ONLN)))
        let budget = MemoryBudget(limit: choices.memoryLimit)
        var services = EngineServices(
            clock: .system, budget: budget, slots: Slots(cores),
            blocking: BlockingPool(name: "blocking", threads: 8),
            eventLoops: EventLoops(threads: cores, budget: budget),
            metrics: MetricRegistry(), logSink: logRouter, storagePath: choices.storagePath,
            handlers: ComponentHandlers(), memoryAddress: choices.memoryAddress,
            listenAddress: choices.listenAddress, minimumStability: choices.stability, liveData: LiveDataHub())
        services.sync = choices.sync
        self.services = services
        processScope = services.metrics.scope()
        ProcessMetrics.register(
            in: processScope, version: Invar.version, budget: services.budget, clock: services.clock)
        runtime = Runtime(
            services: services, registry: ComponentRegistry(allComponents),
            gates: FeatureGates(
                minimumStability: choices.stability, allowsCommunityComponents: choices.allowsCommunityComponents),
            shutdownDeadline: choices.shutdownDeadline, version: Invar.version, logRouter: logRouter,
            checksOnly: choices.checksOnly)
    }

    /// What buffers may hold when no limit is given: half of what the control group or the machine has. The other half is
    /// for the program itself and for what requests in work need besides their buffers.
    static var defaultMemoryLimit: ByteCount {
        let physical = sysconf(CInt(_SC_PHYS_PAGES)) * sysconf(CInt(_SC_PAGESIZE))
        return ByteCount(bytes: min(physical, MemoryLimits.controlGroup()?.bytes ?? .max) / 2)
    }
}
