package import AlloySyntax
package import ComponentKit
import Essentials
import SelfMetrics
import Telemetry
import Wire

/// Takes OpenTelemetry log records and sends them on as Loki entries.
///
/// A batch is converted and delivered while its sender waits: nothing is held.
package final class OtelcolExporterLoki: Component {
    package typealias Exports = InputExports

    package static let spec = ComponentSpec(
        "otelcol.exporter.loki", .generallyAvailable, "Turns OpenTelemetry log records into Loki log entries.")

    package struct Arguments: Block, Sendable {
        let forwardTo: Fanout<LogBatch>

        package init(from block: inout BlockReader) {
            forwardTo = block.required("forward_to", "Receivers the converted log entries are sent to.")
        }
    }

    private let arguments: Live<Arguments>
    private let context: Context<InputExports>
    private let total: Counter
    private let failed: Counter
    private let processed: Counter
    private let failures: LogLimiter

    package init(_ arguments: Live<Arguments>, _ context: Context<InputExports>) throws {
        self.arguments = arguments
        self.context = context
        let metrics = context.metrics
        total = metrics.counter("otelcol_exporter_loki_entries_total", "Log records that were to be converted.")
        failed = metrics.counter("otelcol_exporter_loki_entries_failed", "Log records that could not be converted.")
        processed = metrics.counter("otelcol_exporter_loki_entries_processed", "Log records that were converted.")
        failures = LogLimiter(every: .seconds(10), clock: context.clock)
        let receiver = context.makeReceiver(OTLPBatch.self)
        receiver.install { [weak self] (batch: OTLPBatch) async throws(DeliveryError) in
            guard let self else { throw .retry("otelcol.exporter.loki is gone") }
            try await self.convert(batch)
        }
        context.export(InputExports(input: receiver))
        context.report(.healthy("ready"))
    }

    private func convert(_ batch: OTLPBatch) async throws(DeliveryError) {
        guard batch.kind == .logs else {
            throw .rejected("unsupported_signal", "\(context.componentID) takes logs only")
        }
        var conversion = LokiConversion(now: context.clock.wallNanoseconds)
        do {
            try conversion.append(batch)
        } catch {
            throw .rejected(.malformed, "\(error)")
        }
        var entries = conversion.entries
        entries.takenBy = batch.takenBy
        if !entries.isEmpty { try await arguments.current.forwardTo.deliver(&entries) }
        total.add(batch.itemCount)
        processed.add(entries.itemCount)
        let lost = batch.itemCount - entries.itemCount
        if lost > 0 {
            failed.add(lost)
            context.ledger.drop(lost, .malformed)
            failures.attempt { suppressed in
                context.log.error(
                    "Failed to convert log records to Loki entries", nil,
                    ["reason": conversion.problem ?? "", "records": "\(lost)", "suppressed": "\(suppressed)"])
            }
        }
    }
}

extension OtelcolExporterLoki: Explaining {
    package func explain(_ item: ExplainedItem) -> Explanation? {
        if let refusal = OTLPExplaining.refusing(item, .logs) { return refusal }
        guard let batch = item.batch else { return nil }
        let receivers = arguments.current.forwardTo.owners
        var conversion = LokiConversion(now: context.clock.wallNanoseconds)
        var explanation = Explanation()
        do {
            try conversion.append(batch)
        } catch {
            explanation.steps = [
                ExplainedStep("conversion", .dropped, "\(error)", before: item, after: nil)
            ]
            return explanation
        }
        let entries = conversion.entries
        for entry in entries.entries {
            var made = ExplainedItem(
                .log, entries.streams[Int(entry.stream)], line: entries.line(entry), timestamp: entry.timestamp)
            made.metadata = entry.metadata
            explanation.steps.append(
                ExplainedStep("conversion", .changed, "the record becomes an entry", before: item, after: made))
            explanation.results.append(Explanation.Result(made, .receivers(receivers)))
        }
        if entries.isEmpty {
            explanation.steps.append(
                ExplainedStep("conversion", .dropped, conversion.problem ?? "", before: item, after: nil))
        }
        return explanation
    }
}
