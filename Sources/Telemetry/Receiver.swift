import Synchronization

private let nextReceiverID = Atomic<UInt64>(1)

/// The handle a component exports for others to send to: a stable identity over changing arguments and reloads.
package final class Receiver<Items: Batch>: Sendable {
    /// Unique in the process.
    package let id: UInt64
    package let ledger: ComponentLedger
    private let handler = Mutex<(any Consumer<Items>)?>(nil)

    package init(ledger: ComponentLedger) {
        self.ledger = ledger
        id = nextReceiverID.wrappingAdd(1, ordering: .relaxed).oldValue
    }

    /// The ID of the component that exports this receiver.
    package var owner: String { ledger.componentID }

    /// Decides who takes the batches from now on; nil makes senders retry.
    package func install(_ consumer: (any Consumer<Items>)?) {
        handler.withLock { $0 = consumer }
    }

    /// Installs a closure. It must not retain what retains this receiver, or the component never goes away.
    package func install(_ consume: @escaping @Sendable (Items) async throws(DeliveryError) -> Void) {
        install(ClosureConsumer(consume))
    }

    package func consume(_ batch: consuming Items) async throws(DeliveryError) {
        let count = batch.itemCount
        guard let consumer = handler.withLock({ $0 }) else {
            ledger.refused(count, .unavailable)
            throw .retry("\(owner) is not running")
        }
        do {
            try await consumer.consume(batch)
        } catch {
            ledger.refused(count, error.reason)
            throw error
        }
        ledger.accepted(count)
    }
}

extension Receiver: Hashable {
    package static func == (left: Receiver, right: Receiver) -> Bool { left === right }
    package func hash(into hasher: inout Hasher) { hasher.combine(id) }
}

private struct ClosureConsumer<Items: Batch>: Consumer {
    let body: @Sendable (Items) async throws(DeliveryError) -> Void

    init(_ body: @escaping @Sendable (Items) async throws(DeliveryError) -> Void) { self.body = body }

    func consume(_ batch: consuming Items) async throws(DeliveryError) { try await body(batch) }
}

/// The receivers of a `forward_to`: every one of them must take each batch.
package struct Fanout<Items: Batch>: Sendable {
    private let edges: [(receiver: Receiver<Items>, books: EdgeLedger)]
    private let ledger: ComponentLedger?

    /// Sends to `receivers` (equal ones once), with the books of the component being evaluated. `signal` is what the
    /// edges are booked as, where the type of the batches leaves it open.
    package init(
        _ receivers: [Receiver<Items>], signal: Signal = Items.signal,
        ledger: ComponentLedger? = ComponentLedger.evaluating
    ) {
        var seen: Set<UInt64> = []
        self.ledger = ledger
        edges = receivers.filter { seen.insert($0.id).inserted }.map { receiver in
            let books =
                ledger?.edge(to: receiver.id, owner: receiver.owner, signal: signal)
                ?? EdgeLedger(from: "", to: receiver.owner, signal: signal)
            return (receiver, books)
        }
    }

    package var receivers: [Receiver<Items>] { edges.map(\.receiver) }
    package var isEmpty: Bool { edges.isEmpty }

    /// Delivers `batch` to every receiver that has not taken it yet.
    ///
    /// Returns when each has taken it or refused it for good. Throws when one may take it later (retry with the
    /// batch's `takenBy` set from the error; ``deliver(_:)`` does that in place) or when all refused it for good.
    /// Empty batches are not sent.
    package func callAsFunction(_ batch: Items) async throws(DeliveryError) {
        var batch = batch
        try await deliver(&batch)
    }

    /// As ``callAsFunction(_:)``, noting in `batch.takenBy` who needs no second attempt.
    package func deliver(_ batch: inout Items) async throws(DeliveryError) {
        let count = batch.itemCount
        guard !edges.isEmpty else {
            ledger?.drop(count, .noReceivers)
            return
        }
        let bytes = batch.byteCount
        var taken = batch.takenBy
        var retryable: DeliveryError?
        var final: DeliveryError?
        var accepted = 0
        for edge in edges {
            if taken.contains(edge.receiver.id) {
                accepted += 1
                continue
            }
            do {
                try await edge.receiver.consume(batch)
                edge.books.accepted(count, bytes: bytes)
                taken.insert(edge.receiver.id)
                accepted += 1
            } catch {
                edge.books.refused(count, error.reason)
                taken.formUnion(error.takenBy)
                if error.isRetryable {
                    retryable = Self.worse(retryable, error)
                } else {
                    taken.insert(edge.receiver.id)
                    final = error
                }
            }
        }
        batch.takenBy = taken
        if var error = retryable {
            error.takenBy = taken
            throw error
        }
        if accepted == 0, let error = final { throw error }
        ledger?.delivered(count)
    }

    private static func worse(_ current: DeliveryError?, _ other: DeliveryError) -> DeliveryError {
        guard let current else { return other }
        if case .overloaded = other.kind { return other }
        return current
    }
}

extension Fanout: Equatable {
    package static func == (left: Fanout, right: Fanout) -> Bool { left.receivers == right.receivers }
}
