import AlloySyntax
import ComponentKit
import Compression
import Essentials
import Telemetry
import Transport

/// The arguments and blocks of a component that listens for HTTP (confighttp of the OpenTelemetry Collector).
///
/// Call on the reader of the block that has them. Routes are wrapped by ``answer(_:_:)``, which does what the arguments say
/// of every request: CORS, authentication.
struct HTTPServerArguments: Sendable, Equatable {
    let settings: HTTPServerSettings
    let auth: AuthHandler?
    let includesMetadata: Bool
    let maximumBody: Int
    /// Content encodings that are accepted; the empty one is none.
    let encodings: [String]
    let cors: CORSArguments

    static let defaultEncodings: [String] = ["", "gzip", "zstd", "zlib", "snappy", "deflate", "lz4"]

    init(from block: inout BlockReader, endpoint: String) {
        var made = HTTPServerSettings(address: ListenEndpoint.read(endpoint, from: &block))
        auth = AuthHandler.readForServer(from: &block)
        let limit = block.optional(
            "max_request_body_size", default: ByteCount.mebibytes(20), "Bytes of the largest body, decompressed.")
        maximumBody = limit.bytes > 0 ? limit.bytes : 20 << 20
        includesMetadata = block.optional(
            "include_metadata", default: false, "Whether the request's fields travel with its data.")
        encodings = block.optional(
            "compression_algorithms", default: Self.defaultEncodings, "Content encodings that are accepted.")
        for name in encodings where !Self.defaultEncodings.contains(name) && name != "x-snappy-framed" {
            block.reject("compression_algorithms", "\"\(name)\" is not known")
        }
        made.keepsAlive = block.optional(
            "keep_alives_enabled", default: true, "Whether connections are kept for the next request.")
        made.idleTimeout = block.optional(
            "idle_timeout", default: .seconds(60), "Time a connection may wait for its next request.")
        let read: Duration? = block.optional("read_timeout", "Time a request may take to arrive; 0 is no limit.")
        made.readTimeout = read
        made.writeTimeout = block.optional(
            "write_timeout", default: .seconds(30), "Time a client may take to accept a response.")
        made.readHeaderTimeout = block.optional(
            "read_header_timeout", default: .seconds(60), "Time the head of a request may take to arrive.")
        let tls: ServerTLS? = block.optionalBlock("tls", "Certificates and versions of TLS.")
        made.tls = tls?.settings
        cors = block.block("cors", "Which pages of other origins may send requests.")
        made.shutdownTimeout = .seconds(10)
        made.maximumBodyBytes = ByteCount(bytes: maximumBody)
        settings = made
    }

    /// Answers a request by `route` unless CORS or the authenticator answer it; adds the fields of CORS.
    func answer(
        _ request: HTTPServerRequest, _ route: (OTLPClient?) async throws -> HTTPServerResponse
    ) async throws -> HTTPServerResponse {
        let origin = request.fields["origin"]
        if let origin, let preflight = cors.preflight(request, origin) { return preflight }
        var authentication: [OTLPClient.Field] = []
        if let authenticator = auth?.authenticator {
            do throws(AuthenticationError) {
                authentication = try await authenticator.authenticate(request.fields)
            } catch {
                return .text(.unauthorized, "\(error)\n")
            }
        }
        let client = client(
            request.fields, address: request.remoteAddress, authentication: authentication)
        var response = try await route(client)
        if let origin { cors.allow(origin, on: &response.fields) }
        return response
    }

    private func client(
        _ fields: HTTPFields, address: SocketAddress, authentication: [OTLPClient.Field]
    ) -> OTLPClient {
        OTLPClient(
            address: address.text, metadata: includesMetadata ? fields.asMetadata : [],
            authentication: authentication)
    }

    /// The body with its encoding undone, booked in `lease` as it comes; throws what the client is told.
    func body(of request: HTTPServerRequest, in lease: MemoryLease) async throws(HTTPBodyError) -> [UInt8] {
        let encoding = request.fields["content-encoding"]?.lowercased() ?? ""
        guard encodings.contains(encoding) || encoding == "identity" else {
            throw .unsupportedEncoding(encoding)
        }
        var incoming = request.body
        incoming.lease = lease
        guard ["snappy", "x-snappy-framed", "zlib", "lz4"].contains(encoding) else {
            return try await incoming.collectDecoded(upTo: maximumBody)
        }
        let packed = try await incoming.collect(upTo: maximumBody)
        let bytes = try unpack(packed, encoding)
        guard lease.grow(by: bytes.count - packed.count) else { throw .outOfMemory }
        return bytes
    }
}

