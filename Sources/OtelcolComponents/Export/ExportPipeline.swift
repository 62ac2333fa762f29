import ComponentKit
import Essentials
import SelfMetrics
import Storage
import Synchronization
import Telemetry
import Wire

/// Stands between an exporter's receiver and its destination: queue, batching, retries, books and metrics, as the
/// OpenTelemetry Collector's exporter helper has them.
///
/// Each signal has a queue of its own. A batch is taken when it waits in the queue (in memory, or on disk with a storage
/// handler), or was sent where there is no queue or the sender waits for the result. A full queue refuses with
/// `.overloaded`. ``ExporterShell`` makes one and runs it.
final class ExportPipeline: Sendable {
    private let queue: SendingQueue
    private let retry: RetryOnFailure
    private let destination: any ExportDestination
    private let context: Context<InputExports>
    private let metrics: ExportMetrics
    private let holding: Holding
    private let lanes: [ExportLane]
    private let isStopping = Mutex(false)
    private let hasGivenUp = Mutex(false)
    /// Whether another pipeline follows; known once this one stops.
    private let isFollowed = Mutex(false)
    private let successor: ExportSuccessor?

    /// `successor` is given what waits in memory and the destination no longer takes before the end.
    init(
        queue: SendingQueue, retry: RetryOnFailure, destination: any ExportDestination,
        context: Context<InputExports>, exporter: String, holding: String = "sending_queue",
        successor: ExportSuccessor? = nil
    ) {
        self.successor = successor
        self.queue = queue
        self.retry = retry
        self.destination = destination
        self.context = context
        metrics = ExportMetrics(context.metrics, exporter: exporter)
        self.holding = context.ledger.holding(holding)
        let metrics = metrics
        lanes = OTLPBatch.Kind.allCases.map { kind in
            metrics.capacity(kind).set(queue.capacity)
            return ExportLane(
                kind: kind,
                queue: ExportQueue(sizer: queue.sizer, capacity: queue.capacity, gauge: metrics.size(kind)),
                gauge: metrics.size(kind))
        }
    }

    // MARK: Taking batches

    /// Takes responsibility for `batch`, see the type.
    func take(_ batch: OTLPBatch) async throws(DeliveryError) {
        if batch.itemCount == 0 { return }
        if isStopping.withLock({ $0 }) { throw .retry("\(context.componentID) is stopping") }
        guard queue.isEnabled else { return try await sendAndWait(batch) }
        if queue.waitsForResult { return try await enqueueAndWait(batch) }
        let lane = lane(of: batch)
        if let log = lane.log { return try await append(batch, to: log, lane) }
        let bytes = batch.byteCount
        guard context.memory.reserve(bytes) else { throw overloaded(batch, "the memory budget is exhausted") }
        let count = batch.itemCount
        let entry = ExportEntry(batch: batch) { [context, holding] outcome in
            context.memory.release(bytes)
            holding.subtract(count)
            Self.book(outcome, count, context.ledger)
        }
        holding.add(count)
        do throws(DeliveryError) {
            try await enqueue(entry, lane)
        } catch {
            context.memory.release(bytes)
            holding.subtract(count)
            throw error
        }
    }

    /// Takes over what an earlier pipeline of the component handed on, before anything else; it may exceed the capacity.
    func adopt(_ entries: [ExportEntry]) {
        for entry in entries { lane(of: entry.batch).queue.adopt(entry) }
    }

    private func lane(of batch: OTLPBatch) -> ExportLane { lanes[Int(batch.kind.rawValue)] }

    private func enqueue(_ entry: ExportEntry, _ lane: ExportLane) async throws(DeliveryError) {
        while !lane.queue.offer(entry) {
            if lane.queue.isClosed { throw .retry("\(context.componentID) is stopping") }
            guard queue.blocksOnOverflow, !Task.isCancelled else {
                throw overloaded(entry.batch, "sending queue is full")
            }
            await lane.queue.waitForRoom()
        }
    }

