import Synchronization

/// The address a server is bound to, for debug info.
final class BoundAddress: Sendable {
    private let stored = Mutex("")

    var text: String {
        get { stored.withLock { $0 } }
        set { stored.withLock { $0 = newValue } }
    }
}
