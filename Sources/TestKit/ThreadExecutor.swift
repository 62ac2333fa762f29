import Essentials
import Synchronization

/// Runs tasks on a thread of its own: for fake servers, which must answer while a harness blocks the shared threads.
package final class ThreadExecutor: TaskExecutor {
    private struct State: ~Copyable {
        var jobs: [UnownedJob] = []
        var isRunning = false
    }

    private let name: String
    private let state = Mutex(State())

    package init(name: String) { self.name = name }

    package func enqueue(_ job: consuming ExecutorJob) {
        let unowned = UnownedJob(job)
        let starts = state.withLock { state in
            state.jobs.append(unowned)
            defer { state.isRunning = true }
            return !state.isRunning
        }
        // The thread ends when there is nothing to do, so that it never outlives its use.
        if starts { DetachedThread(name: name) { [self] in serve() }.start() }
    }

    private func serve() {
        while true {
            let ready = state.withLock { state in
                defer { state.jobs.removeAll(keepingCapacity: true) }
                if state.jobs.isEmpty { state.isRunning = false }
                return state.jobs
            }
            if ready.isEmpty { return }
            for job in ready { job.runSynchronously(on: asUnownedTaskExecutor()) }
        }
    }
}