    private func overloaded(_ batch: OTLPBatch, _ message: String) -> DeliveryError {
        metrics[batch.kind].refused.add(batch.itemCount)
        return .overloaded(retryAfter: .seconds(1), message)
    }

    /// Without a queue the sender waits for all attempts.
    private func sendAndWait(_ batch: OTLPBatch) async throws(DeliveryError) {
        try settle(await send(batch), batch.itemCount)
    }

    private func enqueueAndWait(_ batch: OTLPBatch) async throws(DeliveryError) {
        let box = OutcomeBox()
        let entry = ExportEntry(batch: batch) { box.set($0) }
        try await enqueue(entry, lane(of: batch))
        try settle(await box.value(), batch.itemCount)
    }

    private func settle(_ outcome: ExportOutcome, _ count: Int) throws(DeliveryError) {
        switch outcome {
        case .sent: Self.book(outcome, count, context.ledger)
        case .failed(.refusedByDestination, let message): throw .rejected(.refusedByDestination, message)
        case .failed(let reason, let message):
            var error = DeliveryError.retry(message)
            error.reason = reason
            throw error
        }
    }

    /// Books what became of items that were taken before.
    static func book(_ outcome: ExportOutcome, _ count: Int, _ ledger: ComponentLedger) {
        switch outcome {
        case .sent(let report):
            let rejected = min(max(report.rejectedItems, 0), count)
            ledger.drop(rejected, .refusedByDestination)
            ledger.delivered(max(0, count - rejected - report.handedOnItems))
        case .failed(let reason, _): ledger.drop(count, reason)
        }
    }

    // MARK: On disk

    private func append(
        _ batch: OTLPBatch, to log: SegmentLog, _ lane: ExportLane
    ) async throws(DeliveryError) {
        let record = QueueRecord.make(batch)
        let size = queue.sizer.size(of: record)
        while !lane.reserve(size, queue.capacity) {
            guard queue.blocksOnOverflow, !Task.isCancelled, !isStopping.withLock({ $0 }) else {
                throw overloaded(batch, "sending queue is full")
            }
            do {
                try await context.clock.sleep(for: .milliseconds(20))
            } catch {
                throw overloaded(batch, "sending queue is full")
            }
        }
        let count = batch.itemCount
        holding.add(count)
        do throws(SegmentLogError) {
            try await log.append([record])
            lane.noteAppend()
        } catch {
            holding.subtract(count)
            lane.release(size)
            metrics[batch.kind].refused.add(count)
            if error.isRetryable { throw .retry("sending queue: \(error)") }
            throw .rejected(.limit, "sending queue: \(error)")
        }
    }

    private func open(_ storage: StorageHandler) async throws {
        var pending = 0
        for lane in lanes {
            let name = context.componentID.map { $0 == "/" ? "_" : String($0) }.joined()
            var options = SegmentLog.Options(directory: "\(storage.directory)/\(name)/\(lane.kind.signal.rawValue)")
            options.sync = storage.synchronises ? .always : .interval(.seconds(1))
            if let limit = storage.sizeLimit { options.sizeLimit = limit }
            let (ledger, holding, logger) = (context.ledger, holding, context.log)
            let log = try await SegmentLog.open(
                options, destinations: ["exporter"], pool: context.services.blocking, clock: context.clock,
                account: context.services.budget.account(context.componentID + "/sending_queue")
            ) { loss, _, items in
                holding.subtract(items)
                ledger.drop(items, loss == .ageLimit ? .tooOld : loss == .sizeLimit ? .queueFull : .damaged)
                logger.warn("Batches left the sending queue unsent", nil, ["items": "\(items)", "reason": "\(loss)"])
            }
            pending += log.reader(for: "exporter")?.pendingItems ?? 0
            lane.set(log)
        }
        context.ledger.reopened(holding, with: pending)
        for lane in lanes { try await countLeftovers(lane) }
    }

    /// Lets what an earlier life left take room in the queue.
    private func countLeftovers(_ lane: ExportLane) async throws {
        guard let reader = lane.log?.reader(for: "exporter") else { return }
        if queue.sizer == .items { return lane.occupy(reader.pendingItems) }
        // The log knows items; anything else is found by reading it through once.
        while !reader.isAtEnd, let stored = try await reader.nextIfAny() {
            lane.occupy(queue.sizer.size(of: stored.record))
        }
        reader.rewind()
    }

