import AlloySyntax
package import ComponentKit
import Essentials
import SelfMetrics
import Synchronization
import Telemetry
import TextFormats
import Transport

/// Sends log entries to Loki over HTTP.
///
/// An entry is taken when it waits in a bounded queue of each endpoint, or is on disk when the write-ahead log is enabled.
/// Full queues make senders wait, then try again. Endpoints do not wait for each other: a repeated batch goes to those
/// only that had no room.
package final class LokiWrite: Component {
    package typealias Exports = LogsReceiverExports

    package static let spec = ComponentSpec("loki.write", .generallyAvailable, "Sends log entries to Loki.")

    /// How long a sender waits for room before it is told to come back.
    private static let patience: Duration = .seconds(5)

    private struct Session: Sendable {
        var endpoints: [LogEndpoint]
        var disk: LogDiskQueue?
        var routes: StreamRoutes
        var externalLabels: LabelSet
    }

    let arguments: Live<Arguments>
    private let context: Context<LogsReceiverExports>
    private let session = Mutex<Session?>(nil)

    package init(_ arguments: Live<Arguments>, _ context: Context<LogsReceiverExports>) throws {
        self.arguments = arguments
        self.context = context
        let receiver = context.makeReceiver(LogBatch.self)
        receiver.install { [weak self] (batch: LogBatch) async throws(DeliveryError) in
            guard let self else { throw .retry("loki.write is gone") }
            try await self.take(batch)
        }
        context.metrics.collector { [weak self] in self?.session.withLock { $0?.disk }?.families ?? [] }
        context.export(LogsReceiverExports(receiver: receiver))
    }

    // MARK: Taking entries

    private func take(_ batch: LogBatch) async throws(DeliveryError) {
        if batch.isEmpty { return }
        guard let session = currentSession() else {
            throw .retry(after: .seconds(1), "\(context.componentID) is not sending")
        }
        let count = batch.itemCount
        let copies = session.endpoints.count
        if let disk = session.disk {
            try await disk.append(batch, session.routes, endpoints: copies)
            context.ledger.created(count * (copies - 1))
            return
        }
        let routes = session.routes.routes(of: batch)
        var taken = batch.takenBy
        var waiting = session.endpoints.filter { !taken.contains($0.id) }
        var backoff = Backoff(minimum: .milliseconds(5), maximum: .milliseconds(50))
        let deadline = context.clock.monotonicNanoseconds &+ Self.patience.nanoseconds
        while true {
            waiting.removeAll { endpoint in
                if endpoint.offer(batch, routes) != .taken {
                    if endpoint.settings.blocksOnOverflow { return false }
                    endpoint.discard(batch, routes)
                }
                // Each endpoint has a copy of its own to account for.
                if copies > 1 { context.ledger.created(count) }
                taken.insert(endpoint.id)
                return true
            }
            if waiting.isEmpty { break }
            let isOver = context.clock.monotonicNanoseconds >= deadline
            var isCancelled = false
            if !isOver {
                do { try await context.clock.sleep(for: backoff.nextExact()) } catch { isCancelled = true }
            }
            if isOver || isCancelled {
                var error = DeliveryError.overloaded(
                    retryAfter: .seconds(1), "queue of \(waiting[0].settings.url.authority) is full")
                error.takenBy = taken
                throw error
            }
        }
        // The original went into the copies.
        if copies > 1 { context.ledger.merged(count) }
    }

    /// The session, with routes of the external labels as they are now.
    private func currentSession() -> Session? {
        let labels = arguments.current.externalLabels
        return session.withLock { session in
            if let current = session, current.externalLabels != labels {
                session?.externalLabels = labels
                session?.routes = StreamRoutes(externalLabels: labels)
            }
            return session
        }
    }

    // MARK: Life

    /// Sends until cancelled, then for as long as draining may take.
    package func run() async throws {
        try await arguments.whileCurrent(\.plan.wal) { [self] wal in
            guard let wal else { return try await sendFromMemory() }
            // The queue on disk belongs to the endpoints it was opened for.
            try await arguments.whileCurrent(\.plan.endpoints) { [self] endpoints in
                try await send(to: endpoints, through: wal)
            }
        }
    }

    /// Follows the endpoints of the arguments: those that did not change go on with what they hold, new ones take
    /// batches from the moment the removed ones no longer do, and the removed ones drain beside them or, where another of
    /// the same place follows them, as with new credentials, leave it what they have not sent.
    private func sendFromMemory() async throws {
        await withTaskGroup(of: Void.self) { group in
            var running: [LogEndpoint] = []
            while true {
                let (current, version) = arguments.snapshot
                var former = running
                running = []
                for settings in current.plan.endpoints {
                    if let index = former.firstIndex(where: { $0.settings == settings }) {
                        running.append(former.remove(at: index))
                    } else {
                        let endpoint = LogEndpoint(settings, context)
                        running.append(endpoint)
                        group.addTask { await endpoint.run() }
                    }
                }
                begin(
                    Session(
                        endpoints: running, disk: nil, routes: StreamRoutes(externalLabels: current.externalLabels),
                        externalLabels: current.externalLabels))
                for endpoint in former {
                    endpoint.stop(heir: running.first { endpoint.leads(to: $0.settings) })
                }
                // Cancelled at the end, and when the write-ahead log is switched on.
                do { try await arguments.change(after: version) } catch { break }
            }
            session.withLock { $0 = nil }
            for endpoint in running { endpoint.stop() }
            await group.waitForAll()
        }
        try Task.checkCancellation()
    }

    private func begin(_ next: Session) {
        session.withLock { $0 = next }
        let hosts = next.endpoints.map(\.settings.url.authority).joined(separator: ", ")
        context.report(.healthy("sending to \(hosts)"))
    }

    private func send(to settings: [EndpointSettings], through wal: WALSettings) async throws {
        let endpoints = settings.map { LogEndpoint($0, context, countsHoldings: false) }
        let labels = arguments.current.externalLabels
        let names = Self.names(of: settings)
        let disk = try await LogDiskQueue.open(wal, names: names, context)
        begin(
            Session(
                endpoints: endpoints, disk: disk, routes: StreamRoutes(externalLabels: labels), externalLabels: labels))
        await withTaskGroup(of: Void.self) { group in
            let upkeep = Task(executorPreference: context.services.executor) { await disk.maintain() }
            // Records carry the external labels already.
            let plain = StreamRoutes(externalLabels: .empty)
            for (endpoint, name) in zip(endpoints, names) {
                group.addTask { await endpoint.run() }
                group.addTask { await disk.feed(endpoint, from: name, plain, drainTimeout: wal.drainTimeout) }
            }
            await withTaskCancellationHandler {
                await group.waitForAll()
            } onCancel: {
                session.withLock { $0 = nil }
            }
            upkeep.cancel()
            await upkeep.value
        }
        await disk.close()
    }

    /// Names of the endpoints' queues on disk: as configured, or made from what tells endpoints apart.
    private static func names(of endpoints: [EndpointSettings]) -> [String] {
        var names: [String] = []
        for endpoint in endpoints {
            var name = endpoint.name
            if name.isEmpty {
                let text = endpoint.url.text + "\u{0}" + endpoint.tenantID
                let hash = Array(text.utf8).withUnsafeBytes { FNV1a.hash64($0) }
                name = String(hash, radix: 16)
            }
            var unique = name
            var number = 2
            while names.contains(unique) {
                unique = "\(name)-\(number)"
                number += 1
            }
            names.append(unique)
        }
        return names
    }
}
