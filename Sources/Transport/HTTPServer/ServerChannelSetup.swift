import Essentials
import NIOCore
import NIOHTTP1
import NIOHTTP2
import NIOSSL
import NIOTLS
import Synchronization

/// Breaks the cycle between a bound listener and the server made from it; connections may come in between.
final class ServerHolder: Sendable {
    private struct Reference: Sendable { weak var server: HTTPServer? }
    private let reference = Mutex(Reference())

    func set(_ server: HTTPServer) { reference.withLock { $0.server = server } }
    var server: HTTPServer? { reference.withLock { $0.server } }
}

/// Puts the handlers of an accepted connection together.
struct ServerChannelSetup: Sendable {
    let settings: HTTPServerSettings
    let observer: any TransportObserver
    let streams: Inlet<Inlet<ServerExchange>>
    let connections: ConnectionRegistry
    let holder: ServerHolder
    let unread: MemoryAccount?

    func configure(_ channel: any Channel) throws {
        guard let server = holder.server else { throw HTTPResponseError.connectionClosed }
        let pipeline = channel.pipeline.syncOperations
        if case .host = settings.address { try setNoDelay(channel) }
        if let (tls, authentication) = try server.tlsForNewConnection() {
            try pipeline.addHandler(makeServerTLSHandler(tls.context, authentication: authentication))
            try pipeline.addHandler(ServerNegotiator(self, isSecure: true))
        } else if settings.isHTTP2Enabled {
            try pipeline.addHandler(ServerNegotiator(self, isSecure: false))
        } else {
            try configureHTTP1(channel, isSecure: false)
        }
    }

    private func setNoDelay(_ channel: any Channel) throws {
        try channel.syncOptions?.setOption(.tcpOption(.tcp_nodelay), value: 1)
    }

    func configureHTTP1(_ channel: any Channel, isSecure: Bool) throws {
        let inlet = Inlet<ServerExchange>()
        let handler = ServerChannelHandler(
            settings: settings, observer: observer, inlet: inlet, isHTTP2: false, isSecure: isSecure,
            unread: unread)
        var limits = NIOHTTPDecoderLimitConfiguration()
        limits.maxHeaderListSize = settings.maximumHeaderBytes
        limits.maxHeaderFieldSize = settings.maximumHeaderBytes
        limits.maxHeaderFieldCount = settings.maximumHeaderCount
        let decoder = HTTPRequestDecoder(leftOverBytesStrategy: .dropBytes, limitConfiguration: limits)
        let pipeline = channel.pipeline.syncOperations
        try pipeline.addHandler(ByteWatchHandler(handler))
        try pipeline.addHandler(HTTPResponseEncoder())
        try pipeline.addHandler(ByteToMessageHandler(decoder))
        try pipeline.addHandler(HTTPServerPipelineHandler())
        try pipeline.addHandler(handler)
        if !streams.push(inlet) { channel.close(promise: nil) }
    }

