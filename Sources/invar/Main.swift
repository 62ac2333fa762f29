import Glibc
import InvarCLI

/// The program.
@main
enum Main {
    /// Signals are blocked here, before any other thread exists, so that they reach nobody but who waits for them.
    static func main() {
        Invar.prepareSignals()
        Task { await Invar.start() }
        while true { pause() }
    }
}
