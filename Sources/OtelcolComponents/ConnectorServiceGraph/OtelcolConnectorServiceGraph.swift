package import AlloySyntax
package import ComponentKit
import Essentials
import SelfMetrics
import Synchronization
import Telemetry
import Wire

/// Makes metrics of the calls between services, from the spans of both sides of a call.
package final class OtelcolConnectorServiceGraph: Component {
    package typealias Exports = InputExports

    package static let spec = ComponentSpec(
        "otelcol.connector.servicegraph", .generallyAvailable, "Makes metrics of the calls between services.")

    package struct Arguments: Block, Sendable {
        let settings: ServiceGraphSettings
        let output: OTLPOutput

        package init(from block: inout BlockReader) {
            settings = ServiceGraphSettings(from: &block)
            output = block.requiredBlock("output", OTLPOutput.doc)
            DebugMetrics.read(from: &block)
        }
    }

    private let arguments: Live<Arguments>
    private let context: Context<InputExports>
    private let delivery: MetricDelivery
    private let metrics: ServiceGraphMetrics
    private let graph = Mutex<ServiceGraph?>(nil)

    package init(_ arguments: Live<Arguments>, _ context: Context<InputExports>) throws {
        self.arguments = arguments
        self.context = context
        delivery = MetricDelivery(context)
        metrics = ServiceGraphMetrics(context.metrics)
        let receiver = context.makeReceiver(OTLPBatch.self)
        receiver.install { [weak self] (batch: OTLPBatch) async throws(DeliveryError) in
            guard let self else { throw .retry("otelcol.connector.servicegraph is gone") }
            try await self.take(batch)
        }
        context.export(InputExports(input: receiver))
    }

    private func take(_ batch: OTLPBatch) async throws(DeliveryError) {
        guard batch.kind == .traces else {
            throw .rejected("unsupported_signal", "\(context.componentID) takes traces only")
        }
        let taken: ServiceGraph.Taken?
        do {
            let now = context.clock.monotonicNanoseconds
            taken = try graph.withLock { graph in
                let before = graph?.bytes ?? 0
                let taken = try graph?.add(batch, now: now)
                book((graph?.bytes ?? 0) - before)
                return taken
            }
        } catch {
            throw .rejected(.malformed, "\(error)")
        }
        guard let taken else { throw .retry(after: .seconds(1), "\(context.componentID) is not running") }
        metrics.dropped.add(taken.overLimit)
        metrics.edges.add(taken.newEdges)
        context.ledger.drop(taken.overLimit, .limit, rule: "store")
        context.ledger.merged(batch.itemCount - taken.overLimit)
        if arguments.current.settings.flushInterval <= .zero { try? await flush() }
    }

    private func book(_ difference: Int) {
        if difference > 0 { context.memory.book(difference) } else { context.memory.release(-difference) }
    }

    /// Sends metrics regularly until cancelled, and once more then.
    package func run() async throws {
        try await arguments.whileCurrent(\.settings) { [self] settings in
            let now = context.clock.wallNanoseconds
            graph.withLock { $0 = ServiceGraph(settings, began: now) }
            context.report(.healthy("watching calls"))
            defer {
                graph.withLock { graph in
                    context.memory.release(graph?.bytes ?? 0)
                    graph = nil
                }
            }
            do {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { [self] in try await every(settings.expirationInterval) { self.expire() } }
                    group.addTask { [self] in try await every(settings.cleanInterval) { self.clean() } }
                    if settings.flushInterval > .zero {
                        group.addTask { [self] in
                            try await every(settings.flushInterval) { try await self.flush() }
                        }
                    }
                    defer { group.cancelAll() }
                    while try await group.next() != nil {}
                }
            } catch {
                // The last counts go out in spite of the cancellation.
                await Task(executorPreference: context.services.executor) { [self] in try? await flush() }.value
                throw error
            }
        }
    }

    private func every(_ interval: Duration, _ body: @Sendable () async throws -> Void) async throws {
        while true {
            try await context.clock.sleep(for: interval)
            try await body()
        }
    }

    private func expire() {
        let now = context.clock.monotonicNanoseconds
        let expired = graph.withLock { graph in
            let before = graph?.bytes ?? 0
            let expired = graph?.expire(now: now)
            book((graph?.bytes ?? 0) - before)
            return expired
        }
        metrics.expired.add(expired ?? 0)
    }

    private func clean() {
        let oldest = context.clock.monotonicNanoseconds &- Duration.seconds(900).nanoseconds
        graph.withLock { graph in
            let before = graph?.bytes ?? 0
            graph?.forget(notSeenSince: oldest)
            book((graph?.bytes ?? 0) - before)
        }
    }

    private func flush() async throws {
        let now = UInt64(clamping: context.clock.wallNanoseconds)
        guard let batch = graph.withLock({ $0?.batch(now: now) }), batch.itemCount > 0 else { return }
        try await delivery.send(batch) { arguments.current.output }
    }
}

