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
        /// Whether a batch was opened that will have to be sent when it has waited long enough.
        var hasOpened = false
    }

    private struct State: ~Copyable {
        /// The open batches; nil where a tenant's batch was closed.
        var open: [OutgoingBatch?] = []
        var slots: [String: Int] = [:]
        var ready: [OutgoingBatch] = []
        var spare: [LokiPushBuilder] = []
        var waiter: CheckedContinuation<Void, Never>?
        var isDraining = false
        /// Nobody sends any more.
        var isOver = false
    }

    let limits: Limits
    /// Raised when another is to send what this one has not; for the sender.
    let inherited = WakeSignal()
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
        var filling = Filling(routes.count, own: own, now: now, ticket: ticket)
        batch.arena.withUnsafeBytes { arena in
            for entry in batch.entries {
                let stream = Int(entry.stream)
                guard own[stream] else { continue }
                if filling.slots[stream] != filling.slot || filling.slot < 0 {
                    turn(&filling, to: routes[stream].tenant ?? defaultTenant, stream, &state)
                }
                let size = LokiPushBuilder.contentSize(entry)
                if filling.indices[stream] < 0, !admits(routes[stream].labels, filling.batch) {
                    filling.drop(routes[stream].tenant ?? defaultTenant, size)
                    continue
                }
                if filling.content + size > limits.batchSize, filling.batch?.builder.isEmpty == false {
                    filling.putBack(&state)
                    close(filling.slot, &state)
                    open(filling.slot, routes[stream].tenant ?? defaultTenant, now, &state)
                    filling.appended.hasOpened = true
                    filling.takeUp(&state, isNew: true)
                }
                if filling.indices[stream] < 0 {
                    filling.indices[stream] = filling.batch?.builder.stream(for: routes[stream].labels) ?? 0
                }
                let line = UnsafeRawBufferPointer(
                    rebasing: arena[entry.lineOffset..<entry.lineOffset + entry.lineLength])
                filling.batch?.builder.append(
                    line, timestamp: entry.timestamp, metadata: entry.metadata, stream: filling.indices[stream])
                filling.count(size)
            }
        }
        filling.putBack(&state)
        return filling.appended
    }

    /// Makes the batch of `tenant` the one being filled.
    private func turn(_ filling: inout Filling, to tenant: String, _ stream: Int, _ state: inout State) {
        if filling.slots[stream] < 0 { filling.slots[stream] = Self.slot(of: tenant, &state) }
        guard filling.slots[stream] != filling.slot else { return }
        filling.putBack(&state)
        filling.slot = filling.slots[stream]
        let isNew = state.open[filling.slot] == nil
        if isNew {
            open(filling.slot, tenant, filling.now, &state)
            filling.appended.hasOpened = true
        }
        filling.takeUp(&state, isNew: isNew)
    }

    /// Whether a stream may be added to `batch`, or is there already.
    private func admits(_ labels: LabelSet, _ batch: OutgoingBatch?) -> Bool {
        guard limits.maximumStreams > 0, let streams = batch?.builder.streamCount, streams >= limits.maximumStreams
        else { return true }
        return batch?.builder.contains(labels) ?? true
    }

    /// The batch being filled, taken out of the state while entries are added to it, so that each costs no more than
    /// its bytes.
    private struct Filling {
        let own: [Bool]
        let now: Int64
        let ticket: DeliveryTicket?
        var slot = -1
        var batch: OutgoingBatch?
        /// Bytes of lines and metadata in `batch`.
        var content = 0
        /// By stream: its slot and its index among the streams of the batch open in that slot; -1 is not known yet.
        var slots: [Int]
        var indices: [Int32]
        var appended = Appended()
        private var entries = 0
        private var bytes = 0

        init(_ streams: Int, own: [Bool], now: Int64, ticket: DeliveryTicket?) {
            self.own = own
            self.now = now
            self.ticket = ticket
            slots = Array(repeating: -1, count: streams)
            indices = Array(repeating: -1, count: streams)
        }

        @inline(__always)
        mutating func count(_ size: Int) {
            content += size
            entries += 1
            bytes += size + 64
        }

        mutating func drop(_ tenant: String, _ size: Int) { EndpointShard.note(&appended, tenant, size) }

        /// Gives the batch back to its slot, with what was added noted.
        mutating func putBack(_ state: inout State) {
            guard slot >= 0, batch != nil else { return }
            if entries > 0 { batch?.note(now, ticket, entries: entries, bytes: bytes) }
            appended.reserved += bytes
            entries = 0
            bytes = 0
            swap(&batch, &state.open[slot])
            batch = nil
        }

        /// Takes the batch out of its slot.
        mutating func takeUp(_ state: inout State, isNew: Bool) {
            swap(&batch, &state.open[slot])
            content = batch?.builder.contentByteCount ?? 0
            guard isNew else { return }
            for (stream, own) in slots.enumerated() where own == slot { indices[stream] = -1 }
        }
    }

    fileprivate static func note(_ appended: inout Appended, _ tenant: String, _ bytes: Int) {
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

    /// Everything that is left, for giving it up; nothing more is taken up.
    func takeAll() -> [OutgoingBatch] {
        state.withLock { $0.isOver = true }
        return takeWaiting()
    }

    /// Everything that waits, for another to send it.
    func takeWaiting() -> [OutgoingBatch] {
        state.withLock { state in
            state.isDraining = true
            var all: [OutgoingBatch] = []
            while let batch = take(&state, .max) { all.append(batch) }
            return all
        }
    }

    /// Takes batches of another before its own; false when nobody sends any more.
    func takeUp(_ batches: [OutgoingBatch]) -> Bool {
        let isTaken = state.withLock { state in
            if state.isOver { return false }
            state.ready.insert(contentsOf: batches, at: 0)
            return true
        }
        wake()
        return isTaken
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

    /// Lets the sender look again when a batch has waited long enough at `now`, and returns when the next one will have.
    func wakeIfDue(_ now: Int64) -> Int64? {
        var isDue = false
        let next: Int64? = state.withLock { state in
            var next: Int64?
            for slot in state.slots.values {
                guard let opened = state.open[slot]?.openedAt else { continue }
                let deadline = opened &+ limits.batchWait
                if deadline <= now { isDue = true } else { next = min(next ?? deadline, deadline) }
            }
            return next
        }
        if isDue { wake() }
        return next
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
    fileprivate mutating func note(_ now: Int64, _ ticket: DeliveryTicket?, entries: Int, bytes: Int) {
        reserved += bytes
        if let last = arrivals.indices.last, arrivals[last].time == now {
            arrivals[last].entries += entries
        } else {
            arrivals.append(Arrival(time: now, entries: entries))
        }
        guard let ticket else { return }
        if let last = tickets.indices.last, tickets[last].ticket === ticket {
            tickets[last].entries += entries
        } else {
            tickets.append(Ticketed(ticket: ticket, entries: entries))
        }
    }
}
