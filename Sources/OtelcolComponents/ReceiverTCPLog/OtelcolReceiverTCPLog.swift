package import AlloySyntax
package import ComponentKit
package import Essentials
import Telemetry
import Transport

/// Listens for logs over TCP or TLS: by default each line is one.
///
/// See ``StreamSource`` for what is held and when peers are slowed.
package final class OtelcolReceiverTCPLog: ListeningComponent {
    package static let spec = ComponentSpec(
        "otelcol.receiver.tcplog", .experimental, "Receives logs over TCP, one a line.")

    package struct Arguments: Block, Sendable {
        let listeners: [StreamSettings]
        let retry: ConsumerRetry
        let output: OTLPOutput

        package init(from block: inout BlockReader) {
            let text: String = block.required("listen_address", "Address to listen on, as `host:port`.")
            let maximumBytes = StreamArguments.maximumBytes(from: &block)
            let addsAttributes = block.optional("add_attributes", default: false, StreamArguments.attributesDoc)
            let isOne = block.optional("one_log_per_packet", default: false, StreamArguments.packetDoc)
            let encoding = LogEncoding.read(from: &block)
            let tls: ServerTLS? = block.optionalBlock("tls", "Encryption of connections.")
            let multiline: MultilineArguments? = block.optionalBlock(
                "multiline", "What tells logs of several lines apart.")
            retry = block.block("retry_on_failure", "How deliveries that failed are repeated.")
            DebugMetrics.read(from: &block)
            output = block.requiredBlock("output", OTLPOutput.doc)
            let address = block.isSet("listen_address") ? StreamArguments.address(text, from: &block) : nil
            let rule = MultilineArguments.rule(multiline, encoding, &block)
            guard let address, let encoding else {
                listeners = []
                return
            }
            listeners = [
                StreamSettings(
                    address: address, network: .tcp, tls: tls?.settings, addsAttributes: addsAttributes,
                    isOneLogPerPacket: isOne,
                    splitter: LogSplitter(
                        rule: rule, encoding: encoding, trimsLeading: true, trimsTrailing: true,
                        maximumBytes: maximumBytes))
            ]
        }
    }

    private let arguments: Live<Arguments>
    private let context: Context<NoValues>
    private let delivery: LogDelivery
    private let bound = BoundAddress()

    package init(_ arguments: Live<Arguments>, _ context: Context<NoValues>) throws {
        self.arguments = arguments
        self.context = context
        delivery = LogDelivery(context, transport: "tcp") {
            let current = arguments.current
            return (current.output, current.retry)
        }
    }

    package struct DebugInfo: WritableBlock {
        var address: String
        package static let placeholder = DebugInfo(address: "")
        package func write(to block: inout BlockWriter) {
            block.attribute("listen_address", address, "Address being listened on.")
        }
    }

    package var debugInfo: DebugInfo { DebugInfo(address: bound.text) }

    /// Listens until cancelled.
    package func run() async throws {
        let source = StreamSource(context: context, delivery: delivery, bound: bound) { _, _ in true }
        try await arguments.forEachCurrent(\.listeners, keyedBy: \.key) { live in
            try await live.whileCurrent({ $0 }) { settings in try await source.listen(settings) }
        }
    }
}

extension OtelcolReceiverTCPLog.Arguments: MemoryDemanding {
    package var minimumMemory: ByteCount { .kibibytes(64) }
}
