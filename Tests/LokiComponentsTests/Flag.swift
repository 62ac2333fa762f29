import Synchronization

/// A text set by one task and read by another.
final class Flag: Sendable {
    private let stored = Mutex<String?>(nil)
    var value: String? { stored.withLock { $0 } }
    func set(_ value: String) { stored.withLock { $0 = value } }
}
