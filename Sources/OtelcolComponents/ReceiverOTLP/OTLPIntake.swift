import AlloySyntax
import ComponentKit
import Essentials
import Telemetry
import TextFormats
import Transport
import Wire

/// Takes OTLP export requests into the graph and says what became of them, over gRPC and HTTP.
///
/// OTLP specification 1.7: "OTLP/gRPC Response", "OTLP/HTTP Response".
final class OTLPIntake: Sendable {
    private let memory: MemoryAccount
    private let http: ReceiverDelivery
    private let grpc: ReceiverDelivery

    init<Exports: WritableBlock>(_ context: Context<Exports>, output: @escaping @Sendable () -> OTLPOutput) {
        memory = context.memory
        http = ReceiverDelivery(context, transport: "http", output: output)
        grpc = ReceiverDelivery(context, transport: "grpc", output: output)
    }

    // MARK: gRPC

    /// The response to a call, encoded.
    func take(_ request: GRPCRequest, _ kind: OTLPBatch.Kind, _ client: OTLPClient?) async throws(GRPCStatus) -> [UInt8]
    {
        if let timeout = request.timeout, timeout <= .zero {
            throw GRPCStatus(.deadlineExceeded, "the call's deadline has passed")
        }
        let batch: OTLPBatch
        do throws(ProtobufError) {
            batch = try OTLPScanner.batch(request.message, as: kind, client: client)
        } catch {
            throw GRPCStatus(.internal, "grpc: error unmarshalling request: \(error)")
        }
        do throws(DeliveryError) {
            try await grpc.offer(batch)
            return OTLPResponse().encoded
        } catch {
            switch error.kind {
            case .overloaded(let wait):
                throw GRPCStatus(.resourceExhausted, error.message, retryDelay: wait ?? .seconds(1))
            case .retry(let wait): throw GRPCStatus(.unavailable, error.message, retryDelay: wait)
            case .rejected: throw GRPCStatus(.internal, error.message)
            }
        }
    }

    // MARK: HTTP

    /// The response to a request whose body is an export request in protobuf or JSON.
    func take(
        _ request: HTTPServerRequest, _ kind: OTLPBatch.Kind, _ client: OTLPClient?, _ server: HTTPServerArguments
    ) async -> HTTPServerResponse {
        let isJSON: Bool
        switch request.mediaType {
        case "application/x-protobuf": isJSON = false
        case "application/json": isJSON = true
        default:
            return .text(
                .unsupportedMediaType,
                "415 unsupported media type, supported: [application/json, application/x-protobuf]\n")
        }
        let lease = MemoryLease(memory)
        defer { lease.release() }
        let batch: OTLPBatch
        do throws(HTTPBodyError) {
            batch = try await self.batch(of: request, kind, client, isJSON, server, lease)
        } catch .outOfMemory {
            return Self.failure(ReceiverDelivery.noMemory, isJSON)
        } catch {
            // The body is too large for good; the rest is what the specification calls malformed.
            let status: HTTPStatus = error.status.code == 413 ? error.status : .badRequest
            return Self.failure(status, 3, "\(error)", isJSON)
        }
        do throws(DeliveryError) {
            try await http.offer(batch)
        } catch {
            return Self.failure(error, isJSON)
        }
        let answer = OTLPResponse()
        return isJSON
            ? .json(.ok, answer.json(kind)) : .bytes(.ok, answer.encoded, type: "application/x-protobuf")
    }

    private func batch(
        of request: HTTPServerRequest, _ kind: OTLPBatch.Kind, _ client: OTLPClient?, _ isJSON: Bool,
        _ server: HTTPServerArguments, _ lease: MemoryLease
    ) async throws(HTTPBodyError) -> OTLPBatch {
        var body = try await server.body(of: request, in: lease)
        if isJSON {
            do throws(OTLPJSONError) {
                body = try body.withRawBytes { text throws(OTLPJSONError) in try OTLPJSON.decode(text, as: kind) }
            } catch {
                throw .malformed("\(error)")
            }
        }
        do throws(ProtobufError) {
            return try OTLPScanner.batch(body, as: kind, client: client)
        } catch {
            throw .malformed("\(error)")
        }
    }

    // MARK: Failures

    private static func failure(_ error: DeliveryError, _ isJSON: Bool) -> HTTPServerResponse {
        switch error.kind {
        case .overloaded(let wait):
            var response = failure(.tooManyRequests, 8, error.message, isJSON)
            response.fields["retry-after"] = seconds(wait)
            return response
        case .retry(let wait):
            var response = failure(.serviceUnavailable, 14, error.message, isJSON)
            response.fields["retry-after"] = seconds(wait)
            return response
        case .rejected: return failure(.internalServerError, 13, error.message, isJSON)
        }
    }

    private static func seconds(_ wait: Duration?) -> String {
        "\(Int(min(max(1, (wait ?? .seconds(1)).seconds.rounded(.up)), 3600)))"
    }

    /// A `google.rpc.Status` in the encoding of the request.
    private static func failure(
        _ status: HTTPStatus, _ code: UInt64, _ message: String, _ isJSON: Bool
    ) -> HTTPServerResponse {
        if isJSON {
            var text = Array("{\"code\":\(code),\"message\":".utf8)
            JSONWriter().append(message, to: &text)
            text.append(UInt8(ascii: "}"))
            return .json(status, text)
        }
        var writer = ProtobufWriter(capacity: 64)
        writer.field(1, varint: code)
        writer.field(2, string: message)
        return .bytes(status, writer.bytes, type: "application/x-protobuf")
    }
}
