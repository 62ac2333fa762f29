package import AlloySyntax
package import ComponentKit
import Essentials
import SelfMetrics
import Telemetry
import Wire

/// Takes Loki log entries and sends them on as OpenTelemetry log records.
///
/// A batch is converted and delivered while its sender waits: nothing is held.
package final class OtelcolReceiverLoki: Component {
    package static let spec = ComponentSpec(
        "otelcol.receiver.loki", .generallyAvailable, "Turns Loki log entries into OpenTelemetry log records.")

    package struct Arguments: Block, Sendable {
        let output: OTLPOutput

        package init(from block: inout BlockReader) { output = block.requiredBlock("output", OTLPOutput.doc) }
    }

    package struct Exports: WritableBlock {
        var receiver: Receiver<LogBatch>
        package static var placeholder: Exports { Exports(receiver: .placeholder) }
        package func write(to block: inout BlockWriter) {
            block.attribute("receiver", receiver, "Takes the log entries to convert.")
        }
    }

    private let arguments: Live<Arguments>
    private let context: Context<Exports>
    private let metrics: ReceiverMetrics

    package init(_ arguments: Live<Arguments>, _ context: Context<Exports>) throws {
        self.arguments = arguments
        self.context = context
        metrics = ReceiverMetrics(context.metrics, receiver: context.componentID, transport: "loki")
        let receiver = context.makeReceiver(LogBatch.self)
        receiver.install { [weak self] (batch: LogBatch) async throws(DeliveryError) in
            guard let self else { throw .retry("otelcol.receiver.loki is gone") }
            try await self.convert(batch)
        }
        context.export(Exports(receiver: receiver))
        context.report(.healthy("ready"))
    }

    private func convert(_ batch: LogBatch) async throws(DeliveryError) {
        if batch.isEmpty { return }
        var converted = LogsToOTLP.convert(batch, observedNanoseconds: context.clock.wallNanoseconds)
        converted.takenBy = batch.takenBy
        do {
            try await arguments.current.output.deliver(&converted)
        } catch {
            metrics.refused(converted)
            throw error
        }
        metrics.accepted(converted)
    }
}

extension OtelcolReceiverLoki: Explaining {
    package func explain(_ item: ExplainedItem) -> Explanation? {
        guard item.kind == .log else { return nil }
        let output = arguments.current.output
        var batch = LogBatch()
        batch.append(item.line ?? "", labels: item.labels, timestamp: item.timestamp, metadata: item.metadata)
        let converted = OTLPExplaining.item(
            LogsToOTLP.convert(batch, observedNanoseconds: context.clock.wallNanoseconds), from: item)
        return Explanation(
            [
                ExplainedStep(
                    "conversion", .changed, "the entry becomes an OpenTelemetry log record", before: item,
                    after: converted)
            ], results: [Explanation.Result(converted, .receivers(output[.logs].owners))],
            notes: item.line == nil ? ["the line is not known: taken as empty"] : [])
    }
}
