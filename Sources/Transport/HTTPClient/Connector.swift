import Essentials
import NIOCore
import NIOHTTP1
import NIOHTTP2
import NIOPosix
import NIOSSL
import NIOTLS

/// What a new connection turned out to speak.
enum NewConnection: Sendable {
    case http1(any Channel, NIOLoopBound<ClientChannelHandler>)
    case http2(any Channel, NIOHTTP2Handler.StreamMultiplexer, HTTP2Watch)
}

/// Opens connections: name, socket, proxy, TLS, protocol.
struct Connector: Sendable {
    let loops: EventLoops
    let settings: HTTPClientSettings
    let tls: TLSContextSource

    init(_ settings: HTTPClientSettings, _ loops: EventLoops) {
        self.settings = settings
        self.loops = loops
        let protocols = settings.isHTTP2Enabled ? ["h2", "http/1.1"] : ["http/1.1"]
        tls = TLSContextSource(client: settings.tls, protocols: protocols)
    }

    /// Connects to `authority` through `proxy` until `deadline`.
    func connect(
        to authority: Authority, through proxy: HTTPURL?, until deadline: NIODeadline
    ) async throws(HTTPClientError) -> (NewConnection, generation: Int) {
        var limit = deadline
        var isOwnLimit = false
        let own = NIODeadline.after(settings.connectTimeout)
        if own < limit {
            limit = own
            isOwnLimit = true
        }
        var context: TLSContextSource.Current?
        var proxyContext: NIOSSLContext?
        if authority.isSecure || proxy?.scheme == "https" {
            do {
                // Making a context reads files and the system's roots; an existing one costs a few stat calls.
                if let known = tls.currentIfKnown() {
                    context = known
                } else {
                    context = try await loops.runBlocking { [tls] in try tls.current() }
                }
                if proxy?.scheme == "https" {
                    let proxySource = TLSContextSource(client: settings.tls, protocols: ["http/1.1"])
                    proxyContext = try await loops.runBlocking { try proxySource.current().context }
                }
            } catch is CancellationError {
                throw .cancelled
            } catch {
                throw .tls("\(error)")
            }
        }
        let eventLoop = loops.connectionLoop
        let outcome = OneShot<NewConnection>()
        let attempt = Attempt(
            outcome: outcome, setup: ClientChannelSetup(settings: settings, authority: authority, proxy: proxy),
            tls: authority.isSecure ? context?.context : nil, proxyTLS: proxyContext)
        let timeoutError: HTTPClientError =
            isOwnLimit
            ? .connect(address: (proxy?.authority ?? authority.text), reason: "i/o timeout")
            : .deadlineExceeded(.connect)
        var timer: Scheduled<Void>?
        if limit < .distantFuture {
            timer = eventLoop.scheduleTask(deadline: limit) { _ = outcome.complete(.failure(timeoutError)) }
        }
        defer { timer?.cancel() }
        let future = open(authority, proxy, eventLoop, attempt, limit)
        future.whenFailure { error in outcome.complete(.failure(error)) }
        do {
            let connection = try await withTaskCancellationHandler {
                try await outcome.value()
            } onCancel: {
                outcome.complete(.failure(HTTPClientError.cancelled))
            }
            return (connection, context?.generation ?? 0)
        } catch {
            // Whatever comes of the attempt now has no owner.
            future.whenSuccess { $0.close(promise: nil) }
            throw Self.translate(error, proxy.map { ($0.host, $0.port) } ?? (authority.host, authority.port))
        }
    }

