package import AlloySyntax
package import ComponentKit
import Essentials
import SelfMetrics
import Telemetry
import Transport
import Wire

/// Receives log events in the Forward protocol of Fluentd and Fluent Bit, over TCP or a unix socket.
///
/// An event that a client wants acknowledged is, once every consumer has taken it. A connection is read on only then, so that
/// slow consumers slow the clients.
package final class OtelcolReceiverFluentForward: ListeningComponent {
    package static let spec = ComponentSpec(
        "otelcol.receiver.fluentforward", .experimental,
        "Receives logs in the Forward protocol of Fluentd and Fluent Bit.")

    package struct Arguments: Block, Sendable {
        let address: SocketAddress
        let output: LogOutput

        package init(from block: inout BlockReader) {
            let text: String = block.required("endpoint", "Address to listen on, as `host:port` or `unix://path`.")
            DebugMetrics.read(from: &block)
            output = block.requiredBlock("output", LogOutput.doc)
            if let address = SocketAddress(text) {
                self.address = address
            } else {
                address = .host("127.0.0.1", port: 0)
                if block.isSet("endpoint") { block.reject("endpoint", "must be host:port or unix://path") }
            }
        }
    }

    /// The longest message, packed and unpacked.
    private static let limit = ByteCount.mebibytes(64)

    private let arguments: Live<Arguments>
    private let context: Context<NoValues>
    private let delivery: ReceiverDelivery
    private let address = BoundAddress()
    private let opened: Counter
    private let closed: Counter
    private let events: Counter
    private let failures: Counter
    private let warnings: LogLimiter

    package init(_ arguments: Live<Arguments>, _ context: Context<NoValues>) throws {
        self.arguments = arguments
        self.context = context
        delivery = ReceiverDelivery(context, transport: "fluentforward") { arguments.current.output.outputs }
        opened = context.metrics.counter("otelcol_fluent_opened_connections_total", "Number of connections opened")
        closed = context.metrics.counter("otelcol_fluent_closed_connections_total", "Number of connections closed")
        events = context.metrics.counter("otelcol_fluent_events_parsed_total", "Number of Fluent events parsed")
        failures = context.metrics.counter(
            "otelcol_fluent_parse_failures_total", "Number of times Fluent messages failed to be decoded")
        warnings = LogLimiter(every: .seconds(10), clock: context.clock)
    }

    package var debugInfo: ListeningInfo { ListeningInfo(address: address.text) }

    /// Listens until cancelled. A change of the endpoint binds anew.
    package func run() async throws {
        try await arguments.whileCurrent(\.address) { [self] endpoint in
            let listener: TCPListener
            do {
                listener = try await TCPListener.bind(endpoint, on: context.services.eventLoops)
            } catch {
                context.report(.unhealthy("cannot listen: \(error)"))
                throw error
            }
            address.text = listener.address.text
            context.log.info("Listening", nil, ["address": address.text])
            context.report(.healthy("listening on \(address.text)"))
            await listener.forEachConnection { [self] connection in await serve(connection) }
            try Task.checkCancellation()
        }
    }

    private func serve(_ connection: TCPConnection) async {
        opened.add()
        defer { closed.add() }
        var framer = MessagePackFramer()
        let lease = MemoryLease(context.memory)
        while true {
            do {
                guard let bytes = try await connection.next() else {
                    if !framer.isBetweenValues { fail(connection, MessagePackError.truncated) }
                    return
                }
                framer.append(bytes)
            } catch {
                context.log.debug("Connection ended early", error, ["remote": connection.remoteAddress.text])
                return
            }
            guard framer.heldBytes <= Self.limit.bytes, lease.grow(by: framer.heldBytes - lease.held) else {
                return fail(connection, FluentForward.Failure.tooLarge)
            }
            do {
                while let message = try framer.next() {
                    lease.shrink(by: lease.held - framer.heldBytes)
                    if FluentForward.isHeartbeat(message) { continue }
                    guard try await take(message, connection) else { return }
                }
            } catch {
                return fail(connection, error)
            }
        }
    }

    /// Passes a message on and acknowledges it; false when the connection or the component has ended.
    private func take(_ message: MessagePackValue, _ connection: TCPConnection) async throws -> Bool {
        let forward = try FluentForward(message, limit: Self.limit.bytes)
        events.add(forward.logs.itemCount)
        guard await delivery.push(forward.logs) else { return false }
        guard let chunk = forward.chunk else { return true }
        do {
            try await connection.write(FluentForward.acknowledgement(of: chunk))
        } catch {
            return false
        }
        return true
    }

    /// What cannot be read ends its connection: nobody knows where the next message would begin.
    private func fail(_ connection: TCPConnection, _ error: any Error) {
        failures.add()
        delivery.lost(1, .malformed)
        warnings.attempt { suppressed in
            context.log.warn(
                "Closed a connection whose messages cannot be read", error,
                ["remote": connection.remoteAddress.text, "suppressed": "\(suppressed)"])
        }
    }
}
