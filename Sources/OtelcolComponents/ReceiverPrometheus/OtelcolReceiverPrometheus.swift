package import AlloySyntax
package import ComponentKit
import Essentials
import SelfMetrics
import Telemetry
import Wire

/// Takes Prometheus metrics and sends them on as OpenTelemetry metrics.
///
/// A batch is converted and delivered while its sender waits: nothing is held. Types, units and help come with metrics
/// whose source was told to `honor_metadata`; without them every series is a gauge, as in Alloy.
package final class OtelcolReceiverPrometheus: Component {
    package static let spec = ComponentSpec(
        "otelcol.receiver.prometheus", .generallyAvailable, "Turns Prometheus metrics into OpenTelemetry metrics.")

    package struct Arguments: Block, Sendable {
        let output: OTLPOutput

        package init(from block: inout BlockReader) {
            output = block.requiredBlock("output", OTLPOutput.doc)
            DebugMetrics.read(from: &block)
        }
    }

    package struct Exports: WritableBlock {
        var receiver: Receiver<MetricBatch>
        package static var placeholder: Exports { Exports(receiver: .placeholder) }
        package func write(to block: inout BlockWriter) {
            block.attribute("receiver", receiver, "Takes the metrics to convert.")
        }
    }

    private static let noTarget: DropReason = "no_job_or_instance"

    private let arguments: Live<Arguments>
    private let context: Context<Exports>
    private static let scopeName = "otelcol/prometheusreceiver"
    private let converter = MetricsToOTLP(scopeName: scopeName)
    private let metrics: ReceiverMetrics

    package init(_ arguments: Live<Arguments>, _ context: Context<Exports>) throws {
        self.arguments = arguments
        self.context = context
        metrics = ReceiverMetrics(context.metrics, receiver: context.componentID, transport: "prometheus")
        let receiver = context.makeReceiver(MetricBatch.self)
        receiver.install { [weak self] (batch: MetricBatch) async throws(DeliveryError) in
            guard let self else { throw .retry("otelcol.receiver.prometheus is gone") }
            try await self.convert(batch)
        }
        context.export(Exports(receiver: receiver))
        context.report(.healthy("ready"))
    }

    private func convert(_ batch: MetricBatch) async throws(DeliveryError) {
        var outcome = converter.convert(batch)
        outcome.batch.takenBy = batch.takenBy
        if outcome.batch.itemCount > 0 {
            do {
                try await arguments.current.output.deliver(&outcome.batch)
            } catch {
                metrics.refused(outcome.batch)
                throw error
            }
            metrics.accepted(outcome.batch)
        }
        context.ledger.merged(outcome.merged)
        context.ledger.drop(outcome.withoutTarget, Self.noTarget)
        context.ledger.drop(outcome.malformed, .malformed)
        let dropped = outcome.withoutTarget + outcome.malformed
        if dropped > 0 {
            context.log.debug("Samples make no data point", nil, ["samples": "\(dropped)"])
        }
    }
}

extension OtelcolReceiverPrometheus: Explaining {
    /// What a sample of the series becomes, with the value 1.
    package func explain(_ item: ExplainedItem) -> Explanation? {
        guard item.kind == .metric else { return nil }
        var writer = SeriesTable.Writer()
        let series = writer.append(item.labels)
        var batch = MetricBatch(table: writer.table)
        batch.append(series, 1, at: item.timestamp / 1_000_000)
        let outcome = MetricsToOTLP(scopeName: Self.scopeName).convert(batch)
        guard outcome.batch.itemCount > 0 else {
            let reason =
                outcome.withoutTarget > 0 ? "it has no job and instance" : "it makes no data point by itself"
            return Explanation([
                ExplainedStep("conversion", .dropped, reason, before: item, after: nil)
            ])
        }
        let converted = OTLPExplaining.item(outcome.batch, from: item)
        return Explanation(
            [
                ExplainedStep(
                    "conversion", .changed, "the sample becomes an OpenTelemetry data point", before: item,
                    after: converted)
            ], results: [Explanation.Result(converted, .receivers(arguments.current.output[.metrics].owners))],
            notes: ["type and unit come with metrics whose scrape has honor_metadata; taken as unknown"])
    }
}
