import Synchronization

/// The one bound on the bytes held in buffers by the whole process.
///
/// Whatever holds bytes opens an account and reserves before it keeps. A refused reservation is the signal to slow
/// down: sources wait or answer 429, sinks spill. Nothing is evicted on behalf of another.
///
/// Sources ask with ``MemoryAccount/admit(_:)`` and get nothing of the last eighth: that is for what was admitted
/// already, so that it can always move on and free what it holds. Copies of what is elsewhere, too, are kept in the first
/// half only: ``MemoryAccount/spare(_:)``.
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
        /// What cannot work without so many bytes, by who said so.
        var minimums: [ObjectIdentifier: (name: String, bytes: Int)] = [:]
        /// Released accounts are looked for when there are this many, so that opening one stays cheap.
        var sweepAt = 64
    }

    package init(limit: ByteCount) { self.limit = limit }

    /// Bytes reserved now over all accounts.
    package var usage: ByteCount { ByteCount(bytes: used.load(ordering: .relaxed)) }

    package var pressure: Pressure {
        let bytes = used.load(ordering: .relaxed)
        if bytes >= limit.bytes { return .exhausted }
        return bytes >= admissionLimit ? .high : .normal
    }

    /// Sources are refused from here on.
    private var admissionLimit: Int { limit.bytes - limit.bytes / 8 }

    // MARK: Minimums

    /// Notes for `owner` that the component called `name` cannot work with less than `bytes`; 0 takes the note back.
    ///
    /// Returns why not when the minimums together would exceed the limit; the earlier note stays then.
    package func setMinimum(_ bytes: Int, of name: String, for owner: AnyObject) -> MemoryShortage? {
        let key = ObjectIdentifier(owner)
        return accounts.withLock { accounts in
            if bytes <= 0 {
                accounts.minimums[key] = nil
                return nil
            }
            let others = accounts.minimums.reduce(0) { $1.key == key ? $0 : $0 + $1.value.bytes }
            guard bytes <= limit.bytes - others else {
                return MemoryShortage(
                    minimum: ByteCount(bytes: bytes), others: ByteCount(bytes: others), limit: limit)
            }
            accounts.minimums[key] = (name, bytes)
            return nil
        }
    }

    /// What components cannot work without, largest first.
    package var minimums: [(name: String, bytes: ByteCount)] {
        let noted = accounts.withLock { Array($0.minimums.values) }
        return noted.map { ($0.name, ByteCount(bytes: $0.bytes)) }
            .sorted { ($1.bytes, $0.name) < ($0.bytes, $1.name) }
    }

    // MARK: Accounts

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

    /// Name and bytes held of the open accounts, largest first; accounts of one name are added up.
    package var holdings: [(name: String, held: ByteCount)] {
        let open = accounts.withLock { $0.references.values.compactMap(\.account) }
        var sums: [String: Int] = [:]
        for account in open { sums[account.name, default: 0] += account.held.bytes }
        return sums.map { ($0.key, ByteCount(bytes: $0.value)) }.sorted { ($1.held, $0.name) < ($0.held, $1.name) }
    }

    fileprivate func tryTake(_ bytes: Int, _ purpose: Purpose) -> Bool {
        let (old, new) = used.add(bytes, ordering: .relaxed)
        let ceiling =
            switch purpose {
            case .passing: limit.bytes
            case .entering: admissionLimit
            case .spare: limit.bytes / 2
            }
        if new <= ceiling || old == 0 && purpose != .spare { return true }
        used.subtract(bytes, ordering: .relaxed)
        return false
    }

    fileprivate func take(_ bytes: Int) { used.add(bytes, ordering: .relaxed) }
    fileprivate func giveBack(_ bytes: Int) { used.subtract(bytes, ordering: .relaxed) }
}

/// What bytes are wanted for, which decides how much of the budget may be used for them.
private enum Purpose {
    case passing, entering, spare
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

    /// Reserves `count` bytes for what is on its way through the graph already, or returns false when the budget has
    /// no room for them. A reservation on an empty budget always succeeds, so that one oversized item can still pass.
    package func reserve(_ count: Int) -> Bool { take(count, .passing) }

    /// Reserves `count` bytes for data that is about to enter the graph, or returns false: slow down. The last eighth
    /// of the budget is not to be had this way.
    package func admit(_ count: Int) -> Bool { take(count, .entering) }

    /// Reserves `count` bytes for a copy of what is to be had elsewhere, or returns false: do without. Only to be had while
    /// less than half of the budget is used.
    package func spare(_ count: Int) -> Bool { take(count, .spare) }

    /// As ``reserve(_:)``, and an account that holds nothing always gets what it asks for: whatever empties a queue one
    /// item at a time goes on however little memory is left.
    package func reserveOne(_ count: Int) -> Bool {
        if reserve(count) { return true }
        guard bytes.load(ordering: .relaxed) == 0 else { return false }
        book(count)
        return true
    }

    private func take(_ count: Int, _ purpose: Purpose) -> Bool {
        guard budget.tryTake(count, purpose) else { return false }
        bytes.add(count, ordering: .relaxed)
        return true
    }

    /// Whether sources are refused now; who can hold less should.
    package var isBudgetShort: Bool { budget.pressure > .normal }

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

/// Why a configuration cannot run within a budget.
package struct MemoryShortage: Error, Sendable, Equatable, CustomStringConvertible {
    /// What this component needs at least.
    package var minimum: ByteCount
    /// What the others need at least.
    package var others: ByteCount
    package var limit: ByteCount

    package init(minimum: ByteCount, others: ByteCount, limit: ByteCount) {
        self.minimum = minimum
        self.others = others
        self.limit = limit
    }

    package var description: String {
        "needs at least \(minimum) of memory for its buffers, the other components \(others), and the memory budget is "
            + "\(limit): raise --memory.limit or ask for smaller buffers"
    }
}
