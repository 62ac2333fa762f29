package import Essentials
import NIOCore
import NIOPosix
import NIOSSL
import NIOTLS

/// One stream connection, accepted or opened: chunks in, bytes out, back-pressure both ways.
///
/// One task reads and one task writes at a time. The socket is not read while the reader is behind.
package final class TCPConnection: Sendable, AsyncSequence {
    package typealias Element = [UInt8]

    /// The other side.
    package let remoteAddress: SocketAddress
    /// This side.
    package let localAddress: SocketAddress
    private let channel: any Channel
    private let pipe: ChunkPipe
    private let handler: NIOLoopBound<StreamHandler>

    fileprivate init(_ channel: any Channel, _ handler: StreamHandler) {
        self.channel = channel
        pipe = handler.pipe
        self.handler = NIOLoopBound(handler, eventLoop: channel.eventLoop)
        remoteAddress = SocketAddress(channel.remoteAddress)
        localAddress = SocketAddress(channel.localAddress)
    }

    deinit { channel.close(promise: nil) }

    /// Connects within `timeout`, over TLS when settings are given; `serverName` defaults to the host.
    package static func connect(
        to address: SocketAddress, tls: TLSClientSettings? = nil, timeout: Duration? = .seconds(30),
        idleTimeout: Duration? = nil, on loops: EventLoops
    ) async throws(TransportError) -> TCPConnection {
        let outcome = OneShot<TCPConnection>()
        let eventLoop = loops.group.next()
        do {
            var context: NIOSSLContext?
            if let tls {
                let source = TLSContextSource(client: tls, protocols: [])
                context = try await loops.runBlocking { try source.current().context }
            }
            let secure = context
            let bootstrap = ClientBootstrap(group: eventLoop)
                .connectTimeout(timeout.map(\.timeAmount) ?? .hours(24))
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        if let secure {
                            try channel.pipeline.syncOperations.addHandler(
                                makeClientTLSHandler(secure, host: address.host ?? "", serverName: tls?.serverName))
                        }
                        let handler = StreamHandler(
                            idleTimeout: idleTimeout, waitsForTLS: secure != nil, unread: loops.unread
                        ) { result in
                            outcome.complete(result)
                        }
                        try channel.pipeline.syncOperations.addHandler(handler)
                    }
                }
            let timer = eventLoop.scheduleTask(deadline: .after(timeout)) {
                _ = outcome.complete(.failure(TransportError.timeout))
            }
            defer { timer.cancel() }
            let future: EventLoopFuture<any Channel>
            switch address {
            case .host(let host, let port):
                future = bootstrap.resolver(AddressResolver(loops.blocking, eventLoop, shuffles: false))
                    .connect(host: host.isEmpty ? "localhost" : host, port: port)
            case .unix(let path): future = bootstrap.connect(unixDomainSocketPath: path)
            }
            future.whenFailure { error in outcome.complete(.failure(error)) }
            return try await withTaskCancellationHandler {
                do {
                    return try await outcome.value()
                } catch {
                    future.whenSuccess { $0.close(promise: nil) }
                    throw error
                }
            } onCancel: {
                outcome.complete(.failure(TransportError.cancelled))
            }
        } catch {
            throw Self.translate(error, address)
        }
    }

    private static func translate(_ error: any Error, _ address: SocketAddress) -> TransportError {
        if let error = error as? NIOConnectionError {
            if let failure = error.connectionErrors.first {
                if case .connectTimeout = failure.error as? ChannelError { return .timeout }
                let reason = (failure.error as? IOError).map { errorText($0.errnoCode) } ?? "\(failure.error)"
                return .connection("dial tcp \(address): connect: \(reason)")
            }
            let reason = (error.dnsAError ?? error.dnsAAAAError).map { "\($0)" } ?? "no such host"
            return .connection("lookup \(address.host ?? ""): \(reason)")
        }
        if let error = error as? TLSConfigurationError { return .tls(error.message) }
        if error is NIOSSLError || error is NIOSSLExtraError || error is BoringSSLError {
            return .tls(HTTPClientError.tlsReason(error))
        }
        return TransportError(error)
    }

    // MARK: Reading

    /// The next bytes, nil when the peer has ended the stream.
    package func next() async throws(TransportError) -> [UInt8]? {
        do {
            return try await pipe.next().map { Array($0.readableBytesView) }
        } catch {
            throw TransportError(error)
        }
    }

    /// Appends the next bytes to `buffer`; false at the end.
    package func read(into buffer: inout [UInt8]) async throws(TransportError) -> Bool {
        do {
            guard let chunk = try await pipe.next() else { return false }
            buffer.append(contentsOf: chunk.readableBytesView)
            return true
        } catch {
            throw TransportError(error)
        }
    }

    package func makeAsyncIterator() -> Iterator { Iterator(connection: self) }

    /// Hands out the chunks as they come.
    package struct Iterator: AsyncIteratorProtocol {
        let connection: TCPConnection

        package mutating func next() async throws -> [UInt8]? { try await connection.next() }
    }

    /// Reads lines of at most `maximumLength` bytes.
    package func lines(upTo maximumLength: ByteCount, longLines: LineReader.LongLines = .refuse) -> LineReader {
        LineReader(self, maximumLength: maximumLength.bytes, longLines: longLines)
    }

    // MARK: Writing and ending

    /// Returns when the socket has taken the bytes.
    package func write(_ bytes: [UInt8]) async throws(TransportError) {
        do {
            try Task.checkCancellation()
            try await withTaskCancellationHandler {
                try await channel.writeAndFlush(ByteBuffer(bytes: bytes)).get()
            } onCancel: {
                channel.close(promise: nil)
            }
        } catch {
            throw TransportError(error)
        }
    }

    /// Closes both directions at once.
    package func close() { channel.close(promise: nil) }

    func onClose(_ body: @escaping @Sendable () -> Void) { channel.closeFuture.whenComplete { _ in body() } }
}