    private func open(
        _ authority: Authority, _ proxy: HTTPURL?, _ eventLoop: any EventLoop, _ attempt: Attempt,
        _ limit: NIODeadline
    ) -> EventLoopFuture<any Channel> {
        let left = limit == .distantFuture ? TimeAmount.hours(24) : max(limit - .now(), .nanoseconds(1))
        let bootstrap = ClientBootstrap(group: eventLoop)
            .connectTimeout(left)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try attempt.configure(channel) }
            }
        if let path = authority.unixPath { return bootstrap.connect(unixDomainSocketPath: path) }
        let host = proxy?.host ?? authority.host
        let port = proxy?.port ?? authority.port
        let tuned = bootstrap.channelOption(.socketOption(.so_keepalive), value: 1)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.recvAllocator, value: PassingReadBuffers())
            .channelOption(.maxMessagesPerRead, value: 1)
        return tuned.resolver(
            AddressResolver(loops.blocking, eventLoop, shuffles: settings.usesRoundRobinDNS)
        ).connect(host: host, port: port)
    }

    private static func translate(_ error: any Error, _ peer: (host: String, port: Int)) -> HTTPClientError {
        let address = SocketAddress.host(peer.host, port: peer.port).text
        switch error {
        case let error as HTTPClientError: return error
        case let error as NIOConnectionError:
            if let failure = error.connectionErrors.first {
                if case .connectTimeout = failure.error as? ChannelError {
                    return .connect(address: address, reason: "i/o timeout")
                }
                let reason = (failure.error as? IOError).map { errorText($0.errnoCode) } ?? "\(failure.error)"
                return .connect(address: SocketAddress(failure.target).text, reason: reason)
            }
            let reason = (error.dnsAError ?? error.dnsAAAAError).map { "\($0)" } ?? "no such host"
            return .resolution(host: peer.host, reason: reason)
        case let error as IOError: return .connect(address: address, reason: errorText(error.errnoCode))
        case ChannelError.connectTimeout: return .connect(address: address, reason: "i/o timeout")
        case let error as TLSConfigurationError: return .tls(error.message)
        default: return HTTPClientError(error, in: .connect)
        }
    }
}

/// What tells connections apart that can carry the same requests.
struct Authority: Sendable, Hashable {
    let host: String
    let port: Int
    let isSecure: Bool
    var unixPath: String?

    var text: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

/// One attempt to connect: sets the channel up and reports once it can carry requests.
private struct Attempt: Sendable {
    let outcome: OneShot<NewConnection>
    let setup: ClientChannelSetup
    let tls: NIOSSLContext?
    let proxyTLS: NIOSSLContext?

    func configure(_ channel: any Channel) throws {
        let pipeline = channel.pipeline.syncOperations
        if let proxy = setup.proxy {
            if let proxyTLS {
                try pipeline.addHandler(
                    makeClientTLSHandler(proxyTLS, host: proxy.host, serverName: nil))
            }
            if setup.needsTunnel {
                let handshake = ProxyHandshake(
                    proxy, to: setup.authority.host, port: setup.authority.port,
                    fields: try setup.settings.proxy.connectFields.revealed())
                if proxyTLS != nil { try pipeline.addHandler(HandshakeGate()) }
                try pipeline.addHandler(ProxyHandshakeHandler(handshake))
            }
        }
        if let tls {
            try pipeline.addHandler(
                makeClientTLSHandler(tls, host: setup.authority.host, serverName: setup.settings.tls.serverName))
        }
        let waitsForTLS = tls != nil || (proxyTLS != nil && !setup.needsTunnel)
        try pipeline.addHandler(ClientNegotiator(setup, outcome, waitsForTLS: waitsForTLS))
    }
}

/// Makes what is behind it see the channel active once the TLS of the proxy is up.
private final class HandshakeGate: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    func channelActive(context: ChannelHandlerContext) {}

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .some(.handshakeCompleted) = event as? TLSUserEvent {
            context.fireChannelActive()
        } else {
            context.fireUserInboundEventTriggered(event)
        }
    }
}

extension [HTTPSecretField] {
    /// The fields in clear, for sending.
    func revealed() throws(HTTPClientError) -> [(String, String)] {
        var fields: [(String, String)] = []
        for field in self {
            for value in field.values { fields.append((field.name, try value.read())) }
        }
        return fields
    }
}

extension SecretSource {
    /// The text in clear, for sending; a file's surrounding white space is cut.
    func read() throws(HTTPClientError) -> String {
        switch self {
        case .inline(let secret): return secret.reveal { $0 }
        case .file(let path):
            do {
                return String(try Files.readText(path, limit: .mebibytes(1)).trimmingWhitespace())
            } catch {
                throw .authorisation("unable to read \(path): \(error)")
            }
        }
    }
}

extension String {
    func trimmingWhitespace() -> Substring {
        guard let first = firstIndex(where: { !$0.isWhitespace }), let last = lastIndex(where: { !$0.isWhitespace })
        else { return self[endIndex...] }
        return self[first...last]
    }
}

