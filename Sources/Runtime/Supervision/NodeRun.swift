import ComponentKit
import Essentials
import Synchronization

/// One run of a node: from its start until it ended by itself or was stopped.
final class NodeRun: Sendable {
    private enum Phase {
        case waiting, running, abandoned
    }

    private let record: NodeRecord
    private let log: Log
    private let body: @Sendable () async throws -> Void
    private let phase = Mutex(Phase.waiting)
    private let stopping = Latch()
    private let ended = Latch()
    /// Opens when the run has ended or nobody waits for it any more.
    private let released = Latch()
    private let executor: (any TaskExecutor)?

    init(
        _ record: NodeRecord, log: Log, executor: (any TaskExecutor)?,
        _ body: @escaping @Sendable () async throws -> Void
    ) {
        self.record = record
        self.log = log
        self.executor = executor
        self.body = body
    }

    /// Whether the run is over, or was stopped before it began.
    var hasEnded: Bool { ended.isOpen }

    /// Runs the node; cancelling the task stops it.
    func live() async {
        let begins = phase.withLock { phase in
            guard case .waiting = phase else { return false }
            phase = .running
            return true
        }
        guard begins else { return }
        record.started()
        // A task of its own: one that does not hear of its cancellation is left behind at its deadline, where a child
        // would hold up the end of everything. Otherwise it ends before this returns.
        let work = Task(executorPreference: executor) { await self.finish() }
        await withTaskCancellationHandler {
            await released.waitToTheEnd()
        } onCancel: {
            work.cancel()
        }
    }

    private func finish() async {
        let failure = await outcome()
        if let failure {
            record.ran(.exited("component shut down with error: \(failure)"))
            log.error("node exited with error", nil, [.nodeID: record.globalID, .error: "\(failure)"])
        } else {
            record.ran(.exited("component shut down cleanly"))
            log.info("node exited without error", nil, [.nodeID: record.globalID])
        }
        ended.open()
        released.open()
    }

    /// Takes back a start that has not happened yet.
    func withdraw() {
        let isWaiting = phase.withLock { phase in
            guard case .waiting = phase else { return false }
            phase = .abandoned
            return true
        }
        if isWaiting { ended.open() }
    }

    /// Runs the body until it ends or is stopped; what it threw, unless it only said that it was cancelled.
    private func outcome() async -> (any Error)? {
        await withTaskGroup(of: (isBody: Bool, error: (any Error)?).self) { [body, stopping] group in
            group.addTask {
                do {
                    try await body()
                    return (true, nil)
                } catch {
                    return (true, error)
                }
            }
            group.addTask {
                await stopping.wait()
                return (false, nil)
            }
            var failure: (any Error)?
            while let result = await group.next() {
                group.cancelAll()
                if result.isBody { failure = result.error }
            }
            guard let failure, failure is CancellationError else { return failure }
            return nil
        }
    }

    /// Asks the node to stop and waits until it has, at most `deadline`; false when it has not.
    func stop(within deadline: Duration, clock: EngineClock) async -> Bool {
        withdraw()
        stopping.open()
        if ended.isOpen { return true }
        let hasStopped = await withTaskGroup(of: Bool.self) { [ended] group in
            group.addTask { await ended.wait() }
            group.addTask {
                try? await clock.sleep(for: deadline)
                return false
            }
            let isOver = await group.next() ?? false
            group.cancelAll()
            return isOver || ended.isOpen
        }
        if !hasStopped { released.open() }
        return hasStopped
    }
}

/// A node that is to stop, with the modules inside it.
struct StopOrder: Sendable {
    let record: NodeRecord
    let run: NodeRun?
    let instance: (any ComponentInstance)?
    /// The nodes of the modules inside: each module's in groups that may stop together.
    let inside: [[[StopOrder]]]

    /// How nodes are stopped.
    struct Manner: Sendable {
        let deadline: Duration
        let clock: EngineClock
        let log: Log
        /// Where their books are closed.
        let directory: Directory
    }

    /// This node and those inside it.
    var all: [StopOrder] { [self] + inside.flatMap { $0.flatMap { $0.flatMap(\.all) } } }

    /// Stops groups one after another, the members of each together.
    static func execute(_ groups: [[StopOrder]], _ manner: Manner) async {
        for group in groups {
            await withDiscardingTaskGroup { tasks in
                for order in group { tasks.addTask { await order.execute(manner) } }
            }
        }
    }

    private func execute(_ manner: Manner) async {
        for module in inside { await StopOrder.execute(module, manner) }
        if let run, await !run.stop(within: manner.deadline, clock: manner.clock) {
            record.ran(.exited("task shutdown deadline exceeded"))
            manner.log.error("task shutdown deadline exceeded", nil, [.nodeID: record.globalID])
        }
        instance?.retire()
        manner.directory.close(record)
    }
}
