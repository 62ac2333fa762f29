package import AlloySyntax
package import ComponentKit
import Essentials
import Telemetry
import Transport
import Wire

/// Receives spans of Jaeger clients and agents: over gRPC, over HTTP as Thrift, and in datagrams of both encodings of Thrift.
///
/// jaegertracing.io, "APIs": `collector.proto`, `jaeger.thrift`, `agent.thrift`.
package final class OtelcolReceiverJaeger: ListeningComponent {
    package static let spec = ComponentSpec(
        "otelcol.receiver.jaeger", .generallyAvailable, "Receives traces of Jaeger clients.")

    package struct Arguments: Block, Sendable {
        let protocols: JaegerProtocols
        let output: OTLPOutput

        package init(from block: inout BlockReader) {
            protocols = block.requiredBlock("protocols", "How spans are received; at least one way.")
            DebugMetrics.read(from: &block)
            output = block.requiredBlock("output", OTLPOutput.doc)
        }
    }

    package struct DebugInfo: WritableBlock {
        var grpc = ""
        var http = ""
        var binary = ""
        var compact = ""
        package static let placeholder = DebugInfo()

        package func write(to block: inout BlockWriter) {
            block.attribute("grpc_address", grpc, "Address calls are received at.")
            block.attribute("thrift_http_address", http, "Address requests are received at.")
            block.attribute(
                "thrift_binary_address", binary, "Address datagrams of the binary encoding are received at.")
            block.attribute(
                "thrift_compact_address", compact, "Address datagrams of the compact encoding are received at.")
        }
    }

    private struct Ways: Sendable {
        let grpc = BoundAddress()
        let http = BoundAddress()
        let binary = BoundAddress()
        let compact = BoundAddress()
    }

    private let arguments: Live<Arguments>
    private let context: Context<NoValues>
    private let grpc: ReceiverDelivery
    private let http: ReceiverDelivery
    private let binary: ReceiverDelivery
    private let compact: ReceiverDelivery
    private let addresses = Ways()
    private let warnings: LogLimiter

    package init(_ arguments: Live<Arguments>, _ context: Context<NoValues>) throws {
        self.arguments = arguments
        self.context = context
        func delivery(_ transport: String) -> ReceiverDelivery {
            ReceiverDelivery(context, transport: transport) { arguments.current.output }
        }
        grpc = delivery("grpc")
        http = delivery("collector_http")
        binary = delivery("udp_thrift_binary")
        compact = delivery("udp_thrift_compact")
        warnings = LogLimiter(every: .seconds(10), clock: context.clock)
    }

    package var debugInfo: DebugInfo {
        DebugInfo(
            grpc: addresses.grpc.text, http: addresses.http.text, binary: addresses.binary.text,
            compact: addresses.compact.text)
    }

    /// Listens until cancelled. A change of the protocols binds anew.
    package func run() async throws {
        try await arguments.whileCurrent(\.protocols) { [self] protocols in
            try await withThrowingTaskGroup(of: Void.self) { group in
                if let settings = protocols.grpc {
                    group.addTask { [self] in
                        try await context.listen(
                            settings.settings, service(settings).router, at: addresses.grpc)
                    }
                }
                if let settings = protocols.thriftHTTP {
                    group.addTask { [self] in
                        try await context.listen(settings.settings, router(settings), at: addresses.http)
                    }
                }
                if let settings = protocols.thriftBinary {
                    group.addTask { [self] in try await receive(settings, .binary, binary, addresses.binary) }
                }
                if let settings = protocols.thriftCompact {
                    group.addTask { [self] in try await receive(settings, .compact, compact, addresses.compact) }
                }
                defer { group.cancelAll() }
                while try await group.next() != nil {}
            }
        }
    }

    // MARK: gRPC

    private static let method = "/jaeger.api_v2.CollectorService/PostSpans"

    private func service(_ settings: GRPCServerArguments) -> GRPCService {
        var service = settings.service(memory: context.memory)
        service.on(Self.method) { [weak self] request throws(GRPCStatus) in
            guard let self else { throw GRPCStatus(.unavailable, "stopped") }
            let client = try await settings.client(of: request)
            let batch: OTLPBatch
            do throws(ProtobufError) {
                batch = try request.message.withRawBytes { bytes throws(ProtobufError) in
                    try JaegerBatch(postSpansRequest: bytes).traces(client: client)
                }
            } catch {
                throw GRPCStatus(.internal, "grpc: error unmarshalling request: \(error)")
            }
            do throws(DeliveryError) {
                try await self.grpc.offer(batch)
            } catch {
                switch error.kind {
                case .overloaded(let wait):
                    throw GRPCStatus(.resourceExhausted, error.message, retryDelay: wait ?? .seconds(1))
                case .retry(let wait): throw GRPCStatus(.unavailable, error.message, retryDelay: wait)
                case .rejected: throw GRPCStatus(.invalidArgument, error.message)
                }
            }
            return []
        }
        return service
    }

    // MARK: HTTP

    private static let types: Set<String> = ["application/x-thrift", "application/vnd.apache.thrift.binary"]

    private func router(_ settings: HTTPServerArguments) -> HTTPRouter {
        var router = HTTPRouter()
        router.otherwise { [weak self] request in
            guard let self else { return .text(.serviceUnavailable, "stopped\n") }
            guard request.path == "/api/traces" else { return .text(.notFound, "404 page not found\n") }
            return try await settings.answer(request) { client in
                guard request.method == .post else { return .text(.methodNotAllowed, "405 method not allowed\n") }
                guard Self.types.contains(request.mediaType) else {
                    return .text(.badRequest, "Unsupported content type: \(request.mediaType)\n")
                }
                return await self.take(request, client, settings)
            }
        }
        return router
    }

    private func take(
        _ request: HTTPServerRequest, _ client: OTLPClient?, _ settings: HTTPServerArguments
    ) async -> HTTPServerResponse {
        let lease = MemoryLease(context.memory)
        defer { lease.release() }
        let batch: OTLPBatch
        do {
            let body = try await settings.body(of: request, in: lease)
            batch = try body.withUnsafeBytes { try JaegerBatch(thrift: $0, .binary).traces(client: client) }
        } catch HTTPBodyError.outOfMemory {
            return ReceiverDelivery.noMemory.response
        } catch let error as HTTPBodyError {
            return .text(error.status, "\(error)\n")
        } catch {
            return .text(.badRequest, "Unable to process request body: \(error)\n")
        }
        do throws(DeliveryError) {
            try await http.offer(batch)
        } catch {
            return error.response
        }
        return HTTPServerResponse(.accepted)
    }

    // MARK: Datagrams

    private func receive(
        _ settings: JaegerProtocols.Datagrams, _ encoding: ThriftReader.Encoding, _ delivery: ReceiverDelivery,
        _ address: BoundAddress
    ) async throws {
        let socket: UDPSocket
        do {
            socket = try await UDPSocket.bind(
                settings.address, receiveBuffer: ByteCount(bytes: settings.queueBytes),
                kernelBuffer: settings.socketBuffer, on: context.services.eventLoops)
        } catch {
            context.report(.unhealthy("cannot listen: \(error)"))
            throw error
        }
        defer { socket.close() }
        address.text = socket.address.text
        context.log.info("Listening", nil, ["address": address.text, "protocol": "udp"])
        context.report(.healthy("listening on \(address.text)"))
        try await withThrowingTaskGroup(of: Void.self) { group in
            var atWork = 0
            while true {
                let datagram = try await socket.next()
                guard let batch = read(datagram.bytes, encoding, settings, delivery) else { continue }
                if atWork >= settings.workers {
                    try await group.next()
                    atWork -= 1
                }
                atWork += 1
                group.addTask { _ = await delivery.push(batch) }
            }
        }
    }

    /// The spans of a datagram; nil, counted as one item, when it cannot be read.
    private func read(
        _ bytes: [UInt8], _ encoding: ThriftReader.Encoding, _ settings: JaegerProtocols.Datagrams,
        _ delivery: ReceiverDelivery
    ) -> OTLPBatch? {
        guard bytes.count <= settings.packetSize else {
            delivery.lost(1, .limit)
            warn("Dropped a datagram longer than max_packet_size", nil)
            return nil
        }
        do throws(ThriftError) {
            return try bytes.withRawBytes { bytes throws(ThriftError) in
                try JaegerBatch(datagram: bytes, encoding)?.traces()
            }
        } catch {
            delivery.lost(1, .malformed)
            warn("Dropped a datagram that cannot be read", error)
            return nil
        }
    }

    private func warn(_ message: StaticString, _ error: (any Error)?) {
        warnings.attempt { suppressed in context.log.warn(message, error, ["suppressed": "\(suppressed)"]) }
    }
}
