package import AlloySyntax
package import ComponentKit
import Essentials
import Synchronization
import Telemetry
import TextFormats
import Wire

/// Gives cumulative metrics that do not say when they began a time of beginning.
package final class OtelcolProcessorMetricStartTime: Component {
    package typealias Exports = InputExports

    package static let spec = ComponentSpec(
        "otelcol.processor.metric_start_time", .generallyAvailable,
        "Gives cumulative metrics that do not say when they began a time of beginning.")

    package struct Arguments: Block, Sendable {
        let strategy: StartTimeStrategy
        let interval: Duration
        let expression: RegularExpression?
        let output: OTLPOutput

        package init(from block: inout BlockReader) {
            strategy = block.optional(
                "strategy", default: .trueResetPoint, "How the time of beginning is found.")
            interval = block.optional(
                "gc_interval", default: .seconds(600), "How often streams without points since are forgotten.")
            let pattern = block.optional(
                "start_time_metric_regex", default: "",
                "Name of the metric with the time of beginning; process_start_time_seconds when empty.")
            output = block.requiredBlock("output", OTLPOutput.doc)
            DebugMetrics.read(from: &block)
            if interval <= .zero { block.reject("gc_interval", "must be positive") }
            var expression: RegularExpression?
            if !pattern.isEmpty {
                do {
                    expression = try RegularExpression(pattern)
                } catch {
                    block.reject("start_time_metric_regex", "\(error)")
                }
                if strategy != .startTimeMetric {
                    block.reject("start_time_metric_regex", "goes with strategy = \"start_time_metric\" only")
                }
            }
            self.expression = expression
        }
    }

    private let arguments: Live<Arguments>
    private let context: Context<InputExports>
    private let way: HeldOutput
    private let table: Mutex<StartTimeTable>

    package init(_ arguments: Live<Arguments>, _ context: Context<InputExports>) throws {
        self.arguments = arguments
        self.context = context
        way = HeldOutput(context)
        table = Mutex(StartTimeTable(arguments.current.strategy, began: context.clock.wallNanoseconds))
        let receiver = context.makeReceiver(OTLPBatch.self)
        receiver.install { [weak self] (batch: OTLPBatch) async throws(DeliveryError) in
            guard let self else { throw .retry("otelcol.processor.metric_start_time is gone") }
            try await self.take(batch)
        }
        context.export(InputExports(input: receiver))
    }

    private func take(_ batch: OTLPBatch) async throws(DeliveryError) {
        guard batch.kind == .metrics else {
            throw .rejected("unsupported_signal", "\(context.componentID) takes metrics only")
        }
        let current = arguments.current
        try way.checkRoom(for: batch.byteCount)
        let result: OTLPBatch
        do {
            result = try table.withLock { table in
                let before = table.bytes
                defer { settle(table.bytes - before) }
                if table.strategy != current.strategy { table.begin(current.strategy) }
                return try table.adjust(batch, current.expression)
            }
        } catch {
            throw .rejected(.malformed, "\(error)")
        }
        context.ledger.drop(batch.itemCount - result.itemCount, "initial")
        await way.send(result) { current.output }
    }

    private func settle(_ difference: Int) {
        if difference > 0 { context.memory.book(difference) } else { context.memory.release(-difference) }
    }

    /// Forgets streams without points since the last time, until cancelled.
    package func run() async throws {
        context.report(.healthy("adjusting"))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { [self] in try await way.run { self.arguments.current.output } }
            group.addTask { [self] in
                try await arguments.whileCurrent(\.interval) { [self] interval in
                    while true {
                        try await context.clock.sleep(for: interval)
                        table.withLock { table in
                            let before = table.bytes
                            table.forget()
                            settle(table.bytes - before)
                        }
                    }
                }
            }
            defer { group.cancelAll() }
            while try await group.next() != nil {}
        }
    }
}

/// How the time of beginning of a stream is found.
enum StartTimeStrategy: String, AlloyWord {
    static var placeholder: StartTimeStrategy { .trueResetPoint }

    /// The first point's own time, so that the stream begins with a point of no duration.
    case trueResetPoint = "true_reset_point"
    /// The first point's time; the point is dropped, and its value taken off those that follow.
    case subtractInitialPoint = "subtract_initial_point"
    /// The value of another metric in the batch, else when the component began.
    case startTimeMetric = "start_time_metric"
}
