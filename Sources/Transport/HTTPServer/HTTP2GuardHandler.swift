import NIOCore
import NIOHTTP2

/// Ends an HTTP/2 connection whose protocol failed, or whose client neither uses it nor answers when asked to leave.
///
/// An idle connection is closed in order by the supervisor before it: GOAWAY, PING, and the end when the client has
/// answered. A client that does not answer is cut off here.
final class HTTP2GuardHandler: ChannelInboundHandler {
    typealias InboundIn = HTTP2Frame
    typealias OutboundOut = HTTP2Frame

    private static let longestAnswer: Duration = .seconds(10)

    private let patience: Duration?
    private let timer: LoopTimer
    private let end: ChannelEnd
    private var streams = 0
    private let pingPolicy: HTTP2PingPolicy?
    private var lastPing: NIODeadline?
    private var strikes = 0

    /// Reaches the channel from the timer, which is made before the handler has a context.
    private final class ChannelEnd { var context: ChannelHandlerContext? }

    init(
        on eventLoop: any EventLoop, idleTimeout: Duration?, answerTimeout: Duration?, pingPolicy: HTTP2PingPolicy?
    ) {
        self.pingPolicy = pingPolicy
        let end = ChannelEnd()
        self.end = end
        timer = LoopTimer(on: eventLoop) { end.context?.close(promise: nil) }
        if let idleTimeout, idleTimeout > .zero {
            let answer = answerTimeout.map { $0 > .zero ? min($0, Self.longestAnswer) : Self.longestAnswer }
            patience = idleTimeout + (answer ?? Self.longestAnswer)
        } else {
            patience = nil
        }
    }

    func handlerAdded(context: ChannelHandlerContext) {
        end.context = context
        timer.set(.after(patience))
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        timer.stop()
        end.context = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if case .ping(_, ack: false) = unwrapInboundIn(data).payload { pinged(context) }
        context.fireChannelRead(data)
    }

    /// Three pings too early, with nothing asked in between, end the connection, as in gRPC's servers.
    private func pinged(_ context: ChannelHandlerContext) {
        guard let pingPolicy else { return }
        let now = NIODeadline.now()
        let least: TimeAmount =
            streams == 0 && !pingPolicy.permitsWithoutStreams ? .hours(2) : pingPolicy.minimumInterval.timeAmount
        if let lastPing, now < lastPing + least { strikes += 1 }
        lastPing = now
        guard strikes > 2 else { return }
        let reason = ByteBuffer(string: "too_many_pings")
        let frame = HTTP2Frame(
            streamID: .rootStream,
            payload: .goAway(lastStreamID: .maxID, errorCode: .enhanceYourCalm, opaqueData: reason))
        let bound = context.loopBound
        context.writeAndFlush(wrapOutboundOut(frame)).whenComplete { _ in bound.value.close(promise: nil) }
    }

    func streamOpened() {
        strikes = 0
        lastPing = nil
        streams += 1
        timer.clear()
    }

    func streamClosed() {
        streams -= 1
        if streams == 0 { timer.set(.after(patience)) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // A stream's own error ends the stream only.
        if error is NIOHTTP2Errors.StreamError { return }
        context.close(promise: nil)
    }
}

/// Tells the supervisor and the guard of a connection about its streams; called on the connection's event loop.
struct HTTP2StreamCount: NIOHTTP2StreamDelegate {
    private let supervisor: NIOHTTP2ServerConnectionManagementHandler.HTTP2StreamDelegate
    private let guardian: NIOLoopBound<HTTP2GuardHandler>

    init(
        _ supervisor: NIOHTTP2ServerConnectionManagementHandler.HTTP2StreamDelegate, _ guardian: HTTP2GuardHandler,
        on eventLoop: any EventLoop
    ) {
        self.supervisor = supervisor
        self.guardian = NIOLoopBound(guardian, eventLoop: eventLoop)
    }

    func streamCreated(_ id: HTTP2StreamID, channel: any Channel) {
        supervisor.streamCreated(id, channel: channel)
        guardian.value.streamOpened()
    }

    func streamClosed(_ id: HTTP2StreamID, channel: any Channel) {
        supervisor.streamClosed(id, channel: channel)
        guardian.value.streamClosed()
    }
}
