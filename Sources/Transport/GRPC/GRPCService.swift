package import Essentials

/// A unary call as its handler sees it.
package struct GRPCRequest: Sendable {
    /// The method's path, such as `/opentelemetry.proto.collector.trace.v1.TraceService/Export`.
    package let path: String
    /// The call's metadata: the header fields.
    package let metadata: HTTPFields
    /// The message, decompressed.
    package let message: [UInt8]
    package let remoteAddress: SocketAddress
    /// Time the client gives the call; nil is without limit.
    package let timeout: Duration?
}

/// Serves unary gRPC calls on an ``HTTPServer``, which speaks HTTP/2 over TLS or by prior knowledge.
///
/// A thin layer over its routes: frames, compression, status and details. Streaming calls are not served: a request with
/// more than one message fails. Codes for what goes wrong before the handler are those of grpc-go.
package struct GRPCService: Sendable {
    package typealias Handler = @Sendable (GRPCRequest) async throws(GRPCStatus) -> [UInt8]

    /// Called with the metadata before the message is read; what it throws ends the call.
    package typealias Gate = @Sendable (HTTPFields) async throws(GRPCStatus) -> Void

    private var handlers: [String: Handler] = [:]
    private let maximumMessage: Int
    private let memory: MemoryAccount?
    private let gate: Gate?

    /// `maximumMessage` bounds a message in bytes, both as it comes and decompressed. Messages are booked in `memory`
    /// as they come, until the handler has answered; without room the call ends as unavailable.
    package init(maximumMessage: Int, memory: MemoryAccount? = nil, gate: Gate? = nil) {
        self.maximumMessage = maximumMessage
        self.memory = memory
        self.gate = gate
    }

    /// Adds a method by its path.
    package mutating func on(_ path: String, _ handler: @escaping Handler) { handlers[path] = handler }

    /// Routes for an ``HTTPServer`` that serves nothing else.
    package var router: HTTPRouter {
        var router = HTTPRouter()
        router.otherwise { [self] request in await answer(request) }
        return router
    }

    private func answer(_ request: HTTPServerRequest) async -> HTTPServerResponse {
        let type = request.mediaType
        guard request.majorVersion == 2, request.method == .post,
            type == "application/grpc" || type == "application/grpc+proto"
        else {
            return .text(.unsupportedMediaType, "this server speaks gRPC\n")
        }
        do throws(GRPCStatus) {
            let message = try await call(request)
            return response(GRPCStatus(.ok, ""), GRPCFrame.encode(message, isCompressed: false))
        } catch {
            return response(error, [])
        }
    }

    private func call(_ request: HTTPServerRequest) async throws(GRPCStatus) -> [UInt8] {
        guard let handler = handlers[request.rawPath] else {
            throw GRPCStatus(.unimplemented, "unknown method \(request.rawPath)")
        }
        if let gate { try await gate(request.fields) }
        guard let encoding = GRPCCompression(rawValue: request.fields["grpc-encoding"] ?? "identity") else {
            throw GRPCStatus(
                .unimplemented,
                "grpc: Decompressor is not installed for grpc-encoding \"\(request.fields["grpc-encoding"] ?? "")\"")
        }
        let lease = memory.map { MemoryLease($0) }
        defer { lease?.release() }
        var incoming = request.body
        incoming.lease = lease
        let body: [UInt8]
        do throws(HTTPBodyError) {
            body = try await incoming.collect(upTo: maximumMessage + GRPCFrame.headerCount)
        } catch {
            switch error {
            case .tooLarge: throw GRPCFrame.tooLarge(request.body.announcedLength ?? maximumMessage + 1, maximumMessage)
            case .outOfMemory: throw GRPCStatus(.unavailable, "\(error)")
            default: throw GRPCStatus(.internal, "\(error)")
            }
        }
        let message = try GRPCFrame.decode(body, encoding: encoding, limit: maximumMessage)
        guard lease?.grow(by: message.count - body.count) ?? true else {
            throw GRPCStatus(.unavailable, "\(HTTPBodyError.outOfMemory)")
        }
        return try await handler(
            GRPCRequest(
                path: request.rawPath, metadata: request.fields, message: message,
                remoteAddress: request.remoteAddress,
                timeout: request.fields["grpc-timeout"].flatMap(GRPCTimeout.decode)))
    }

    private func response(_ status: GRPCStatus, _ body: [UInt8]) -> HTTPServerResponse {
        var response = HTTPServerResponse(
            .ok, fields: ["content-type": "application/grpc", "grpc-accept-encoding": GRPCCompression.accepted])
        if !body.isEmpty { response.body = .bytes(body) }
        response.trailers = status.trailers
        return response
    }
}