/// Moves the bytes of one connection into its pipe.
private final class StreamHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer

    let pipe: ChunkPipe
    private let resume: StreamResume
    private let idleTimeout: Duration?
    private let waitsForTLS: Bool
    private var ready: ((Result<TCPConnection, any Error>) -> Void)?
    private var context: ChannelHandlerContext?
    private var timer: LoopTimer?
    private var isReadHeld = false

    init(
        idleTimeout: Duration?, waitsForTLS: Bool, unread: MemoryAccount?,
        ready: @escaping (Result<TCPConnection, any Error>) -> Void
    ) {
        self.idleTimeout = idleTimeout
        self.waitsForTLS = waitsForTLS
        self.ready = ready
        let resume = StreamResume()
        self.resume = resume
        pipe = ChunkPipe(bookedOn: unread) { resume.fire() }
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        resume.set(NIOLoopBound(self, eventLoop: context.eventLoop))
        let bound = context.loopBound
        timer = LoopTimer(on: context.eventLoop) { [pipe] in
            pipe.end(.failed(TransportError.timeout))
            bound.value.close(promise: nil)
        }
        if context.channel.isActive, !waitsForTLS { becomeReady(context) }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        timer?.stop()
        pipe.end(.failed(TransportError.connection("connection closed")))
        self.context = nil
    }

    func channelActive(context: ChannelHandlerContext) {
        if !waitsForTLS { becomeReady(context) }
        context.fireChannelActive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if waitsForTLS, case .some(.handshakeCompleted) = event as? TLSUserEvent { becomeReady(context) }
        context.fireUserInboundEventTriggered(event)
    }

    private func becomeReady(_ context: ChannelHandlerContext) {
        guard let ready else { return }
        self.ready = nil
        timer?.set(.after(idleTimeout))
        ready(.success(TCPConnection(context.channel, self)))
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        timer?.set(.after(idleTimeout))
        pipe.push(unwrapInboundIn(data))
    }

    func read(context: ChannelHandlerContext) {
        if pipe.shouldPause() {
            isReadHeld = true
            timer?.clear()
        } else {
            context.read()
        }
    }

    func resumeReading() {
        guard isReadHeld, let context else { return }
        isReadHeld = false
        timer?.set(.after(idleTimeout))
        context.read()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        ready?(.failure(error))
        ready = nil
        if case .some(.uncleanShutdown) = error as? NIOSSLError {
            pipe.end(.end(nil))
        } else {
            pipe.end(.failed(error))
        }
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        timer?.stop()
        ready?(.failure(TransportError.connection("connection closed during the handshake")))
        ready = nil
        pipe.end(.end(nil))
        context.fireChannelInactive()
    }
}

/// Lets the pipe, made before its handler has an event loop, wake it.
private final class StreamResume: Sendable {
    private let handler = OneShot<NIOLoopBound<StreamHandler>>()

    func set(_ handler: NIOLoopBound<StreamHandler>) { self.handler.complete(.success(handler)) }

    func fire() {
        guard case .success(let bound)? = handler.result else { return }
        bound.eventLoop.execute { bound.value.resumeReading() }
    }
}

/// Makes the handlers of an accepted connection; `accepted` is called once it can be read.
func configureAcceptedStream(
    _ channel: any Channel, tls: NIOSSLContext?, authentication: TLSClientAuthentication, idleTimeout: Duration?,
    unread: MemoryAccount?, accepted: @escaping (TCPConnection) -> Void
) throws {
    let pipeline = channel.pipeline.syncOperations
    if let tls { try pipeline.addHandler(makeServerTLSHandler(tls, authentication: authentication)) }
    try pipeline.addHandler(
        StreamHandler(idleTimeout: idleTimeout, waitsForTLS: tls != nil, unread: unread) { result in
            if case .success(let connection) = result { accepted(connection) }
        })
}
