package import AlloySyntax
package import ComponentKit
import Essentials
import Telemetry
import Transport
import Wire

/// Sends log records as syslog messages over TCP, TLS or UDP.
///
/// Syslog confirms nothing: a batch counts as delivered when its bytes were handed to the connection.
package final class OtelcolExporterSyslog: Component {
    package typealias Exports = InputExports

    package static let spec = ComponentSpec(
        "otelcol.exporter.syslog", .publicPreview, "Sends log records as syslog messages.")

    package struct Arguments: Block, Sendable {
        let settings: Settings

        package init(from block: inout BlockReader) {
            let timeout = block.optional("timeout", default: Duration.seconds(5), "Time an attempt may take.")
            let host: String = block.required("endpoint", "The host messages are sent to.")
            let port = block.optional("port", default: 514, "The port messages are sent to.")
            let network = block.optional("network", default: "tcp", "`tcp` or `udp`.")
            let format = block.optional("protocol", default: SyslogFormat.rfc5424, "`rfc5424` or `rfc3164`.")
            let counts = block.optional(
                "enable_octet_counting", default: false, "Whether messages have their length in front (RFC 6587).")
            let tls: ClientTLS = block.block("tls", "Certificates and versions of TLS.")
            let queue = SendingQueue.read(from: &block)
            let retry = RetryOnFailure.read(from: &block)
            DebugMetrics.read(from: &block)
            if host.isEmpty, block.isSet("endpoint") { block.reject("endpoint", "must not be empty") }
            if !(1...65_535).contains(port) { block.reject("port", "must be between 1 and 65535") }
            if network != "tcp", network != "udp" { block.reject("network", "must be tcp or udp") }
            if counts, format == .rfc3164 {
                block.reject("enable_octet_counting", "needs protocol = \"rfc5424\"")
            }
            if timeout < .zero { block.reject("timeout", "must not be negative") }
            settings = Settings(
                address: .host(host, port: port), isDatagram: network == "udp", format: format, countsOctets: counts,
                tls: network == "udp" || tls.isInsecure ? nil : tls.settings, timeout: timeout, queue: queue,
                retry: retry)
        }
    }

    /// What a change of starts the exporter anew.
    struct Settings: Sendable, Equatable {
        var address: SocketAddress
        var isDatagram: Bool
        var format: SyslogFormat
        var countsOctets: Bool
        var tls: TLSClientSettings?
        var timeout: Duration
        var queue: SendingQueue
        var retry: RetryOnFailure
    }

    private let exporter: ExporterShell<Arguments>

    package init(_ arguments: Live<Arguments>, _ context: Context<InputExports>) throws {
        exporter = ExporterShell(arguments, context)
    }

    package func run() async throws {
        try await exporter.run(\.settings) { settings, context in
            let connection = SyslogConnection(settings, on: context.services.eventLoops, clock: context.clock)
            return ExporterShell<Arguments>.Made(
                queue: settings.queue, retry: settings.retry,
                destination: SyslogDestination(settings: settings, connection: connection), name: settings.address.text
            ) {}
        }
    }
}

/// One attempt to send a batch as messages.
private struct SyslogDestination: ExportDestination {
    let settings: OtelcolExporterSyslog.Settings
    let connection: SyslogConnection

    func send(_ batch: OTLPBatch) async throws(ExportError) -> ExportReport {
        guard batch.kind == .logs else { throw .permanent("syslog carries logs only") }
        var messages: [[UInt8]] = []
        do {
            let walker = OTLPWalker()
            try walker.walk(batch, to: .item) { level in
                if level == .item {
                    messages.append(settings.format.message(walker.logRecord, countsOctets: settings.countsOctets))
                }
                return .keep
            }
        } catch {
            throw .permanent("\(error)")
        }
        do {
            try await connection.send(messages)
        } catch {
            throw .retryable("cannot send to \(settings.address.text): \(error)", after: nil)
        }
        return .complete
    }
}

/// The connection to a server, made when something is to be sent and again after it failed.
private actor SyslogConnection {
    private let settings: OtelcolExporterSyslog.Settings
    private let loops: EventLoops
    private let clock: EngineClock
    private var stream: TCPConnection?
    private var socket: UDPSocket?

    init(_ settings: OtelcolExporterSyslog.Settings, on loops: EventLoops, clock: EngineClock) {
        self.settings = settings
        self.loops = loops
        self.clock = clock
    }

    func send(_ messages: [[UInt8]]) async throws {
        let timeout = settings.timeout > .zero ? settings.timeout : .seconds(60)
        let clock = clock
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await self.attempt(messages) }
            group.addTask {
                try await clock.sleep(for: timeout)
                throw TransportError.timeout
            }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    private func attempt(_ messages: [[UInt8]]) async throws {
        if settings.isDatagram {
            let socket: UDPSocket
            if let open = self.socket {
                socket = open
            } else {
                socket = try await UDPSocket.connect(to: settings.address, on: loops)
                self.socket = socket
            }
            do {
                for message in messages { try await socket.send(message) }
            } catch {
                self.socket = nil
                throw error
            }
            return
        }
        let stream: TCPConnection
        if let open = self.stream {
            stream = open
        } else {
            stream = try await TCPConnection.connect(to: settings.address, tls: settings.tls, on: loops)
            self.stream = stream
        }
        do {
            // Together: a message is never cut by another's.
            try await stream.write(messages.flatMap { $0 })
        } catch {
            stream.close()
            self.stream = nil
            throw error
        }
    }
}
