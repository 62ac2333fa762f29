package import AlloySyntax
package import ComponentKit
import Essentials
import Synchronization
import Telemetry
import TextFormats
import Transport
import Wire

/// Tells Jaeger's clients and the OpenTelemetry SDKs how to sample: a sampling manager over gRPC and HTTP.
///
/// jaegertracing.io, "APIs", "Remote Sampling Configuration": `jaeger.api_v2.SamplingManager`, and `GET /sampling` and
/// `GET /api/sampling` with the query `service=NAME`. Over HTTP the kind of a strategy is written by name, as Jaeger does
/// and its clients expect, where the OpenTelemetry Collector's extension writes a number.
package final class OtelcolExtensionJaegerRemoteSampling: ListeningComponent {
    package static let spec = ComponentSpec(
        "otelcol.extension.jaeger_remote_sampling", .generallyAvailable,
        "Serves sampling strategies to clients of Jaeger's remote sampling.")

    package struct Arguments: Block, Sendable {
        let listening: Listening
        let source: StrategySourceArguments

        package init(from block: inout BlockReader) {
            let grpc: GRPC? = block.optionalBlock("grpc", "Serves strategies over gRPC.")
            let http: HTTP? = block.optionalBlock("http", "Serves strategies over HTTP.")
            source = block.requiredBlock("source", "Where strategies come from.")
            DebugMetrics.read(from: &block)
            if grpc == nil, http == nil { block.reject("http or grpc must be given to serve the strategies") }
            listening = Listening(grpc: grpc?.server, http: http?.server)
        }
    }

    /// What a change of binds anew.
    struct Listening: Sendable, Equatable {
        var grpc: GRPCServerArguments?
        var http: HTTPServerArguments?
    }

    private struct GRPC: Block, Sendable {
        let server: GRPCServerArguments
        init(from block: inout BlockReader) {
            server = GRPCServerArguments(from: &block, endpoint: "0.0.0.0:14250")
        }
    }

    private struct HTTP: Block, Sendable {
        let server: HTTPServerArguments
        init(from block: inout BlockReader) {
            server = HTTPServerArguments(from: &block, endpoint: "0.0.0.0:5778")
        }
    }

    package struct DebugInfo: WritableBlock {
        var grpc = ""
        var http = ""
        package static let placeholder = DebugInfo()

        package func write(to block: inout BlockWriter) {
            block.attribute("grpc_address", grpc, "Address calls are answered at.")
            block.attribute("http_address", http, "Address requests are answered at.")
        }
    }

    private let arguments: Live<Arguments>
    private let context: Context<NoValues>
    private let grpcAddress = BoundAddress()
    private let httpAddress = BoundAddress()
    /// Nil until the first source has been read.
    private let source = Mutex<(any StrategySource)?>(nil)

    package init(_ arguments: Live<Arguments>, _ context: Context<NoValues>) throws {
        self.arguments = arguments
        self.context = context
    }

    package var debugInfo: DebugInfo { DebugInfo(grpc: grpcAddress.text, http: httpAddress.text) }

    /// Serves until cancelled. A change of the servers binds anew, one of the source applies to the next request.
    package func run() async throws {
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { [self] in
                    try await arguments.whileCurrent(\.source) { [self] settings in try await keep(settings) }
                }
                group.addTask { [self] in
                    try await arguments.whileCurrent(\.listening) { [self] listening in try await serve(listening) }
                }
                defer { group.cancelAll() }
                try await group.next()
            }
        } catch let error as SamplingDocumentError {
            // The servers may have said meanwhile that they listen.
            context.report(.unhealthy("\(error)"))
            throw error
        }
    }

    // MARK: Source

    private func keep(_ settings: StrategySourceArguments) async throws {
        switch settings.source {
        case .document(let document):
            use(document)
            try await waitForCancellation()
        case .file(let path): try await follow(path, settings.reloadInterval)
        case .remote(let client):
            let remote = RemoteStrategies(
                client, keeping: settings.reloadInterval, on: context.services.eventLoops, clock: context.clock)
            defer { remote.shutDown() }
            source.withLock { $0 = remote }
            try await waitForCancellation()
        }
    }

    private func use(_ document: SamplingDocument) {
        for warning in document.warnings {
            context.log.warn("Part of the sampling document has no effect", nil, ["reason": warning])
        }
        source.withLock { $0 = document }
    }

    /// Serves the document of a file or URL, read again at the interval; a later document that cannot be read leaves the
    /// one before in use.
    private func follow(_ path: String, _ interval: Duration) async throws {
        let file = DocumentFile(path, context.services)
        defer { file.shutDown() }
        var text: String
        do {
            text = try await file.read()
            use(try SamplingDocument(parsing: text))
        } catch {
            try Task.checkCancellation()
            throw SamplingDocumentError("cannot read the sampling document: \(error)")
        }
        guard interval > .zero else { return try await waitForCancellation() }
        while true {
            try await context.clock.sleep(for: interval)
            do {
                let next = try await file.read()
                if next == text { continue }
                use(try SamplingDocument(parsing: next))
                text = next
                context.log.info("Updated sampling strategies", nil, ["file": path])
            } catch {
                try Task.checkCancellation()
                context.log.error("Failed to read the sampling document again", error, ["file": path])
            }
        }
    }

    private func strategy(
        for service: String, _ client: OTLPClient?
    ) async throws(GRPCStatus) -> SamplingStrategy {
        guard let source = source.withLock({ $0 }) else {
            throw GRPCStatus(.unavailable, "the sampling document is not read yet")
        }
        return try await source.strategy(for: service, client: client)
    }

    // MARK: Servers

    private func serve(_ listening: Listening) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            if let grpc = listening.grpc {
                group.addTask { [self] in
                    try await context.listen(grpc.settings, service(grpc).router, at: grpcAddress)
                }
            }
            if let http = listening.http {
                group.addTask { [self] in try await context.listen(http.settings, router(http), at: httpAddress) }
            }
            defer { group.cancelAll() }
            while try await group.next() != nil {}
        }
    }

    private func service(_ settings: GRPCServerArguments) -> GRPCService {
        var service = settings.service(memory: context.memory)
        service.on(SamplingStrategy.method) { [weak self] request throws(GRPCStatus) in
            guard let self else { throw GRPCStatus(.unavailable, "stopped") }
            let client = try await settings.client(of: request)
            let name: String
            do throws(ProtobufError) {
                name = try request.message.withRawBytes { bytes throws(ProtobufError) in
                    try SamplingStrategy.service(inRequest: bytes)
                }
            } catch {
                throw GRPCStatus(.internal, "grpc: error unmarshalling request: \(error)")
            }
            return try await self.strategy(for: name, client).protobuf
        }
        return service
    }

    private func router(_ settings: HTTPServerArguments) -> HTTPRouter {
        var router = HTTPRouter()
        router.otherwise { [weak self] request in
            try await settings.answer(request) { client in
                guard let self else { return .text(.serviceUnavailable, "stopped\n") }
                return await self.answer(request, client)
            }
        }
        return router
    }

    private func answer(_ request: HTTPServerRequest, _ client: OTLPClient?) async -> HTTPServerResponse {
        guard request.path == "/sampling" || request.path == "/api/sampling" else {
            return .text(.notFound, "404 page not found\n")
        }
        guard request.method == .get || request.method == .head else {
            return .text(.methodNotAllowed, "405 method not allowed, supported: [GET]\n")
        }
        guard let name = request.query["service"], !name.isEmpty else {
            return .text(.badRequest, "'service' parameter must be provided\n")
        }
        do throws(GRPCStatus) {
            let strategy = try await strategy(for: name, client)
            return .json(.ok, Array(JSONWriter().text(strategy.json).utf8))
        } catch {
            return .text(
                .internalServerError, "failed to get sampling strategy for service \"\(name)\": \(error.message)\n")
        }
    }
}