    // MARK: Life

    /// Sends until cancelled; then sends what is left in memory, while the destination takes it.
    /// `taking` is told when batches can be taken and when they no longer can.
    func run(_ taking: @escaping @Sendable (Bool) -> Void) async throws {
        if queue.isEnabled, let storage = queue.storage { try await open(storage) }
        taking(true)
        // Draining must outlive the cancellation of the component; this task is awaited below.
        let work = Task(executorPreference: context.services.executor) { [self] in
            await withDiscardingTaskGroup { group in
                for lane in lanes { group.addTask { await self.serve(lane) } }
            }
        }
        await withTaskCancellationHandler {
            await work.value
        } onCancel: {
            if successor?.isExpected() == true { isFollowed.withLock { $0 = true } }
            isStopping.withLock { $0 = true }
            taking(false)
            for lane in lanes {
                lane.queue.close()
                lane.stop()
            }
        }
        for lane in lanes { await lane.log?.close() }
    }

    /// Takes no more, and ends what waits for another attempt; senders that wait learn of it. For the time before the end.
    func interrupt() {
        if successor?.isExpected() == true { isFollowed.withLock { $0 = true } }
        isStopping.withLock { $0 = true }
        for lane in lanes { lane.stop() }
    }

    private func serve(_ lane: ExportLane) async {
        async let adopted: Void = serveMemory(lane)
        if let log = lane.log { await serveDisk(lane, log) }
        await adopted
    }

    private func serveMemory(_ lane: ExportLane) async {
        await withTaskGroup(of: Void.self) { group in
            var running = 0
            while true {
                while running >= max(queue.consumers, 1) {
                    await group.next()
                    running -= 1
                }
                guard let entries = await nextGroup(lane) else { break }
                group.addTask { await self.deliver(entries) }
                running += 1
            }
        }
    }

    /// The entries to send together: one, or as many as the `batch` block says.
    private func nextGroup(_ lane: ExportLane) async -> [ExportEntry]? {
        guard let first = await lane.queue.take() else { return nil }
        guard let batching = queue.batching else { return [first] }
        var entries = [first]
        var size = batching.sizer.size(of: first.batch)
        let deadline = context.clock.monotonicNanoseconds &+ batching.flushTimeout.nanoseconds
        while size < batching.minimumSize {
            if let next = lane.queue.takeIfAny() {
                entries.append(next)
                size += batching.sizer.size(of: next.batch)
                continue
            }
            let left = deadline &- context.clock.monotonicNanoseconds
            if left <= 0 || lane.queue.isClosed { break }
            let clock = context.clock
            await withTaskGroup(of: Void.self) { race in
                race.addTask { await lane.queue.waitForEntry() }
                race.addTask { try? await clock.sleep(for: .nanoseconds(left)) }
                await race.next()
                race.cancelAll()
            }
        }
        return entries
    }

    private func deliver(_ entries: [ExportEntry]) async {
        if hasGivenUp.withLock({ $0 }), let successor { return entries.forEach(successor.take) }
        if queue.batching == nil, entries.count == 1, let entry = entries.first {
            return settle(entry, await send(entry.batch))
        }
        for group in Self.groups(of: entries.map(\.batch)) {
            let outcomes = await sendJoined(group.map { entries[$0].batch })
            for (index, outcome) in zip(group, outcomes) { settle(entries[index], outcome) }
        }
    }

    private func settle(_ entry: ExportEntry, _ outcome: ExportOutcome) {
        guard case .failed(.stopped, _) = outcome, let successor, isFollowed.withLock({ $0 }) else {
            return entry.settled(outcome)
        }
        // What follows would fail as well, and each attempt may take its whole time.
        hasGivenUp.withLock { $0 = true }
        successor.take(entry)
    }

