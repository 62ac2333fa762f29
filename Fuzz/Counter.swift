import Synchronization

/// A number several tasks add to.
final class Counter: Sendable {
    private let stored = Atomic<Int>(0)
    var value: Int { stored.load(ordering: .relaxed) }
    func add(_ count: Int) { stored.add(count, ordering: .relaxed) }
}
