package import AlloySyntax
package import Telemetry

/// The `output` block of components that send OpenTelemetry data on: one list of consumers for each signal.
///
/// Each list is a fan-out of its own, whose edges are booked under its signal. Read with
/// `block.requiredBlock("output", OTLPOutput.doc)`.
package struct OTLPOutput: Block, Sendable, Equatable {
    package static let doc = "Where telemetry is sent, by signal."

    package let metrics: Fanout<OTLPBatch>
    package let logs: Fanout<OTLPBatch>
    package let traces: Fanout<OTLPBatch>

    package init(from block: inout BlockReader) {
        metrics = Self.read("metrics", "Consumers metrics are sent to.", .metrics, from: &block)
        logs = Self.read("logs", "Consumers logs are sent to.", .logs, from: &block)
        traces = Self.read("traces", "Consumers traces are sent to.", .traces, from: &block)
    }

    fileprivate init(logs: Fanout<OTLPBatch>) {
        let none = Fanout<OTLPBatch>([], signal: .logs, ledger: nil)
        self.logs = logs
        metrics = none
        traces = none
    }

    fileprivate static func read(
        _ name: String, _ doc: String, _ kind: OTLPBatch.Kind, from block: inout BlockReader
    ) -> Fanout<OTLPBatch> {
        let receivers: [Receiver<OTLPBatch>] = block.optional(name, default: [], doc)
        return Fanout(receivers, signal: kind.signal, ledger: .evaluating)
    }

    /// The consumers of a signal.
    package subscript(kind: OTLPBatch.Kind) -> Fanout<OTLPBatch> {
        switch kind {
        case .metrics: metrics
        case .logs: logs
        case .traces: traces
        }
    }

    /// Whether anybody takes the signal.
    package func accepts(_ kind: OTLPBatch.Kind) -> Bool { !self[kind].isEmpty }

    /// Delivers `batch` to the consumers of its signal, as ``Fanout/deliver(_:)`` does. Without any it is dropped and
    /// counted.
    package func deliver(_ batch: inout OTLPBatch) async throws(DeliveryError) {
        if batch.itemCount == 0 { return }
        try await self[batch.kind].deliver(&batch)
    }
}

/// The `output` block of components that send logs on and nothing else.
package struct LogOutput: Block, Sendable, Equatable {
    package static let doc = "Where logs are sent."

    /// The same with lists of the other signals, which are empty.
    package let outputs: OTLPOutput

    package init(from block: inout BlockReader) {
        outputs = OTLPOutput(logs: OTLPOutput.read("logs", "Consumers logs are sent to.", .logs, from: &block))
    }
}
