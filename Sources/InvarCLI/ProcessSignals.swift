import Essentials
import Glibc

/// The signals that steer the program, as a stream.
enum ProcessSignals {
    private static let steering = [SIGHUP, SIGINT, SIGTERM]

    /// Blocks the steering signals in the calling thread and in those it starts. SIGPIPE is ignored.
    static func block() {
        signal(SIGPIPE, SIG_IGN)
        var set = makeSet()
        pthread_sigmask(SIG_BLOCK, &set, nil)
    }

    /// The signals blocked by ``block()``, in order of arrival.
    static func listen() -> AsyncStream<CInt> {
        block()
        let (stream, continuation) = AsyncStream.makeStream(of: CInt.self, bufferingPolicy: .bufferingNewest(16))
        DetachedThread(name: "signals") {
            var waiting = makeSet()
            while true {
                var number: CInt = 0
                if sigwait(&waiting, &number) == 0 { continuation.yield(number) }
            }
        }.start()
        return stream
    }

    private static func makeSet() -> sigset_t {
        var set = sigset_t()
        sigemptyset(&set)
        for number in steering { sigaddset(&set, number) }
        return set
    }
}

extension Invar {
    /// Must run on the main thread before any other thread is started. Only `run` waits for signals; in every other
    /// command they end the program as usual.
    package static func prepareSignals() {
        ProcessMemory.configureAllocator()
        if CommandLine.arguments.dropFirst().first == "run" { ProcessSignals.block() }
    }
}
