import ComponentKit
import Essentials
import LogSources
import Telemetry
import Transport
import Wire

/// How a receiver of logs listens on an address.
struct StreamSettings: Sendable, Equatable {
    enum Network: String, Sendable { case tcp, udp }

    var address: SocketAddress
    var network: Network
    var tls: TLSServerSettings?
    /// Whether `net.*` attributes say where a log came from.
    var addsAttributes: Bool
    /// Whether all that a connection or datagram brings is one log.
    var isOneLogPerPacket: Bool
    var splitter: LogSplitter
    /// Bytes of datagrams that may wait.
    var datagramRoom = 1 << 20

    struct Key: Hashable, Sendable {
        var address: SocketAddress
        var network: Network
    }

    var key: Key { Key(address: address, network: network) }
}

/// Listens for logs over TCP, TLS and UDP and delivers them.
///
/// A connection is read on only when what was read before is delivered, so that slow consumers slow its peer. Datagrams
/// wait in a queue with a bound and then in the kernel's, which drops what is too much.
struct StreamSource: Sendable {
    let context: Context<NoValues>
    let delivery: LogDelivery
    let bound: BoundAddress
    /// Completes an entry whose body is the log; false when it is dropped, which the tally then says.
    let complete: @Sendable (inout StanzaEntry, inout LogTally) -> Bool

    /// Hosts whose names are remembered.
    private static let hostNames = 128

    /// Listens, and tries again when the address cannot be bound, until cancelled.
    func listen(_ settings: StreamSettings) async throws {
        var backoff = Backoff(minimum: .seconds(1), maximum: .seconds(30))
        while true {
            do throws(TransportError) {
                switch settings.network {
                case .tcp: try await accept(settings)
                case .udp: try await receive(settings)
                }
            } catch {
                try Task.checkCancellation()
                context.log.error(
                    "Failed to listen", error, ["address": settings.address.text, "network": settings.network.rawValue])
                context.report(.unhealthy("cannot listen on \(settings.address): \(error)"))
            }
            try Task.checkCancellation()
            try await context.clock.sleep(for: backoff.next())
        }
    }

    private func began(_ settings: StreamSettings, at address: SocketAddress) {
        bound.text = address.text
        context.log.info(
            "Listening", nil,
            ["address": address.text, "network": settings.network.rawValue, "tls": "\(settings.tls != nil)"])
        context.report(.healthy("listening on \(address)"))
    }

    // MARK: TCP

    private func accept(_ settings: StreamSettings) async throws(TransportError) {
        let listener = try await TCPListener.bind(
            settings.address, on: context.services.eventLoops, tls: settings.tls)
        began(settings, at: listener.address)
        let names = HostNames(capacity: Self.hostNames, pool: context.services.blocking)
        await listener.forEachConnection { connection in await serve(connection, settings, names) }
    }

    private func serve(_ connection: TCPConnection, _ settings: StreamSettings, _ names: HostNames) async {
        var attributes: [OTLPAnyValue.Map.Entry] = []
        if settings.addsAttributes {
            attributes = await Self.attributes(
                "IP.TCP", peer: connection.remoteAddress, host: connection.localAddress, names)
        }
        let lease = MemoryLease(context.memory)
        defer { lease.release() }
        let splitter = settings.splitter
        var buffer: [UInt8] = []
        var searched = 0
        var isEnded = false
        while !isEnded {
            var tally = LogTally()
            do throws(TransportError) {
                isEnded = try await !connection.read(into: &buffer)
            } catch {
                if Task.isCancelled { return drop(buffer, &tally) }
                context.log.debug("Connection ended early", error)
                isEnded = true
            }
            if settings.isOneLogPerPacket, buffer.count > splitter.maximumBytes {
                buffer.removeSubrange(splitter.maximumBytes...)
            }
            guard lease.grow(by: buffer.count - lease.held) else {
                delivery.warn("Closed a connection: out of memory budget", nil)
                return drop(buffer, &tally)
            }
            var entries: [StanzaEntry] = []
            var taken = 0
            if isEnded || !settings.isOneLogPerPacket && splitter.isWorthSearching(buffer, after: searched) {
                taken = take(buffer, isLast: isEnded, settings, attributes, &entries, &tally)
                searched = buffer.count - taken
            }
            buffer.removeFirst(taken)
            lease.shrink(by: lease.held - buffer.count)
            let isTooLong = !settings.isOneLogPerPacket && buffer.count >= splitter.maximumBytes
            if isTooLong {
                tally.tooLong += 1
                tally.problem = StanzaError("log is longer than max_log_size, \(splitter.maximumBytes) bytes")
                tally.isQuiet = false
            }
            delivery.book(tally)
            do {
                try await delivery.deliver(StanzaEntry.batch(of: entries))
            } catch {
                return
            }
            // As upstream, a log without an end ends its connection.
            if isTooLong { return }
        }
    }

