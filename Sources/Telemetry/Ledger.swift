import Synchronization

/// The books of one component: `in + created + held before = out + merged + dropped{reason} + held after`.
///
/// "Held before" is what the component found in its queues on disk: ``restored(_:)``.
///
/// ``Receiver`` and ``Fanout`` keep the edges, so that no component can forget to. A component adds what only it
/// knows: items it originates, items whose life it ends, items it holds, items it delivers outside.
package final class ComponentLedger: Sendable {
    /// The ledger of the component whose arguments are being evaluated: how a `Fanout` learns who owns it.
    @TaskLocal package static var evaluating: ComponentLedger?

    package let componentID: String
    /// Where to look at what passes.
    package let tap = EdgeTap()

    /// Items accepted by this component's receivers, or originated by it as a source.
    private let incoming = Atomic<Int>(0)
    /// Items passed on to at least one receiver, or confirmed by a destination.
    private let outgoing = Atomic<Int>(0)
    /// Items that an earlier run of the program left in a queue on disk.
    private let restoredItems = Atomic<Int>(0)
    /// Items made beyond those taken in (a stage that splits).
    private let createdItems = Atomic<Int>(0)
    /// Items that went into others (an aggregation).
    private let mergedItems = Atomic<Int>(0)

    private struct Books: ~Copyable {
        var drops: [DropKey: Int] = [:]
        var refusals: [DropReason: Int] = [:]
        var edges: [EdgeKey: EdgeLedger] = [:]
        var holders: [Holding] = []
    }

    private struct DropKey: Hashable {
        var reason: DropReason
        var rule: String
    }

    private struct EdgeKey: Hashable {
        var receiver: UInt64
        var signal: Signal
    }

    private let books = Mutex(Books())

    package init(componentID: String) { self.componentID = componentID }

    /// Books items that enter the graph here.
    package func originated(_ count: Int) { incoming.add(count, ordering: .relaxed) }

    /// Books items that a destination outside the graph confirmed.
    package func delivered(_ count: Int) { outgoing.add(count, ordering: .relaxed) }

    /// Books items whose life ends here. `rule` names the rule or stage that asked for it, where one did.
    package func drop(_ count: Int, _ reason: DropReason, rule: String = "") {
        if count == 0 { return }
        books.withLock { $0.drops[DropKey(reason: reason, rule: rule), default: 0] += count }
    }

    /// Books items found in a queue on disk: held by this component before its books began.
    package func restored(_ count: Int) { restoredItems.add(count, ordering: .relaxed) }

    /// Brings `holding` in step with a store that was just opened and has `count` items. What the books do not know yet
    /// was left by an earlier run; what they know and the store no longer has ended with `reason`.
    package func reopened(_ holding: Holding, with count: Int, missing reason: DropReason = .stopped) {
        let change = count - holding.items
        if change > 0 { restored(change) }
        if change < 0 { drop(-change, reason) }
        holding.add(change)
    }

    /// Books items made from others, beyond the number taken in.
    package func created(_ count: Int) { createdItems.add(count, ordering: .relaxed) }

    /// Books items that were merged into others.
    package func merged(_ count: Int) { mergedItems.add(count, ordering: .relaxed) }

    /// A place where items wait inside this component; add and subtract as they come and go.
    package func holding(_ name: String) -> Holding {
        books.withLock { books in
            if let existing = books.holders.first(where: { $0.name == name }) { return existing }
            let holding = Holding(name: name)
            books.holders.append(holding)
            return holding
        }
    }

    func accepted(_ count: Int) { incoming.add(count, ordering: .relaxed) }

    func refused(_ count: Int, _ reason: DropReason) {
        books.withLock { $0.refusals[reason, default: 0] += count }
    }

    func edge(to receiver: UInt64, owner: String, signal: Signal) -> EdgeLedger {
        books.withLock { books in
            let key = EdgeKey(receiver: receiver, signal: signal)
            if let edge = books.edges[key] { return edge }
            let edge = EdgeLedger(from: componentID, to: owner, signal: signal)
            books.edges[key] = edge
            return edge
        }
    }

    /// The books as they stand now.
    package var statement: LedgerStatement {
        books.withLock { books in
            LedgerStatement(
                componentID: componentID,
                incoming: incoming.load(ordering: .relaxed),
                outgoing: outgoing.load(ordering: .relaxed),
                restored: restoredItems.load(ordering: .relaxed),
                created: createdItems.load(ordering: .relaxed),
                merged: mergedItems.load(ordering: .relaxed),
                held: books.holders.map { ($0.name, $0.items) },
                dropped: books.drops.map { ($0.key.reason, $0.key.rule, $0.value) }
                    .sorted { ($0.0.name, $0.1) < ($1.0.name, $1.1) },
                refused: books.refusals.map { ($0.key, $0.value) }.sorted { $0.0.name < $1.0.name },
                edges: books.edges.values.map(\.statement).sorted { $0.to < $1.to })
        }
    }
}

