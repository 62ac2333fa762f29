package import AlloySyntax
package import ComponentKit
import Essentials
import Synchronization
import Telemetry
import Transport

/// Sends samples to endpoints that speak Prometheus remote write, through a durable queue for each.
///
/// A batch is accepted once every endpoint's queue has it on file. What an endpoint has not confirmed survives restarts.
package final class PrometheusRemoteWrite: Component {
    package static let spec = ComponentSpec(
        "prometheus.remote_write", .generallyAvailable, "Sends metrics to Prometheus remote-write endpoints.")

    package struct Exports: WritableBlock {
        var receiver: Receiver<MetricBatch>
        package static let placeholder = Exports(receiver: .placeholder)
        package func write(to block: inout BlockWriter) {
            block.attribute("receiver", receiver, "Takes the metrics to send.")
        }
    }

    package struct DebugInfo: WritableBlock {
        var endpoints: [EndpointInfo]
        package static let placeholder = DebugInfo(endpoints: [])
        package func write(to block: inout BlockWriter) {
            block.blocks("endpoint", endpoints, "An endpoint and its queue.")
        }
    }

    package struct EndpointInfo: WritableBlock {
        var name: String
        var url: String
        var pending: Int
        var shards: Int
        var queueBytes: Int
        package static let placeholder = EndpointInfo(name: "", url: "", pending: 0, shards: 0, queueBytes: 0)
        package func write(to block: inout BlockWriter) {
            block.attribute("name", name, "Name of the endpoint.")
            block.attribute("url", url, "URL without user and password.")
            block.attribute("pending_samples", pending, "Samples the endpoint has not confirmed.")
            block.attribute("shards", shards, "Requests that may be in flight.")
            block.attribute("queue_bytes", queueBytes, "Bytes of the queue on disk.")
        }
    }

    let arguments: Live<Arguments>
    private let context: Context<Exports>
    private let receiver: Receiver<MetricBatch>
    private let environment: EndpointEnvironment
    private let appended: AppendMetrics
    private let endpoints = Mutex<[RemoteWriteEndpoint]>([])

    package init(_ arguments: Live<Arguments>, _ context: Context<Exports>) throws {
        self.arguments = arguments
        self.context = context
        receiver = context.makeReceiver()
        environment = EndpointEnvironment(
            clock: context.clock, log: context.log, ledger: context.ledger, memory: context.memory,
            sendMemory: context.services.budget.account(context.componentID + "/requests"),
            sync: context.services.sync, metrics: context.metrics, blocking: context.services.blocking,
            eventLoops: context.services.eventLoops,
            executor: context.services.executor ?? context.services.eventLoops.work.place(),
            directory: context.storagePath + "/queue", families: FamilyStore())
        appended = AppendMetrics(context.metrics)
        context.export(Exports(receiver: receiver))
    }

    package var debugInfo: DebugInfo { DebugInfo(endpoints: endpoints.withLock { $0 }.map(\.info)) }

    /// Opens the queues, takes batches until cancelled, then sends what it can of what is queued.
    package func run() async throws {
        do {
            while true {
                let (current, version) = arguments.snapshot
                let isOpen = await reconcile(with: current)
                if !receiver.isServed {
                    receiver.install { [weak self] (batch: MetricBatch) async throws(DeliveryError) in
                        guard let self else { throw .retry("prometheus.remote_write has stopped") }
                        try await self.consume(batch)
                    }
                }
                if isOpen {
                    try await arguments.change(after: version)
                } else {
                    try await context.clock.sleep(for: .seconds(5))
                }
            }
        } catch {
            receiver.install(nil)
            await withTaskGroup(of: Void.self) { group in
                for endpoint in endpoints.withLock({ $0 }) { group.addTask { await endpoint.stop() } }
            }
            endpoints.withLock { $0 = [] }
            throw error
        }
    }

    // MARK: Endpoints

    /// Makes the running endpoints those of `arguments`; false when a queue could not be opened.
    private func reconcile(with arguments: Arguments) async -> Bool {
        let running = endpoints.withLock { $0 }
        var wanted: [RemoteWriteEndpoint] = []
        var problem: String?
        var keys: [String: Int] = [:]
        for settings in arguments.endpoints {
            var key = settings.name.isEmpty ? settings.url?.text ?? "" : settings.name
            keys[key, default: 0] += 1
            if let count = keys[key], count > 1 { key += " (\(count))" }
            let full = EndpointSettings(
                endpoint: settings, externalLabels: arguments.externalLabels, wal: arguments.wal)
            if let known = running.first(where: { $0.key == key }) {
                await known.update(full)
                wanted.append(known)
            } else {
                wanted.append(RemoteWriteEndpoint(key: key, full, environment))
            }
        }
        for endpoint in running where !wanted.contains(where: { $0 === endpoint }) { await endpoint.discard() }
        endpoints.withLock { $0 = wanted }
        if running.isEmpty { await environment.removeForgottenQueues(except: wanted.map(\.directory)) }
        for endpoint in wanted {
            do {
                try await endpoint.start()
            } catch {
                problem = "\(error)"
                context.log.error("Cannot open the queue of an endpoint", error, ["endpoint": endpoint.key])
            }
        }
        context.report(problem.map { .unhealthy("cannot open a queue: \($0)") } ?? .healthy("sending"))
        return problem == nil
    }

    // MARK: Batches

    /// Queues `batch` for every endpoint that has not taken it on an earlier attempt.
    private func consume(_ batch: MetricBatch) async throws(DeliveryError) {
        let count = batch.itemCount
        environment.families.learn(batch.metadata)
        appended.count(batch, at: context.clock.monotonicNanoseconds)
        let endpoints = endpoints.withLock { $0 }
        if endpoints.isEmpty {
            if arguments.current.endpoints.isEmpty {
                context.ledger.drop(count, .noReceivers)
                return
            }
            throw .retry("prometheus.remote_write is starting")
        }
        var taken = batch.takenBy
        var accepted = 0
        var retryable: DeliveryError?
        var refusal: DeliveryError?
        for endpoint in endpoints where !taken.contains(endpoint.id) {
            do {
                try await endpoint.accept(batch)
                taken.insert(endpoint.id)
                accepted += 1
            } catch {
                if error.isRetryable {
                    retryable = retryable ?? error
                } else {
                    refusal = error
                    taken.insert(endpoint.id, .refused(error.reason))
                }
            }
        }
        // Each endpoint has its own copy; the receiver books one when the whole is accepted.
        let outcomes = endpoints.compactMap { taken.outcome(of: $0.id) }
        if var failure = retryable ?? (outcomes.contains(.taken) ? nil : refusal) {
            context.ledger.created(accepted * count)
            failure.takenBy = taken
            throw failure
        }
        for case .refused(let reason) in outcomes {
            context.ledger.created(count)
            context.ledger.drop(count, reason)
        }
        context.ledger.created((accepted - 1) * count)
    }
}