    func configureHTTP2(_ channel: any Channel, isSecure: Bool) throws {
        var connection = NIOHTTP2Handler.ConnectionConfiguration()
        connection.initialSettings = [
            HTTP2Setting(parameter: .maxConcurrentStreams, value: max(1, settings.maximumConcurrentStreams)),
            HTTP2Setting(parameter: .maxHeaderListSize, value: max(1_024, settings.maximumHeaderBytes)),
            HTTP2Setting(parameter: .initialWindowSize, value: 128 * 1024),
        ]
        var stream = NIOHTTP2Handler.StreamConfiguration()
        stream.targetWindowSize = 128 * 1024
        let idle = settings.idleTimeout.flatMap { $0 > .zero ? $0.timeAmount : nil }
        let supervisor = NIOHTTP2ServerConnectionManagementHandler(
            eventLoop: channel.eventLoop,
            configuration: .init(
                maxIdleTime: idle, maxAge: settings.maximumConnectionAge?.timeAmount,
                maxGraceTime: settings.maximumConnectionAgeGrace?.timeAmount,
                keepalive: settings.keepalive.map {
                    .init(pingInterval: $0.interval.timeAmount, ackTimeout: $0.timeout.timeAmount)
                }))
        let guardian = HTTP2GuardHandler(
            on: channel.eventLoop, idleTimeout: settings.idleTimeout, answerTimeout: settings.readTimeout,
            pingPolicy: settings.pingPolicy)
        let pipeline = channel.pipeline.syncOperations
        _ = try pipeline.configureHTTP2Pipeline(
            mode: .server, connectionConfiguration: connection, streamConfiguration: stream,
            streamDelegate: HTTP2StreamCount(supervisor.http2StreamDelegate, guardian, on: channel.eventLoop)
        ) { child in
            child.eventLoop.makeCompletedFuture {
                let inlet = Inlet<ServerExchange>()
                let handler = ServerChannelHandler(
                    settings: settings, observer: observer, inlet: inlet, isHTTP2: true, isSecure: isSecure,
                    unread: unread)
                try child.pipeline.syncOperations.addHandler(HTTP2FramePayloadToHTTP1ServerCodec())
                try child.pipeline.syncOperations.addHandler(handler)
                if !streams.push(inlet) { child.close(promise: nil) }
            }
        }
        try pipeline.addHandler(supervisor)
        // The handler learns of its connection here because it joins one that is active already.
        if channel.isActive { supervisor.channelActive(context: try pipeline.context(handler: supervisor)) }
        try pipeline.addHandler(guardian)
    }
}

/// Waits for TLS, or for the first bytes in plain text, and then sets the connection up for its protocol.
final class ServerNegotiator: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer

    /// What an HTTP/2 client without TLS begins with (RFC 9113, 3.4); HTTP/1 has no such method.
    private static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)

    private let setup: ServerChannelSetup
    private let isSecure: Bool
    private var timer: LoopTimer?
    private var held = ByteBuffer()

    init(_ setup: ServerChannelSetup, isSecure: Bool) {
        self.setup = setup
        self.isSecure = isSecure
    }

    func handlerAdded(context: ChannelHandlerContext) {
        let bound = context.loopBound
        timer = LoopTimer(on: context.eventLoop) { [setup] in
            setup.observer.connectionFailed(.headerTimeout)
            bound.value.close(promise: nil)
        }
        timer?.set(.after(setup.settings.readHeaderTimeout ?? setup.settings.readTimeout))
    }

    func handlerRemoved(context: ChannelHandlerContext) { timer?.stop() }

    func channelInactive(context: ChannelHandlerContext) {
        timer?.stop()
        context.fireChannelInactive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .some(.handshakeCompleted(let negotiated)) = event as? TLSUserEvent {
            become(context, isHTTP2: negotiated == "h2")
        } else if event is ChannelShouldQuiesceEvent {
            context.close(promise: nil)
        } else {
            context.fireUserInboundEventTriggered(event)
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        held.writeBuffer(&bytes)
        guard !isSecure else { return }
        let start = held.readableBytesView.prefix(Self.preface.count)
        guard Self.preface.starts(with: start) else { return become(context, isHTTP2: false) }
        if start.count == Self.preface.count { become(context, isHTTP2: true) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        setup.observer.connectionFailed(.handshake)
        context.close(promise: nil)
    }

    private func become(_ context: ChannelHandlerContext, isHTTP2: Bool) {
        timer?.stop()
        do {
            if isHTTP2 {
                try setup.configureHTTP2(context.channel, isSecure: isSecure)
            } else {
                try setup.configureHTTP1(context.channel, isSecure: isSecure)
            }
        } catch {
            return context.close(promise: nil)
        }
        if held.readableBytes > 0 {
            context.fireChannelRead(wrapInboundOut(held))
            context.fireChannelReadComplete()
            held = ByteBuffer()
        }
        context.pipeline.syncOperations.removeHandler(self, promise: nil)
    }

    typealias InboundOut = ByteBuffer
}
