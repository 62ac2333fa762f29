package import Essentials
import NIOCore
import Synchronization

/// Runs tasks on one event loop, beside its sockets.
///
/// A task that reads from a connection of the same loop is resumed without waking a thread, which costs more than most of
/// what such a task does in between. It must not block for long.
package final class EventLoopExecutor: TaskExecutor {
    let eventLoop: any EventLoop
    /// Nanoseconds that jobs have taken since they were last asked for.
    private let busy = Atomic<Int64>(0)

    init(_ eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        eventLoop.execute { [self] in
            let start = NIODeadline.now()
            job.runSynchronously(on: asUnownedTaskExecutor())
            busy.add((NIODeadline.now() - start).nanoseconds, ordering: .relaxed)
        }
    }

    /// Nanoseconds that jobs have taken since the last call.
    func takeBusy() -> Int64 { busy.exchange(0, ordering: .relaxed) }

    /// As ``EngineClock/sleep(untilMonotonic:orUntil:)`` of the system's clock, by the loop's own timer. For tasks that run
    /// on this executor.
    package func sleep(untilMonotonic deadline: Int64, orUntil interrupt: SleepInterrupt) async throws -> Bool {
        let sleep = LoopSleep()
        guard interrupt.arm({ sleep.end() }) else { return true }
        let wake = try? eventLoop.scheduleCallback(
            at: .uptimeNanoseconds(UInt64(max(0, deadline))), handler: sleep)
        await withTaskCancellationHandler {
            await withUnsafeContinuation { (continuation: UnsafeContinuation<Void, Never>) in
                if !sleep.begin(continuation) { continuation.resume() }
            }
        } onCancel: {
            sleep.end()
        }
        // Looking for a timer that has fired takes longer the more of them there are.
        if !sleep.hasFired { wake?.cancel() }
        let isInterrupted = interrupt.disarm()
        try Task.checkCancellation()
        return isInterrupted
    }
}

/// One sleep, ended by whichever comes first: the timer, an interrupt or cancellation.
private final class LoopSleep: NIOScheduledCallbackHandler, Sendable {
    private struct State {
        var continuation: UnsafeContinuation<Void, Never>?
        var isOver = false
        var hasFired = false
    }

    private let state = Mutex(State())

    /// False when it is over already.
    func begin(_ continuation: UnsafeContinuation<Void, Never>) -> Bool {
        state.withLock { state in
            if state.isOver { return false }
            state.continuation = continuation
            return true
        }
    }

    var hasFired: Bool { state.withLock { $0.hasFired } }

    func end(byTimer: Bool = false) {
        let continuation = state.withLock { state in
            state.isOver = true
            if byTimer { state.hasFired = true }
            defer { state.continuation = nil }
            return state.continuation
        }
        continuation?.resume()
    }

    func handleScheduledCallback(eventLoop: some EventLoop) { end(byTimer: true) }
    func didCancelScheduledCallback(eventLoop: some EventLoop) { end(byTimer: true) }
}
