import Glibc
import Synchronization

/// Runs tasks on the thread that asks, one job after another, so that a test decides when anything happens.
///
/// Jobs woken from outside (sockets, disk threads) wait here until the test drains again.
package final class ManualExecutor: TaskExecutor {
    private let jobs = Mutex<[UnownedJob]>([])
    private let arrival = DispatchSignal()

    package init() {}

    package func enqueue(_ job: consuming ExecutorJob) {
        let unowned = UnownedJob(job)
        jobs.withLock { $0.append(unowned) }
        arrival.signal()
    }

    /// Runs every ready job and those they make ready, until none is left.
    package func drain() {
        while true {
            let ready = jobs.withLock { jobs in
                defer { jobs.removeAll(keepingCapacity: true) }
                return jobs
            }
            if ready.isEmpty { return }
            for job in ready { job.runSynchronously(on: asUnownedTaskExecutor()) }
        }
    }

    /// Drains until `condition` holds, looking again after each millisecond in which no job comes; false after `rounds` of
    /// these.
    package func drain(until condition: () -> Bool, rounds: Int) -> Bool {
        var quietRounds = 0
        while !condition() {
            guard quietRounds < rounds else { return false }
            if !arrival.wait(milliseconds: 1) { quietRounds += 1 }
            drain()
        }
        return true
    }

    /// Drains until `condition` holds, waiting for jobs from outside; false when `seconds` of real time pass first.
    /// Calls `whenQuiet` each time nothing came for a while, and now and then when it never gets quiet.
    package func drain(until condition: () -> Bool, seconds: Int = 20, whenQuiet: () -> Void = {}) -> Bool {
        let deadline = time(nil) + seconds
        var unrest = 0
        while true {
            drain()
            if condition() { return true }
            if time(nil) > deadline { return false }
            unrest = arrival.wait(milliseconds: 50) ? unrest + 1 : 0
            if unrest % 100 == 0 { whenQuiet() }
        }
    }
}

/// A flag with a timed wait.
private final class DispatchSignal: @unchecked Sendable {
    // Sendable by the semaphore it owns, which lives at a fixed address until `deinit`.
    private let semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)

    init() { sem_init(semaphore, 0, 0) }

    deinit {
        sem_destroy(semaphore)
        semaphore.deallocate()
    }

    func signal() { sem_post(semaphore) }

    /// False when the time passed first.
    func wait(milliseconds: Int) -> Bool {
        var deadline = timespec()
        clock_gettime(CLOCK_REALTIME, &deadline)
        deadline.tv_nsec += milliseconds * 1_000_000
        deadline.tv_sec += deadline.tv_nsec / 1_000_000_000
        deadline.tv_nsec %= 1_000_000_000
        var result = sem_timedwait(semaphore, &deadline)
        while result != 0, errno == EINTR { result = sem_timedwait(semaphore, &deadline) }
        while sem_trywait(semaphore) == 0 {}
        return result == 0
    }
}
