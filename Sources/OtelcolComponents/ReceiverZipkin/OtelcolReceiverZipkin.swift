package import AlloySyntax
package import ComponentKit
import Essentials
import Telemetry
import Transport
import Wire

/// Receives spans of Zipkin clients: versions 1 and 2, as JSON, Thrift and protobuf.
///
/// zipkin.io, "Zipkin API". A request is answered with 202 when every consumer has taken its spans.
package final class OtelcolReceiverZipkin: ListeningComponent {
    package static let spec = ComponentSpec(
        "otelcol.receiver.zipkin", .generallyAvailable, "Receives traces of Zipkin clients.")

    package struct Arguments: Block, Sendable {
        let parsesTags: Bool
        let server: HTTPServerArguments
        let output: OTLPOutput

        package init(from block: inout BlockReader) {
            parsesTags = block.optional(
                "parse_string_tags", default: false, "Whether tags that look like numbers or truth values become such.")
            server = HTTPServerArguments(from: &block, endpoint: "0.0.0.0:9411")
            DebugMetrics.read(from: &block)
            output = block.requiredBlock("output", OTLPOutput.doc)
        }
    }

    private let arguments: Live<Arguments>
    private let context: Context<NoValues>
    private let deliveries: [ZipkinSpans.Encoding: ReceiverDelivery]
    private let address = BoundAddress()

    package init(_ arguments: Live<Arguments>, _ context: Context<NoValues>) throws {
        self.arguments = arguments
        self.context = context
        deliveries = Dictionary(
            uniqueKeysWithValues: ZipkinSpans.Encoding.allCases.map { encoding in
                (encoding, ReceiverDelivery(context, transport: encoding.rawValue) { arguments.current.output })
            })
    }

    package var debugInfo: ListeningInfo { ListeningInfo(address: address.text) }

    /// Listens until cancelled. A change of the server binds anew; the rest applies to the next request.
    package func run() async throws {
        try await arguments.whileCurrent(\.server) { [self] server in
            var router = HTTPRouter()
            router.otherwise { [weak self] request in
                guard let self else { return .text(.serviceUnavailable, "stopped\n") }
                return try await self.answer(request)
            }
            try await context.listen(server.settings, router, at: address)
        }
    }

    private func answer(_ request: HTTPServerRequest) async throws -> HTTPServerResponse {
        let current = arguments.current
        return try await current.server.answer(request) { client in
            guard request.method == .post else {
                return .text(.methodNotAllowed, "405 method not allowed, supported: [POST]\n")
            }
            return await take(request, client, current)
        }
    }

    /// What a request carries, by path and type. Upstream takes any path that is not of version 1 for version 2.
    private func encoding(of request: HTTPServerRequest) -> ZipkinSpans.Encoding {
        if request.path.contains("api/v1/spans") {
            return request.mediaType == "application/x-thrift" ? .thriftV1 : .jsonV1
        }
        return request.mediaType == "application/x-protobuf" ? .protobufV2 : .jsonV2
    }

    private func take(
        _ request: HTTPServerRequest, _ client: OTLPClient?, _ current: Arguments
    ) async -> HTTPServerResponse {
        let encoding = encoding(of: request)
        let lease = MemoryLease(context.memory)
        defer { lease.release() }
        let batch: OTLPBatch
        do {
            let body = try await current.server.body(of: request, in: lease)
            batch = try body.withUnsafeBytes {
                try ZipkinSpans.traces($0, encoding, parsesTags: current.parsesTags, client: client)
            }
        } catch HTTPBodyError.outOfMemory {
            return ReceiverDelivery.noMemory.response
        } catch let error as HTTPBodyError {
            return .text(error.status, "\(error)\n")
        } catch {
            return .text(.badRequest, "\(error)\n")
        }
        do throws(DeliveryError) {
            try await deliveries[encoding]?.offer(batch)
        } catch {
            return error.response
        }
        return HTTPServerResponse(.accepted)
    }
}
