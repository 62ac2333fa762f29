import Compression
package import Essentials
import Synchronization

/// Where a gRPC client calls and how.
package struct GRPCClientSettings: Sendable, Equatable {
    /// How a client spreads calls over the addresses of its host.
    package enum Balancer: String, Sendable {
        case roundRobin = "round_robin"
        case pickFirst = "pick_first"
    }

    package var host: String
    package var port: Int
    /// Nil speaks without TLS.
    package var tls: TLSClientSettings?
    /// Connect to this unix socket instead of host and port.
    package var unixSocketPath: String?
    /// Sent as `:authority` instead of host and port.
    package var authority: String?
    package var compression = GRPCCompression.identity
    package var balancer = Balancer.roundRobin
    /// Whether calls wait for a connection instead of failing while there is none.
    package var waitsForReady = false
    package var keepalive: HTTP2Keepalive?
    /// The largest message taken from the server, in bytes.
    package var maximumMessage = 4 << 20
    package var userAgent = "invar"

    package init(host: String, port: Int) {
        self.host = host
        self.port = port
    }
}

/// What a unary call returned.
package struct GRPCResponse: Sendable {
    package let message: [UInt8]
    package let trailers: HTTPFields
}

/// Calls unary gRPC methods over kept HTTP/2 connections.
package final class GRPCClient: Sendable {
    private struct Addresses {
        var list: [String] = []
        var next = 0
        var resolvedAt: Int64?
    }

    /// How long resolved addresses are used.
    private static let addressLifetime: Int64 = 30_000_000_000

    package let settings: GRPCClientSettings
    private let client: HTTPClient
    private let loops: EventLoops
    private let clock: EngineClock
    private let addresses = Mutex(Addresses())

    /// Makes a client; nothing is connected before the first call.
    package init(
        _ settings: GRPCClientSettings, on loops: EventLoops, clock: EngineClock = .system,
        observer: any TransportObserver = SilentObserver()
    ) {
        self.settings = settings
        self.loops = loops
        self.clock = clock
        var http = HTTPClientSettings()
        http.followsRedirects = false
        http.userAgent = settings.userAgent
        http.keepalive = settings.keepalive
        http.connectTimeout = .seconds(20)
        if let tls = settings.tls {
            http.tls = tls
            // Connections go to addresses, certificates are for names.
            if tls.serverName == nil { http.tls.serverName = settings.authority.map(Self.name) ?? settings.host }
        } else {
            http.usesHTTP2PriorKnowledge = true
        }
        client = HTTPClient(http, on: loops, clock: clock, observer: observer)
    }

    private static func name(_ authority: String) -> String {
        authority.lastIndex(of: ":").map { String(authority[..<$0]) } ?? authority
    }

    package func shutDown() { client.shutDown() }

    /// Calls the method at `path`; throws the status unless it is OK.
    package func call(
        _ path: String, _ message: [UInt8], metadata: HTTPFields = [:], timeout: Duration? = nil
    ) async throws(GRPCStatus) -> GRPCResponse {
        let frame: [UInt8]
        do throws(CompressionError) {
            let content = try settings.compression.compress(message)
            frame = GRPCFrame.encode(content, isCompressed: settings.compression != .identity)
        } catch {
            throw GRPCStatus(.internal, "grpc: failed to compress the message: \(error)")
        }
        let deadline = timeout.map { clock.monotonicNanoseconds &+ $0.nanoseconds }
        var backoff = Backoff(minimum: .milliseconds(100), maximum: .seconds(5))
        while true {
            let left = deadline.map { Duration.nanoseconds($0 - clock.monotonicNanoseconds) }
            if let left, left <= .zero { throw GRPCStatus(.deadlineExceeded, "context deadline exceeded") }
            let exchanged: Exchanged
            do throws(HTTPClientError) {
                exchanged = try await send(path, frame, metadata, left)
            } catch {
                guard settings.waitsForReady, error.isBeforeRequest, error != .shutDown else {
                    throw Self.status(error)
                }
                let wait = backoff.nextExact()
                do { try await clock.sleep(for: min(wait, left ?? wait)) } catch { throw GRPCStatus(.cancelled, "") }
                continue
            }
            return try response(exchanged)
        }
    }

    /// A response as it came.
    private struct Exchanged {
        var status: HTTPStatus
        var fields: HTTPFields
        var trailers: HTTPFields
        var body: [UInt8]
    }

    private func response(_ exchanged: Exchanged) throws(GRPCStatus) -> GRPCResponse {
        // A call without a message ends in the head.
        let status = GRPCStatus(exchanged.trailers) ?? GRPCStatus(exchanged.fields)
        guard let status else { throw Self.status(http: exchanged.status) }
        guard status.code == .ok else { throw status }
        guard let encoding = GRPCCompression(rawValue: exchanged.fields["grpc-encoding"] ?? "identity") else {
            throw GRPCStatus(.internal, "the server compresses in an unknown way")
        }
        let message = try GRPCFrame.decode(exchanged.body, encoding: encoding, limit: settings.maximumMessage)
        return GRPCResponse(message: message, trailers: exchanged.trailers)
    }

    private func send(
        _ path: String, _ frame: [UInt8], _ metadata: HTTPFields, _ timeout: Duration?
    ) async throws(HTTPClientError) -> Exchanged {
        let scheme = settings.tls == nil ? "http" : "https"
        let host = await address()
        let authority = settings.authority ?? Self.authority(settings.host, settings.port)
        guard let url = HTTPURL("\(scheme)://\(Self.authority(host, settings.port))\(path)") else {
            throw .invalidRequest("\(settings.host) is not a usable endpoint")
        }
        var request = HTTPClientRequest(.post, url, fields: metadata, decompresses: false)
        request.fields["host"] = authority
        request.fields["content-type"] = "application/grpc"
        request.fields["te"] = "trailers"
        if settings.compression != .identity { request.fields["grpc-encoding"] = settings.compression.rawValue }
        request.fields["grpc-accept-encoding"] = GRPCCompression.accepted
        if let timeout { request.fields["grpc-timeout"] = GRPCTimeout.encode(timeout) }
        request.body = frame
        request.unixSocketPath = settings.unixSocketPath
        request.timeout = timeout
        request.maximumBodyBytes = ByteCount(bytes: settings.maximumMessage + GRPCFrame.headerCount)
        let response = try await client.send(request)
        guard response.majorVersion == 2 else {
            response.body.cancel()
            throw .malformedResponse("the server does not speak HTTP/2")
        }
        let body = try await response.collect()
        return Exchanged(
            status: response.status, fields: response.fields, trailers: response.body.trailers ?? HTTPFields(),
            body: body)
    }

    // MARK: Addresses

    private static func authority(_ host: String, _ port: Int) -> String {
        host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }

    /// The host itself, or its next address where calls are spread.
    private func address() async -> String {
        guard settings.balancer == .roundRobin, IPLiteral(settings.host) == nil else { return settings.host }
        let now = clock.monotonicNanoseconds
        let isDue = addresses.withLock { state in
            let isDue = state.resolvedAt.map { now - $0 > Self.addressLifetime } ?? true
            // One call resolves, the others go on with what is known.
            if isDue { state.resolvedAt = now }
            return isDue
        }
        if isDue {
            let host = settings.host
            let found = try? await loops.runBlocking { try lookUpHost(host, family: 0) }
            addresses.withLock { $0.list = found ?? $0.list }
        }
        return addresses.withLock { state in
            guard !state.list.isEmpty else { return settings.host }
            state.next = (state.next + 1) % state.list.count
            return state.list[state.next]
        }
    }

    // MARK: Failures

    private static func status(_ error: HTTPClientError) -> GRPCStatus {
        switch error {
        case .deadlineExceeded: GRPCStatus(.deadlineExceeded, "context deadline exceeded")
        case .cancelled: GRPCStatus(.cancelled, "context canceled")
        case .invalidRequest, .malformedResponse, .headersTooLarge, .decoding, .tooManyRedirects:
            GRPCStatus(.internal, "\(error)")
        case .bodyTooLarge(let limit): GRPCStatus(.resourceExhausted, "grpc: received message larger than max \(limit)")
        default: GRPCStatus(.unavailable, "\(error)")
        }
    }

    /// For responses that are not gRPC's (grpc/doc/http-grpc-status-mapping.md).
    private static func status(http status: HTTPStatus) -> GRPCStatus {
        let code: GRPCStatus.Code =
            switch status.code {
            case 400: .internal
            case 401: .unauthenticated
            case 403: .permissionDenied
            case 404: .unimplemented
            case 429, 502, 503, 504: .unavailable
            default: .unknown
            }
        return GRPCStatus(code, "unexpected HTTP status code received from server: \(status)")
    }
}
