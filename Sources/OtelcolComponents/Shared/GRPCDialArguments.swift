import AlloySyntax
import ComponentKit
import Essentials
import Telemetry
import Transport

/// The `client` block of exporters over gRPC (configgrpc of the OpenTelemetry Collector).
struct GRPCDialArguments: Block, Sendable, Equatable {
    private(set) var settings: GRPCClientSettings
    let headers: [String: String]
    let auth: AuthHandler?
    /// What TLS is spoken with where an endpoint asks for it by itself.
    private let tls: TLSClientSettings

    init(from block: inout BlockReader) {
        let endpoint: String = block.required("endpoint", "Address calls are sent to, as `host:port`.")
        self.init(from: &block, endpoint: endpoint)
    }

    /// The same block without its `endpoint`: calls go nowhere until ``aimed(at:)``.
    init(withoutEndpointFrom block: inout BlockReader) { self.init(from: &block, endpoint: nil) }

    private init(from block: inout BlockReader, endpoint: String?) {
        let compression = block.optional("compression", default: "gzip", "How messages are compressed.")
        block.bufferSize("read_buffer_size", "Size of the buffer reads go through.")
        block.bufferSize(
            "write_buffer_size", default: ByteCount(bytes: 512 << 10), "Size of the buffer writes go through.")
        let waits = block.optional(
            "wait_for_ready", default: false, "Whether calls wait for a connection instead of failing.")
        headers = block.optional("headers", default: [:], "Metadata added to every call.")
        for (name, value) in headers where !HTTPFields.isValid(name: name, value: value) {
            block.reject("headers", "field \(name) cannot be sent")
        }
        let balancer = block.optional(
            "balancer_name", default: "round_robin", "How calls are spread over the addresses of the host.")
        let authority = block.nonEmpty("authority", "Sent as `:authority` instead of the endpoint.")
        auth = AuthHandler.readForClient(from: &block)
        let tls: ClientTLS = block.block("tls", "Certificates and versions of TLS.")
        let keepalive: Keepalive? = block.optionalBlock("keepalive", "When silent servers are pinged.")

        let parsed = endpoint.flatMap { Self.parse($0) }
        if parsed == nil, let endpoint, !endpoint.isEmpty {
            block.reject("endpoint", "must be an address as host:port")
        }
        var made = GRPCClientSettings(host: parsed?.host ?? "", port: parsed?.port ?? 0)
        let isInsecure = parsed?.isSecure.map { !$0 } ?? tls.isInsecure
        made.tls = isInsecure ? nil : tls.settings
        made.authority = authority
        made.waitsForReady = waits
        if let known = GRPCCompression(
            rawValue: compression == "none" || compression.isEmpty ? "identity" : compression)
        {
            made.compression = known
        } else {
            block.reject("compression", "must be one of gzip, zstd, snappy, deflate, none")
        }
        switch balancer {
        case "round_robin": made.balancer = .roundRobin
        case "pick_first", "": made.balancer = .pickFirst
        default: block.reject("balancer_name", "must be round_robin or pick_first")
        }
        made.keepalive = keepalive?.settings
        settings = made
        self.tls = tls.settings
    }

    /// The same for calls to `endpoint`, which may say by `http://` or `https://` whether TLS is spoken; nil when it is
    /// no address.
    func aimed(at endpoint: String) -> GRPCDialArguments? {
        guard let parsed = Self.parse(endpoint) else { return nil }
        var aimed = self
        aimed.settings.host = parsed.host
        aimed.settings.port = parsed.port
        if let isSecure = parsed.isSecure { aimed.settings.tls = isSecure ? settings.tls ?? tls : nil }
        return aimed
    }

    /// Host and port of `host:port`, with `http://`, `https://` or `dns:///` in front where somebody wants to.
    static func parse(_ endpoint: String) -> (host: String, port: Int, isSecure: Bool?)? {
        var text = endpoint[...]
        var isSecure: Bool?
        for (prefix, secure) in [("http://", false), ("https://", true)] as [(String, Bool?)]
        where text.hasPrefix(prefix) {
            text = text.dropFirst(prefix.count)
            isSecure = secure
        }
        if text.hasPrefix("dns:///") { text = text.dropFirst(7) }
        if text.hasSuffix("/") { text = text.dropLast() }
        guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]),
            (1...65_535).contains(port)
        else {
            guard !text.isEmpty, !text.contains(":"), !text.contains("/") else { return nil }
            // gRPC's default.
            return (String(text), 443, isSecure)
        }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        guard !host.isEmpty, !host.contains("/") else { return nil }
        return (String(host), port, isSecure)
    }

    private struct Keepalive: Block, Sendable {
        let settings: HTTP2Keepalive?

        init(from block: inout BlockReader) {
            let wait: Duration = block.optional("ping_wait", "Silence after which the server is pinged.") ?? .zero
            let answer: Duration = block.optional("ping_response_timeout", "Time its answer may take.") ?? .zero
            let always =
                block.optional("ping_without_stream", "Whether it is pinged while no call is under way.") ?? false
            settings =
                wait > .zero
                ? HTTP2Keepalive(
                    interval: max(wait, .seconds(10)), timeout: answer > .zero ? answer : .seconds(20),
                    isWithoutStreams: always) : nil
        }
    }
}

/// Makes the calls of an exporter by the arguments of its `client` block.
final class GRPCDialer: Sendable {
    private let arguments: GRPCDialArguments
    private let client: GRPCClient

    init(_ arguments: GRPCDialArguments, on loops: EventLoops, clock: EngineClock) {
        self.arguments = arguments
        client = GRPCClient(arguments.settings, on: loops, clock: clock)
    }

    func shutDown() { client.shutDown() }

    /// Calls the method at `path` once.
    func call(
        _ path: String, _ message: [UInt8], timeout: Duration?, for client: OTLPClient?
    ) async throws(ExportError) -> [UInt8] {
        var fields = HTTPFields(arguments.headers.sorted { $0.key < $1.key }.map { ($0.key, $0.value) })
        if let signer = arguments.auth?.signer, let url = HTTPURL("https://\(arguments.settings.host)\(path)") {
            var request = HTTPClientRequest(.post, url, fields: fields)
            request.body = message
            do throws(AuthenticationError) {
                try await signer.sign(&request, for: client)
            } catch {
                throw .retryable("cannot authenticate the call: \(error)", after: nil)
            }
            fields = request.fields
        }
        do throws(GRPCStatus) {
            return try await self.client.call(path, message, metadata: fields, timeout: timeout).message
        } catch {
            if error.code == .unauthenticated { _ = arguments.auth?.signer?.refused() }
            throw Self.failure(error)
        }
    }

    /// OTLP specification, "Failures": which codes may be tried again.
    static func failure(_ status: GRPCStatus) -> ExportError {
        switch status.code {
        case .cancelled, .deadlineExceeded, .aborted, .outOfRange, .unavailable, .dataLoss:
            .retryable("\(status)", after: status.retryDelay)
        case .resourceExhausted where status.retryDelay != nil: .retryable("\(status)", after: status.retryDelay)
        default: .permanent("\(status)")
        }
    }
}
