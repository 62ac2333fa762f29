package import AlloySyntax
package import ComponentKit
import Essentials
import KubernetesKit
import SelfMetrics
import Synchronization
import Telemetry

/// Sends traces, logs and metrics over OTLP/gRPC to one of several endpoints each: what belongs together, by trace,
/// service or metric, to the same one.
///
/// Each endpoint has a queue by `protocol.otlp.queue`. Endpoints that come or go leave the connections and queues of the
/// others alone, and what waits for one that is gone is routed again. So is all that waits when other arguments change: by
/// the new ones, so that a change costs nothing. A signal that `routing_key` is not for is refused
/// with the reason `unroutable`.
package final class OtelcolExporterLoadBalancing: Component {
    package typealias Exports = InputExports

    package static let spec = ComponentSpec(
        "otelcol.exporter.loadbalancing", .generallyAvailable,
        "Sends what belongs together to the same one of several OTLP endpoints.")

    package struct Arguments: Block, Sendable {
        let settings: Settings
        let resolver: ResolverArguments.Source

        package init(from block: inout BlockReader) {
            let key = block.optional(
                "routing_key", default: RoutingKey.traceID,
                "What goes to the same endpoint: `traceID` or `service` of traces and logs; `service`, `resource`, "
                    + "`metric` or `streamID` of metrics, which are experimental.")
            let timeout = block.optional(
                "timeout", default: Duration.zero, "Time an endpoint's queue may take to take a batch; 0 is no limit.")
            let queue: SendingQueue? = block.optionalBlock(
                "sending_queue", "How batches wait to be spread; without it senders wait.")
            let retry: RetryOnFailure? = block.optionalBlock(
                "retry_on_failure", "When batches that no endpoint took are spread again.")
            DebugMetrics.read(from: &block)
            let resolver: ResolverArguments = block.requiredBlock("resolver", "Where the endpoints come from.")
            let method: EndpointProtocol = block.requiredBlock("protocol", "How endpoints are sent to.")
            if timeout < .zero { block.reject("timeout", "must not be negative") }
            let otlp = method.otlp
            (queue ?? .disabled).check(against: otlp.client.auth, &block)
            if let queue, queue.isEnabled, queue.storage != nil, otlp.queue.isEnabled, !otlp.queue.waitsForResult {
                block.warn(
                    "sending_queue",
                    "a batch is on disk only until the endpoints' queues in memory have taken it; set wait_for_result in "
                        + "protocol.otlp.queue to keep it until it was delivered")
            }
            settings = Settings(
                queue: queue ?? .disabled, retry: retry ?? .disabled,
                balancing: LoadBalancer.Settings(
                    routingKey: key, timeout: timeout, callTimeout: otlp.timeout, queue: otlp.queue, retry: otlp.retry,
                    rerouting: retry?.isEnabled == true ? retry ?? otlp.retry : otlp.retry, client: otlp.client))
            self.resolver = resolver.source
        }
    }

    /// What a change of starts the exporter anew.
    struct Settings: Sendable, Equatable {
        var queue: SendingQueue
        var retry: RetryOnFailure
        var balancing: LoadBalancer.Settings
    }

    package struct DebugInfo: WritableBlock {
        var endpoints: [String] = []
        package static let placeholder = DebugInfo()
        package func write(to block: inout BlockWriter) {
            block.attribute("endpoints", endpoints, "The endpoints of the moment.")
        }
    }

    private struct Running {
        var pipeline: ExportPipeline?
        var balancer: LoadBalancer?
    }

    private struct Leftovers {
        /// Of `sending_queue`.
        var outer: [ExportEntry] = []
        /// Of the endpoints' queues, and what no endpoint had taken.
        var routed: [ExportEntry] = []
    }

    private let arguments: Live<Arguments>
    private let context: Context<InputExports>
    private let running = Mutex(Running())
    /// What waited when the arguments changed.
    private let leftovers = Mutex(Leftovers())

    package init(_ arguments: Live<Arguments>, _ context: Context<InputExports>) throws {
        self.arguments = arguments
        self.context = context
        let receiver = context.makeReceiver(OTLPBatch.self)
        receiver.install { [weak self] (batch: OTLPBatch) async throws(DeliveryError) in
            guard let self, let pipeline = self.running.withLock({ $0.pipeline }) else {
                throw .retry(after: .seconds(1), "the exporter is not running")
            }
            let key = self.arguments.current.settings.balancing.routingKey
            guard key.routes(batch.kind, minimumStability: self.context.services.minimumStability) else {
                throw .rejected("unroutable", Self.refusal(of: batch.kind, by: key))
            }
            try await pipeline.take(batch)
        }
        context.export(InputExports(input: receiver))
    }

    private static func refusal(of kind: OTLPBatch.Kind, by key: RoutingKey) -> String {
        if key.routes(kind, minimumStability: .experimental) {
            return "load balancing of metrics is experimental: use --stability.level=experimental"
        }
        return "\(kind.signal.rawValue) cannot be routed by routing_key \"\(key.rawValue)\""
    }

    package var debugInfo: DebugInfo {
        DebugInfo(endpoints: running.withLock { $0.balancer }?.endpoints ?? [])
    }

    package func run() async throws {
        defer {
            let left = takeLeftovers()
            for entry in left.outer + left.routed { entry.settled(.failed(.stopped, "the exporter stopped")) }
        }
        let latest = LatestSettings<Settings>()
        try await arguments.whileCurrent({ latest.note($0.settings) }) { [self] settings in
            try await spread(by: settings) { latest.value != settings }
        }
    }

    private func takeLeftovers() -> Leftovers {
        leftovers.withLock { leftovers in
            defer { leftovers = Leftovers() }
            return leftovers
        }
    }

    /// Sends until cancelled. `isFollowed` says, once it is, whether that is for new settings.
    private func spread(by settings: Settings, isFollowed: @escaping @Sendable () -> Bool) async throws {
        let adopted = takeLeftovers()
        let balancer = LoadBalancer(
            settings.balancing, context,
            successor: ExportSuccessor(
                isExpected: isFollowed,
                take: { [self] entry in leftovers.withLock { $0.routed.append(entry) } }))
        running.withLock { $0.balancer = balancer }
        if case .fixed(let names) = arguments.current.resolver { balancer.update(names) }
        let outer = ExportPipeline(
            queue: settings.queue, retry: settings.retry, destination: balancer, context: context,
            exporter: context.componentID,
            successor: ExportSuccessor(
                isExpected: isFollowed,
                take: { [self] entry in leftovers.withLock { $0.outer.append(entry) } }))
        outer.adopt(adopted.outer)
        // These end in order when all is cancelled: no new batches, then those that wait, then the endpoints' queues.
        let executor = context.services.executor
        let serving = Task(executorPreference: executor) {
            try await balancer.members.forEachCurrent({ $0 }, keyedBy: \.id) { member in
                try await balancer.serve(member.current)
            }
        }
        let repeating = Task(executorPreference: executor) { await balancer.repeatWaiting() }
        let adopting = Task(executorPreference: executor) { await balancer.adopt(adopted.routed) }
        var failure: (any Error)?
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { [self] in
                    try await arguments.whileCurrent(\.resolver) { [self] source in
                        try await resolve(source, balancer)
                    }
                }
                group.addTask { [self] in
                    try await outer.run { [self] isTaking in
                        running.withLock { $0.pipeline = isTaking ? outer : nil }
                        // Endpoints that are tried again and again would hold up those who wait for them, and so the change.
                        if !isTaking, isFollowed() { balancer.interrupt() }
                    }
                }
                defer { group.cancelAll() }
                try await group.next()
            }
        } catch {
            failure = error
        }
        adopting.cancel()
        await adopting.value
        repeating.cancel()
        await repeating.value
        serving.cancel()
        _ = await serving.result
        balancer.finish()
        running.withLock { $0 = Running() }
        if let failure {
            if !(failure is CancellationError) { context.report(.unhealthy("\(failure)")) }
            throw failure
        }
    }

    // MARK: Endpoints

    private func resolve(_ source: ResolverArguments.Source, _ balancer: LoadBalancer) async throws {
        let report: ResolverReport = { [self] result in hear(result, source.name, balancer) }
        switch source {
        case .none: try await waitForCancellation()
        case .fixed(let names):
            report(.success(names))
            try await waitForCancellation()
        case .dns(let dns): try await IntervalResolver.dns(dns, context.services).run(report)
        case .kubernetes(let service):
            try await KubernetesEndpoints(service, context.services.kubernetes, clock: context.clock).run(report)
        case .cloudMap(let service):
            let client = CloudMapClient(service, on: context.services.eventLoops, clock: context.clock)
            defer { client.shutDown() }
            try await client.resolver.run(report)
        }
    }

    private func hear(_ result: Result<[String], any Error>, _ name: String, _ balancer: LoadBalancer) {
        var isSuccess = false
        if case .success = result { isSuccess = true }
        context.metrics.counter(
            "otelcol_loadbalancer_num_resolutions_total", "Number of times the resolver has triggered new resolutions.",
            labels: ["resolver": name, "success": "\(isSuccess)"]
        ).add()
        switch result {
        case .success(let names):
            if balancer.update(names) {
                context.metrics.counter(
                    "otelcol_loadbalancer_num_backend_updates_total",
                    "Number of times the list of backends was updated.", labels: ["resolver": name]
                ).add()
                context.log.info("Endpoints changed", nil, ["endpoints": names.joined(separator: ", ")])
            }
            context.metrics.gauge(
                "otelcol_loadbalancer_num_backends", "Current number of backends in use.", labels: ["resolver": name]
            ).set(balancer.endpoints.count)
            let count = balancer.endpoints.count
            context.report(
                count > 0 ? .healthy("sending to \(count) endpoints") : .unhealthy("the resolver knows no endpoints"))
        case .failure(let error):
            context.log.warn("Failed to resolve endpoints", error)
            if balancer.endpoints.isEmpty { context.report(.unhealthy("failed to resolve endpoints: \(error)")) }
        }
    }
}

