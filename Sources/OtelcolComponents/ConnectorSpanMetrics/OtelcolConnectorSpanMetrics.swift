package import AlloySyntax
package import ComponentKit
import Essentials
import Synchronization
import Telemetry

/// Counts spans and their durations by service, name, kind and status: requests, errors and durations as metrics.
package final class OtelcolConnectorSpanMetrics: Component {
    package typealias Exports = InputExports

    package static let spec = ComponentSpec(
        "otelcol.connector.spanmetrics", .generallyAvailable, "Makes metrics of the number and duration of spans.")

    package struct Arguments: Block, Sendable {
        let settings: SpanMetricsSettings
        let output: OTLPOutput

        package init(from block: inout BlockReader) {
            settings = SpanMetricsSettings(from: &block)
            DebugMetrics.read(from: &block)
            output = block.requiredBlock("output", OTLPOutput.doc)
        }
    }

    private let arguments: Live<Arguments>
    private let context: Context<InputExports>
    private let delivery: MetricDelivery
    private let aggregator = Mutex<SpanAggregator?>(nil)

    package init(_ arguments: Live<Arguments>, _ context: Context<InputExports>) throws {
        self.arguments = arguments
        self.context = context
        delivery = MetricDelivery(context)
        let receiver = context.makeReceiver(OTLPBatch.self)
        receiver.install { [weak self] (batch: OTLPBatch) async throws(DeliveryError) in
            guard let self else { throw .retry("otelcol.connector.spanmetrics is gone") }
            try self.take(batch)
        }
        context.export(InputExports(input: receiver))
    }

    private func take(_ batch: OTLPBatch) throws(DeliveryError) {
        guard batch.kind == .traces else {
            throw .rejected("unsupported_signal", "\(context.componentID) takes traces only")
        }
        let now = context.clock.wallNanoseconds
        let counted: Int?
        do {
            counted = try aggregator.withLock({ $0 })?.add(batch, now: now)
        } catch {
            throw .rejected(.malformed, "\(error)")
        }
        guard let counted else { throw .retry(after: .seconds(1), "\(context.componentID) is not running") }
        context.ledger.merged(counted)
        context.ledger.drop(batch.itemCount - counted, "no_service_name")
    }

    /// Sends metrics regularly until cancelled, and once more then.
    package func run() async throws {
        try await arguments.whileCurrent(\.settings) { [self] settings in
            let current = SpanAggregator(
                settings, context.memory, instance: Self.instanceID(), now: context.clock.wallNanoseconds)
            aggregator.withLock { $0 = current }
            context.report(.healthy("counting spans"))
            do {
                while true {
                    try await context.clock.sleep(for: settings.flushInterval)
                    try await flush(current)
                }
            } catch {
                aggregator.withLock { $0 = nil }
                try? await flush(current, isLast: true)
                throw error
            }
        }
    }

    private func flush(_ current: SpanAggregator, isLast: Bool = false) async throws {
        guard let batch = current.flush(now: context.clock.wallNanoseconds, isLast: isLast) else { return }
        try await delivery.send(batch) { arguments.current.output }
    }

    /// A random UUID.
    private static func instanceID() -> String {
        var bytes = (0..<16).map { _ in UInt8.random(in: .min ... .max) }
        bytes[6] = bytes[6] & 0x0F | 0x40
        bytes[8] = bytes[8] & 0x3F | 0x80
        let digits = Array("0123456789abcdef")
        var text = ""
        for (place, byte) in bytes.enumerated() {
            if [4, 6, 8, 10].contains(place) { text.append("-") }
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        return text
    }
}
