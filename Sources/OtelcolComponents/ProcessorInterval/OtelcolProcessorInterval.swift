package import AlloySyntax
package import ComponentKit
import Essentials
import Synchronization
import Telemetry
import Wire

/// Sends of each stream of metrics one point for each interval: the last one, or the sum of deltas.
package final class OtelcolProcessorInterval: Component {
    package typealias Exports = InputExports

    package static let spec = ComponentSpec(
        "otelcol.processor.interval", .experimental, "Sends one point of each stream of metrics an interval.")

    /// The `passthrough` block.
    struct Passthrough: Block, Sendable, Equatable {
        let gauge: Bool
        let summary: Bool

        init(from block: inout BlockReader) {
            gauge = block.optional("gauge", default: false, "Whether gauges are sent on at once.")
            summary = block.optional("summary", default: false, "Whether summaries are sent on at once.")
        }
    }

    package struct Arguments: Block, Sendable {
        let interval: Duration
        let passthrough: Passthrough
        let output: OTLPOutput

        package init(from block: inout BlockReader) {
            interval = block.optional("interval", default: .seconds(60), "Time between two points of a stream.")
            passthrough = block.block("passthrough", "The kinds of metrics that are sent on at once.")
            output = block.requiredBlock("output", OTLPOutput.doc)
            DebugMetrics.read(from: &block)
            if interval <= .zero { block.reject("interval", "must be positive") }
        }
    }

    private let arguments: Live<Arguments>
    private let context: Context<InputExports>
    private let way: HeldOutput
    private let holding: Holding
    private let table = Mutex(IntervalTable())

    package init(_ arguments: Live<Arguments>, _ context: Context<InputExports>) throws {
        self.arguments = arguments
        self.context = context
        way = HeldOutput(context)
        holding = context.ledger.holding("interval")
        let receiver = context.makeReceiver(OTLPBatch.self)
        receiver.install { [weak self] (batch: OTLPBatch) async throws(DeliveryError) in
            guard let self else { throw .retry("otelcol.processor.interval is gone") }
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
        let passing: OTLPBatch?
        do {
            passing = try table.withLock { table in
                // The last flush takes the table's lock after the way out was closed.
                if way.isClosed { return nil }
                let (bytes, points) = (table.bytes, table.count)
                let passing = try table.add(batch, current.passthrough)
                context.memory.book(table.bytes - bytes)
                let held = table.count - points
                holding.add(held)
                context.ledger.merged(batch.itemCount - passing.itemCount - held)
                return passing
            }
        } catch {
            throw .rejected(.malformed, "\(error)")
        }
        guard let passing else { throw .retry(after: .seconds(1), "\(context.componentID) is not running") }
        await way.send(passing) { current.output }
    }

    /// Sends what was gathered each interval until cancelled, and once more then.
    package func run() async throws {
        context.report(.healthy("gathering"))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { [self] in
                try await arguments.whileCurrent(\.interval) { [self] interval in
                    while true {
                        try await context.clock.sleep(for: interval)
                        await flush()
                    }
                }
            }
            group.addTask { [self] in
                try await way.run({ self.arguments.current.output }, last: { await self.flush() })
            }
            defer { group.cancelAll() }
            while try await group.next() != nil {}
        }
    }

    private func flush() async {
        guard let batch = takeOut() else { return }
        await way.send(batch) { arguments.current.output }
    }

    private func takeOut() -> OTLPBatch? {
        table.withLock { table in
            let (bytes, points) = (table.bytes, table.count)
            guard points > 0 else { return nil }
            let batch = table.finish()
            context.memory.release(bytes)
            holding.subtract(points)
            return batch
        }
    }
}
