package import AlloySyntax
package import ComponentKit
package import Essentials
import Telemetry
import Transport
import Wire

/// Receives traces, metrics and logs over OTLP: gRPC, and HTTP with protobuf or JSON.
///
/// A request is answered when every consumer has taken its data. What they cannot take now is refused with 429 or 503
/// (`RESOURCE_EXHAUSTED`, `UNAVAILABLE`) and the time to come back; nothing is kept between requests.
package final class OtelcolReceiverOTLP: ListeningComponent {
    package static let spec = ComponentSpec(
        "otelcol.receiver.otlp", .generallyAvailable, "Receives traces, metrics and logs over OTLP.")

    package struct Arguments: Block, Sendable {
        let grpc: GRPC?
        let http: HTTP?
        let output: OTLPOutput

        package init(from block: inout BlockReader) {
            grpc = block.optionalBlock("grpc", "Receives over gRPC.")
            http = block.optionalBlock("http", "Receives over HTTP.")
            DebugMetrics.read(from: &block)
            output = block.requiredBlock("output", OTLPOutput.doc)
        }

        var listening: Listening { Listening(grpc: grpc?.server, http: http?.server) }
    }

    /// What a change of binds anew.
    struct Listening: Sendable, Equatable {
        var grpc: GRPCServerArguments?
        var http: HTTPServerArguments?
    }

    struct GRPC: Block, Sendable {
        let server: GRPCServerArguments
        init(from block: inout BlockReader) {
            server = GRPCServerArguments(from: &block, endpoint: "0.0.0.0:4317")
        }
    }

    struct HTTP: Block, Sendable {
        let server: HTTPServerArguments
        let paths: [OTLPBatch.Kind: String]

        init(from block: inout BlockReader) {
            server = HTTPServerArguments(from: &block, endpoint: "0.0.0.0:4318")
            var paths: [OTLPBatch.Kind: String] = [:]
            for (kind, name) in [
                (OTLPBatch.Kind.traces, "traces"), (.metrics, "metrics"), (.logs, "logs"),
            ] {
                let path = block.optional(
                    "\(name)_url_path", default: "/v1/\(name)", "Path \(name) are received at.")
                paths[kind] = path.hasPrefix("/") ? path : "/" + path
            }
            self.paths = paths
        }
    }

    package struct DebugInfo: WritableBlock {
        var grpc: String
        var http: String
        package static let placeholder = DebugInfo(grpc: "", http: "")

        package func write(to block: inout BlockWriter) {
            block.attribute("grpc_address", grpc, "Address the gRPC server listens on.")
            block.attribute("http_address", http, "Address the HTTP server listens on.")
        }
    }

    private let arguments: Live<Arguments>
    private let context: Context<NoValues>
    private let intake: OTLPIntake
    private let grpcAddress = BoundAddress()
    private let httpAddress = BoundAddress()

    package init(_ arguments: Live<Arguments>, _ context: Context<NoValues>) throws {
        self.arguments = arguments
        self.context = context
        intake = OTLPIntake(context) { arguments.current.output }
    }

    package var debugInfo: DebugInfo { DebugInfo(grpc: grpcAddress.text, http: httpAddress.text) }

    /// Listens until cancelled, then answers what is under way. A change of the servers binds anew; the rest applies to
    /// the next request.
    package func run() async throws {
        try await arguments.whileCurrent(\.listening) { [self] listening in try await serve(listening) }
    }

    private func serve(_ listening: Listening) async throws {
        var servers: [HTTPServer] = []
        let log = context.log
        do {
            if let grpc = listening.grpc {
                let server = try await HTTPServer.bind(
                    grpc.settings, router: service(grpc).router, on: context.services.eventLoops
                ) { log.error("Request failed", nil, [.error: $0]) }
                servers.append(server)
                grpcAddress.text = server.address.text
            }
            if let http = listening.http {
                let server = try await HTTPServer.bind(http.settings, router: router, on: context.services.eventLoops) {
                    log.error("Request failed", nil, [.error: $0])
                }
                servers.append(server)
                httpAddress.text = server.address.text
            }
        } catch {
            context.report(.unhealthy("cannot listen: \(error)"))
            throw error
        }
        context.log.info("Listening", nil, ["grpc": grpcAddress.text, "http": httpAddress.text])
        context.report(.healthy("listening on \(servers.map(\.address.text).joined(separator: " and "))"))
        await withTaskGroup(of: Void.self) { group in
            let executor = context.services.executor
            for server in servers { group.addTask { await server.run(on: executor) } }
            if servers.isEmpty { group.addTask { try? await waitForCancellation() } }
        }
        try Task.checkCancellation()
    }

    // MARK: HTTP

    private var router: HTTPRouter {
        var router = HTTPRouter()
        router.otherwise { [weak self] request in
            guard let self else { return .text(.serviceUnavailable, "stopped\n") }
            return try await self.answer(request)
        }
        return router
    }

    private func answer(_ request: HTTPServerRequest) async throws -> HTTPServerResponse {
        let current = arguments.current
        guard let http = current.http,
            let kind = http.paths.first(where: { $0.value == request.path })?.key, current.output.accepts(kind)
        else { return .text(.notFound, "404 page not found\n") }
        return try await http.server.answer(request) { client in
            guard request.method == .post else {
                return .text(.methodNotAllowed, "405 method not allowed, supported: [POST]\n")
            }
            return await intake.take(request, kind, client, http.server)
        }
    }

    // MARK: gRPC

    private func service(_ grpc: GRPCServerArguments) -> GRPCService {
        var service = grpc.service(memory: context.memory)
        for kind in OTLPBatch.Kind.allCases {
            service.on(kind.exportMethod) { [weak self] request throws(GRPCStatus) in
                guard let self, let grpc = self.arguments.current.grpc else {
                    throw GRPCStatus(.unavailable, "stopped")
                }
                guard self.arguments.current.output.accepts(kind) else {
                    throw GRPCStatus(.unimplemented, "unknown method \(request.path)")
                }
                let client = try await grpc.server.client(of: request)
                return try await self.intake.take(request, kind, client)
            }
        }
        return service
    }
}

extension OTLPBatch.Kind {
    /// The gRPC method that exports the signal.
    var exportMethod: String {
        switch self {
        case .traces: "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
        case .metrics: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
        case .logs: "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
        }
    }
}

extension OtelcolReceiverOTLP.Arguments: MemoryDemanding {
    /// One small request for each protocol, as it came and decoded.
    package var minimumMemory: ByteCount { .kibibytes(64 * ((grpc == nil ? 0 : 1) + (http == nil ? 0 : 1))) }
}
