import Essentials
import Glibc
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// Serves HTTP/1.1 (RFC 9112) and HTTP/2 (RFC 9113) on one address.
///
/// A connection is one task that answers its requests in turn; a stream of HTTP/2 is one task each. Nothing is read
/// from a socket faster than its route takes it, and nothing is buffered towards a client that does not read.
package final class HTTPServer: Sendable {
    /// The address bound, with the real port when 0 was asked for.
    package let address: SocketAddress

    let settings: HTTPServerSettings
    let observer: any TransportObserver
    private let log: @Sendable (String) -> Void
    private let listener: any Channel
    private let connections: ConnectionRegistry
    private let streams: Inlet<Inlet<ServerExchange>>
    private let live: Mutex<Live>
    /// Ends the drain, once one has begun.
    private let drainDeadline = Mutex<Scheduled<Void>?>(nil)

    struct Live: Sendable {
        var router: HTTPRouter
        var authentication: HTTPServerAuthentication?
        var tls: TLSContextSource?
        var tlsSettings: TLSServerSettings?
    }

    private init(
        address: SocketAddress, settings: HTTPServerSettings, observer: any TransportObserver, listener: any Channel,
        connections: ConnectionRegistry, streams: Inlet<Inlet<ServerExchange>>, live: Live,
        log: @escaping @Sendable (String) -> Void
    ) {
        self.address = address
        self.settings = settings
        self.observer = observer
        self.listener = listener
        self.connections = connections
        self.streams = streams
        self.live = Mutex(live)
        self.log = log
    }

    deinit { listener.close(promise: nil) }

    /// Binds the address and loads the certificates; requests are answered from `run` on.
    ///
    /// `onFailure` is told about requests whose route threw, with a text for the log.
    package static func bind(
        _ settings: HTTPServerSettings, router: HTTPRouter, on loops: EventLoops,
        observer: any TransportObserver = SilentObserver(),
        onFailure: @escaping @Sendable (String) -> Void = { _ in }
    ) async throws(TransportError) -> HTTPServer {
        let connections = ConnectionRegistry(limit: settings.maximumConnections, observer: observer)
        let streams = Inlet<Inlet<ServerExchange>>()
        let tls = settings.tls.map { Self.contextSource($0, settings, observer) }
        do {
            if let tls { _ = try await loops.runBlocking { try tls.current() } }
        } catch {
            throw .tls("\(error)")
        }
        let holder = ServerHolder()
        let setup = ServerChannelSetup(
            settings: settings, observer: observer, streams: streams, connections: connections, holder: holder,
            unread: loops.unread)
        let bootstrap = ServerBootstrap(group: loops.group)
            .serverChannelOption(.backlog, value: 4_096)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelOption(.maxMessagesPerRead, value: settings.maximumConnections == nil ? UInt(16) : UInt(1))
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(AcceptGateHandler(connections))
                }
            }
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try setup.configure(channel) }
            }
        let channel = try await bindListener(bootstrap, settings.address)
        let live = Live(
            router: router, authentication: settings.authentication, tls: tls, tlsSettings: settings.tls)
        let server = HTTPServer(
            address: boundAddress(channel, settings.address), settings: settings, observer: observer,
            listener: channel, connections: connections, streams: streams, live: live, log: onFailure)
        holder.set(server)
        return server
    }

    private static func contextSource(
        _ tls: TLSServerSettings, _ settings: HTTPServerSettings, _ observer: any TransportObserver
    ) -> TLSContextSource {
        TLSContextSource(server: tls, protocols: settings.isHTTP2Enabled ? ["h2", "http/1.1"] : ["http/1.1"]) {
            observer.connectionFailed(.certificateReload)
        }
    }

    // MARK: Changing a running server

    /// Replaces the routes; requests under way end with the old ones.
    package func replaceRouter(_ router: HTTPRouter) { live.withLock { $0.router = router } }

    /// Replaces the credentials demanded.
    package func replaceAuthentication(_ authentication: HTTPServerAuthentication?) {
        live.withLock { $0.authentication = authentication }
    }

    /// Replaces the certificates for connections accepted from now on. Turning TLS on or off is possible too.
    package func replaceTLS(_ tls: TLSServerSettings?) throws(TransportError) {
        let source = tls.map { Self.contextSource($0, settings, observer) }
        do {
            _ = try source?.current()
        } catch {
            throw .tls("\(error)")
        }
        live.withLock {
            $0.tls = source
            $0.tlsSettings = tls
        }
    }

    /// Connections open now.
    package var openConnections: Int { connections.count }

    func tlsForNewConnection() throws -> (TLSContextSource.Current, TLSClientAuthentication)? {
        let (source, settings) = live.withLock { ($0.tls, $0.tlsSettings) }
        guard let source, let settings else { return nil }
        return (try source.current(), settings.clientAuthentication)
    }

    // MARK: Running

    /// Answers requests until the task is cancelled, then stops accepting, lets requests under way finish for
    /// `shutdownTimeout` and closes what is left. Routes run on `executor` when it is given.
    package func run(on executor: (any TaskExecutor)? = nil) async {
        // Requests under way must outlive the cancellation of the caller for the time of the drain; a child task
        // would be cancelled with it. This task is awaited below and ends with the server.
        let serving = Task(executorPreference: executor) { await self.serve() }
        await withTaskCancellationHandler {
            await serving.value
        } onCancel: {
            quiesce(then: serving)
        }
        drainDeadline.withLock { $0?.cancel() }
        try? await listener.closeFuture.get()
    }

    private func quiesce(then serving: Task<Void, Never>) {
        let deadline = listener.eventLoop.scheduleTask(in: settings.shutdownTimeout.timeAmount) { [connections] in
            connections.closeAll()
            serving.cancel()
        }
        drainDeadline.withLock { $0 = deadline }
        // Nobody is sent away before newcomers are refused.
        listener.close(promise: nil)
        listener.closeFuture.whenComplete { [connections, streams] _ in
            connections.quiesce()
            // Routes that have not noticed that their client is gone have until the deadline.
            connections.whenEmpty { streams.finish() }
        }
    }

    private func serve() async {
        await withDiscardingTaskGroup { group in
            while let stream = await streams.next() {
                group.addTask { await self.answer(stream) }
            }
        }
    }

    private func answer(_ stream: Inlet<ServerExchange>) async {
        while let exchange = await stream.next() { await answer(exchange) }
    }

    private func answer(_ exchange: ServerExchange) async {
        let (router, authentication) = live.withLock { ($0.router, $0.authentication) }
        var request = HTTPServerRequest(exchange, maximumBodyBytes: settings.maximumBodyBytes.bytes)
        var pattern = ""
        let response: HTTPServerResponse
        if let authentication, authentication.isRequired(for: request.path),
            !authentication.accepts(request.fields["authorization"])
        {
            response = .init(
                .unauthorized,
                fields: [
                    "www-authenticate": "Basic realm=\"Restricted\"", "content-type": "text/plain; charset=utf-8",
                ],
                body: .bytes(Array("Unauthorized\n".utf8)))
        } else {
            switch router.match(request.method, rawPath: request.rawPath) {
            case .route(let route, let matched, let parameters):
                pattern = matched
                request.parameters = parameters
                response = await answer(request, with: route)
            case .methodNotAllowed(let allowed):
                response = .init(
                    .methodNotAllowed, fields: ["allow": allowed.map(\.name).joined(separator: ", ")])
            case .none:
                response = .text(.notFound, "404 page not found\n")
            }
        }
        await send(response, exchange)
        observer.requestFinished(
            RequestOutcome(
                method: request.method, route: pattern, status: response.status,
                duration: ContinuousClock.now - exchange.started))
    }

    private func answer(_ request: HTTPServerRequest, with route: HTTPRouter.Route) async -> HTTPServerResponse {
        do {
            return try await route(request)
        } catch let error as HTTPBodyError {
            var response = HTTPServerResponse.text(error.status, "\(error)\n")
            if error == .outOfMemory { response.fields["retry-after"] = "1" }
            return response
        } catch {
            log("\(request.method) \(request.rawPath): \(error)")
            return .text(error is CancellationError ? .serviceUnavailable : .internalServerError, "internal error\n")
        }
    }

    private func send(_ response: HTTPServerResponse, _ exchange: ServerExchange) async {
        var fields = response.fields
        if !fields.contains("date") { fields["date"] = HTTPDate.now() }
        let isBodiless =
            exchange.head.method == .HEAD || response.status.code == 204 || response.status.code == 304
            || response.status.code < 200
        let mayHaveLength = response.status.code >= 200 && response.status.code != 204 && response.status.code != 304
        do {
            if let trailers = response.trailers, exchange.isHTTP2, !isBodiless {
                var body: ByteBuffer?
                if case .bytes(let bytes) = response.body, !bytes.isEmpty { body = ByteBuffer(bytes: bytes) }
                return try await exchange.respond(
                    head(response.status, fields, exchange), body, trailers: trailers.storage)
            }
            switch response.body {
            case .empty:
                if mayHaveLength, !fields.contains("content-length") { fields["content-length"] = "0" }
                try await exchange.respond(head(response.status, fields, exchange), nil)
            case .bytes(let bytes):
                if mayHaveLength { fields["content-length"] = "\(bytes.count)" }
                let body = isBodiless || bytes.isEmpty ? nil : ByteBuffer(bytes: bytes)
                try await exchange.respond(head(response.status, fields, exchange), body)
            case .stream(let write):
                if isBodiless {
                    try await exchange.respond(head(response.status, fields, exchange), nil)
                } else {
                    try await exchange.writeHead(head(response.status, fields, exchange))
                    try await write(HTTPBodyWriter(exchange: exchange))
                    try await exchange.finish()
                }
            }
        } catch {
            exchange.abort()
        }
    }

    private func head(_ status: HTTPStatus, _ fields: HTTPFields, _ exchange: ServerExchange) -> HTTPResponseHead {
        // A client of HTTP/1.0 knows no chunks: its version in the answer makes the end of the body the end of the
        // connection.
        let version = exchange.isHTTP2 ? .http1_1 : exchange.head.version
        return HTTPResponseHead(version: version, status: status.nio, headers: fields.storage)
    }
}

/// The date of responses (RFC 9110, 5.6.7), in the one form servers send.
enum HTTPDate {
    static func now() -> String {
        var now = time(nil)
        var parts = tm()
        gmtime_r(&now, &parts)
        return format(parts)
    }

    static func format(_ parts: tm) -> String {
        let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        func two(_ value: Int32) -> String { value < 10 ? "0\(value)" : "\(value)" }
        let day = days[Int(parts.tm_wday) % 7]
        let month = months[Int(parts.tm_mon) % 12]
        let clock = "\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))"
        return "\(day), \(two(parts.tm_mday)) \(month) \(parts.tm_year + 1900) \(clock) GMT"
    }
}
