import ComponentKit
import Essentials
import SelfMetrics
import Synchronization
import Telemetry
import Transport
import Wire

/// Sends entries to one Loki: batches, repeats what may succeed later, gives up the rest, and keeps the books.
///
/// Protocol: `POST /loki/api/v1/push` with a snappy-compressed `logproto.PushRequest` (Loki HTTP API).
final class LogEndpoint: Sendable {
    /// How an offered batch was received.
    enum Admission: Sendable {
        case taken
        /// No room; nothing was taken.
        case full
    }

    let settings: LokiWrite.EndpointSettings
    /// Identifies the endpoint among the takers of a batch.
    let id: UInt64
    /// Whether entries are counted as held by this endpoint; false when they stay on disk until they are sent.
    private let countsHoldings: Bool
    private let shards: [EndpointShard]
    private let client: HTTPClient
    private let metrics: EndpointMetrics
    private let context: Context<LogsReceiverExports>
    private let holding: Holding
    private let failures: LogLimiter
    private let work = Mutex<Task<Void, Never>?>(nil)
    private let isStopping = Atomic<Bool>(false)
    /// False once the endpoint drains; held while a batch is taken, so that none comes after the last look.
    private let admission = Mutex(true)
    /// Takes what this one has not sent when it stops.
    private let heir = Mutex<LogEndpoint?>(nil)
    /// How long a request that is under way may go on once an heir waits.
    private static let heirPatience = Duration.seconds(5)
    /// Raised when a batch begins to wait.
    private let opened = WakeSignal()

    init(
        _ settings: LokiWrite.EndpointSettings, _ context: Context<LogsReceiverExports>, countsHoldings: Bool = true
    ) {
        self.settings = settings
        self.context = context
        self.countsHoldings = countsHoldings
        id = Receiver<LogBatch>(ledger: context.ledger).id
        let limits = EndpointShard.Limits(
            batchSize: settings.batchSize, maximumStreams: settings.maximumStreams,
            queuedBatches: settings.queuedBatches, batchWait: settings.batchWait.nanoseconds)
        shards = (0..<settings.shards).map { _ in EndpointShard(limits) }
        client = HTTPClient(settings.client, on: context.services.eventLoops, clock: context.clock)
        metrics = EndpointMetrics(context.metrics, host: settings.url.authority)
        holding = context.ledger.holding("queue")
        failures = LogLimiter(every: .seconds(10), clock: context.clock)
    }

    // MARK: Taking entries

    /// Takes all entries of `batch`, or none when there is no room or the endpoint drains. `routes` are those of its streams.
    func offer(_ batch: LogBatch, _ routes: [StreamRoute], ticket: DeliveryTicket? = nil) -> Admission {
        admission.withLock { isOpen in isOpen ? take(batch, routes, ticket) : .full }
    }

    private func take(_ batch: LogBatch, _ routes: [StreamRoute], _ ticket: DeliveryTicket?) -> Admission {
        guard shards.allSatisfy(\.hasRoom) else { return .full }
        let count = batch.itemCount
        guard context.memory.reserve(batch.byteCount) else { return .full }
        if countsHoldings { holding.add(count) }
        let now = context.clock.monotonicNanoseconds
        var reserved = 0
        var dropped = 0
        for (index, shard) in shards.enumerated() {
            let appended = shard.append(
                batch, routes, isOwn: { [shards] in shards.count == 1 || Int($0.hash % UInt64(shards.count)) == index },
                defaultTenant: settings.tenantID, now: now, ticket: ticket)
            reserved += appended.reserved
            if appended.hasOpened { opened.raise() }
            for drop in appended.dropped {
                dropped += drop.entries
                metrics.drop(drop.entries, bytes: drop.bytes, .streamLimited, tenant: drop.tenant)
            }
        }
        context.memory.book(reserved)
        context.memory.release(batch.byteCount)
        if dropped > 0 {
            ticket?.settle(dropped)
            if countsHoldings { holding.subtract(dropped) }
            context.ledger.drop(dropped, .limit, rule: "max_streams")
        }
        return .taken
    }

    /// Drops a batch there is no room for.
    func discard(_ batch: LogBatch, _ routes: [StreamRoute]) {
        for entry in batch.entries {
            metrics.drop(
                1, bytes: LokiPushBuilder.contentSize(entry), .queueIsFull,
                tenant: routes[Int(entry.stream)].tenant ?? settings.tenantID)
        }
        context.ledger.drop(batch.itemCount, .queueFull)
    }

    // MARK: Life

    /// Sends until ``stop()`` and until everything taken by then is sent, at most for the drain timeout longer.
    func run() async {
        // Sending must outlive the cancellation of the caller for the time of the drain; a child task would be
        // cancelled with it. This task is awaited below and ends with the endpoint.
        let sending = Task(executorPreference: context.services.executor) { await self.send() }
        work.withLock { $0 = sending }
        if isStopping.load(ordering: .acquiring) { limitDrain(sending) }
        await sending.value
        for shard in shards {
            for batch in shard.takeAll() where !bequeath(batch, shard) { give(up: batch, .stopped, .generic, shard) }
        }
        client.shutDown()
    }

