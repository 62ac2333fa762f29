package import AlloySyntax
package import ComponentKit
import Essentials
import Telemetry

/// Listens for syslog messages over TCP, TLS or UDP and makes log records of them.
///
/// The body of a record is the message as it came, its attributes are what the message says. See ``SyslogEntryParser``
/// for the formats and ``StreamSource`` for what is held and when peers are slowed.
package final class OtelcolReceiverSyslog: ListeningComponent {
    package static let spec = ComponentSpec(
        "otelcol.receiver.syslog", .publicPreview, "Receives syslog messages and makes log records of them.")

    private let arguments: Live<Arguments>
    private let context: Context<NoValues>
    private let delivery: LogDelivery
    private let bound = BoundAddress()

    package init(_ arguments: Live<Arguments>, _ context: Context<NoValues>) throws {
        self.arguments = arguments
        self.context = context
        delivery = LogDelivery(context, transport: "syslog") {
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
        let source = StreamSource(context: context, delivery: delivery, bound: bound) { [arguments] entry, tally in
            arguments.current.complete(&entry, &tally)
        }
        try await arguments.forEachCurrent(\.listeners, keyedBy: \.key) { live in
            try await live.whileCurrent({ $0 }) { settings in try await source.listen(settings) }
        }
    }
}
