import CLinux
import Glibc
import Synchronization

/// A thread of our own for work that blocks: timers, file I/O, name resolution.
package struct DetachedThread {
    private let name: String
    private let body: @Sendable () -> Void

    package init(name: String, _ body: @escaping @Sendable () -> Void) {
        self.name = name
        self.body = body
    }

    /// Starts the thread; it ends when its body returns. Nothing joins it.
    package func start() {
        final class Start {
            let name: String
            let body: @Sendable () -> Void
            init(_ name: String, _ body: @escaping @Sendable () -> Void) {
                self.name = name
                self.body = body
            }
        }
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        pthread_attr_setdetachstate(&attributes, CInt(PTHREAD_CREATE_DETACHED))
        pthread_attr_setstacksize(&attributes, 512 << 10)
        defer { pthread_attr_destroy(&attributes) }
        var thread = pthread_t()
        let argument = Unmanaged.passRetained(Start(name, body)).toOpaque()
        let result = pthread_create(
            &thread, &attributes,
            { raw in
                guard let raw else { return nil }
                let start = Unmanaged<Start>.fromOpaque(raw).takeRetainedValue()
                invar_set_thread_name(start.name)
                start.body()
                return nil
            }, argument)
        // Creation fails only when the process is out of threads or memory: nothing can run then.
        precondition(result == 0, "cannot create thread \(name): error \(result)")
    }
}

/// A condition that one thread waits on with a deadline and others signal.
///
/// Sendable by the pthread primitives it owns, which live at a fixed address until `deinit`.
package final class WakeableTimer: @unchecked Sendable {
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var isSignalled = false

    package init() {
        pthread_mutex_init(mutex, nil)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(condition, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    package func signal() {
        pthread_mutex_lock(mutex)
        isSignalled = true
        pthread_cond_signal(condition)
        pthread_mutex_unlock(mutex)
    }

    /// Returns when signalled or when the monotonic clock passes `deadline` nanoseconds (never, if nil).
    package func wait(untilMonotonic deadline: Int64?) {
        pthread_mutex_lock(mutex)
        defer {
            isSignalled = false
            pthread_mutex_unlock(mutex)
        }
        while !isSignalled {
            guard let deadline else {
                pthread_cond_wait(condition, mutex)
                continue
            }
            var time = timespec(
                tv_sec: Int(max(deadline, 0) / 1_000_000_000), tv_nsec: Int(max(deadline, 0) % 1_000_000_000))
            if pthread_cond_timedwait(condition, mutex, &time) == ETIMEDOUT { return }
        }
    }
}

/// A few threads that run blocking calls, so that the cooperative pool never blocks.
package final class BlockingPool: Sendable {
    private struct State: ~Copyable {
        var jobs: [@Sendable () -> Void] = []
        var idle = 0
        var threads = 0
    }

    private let state = Mutex(State())
    private let limit: Int
    private let name: String

    package init(name: String, threads limit: Int) {
        self.name = name
        self.limit = limit
    }

    /// Runs `body` on one of the pool's threads and returns its result. Not interrupted by cancellation.
    package func run<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
        try await withCheckedThrowingContinuation { continuation in
            submit { continuation.resume(with: Swift.Result(catching: body)) }
        }
    }

    /// Runs `job` on one of the pool's threads some time soon; nobody waits for it.
    package func submit(_ job: @escaping @Sendable () -> Void) {
        let start = state.withLock { state in
            state.jobs.append(job)
            guard state.threads < limit else { return false }
            state.threads += 1
            return true
        }
        if start { DetachedThread(name: name) { [self] in serve() }.start() }
    }

    /// Works until nothing is left to do, then ends: an idle pool has no threads.
    private func serve() {
        while true {
            let job: (@Sendable () -> Void)? = state.withLock { state in
                if state.jobs.isEmpty {
                    state.threads -= 1
                    return nil
                }
                return state.jobs.removeFirst()
            }
            guard let job else { return }
            job()
        }
    }
}