/// Items that wait inside a component.
package final class Holding: Sendable {
    package let name: String
    private let count = Atomic<Int>(0)

    fileprivate init(name: String) { self.name = name }

    package var items: Int { count.load(ordering: .relaxed) }
    package func add(_ items: Int) { count.add(items, ordering: .relaxed) }
    package func subtract(_ items: Int) { count.subtract(items, ordering: .relaxed) }
}

/// The books of one edge: what its receiver accepted, what it refused, and what it will never get.
package final class EdgeLedger: Sendable {
    private let from: String
    private let to: String
    private let signal: Signal
    private let acceptedItems = Atomic<Int>(0)
    private let acceptedBytes = Atomic<Int>(0)
    private let batches = Atomic<Int>(0)
    private let ends = Mutex<Ends>(Ends())

    private struct Ends: Sendable {
        var refusals: [DropReason: Int] = [:]
        var drops: [DropReason: Int] = [:]
    }

    init(from: String, to: String, signal: Signal) {
        self.from = from
        self.to = to
        self.signal = signal
    }

    func accepted(_ items: Int, bytes: Int) {
        acceptedItems.add(items, ordering: .relaxed)
        acceptedBytes.add(bytes, ordering: .relaxed)
        batches.add(1, ordering: .relaxed)
    }

    func refused(_ items: Int, _ reason: DropReason) {
        ends.withLock { $0.refusals[reason, default: 0] += items }
    }

    /// Books a copy for this edge that will never pass it.
    func dropped(_ items: Int, _ reason: DropReason) {
        ends.withLock { $0.drops[reason, default: 0] += items }
    }

    var statement: LedgerStatement.Edge {
        let ends = ends.withLock { $0 }
        return LedgerStatement.Edge(
            from: from, to: to, signal: signal,
            accepted: acceptedItems.load(ordering: .relaxed),
            bytes: acceptedBytes.load(ordering: .relaxed),
            batches: batches.load(ordering: .relaxed),
            refused: ends.refusals.map { ($0.key, $0.value) }.sorted { $0.0.name < $1.0.name },
            dropped: ends.drops.map { ($0.key, $0.value) }.sorted { $0.0.name < $1.0.name })
    }
}

/// A component's books at one moment.
package struct LedgerStatement: Sendable {
    package struct Edge: Sendable {
        package var from: String
        package var to: String
        package var signal: Signal
        package var accepted: Int
        package var bytes: Int
        package var batches: Int
        /// Items the receiving end did not take at an attempt; the sender may have tried again.
        package var refused: [(reason: DropReason, items: Int)]
        /// Items that will never pass this edge, whether or not others took them.
        package var dropped: [(reason: DropReason, items: Int)]
    }

    package var componentID: String
    package var incoming: Int
    package var outgoing: Int
    /// Held before: found in a queue on disk.
    package var restored: Int
    package var created: Int
    package var merged: Int
    package var held: [(name: String, items: Int)]
    package var dropped: [(reason: DropReason, rule: String, items: Int)]
    package var refused: [(reason: DropReason, items: Int)]
    package var edges: [Edge]

    /// These books and those of an earlier or later component of the same ID, as one.
    package func adding(_ other: LedgerStatement) -> LedgerStatement {
        var sum = self
        sum.incoming += other.incoming
        sum.outgoing += other.outgoing
        sum.created += other.created
        sum.merged += other.merged
        for entry in other.held {
            if let place = sum.held.firstIndex(where: { $0.name == entry.name }) {
                sum.held[place].items += entry.items
            } else {
                sum.held.append(entry)
            }
        }
        for entry in other.dropped {
            if let place = sum.dropped.firstIndex(where: { $0.reason == entry.reason && $0.rule == entry.rule }) {
                sum.dropped[place].items += entry.items
            } else {
                sum.dropped.append(entry)
            }
        }
        sum.refused = Self.sum(sum.refused, other.refused)
        for entry in other.edges {
            if let place = sum.edges.firstIndex(where: { $0.to == entry.to && $0.signal == entry.signal }) {
                sum.edges[place].accepted += entry.accepted
                sum.edges[place].bytes += entry.bytes
                sum.edges[place].batches += entry.batches
                sum.edges[place].refused = Self.sum(sum.edges[place].refused, entry.refused)
                sum.edges[place].dropped = Self.sum(sum.edges[place].dropped, entry.dropped)
            } else {
                sum.edges.append(entry)
            }
        }
        return sum
    }

    private static func sum(
        _ first: [(reason: DropReason, items: Int)], _ second: [(reason: DropReason, items: Int)]
    ) -> [(reason: DropReason, items: Int)] {
        var sum = first
        for entry in second {
            if let place = sum.firstIndex(where: { $0.reason == entry.reason }) {
                sum[place].items += entry.items
            } else {
                sum.append(entry)
            }
        }
        return sum
    }

    package var heldItems: Int { held.reduce(0) { $0 + $1.items } }
    package var droppedItems: Int { dropped.reduce(0) { $0 + $1.items } }

    /// Items taken in that nothing accounts for; zero when the books balance. Exact only while nothing is moving.
    package var unaccounted: Int { incoming + restored + created - outgoing - merged - droppedItems - heldItems }
}
