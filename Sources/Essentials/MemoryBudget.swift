import Synchronization

/// The one bound on the bytes held in buffers by the whole process.
///
/// Whatever holds bytes opens an account and reserves before it keeps. A refused reservation is the signal to slow
/// down: sources wait or answer 429, sinks spill. Nothing is evicted on behalf of another.
package final class MemoryBudget: Sendable {
    /// What the budget is about to run out of.
    package enum Pressure: Int, Sendable, Comparable {
        case normal, high, exhausted
        package static func < (left: Pressure, right: Pressure) -> Bool { left.rawValue < right.rawValue }
    }

    package let limit: ByteCount
    private let used = Atomic<Int>(0)
    private let accounts = Mutex(Accounts())

    private struct AccountReference { weak var account: MemoryAccount? }

    private struct Accounts: ~Copyable {
        var references: [ObjectIdentifier: AccountReference] = [:]
        /// Released accounts are looked for when there are this many, so that opening one stays cheap.
        var sweepAt = 64
    }

    package init(limit: ByteCount) { self.limit = limit }

    /// Bytes reserved now over all accounts.
    package var usage: ByteCount { ByteCount(bytes: used.load(ordering: .relaxed)) }

    package var pressure: Pressure {
        let bytes = used.load(ordering: .relaxed)
        if bytes >= limit.bytes { return .exhausted }
        return bytes >= limit.bytes / 8 * 7 ? .high : .normal
    }

    /// Opens an account; what it still holds goes back when the account is released.
    package func account(_ name: String) -> MemoryAccount {
        let account = MemoryAccount(name: name, budget: self)
        accounts.withLock { accounts in
            if accounts.references.count >= accounts.sweepAt {
                accounts.references = accounts.references.filter { $0.value.account != nil }
                accounts.sweepAt = max(64, 2 * accounts.references.count)
            }
            accounts.references[ObjectIdentifier(account)] = AccountReference(account: account)
        }
        return account
    }

    /// Name and bytes held of every open account, largest first.
    package var holdings: [(name: String, held: ByteCount)] {
        let open = accounts.withLock { $0.references.values.compactMap(\.account) }
        return open.map { ($0.name, $0.held) }.sorted { $0.held > $1.held }
    }

    fileprivate func tryTake(_ bytes: Int) -> Bool {
        let (old, new) = used.add(bytes, ordering: .relaxed)
        if new <= limit.bytes || old == 0 { return true }
        used.subtract(bytes, ordering: .relaxed)
        return false
    }

    fileprivate func take(_ bytes: Int) { used.add(bytes, ordering: .relaxed) }
    fileprivate func giveBack(_ bytes: Int) { used.subtract(bytes, ordering: .relaxed) }
}

/// One holder's share of a ``MemoryBudget``.
package final class MemoryAccount: Sendable {
    package let name: String
    private let budget: MemoryBudget
    private let bytes = Atomic<Int>(0)

    fileprivate init(name: String, budget: MemoryBudget) {
        self.name = name
        self.budget = budget
    }

    deinit { budget.giveBack(bytes.load(ordering: .relaxed)) }

    /// Bytes this account holds now.
    package var held: ByteCount { ByteCount(bytes: bytes.load(ordering: .relaxed)) }

    /// Reserves `count` bytes, or returns false when the budget has no room for them. A reservation on an empty
    /// budget always succeeds, so that one oversized item can still pass.
    package func reserve(_ count: Int) -> Bool {
        guard budget.tryTake(count) else { return false }
        bytes.add(count, ordering: .relaxed)
        return true
    }

    /// Books bytes that are already held and cannot be refused.
    package func book(_ count: Int) {
        budget.take(count)
        bytes.add(count, ordering: .relaxed)
    }

    /// Gives `count` reserved bytes back.
    package func release(_ count: Int) {
        bytes.subtract(count, ordering: .relaxed)
        budget.giveBack(count)
    }
}