/// The connector's metrics, named as the OpenTelemetry Collector names them.
private struct ServiceGraphMetrics: Sendable {
    let dropped: Counter
    let edges: Counter
    let expired: Counter

    init(_ scope: MetricScope) {
        let prefix = "otelcol_connector_servicegraph_"
        dropped = scope.counter(prefix + "dropped_spans_total", "Number of spans dropped when trying to add edges")
        edges = scope.counter(prefix + "total_edges_total", "Total number of unique edges")
        expired = scope.counter(
            prefix + "expired_edges_total", "Number of edges that expired before finding its matching span")
    }
}

/// How calls are watched.
struct ServiceGraphSettings: Sendable, Equatable {
    let bounds: [Double]
    let dimensions: [String]
    let cleanInterval: Duration
    let expirationInterval: Duration
    let peerAttributes: [String]
    let hasVirtualLabel: Bool
    let flushInterval: Duration
    let databaseAttributes: [String]
    /// 0 for explicit buckets.
    let exponentialSize: Int
    let store: Store

    struct Store: Block, Sendable, Equatable {
        let limit: Int
        let lifetime: Duration

        init(from block: inout BlockReader) {
            limit = block.optional("max_items", default: 1000, "Calls that may wait for their other side.")
            lifetime = block.optional("ttl", default: .seconds(2), "Time a call waits for its other side.")
            if limit <= 0 { block.reject("max_items", "must be greater than 0") }
        }
    }

    init(from block: inout BlockReader) {
        let usual: [Duration] = [2, 4, 6, 8, 10, 50, 100, 200, 400, 800, 1000, 1400, 2000, 5000, 10_000, 15_000].map {
            .milliseconds($0)
        }
        let buckets = block.optional("latency_histogram_buckets", default: usual, "Upper bounds of buckets, ascending.")
        dimensions = block.optional("dimensions", default: [], "Attributes that tell series apart, of either side.")
        let clean = block.optional(
            "cache_loop", default: Duration.seconds(60), "How often unused series are looked for.")
        let expiration = block.optional(
            "store_expiration_loop", default: Duration.seconds(2),
            "How often calls without another side are looked for.")
        peerAttributes = block.optional(
            "virtual_node_peer_attributes", default: ["peer.service", "db.name", "db.system"],
            "Attributes that name a service that sends no spans; none when empty.")
        hasVirtualLabel = block.optional(
            "virtual_node_extra_label", default: false, "Whether series say which side sends no spans.")
        flushInterval = block.optional(
            "metrics_flush_interval", default: .seconds(60), "How often metrics are sent; with each batch when 0.")
        databaseAttributes = block.optional(
            "database_name_attributes", default: ["db.name"], "Attributes that name a database.")
        let size: Int =
            block.optional(
                "exponential_histogram_max_size",
                "Largest number of buckets of exponential histograms; explicit ones when 0.") ?? 0
        store = block.block("store", "The calls that wait for their other side.")
        bounds = buckets.map { Double($0.nanoseconds) / 1e9 }
        cleanInterval = clean > .zero ? clean : .seconds(60)
        expirationInterval = expiration > .zero ? expiration : .seconds(2)
        exponentialSize = size
        if zip(bounds, bounds.dropFirst()).contains(where: { $0 >= $1 }) {
            block.reject("latency_histogram_buckets", "must be ascending")
        }
        if size < 0 || size == 1 || size > 16_384 {
            block.reject("exponential_histogram_max_size", "must be 0 or between 2 and 16384")
        }
    }
}