/// The `protocol` block.
struct EndpointProtocol: Block, Sendable {
    let otlp: OTLP

    init(from block: inout BlockReader) { otlp = block.requiredBlock("otlp", "Endpoints speak OTLP over gRPC.") }

    struct OTLP: Block, Sendable {
        let timeout: Duration
        let queue: SendingQueue
        let retry: RetryOnFailure
        let client: GRPCDialArguments

        init(from block: inout BlockReader) {
            timeout = block.optional("timeout", default: Duration.seconds(5), "Time a call may take.")
            queue = block.block("queue", "How batches wait to be sent to an endpoint.")
            retry = block.block("retry", "When failed requests to an endpoint are sent again.")
            let client: Client = block.requiredBlock("client", "How endpoints are called.")
            self.client = client.arguments
            if queue.isEnabled, queue.storage != nil {
                block.reject(
                    "queue",
                    "storage is not supported here: what waits on disk for an endpoint that is gone would stay there; set "
                        + "storage in the top-level sending_queue")
            }
        }
    }

    struct Client: Block, Sendable {
        let arguments: GRPCDialArguments
        init(from block: inout BlockReader) { arguments = GRPCDialArguments(withoutEndpointFrom: &block) }
    }
}

extension OtelcolExporterLoadBalancing: Explaining {
    package func explain(_ item: ExplainedItem) -> Explanation? {
        OTLPExplaining.leaving(item, to: "the backend that its routing key belongs to")
    }
}
