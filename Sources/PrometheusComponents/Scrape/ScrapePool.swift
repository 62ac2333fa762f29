import ComponentKit
import Essentials
import SelfMetrics
import Synchronization
import Telemetry
import Transport

/// The targets of one component: makes, changes and retires their loops as the arguments change.
final class ScrapePool: Sendable {
    let arguments: Live<PrometheusScrape.Arguments>
    let context: Context<NoValues>
    let metrics: ScrapeMetrics
    let failureLog: ScrapeFailureLog
    /// Moves the scrapes of this process against those of others for the same target.
    let seed: UInt64

    /// A target with what it was discovered as, whose labels the arguments keep anyway.
    private struct Active {
        var identity: ScrapeTarget.Identity
        var source: Target
    }

    private struct State {
        var loops: [ScrapeTarget.Identity: ScrapeLoop] = [:]
        /// Identities in the order the configuration has them, without the retired.
        var active: [Active] = []
        var client: HTTPClient?
        var warnedClustering = false
    }

    private let state = Mutex(State())

    /// Whether the pool speaks for the health of its component.
    private let reportsHealth: Bool

    /// The job, where the component has several.
    var jobName: String { reportsHealth ? "" : arguments.current.jobName ?? "" }

    init(
        _ arguments: Live<PrometheusScrape.Arguments>, _ context: Context<NoValues>, reportsHealth: Bool = true
    ) {
        self.reportsHealth = reportsHealth
        self.arguments = arguments
        self.context = context
        metrics = ScrapeMetrics(
            context.metrics, jobName: arguments.current.jobName ?? context.componentID)
        failureLog = ScrapeFailureLog(context)
        seed = hostSeed()
    }

    /// Scrapes until cancelled.
    func run() async {
        context.services.scrapes.add(self)
        defer {
            context.services.scrapes.remove(self)
            state.withLock { $0.client }?.shutDown()
        }
        await withDiscardingTaskGroup { group in
            var (current, version) = arguments.snapshot
            while true {
                for loop in synchronise(current) { group.addTask { await loop.run() } }
                do { try await arguments.change(after: version) } catch { break }
                (current, version) = arguments.snapshot
            }
            group.cancelAll()
        }
        state.withLock { state in
            state.loops = [:]
            state.active = []
        }
    }

    /// Brings the loops in line with `arguments`; returns the new ones, which are to be run.
    private func synchronise(_ arguments: PrometheusScrape.Arguments) -> [ScrapeLoop] {
        let jobName = arguments.jobName ?? context.componentID
        var scratch = LabelSetBuilder()
        var wanted: [ScrapeTarget.Identity: ScrapeTarget] = [:]
        var order: [Active] = []
        let discovered = arguments.discovered.isEmpty ? arguments.targets : arguments.discovered
        for (target, source) in zip(arguments.targets, discovered) {
            do throws(ScrapeTargetError) {
                let made = try ScrapeTarget(target, arguments, jobName: jobName, scratch: &scratch)
                if wanted.updateValue(made, forKey: made.identity) == nil {
                    order.append(Active(identity: made.identity, source: source))
                }
            } catch {
                metrics.failedSyncs.add()
                context.log.error("Creating target failed", error, ["target": target.labels.description])
            }
        }
        let limit = Int(clamping: arguments.targetLimit)
        var forced: String?
        if limit > 0, order.count > limit {
            metrics.exceededTargetLimit.add()
            forced = "target_limit exceeded (number of targets: \(order.count), limit: \(limit))"
        }
        metrics.targets.set(arguments.targets.count)
        metrics.poolTargets.set(order.count)
        metrics.targetLimit.set(limit)
        metrics.syncs.add()
        warnAboutClustering(arguments)
        return state.withLock { state in
            var added: [ScrapeLoop] = []
            for (identity, target) in wanted {
                let plan = ScrapeLoop.Plan(target: target, forcedError: forced, isRetired: false)
                if let loop = state.loops[identity] {
                    loop.change(to: plan)
                } else {
                    let loop = ScrapeLoop(plan, in: self)
                    state.loops[identity] = loop
                    added.append(loop)
                }
            }
            for (identity, loop) in state.loops where wanted[identity] == nil { loop.retire() }
            state.active = order
            return added
        }
    }

    private func warnAboutClustering(_ arguments: PrometheusScrape.Arguments) {
        let isNew = state.withLock { state in
            defer { state.warnedClustering = arguments.isClustered }
            return arguments.isClustered && !state.warnedClustering
        }
        if isNew { context.log.warn("Clustering is not available: every target is scraped by this process") }
        guard reportsHealth else { return }
        context.report(
            .healthy(arguments.isClustered ? "scraping all targets, clustering is not available" : "scraping targets"))
    }

    /// Removes a loop that has ended its series, unless its target has come back meanwhile.
    func discard(_ loop: ScrapeLoop) -> Bool {
        state.withLock { state in
            guard loop.isRetired, state.loops[loop.identity] === loop else { return false }
            state.loops[loop.identity] = nil
            return true
        }
    }

    /// The client for `settings`: the same one as long as they do not change.
    func client(_ settings: HTTPClientSettings) -> HTTPClient {
        state.withLock { state in
            if let client = state.client, client.settings == settings { return client }
            // Scrapes under way end on the old client, which goes with the last of them.
            let client = HTTPClient(settings, on: context.services.eventLoops, clock: context.clock)
            state.client = client
            return client
        }
    }

    /// Whether every loop has ended, those of targets that have gone included.
    var isEmpty: Bool { state.withLock { $0.loops.isEmpty } }

    /// The loops of the current targets, in the order of the configuration.
    var activeLoops: [ScrapeLoop] { activeTargets.map(\.loop) }

    /// The same with what each was discovered as.
    var activeTargets: [(loop: ScrapeLoop, source: Target)] {
        state.withLock { state in
            state.active.compactMap { active in state.loops[active.identity].map { ($0, active.source) } }
        }
    }
}
