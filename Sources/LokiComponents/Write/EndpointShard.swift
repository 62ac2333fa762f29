import Essentials
import Synchronization
import Telemetry
import Wire

/// Tells when all entries of something have been sent or given up.
final class DeliveryTicket: Sendable {
    private let remaining: Atomic<Int>
    private let body: @Sendable () -> Void

    /// Calls `body` when `entries` have been settled.
    init(entries: Int, _ body: @escaping @Sendable () -> Void) {
        remaining = Atomic(entries)
        self.body = body
    }

    func settle(_ entries: Int) {
        if remaining.subtract(entries, ordering: .acquiringAndReleasing).newValue == 0 { body() }
    }
}

/// Entries of one tenant on their way into one request.
struct OutgoingBatch: Sendable {
    let tenant: String
    var builder: LokiPushBuilder
    /// When the first entry came, on the monotonic clock.
    let openedAt: Int64
    /// When entries came, and how many.
    var arrivals: [Arrival] = []
    var tickets: [Ticketed] = []
    /// Bytes of the memory budget.
    var reserved = 0

    struct Arrival: Sendable {
        var time: Int64
        var entries: Int
    }

    struct Ticketed: Sendable {
        var ticket: DeliveryTicket
        var entries: Int
    }
}

/// Batches entries by tenant and keeps full batches in order until they are sent.
///
/// A stream always goes to the same shard, and a shard sends one request at a time, so entries of a stream arrive in order.
final class EndpointShard: Sendable {
    struct Limits: Sendable {
        var batchSize: Int
        var maximumStreams: Int
        var queuedBatches: Int
        var batchWait: Int64
    }

    /// What appending did.
    struct Appended: Sendable {
        struct Dropped: Sendable {
            var tenant: String
            var entries: Int
            var bytes: Int
        }

        /// Bytes of memory the entries take.
        var reserved = 0
        /// Entries of streams beyond the limit.
        var dropped: [Dropped] = []
    }

    private struct State: ~Copyable {
        /// The open batches; nil where a tenant's batch was closed.
        var open: [OutgoingBatch?] = []
        var slots: [String: Int] = [:]
        var ready: [OutgoingBatch] = []
        var spare: [LokiPushBuilder] = []
        var waiter: CheckedContinuation<Void, Never>?
        var isDraining = false
    }

    let limits: Limits
    private let state = Mutex(State())

    init(_ limits: Limits) { self.limits = limits }

    var hasRoom: Bool { state.withLock { $0.ready.count < limits.queuedBatches } }

    /// Entries not yet handed to the sender.
    var isEmpty: Bool { state.withLock { $0.ready.isEmpty && $0.slots.isEmpty } }

    /// Adds the entries of `batch` whose stream is `isOwn`. The caller settles those that are dropped.
    func append(
        _ batch: LogBatch, _ routes: [StreamRoute], isOwn: (LabelSet) -> Bool, defaultTenant: String, now: Int64,
        ticket: DeliveryTicket?
    ) -> Appended {
        let own = routes.map { isOwn($0.labels) }
        let (appended, waiter) = state.withLock { state in
            let appended = append(&state, batch, routes, own, defaultTenant, now, ticket)
            var waiter: CheckedContinuation<Void, Never>?
            if !state.ready.isEmpty { swap(&waiter, &state.waiter) }
            return (appended, waiter)
        }
        waiter?.resume()
        return appended
    }

    private func append(
        _ state: inout State, _ batch: LogBatch, _ routes: [StreamRoute], _ own: [Bool], _ defaultTenant: String,
        _ now: Int64, _ ticket: DeliveryTicket?
    ) -> Appended {
        var appended = Appended()
        // By stream of the batch: its slot and its index among the streams of the batch open in that slot.
        var slots = [Int](repeating: -1, count: routes.count)
        var indices = [Int32](repeating: -1, count: routes.count)
        batch.arena.withUnsafeBytes { arena in
            for entry in batch.entries {
                let stream = Int(entry.stream)
                guard own[stream] else { continue }
                let route = routes[stream]
                if slots[stream] < 0 { slots[stream] = Self.slot(of: route.tenant ?? defaultTenant, &state) }
                let slot = slots[stream]
                let size = LokiPushBuilder.contentSize(entry)
                if state.open[slot] == nil {
                    open(slot, route.tenant ?? defaultTenant, now, &state)
                    Self.forget(slot, slots, &indices)
                }
                if indices[stream] < 0, state.open[slot]?.builder.contains(route.labels) == false {
                    let streams = state.open[slot]?.builder.streamCount ?? 0
                    if limits.maximumStreams > 0, streams >= limits.maximumStreams {
                        Self.note(&appended, route.tenant ?? defaultTenant, size)
                        continue
                    }
                }
                if let builder = state.open[slot]?.builder, !builder.isEmpty,
                    builder.contentByteCount + size > limits.batchSize
                {
                    close(slot, &state)
                    open(slot, route.tenant ?? defaultTenant, now, &state)
                    Self.forget(slot, slots, &indices)
                }
                if indices[stream] < 0 {
                    indices[stream] = state.open[slot]?.builder.stream(for: route.labels) ?? 0
                }
                let line = UnsafeRawBufferPointer(
                    rebasing: arena[entry.lineOffset..<entry.lineOffset + entry.lineLength])
                state.open[slot]?.builder.append(
                    line, timestamp: entry.timestamp, metadata: entry.metadata, stream: indices[stream])
                state.open[slot]?.note(now, ticket, bytes: size + 64)
                appended.reserved += size + 64
            }
        }
        return appended
    }