    /// Indices of the batches that may be sent as one: those whose clients make no difference.
    private static func groups(of batches: [OTLPBatch]) -> [[Int]] {
        var groups: [[Int]] = []
        for index in batches.indices {
            if let known = groups.firstIndex(where: {
                OTLPClient.areInterchangeable(batches[$0[0]].client, batches[index].client)
            }) {
                groups[known].append(index)
            } else {
                groups.append([index])
            }
        }
        return groups
    }

    /// Sends the batches as one, or as many as their size asks for; what became of each.
    private func sendJoined(_ batches: [OTLPBatch]) async -> [ExportOutcome] {
        guard var joined = batches.first else { return [] }
        for batch in batches.dropFirst() { joined.append(batch) }
        let outcome = await send(parts: split(joined))
        guard case .sent(var report) = outcome, report.rejectedItems > 0 || report.handedOnItems > 0 else {
            return batches.map { _ in outcome }
        }
        // Which items were rejected or handed on is not known: the number is right.
        return batches.map { batch in
            var own = report
            own.rejectedItems = min(report.rejectedItems, batch.itemCount)
            report.rejectedItems -= own.rejectedItems
            own.handedOnItems = min(report.handedOnItems, batch.itemCount - own.rejectedItems)
            report.handedOnItems -= own.handedOnItems
            return .sent(own)
        }
    }

    private func split(_ batch: OTLPBatch) -> [OTLPBatch] {
        guard let batching = queue.batching, batching.maximumSize > 0 else { return [batch] }
        var parts: [OTLPBatch] = []
        var rest = batch
        var splitter = OTLPSplitter()
        while batching.sizer.size(of: rest) > batching.maximumSize, rest.itemCount > 1 {
            let share =
                batching.sizer == .items
                ? batching.maximumSize : max(1, rest.itemCount * batching.maximumSize / max(rest.byteCount, 1))
            guard let part = try? splitter.take(share, from: &rest), part.itemCount > 0 else { break }
            parts.append(part)
        }
        if rest.itemCount > 0 { parts.append(rest) }
        return parts
    }

    private func send(parts: [OTLPBatch]) async -> ExportOutcome {
        var report = ExportReport()
        for (index, part) in parts.enumerated() {
            switch await send(part) {
            case .sent(let one):
                report.rejectedItems += one.rejectedItems
                report.handedOnItems += one.handedOnItems
                if !one.message.isEmpty { report.message = one.message }
            case .failed(let reason, let message):
                if report.handedOnItems == 0 { return .failed(reason, message) }
                // Others have the first parts in their books already: only the rest is lost.
                let rest = parts[index...].reduce(0) { $0 + $1.itemCount }
                context.ledger.drop(rest, reason)
                report.handedOnItems += rest
                report.message = message
                return .sent(report)
            }
        }
        return .sent(report)
    }

    private func serveDisk(_ lane: ExportLane, _ log: SegmentLog) async {
        guard let reader = log.reader(for: "exporter") else { return }
        let upkeep = Task(executorPreference: context.services.executor) { try? await log.maintain() }
        await withTaskGroup(of: Void.self) { group in
            var running = 0
            while !isStopping.withLock({ $0 }) {
                while running >= max(queue.consumers, 1) {
                    await group.next()
                    running -= 1
                }
                guard let stored = await nextGroup(reader, lane) else { break }
                group.addTask { await self.deliver(stored, reader, lane) }
                running += 1
            }
        }
        upkeep.cancel()
        await upkeep.value
    }

    /// The records to send together, as ``nextGroup(_:)`` has them of the queue in memory.
    private func nextGroup(_ reader: SegmentLogReader, _ lane: ExportLane) async -> [StoredRecord]? {
        guard let first = await lane.next(reader) else { return nil }
        guard let batching = queue.batching else { return [first] }
        var records = [first]
        var size = batching.sizer.size(of: first.record)
        let clock = context.clock
        let deadline = clock.monotonicNanoseconds &+ batching.flushTimeout.nanoseconds
        while size < batching.minimumSize, !isStopping.withLock({ $0 }) {
            let appends = lane.appends
            if let next = try? await reader.nextIfAny() {
                records.append(next)
                size += batching.sizer.size(of: next.record)
                continue
            }
            let left = deadline &- clock.monotonicNanoseconds
            if left <= 0 { break }
            await withTaskGroup(of: Void.self) { race in
                race.addTask { await lane.waitForAppend(after: appends) }
                race.addTask { try? await clock.sleep(for: .nanoseconds(left)) }
                await race.next()
                race.cancelAll()
            }
        }
        return records
    }