    /// Begins to drain; returns at once. An heir is given what waits, and what is under way if it fails.
    func stop(heir: LogEndpoint? = nil) {
        if isStopping.exchange(true, ordering: .acquiringAndReleasing) { return }
        admission.withLock { $0 = false }
        if let heir {
            self.heir.withLock { $0 = heir }
            for shard in shards { shard.inherited.raise() }
        }
        for shard in shards { shard.drain() }
        if let sending = work.withLock({ $0 }) { limitDrain(sending) }
    }

    /// Whether `settings` are those of the same place.
    func leads(to settings: LokiWrite.EndpointSettings) -> Bool {
        self.settings.url == settings.url && self.settings.tenantID == settings.tenantID
    }

    /// Takes batches of one that stops, before its own.
    private func adopt(_ batches: [OutgoingBatch], from index: Int) {
        if batches.isEmpty { return }
        if let next = heir.withLock({ $0 }) { return next.adopt(batches, from: index) }
        let shard = shards[index % shards.count]
        if shard.takeUp(batches) { return }
        for batch in batches where !bequeath(batch, shard) { give(up: batch, .stopped, .generic, shard) }
    }

    /// Whether an heir has taken a batch, and what waits behind it.
    private func bequeath(_ batch: OutgoingBatch, _ shard: EndpointShard) -> Bool {
        guard let heir = heir.withLock({ $0 }) else { return false }
        heir.adopt([batch] + shard.takeWaiting(), from: shards.firstIndex { $0 === shard } ?? 0)
        return true
    }

    private func limitDrain(_ sending: Task<Void, Never>) {
        let (clock, log) = (context.clock, context.log)
        let hasHeir = heir.withLock { $0 != nil }
        let timeout = hasHeir ? min(settings.drainTimeout, Self.heirPatience) : settings.drainTimeout
        let deadline = Task(executorPreference: context.services.executor) {
            try await clock.sleep(for: timeout)
            if !hasHeir { log.warn("Failed to flush all queues during shutdown") }
            sending.cancel()
        }
        Task(executorPreference: context.services.executor) {
            await sending.value
            deadline.cancel()
        }
    }

    private func send() async {
        await withTaskGroup(of: Void.self) { group in
            for shard in shards { group.addTask { [self] in await send(shard) } }
            let ticking = Task(executorPreference: context.services.executor) { [self] in await keepTime() }
            await group.waitForAll()
            ticking.cancel()
            await ticking.value
        }
    }

    /// Lets senders look at batches the moment they have waited long enough.
    private func keepTime() async {
        while !Task.isCancelled {
            let now = context.clock.monotonicNanoseconds
            var next: Int64?
            for shard in shards {
                // What is overdue was announced already: its sender is busy and will look before it waits.
                guard let deadline = shard.wakeIfDue(now) else { continue }
                next = min(next ?? deadline, deadline)
            }
            if let next {
                try? await context.clock.sleep(untilMonotonic: next)
            } else {
                try? await opened.wait()
            }
        }
    }

    private func send(_ shard: EndpointShard) async {
        var scratch: [UInt8] = []
        let clock = context.clock
        while var batch = await shard.next(now: { clock.monotonicNanoseconds }) {
            if bequeath(batch, shard) { continue }
            var payload: [UInt8] = []
            do {
                try batch.builder.compress(into: &payload, scratch: &scratch)
            } catch {
                give(up: batch, .malformed, .generic, shard)
                continue
            }
            await send(payload, batch, shard)
            if scratch.capacity > 8 * settings.batchSize { scratch = [] }
        }
    }

    // MARK: Requests

    private enum Answer {
        case accepted
        case refused(Int, String)
        case failed(String)

        var status: Int {
            switch self {
            case .accepted: 204
            case .refused(let status, _): status
            case .failed: -1
            }
        }

        var reason: String {
            switch self {
            case .accepted: ""
            case .refused(_, let reason), .failed(let reason): reason
            }
        }
    }

