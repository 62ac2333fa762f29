import NIOCore
import NIOPosix
import Synchronization

/// Event loops for pipelines: their tasks, and the connections those tasks open. Servers have others, so that a pipeline that
/// computes or writes to a slow disk does not keep them from answering.
///
/// As many as there are cores, but filled one after another: work that fits one thread stays there, since waking another
/// thread costs more than most steps of a pipeline. What does not fit moves, at a point where its task asks.
package final class WorkLoops: Sendable {
    private struct State {
        var measuredAt = NIODeadline.now()
        /// By loop: the part of the last second that its jobs took.
        var loads: [Double]
    }

    private let group: MultiThreadedEventLoopGroup
    private let executors: [EventLoopExecutor]
    private let state: Mutex<State>

    /// Beyond this a loop is full.
    private static let full = 0.6
    /// What moves must find that much more room elsewhere.
    private static let gain = 0.2

    init(threads: Int) {
        group = MultiThreadedEventLoopGroup(numberOfThreads: max(1, threads))
        executors = group.makeIterator().map { EventLoopExecutor($0) }
        state = Mutex(State(loads: executors.map { _ in 0 }))
    }

    deinit { group.shutdownGracefully { _ in } }

    /// The loop the caller runs on, if it is one of these.
    var current: (any EventLoop)? {
        guard executors.count > 0, let loop = MultiThreadedEventLoopGroup.currentEventLoop else { return nil }
        return executors.contains { $0.eventLoop === loop } ? loop : nil
    }

    /// Where new work is placed.
    package func place() -> EventLoopExecutor { executors[Self.place(loads())] }

    /// Where work that runs on `executor` had better go on; nil when it is well placed. Asked by all of the work of a full
    /// loop about once a second, it moves as much of it as evens the loads.
    package func betterPlace(than executor: EventLoopExecutor) -> EventLoopExecutor? {
        guard let own = executors.firstIndex(where: { $0 === executor }) else { return nil }
        return Self.betterPlace(than: own, loads(), chance: .random(in: 0..<1)).map { executors[$0] }
    }

    static func place(_ loads: [Double]) -> Int { loads.firstIndex { $0 < full } ?? least(loads) }

    /// `chance` is between 0 and 1: what is below the part of the work that is to move, moves.
    static func betterPlace(than own: Int, _ loads: [Double], chance: Double) -> Int? {
        guard loads[own] > full else { return nil }
        let other = loads.firstIndex { $0 < full - gain } ?? least(loads)
        let difference = loads[own] - loads[other]
        guard difference > gain, chance < difference / (2 * loads[own]) else { return nil }
        return other
    }

    private static func least(_ loads: [Double]) -> Int {
        loads.indices.min { loads[$0] < loads[$1] } ?? 0
    }

    private func loads() -> [Double] {
        let now = NIODeadline.now()
        return state.withLock { state in
            let elapsed = (now - state.measuredAt).nanoseconds
            guard elapsed >= 1_000_000_000 else { return state.loads }
            state.measuredAt = now
            for index in executors.indices {
                state.loads[index] = Double(executors[index].takeBusy()) / Double(elapsed)
            }
            return state.loads
        }
    }
}
