/// Something that takes responsibility for batches.
package protocol Consumer<Items>: Sendable {
    associatedtype Items: Batch

    /// Takes responsibility for `batch`: returns once it is delivered, queued within bounds or durable.
    func consume(_ batch: consuming Items) async throws(DeliveryError)
}

/// Why a batch was not taken, in the words that the source needs to decide what to do.
package struct DeliveryError: Error, Sendable, CustomStringConvertible {
    package enum Kind: Sendable, Equatable {
        /// Nobody will ever take it: sending it again is pointless.
        case rejected
        /// Not now; again after the given time, or when the source sees fit.
        case retry(after: Duration?)
        /// No room: slow down.
        case overloaded(retryAfter: Duration?)
    }

    package var kind: Kind
    /// One of a small set of words, used as a metric label.
    package var reason: DropReason
    /// For people: lower case, no full stop.
    package var message: String
    /// Who did take the batch, and who refused it for good: a retry skips them.
    package var takenBy = ReceiverSet()

    package init(_ kind: Kind, reason: DropReason, _ message: String) {
        self.kind = kind
        self.reason = reason
        self.message = message
    }

    package static func rejected(_ reason: DropReason, _ message: String) -> DeliveryError {
        DeliveryError(.rejected, reason: reason, message)
    }

    package static func retry(after wait: Duration? = nil, _ message: String) -> DeliveryError {
        DeliveryError(.retry(after: wait), reason: .unavailable, message)
    }

    package static func overloaded(retryAfter wait: Duration? = nil, _ message: String) -> DeliveryError {
        DeliveryError(.overloaded(retryAfter: wait), reason: .overloaded, message)
    }

    /// Whether anyone took the batch before it failed with others: whoever gives up now has delivered to some. See
    /// ``Fanout/giveUp(_:after:)``.
    package var anyTaken: Bool { takenBy.hasTaken }

    /// True when the same batch may be accepted later.
    package var isRetryable: Bool { kind != .rejected }

    package var description: String { message }
}

/// Why items ended their life other than by delivery. Open: a component may name its own reasons, few and fixed.
package struct DropReason: Sendable, Hashable, ExpressibleByStringLiteral, CustomStringConvertible {
    package let name: String
    package init(stringLiteral name: String) { self.name = name }
    package init(_ name: String) { self.name = name }
    package var description: String { name }

    /// A rule or stage of the configuration asked for it.
    package static let rule: DropReason = "rule"
    package static let noReceivers: DropReason = "no_receivers"
    package static let unavailable: DropReason = "unavailable"
    package static let overloaded: DropReason = "overloaded"
    package static let stopped: DropReason = "stopped"
    package static let malformed: DropReason = "malformed"
    package static let limit: DropReason = "limit"
    /// The destination refused the items for good.
    package static let refusedByDestination: DropReason = "refused_by_destination"
    /// Attempts or their time ran out.
    package static let retriesExhausted: DropReason = "retries_exhausted"
    package static let tooOld: DropReason = "too_old"
    package static let queueFull: DropReason = "queue_full"
    package static let damaged: DropReason = "damaged"
}
