package import AlloySyntax
package import ComponentKit
package import Essentials
import SelfMetrics
import Synchronization
import Telemetry
import Transport
import Wire

/// Listens for messages in Graylog's extended log format over UDP and forwards each as a log entry.
///
/// Datagrams wait in a megabyte and then in the kernel's buffer, which drops what is too much.
package final class LokiSourceGELF: ListeningComponent {
    package static let spec = ComponentSpec(
        "loki.source.gelf", .generallyAvailable, "Listens for GELF messages over UDP and forwards them.")

    package struct Arguments: Block, Sendable {
        let address: SocketAddress
        let usesIncomingTimestamp: Bool
        let relabeling: Relabeling
        let forwardTo: Fanout<LogBatch>

        package init(from block: inout BlockReader) {
            let text = block.optional(
                "listen_address", default: "0.0.0.0:12201", "Address to listen on, as `host:port`.")
            usesIncomingTimestamp = block.optional(
                "use_incoming_timestamp", default: false,
                "Whether entries get the time of the message; else it is the time of its arrival.")
            let rules = block.optional(
                "relabel_rules", default: RelabelRules.placeholder, "Rules applied to the labels of every entry.")
            relabeling = rules.relabeling
            forwardTo = block.required("forward_to", "Receivers the entries are sent to.")
            let parsed = SocketAddress(text.isEmpty ? ":12201" : text)
            if parsed?.port == nil { block.reject("listen_address", "must be `host:port`") }
            address = parsed ?? .placeholder
        }
    }

    /// What datagrams may wait in before the kernel's buffer fills.
    private static let waitingBytes = 1 << 20

    private let arguments: Live<Arguments>
    private let context: Context<NoValues>
    private let entries: Counter
    private let errors: Counter
    private let warnings: LogLimiter

    package init(_ arguments: Live<Arguments>, _ context: Context<NoValues>) throws {
        self.arguments = arguments
        self.context = context
        entries = context.metrics.counter(
            "gelf_target_entries_total", "Total number of successful entries sent to the gelf target")
        errors = context.metrics.counter(
            "gelf_target_parsing_errors_total", "Total number of parsing errors while receiving gelf messages")
        warnings = LogLimiter(every: .seconds(10), clock: context.clock)
    }

    package func run() async throws {
        context.memory.book(Self.waitingBytes)
        defer { context.memory.release(Self.waitingBytes) }
        try await arguments.whileCurrent(\.address) { [self] address in
            var backoff = Backoff(minimum: .seconds(1), maximum: .seconds(30))
            while true {
                do throws(TransportError) {
                    try await receive(address)
                } catch {
                    try Task.checkCancellation()
                    context.report(.unhealthy("cannot listen on \(address): \(error)"))
                    context.log.error("Failed to listen", error, ["address": address.text])
                }
                try Task.checkCancellation()
                try await context.clock.sleep(for: backoff.next())
            }
        }
    }

    private func receive(_ address: SocketAddress) async throws(TransportError) {
        let socket = try await UDPSocket.bind(address, on: context.services.eventLoops)
        defer { socket.close() }
        context.log.info("Listening for GELF UDP messages", nil, ["listen_address": socket.address.text])
        context.report(.healthy("listening on \(socket.address)"))
        var assembler = GELFAssembler()
        let lease = MemoryLease(context.memory)
        var builder = LabelSetBuilder()
        while true {
            let datagram = try await socket.next()
            let now = context.clock.monotonicNanoseconds
            let expired = assembler.expire(now: now)
            if expired > 0 { refuse(expired, "chunks of a message did not all come", nil) }
            var message: [UInt8]?
            do throws(GELFAssembler.Failure) {
                message = try assembler.add(datagram.bytes, from: datagram.sender.text, now: now)
            } catch {
                refuse(1, "error while reading gelf message", error)
            }
            if assembler.heldBytes > lease.held {
                // The assembler bounds what it keeps; under pressure it starts anew.
                if !lease.grow(by: assembler.heldBytes - lease.held) {
                    assembler = GELFAssembler()
                    lease.release()
                    refuse(1, "out of memory budget for chunks", nil)
                }
            } else {
                lease.shrink(by: lease.held - assembler.heldBytes)
            }
            if let message, await !forward(message, &builder) { throw .cancelled }
        }
    }

    private func refuse(_ count: Int, _ message: StaticString, _ error: (any Error)?) {
        errors.add(count)
        context.ledger.originated(count)
        context.ledger.drop(count, .malformed)
        warnings.attempt { suppressed in
            context.log.warn(message, error, ["suppressed": "\(suppressed)"])
        }
    }

    /// False when cancelled before the entry was taken.
    private func forward(_ bytes: [UInt8], _ builder: inout LabelSetBuilder) async -> Bool {
        let current = arguments.current
        let message: GELFMessage
        do throws(GELFMessage.Invalid) {
            message = try GELFMessage(bytes)
        } catch {
            refuse(1, "error while reading gelf message", error)
            return true
        }
        entries.add()
        builder.reset()
        builder.set("job", to: context.componentID)
        builder.set("__gelf_message_level", to: message.levelName ?? "")
        builder.set("__gelf_message_host", to: message.host)
        builder.set("__gelf_message_version", to: message.version)
        builder.set("__gelf_message_facility", to: message.facility)
        guard current.relabeling.apply(to: &builder) else {
            context.ledger.originated(1)
            context.ledger.drop(1, .rule, rule: "relabel_rules")
            return true
        }
        builder.filter { name, _ in !LokiLabelText.isInternal(name) }
        var batch = LogBatch()
        let stream = batch.stream(for: builder.finish())
        let timestamp = current.usesIncomingTimestamp ? message.timestamp : nil
        message.line.withUnsafeBytes {
            batch.append($0, stream: stream, timestamp: timestamp ?? context.clock.wallNanoseconds)
        }
        return await deliver(batch)
    }

    private func deliver(_ batch: LogBatch) async -> Bool {
        var batch = batch
        let count = batch.itemCount
        var backoff = Backoff(minimum: .milliseconds(100), maximum: .seconds(5))
        while true {
            let forwardTo = arguments.current.forwardTo
            let failure: DeliveryError
            do throws(DeliveryError) {
                try await forwardTo.deliver(&batch)
                context.ledger.originated(count)
                return true
            } catch {
                failure = error
            }
            switch failure.kind {
            case .rejected:
                context.ledger.originated(count)
                forwardTo.giveUp(batch, after: failure)
                return true
            case .retry(let wait), .overloaded(let wait):
                do {
                    try await context.clock.sleep(for: wait ?? backoff.next())
                } catch {
                    context.ledger.originated(count)
                    forwardTo.giveUp(batch, .stopped)
                    return false
                }
            }
        }
    }
}

extension LokiSourceGELF.Arguments: MemoryDemanding {
    /// Where datagrams wait.
    package var minimumMemory: ByteCount { .mebibytes(1) }
}
