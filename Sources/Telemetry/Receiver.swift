import Synchronization

private let nextReceiverID = Atomic<UInt64>(1)

/// The handle a component exports for others to send to: a stable identity over changing arguments and reloads.
package final class Receiver<Items: Batch>: Sendable {
    /// Unique in the process.
    package let id: UInt64
    package let ledger: ComponentLedger
    private struct State {
        var handler: (any Consumer<Items>)?
        var waiters: [CheckedContinuation<Void, Never>] = []
    }

    private let state = Mutex(State())

    package init(ledger: ComponentLedger) {
        self.ledger = ledger
        id = nextReceiverID.wrappingAdd(1, ordering: .relaxed).oldValue
        ledger.tap.connect()
    }

    /// The ID of the component that exports this receiver.
    package var owner: String { ledger.componentID }

    /// Decides who takes the batches from now on; nil makes senders retry. When a configuration is loaded, senders are
    /// sent to new receivers once a consumer is installed: install one when it can take batches.
    package func install(_ consumer: (any Consumer<Items>)?) {
        let waiters = state.withLock { state in
            state.handler = consumer
            guard consumer != nil else { return [CheckedContinuation<Void, Never>]() }
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
    }

    /// Installs a closure. It must not retain what retains this receiver, or the component never goes away.
    package func install(_ consume: @escaping @Sendable (Items) async throws(DeliveryError) -> Void) {
        install(ClosureConsumer(consume))
    }

    package func consume(_ batch: consuming Items) async throws(DeliveryError) {
        let count = batch.itemCount
        guard let consumer = state.withLock({ $0.handler }) else {
            ledger.refused(count, .unavailable)
            throw .retry("\(owner) is not running")
        }
        ledger.tap.offer(.incoming, batch)
        do {
            try await consumer.consume(batch)
        } catch {
            ledger.refused(count, error.reason)
            ledger.tap.offer(.incoming, refused: count, error)
            throw error
        }
        ledger.accepted(count)
    }
}

/// A receiver of whatever signal, to those who wait until it can be sent to.
package protocol ReceiverHandle: AnyObject, Sendable {
    /// Whether somebody takes the batches.
    var isServed: Bool { get }

    /// Waits until somebody does or the task is cancelled.
    func served() async
}

extension Receiver: ReceiverHandle {
    package var isServed: Bool { state.withLock { $0.handler != nil } }

    package func served() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
                let isOver = state.withLock { state in
                    if state.handler != nil || Task.isCancelled { return true }
                    state.waiters.append(continuation)
                    return false
                }
                if isOver { continuation.resume() }
            }
        } onCancel: {
            // Whoever waits looks again; there is one wait for each load.
            let waiters = state.withLock { state in
                defer { state.waiters = [] }
                return state.waiters
            }
            for waiter in waiters { waiter.resume() }
        }
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
    private struct Edge: Sendable {
        let receiver: Receiver<Items>
        let books: EdgeLedger
    }

    private let edges: [Edge]
    private let ledger: ComponentLedger?

    /// Sends to `receivers` (equal ones once) and keeps the books of `ledger`'s component: while arguments are decoded,
    /// that of the component they are for. Without a ledger nobody can see what became of a batch. `signal` is what the
    /// edges are booked as, where the type of the batches leaves it open.
    package init(_ receivers: [Receiver<Items>], signal: Signal = Items.signal, ledger: ComponentLedger?) {
        var seen: Set<UInt64> = []
        self.ledger = ledger
        ledger?.tap.connect()
        edges = receivers.filter { seen.insert($0.id).inserted }.map { receiver in
            let books =
                ledger?.edge(to: receiver.id, owner: receiver.owner, signal: signal)
                ?? EdgeLedger(from: "", to: receiver.owner, signal: signal)
            return Edge(receiver: receiver, books: books)
        }
    }

    package var receivers: [Receiver<Items>] { edges.map(\.receiver) }
    package var isEmpty: Bool { edges.isEmpty }

    /// Delivers `batch` to every receiver that has not decided about it yet.
    ///
    /// Returns when each has taken it or refused it for good, and at least one has taken it. Throws when one may take it
    /// later (retry with the batch's `takenBy` set from the error; ``deliver(_:)`` does that in place) or when all
    /// refused it for good. Who does not repeat it says so with ``giveUp(_:after:)``.
    ///
    /// Receivers do not wait for each other: one that has to wait for room is awaited along with the others.
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
        var attempt = Attempt(progress: batch.takenBy, count: count, bytes: batch.byteCount)
        if edges.count == 1 {
            // Nearly all edges are alone: no group for them.
            if !attempt.progress.contains(edges[0].receiver.id) {
                attempt.note(await Self.send(batch, over: edges[0]), of: edges[0])
            }
        } else {
            await sendToAll(batch, &attempt)
        }
        batch.takenBy = attempt.progress
        if let error = attempt.retryable {
            ledger?.tap.offer(.outgoing, refused: count, error)
            throw attempt.error(error)
        }
        var refusal: DropReason?
        for edge in edges {
            switch attempt.progress.outcome(of: edge.receiver.id) {
            case .taken:
                ledger?.delivered(count)
                ledger?.tap.offer(.outgoing, batch)
                return
            case .refused(let reason): refusal = reason
            case nil: break
            }
        }
        let error = attempt.refusal ?? .rejected(refusal ?? .unavailable, "refused for good on an earlier attempt")
        ledger?.tap.offer(.outgoing, refused: count, error)
        throw attempt.error(error)
    }

    /// Ends the attempts to deliver `batch`, the last of which failed with `error`, and books what became of it:
    /// delivered when anyone took it, otherwise dropped; dropped on the edges whose receivers had not decided.
    package func giveUp(_ batch: Items, after error: DeliveryError) {
        giveUp(batch, error.reason, error.takenBy)
    }

    /// As ``giveUp(_:after:)``, for a batch that ``deliver(_:)`` kept up to date.
    package func giveUp(_ batch: Items, _ reason: DropReason) { giveUp(batch, reason, batch.takenBy) }

    private func giveUp(_ batch: Items, _ reason: DropReason, _ progress: ReceiverSet) {
        let count = batch.itemCount
        for edge in edges where !progress.contains(edge.receiver.id) { edge.books.dropped(count, reason) }
        if progress.hasTaken { ledger?.delivered(count) } else { ledger?.drop(count, reason) }
    }

    // MARK: Attempts

    /// One attempt to deliver a batch.
    private struct Attempt {
        var progress: ReceiverSet
        let count: Int
        let bytes: Int
        /// The worst of the errors that allow another attempt.
        var retryable: DeliveryError?
        var refusal: DeliveryError?

        init(progress: ReceiverSet, count: Int, bytes: Int) {
            self.progress = progress
            self.count = count
            self.bytes = bytes
        }

        mutating func note(_ error: DeliveryError?, of edge: Edge) {
            guard let error else {
                edge.books.accepted(count, bytes: bytes)
                return progress.insert(edge.receiver.id)
            }
            edge.books.refused(count, error.reason)
            progress.formUnion(error.takenBy)
            if error.isRetryable {
                if case .overloaded = error.kind { retryable = error } else { retryable = retryable ?? error }
            } else {
                edge.books.dropped(count, error.reason)
                progress.insert(edge.receiver.id, .refused(error.reason))
                refusal = error
            }
        }

        func error(_ error: DeliveryError) -> DeliveryError {
            var error = error
            error.takenBy = progress
            return error
        }
    }

    /// Sends to the edges that have not decided: each is tried in turn, and those that have to wait are awaited together.
    private func sendToAll(_ batch: Items, _ attempt: inout Attempt) async {
        let progress = attempt.progress
        let open = progress.isEmpty ? edges : edges.filter { !progress.contains($0.receiver.id) }
        guard let last = open.last else { return }
        guard open.count > 1 else { return attempt.note(await Self.send(batch, over: last), of: last) }
        var errors: [DeliveryError?] = Array(repeating: nil, count: open.count)
        await withTaskGroup(of: (place: Int, error: DeliveryError?).self) { group in
            // An immediate task runs here until it has to wait: what takes a batch at once does so in order.
            for (place, edge) in open.enumerated().dropLast() {
                group.addImmediateTask { (place, await Self.send(batch, over: edge)) }
            }
            errors[open.count - 1] = await Self.send(batch, over: last)
            while let result = await group.next() { errors[result.place] = result.error }
        }
        for (edge, error) in zip(open, errors) { attempt.note(error, of: edge) }
    }

    private static func send(_ batch: Items, over edge: Edge) async -> DeliveryError? {
        var copy = batch
        copy.takenBy = batch.takenBy.step(to: edge.receiver.id)
        do throws(DeliveryError) {
            try await edge.receiver.consume(copy)
            return nil
        } catch {
            return error
        }
    }
}

extension Fanout: Equatable {
    package static func == (left: Fanout, right: Fanout) -> Bool { left.receivers == right.receivers }
}
