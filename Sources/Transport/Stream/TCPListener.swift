import NIOCore
import NIOPosix

/// Accepts stream connections on one address.
package final class TCPListener: Sendable {
    /// The address bound, with the real port when 0 was asked for.
    package let address: SocketAddress

    private let listener: any Channel
    private let connections: ConnectionRegistry
    private let accepted: Inlet<TCPConnection>

    private init(
        address: SocketAddress, listener: any Channel, connections: ConnectionRegistry, accepted: Inlet<TCPConnection>
    ) {
        self.address = address
        self.listener = listener
        self.connections = connections
        self.accepted = accepted
    }

    deinit { listener.close(promise: nil) }

    /// Binds the address.
    ///
    /// At `maximumConnections` further clients wait in the kernel's backlog. A connection that is silent for
    /// `idleTimeout`, or does not finish its TLS handshake in that time, ends with `TransportError.timeout`.
    package static func bind(
        _ address: SocketAddress, on loops: EventLoops, tls: TLSServerSettings? = nil,
        maximumConnections: Int? = nil, idleTimeout: Duration? = nil,
        observer: any TransportObserver = SilentObserver()
    ) async throws(TransportError) -> TCPListener {
        let connections = ConnectionRegistry(limit: maximumConnections, observer: observer)
        let accepted = Inlet<TCPConnection>()
        let source = tls.map { settings in
            TLSContextSource(server: settings, protocols: []) { observer.connectionFailed(.certificateReload) }
        }
        do {
            if let source { _ = try await loops.runBlocking { try source.current() } }
        } catch {
            throw .tls("\(error)")
        }
        let authentication = tls?.clientAuthentication ?? .none
        let bootstrap = ServerBootstrap(group: loops.group)
            .serverChannelOption(.backlog, value: 4_096)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelOption(.maxMessagesPerRead, value: maximumConnections == nil ? UInt(16) : UInt(1))
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(AcceptGateHandler(connections))
                }
            }
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let context = try source?.current().context
                    try configureAcceptedStream(
                        channel, tls: context, authentication: authentication, idleTimeout: idleTimeout,
                        unread: loops.unread
                    ) { connection in
                        if !accepted.push(connection) { connection.close() }
                    }
                }
            }
        let channel = try await bindListener(bootstrap, address)
        return TCPListener(
            address: boundAddress(channel, address), listener: channel, connections: connections, accepted: accepted)
    }

    /// Connections open now.
    package var openConnections: Int { connections.count }

    /// Runs `serve` for every connection, each in a child task, until the task is cancelled.
    ///
    /// A connection is closed when its `serve` returns. On cancellation the listener and every connection are closed,
    /// and this returns when every `serve` has and the address is free.
    package func forEachConnection(_ serve: @escaping @Sendable (TCPConnection) async -> Void) async {
        await withTaskCancellationHandler {
            await withDiscardingTaskGroup { group in
                while let connection = await accepted.next() {
                    group.addTask {
                        await serve(connection)
                        connection.close()
                    }
                }
            }
        } onCancel: {
            listener.close(promise: nil)
            accepted.finish()
            connections.quiesce()
            connections.closeAll()
        }
        // From here on a client is refused rather than accepted by the kernel and then reset.
        try? await listener.closeFuture.get()
    }
}
