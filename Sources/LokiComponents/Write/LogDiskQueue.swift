import ComponentKit
import Compression
import Essentials
import SelfMetrics
import Storage
import Synchronization
import Telemetry
import Wire

/// Keeps entries on disk until every endpoint has sent them or given them up.
///
/// A record is a snappy-compressed push request with all labels, those that begin with `__` included, so that it can be
/// batched and routed after a restart as it would have been before.
final class LogDiskQueue: Sendable {
    private let log: SegmentLog
    private let context: Context<LogsReceiverExports>
    private let holding: Holding
    private let builders = Mutex<[LokiPushBuilder]>([])

    private init(_ log: SegmentLog, _ context: Context<LogsReceiverExports>, _ holding: Holding) {
        self.log = log
        self.context = context
        self.holding = holding
    }

    /// Opens the queue in the component's directory for the endpoints called `names`.
    static func open(
        _ settings: LokiWrite.WALSettings, names: [String], _ context: Context<LogsReceiverExports>
    ) async throws -> LogDiskQueue {
        let holding = context.ledger.holding("wal")
        let (ledger, logger) = (context.ledger, context.log)
        var options = SegmentLog.Options(directory: context.storagePath + "/wal")
        options.ageLimit = settings.maximumSegmentAge
        options.sync = context.services.sync
        let log = try await SegmentLog.open(
            options, destinations: names, pool: context.services.blocking, clock: context.clock,
            account: context.services.budget.account(context.componentID + "/wal")
        ) { loss, destination, items in
            holding.subtract(items)
            ledger.drop(items, loss == .ageLimit ? .tooOld : loss == .sizeLimit ? .queueFull : .damaged)
            logger.warn(
                "Entries left the write-ahead log unsent", nil,
                ["endpoint": destination, "entries": "\(items)", "reason": "\(loss)"])
        }
        let pending = names.reduce(0) { $0 + (log.reader(for: $1)?.pendingItems ?? 0) }
        ledger.reopened(holding, with: pending)
        return LogDiskQueue(log, context, holding)
    }

    /// Returns when `batch` is durable for `endpoints` destinations.
    func append(_ batch: LogBatch, _ routes: StreamRoutes, endpoints: Int) async throws(DeliveryError) {
        var payload: [UInt8] = []
        do throws(CompressionError) {
            var builder = builders.withLock { $0.popLast() } ?? LokiPushBuilder()
            var scratch: [UInt8] = []
            var merged = batch
            for index in merged.streams.indices { merged.streams[index] = routes.merged(merged.streams[index]) }
            builder.append(merged, keepingInternal: true)
            try builder.compress(into: &payload, scratch: &scratch)
            builder.reset()
            let spare = builder
            if spare.byteCount < 8 << 20 { builders.withLock { if $0.count < 4 { $0.append(spare) } } }
        } catch {
            throw .rejected(.limit, "batch too large for the write-ahead log: \(error)")
        }
        let count = batch.itemCount
        // Booked first: a reader may be done with the record before the append returns.
        holding.add(count * endpoints)
        do throws(SegmentLogError) {
            try await log.append([SegmentRecord(payload: payload, items: count)])
        } catch {
            holding.subtract(count * endpoints)
            if error.isRetryable { throw .retry("write-ahead log: \(error)") }
            throw .rejected(.limit, "write-ahead log: \(error)")
        }
    }

    /// Synchronises the files and drops what is too old, until cancelled.
    func maintain() async { try? await log.maintain() }

    func close() async { await log.close() }

    /// What the queue tells about itself.
    var families: [CollectedFamily] { log.statistics.families(queue: "wal") }

    // MARK: Reading

    /// Feeds `endpoint` with the records of destination `name` until cancelled, then with what is left for at most
    /// `drainTimeout`, and stops it.
    func feed(_ endpoint: LogEndpoint, from name: String, _ routes: StreamRoutes, drainTimeout: Duration) async {
        guard let reader = log.reader(for: name) else { return endpoint.stop() }
        let rest = await follow(reader, endpoint, routes)
        // The caller is cancelled by now, but the drain is not: see LogEndpoint.run.
        await Task(executorPreference: context.services.executor) { [self] in
            let deadline = context.clock.monotonicNanoseconds &+ drainTimeout.nanoseconds
            var next = rest
            while context.clock.monotonicNanoseconds < deadline {
                if next == nil { next = try? await reader.nextIfAny() }
                guard let stored = next else { break }
                guard offer(stored, reader, endpoint, routes) else {
                    try? await context.clock.sleep(for: .milliseconds(50))
                    continue
                }
                next = nil
            }
        }.value
        endpoint.stop()
    }

    /// Returns, when cancelled, the record that was taken and not handed over.
    private func follow(
        _ reader: SegmentLogReader, _ endpoint: LogEndpoint, _ routes: StreamRoutes
    ) async -> StoredRecord? {
        while true {
            guard let stored = try? await reader.next() else { return nil }
            var backoff = Backoff(minimum: .milliseconds(5), maximum: .milliseconds(50))
            while !offer(stored, reader, endpoint, routes) {
                if (try? await context.clock.sleep(for: backoff.nextExact())) == nil { return stored }
            }
        }
    }

    /// False when the endpoint has no room.
    private func offer(
        _ stored: StoredRecord, _ reader: SegmentLogReader, _ endpoint: LogEndpoint, _ routes: StreamRoutes
    ) -> Bool {
        let items = stored.record.items
        var decoder = LokiPushDecoder(limits: LokiPushLimits(maximumBytes: 1 << 30))
        let push = stored.record.payload.withUnsafeBytes { bytes in
            try? decoder.decode(bytes, contentType: nil, encoding: .snappy)
        }
        guard let push, push.batch.itemCount == items, push.streamError == nil else {
            holding.subtract(items)
            context.ledger.drop(items, .damaged)
            reader.complete(stored)
            return true
        }
        if items == 0 {
            reader.complete(stored)
            return true
        }
        let holding = holding
        let ticket = DeliveryTicket(entries: items) {
            holding.subtract(items)
            reader.complete(stored)
        }
        let found = routes.routes(of: push.batch)
        if endpoint.offer(push.batch, found, ticket: ticket) == .taken { return true }
        guard !endpoint.settings.blocksOnOverflow else { return false }
        endpoint.discard(push.batch, found)
        ticket.settle(items)
        return true
    }
}