extension HTTPServerArguments {
    /// Undoes an encoding that is unpacked as a whole.
    private func unpack(_ bytes: [UInt8], _ encoding: String) throws(HTTPBodyError) -> [UInt8] {
        do throws(CompressionError) {
            switch encoding {
            case "snappy": return try Snappy.decompress(bytes, limit: maximumBody)
            case "x-snappy-framed": return try Snappy.decompressFramed(bytes, limit: maximumBody)
            case "lz4": return try LZ4.decompressFrames(bytes, limit: maximumBody)
            default: return try Deflate.decompress(bytes, limit: maximumBody)
            }
        } catch .limitExceeded {
            throw .tooLarge(limit: maximumBody)
        } catch {
            throw .malformed("\(error)")
        }
    }
}

extension HTTPFields {
    /// The fields as metadata of a client: lower-case names, each once.
    var asMetadata: [OTLPClient.Field] {
        var values: [String: [String]] = [:]
        for (name, value) in self { values[name.lowercased(), default: []].append(value) }
        return values.map { OTLPClient.Field(name: $0.key, values: $0.value) }
    }
}

/// The `cors` block of a server.
struct CORSArguments: Block, Sendable, Equatable {
    private let origins: [String]
    private let headers: [String]
    private let exposed: [String]
    private let maximumAge: Int

    init(from block: inout BlockReader) {
        origins =
            block.optional("allowed_origins", "Origins whose pages may send requests; may have one `*` each.") ?? []
        headers = block.optional(
            "allowed_headers", default: ["X-Requested-With"], "Fields such requests may have beside the usual ones.")
        exposed = block.optional("exposed_headers", "Fields of responses that pages may read.") ?? []
        maximumAge = block.optional("max_age", "Seconds browsers may remember the answer.") ?? 0
    }

    private func allows(_ origin: String) -> Bool {
        origins.contains { pattern in
            guard let star = pattern.firstIndex(of: "*") else { return pattern.lowercased() == origin.lowercased() }
            let (start, end) = (pattern[..<star].lowercased(), pattern[pattern.index(after: star)...].lowercased())
            let lowered = origin.lowercased()
            return lowered.utf8.count >= start.utf8.count + end.utf8.count && lowered.hasPrefix(start)
                && lowered.hasSuffix(end)
        }
    }

    /// Tells the page of an allowed origin that it may read the response.
    func allow(_ origin: String, on fields: inout HTTPFields) {
        guard !origins.isEmpty else { return }
        fields.add("vary", "Origin")
        guard allows(origin) else { return }
        fields["access-control-allow-origin"] = origins.contains("*") ? "*" : origin
        if !exposed.isEmpty { fields["access-control-expose-headers"] = exposed.joined(separator: ", ") }
    }

    /// The answer to the question a browser asks first (fetch.spec.whatwg.org, "CORS-preflight request"); nil when the
    /// request is none.
    func preflight(_ request: HTTPServerRequest, _ origin: String) -> HTTPServerResponse? {
        guard !origins.isEmpty, request.method.name == "OPTIONS",
            let method = request.fields["access-control-request-method"]
        else { return nil }
        var response = HTTPServerResponse(.noContent)
        allow(origin, on: &response.fields)
        guard allows(origin), method == "POST" || method == "GET" || method == "HEAD" else { return response }
        let wanted = request.fields.elements("access-control-request-headers").map { $0.lowercased() }
        let allowed = Set(
            (headers + ["Accept", "Accept-Language", "Content-Language", "Content-Type"]).map { $0.lowercased() })
        guard headers.contains("*") || wanted.allSatisfy(allowed.contains) else { return response }
        response.fields["access-control-allow-methods"] = method
        if !wanted.isEmpty { response.fields["access-control-allow-headers"] = wanted.joined(separator: ", ") }
        if maximumAge > 0 { response.fields["access-control-max-age"] = "\(maximumAge)" }
        return response
    }
}
