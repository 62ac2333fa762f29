import Essentials
import Glibc

/// The signals that steer the program, as a stream.
enum ProcessSignals {
    /// Blocks SIGHUP, SIGINT and SIGTERM in every thread started from now on and delivers them in order. SIGPIPE is
    /// ignored. Call before anything else starts a thread.
    static func listen() -> AsyncStream<CInt> {
        signal(SIGPIPE, SIG_IGN)
        var set = sigset_t()
        sigemptyset(&set)
        for number in [SIGHUP, SIGINT, SIGTERM] { sigaddset(&set, number) }
        pthread_sigmask(SIG_BLOCK, &set, nil)
        let (stream, continuation) = AsyncStream.makeStream(of: CInt.self, bufferingPolicy: .bufferingNewest(16))
        DetachedThread(name: "signals") {
            var waiting = sigset_t()
            sigemptyset(&waiting)
            for number in [SIGHUP, SIGINT, SIGTERM] { sigaddset(&waiting, number) }
            while true {
                var number: CInt = 0
                if sigwait(&waiting, &number) == 0 { continuation.yield(number) }
            }
        }.start()
        return stream
    }
}
