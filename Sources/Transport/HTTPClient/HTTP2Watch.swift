import NIOCore
import NIOHTTP2
import Synchronization

/// Follows the settings of an HTTP/2 peer and whether it goes away.
final class HTTP2Watch: Sendable {
    private struct State {
        var maximumStreams = 100
        var isGoingAway = false
    }
    private let state = Mutex(State())

    var maximumStreams: Int { state.withLock { $0.maximumStreams } }
    var isGoingAway: Bool { state.withLock { $0.isGoingAway } }
    func setMaximumStreams(_ value: Int) { state.withLock { $0.maximumStreams = value } }
    func goAway() { state.withLock { $0.isGoingAway = true } }
}

final class HTTP2WatchHandler: ChannelInboundHandler {
    typealias InboundIn = HTTP2Frame

    private let watch: HTTP2Watch

    init(_ watch: HTTP2Watch) { self.watch = watch }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data).payload {
        case .settings(.settings(let settings)):
            for setting in settings where setting.parameter == .maxConcurrentStreams {
                watch.setMaximumStreams(setting.value)
            }
        case .goAway: watch.goAway()
        default: break
        }
        context.fireChannelRead(data)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if error is NIOHTTP2Errors.StreamError { return }
        watch.goAway()
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        watch.goAway()
        context.fireChannelInactive()
    }
}
