import Synchronization

/// Bytes of a ``MemoryAccount`` that belong to one thing and go back with it: a request's body, say, that grows as it
/// arrives and again as it is decompressed.
package final class MemoryLease: Sendable {
    private let account: MemoryAccount
    private let bytes = Atomic<Int>(0)

    /// A lease of nothing yet.
    package init(_ account: MemoryAccount) { self.account = account }

    deinit { release() }

    /// Bytes held now.
    package var held: Int { bytes.load(ordering: .relaxed) }

    /// Reserves `count` more bytes, or returns false when the budget has no room for more to enter.
    package func grow(by count: Int) -> Bool {
        if count <= 0 { return true }
        guard account.admit(count) else { return false }
        bytes.add(count, ordering: .relaxed)
        return true
    }

    /// Gives `count` bytes back, at most what is held.
    package func shrink(by count: Int) {
        var current = bytes.load(ordering: .relaxed)
        while true {
            let part = min(max(count, 0), current)
            let (exchanged, original) = bytes.weakCompareExchange(
                expected: current, desired: current - part, ordering: .relaxed)
            if exchanged { return account.release(part) }
            current = original
        }
    }

    /// Gives everything back.
    package func release() { account.release(bytes.exchange(0, ordering: .relaxed)) }
}