    private static func note(_ appended: inout Appended, _ tenant: String, _ bytes: Int) {
        if let index = appended.dropped.firstIndex(where: { $0.tenant == tenant }) {
            appended.dropped[index].entries += 1
            appended.dropped[index].bytes += bytes
        } else {
            appended.dropped.append(Appended.Dropped(tenant: tenant, entries: 1, bytes: bytes))
        }
    }

    private static func slot(of tenant: String, _ state: inout State) -> Int {
        if let known = state.slots[tenant] { return known }
        let used = Set(state.slots.values)
        let slot = state.open.indices.first { !used.contains($0) } ?? state.open.count
        if slot == state.open.count { state.open.append(nil) }
        state.slots[tenant] = slot
        return slot
    }

    private static func forget(_ slot: Int, _ slots: [Int], _ indices: inout [Int32]) {
        for (stream, own) in slots.enumerated() where own == slot { indices[stream] = -1 }
    }

    private func open(_ slot: Int, _ tenant: String, _ now: Int64, _ state: inout State) {
        state.open[slot] = OutgoingBatch(
            tenant: tenant, builder: state.spare.popLast() ?? LokiPushBuilder(), openedAt: now)
    }

    /// Moves an open batch to the end of the queue.
    private func close(_ slot: Int, _ state: inout State) {
        var batch: OutgoingBatch?
        swap(&batch, &state.open[slot])
        if let batch { state.ready.append(batch) }
    }

    // MARK: The sender's side

    /// The next batch to send: a full one, or one that has waited long enough, or any when draining. Waits for one;
    /// nil when draining and nothing is left, or when cancelled.
    func next(now: @Sendable () -> Int64) async -> OutgoingBatch? {
        while !Task.isCancelled {
            let (batch, isOver) = state.withLock { state in
                (take(&state, now()), state.isDraining && state.ready.isEmpty && state.slots.isEmpty)
            }
            if let batch { return batch }
            if isOver { return nil }
            await wait()
        }
        return nil
    }

    /// Everything that is left, for giving it up.
    func takeAll() -> [OutgoingBatch] {
        state.withLock { state in
            state.isDraining = true
            var all: [OutgoingBatch] = []
            while let batch = take(&state, .max) { all.append(batch) }
            return all
        }
    }

    private func take(_ state: inout State, _ now: Int64) -> OutgoingBatch? {
        if state.ready.isEmpty {
            for (tenant, slot) in state.slots {
                guard let opened = state.open[slot]?.openedAt else {
                    state.slots[tenant] = nil
                    continue
                }
                guard state.isDraining || now &- opened >= limits.batchWait else { continue }
                close(slot, &state)
                state.slots[tenant] = nil
            }
        }
        return state.ready.isEmpty ? nil : state.ready.removeFirst()
    }

    private func wait() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
                let isOver = state.withLock { state in
                    if Task.isCancelled || state.isDraining || !state.ready.isEmpty { return true }
                    state.waiter = continuation
                    return false
                }
                if isOver { continuation.resume() }
            }
        } onCancel: {
            wake()
        }
    }

    /// Lets the sender look again: time has passed.
    func wake() {
        let waiter = state.withLock { state in
            var waiter: CheckedContinuation<Void, Never>?
            swap(&waiter, &state.waiter)
            return waiter
        }
        waiter?.resume()
    }

    /// From now on batches need not be full to be sent, and the sender ends when none is left.
    func drain() {
        state.withLock { $0.isDraining = true }
        wake()
    }

    /// Gives a builder back whose batch was sent.
    func recycle(_ builder: consuming LokiPushBuilder) {
        var builder = builder
        builder.reset()
        guard builder.byteCount <= 4 * limits.batchSize else { return }
        let spare = builder
        state.withLock { state in if state.spare.count < 2 { state.spare.append(spare) } }
    }
}

extension OutgoingBatch {
    fileprivate mutating func note(_ now: Int64, _ ticket: DeliveryTicket?, bytes: Int) {
        reserved += bytes
        if let last = arrivals.indices.last, arrivals[last].time == now {
            arrivals[last].entries += 1
        } else {
            arrivals.append(Arrival(time: now, entries: 1))
        }
        guard let ticket else { return }
        if let last = tickets.indices.last, tickets[last].ticket === ticket {
            tickets[last].entries += 1
        } else {
            tickets.append(Ticketed(ticket: ticket, entries: 1))
        }
    }
}
