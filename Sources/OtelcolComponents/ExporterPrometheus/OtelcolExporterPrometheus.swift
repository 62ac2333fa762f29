package import AlloySyntax
package import ComponentKit
import Essentials
import Synchronization
import Telemetry

/// Takes OpenTelemetry metrics and sends them on as Prometheus samples.
///
/// A batch is converted and delivered while its sender waits: nothing is held but the labels of the series seen lately.
package final class OtelcolExporterPrometheus: Component {
    package typealias Exports = InputExports

    package static let spec = ComponentSpec(
        "otelcol.exporter.prometheus", .generallyAvailable, "Turns OpenTelemetry metrics into Prometheus samples.")

    package struct Arguments: Block, Sendable {
        let options: PrometheusOptions
        let interval: Duration
        let forwardTo: Fanout<MetricBatch>

        package init(from block: inout BlockReader) {
            options = PrometheusOptions(from: &block)
            interval = block.optional(
                "gc_frequency", default: .seconds(300), "How often series without points since are forgotten.")
            forwardTo = block.required("forward_to", "Receivers the converted samples are sent to.")
            if interval <= .zero { block.reject("gc_frequency", "must be greater than 0") }
        }
    }

    private let arguments: Live<Arguments>
    private let context: Context<InputExports>
    private let conversion: Mutex<PrometheusConversion>

    package init(_ arguments: Live<Arguments>, _ context: Context<InputExports>) throws {
        self.arguments = arguments
        self.context = context
        conversion = Mutex(PrometheusConversion(arguments.current.options))
        let receiver = context.makeReceiver(OTLPBatch.self)
        receiver.install { [weak self] (batch: OTLPBatch) async throws(DeliveryError) in
            guard let self else { throw .retry("otelcol.exporter.prometheus is gone") }
            try await self.convert(batch)
        }
        context.export(InputExports(input: receiver))
    }

    private func convert(_ batch: OTLPBatch) async throws(DeliveryError) {
        guard batch.kind == .metrics else {
            throw .rejected("unsupported_signal", "\(context.componentID) takes metrics only")
        }
        let current = arguments.current
        let now = context.clock.wallMilliseconds
        var outcome: PrometheusConversion.Outcome
        do {
            outcome = try conversion.withLock { conversion in
                let before = conversion.bytes
                defer { book(conversion.bytes - before) }
                return try conversion.convert(batch, current.options, now: now)
            }
        } catch {
            throw .rejected(.malformed, "\(error)")
        }
        outcome.samples.takenBy = batch.takenBy
        if !outcome.samples.isEmpty { try await current.forwardTo.deliver(&outcome.samples) }
        context.ledger.created(outcome.samples.itemCount)
        context.ledger.merged(batch.itemCount - outcome.unsupported - outcome.late - outcome.malformed)
        context.ledger.drop(outcome.unsupported, "unsupported_temporality")
        context.ledger.drop(outcome.late, "out_of_order")
        context.ledger.drop(outcome.malformed, .malformed)
        if outcome.unsupported > 0 {
            context.log.debug(
                "Dropped points that are deltas; put otelcol.processor.deltatocumulative in front", nil,
                ["points": "\(outcome.unsupported)"])
        }
    }

    private func book(_ difference: Int) {
        if difference > 0 { context.memory.book(difference) } else { context.memory.release(-difference) }
    }

    /// Forgets series without points since the last time, until cancelled.
    package func run() async throws {
        context.report(.healthy("ready"))
        try await arguments.whileCurrent(\.interval) { [self] interval in
            while true {
                try await context.clock.sleep(for: interval)
                conversion.withLock { conversion in
                    let before = conversion.bytes
                    conversion.forget()
                    book(conversion.bytes - before)
                }
            }
        }
    }
}

extension OtelcolExporterPrometheus: Explaining {
    /// The series that the metric's points become, each once.
    package func explain(_ item: ExplainedItem) -> Explanation? {
        if let refusal = OTLPExplaining.refusing(item, .metrics) { return refusal }
        guard let batch = item.batch else { return nil }
        let current = arguments.current
        var conversion = PrometheusConversion(current.options)
        var explanation = Explanation()
        let outcome: PrometheusConversion.Outcome
        do {
            outcome = try conversion.convert(batch, current.options, now: context.clock.wallMilliseconds)
        } catch {
            explanation.steps = [ExplainedStep("conversion", .dropped, "\(error)", before: item, after: nil)]
            return explanation
        }
        var seen: Set<LabelSet> = []
        for series in outcome.samples.series where seen.insert(outcome.samples.table[series]).inserted {
            var made = ExplainedItem(.metric, outcome.samples.table[series])
            made.timestamp = item.timestamp
            explanation.steps.append(
                ExplainedStep("conversion", .changed, "a point becomes a sample", before: item, after: made))
            explanation.results.append(Explanation.Result(made, .receivers(current.forwardTo.owners)))
        }
        if seen.isEmpty {
            let reason =
                outcome.unsupported > 0
                ? "points that are deltas are dropped: put otelcol.processor.deltatocumulative in front"
                : "no sample comes of it"
            explanation.steps.append(ExplainedStep("conversion", .dropped, reason, before: item, after: nil))
        }
        return explanation
    }
}

/// How metrics become samples.
struct PrometheusOptions: Sendable, Equatable {
    let includesTargetInfo: Bool
    let includesScopeInfo: Bool
    let includesScopeLabels: Bool
    let addsSuffixes: Bool
    let convertsResource: Bool
    let sendsMetadata: Bool
    let convertsHistograms: Bool
    let keepsIdentity: Bool
    let sendsZeros: Bool

    init(from block: inout BlockReader) {
        includesTargetInfo = block.optional(
            "include_target_info", default: true, "Whether a target_info sample says what a resource is.")
        includesScopeInfo = block.optional(
            "include_scope_info", default: false, "Whether an otel_scope_info sample says what a scope is.")
        includesScopeLabels = block.optional(
            "include_scope_labels", default: true, "Whether samples have the scope's name and version as labels.")
        addsSuffixes = block.optional(
            "add_metric_suffixes", default: true, "Whether names end in unit and kind.")
        convertsResource = block.optional(
            "resource_to_telemetry_conversion", default: false,
            "Whether samples have the resource's attributes as labels.")
        sendsMetadata = block.optional(
            "honor_metadata", default: false, "Whether kind, unit and description go along.", stability: .experimental)
        convertsHistograms = block.optional(
            "convert_classic_histograms_to_nhcb", default: false,
            "Whether histograms become native ones with custom buckets.", stability: .experimental)
        keepsIdentity = block.optional(
            "keep_identifying_resource_attributes", default: false,
            "Whether target_info has service.name, service.namespace and service.instance.id besides job and instance.")
        sendsZeros = block.optional(
            "start_timestamp_zero_ingestion", default: false,
            "Whether a sample of zero marks the start of a counter.", stability: .experimental)
    }
}