    /// What a peer has begun and we do not finish is one log.
    private func drop(_ buffer: [UInt8], _ tally: inout LogTally) {
        if buffer.isEmpty { return }
        context.ledger.originated(1)
        context.ledger.drop(1, .stopped)
    }

    // MARK: UDP

    private func receive(_ settings: StreamSettings) async throws(TransportError) {
        let socket = try await UDPSocket.bind(
            settings.address, receiveBuffer: ByteCount(bytes: settings.datagramRoom), on: context.services.eventLoops)
        began(settings, at: socket.address)
        defer { socket.close() }
        let names = HostNames(capacity: Self.hostNames, pool: context.services.blocking)
        var host: [OTLPAnyValue.Map.Entry] = []
        if settings.addsAttributes { host = await Self.attributes("IP.UDP", peer: nil, host: socket.address, names) }
        while true {
            let datagram = try await socket.next()
            var attributes = host
            if settings.addsAttributes { attributes += await Self.peer(datagram.sender, names) }
            // As upstream, control characters at the end mean nothing.
            var bytes = datagram.bytes
            while let last = bytes.last, last < 0x20 { bytes.removeLast() }
            var entries: [StanzaEntry] = []
            var tally = LogTally()
            _ = take(bytes, isLast: true, settings, attributes, &entries, &tally)
            if bytes.isEmpty { tally.empty += 1 }
            delivery.book(tally)
            do {
                try await delivery.deliver(StanzaEntry.batch(of: entries))
            } catch {
                throw .cancelled
            }
        }
    }

    // MARK: Entries

    /// Makes entries of the logs in `buffer` and returns the bytes used.
    private func take(
        _ buffer: [UInt8], isLast: Bool, _ settings: StreamSettings, _ attributes: [OTLPAnyValue.Map.Entry],
        _ entries: inout [StanzaEntry], _ tally: inout LogTally
    ) -> Int {
        let now = context.clock.wallNanoseconds
        return buffer.withUnsafeBytes { bytes in
            var position = 0
            while position < bytes.count {
                let token =
                    settings.isOneLogPerPacket
                    ? LogSplitter.Token(content: position..<bytes.count, next: bytes.count)
                    : settings.splitter.next(in: bytes, from: position, isLast: isLast)
                guard let token else { break }
                position = token.next
                let text = settings.splitter.text(of: UnsafeRawBufferPointer(rebasing: bytes[token.content]))
                if text.isEmpty {
                    tally.empty += 1
                    continue
                }
                var entry = StanzaEntry(body: settings.splitter.encoding.body(text), observed: now)
                entry.attributes = OTLPAnyValue.Map(unique: attributes)
                if complete(&entry, &tally) { entries.append(entry) }
            }
            return position
        }
    }

    private static func attributes(
        _ transport: String, peer: SocketAddress?, host: SocketAddress, _ names: HostNames
    ) async -> [OTLPAnyValue.Map.Entry] {
        var entries = [OTLPAnyValue.Map.Entry(key: Array("net.transport".utf8), value: .string(transport))]
        if let peer { entries += await Self.peer(peer, names) }
        entries += await end("net.host", host, names)
        return entries
    }

    private static func peer(_ address: SocketAddress, _ names: HostNames) async -> [OTLPAnyValue.Map.Entry] {
        await end("net.peer", address, names)
    }

    private static func end(
        _ prefix: String, _ address: SocketAddress, _ names: HostNames
    ) async -> [OTLPAnyValue.Map.Entry] {
        guard case .host(let text, let port) = address else { return [] }
        let isMapped = text.hasPrefix("::ffff:") && text.contains(".")
        let literal = isMapped ? String(text.dropFirst(7)) : text
        let name = await names.name(of: literal)
        return [("ip", literal), ("port", String(port)), ("name", name.isEmpty ? literal : name)].map { word, value in
            OTLPAnyValue.Map.Entry(key: Array("\(prefix).\(word)".utf8), value: .string(value))
        }
    }
}
