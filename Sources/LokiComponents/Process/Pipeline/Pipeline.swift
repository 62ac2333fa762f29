import ComponentKit
import Essentials
import Synchronization
import Telemetry

/// Stages at work on one batch at a time.
final class Pipeline: Sendable {
    /// What a batch, or the passing of time, brought forth.
    struct Result: Sendable {
        var outputs: [TimedBatch]
        var tally: Tally
    }

    private struct State: ~Copyable {
        var work: Work
        var isClosed = false
    }

    private let state: Mutex<State>
    private let spares = SpareBatches()

    init(_ configurations: [any StageConfiguration], _ services: StageServices, clock: EngineClock, log: Log) {
        state = Mutex(State(work: Work(Program(configurations, services), clock: clock, log: log)))
    }

    /// Runs a batch through the stages; nil when the pipeline is closed and another has taken its place.
    func process(_ batch: LogBatch) -> Result? {
        state.withLock { state in
            if state.isClosed { return nil }
            state.work.tally = Tally()
            state.work.lend(spares.take())
            state.work.process(batch)
            return Result(outputs: state.work.takeOutputs(), tally: state.work.tally)
        }
    }

    /// Takes back a batch that came out and was delivered.
    func recycle(_ batch: inout LogBatch) { spares.give(&batch) }

    /// Lets go of what is held and due at monotonic time `now`.
    func release(dueAt now: Int64) -> Result {
        state.withLock { state in
            state.work.tally = Tally()
            state.work.release(dueAt: now)
            return Result(outputs: state.work.takeOutputs(), tally: state.work.tally)
        }
    }

    /// Takes no more batches and lets go of everything held.
    func close() -> Result {
        state.withLock { state in
            state.isClosed = true
            state.work.tally = Tally()
            state.work.release(dueAt: nil)
            return Result(outputs: state.work.takeOutputs(), tally: state.work.tally)
        }
    }

    /// When something held falls due, in monotonic nanoseconds.
    var nextDeadline: Int64? {
        state.withLock { state in state.work.program.stages.compactMap { $0.nextDeadline }.min() }
    }
}
