package import AlloySyntax
package import ComponentKit
import Essentials
import LogSources
import SelfMetrics
import Synchronization
import Telemetry
import Transport
import Wire

/// Listens for syslog messages over TCP, TLS and UDP and forwards each as a log entry.
///
/// A connection is read on only after every receiver took what was read before, so a slow receiver slows its peers and
/// memory stays within one reading per connection. Datagrams wait in a queue of `udp_queue_size` messages and then in
/// the kernel's, which drops what is too much.
package final class LokiSourceSyslog: ListeningComponent {
    package static let spec = ComponentSpec(
        "loki.source.syslog", .generallyAvailable, "Listens for syslog messages and forwards them.")

    private let arguments: Live<Arguments>
    private let context: Context<NoValues>
    private let entries: Counter
    private let emptyMessages: Counter
    private let parsingErrors: Counter
    private let warnings: LogLimiter
    private let listening = Mutex<[ListenerSettings.Key: String]>([:])

    package init(_ arguments: Live<Arguments>, _ context: Context<NoValues>) throws {
        self.arguments = arguments
        self.context = context
        entries = context.metrics.counter(
            "loki_source_syslog_entries_total", "Total number of successful entries sent to the syslog target")
        emptyMessages = context.metrics.counter(
            "loki_source_syslog_empty_messages_total", "Total number of empty messages receiving from syslog")
        parsingErrors = context.metrics.counter(
            "loki_source_syslog_parsing_errors_total", "Total number of parsing errors while receiving syslog messages")
        warnings = LogLimiter(every: .seconds(10), clock: context.clock)
    }

    package struct DebugInfo: WritableBlock {
        struct Listener: WritableBlock {
            var address: String
            var isReady: Bool
            var labels: String
            static let placeholder = Listener(address: "", isReady: false, labels: "")

            func write(to block: inout BlockWriter) {
                block.attribute("ready", isReady, "Whether the listener is running.")
                block.attribute("listen_address", address, "Address being listened on.")
                block.attribute("labels", labels, "Labels added to every entry.")
            }
        }

        var listeners: [Listener]
        package static let placeholder = DebugInfo(listeners: [])

        package func write(to block: inout BlockWriter) {
            block.blocks("listeners_info", listeners, "One for each listener.")
        }
    }

    package var debugInfo: DebugInfo {
        let bound = listening.withLock { $0 }
        return DebugInfo(
            listeners: arguments.current.listeners.map { settings in
                DebugInfo.Listener(
                    address: bound[settings.key] ?? settings.address.text, isReady: bound[settings.key] != nil,
                    labels: settings.labels.description)
            })
    }

    /// Listens until cancelled. A listener whose settings change binds anew; the others go on.
    package func run() async throws {
        try await arguments.forEachCurrent(\.listeners, keyedBy: \.key) { [self] live in
            try await live.whileCurrent({ $0 }) { [self] settings in try await keepListening(settings) }
        }
    }

    // MARK: Listening

    /// Listens, and tries again when the address cannot be bound.
    private func keepListening(_ settings: ListenerSettings) async throws {
        var backoff = Backoff(minimum: .seconds(1), maximum: .seconds(30))
        while true {
            do throws(TransportError) {
                switch settings.transport {
                case .tcp: try await listen(settings)
                case .udp: try await receive(settings)
                }
            } catch {
                try Task.checkCancellation()
                context.log.error(
                    "Failed to listen", error,
                    ["address": settings.address.text, "protocol": settings.transport.rawValue])
                context.report(.unhealthy("cannot listen on \(settings.address): \(error)"))
            }
            try Task.checkCancellation()
            try await context.clock.sleep(for: backoff.next())
        }
    }

    private func began(_ settings: ListenerSettings, at address: SocketAddress) {
        listening.withLock { $0[settings.key] = address.text }
        context.log.info(
            "Listening", nil,
            [
                "address": address.text, "protocol": settings.transport.rawValue, "tls": "\(settings.tls != nil)",
            ])
        context.report(.healthy("listening on \(listening.withLock { $0.values.sorted().joined(separator: ", ") })"))
    }

    private func ended(_ settings: ListenerSettings) { listening.withLock { $0[settings.key] = nil } }

    private func listen(_ settings: ListenerSettings) async throws(TransportError) {
        let listener = try await TCPListener.bind(
            settings.address, on: context.services.eventLoops, tls: settings.tls, idleTimeout: settings.idleTimeout)
        began(settings, at: listener.address)
        defer { ended(settings) }
        let names = HostNames(capacity: 0, pool: context.services.blocking)
        await listener.forEachConnection { [self] connection in await serve(connection, settings, names) }
    }

    private func serve(_ connection: TCPConnection, _ settings: ListenerSettings, _ names: HostNames) async {
        let host = Self.literal(of: connection.remoteAddress)
        var mapper = SyslogMapper(
            settings, arguments.current.relabeling, host: host, hostName: await names.name(of: host))
        var relabeling = arguments.current.relabeling
        var framer = SyslogFramer(
            maximumLength: settings.maximumLength, isRaw: settings.parser.format == .raw,
            delimiter: settings.delimiter)
        let lease = MemoryLease(context.memory)
        var isEnded = false
        while !isEnded {
            do throws(TransportError) {
                if let bytes = try await connection.next() {
                    bytes.withUnsafeBytes { framer.append($0) }
                } else {
                    isEnded = true
                }
            } catch {
                context.log.debug("Connection ended early", error, ["remote": host])
                isEnded = true
            }
            let current = arguments.current.relabeling
            if current != relabeling {
                relabeling = current
                mapper = SyslogMapper(settings, relabeling, host: host, hostName: await names.name(of: host))
            }
            // Backpressure bounds what is read; what a peer makes us keep is booked all the same.
            guard lease.grow(by: framer.heldBytes - lease.held) else {
                warn("Closed a connection: out of memory budget", nil)
                return
            }
            var reading = Reading()
            reading.take(from: &framer, &mapper, isLast: isEnded, now: context.clock.wallNanoseconds)
            lease.shrink(by: lease.held - framer.heldBytes)
            guard await settle(reading), !reading.isBroken else { return }
        }
    }

    private func receive(_ settings: ListenerSettings) async throws(TransportError) {
        let room = settings.datagramQueue * (min(settings.maximumLength, 65_536) + 128)
        let socket = try await UDPSocket.bind(
            settings.address, receiveBuffer: ByteCount(bytes: room), on: context.services.eventLoops)
        began(settings, at: socket.address)
        defer {
            ended(settings)
            socket.close()
        }
        let names = HostNames(capacity: settings.hostCacheSize, pool: context.services.blocking)
        var mappers: [String: SyslogMapper] = [:]
        var relabeling = arguments.current.relabeling
        while true {
            let datagram = try await socket.next()
            let host = Self.literal(of: datagram.sender)
            let current = arguments.current.relabeling
            if current != relabeling || mappers.count > settings.hostCacheSize {
                relabeling = current
                mappers.removeAll()
            }
            var mapper: SyslogMapper
            if let known = mappers.removeValue(forKey: host) {
                mapper = known
            } else {
                mapper = SyslogMapper(settings, relabeling, host: host, hostName: await names.name(of: host))
            }
            var framer = SyslogFramer(
                maximumLength: settings.maximumLength, isRaw: settings.parser.format == .raw,
                delimiter: settings.delimiter)
            // As upstream: what is longer is cut.
            datagram.bytes.withUnsafeBytes {
                framer.append(UnsafeRawBufferPointer(rebasing: $0.prefix(settings.maximumLength)))
            }
            var reading = Reading()
            reading.take(from: &framer, &mapper, isLast: true, now: context.clock.wallNanoseconds)
            mappers[host] = mapper
            if await !settle(reading) { throw .cancelled }
        }
    }

    /// The address as text; one of IPv4 is shown as such on sockets of both families.
    private static func literal(of address: SocketAddress) -> String {
        let host = address.host ?? ""
        return host.hasPrefix("::ffff:") && host.contains(".") ? String(host.dropFirst(7)) : host
    }

    // MARK: Entries

    /// The messages of one reading.
    private struct Reading {
        var batch = LogBatch()
        var tally = SyslogMapper.Tally()
        /// Whether nothing more can be read.
        var isBroken = false

        mutating func take(from framer: inout SyslogFramer, _ mapper: inout SyslogMapper, isLast: Bool, now: Int64) {
            do throws(SyslogError) {
                while try framer.next(isLast: isLast, { mapper.add($0, now: now, to: &batch, &tally) }) {}
            } catch {
                tally.malformed += 1
                tally.problem = error
                isBroken = true
            }
        }
    }

    /// Books what was read and delivers its entries; false when cancelled before they were taken.
    private func settle(_ reading: Reading) async -> Bool {
        let tally = reading.tally
        parsingErrors.add(tally.malformed)
        emptyMessages.add(tally.empty)
        if let problem = tally.problem { warn("error parsing syslog stream", problem) }
        context.ledger.originated(tally.malformed + tally.unforwarded + tally.dropped)
        context.ledger.drop(tally.malformed, .malformed)
        context.ledger.drop(tally.unforwarded, "empty")
        context.ledger.drop(tally.dropped, .rule, rule: "relabel_rules")
        return reading.batch.isEmpty ? true : await deliver(reading.batch)
    }

    /// Returns when every receiver has taken the batch or refused it for good; false when cancelled before.
    private func deliver(_ batch: LogBatch) async -> Bool {
        var batch = batch
        let count = batch.itemCount
        let bytes = batch.byteCount
        context.memory.book(bytes)
        defer { context.memory.release(bytes) }
        var backoff = Backoff(minimum: .milliseconds(100), maximum: .seconds(5))
        while true {
            let forwardTo = arguments.current.forwardTo
            let failure: DeliveryError
            do throws(DeliveryError) {
                try await forwardTo.deliver(&batch)
                context.ledger.originated(count)
                entries.add(count)
                return true
            } catch {
                failure = error
            }
            switch failure.kind {
            case .rejected:
                context.ledger.originated(count)
                forwardTo.giveUp(batch, after: failure)
                warn("Entries refused for good", failure)
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

    private func warn(_ message: StaticString, _ error: (any Error)?) {
        warnings.attempt { suppressed in
            context.log.warn(message, error, ["suppressed": "\(suppressed)"])
        }
    }
}
