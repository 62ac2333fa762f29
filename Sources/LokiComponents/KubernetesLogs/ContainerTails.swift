import ComponentKit
import Essentials
import Kubernetes
import SelfMetrics
import Storage
import Synchronization
import Telemetry
import TextFormats

/// The containers a component reads the logs of: starts and stops them as its targets change.
final class ContainerTails: Sendable {
    /// What is to be read, and through which server.
    struct Wanted: Sendable {
        var targets: [LogTarget] = []
        /// Nil until it is known how the server is reached.
        var client: KubernetesClient?
        var startsAtEnd = false
    }

    /// How long positions of targets that have gone are kept: discovery may lose them for a moment.
    private static let retention = Duration.seconds(600)

    let clock: EngineClock
    let log: Log
    let positions: Positions
    let delivery: LogDelivery
    let secondLayout = GoTimeLayout("2006-01-02T15:04:05Z07:00")
    private let context: Context<NoValues>
    private let wanted = Live(Wanted())
    private let failures: Counter
    private let cutLines: Counter
    private let leftRuns: Counter
    private let failureLog: LogLimiter

    private struct State {
        var tails: [LogTarget: ContainerTail] = [:]
        /// Tails that were stopped and may still be ending.
        var stopping: [LogTarget: ContainerTail] = [:]
        /// When targets went whose positions are still kept, on the monotonic clock.
        var gone: [LogTarget: Int64] = [:]
    }

    private let state = Mutex(State())

    init(_ context: Context<NoValues>, metricPrefix: String, _ delivery: LogDelivery) throws {
        self.context = context
        clock = context.clock
        log = context.log
        self.delivery = delivery
        try Files.makeDirectory(context.storagePath)
        positions = try Positions(path: context.storagePath + "/positions.yml")
        failures = context.metrics.counter(
            metricPrefix + "_stream_failures_total", "Number of requests for logs that failed.")
        cutLines = context.metrics.counter(
            metricPrefix + "_cut_lines_total", "Number of lines cut because they are longer than 16 MiB.")
        leftRuns = context.metrics.counter(
            metricPrefix + "_unread_runs_total",
            "Number of ended runs of containers whose last lines could not be read.")
        failureLog = LogLimiter(every: .seconds(10), clock: context.clock)
        context.metrics.collector { [weak self] in
            let count = self?.activeCount ?? 0
            return [
                CollectedFamily(
                    name: metricPrefix + "_containers", help: "Number of containers whose logs are followed.",
                    kind: .gauge, samples: [CollectedSample(value: Double(count))])
            ]
        }
    }

    private var activeCount: Int { state.withLock { $0.tails.values.reduce(0) { $0 + ($1.status.hasEnded ? 0 : 1) } } }

    var startsAtEnd: Bool { wanted.current.startsAtEnd }

    /// Every tail, by its target's name.
    var all: [ContainerTail] {
        state.withLock { Array($0.tails.values) }.sorted {
            ($0.target.id, "\($0.target.labels)") < ($1.target.id, "\($1.target.labels)")
        }
    }

    /// Reads these targets from now on.
    func want(_ new: Wanted) { wanted.replace(with: new) }

    /// Follows what is wanted until cancelled, and writes positions.
    func run() async throws {
        await withDiscardingTaskGroup { group in
            group.addTask { [self] in
                await positions.saveRegularly(clock: clock, on: context.services.blocking, log: log)
            }
            group.addTask { [self] in
                while (try? await clock.sleep(for: .seconds(60))) != nil { forgetOldPositions() }
            }
            var (current, version) = wanted.snapshot
            while true {
                for tail in synchronise(current) {
                    group.addTask { [self] in
                        await tail.run()
                        state.withLock { state in
                            if state.stopping[tail.target] === tail { state.stopping[tail.target] = nil }
                        }
                    }
                }
                do { try await wanted.change(after: version) } catch { break }
                (current, version) = wanted.snapshot
            }
            group.cancelAll()
        }
        try? await context.services.blocking.run { [positions, log] in
            do {
                try positions.save()
            } catch {
                log.error("error writing positions file", error)
            }
        }
        try Task.checkCancellation()
    }

    /// Brings the tails in line with what is wanted; returns the new ones, which are to be run.
    private func synchronise(_ wanted: Wanted) -> [ContainerTail] {
        guard let client = wanted.client else { return [] }
        let targets = Set(wanted.targets)
        let now = clock.monotonicNanoseconds
        let (added, stopped) = state.withLock { state -> ([ContainerTail], [ContainerTail]) in
            var stopped: [ContainerTail] = []
            for (target, tail) in state.tails where !targets.contains(target) || tail.client !== client {
                state.tails[target] = nil
                state.stopping[target] = tail
                stopped.append(tail)
                if !targets.contains(target) { state.gone[target] = now }
            }
            var added: [ContainerTail] = []
            for target in targets where state.tails[target] == nil {
                let tail = ContainerTail(target, client, self, after: state.stopping[target])
                state.tails[target] = tail
                state.gone[target] = nil
                added.append(tail)
            }
            return (added, stopped)
        }
        for tail in stopped { tail.stop() }
        healthChanged()
        return added
    }

    private func forgetOldPositions() {
        let limit = clock.monotonicNanoseconds &- Self.retention.nanoseconds
        let old = state.withLock { state in
            let old = state.gone.filter { $0.value < limit && state.stopping[$0.key] == nil }.map(\.key)
            for target in old { state.gone[target] = nil }
            return old
        }
        for target in old {
            positions.remove(target.positionKey)
            positions.remove(target.exactPositionKey)
        }
    }

    // MARK: Told by tails

    func failed(_ target: LogTarget, _ error: KubernetesError, isNew: Bool) {
        failures.add()
        if isNew {
            failureLog.attempt { suppressed in
                log.warn(
                    "Reading a log failed and will be tried again", error,
                    ["target": target.id, "suppressed": "\(suppressed)"])
            }
        }
    }

    func leftRun(of target: LogTarget, _ error: KubernetesError) {
        failures.add()
        leftRuns.add()
        failureLog.attempt { suppressed in
            log.warn(
                "The rest of a container's earlier run cannot be read", error,
                ["target": target.id, "suppressed": "\(suppressed)"])
        }
    }

    func cutLine(of target: LogTarget) {
        cutLines.add()
        failureLog.attempt { suppressed in
            log.warn("Cut a line that is too long", nil, ["target": target.id, "suppressed": "\(suppressed)"])
        }
    }

    /// Unhealthy when nothing can be read, healthy as long as something is.
    func healthChanged() {
        let statuses = state.withLock { $0.tails.values.map(\.status) }
        let failing = statuses.filter { !$0.lastError.isEmpty }
        if let first = failing.first, failing.count == statuses.count {
            context.report(.unhealthy("no log can be read: \(first.lastError)"))
        } else if let first = failing.first {
            context.report(
                .healthy("following \(statuses.count) containers, \(failing.count) failing: \(first.lastError)"))
        } else {
            context.report(.healthy("following \(statuses.count) containers"))
        }
    }
}
