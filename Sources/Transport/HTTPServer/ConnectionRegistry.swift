import NIOCore
import Synchronization

/// The open connections of one listener: their count, their limit, and the way to end them.
final class ConnectionRegistry: Sendable {
    private struct State {
        var channels: [ObjectIdentifier: any Channel] = [:]
        var isQuiescing = false
        var whenEmpty: (@Sendable () -> Void)?
        var resumeAccepting: (@Sendable () -> Void)?
    }

    private let state = Mutex(State())
    private let limit: Int?
    let observer: any TransportObserver

    init(limit: Int?, observer: any TransportObserver) {
        self.limit = limit
        self.observer = observer
    }

    var count: Int { state.withLock { $0.channels.count } }

    /// Keeps a connection until it closes; one accepted while the listener stops is closed at once.
    func add(_ channel: any Channel) {
        let id = ObjectIdentifier(channel)
        let isRefused = state.withLock { state in
            state.channels[id] = channel
            return state.isQuiescing
        }
        observer.connectionOpened()
        channel.closeFuture.whenComplete { [self] _ in remove(id) }
        if isRefused { channel.close(promise: nil) }
    }

    private func remove(_ id: ObjectIdentifier) {
        observer.connectionClosed()
        let (resume, empty) = state.withLock { state -> ((@Sendable () -> Void)?, (@Sendable () -> Void)?) in
            state.channels[id] = nil
            let resume = state.resumeAccepting
            state.resumeAccepting = nil
            guard state.channels.isEmpty, let whenEmpty = state.whenEmpty else { return (resume, nil) }
            state.whenEmpty = nil
            return (resume, whenEmpty)
        }
        resume?()
        empty?()
    }

    /// Whether another connection may be accepted; if not, `resume` is called when one has closed.
    func mayAccept(resume: @escaping @Sendable () -> Void) -> Bool {
        guard let limit, limit > 0 else { return true }
        return state.withLock { state in
            if state.channels.count < limit { return true }
            state.resumeAccepting = resume
            return false
        }
    }

    /// Asks every connection to end after its current request.
    func quiesce() {
        let channels = state.withLock { state in
            state.isQuiescing = true
            return Array(state.channels.values)
        }
        for channel in channels {
            channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
        }
    }

    /// Calls `body` once there are no connections.
    func whenEmpty(_ body: @escaping @Sendable () -> Void) {
        let isEmpty = state.withLock { state in
            if state.channels.isEmpty { return true }
            state.whenEmpty = body
            return false
        }
        if isEmpty { body() }
    }

    func closeAll() {
        for channel in state.withLock({ Array($0.channels.values) }) { channel.close(promise: nil) }
    }
}

/// Stops accepting at the connection limit: further clients wait in the kernel's backlog, as Go's limited listener.
final class AcceptGateHandler: ChannelDuplexHandler {
    typealias InboundIn = any Channel
    typealias OutboundIn = any Channel

    private let connections: ConnectionRegistry

    init(_ connections: ConnectionRegistry) { self.connections = connections }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        // Counted here, before the child's own event loop has set it up, so that the limit is exact.
        connections.add(unwrapInboundIn(data))
        context.fireChannelRead(data)
    }

    func read(context: ChannelHandlerContext) {
        let bound = context.loopBound
        let eventLoop = context.eventLoop
        if connections.mayAccept(resume: { eventLoop.execute { bound.value.read() } }) { context.read() }
    }
}
