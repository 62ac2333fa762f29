import AlloySyntax
import ComponentKit
import Compression
import Essentials
import Telemetry
import Transport

/// How bodies of requests are compressed; the words of confighttp and configgrpc.
enum BodyCompression: String, Sendable, CaseIterable {
    case none, gzip, zstd, zlib, deflate, snappy
    case framedSnappy = "x-snappy-framed"

    /// The `Content-Encoding`; nil for none.
    var contentEncoding: String? { self == .none ? nil : rawValue }

    func compress(_ bytes: [UInt8], level: Int?) throws(CompressionError) -> [UInt8] {
        var output: [UInt8] = []
        switch self {
        case .none: return bytes
        case .gzip: try Gzip(level: level ?? -1).compress(bytes, into: &output)
        case .zstd: try Zstandard(level: level ?? 3).compress(bytes, into: &output)
        case .zlib, .deflate: try Deflate(.zlib, level: level ?? -1).compress(bytes, into: &output)
        case .snappy: try Snappy.compress(bytes, into: &output)
        case .framedSnappy: try Snappy.compressFramed(bytes, into: &output)
        }
        return output
    }

    /// The `compression` argument.
    static func read(from block: inout BlockReader) -> BodyCompression {
        let name = block.optional("compression", default: "gzip", "How requests are compressed.")
        if name.isEmpty { return .none }
        if let known = BodyCompression(rawValue: name) { return known }
        block.reject("compression", "must be one of \(allCases.map(\.rawValue).joined(separator: ", "))")
        return .none
    }

    /// The levels the argument `compression_params.level` may have.
    var levels: ClosedRange<Int>? {
        switch self {
        case .gzip, .zlib, .deflate: -1...9
        case .zstd: 1...11
        case .none, .snappy, .framedSnappy: nil
        }
    }
}

/// The `client` block of exporters over HTTP (confighttp of the OpenTelemetry Collector).
struct HTTPDialArguments: Block, Sendable, Equatable {
    let endpoint: String
    let settings: HTTPClientSettings
    let compression: BodyCompression
    let level: Int?
    let timeout: Duration?
    /// Requests under way per host; 0 is no limit.
    let maximumConnections: Int
    let auth: AuthHandler?

    init(from block: inout BlockReader) {
        var made = HTTPClientSettings()
        endpoint = block.required("endpoint", "URL requests are sent to.")
        if HTTPURL(endpoint) == nil, !endpoint.isEmpty { block.reject("endpoint", "must be a URL") }
        if let proxy = block.nonEmpty("proxy_url", "Proxy that requests are sent through.") {
            made.proxy.url = Secret(proxy)
            if let problem = made.proxy.problem { block.reject("proxy_url", problem.reason) }
        } else {
            made.proxy.usesEnvironment = true
        }
        compression = BodyCompression.read(from: &block)
        block.bufferSize("read_buffer_size", default: .zero, "Size of the buffer reads go through.")
        block.bufferSize(
            "write_buffer_size", default: ByteCount(bytes: 512 << 10), "Size of the buffer writes go through.")
        let timeout = block.optional("timeout", default: Duration.seconds(30), "Time a request may take.")
        self.timeout = timeout > .zero ? timeout : nil
        let headers: [String: String] = block.optional("headers", default: [:], "Fields added to every request.")
        made.headers = headers.sorted { $0.key < $1.key }.map { HTTPSecretField($0.key, [.inline(Secret($0.value))]) }
        for (name, value) in headers where !HTTPFields.isValid(name: name, value: value) {
            block.reject("headers", "field \(name) cannot be sent")
        }
        let idle = block.optional("max_idle_conns", default: 100, "Unused connections kept.")
        let perHost = block.optional("max_idle_conns_per_host", default: 0, "Unused connections kept per host.")
        let limits = [idle, perHost].filter { $0 > 0 }
        made.maximumIdleConnectionsPerHost = limits.min() ?? 1000
        maximumConnections = max(
            0, block.optional("max_conns_per_host", default: 0, "Connections open per host; 0 is no limit."))
        made.idleTimeout = block.optional(
            "idle_conn_timeout", default: .seconds(90), "Time an unused connection is kept.")
        made.keepsAlive = !block.optional(
            "disable_keep_alives", default: false, "Whether each request has a connection of its own.")
        let silence = block.optional(
            "http2_read_idle_timeout", default: Duration.zero,
            "Silence after which an HTTP/2 server is pinged; 0 is never.")
        let answer = block.optional(
            "http2_ping_timeout", default: Duration.seconds(15), "Time its answer may take.")
        if silence > .zero { made.keepalive = HTTP2Keepalive(interval: silence, timeout: answer) }
        made.isHTTP2Enabled = block.optional(
            "force_attempt_http2", default: true, "Whether HTTP/2 is offered over TLS.")
        auth = AuthHandler.readForClient(from: &block)
        let parameters: CompressionParameters? = block.optionalBlock(
            "compression_params", "How hard requests are compressed.")
        level = parameters?.level
        if let level, let levels = compression.levels, !levels.contains(level) {
            block.reject("compression_params", "level must be between \(levels.lowerBound) and \(levels.upperBound)")
        } else if level != nil, level != 0, compression.levels == nil {
            block.reject("compression_params", "\(compression.rawValue) has no levels")
        }
        let tls: ClientTLS = block.block("tls", "Certificates and versions of TLS.")
        made.tls = tls.settings
        let cookies: Cookies? = block.optionalBlock("cookies", "Cookies of the server.")
        if cookies?.isEnabled == true { block.reject("cookies", "cookies are not kept: leave the block out") }
        // Go's client follows redirects and so do the exporters of upstream.
        made.followsRedirects = true
        made.maximumBodyBytes = .mebibytes(4)
        settings = made
    }

