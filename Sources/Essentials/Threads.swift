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
        /// Threads that wait for a job, the one that began last at the end.
        var idle: [WakeableTimer] = []
        var threads = 0
        /// Jobs handed in that have not ended.
        var unfinished = 0
    }

    /// How long a thread waits for more to do: making one costs more than most jobs.
    private static let patienceNanoseconds: Int64 = 2_000_000_000

    private let state = Mutex(State())
    private let limit: Int
    private let name: String

    package init(name: String, threads limit: Int) {
        self.name = name
        self.limit = limit
    }

    /// Jobs handed in that have not ended yet.
    package var unfinishedJobs: Int { state.withLock { $0.unfinished } }

    /// Runs `body` on one of the pool's threads and returns its result. Not interrupted by cancellation.
    package func run<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
        try await withCheckedThrowingContinuation { continuation in
            submit { continuation.resume(with: Swift.Result(catching: body)) }
        }
    }

    /// Runs `job` on one of the pool's threads some time soon; nobody waits for it.
    package func submit(_ job: @escaping @Sendable () -> Void) {
        let (sleeper, isStarting): (WakeableTimer?, Bool) = state.withLock { state in
            state.jobs.append(job)
            state.unfinished += 1
            if let sleeper = state.idle.popLast() { return (sleeper, false) }
            guard state.threads < limit else { return (nil, false) }
            state.threads += 1
            return (nil, true)
        }
        sleeper?.signal()
        if isStarting { DetachedThread(name: name) { [self] in serve() }.start() }
    }

    private enum Turn {
        case job(@Sendable () -> Void)
        case wait, end
    }

    /// Works, waits for more for a while, then ends: a pool that is left alone has no threads.
    private func serve() {
        let timer = WakeableTimer()
        var hasWaited = false
        while true {
            let turn: Turn = state.withLock { state in
                let position = hasWaited ? state.idle.lastIndex { $0 === timer } : nil
                if !state.jobs.isEmpty {
                    if let position { state.idle.remove(at: position) }
                    return .job(state.jobs.removeFirst())
                }
                // Whoever takes the timer out of the list has a job for this thread, or had one that another took.
                if let position {
                    state.idle.remove(at: position)
                    state.threads -= 1
                    return .end
                }
                state.idle.append(timer)
                return .wait
            }
            switch turn {
            case .job(let job):
                hasWaited = false
                job()
                state.withLock { $0.unfinished -= 1 }
            case .wait:
                timer.wait(untilMonotonic: Self.now() &+ Self.patienceNanoseconds)
                hasWaited = true
            case .end: return
            }
        }
    }

    private static func now() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
    }
}
