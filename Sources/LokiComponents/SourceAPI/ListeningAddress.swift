import Synchronization

/// Where a server listens now; empty while it does not.
final class ListeningAddress: Sendable {
    private let stored = Mutex("")

    var text: String {
        get { stored.withLock { $0 } }
        set { stored.withLock { $0 = newValue } }
    }
}