    private struct CompressionParameters: Block, Sendable {
        let level: Int
        init(from block: inout BlockReader) {
            level = block.required("level", "Level of the compression.")
        }
    }

    private struct Cookies: Block, Sendable {
        let isEnabled: Bool
        init(from block: inout BlockReader) {
            isEnabled = block.optional("enabled", default: false, "Whether cookies are kept.")
        }
    }
}

/// Sends the requests of an exporter by the arguments of its `client` block.
final class HTTPDialer: Sendable {
    private let arguments: HTTPDialArguments
    private let client: HTTPClient
    private let slots: Slots?

    init(_ arguments: HTTPDialArguments, on loops: EventLoops, clock: EngineClock) {
        self.arguments = arguments
        client = HTTPClient(arguments.settings, on: loops, clock: clock)
        slots = arguments.maximumConnections > 0 ? Slots(arguments.maximumConnections) : nil
    }

    func shutDown() { client.shutDown() }

    /// Posts `body`, compressed as the arguments say, and reads the whole answer.
    func post(
        _ url: HTTPURL, _ body: [UInt8], type: String, for client: OTLPClient?
    ) async throws(ExportError) -> (response: HTTPClientResponse, body: [UInt8]) {
        var request = HTTPClientRequest(.post, url)
        request.fields["content-type"] = type
        do throws(CompressionError) {
            request.body = try arguments.compression.compress(body, level: arguments.level)
        } catch {
            throw .permanent("cannot compress the request: \(error)")
        }
        if let encoding = arguments.compression.contentEncoding { request.fields["content-encoding"] = encoding }
        request.timeout = arguments.timeout
        return try await send(request, for: client)
    }

    private func send(
        _ plain: HTTPClientRequest, for client: OTLPClient?
    ) async throws(ExportError) -> (response: HTTPClientResponse, body: [UInt8]) {
        var attempt = 0
        while true {
            var request = plain
            if let signer = arguments.auth?.signer {
                do throws(AuthenticationError) {
                    try await signer.sign(&request, for: client)
                } catch {
                    throw .retryable("cannot authenticate the request: \(error)", after: nil)
                }
            }
            let answer = try await limited(request)
            if answer.response.status == .unauthorized, attempt == 0, let signer = arguments.auth?.signer,
                signer.refused()
            {
                attempt += 1
                continue
            }
            return answer
        }
    }

    private func limited(
        _ request: HTTPClientRequest
    ) async throws(ExportError) -> (response: HTTPClientResponse, body: [UInt8]) {
        guard let slots else { return try await exchange(request) }
        do {
            return try await slots.withSlot { try await exchange(request) }
        } catch let error as ExportError {
            throw error
        } catch {
            throw .retryable("cancelled", after: nil)
        }
    }

    private func exchange(
        _ request: HTTPClientRequest
    ) async throws(ExportError) -> (response: HTTPClientResponse, body: [UInt8]) {
        do throws(HTTPClientError) {
            let response = try await client.send(request)
            return (response, try await response.collect())
        } catch {
            switch error {
            case .invalidRequest, .tooManyRedirects: throw .permanent("failed to make an HTTP request: \(error)")
            default: throw .retryable("failed to make an HTTP request: \(error)", after: nil)
            }
        }
    }
}