/// Puts the handlers of a connection together once its protocol is known.
struct ClientChannelSetup: Sendable {
    let settings: HTTPClientSettings
    let authority: Authority
    let proxy: HTTPURL?

    /// Plain requests are sent to an HTTP proxy itself, everything else goes through a tunnel.
    var needsTunnel: Bool { proxy.map { authority.isSecure || $0.scheme.hasPrefix("socks5") } ?? false }

    func http1(_ channel: any Channel) throws -> NewConnection {
        let handler = ClientChannelHandler(headerLimit: settings.maximumHeaderBytes, isHTTP2: false)
        var limits = NIOHTTPDecoderLimitConfiguration()
        limits.maxHeaderListSize = settings.maximumHeaderBytes
        limits.maxHeaderFieldSize = settings.maximumHeaderBytes
        limits.maxHeaderFieldCount = 1_000
        let decoder = HTTPResponseDecoder(leftOverBytesStrategy: .dropBytes, limitConfiguration: limits)
        let pipeline = channel.pipeline.syncOperations
        try pipeline.addHandler(HTTPRequestEncoder())
        try pipeline.addHandler(ByteToMessageHandler(decoder))
        try pipeline.addHandler(handler)
        return .http1(channel, NIOLoopBound(handler, eventLoop: channel.eventLoop))
    }

    func http2(_ channel: any Channel) throws -> NewConnection {
        var connection = NIOHTTP2Handler.ConnectionConfiguration()
        connection.initialSettings = [
            HTTP2Setting(parameter: .enablePush, value: 0),
            HTTP2Setting(parameter: .maxHeaderListSize, value: max(1_024, settings.maximumHeaderBytes)),
            HTTP2Setting(parameter: .initialWindowSize, value: 256 * 1024),
        ]
        connection.targetWindowSize = 1 << 20
        var stream = NIOHTTP2Handler.StreamConfiguration()
        stream.targetWindowSize = 256 * 1024
        let pipeline = channel.pipeline.syncOperations
        let multiplexer = try pipeline.configureHTTP2Pipeline(
            mode: .client, connectionConfiguration: connection, streamConfiguration: stream
        ) { child in child.close() }
        let watch = HTTP2Watch()
        try pipeline.addHandler(HTTP2WatchHandler(watch))
        if let keepalive = settings.keepalive, keepalive.interval > .zero {
            try pipeline.addHandler(HTTP2KeepaliveHandler(keepalive, on: channel.eventLoop))
        }
        return .http2(channel, multiplexer, watch)
    }
}

/// Waits until the connection is up and its protocol known.
private final class ClientNegotiator: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer

    private let setup: ClientChannelSetup
    private let outcome: OneShot<NewConnection>
    private let waitsForTLS: Bool

    init(_ setup: ClientChannelSetup, _ outcome: OneShot<NewConnection>, waitsForTLS: Bool) {
        self.setup = setup
        self.outcome = outcome
        self.waitsForTLS = waitsForTLS
    }

    func channelActive(context: ChannelHandlerContext) {
        if !waitsForTLS { become(context, isHTTP2: setup.settings.usesHTTP2PriorKnowledge) }
        context.fireChannelActive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if waitsForTLS, case .some(.handshakeCompleted(let negotiated)) = event as? TLSUserEvent {
            become(context, isHTTP2: negotiated == "h2")
        }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        outcome.complete(.failure(error))
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        let phase: HTTPClientError.Phase = waitsForTLS ? .tls : .connect
        outcome.complete(.failure(HTTPClientError.connectionClosed(phase)))
        context.fireChannelInactive()
    }

    private func become(_ context: ChannelHandlerContext, isHTTP2: Bool) {
        do {
            let connection = try isHTTP2 ? setup.http2(context.channel) : setup.http1(context.channel)
            context.pipeline.syncOperations.removeHandler(self, promise: nil)
            // Given up in the meantime: nobody would close it.
            if !outcome.complete(.success(connection)) { context.close(promise: nil) }
        } catch {
            outcome.complete(.failure(error))
            context.close(promise: nil)
        }
    }
}