    private func send(_ payload: [UInt8], _ batch: OutgoingBatch, _ shard: EndpointShard) async {
        let tenant = metrics.tenant(batch.tenant)
        tenant.requestSize.observe(Double(payload.count))
        var backoff = Backoff(minimum: settings.minimumBackoff, maximum: settings.maximumBackoff)
        let request = makeRequest(payload, tenant: batch.tenant)
        while true {
            let (answer, wait) = await post(request, tenant: batch.tenant)
            let isRateLimited = answer.status == 429
            if case .accepted = answer {
                tenant.sentBytes.add(payload.count)
                tenant.sentEntries.add(batch.builder.entryCount)
                finish(batch, shard) { self.context.ledger.delivered($0) }
                return
            }
            if bequeath(batch, shard) { return }
            if Task.isCancelled {
                give(up: batch, .stopped, .generic, shard, bytes: payload.count)
                return
            }
            if isRateLimited, !settings.retriesOnTooManyRequests {
                report(answer, batch)
                give(up: batch, .refusedByDestination, .rateLimited, shard, bytes: payload.count)
                return
            }
            guard answer.status < 0 || isRateLimited || answer.status / 100 == 5 else {
                report(answer, batch)
                give(up: batch, .refusedByDestination, .generic, shard, bytes: payload.count)
                return
            }
            tenant.retries.add()
            let delay = max(backoff.next(), min(wait ?? .zero, settings.maximumBackoff))
            if settings.maximumAttempts > 0, backoff.attempts >= settings.maximumAttempts {
                report(answer, batch)
                give(
                    up: batch, .retriesExhausted, isRateLimited ? .rateLimited : .generic, shard, bytes: payload.count)
                return
            }
            context.log.debug(
                "Error sending batch, will retry", nil,
                ["status": "\(answer.status)", "tenant": batch.tenant, .error: answer.reason])
            do {
                try await pause(delay, shard)
                if bequeath(batch, shard) { return }
            } catch {
                if !bequeath(batch, shard) { give(up: batch, .stopped, .generic, shard, bytes: payload.count) }
                return
            }
        }
    }

    /// Waits, but not once there is an heir.
    private func pause(_ delay: Duration, _ shard: EndpointShard) async throws {
        let clock = context.clock
        try await withThrowingTaskGroup(of: Void.self) { race in
            race.addTask { try await clock.sleep(for: delay) }
            race.addTask { try await shard.inherited.wait() }
            defer { race.cancelAll() }
            try await race.next()
        }
    }

    private func makeRequest(_ payload: [UInt8], tenant: String) -> HTTPClientRequest {
        var request = HTTPClientRequest.post(settings.url, payload, type: "application/x-protobuf")
        request.fields["content-encoding"] = "snappy"
        request.fields["user-agent"] = settings.client.userAgent
        if !tenant.isEmpty, HTTPFields.isValid(name: "x-scope-orgid", value: tenant) {
            request.fields["x-scope-orgid"] = tenant
        }
        for field in settings.headers where !request.fields.contains(field.name) {
            request.fields.add(field.name, field.value)
        }
        request.timeout = settings.remoteTimeout
        request.maximumBodyBytes = .kibibytes(256)
        return request
    }

    /// Sends once. The wait is the one the server asked for.
    private func post(_ request: HTTPClientRequest, tenant: String) async -> (Answer, Duration?) {
        let start = context.clock.monotonicNanoseconds
        var answer: Answer
        var wait: Duration?
        do throws(HTTPClientError) {
            let response = try await client.send(request)
            if response.status.isSuccess {
                // Reading the rest keeps the connection.
                _ = try? await response.collect()
                answer = .accepted
            } else {
                let body = (try? await response.collect()) ?? []
                let line = body.prefix(1024).prefix { $0 != 0x0A }
                answer = .refused(
                    response.status.code,
                    "server returned HTTP status \(response.status): \(String(decoding: line, as: UTF8.self))")
                wait = response.fields["retry-after"].flatMap { Int64($0) }.map { .seconds(max(0, min($0, 3600))) }
            }
        } catch {
            answer = .failed(error.description)
        }
        metrics.request(
            status: answer.status, tenant: tenant, took: context.clock.elapsed(since: start))
        return (answer, wait)
    }

    private func report(_ answer: Answer, _ batch: OutgoingBatch) {
        failures.attempt { suppressed in
            context.log.error(
                "Final error sending batch, no retries left, dropping data", nil,
                [
                    "status": "\(answer.status)", "tenant": batch.tenant, .error: answer.reason,
                    "entries": "\(batch.builder.entryCount)", "suppressed": "\(suppressed)",
                ])
        }
    }

    // MARK: Ends

    private func give(
        up batch: OutgoingBatch, _ reason: DropReason, _ label: EndpointMetrics.Reason, _ shard: EndpointShard,
        bytes: Int? = nil
    ) {
        // What stays on disk when the component stops is not lost.
        let isKept = !countsHoldings && reason == .stopped
        if !isKept {
            metrics.drop(
                batch.builder.entryCount, bytes: bytes ?? batch.builder.contentByteCount, label, tenant: batch.tenant)
        }
        finish(batch, shard, isSettled: !isKept) { if !isKept { self.context.ledger.drop($0, reason) } }
    }

    private func finish(
        _ batch: OutgoingBatch, _ shard: EndpointShard, isSettled: Bool = true, _ book: (Int) -> Void
    ) {
        let entries = batch.builder.entryCount
        book(entries)
        if countsHoldings { holding.subtract(entries) }
        context.memory.release(batch.reserved)
        if isSettled {
            for ticketed in batch.tickets { ticketed.ticket.settle(ticketed.entries) }
            let now = context.clock.monotonicNanoseconds
            let latency = metrics.tenant(batch.tenant).latency
            for arrival in batch.arrivals {
                latency.observe(Duration.nanoseconds(now &- arrival.time).seconds, times: arrival.entries)
            }
        }
        shard.recycle(batch.builder)
    }
}
