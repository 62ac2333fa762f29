import Glibc
import InvarCLI

/// The program.
@main
enum Main {
    /// Signals are blocked here, before any other thread exists, so that they reach nobody but who waits for them.
    static func main() {
        Invar.prepareSignals()
        // Detached, because the main thread only waits: a task of its own would never get a turn.
        Task.detached { await Invar.start() }
        while true { pause() }
    }
}
