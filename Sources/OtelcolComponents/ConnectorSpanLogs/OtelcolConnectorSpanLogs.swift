package import AlloySyntax
package import ComponentKit
import Essentials
import Telemetry
import Wire

/// Writes log lines about spans, traces, processes and span events.
///
/// Nothing is held: a batch of spans is taken when its lines were.
package final class OtelcolConnectorSpanLogs: Component {
    package typealias Exports = InputExports

    package static let spec = ComponentSpec(
        "otelcol.connector.spanlogs", .generallyAvailable, "Makes log lines of spans.")

    package struct Arguments: Block, Sendable {
        let writesSpans: Bool
        let writesRoots: Bool
        let writesProcesses: Bool
        let writesEvents: Bool
        let spanAttributes: [OTLPKey]
        let processAttributes: [OTLPKey]
        let eventAttributes: [OTLPKey]
        /// Keys that become attributes of the record too.
        let labels: [OTLPKey]
        let keys: Keys
        let output: OTLPOutput

        package init(from block: inout BlockReader) {
            writesSpans = block.optional("spans", default: false, "Whether there is a line for each span.")
            writesRoots = block.optional("roots", default: false, "Whether there is a line for each root span.")
            writesProcesses = block.optional(
                "processes", default: false, "Whether there is a line for each trace of a process.")
            writesEvents = block.optional("events", default: false, "Whether there is a line for each span event.")
            func names(_ name: String, _ doc: String, _ block: inout BlockReader) -> [OTLPKey] {
                block.optional(name, default: [String](), doc).map { OTLPKey($0) }
            }
            spanAttributes = names("span_attributes", "Attributes of spans that are written.", &block)
            processAttributes = names("process_attributes", "Attributes of resources that are written.", &block)
            eventAttributes = names("event_attributes", "Attributes of events that are written.", &block)
            labels = names("labels", "Keys that become attributes of the log record too.", &block)
            keys = block.block("overrides", "What keys are called.")
            output = block.requiredBlock("output", OTLPOutput.doc)
            if !output.metrics.isEmpty || !output.traces.isEmpty {
                block.warn("output", "metrics and traces get nothing: only logs are sent")
            }
        }
    }

    /// The `overrides` block.
    struct Keys: Block, Sendable {
        let tag: OTLPKey
        let service: OTLPKey
        let span: OTLPKey
        let status: OTLPKey
        let duration: OTLPKey
        let trace: OTLPKey

        init(from block: inout BlockReader) {
            func key(_ name: String, _ usual: String, _ doc: String, _ block: inout BlockReader) -> OTLPKey {
                OTLPKey(block.optional(name, default: usual, doc))
            }
            tag = key("logs_instance_tag", "traces", "Attribute that says what a line is about.", &block)
            service = key("service_key", "svc", "Key of the service's name.", &block)
            span = key("span_name_key", "span", "Key of the span's name.", &block)
            status = key("status_key", "status", "Key of the span's status.", &block)
            duration = key("duration_key", "dur", "Key of the span's duration.", &block)
            trace = key("trace_id_key", "tid", "Key of the trace's ID.", &block)
        }
    }

    private let arguments: Live<Arguments>
    private let context: Context<InputExports>

    package init(_ arguments: Live<Arguments>, _ context: Context<InputExports>) throws {
        self.arguments = arguments
        self.context = context
        let receiver = context.makeReceiver(OTLPBatch.self)
        receiver.install { [weak self] (batch: OTLPBatch) async throws(DeliveryError) in
            guard let self else { throw .retry("otelcol.connector.spanlogs is gone") }
            try await self.take(batch)
        }
        context.export(InputExports(input: receiver))
        context.report(.healthy("ready"))
    }

    private func take(_ batch: OTLPBatch) async throws(DeliveryError) {
        guard batch.kind == .traces else {
            throw .rejected("unsupported_signal", "\(context.componentID) takes traces only")
        }
        let current = arguments.current
        var lines: OTLPBatch
        do {
            lines = try SpanLogWriter(current).lines(of: batch)
        } catch {
            throw .rejected(.malformed, "\(error)")
        }
        if lines.itemCount > 0 {
            lines.takenBy = batch.takenBy
            try await current.output.deliver(&lines)
            context.ledger.created(lines.itemCount)
        }
        context.ledger.merged(batch.itemCount)
    }
}
