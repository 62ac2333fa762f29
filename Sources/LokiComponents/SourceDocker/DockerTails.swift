import ComponentKit
import Essentials
import SelfMetrics
import Storage
import Synchronization
import Telemetry

/// What the tails of a component share: positions, counters and what is known of each.
final class DockerTails: Sendable {
    /// How long positions of targets that have gone are kept: discovery may lose them for a moment.
    private static let retention = Duration.seconds(600)

    let clock: EngineClock
    let log: Log
    let memory: MemoryAccount
    let positions: Positions
    let delivery: LogDelivery
    let entries: Counter
    private let context: Context<NoValues>
    private let parsingErrors: Counter
    private let failures: Counter
    private let cutLines: Counter
    private let failureLog: LogLimiter

    private struct State {
        var tails: [DockerTarget.Key: DockerTail] = [:]
        /// When targets went whose positions are still kept, on the monotonic clock.
        var gone: [PositionKey: (exact: PositionKey, time: Int64)] = [:]
    }

    private let state = Mutex(State())

    init(_ context: Context<NoValues>, _ delivery: LogDelivery) throws {
        self.context = context
        clock = context.clock
        log = context.log
        memory = context.memory
        self.delivery = delivery
        try Files.makeDirectory(context.storagePath)
        positions = try Positions(path: context.storagePath + "/positions.yml")
        let prefix = "loki_source_docker_"
        entries = context.metrics.counter(
            prefix + "target_entries_total", "Total number of successful entries sent to the Docker target")
        parsingErrors = context.metrics.counter(
            prefix + "target_parsing_errors_total", "Total number of parsing errors while receiving Docker messages")
        failures = context.metrics.counter(
            prefix + "stream_failures_total", "Number of requests for logs that failed.")
        cutLines = context.metrics.counter(
            prefix + "cut_lines_total", "Number of lines cut because they are too long.")
        failureLog = LogLimiter(every: .seconds(10), clock: context.clock)
        context.metrics.collector { [weak self] in
            let count = self?.all.reduce(0) { $0 + ($1.status.isRunning ? 1 : 0) } ?? 0
            return [
                CollectedFamily(
                    name: prefix + "containers", help: "Number of containers whose logs are followed.",
                    kind: .gauge, samples: [CollectedSample(value: Double(count))])
            ]
        }
    }

    /// Every tail, by its container.
    var all: [DockerTail] {
        state.withLock { Array($0.tails.values) }.sorted { $0.key.containerID < $1.key.containerID }
    }

    /// Follows what `target` says until its container is no more.
    func follow(_ target: Live<DockerTarget>, _ client: DockerClient) async throws {
        let first = target.current
        let tail = DockerTail(first.key, self)
        state.withLock { state in
            state.tails[first.key] = tail
            state.gone[first.positionKey] = nil
        }
        healthChanged()
        defer {
            let now = clock.monotonicNanoseconds
            state.withLock { state in
                if state.tails[first.key] === tail, !tail.status.hasEnded { state.tails[first.key] = nil }
                state.gone[first.positionKey] = (first.exactPositionKey, now)
            }
        }
        try await target.whileCurrent({ $0 }) { try await tail.run($0, client) }
    }

    /// Forgets containers that are no more and no longer among `keys`.
    func retain(_ keys: Set<DockerTarget.Key>) {
        state.withLock { state in
            for (key, tail) in state.tails where tail.status.hasEnded && !keys.contains(key) { state.tails[key] = nil }
        }
        healthChanged()
    }

    // MARK: Positions

    /// Writes positions regularly and forgets old ones, until cancelled.
    func keepPositions() async {
        await withDiscardingTaskGroup { group in
            group.addTask { [self] in
                await positions.saveRegularly(clock: clock, on: context.services.blocking, log: log)
            }
            group.addTask { [self] in
                while (try? await clock.sleep(for: .seconds(60))) != nil { forgetOldPositions() }
            }
        }
    }

    func savePositions() async {
        try? await context.services.blocking.run { [positions, log] in
            do {
                try positions.save()
            } catch {
                log.error("error writing positions file", error)
            }
        }
    }

    private func forgetOldPositions() {
        let limit = clock.monotonicNanoseconds &- Self.retention.nanoseconds
        let old = state.withLock { state in
            let old = state.gone.filter { $0.value.time < limit }
            for key in old.keys { state.gone[key] = nil }
            return old
        }
        for (key, entry) in old {
            positions.remove(key)
            positions.remove(entry.exact)
        }
    }

    // MARK: Told by tails

    func failed(_ key: DockerTarget.Key, _ error: DockerFailure, isNew: Bool) {
        failures.add()
        guard isNew else { return }
        failureLog.attempt { suppressed in
            log.warn(
                "Reading a log failed and will be tried again", error,
                ["container": key.containerID, "suppressed": "\(suppressed)"])
        }
    }

    /// Books lines that did not become entries.
    func note(_ tally: DockerReader.Tally, _ key: DockerTarget.Key) {
        context.ledger.originated(tally.dropped + tally.malformed)
        context.ledger.drop(tally.dropped, .rule, rule: "relabel_rules")
        context.ledger.drop(tally.malformed, .malformed)
        if tally.malformed > 0 { parsingErrors.add(tally.malformed) }
        if tally.cut > 0 { cutLines.add(tally.cut) }
        guard tally.malformed + tally.cut > 0 else { return }
        failureLog.attempt { suppressed in
            log.warn(
                "Cut lines that are too long, or dropped lines without a time", nil,
                [
                    "container": key.containerID, "cut": "\(tally.cut)", "dropped": "\(tally.malformed)",
                    "suppressed": "\(suppressed)",
                ])
        }
    }

    /// Unhealthy when nothing can be read, healthy as long as something is.
    func healthChanged() {
        let statuses = all.map(\.status).filter { !$0.hasEnded }
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