    private func deliver(_ records: [StoredRecord], _ reader: SegmentLogReader, _ lane: ExportLane) async {
        var whole: [StoredRecord] = []
        var batches: [OTLPBatch] = []
        for stored in records {
            if let batch = QueueRecord.batch(stored.record, lane.kind) {
                whole.append(stored)
                batches.append(batch)
            } else {
                settle(stored, .failed(.damaged, "the record on disk is no request"), reader, lane)
            }
        }
        if queue.batching == nil {
            for (stored, batch) in zip(whole, batches) { settle(stored, await send(batch), reader, lane) }
            return
        }
        for group in Self.groups(of: batches) {
            let outcomes = await sendJoined(group.map { batches[$0] })
            for (index, outcome) in zip(group, outcomes) { settle(whole[index], outcome, reader, lane) }
        }
    }

    private func settle(
        _ stored: StoredRecord, _ outcome: ExportOutcome, _ reader: SegmentLogReader, _ lane: ExportLane
    ) {
        // What could not be sent before the end stays on disk for the next life.
        if case .failed(.stopped, _) = outcome { return }
        let count = stored.record.items
        holding.subtract(count)
        Self.book(outcome, count, context.ledger)
        lane.release(queue.sizer.size(of: stored.record))
        reader.complete(stored)
    }

    // MARK: Attempts

    private func send(_ batch: OTLPBatch) async -> ExportOutcome {
        var schedule = RetrySchedule(retry, now: context.clock.monotonicNanoseconds)
        let signal = metrics[batch.kind]
        while true {
            do throws(ExportError) {
                let report = try await destination.send(batch)
                let unsent = min(max(report.rejectedItems, 0), batch.itemCount) + report.handedOnItems
                signal.sent.add(max(0, batch.itemCount - unsent))
                if report.rejectedItems > 0 || !report.message.isEmpty {
                    signal.failed.add(report.rejectedItems)
                    context.log.warn(
                        "Destination reported a problem with a batch it took", nil,
                        ["rejected": "\(report.rejectedItems)", "message": report.message])
                }
                return .sent(report)
            } catch {
                guard case .retryable(let message, let after) = error else {
                    signal.failed.add(batch.itemCount)
                    context.log.error("Exporting failed. Dropping data.", error, ["items": "\(batch.itemCount)"])
                    return .failed(.refusedByDestination, "\(error)")
                }
                // A sender that is cancelled waits for nothing any more: trying again would go round without a pause.
                if Task.isCancelled || isStopping.withLock({ $0 }) {
                    if !isFollowed.withLock({ $0 }) { signal.failed.add(batch.itemCount) }
                    return .failed(.stopped, message)
                }
                guard let wait = schedule.next(now: context.clock.monotonicNanoseconds, atLeast: after) else {
                    signal.failed.add(batch.itemCount)
                    context.log.error("Exporting failed. Dropping data.", error, ["items": "\(batch.itemCount)"])
                    return .failed(.retriesExhausted, message)
                }
                context.log.info(
                    "Exporting failed. Will retry the request after interval.", error, ["interval": "\(wait)"])
                await pause(wait, lane(of: batch))
            }
        }
    }

    /// Waits, but not longer than until the pipeline stops or the sender gives up.
    private func pause(_ wait: Duration, _ lane: ExportLane) async {
        let clock = context.clock
        await withTaskGroup(of: Void.self) { race in
            race.addTask { try? await clock.sleep(for: wait) }
            race.addTask { await lane.waitForStop() }
            await race.next()
            race.cancelAll()
        }
    }
}