/// A sampling document in a file, or behind a URL of HTTP.
private struct DocumentFile {
    /// Bytes of the largest document.
    private static let maximumSize = ByteCount.mebibytes(16)

    private let path: String
    private let url: HTTPURL?
    private let client: HTTPClient
    private let blocking: BlockingPool

    init(_ path: String, _ services: EngineServices) {
        self.path = path
        url = path.hasPrefix("http://") || path.hasPrefix("https://") ? HTTPURL(path) : nil
        var settings = HTTPClientSettings()
        settings.requestTimeout = .seconds(1)
        settings.maximumBodyBytes = Self.maximumSize
        client = HTTPClient(settings, on: services.eventLoops, clock: services.clock)
        blocking = services.blocking
    }

    func shutDown() { client.shutDown() }

    /// The text of the document; a server that is unavailable says nothing.
    func read() async throws -> String {
        guard let url else {
            let path = path
            return try await blocking.run { try Files.readText(path, limit: Self.maximumSize) }
        }
        let response = try await client.send(HTTPClientRequest(.get, url))
        let body = try await response.collect()
        if response.status == .serviceUnavailable { return "null" }
        guard response.status.code == 200 else {
            throw SamplingDocumentError("the server answered with \(response.status)")
        }
        return String(decoding: body, as: UTF8.self)
    }
}
