import Essentials
import NIOCore
import NIOHTTP1
import NIOSSL

/// Turns the parts of one HTTP/1 connection, or one HTTP/2 stream, into exchanges, and keeps its deadlines.
final class ServerChannelHandler: ChannelDuplexHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    private enum Reading {
        /// Waiting for the first byte of a request.
        case idle
        /// Bytes have come, the head is not whole.
        case head
        case body
        case done
    }

    /// What a client may still send of a body nobody reads before its connection is closed, in bytes.
    private static let discardLimit = 256 * 1024

    let isHTTP2: Bool
    /// Where the bytes of bodies are booked that nobody has read yet.
    let unread: MemoryAccount?
    private let isSecure: Bool
    private let settings: HTTPServerSettings
    private let observer: any TransportObserver
    private let inlet: Inlet<ServerExchange>
    private var context: ChannelHandlerContext?
    private var readTimer: LoopTimer?
    private var writeTimer: LoopTimer?
    private var exchange: ServerExchange?
    private var reading = Reading.idle
    private var isReadHeld = false
    private var closesAfterResponse = false
    private var isResponding = false
    private var isQuiescing = false
    /// The response is sent and the rest of the request's body is thrown away.
    private var isDraining = false

    init(
        settings: HTTPServerSettings, observer: any TransportObserver, inlet: Inlet<ServerExchange>, isHTTP2: Bool,
        isSecure: Bool, unread: MemoryAccount?
    ) {
        self.unread = unread
        self.settings = settings
        self.observer = observer
        self.inlet = inlet
        self.isHTTP2 = isHTTP2
        self.isSecure = isSecure
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        readTimer = LoopTimer(on: context.eventLoop) { [unowned self] in readingExpired() }
        writeTimer = LoopTimer(on: context.eventLoop) { [unowned self] in writingExpired() }
        // A fresh connection owes its first request as promptly as one that has begun to send it.
        if !isHTTP2 { readTimer?.set(.after(settings.readHeaderTimeout ?? settings.readTimeout)) }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        end(HTTPResponseError.connectionClosed)
        self.context = nil
    }

    func channelInactive(context: ChannelHandlerContext) {
        end(HTTPResponseError.connectionClosed)
        context.fireChannelInactive()
    }

    private func end(_ error: any Error) {
        readTimer?.stop()
        writeTimer?.stop()
        exchange?.close(error)
        exchange = nil
        inlet.finish()
    }

    // MARK: Reading

    /// Called for every read of the socket before it is decoded.
    func bytesArrived() {
        guard reading == .idle else { return }
        reading = .head
        readTimer?.set(.after(settings.readHeaderTimeout ?? settings.readTimeout))
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            reading = .body
            if isHTTP2 || settings.readHeaderTimeout != nil { readTimer?.set(.after(settings.readTimeout)) }
            closesAfterResponse =
                !isHTTP2 && (!head.isKeepAlive || head.version.minor == 0 || !settings.keepsAlive)
            let exchange = ServerExchange(head, self, on: context.channel, isSecure: isSecure)
            self.exchange = exchange
            inlet.push(exchange)
        case .body(let bytes):
            guard exchange?.pipe.push(bytes) ?? true else { return context.close(promise: nil) }
        case .end(let trailers):
            reading = .done
            readTimer?.clear()
            exchange?.pipe.end(.end(trailers))
            if isDraining {
                isDraining = false
                exchange = nil
                becomeIdle()
            }
        }
    }

    func read(context: ChannelHandlerContext) {
        if let exchange, exchange.pipe.shouldPause() {
            isReadHeld = true
        } else {
            context.read()
        }
    }

    func resumeReading() {
        guard isReadHeld, let context else { return }
        isReadHeld = false
        context.read()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        let isOverflow: Bool
        if case .some(.headerOverflow) = error as? HTTPParserError { isOverflow = true } else { isOverflow = false }
        guard error is HTTPParserError, !isHTTP2 else {
            if error is NIOSSLError || error is BoringSSLError { observer.connectionFailed(.handshake) }
            return context.close(promise: nil)
        }
        observer.connectionFailed(isOverflow ? .headersTooLarge : .malformed)
        guard exchange == nil, !isResponding else { return context.close(promise: nil) }
        let status = isOverflow ? HTTPStatus.headerFieldsTooLarge : .badRequest
        let head = HTTPResponseHead(
            version: .http1_1, status: status.nio, headers: ["content-length": "0", "connection": "close"])
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        let loopBound = context.loopBound
        context.writeAndFlush(wrapOutboundOut(.end(nil))).whenComplete { _ in loopBound.value.close(promise: nil) }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is ChannelShouldQuiesceEvent { isQuiescing = true }
        if let event = event as? ChannelEvent, event == .inputClosed, exchange == nil {
            context.close(promise: nil)
        }
        context.fireUserInboundEventTriggered(event)
    }

    private func readingExpired() {
        switch reading {
        case .idle: break
        case .head: observer.connectionFailed(.headerTimeout)
        case .body, .done: observer.connectionFailed(.readTimeout)
        }
        exchange?.close(HTTPBodyError.interrupted("read timeout"))
        context?.close(promise: nil)
    }

    private func becomeIdle() {
        reading = .idle
        if isQuiescing {
            context?.close(promise: nil)
        } else {
            readTimer?.set(.after(settings.idleTimeout))
        }
    }

    // MARK: Writing, all called by the exchange on the event loop

    func writeContinue(for exchange: ServerExchange) {
        guard self.exchange === exchange, !isResponding, let context else { return }
        context.writeAndFlush(
            wrapOutboundOut(.head(HTTPResponseHead(version: .http1_1, status: .continue))), promise: nil)
    }

    func respond(
        _ exchange: ServerExchange, _ head: HTTPResponseHead, _ body: ByteBuffer?, _ trailers: HTTPHeaders?,
        closes: Bool, promise: EventLoopPromise<Void>
    ) {
        guard let context = begin(exchange, closes: closes, promise) else { return }
        context.write(wrapOutboundOut(.head(prepared(head))), promise: nil)
        if let body { context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil) }
        writeEnd(exchange, context, trailers, promise)
    }

    func writeHead(
        _ exchange: ServerExchange, _ head: HTTPResponseHead, closes: Bool, promise: EventLoopPromise<Void>
    ) {
        guard let context = begin(exchange, closes: closes, promise) else { return }
        watch(promise)
        context.writeAndFlush(wrapOutboundOut(.head(prepared(head))), promise: promise)
    }

    func writeBody(_ exchange: ServerExchange, _ bytes: ByteBuffer, promise: EventLoopPromise<Void>) {
        guard self.exchange === exchange, isResponding, let context else {
            return promise.fail(HTTPResponseError.connectionClosed)
        }
        watch(promise)
        context.writeAndFlush(wrapOutboundOut(.body(.byteBuffer(bytes))), promise: promise)
    }

    func finish(_ exchange: ServerExchange, trailers: HTTPHeaders?, promise: EventLoopPromise<Void>) {
        guard self.exchange === exchange, isResponding, let context else {
            return promise.fail(HTTPResponseError.connectionClosed)
        }
        writeEnd(exchange, context, trailers, promise)
    }

    func abort(_ exchange: ServerExchange) {
        guard self.exchange === exchange else { return }
        context?.close(promise: nil)
    }

    private func begin(
        _ exchange: ServerExchange, closes: Bool, _ promise: EventLoopPromise<Void>
    ) -> ChannelHandlerContext? {
        guard self.exchange === exchange, !isResponding, !isDraining, let context else {
            promise.fail(HTTPResponseError.connectionClosed)
            return nil
        }
        isResponding = true
        if closes { closesAfterResponse = true }
        if isQuiescing { closesAfterResponse = true }
        return context
    }

    private func prepared(_ head: HTTPResponseHead) -> HTTPResponseHead {
        var head = head
        if closesAfterResponse, !isHTTP2 { head.headers.replaceOrAdd(name: "connection", value: "close") }
        return head
    }

    /// Closes the connection when the client takes nothing for the write timeout.
    private func watch(_ promise: EventLoopPromise<Void>) {
        writeTimer?.set(.after(settings.writeTimeout))
        promise.futureResult.assumeIsolated().whenComplete { [self] _ in writeTimer?.clear() }
    }

    private func writeEnd(
        _ exchange: ServerExchange, _ context: ChannelHandlerContext, _ trailers: HTTPHeaders?,
        _ promise: EventLoopPromise<Void>
    ) {
        watch(promise)
        let isBodyRead = exchange.pipe.isEnded
        let closes = closesAfterResponse || isQuiescing || (isHTTP2 && !isBodyRead)
        isResponding = false
        // Writing the end may deliver the next pipelined request at once, so this one is over first.
        if isBodyRead {
            self.exchange = nil
            if !isHTTP2, !closes { becomeIdle() }
        } else {
            isDraining = true
            exchange.pipe.discard(upTo: Self.discardLimit)
        }
        if closes {
            let loopBound = context.loopBound
            promise.futureResult.whenComplete { _ in loopBound.value.close(promise: nil) }
        }
        context.writeAndFlush(wrapOutboundOut(.end(trailers)), promise: promise)
        resumeReading()
    }

    private func writingExpired() {
        observer.connectionFailed(.writeTimeout)
        context?.close(promise: nil)
    }
}

/// Tells the handler behind the decoder that bytes have come, and ends connections that never negotiate.
final class ByteWatchHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private let handler: ServerChannelHandler

    init(_ handler: ServerChannelHandler) { self.handler = handler }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        handler.bytesArrived()
        context.fireChannelRead(data)
    }
}
