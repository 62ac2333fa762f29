import NIOCore
import NIOHTTP1
import Synchronization

/// One request and its response, shared by the channel's handler and the task that answers.
final class ServerExchange: Sendable {
    private struct State {
        var isContinueDue: Bool
        var isHeadSent = false
        var isFinished = false
        var trailers: HTTPHeaders?
        var failure: HTTPBodyError?
        var closeWaiter: UnsafeContinuation<Void, Never>?
        var isClosed = false
    }

    let head: HTTPRequestHead
    let pipe: ChunkPipe
    let remoteAddress: SocketAddress
    let isSecure: Bool
    let isHTTP2: Bool
    let started = ContinuousClock.now
    private let eventLoop: any EventLoop
    private let handler: NIOLoopBound<ServerChannelHandler>
    private let state: Mutex<State>

    init(_ head: HTTPRequestHead, _ handler: ServerChannelHandler, on channel: any Channel, isSecure: Bool) {
        self.head = head
        self.isSecure = isSecure
        isHTTP2 = handler.isHTTP2
        eventLoop = channel.eventLoop
        // A stream of HTTP/2 reports the address of its connection through the parent.
        remoteAddress = SocketAddress(channel.remoteAddress ?? channel.parent?.remoteAddress)
        let bound = NIOLoopBound(handler, eventLoop: channel.eventLoop)
        self.handler = bound
        let eventLoop = channel.eventLoop
        pipe = ChunkPipe(bookedOn: handler.unread) { eventLoop.execute { bound.value.resumeReading() } }
        let isContinueDue =
            head.version == .http1_1 && !handler.isHTTP2
            && head.headers.first(name: "expect")?.lowercased() == "100-continue"
        state = Mutex(State(isContinueDue: isContinueDue))
    }

    // MARK: Reading

    /// The next bytes of the body; tells a client that waits for it to go on.
    func nextChunk() async throws -> ByteBuffer? {
        let isDue = state.withLock { state in
            defer { state.isContinueDue = false }
            return state.isContinueDue && !state.isHeadSent
        }
        if isDue { eventLoop.execute { [self] in handler.value.writeContinue(for: self) } }
        return try await pipe.next()
    }

    var readFailure: HTTPBodyError? { state.withLock { $0.failure } }

    func note(_ failure: HTTPBodyError) { state.withLock { $0.failure = failure } }

    // MARK: Writing

    var isHeadSent: Bool { state.withLock { $0.isHeadSent } }

    func setTrailers(_ trailers: HTTPHeaders) { state.withLock { $0.trailers = trailers } }

    /// Sends head, bytes and end in one go.
    func respond(_ head: HTTPResponseHead, _ body: ByteBuffer?, trailers: HTTPHeaders? = nil) async throws {
        let closes = beginHead()
        try await onLoop { handler, promise in
            handler.respond(self, head, body, trailers, closes: closes, promise: promise)
        }
    }

    /// Sends the head of a streamed response.
    func writeHead(_ head: HTTPResponseHead) async throws {
        let closes = beginHead()
        try await onLoop { handler, promise in
            handler.writeHead(self, head, closes: closes, promise: promise)
        }
    }

    func writeBody(_ bytes: ByteBuffer) async throws {
        try Task.checkCancellation()
        try await onLoop { handler, promise in handler.writeBody(self, bytes, promise: promise) }
    }

    func finish() async throws {
        let trailers = state.withLock { $0.trailers }
        try await onLoop { handler, promise in handler.finish(self, trailers: trailers, promise: promise) }
    }

    /// Breaks the response off: the connection, or the HTTP/2 stream, is closed.
    func abort() {
        eventLoop.execute { [self] in handler.value.abort(self) }
    }

    /// True when the connection cannot go on after this response: a client was promised that its body is not read.
    private func beginHead() -> Bool {
        state.withLock { state in
            state.isHeadSent = true
            return state.isContinueDue
        }
    }

    private func onLoop(
        _ body: @escaping @Sendable (ServerChannelHandler, EventLoopPromise<Void>) -> Void
    ) async throws {
        let promise = eventLoop.makePromise(of: Void.self)
        eventLoop.execute { [self] in body(handler.value, promise) }
        try await withTaskCancellationHandler {
            try await promise.futureResult.get()
        } onCancel: {
            abort()
        }
    }

    // MARK: The end

    /// The connection is gone.
    func close(_ error: any Error) {
        pipe.end(.failed(error))
        let waiter = state.withLock { state in
            state.isClosed = true
            defer { state.closeWaiter = nil }
            return state.closeWaiter
        }
        waiter?.resume()
    }

    func waitForClose() async {
        await withTaskCancellationHandler {
            await withUnsafeContinuation { (continuation: UnsafeContinuation<Void, Never>) in
                let isOver = state.withLock { state in
                    if state.isClosed || state.closeWaiter != nil || Task.isCancelled { return true }
                    state.closeWaiter = continuation
                    return false
                }
                if isOver { continuation.resume() }
            }
        } onCancel: {
            let waiter = state.withLock { state in
                defer { state.closeWaiter = nil }
                return state.closeWaiter
            }
            waiter?.resume()
        }
    }
}
