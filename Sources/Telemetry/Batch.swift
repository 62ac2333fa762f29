/// What moves along an edge of the graph.
package protocol Batch: Sendable {
    /// Samples, entries, spans, log records, data points or profiles in the batch: what the ledger counts.
    var itemCount: Int { get }

    /// Bytes the batch keeps alive, about; for budgets and metrics.
    var byteCount: Int { get }

    /// What earlier attempts to deliver this batch came to: who took it and must not get it again.
    var takenBy: ReceiverSet { get set }

    /// The signal, as the ledger and the UI name it.
    static var signal: Signal { get }
}

/// Which kind of telemetry an edge carries.
package enum Signal: String, Sendable, CaseIterable {
    case metrics, logs, traces, profiles
    case otlp
}

/// What became of a batch with the receivers it went to: how far a delivery has come, so that a repeated one goes only
/// to those that have not decided. Almost always empty.
///
/// Entries belong to the way the batch took, not to the receiver alone: one that is reached on two ways takes two
/// copies. ``Fanout`` notes the way as a batch goes down. What makes several batches from one tells them apart with
/// ``branch(_:)``; what takes responsibility itself and delivers later begins with an empty set.
package struct ReceiverSet: Sendable, Equatable {
    /// What a receiver decided.
    package enum Outcome: Sendable, Equatable {
        case taken
        /// Refused for good: asking again is pointless.
        case refused(DropReason)
    }

    private struct Member: Sendable, Equatable {
        var way: UInt64
        var outcome: Outcome
    }

    /// The receivers and branches passed until here.
    private var way: UInt64 = 0
    private var members: [Member] = []

    package init() {}

    package var isEmpty: Bool { members.isEmpty }

    /// Whether anyone took the batch, on any way.
    package var hasTaken: Bool { members.contains { $0.outcome == .taken } }

    /// What `receiver` (or whatever else has a number here) decided about the batch that came this way; nil when it has
    /// not.
    package func outcome(of receiver: UInt64) -> Outcome? {
        if members.isEmpty { return nil }
        let way = extended(by: receiver)
        return members.first { $0.way == way }?.outcome
    }

    /// Whether `receiver` has decided about the batch that came this way, one way or the other.
    package func contains(_ receiver: UInt64) -> Bool { outcome(of: receiver) != nil }

    package mutating func insert(_ receiver: UInt64, _ outcome: Outcome = .taken) {
        let way = extended(by: receiver)
        if let place = members.firstIndex(where: { $0.way == way }) {
            members[place].outcome = outcome
        } else {
            members.append(Member(way: way, outcome: outcome))
        }
    }

    /// Adds what `other` knows; its way does not matter.
    package mutating func formUnion(_ other: ReceiverSet) {
        for member in other.members where !members.contains(where: { $0.way == member.way }) { members.append(member) }
    }

    /// The same set one step further on: for output number `number` of what makes several batches from one, always in
    /// the same way.
    package func branch(_ number: Int) -> ReceiverSet {
        // Receivers count from one, so that the complement of a small number is none of them.
        step(to: ~UInt64(truncatingIfNeeded: number))
    }

    /// The same set as `receiver` sees it.
    func step(to receiver: UInt64) -> ReceiverSet {
        var next = self
        next.way = extended(by: receiver)
        return next
    }

    /// The way with one more step: the finaliser of SplitMix64, so that different ways have different numbers.
    private func extended(by receiver: UInt64) -> UInt64 {
        var value = way &* 0x9E37_79B9_7F4A_7C15 &+ receiver
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}
