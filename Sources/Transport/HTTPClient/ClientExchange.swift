import Essentials
import NIOCore
import NIOHTTP1
import Synchronization

/// One request on one connection and the response to it, shared by the channel's handler and the requesting task.
final class ClientExchange: Sendable {
    let head: HTTPRequestHead
    let body: ByteBuffer?
    let deadline: NIODeadline
    let response = OneShot<HTTPResponseHead>()
    let pipe: ChunkPipe
    /// Whether the connection had carried an exchange before.
    let isReused: Bool
    private let closing: @Sendable (ClientExchange) -> Void

    init(
        _ head: HTTPRequestHead, body: ByteBuffer?, deadline: NIODeadline, isReused: Bool,
        bookedOn account: MemoryAccount?,
        resumeReading: @escaping @Sendable () -> Void, close: @escaping @Sendable (ClientExchange) -> Void
    ) {
        self.head = head
        self.body = body
        self.deadline = deadline
        self.isReused = isReused
        // Two reads of the socket: what one brings is not yet a reason to pause.
        pipe = ChunkPipe(highMark: 2 * PassingReadBuffers.size, bookedOn: account, resumeReading: resumeReading)
        closing = close
    }

    /// Ends the exchange and its connection or stream.
    func cancel(_ error: HTTPClientError) {
        fail(ExchangeFailure(error: error))
        closing(self)
    }

    func fail(_ failure: ExchangeFailure) {
        response.complete(.failure(failure))
        pipe.end(.failed(failure))
    }

    /// The reader is not interested in the rest.
    func abandon() {
        if !pipe.isEnded { closing(self) }
        pipe.abort(ExchangeFailure(error: .cancelled))
    }
}

/// Sends requests and takes responses on one HTTP/1 connection (one after the other) or one HTTP/2 stream.
final class ClientChannelHandler: ChannelDuplexHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundIn = HTTPClientRequestPart
    typealias OutboundOut = HTTPClientRequestPart

    /// Called on the event loop when an exchange is over: true when the connection can carry another.
    var exchangeEnded: ((Bool) -> Void)?

    private let headerLimit: Int
    private let isHTTP2: Bool
    private var context: ChannelHandlerContext?
    private var exchange: ClientExchange?
    private var timer: LoopTimer?
    private var isReadHeld = false
    private var keepsAlive = false
    private var hasHead = false
    private var isWritten = false
    private var failure: (any Error)?

    init(headerLimit: Int, isHTTP2: Bool) {
        self.headerLimit = headerLimit
        self.isHTTP2 = isHTTP2
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        timer = LoopTimer(on: context.eventLoop) { [unowned self] in deadlinePassed() }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        closed()
        self.context = nil
    }

    // MARK: Sending

    func start(_ exchange: ClientExchange) {
        guard let context, context.channel.isActive, self.exchange == nil, failure == nil else {
            return exchange.fail(ExchangeFailure(error: .connectionClosed(.write), isUnsent: true))
        }
        // Cancelled on the way here.
        guard !exchange.response.isComplete else {
            context.close(promise: nil)
            return
        }
        self.exchange = exchange
        keepsAlive = false
        hasHead = false
        isWritten = false
        timer?.set(exchange.deadline)
        context.write(wrapOutboundOut(.head(exchange.head)), promise: nil)
        if let body = exchange.body { context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil) }
        let promise = context.eventLoop.makePromise(of: Void.self)
        promise.futureResult.assumeIsolated().whenSuccess { [self] in isWritten = true }
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: promise)
    }

    // MARK: Receiving

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            guard let exchange else { return context.close(promise: nil) }
            if head.status.code < 200, head.status.code != 101 { return }
            hasHead = true
            keepsAlive = isHTTP2 || head.isKeepAlive
            exchange.response.complete(.success(head))
        case .body(let bytes): exchange?.pipe.push(bytes)
        case .end(let trailers):
            guard hasHead, let exchange else { return }
            timer?.clear()
            self.exchange = nil
            let mayGoOn = keepsAlive && isWritten && context.channel.isActive
            // The connection is back in its pool before the reader learns of the end and asks for the next one.
            exchangeEnded?(mayGoOn)
            if !mayGoOn { context.close(promise: nil) }
            exchange.pipe.end(.end(trailers))
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

    // MARK: Ending

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // A close without notice after a response that is delimited by its length means nothing.
        if failure == nil { failure = error }
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        closed()
        context.fireChannelInactive()
    }

    /// Closes the connection if it still carries `exchange`: it may be back in its pool, or at the next one.
    func end(_ exchange: ClientExchange) {
        if self.exchange === exchange { context?.close(promise: nil) }
    }

    private func deadlinePassed() {
        exchange?.fail(ExchangeFailure(error: .deadlineExceeded(hasHead ? .body : .head)))
        context?.close(promise: nil)
    }

    private func closed() {
        timer?.stop()
        guard let exchange else { return }
        self.exchange = nil
        let phase: HTTPClientError.Phase = hasHead ? .body : .head
        var error = HTTPClientError.connectionClosed(phase)
        if let failure { error = HTTPClientError(failure, in: phase, headerLimit: headerLimit) }
        var isStale = false
        if case .connectionClosed = error { isStale = exchange.isReused && !hasHead }
        exchangeEnded?(false)
        exchange.fail(ExchangeFailure(error: error, isStale: isStale))
    }
}
