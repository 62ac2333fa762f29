package import AlloySyntax
package import ComponentKit
import Essentials
import SelfMetrics
import Synchronization
import Telemetry
import Wire

/// Adds up sums and histograms that are differences from point to point.
package final class OtelcolProcessorDeltaToCumulative: Component {
    package typealias Exports = InputExports

    package static let spec = ComponentSpec(
        "otelcol.processor.deltatocumulative", .experimental, "Turns delta metrics into cumulative ones.")

    package struct Arguments: Block, Sendable {
        let lifetime: Duration
        let streamLimit: Int
        let output: OTLPOutput

        package init(from block: inout BlockReader) {
            lifetime = block.optional(
                "max_stale", default: .seconds(300), "Time after which a stream without points is forgotten.")
            let limit = block.optional(
                "max_streams", default: Int64.max, "Streams added up at a time; points of further ones are dropped.")
            output = block.requiredBlock("output", OTLPOutput.doc)
            DebugMetrics.read(from: &block)
            streamLimit = limit == 0 ? .max : Int(limit)
            if lifetime <= .zero { block.reject("max_stale", "must be a positive duration") }
            if limit < 0 { block.reject("max_streams", "must not be negative; 0 means no limit") }
        }
    }

    private let arguments: Live<Arguments>
    private let context: Context<InputExports>
    private let way: HeldOutput
    private let metrics: CumulativeMetrics
    private let table = Mutex(CumulativeTable())

    package init(_ arguments: Live<Arguments>, _ context: Context<InputExports>) throws {
        self.arguments = arguments
        self.context = context
        way = HeldOutput(context)
        metrics = CumulativeMetrics(context.metrics)
        let receiver = context.makeReceiver(OTLPBatch.self)
        receiver.install { [weak self] (batch: OTLPBatch) async throws(DeliveryError) in
            guard let self else { throw .retry("otelcol.processor.deltatocumulative is gone") }
            try await self.take(batch)
        }
        context.export(InputExports(input: receiver))
        note(arguments.current, streams: 0)
    }

    private func take(_ batch: OTLPBatch) async throws(DeliveryError) {
        guard batch.kind == .metrics else {
            throw .rejected("unsupported_signal", "\(context.componentID) takes metrics only")
        }
        let current = arguments.current
        try way.checkRoom(for: batch.byteCount)
        let now = context.clock.monotonicNanoseconds
        let (result, outcome, streams): (OTLPBatch, CumulativeTable.Outcome, Int)
        do {
            (result, outcome, streams) = try table.withLock { table in
                let before = table.bytes
                defer { settle(table.bytes - before) }
                let (result, outcome) = try table.add(batch, limit: current.streamLimit, now: now)
                return (result, outcome, table.count)
            }
        } catch {
            throw .rejected(.malformed, "\(error)")
        }
        context.ledger.drop(outcome.overLimit, .limit)
        context.ledger.drop(outcome.outOfOrder, "out_of_order")
        context.ledger.drop(outcome.olderStart, "older_start")
        metrics.note(outcome)
        note(current, streams: streams)
        await way.send(result) { current.output }
    }

    private func note(_ current: Arguments, streams: Int) {
        metrics.tracked.set(streams)
        metrics.limit.set(current.streamLimit)
        metrics.lifetime.set(Int(current.lifetime.components.seconds))
    }

    private func settle(_ difference: Int) {
        if difference > 0 { context.memory.book(difference) } else { context.memory.release(-difference) }
    }

    /// Forgets streams that have not been seen for `max_stale`, until cancelled.
    package func run() async throws {
        context.report(.healthy("adding up"))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { [self] in try await way.run { self.arguments.current.output } }
            group.addTask { [self] in
                while true {
                    try await context.clock.sleep(for: min(.seconds(60), arguments.current.lifetime))
                    forget()
                }
            }
            defer { group.cancelAll() }
            while try await group.next() != nil {}
        }
    }

    private func forget() {
        let current = arguments.current
        let oldest = context.clock.monotonicNanoseconds &- current.lifetime.nanoseconds
        let streams = table.withLock { table in
            let before = table.bytes
            table.forget(notSeenSince: oldest)
            settle(table.bytes - before)
            return table.count
        }
        note(current, streams: streams)
    }
}

/// The processor's metrics, named as the OpenTelemetry Collector names them.
private struct CumulativeMetrics: Sendable {
    let tracked: Gauge
    let limit: Gauge
    let lifetime: Gauge
    private let good: Counter
    private let overLimit: Counter
    private let outOfOrder: Counter
    private let olderStart: Counter

    init(_ scope: MetricScope) {
        tracked = scope.gauge(
            "otelcol_deltatocumulative_streams_tracked", "Number of streams that are being added up")
        limit = scope.gauge("otelcol_deltatocumulative_streams_limit", "Upper limit of tracked streams")
        lifetime = scope.gauge(
            "otelcol_deltatocumulative_streams_max_stale_seconds",
            "Duration without new samples after which streams are dropped")
        func counter(_ labels: KeyValuePairs<String, String>) -> Counter {
            scope.counter(
                "otelcol_deltatocumulative_datapoints_total", "Number of data points processed, by error",
                labels: labels)
        }
        good = counter([:])
        overLimit = counter(["error": "limit"])
        outOfOrder = counter(["error": "delta.ErrOutOfOrder"])
        olderStart = counter(["error": "delta.ErrOlderStart"])
    }

    func note(_ outcome: CumulativeTable.Outcome) {
        good.add(outcome.added)
        overLimit.add(outcome.overLimit)
        outOfOrder.add(outcome.outOfOrder)
        olderStart.add(outcome.olderStart)
    }
}
