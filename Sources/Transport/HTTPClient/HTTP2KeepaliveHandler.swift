import NIOCore
import NIOHTTP2

/// Pings a silent HTTP/2 server and closes the connection when it does not answer.
///
/// Frames of streams do not pass here, so that silence is told by the bytes below: a ping in the middle of a busy
/// connection is harmless, and sent once per interval at most.
final class HTTP2KeepaliveHandler: ChannelInboundHandler {
    typealias InboundIn = HTTP2Frame
    typealias OutboundOut = HTTP2Frame

    private static let mark: UInt64 = 0x696E_7661_7221

    private let settings: HTTP2Keepalive
    private let timer: LoopTimer
    private let end: Owner
    private var streams = 0
    private var isWaiting = false

    /// Reaches the handler from the timer, which is made before it.
    private final class Owner {
        var context: ChannelHandlerContext?
        weak var handler: HTTP2KeepaliveHandler?
    }

    init(_ settings: HTTP2Keepalive, on eventLoop: any EventLoop) {
        let end = Owner()
        self.end = end
        self.settings = settings
        timer = LoopTimer(on: eventLoop) { end.handler?.expired() }
        end.handler = self
    }

    func handlerAdded(context: ChannelHandlerContext) {
        end.context = context
        timer.set(.after(settings.interval))
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        timer.stop()
        end.context = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if case .ping(_, ack: true) = unwrapInboundIn(data).payload {
            isWaiting = false
            timer.set(.after(settings.interval))
        }
        context.fireChannelRead(data)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is NIOHTTP2StreamCreatedEvent { streams += 1 }
        if event is StreamClosedEvent { streams = max(0, streams - 1) }
        context.fireUserInboundEventTriggered(event)
    }

    private func expired() {
        guard let context = end.context else { return }
        if isWaiting { return context.close(promise: nil) }
        guard settings.isWithoutStreams || streams > 0 else { return timer.set(.after(settings.interval)) }
        isWaiting = true
        let frame = HTTP2Frame(
            streamID: .rootStream, payload: .ping(HTTP2PingData(withInteger: Self.mark), ack: false))
        context.writeAndFlush(wrapOutboundOut(frame), promise: nil)
        timer.set(.after(settings.timeout))
    }
}
