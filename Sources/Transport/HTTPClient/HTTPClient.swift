package import Essentials
import NIOCore
import NIOHTTP1

/// Sends HTTP/1.1 and HTTP/2 requests over kept connections.
///
/// One client per set of settings; all of them share the event loops. A request on a kept connection costs no task
/// and no timer: the event loop resumes the caller with the head and then with every chunk it asks for.
package final class HTTPClient: Sendable {
    /// The settings the client was made with.
    package let settings: HTTPClientSettings

    private let pool: ConnectionPool
    private let proxies: ProxyRule
    let authoriser: (any RequestAuthoriser)?
    private let observer: any TransportObserver

    /// Makes a client; nothing is read or connected before the first request.
    package init(
        _ settings: HTTPClientSettings = HTTPClientSettings(), on loops: EventLoops, clock: EngineClock = .system,
        observer: any TransportObserver = SilentObserver()
    ) {
        self.settings = settings
        self.observer = observer
        pool = ConnectionPool(Connector(settings, loops), observer: observer)
        proxies = ProxyRule(settings.proxy)
        authoriser = makeAuthoriser(settings, on: loops, clock: clock)
    }

    deinit { pool.shutDown(closesActive: false) }

    /// Lets nothing new begin and closes every connection, also those in use.
    package func shutDown() { pool.shutDown(closesActive: true) }

    /// Connections open now, in use or kept.
    package var openConnections: Int { pool.count }

    /// Closes the connections nobody uses.
    package func closeIdleConnections() { pool.closeIdle() }

    /// Sends a request and returns when the head of the response has come.
    ///
    /// Follows redirects, authorises, retries once where the server cannot have seen the request. The deadline covers
    /// the body too. Cancellation closes the connection.
    package func send(_ request: HTTPClientRequest) async throws(HTTPClientError) -> HTTPClientResponse {
        let started = ContinuousClock.now
        let deadline = NIODeadline.after(request.timeout ?? settings.requestTimeout)
        var request = request
        let origin = request.url
        var redirects = 0
        while true {
            let response = try await sendAuthorised(request, origin: origin, deadline: deadline, started: started)
            guard settings.followsRedirects, let next = Self.redirected(request, response, origin) else {
                return response
            }
            redirects += 1
            guard redirects <= 10 else {
                response.body.cancel()
                throw .tooManyRedirects(10)
            }
            await drain(response)
            request = next
        }
    }

    /// Reads a small rest so that the connection can be kept; a large one is not worth it.
    private func drain(_ response: HTTPClientResponse) async {
        var scratch: [UInt8] = []
        while scratch.count < 4 * 1024, (try? await response.body.read(into: &scratch)) == true {}
        response.body.cancel()
    }

    // MARK: Redirects

    private static func redirected(
        _ request: HTTPClientRequest, _ response: HTTPClientResponse, _ origin: HTTPURL
    ) -> HTTPClientRequest? {
        var next = request
        switch response.status.code {
        case 301, 302, 303:
            if request.method != .get, request.method != .head {
                next.method = .get
            }
            if next.method != request.method {
                next.body = nil
                next.fields.remove("content-type")
                next.fields.remove("content-encoding")
                next.fields.remove("content-length")
            }
        case 307, 308: break
        default: return nil
        }
        guard let location = response.fields["location"], let url = request.url.resolving(location),
            url.scheme == "http" || url.scheme == "https"
        else { return nil }
        next.url = url
        if !isSameSite(url, origin) {
            for name in ["authorization", "www-authenticate", "cookie", "cookie2", "proxy-authorization"] {
                next.fields.remove(name)
            }
            next.unixSocketPath = nil
        }
        next.fields.remove("host")
        return next
    }

    /// Whether credentials for `origin` may go to `url`: the same host, or one below it.
    private static func isSameSite(_ url: HTTPURL, _ origin: HTTPURL) -> Bool {
        url.host == origin.host || (IPLiteral(url.host) == nil && url.host.hasSuffix(".\(origin.host)"))
    }

    // MARK: Authorisation

    private func sendAuthorised(
        _ request: HTTPClientRequest, origin: HTTPURL, deadline: NIODeadline, started: ContinuousClock.Instant
    ) async throws(HTTPClientError) -> HTTPClientResponse {
        var attempt = 0
        while true {
            var prepared = request
            let isTrusted = Self.isSameSite(request.url, origin)
            if isTrusted {
                for (name, value) in try settings.headers.revealed() {
                    guard HTTPFields.isValid(name: name, value: value) else {
                        throw .invalidRequest("field \(name) is not valid")
                    }
                    prepared.fields.add(name, value)
                }
                if let authoriser {
                    try await authoriser.authorise(&prepared, until: deadline)
                } else if let authorization = request.url.basicAuthorization, !prepared.fields.contains("authorization")
                {
                    prepared.fields["authorization"] = authorization
                }
            }
            let response = try await sendOnce(prepared, deadline: deadline, started: started)
            guard isTrusted, response.status.code == 401, attempt == 0, let authoriser,
                authoriser.isRefreshable(after: prepared)
            else { return response }
            attempt += 1
            await drain(response)
        }
    }

    // MARK: One exchange

    private func sendOnce(
        _ request: HTTPClientRequest, deadline: NIODeadline, started: ContinuousClock.Instant
    ) async throws(HTTPClientError) -> HTTPClientResponse {
        guard request.url.scheme == "http" || request.url.scheme == "https" else {
            throw .invalidRequest("unsupported protocol scheme \"\(request.url.scheme)\"")
        }
        let authority = Authority(
            host: request.url.host, port: request.url.port, isSecure: request.url.isSecure,
            unixPath: request.unixSocketPath)
        let proxy = request.unixSocketPath == nil ? proxies.proxy(for: request.url) : nil
        let head = try requestHead(request, proxy)
        let body = request.body.flatMap { $0.isEmpty ? nil : ByteBuffer(bytes: $0) }
        let key = PoolKey(authority: authority, proxy: proxy)
        var isRetry = false
        while true {
            let connection = try await pool.connection(for: key, until: deadline, isFresh: isRetry)
            let exchange = connection.start(
                head, body: body, deadline: deadline, headerLimit: settings.maximumHeaderBytes,
                isSecure: authority.isSecure
            ) { [weak pool] connection, isUsable in
                guard let pool else { return connection.channel.close(promise: nil) }
                pool.giveBack(connection, isUsable: isUsable)
            }
            do {
                let responseHead = try await withTaskCancellationHandler {
                    try await exchange.response.value()
                } onCancel: {
                    exchange.cancel(.cancelled)
                }
                return try response(responseHead, exchange, request, started)
            } catch {
                if let failure = error as? ExchangeFailure, !isRetry,
                    failure.isUnsent || (failure.isStale && request.method.isSafe)
                {
                    isRetry = true
                    continue
                }
                throw HTTPClientError(error, in: .head, headerLimit: settings.maximumHeaderBytes)
            }
        }
    }

    /// Whether the client itself says what the field of this name says.
    private static func isOwn(_ name: String) -> Bool {
        switch name.utf8.count {
        case 4, 14, 17: ["host", "content-length", "transfer-encoding"].contains(name.lowercased())
        default: false
        }
    }

    private func requestHead(
        _ request: HTTPClientRequest, _ proxy: HTTPURL?
    ) throws(HTTPClientError) -> HTTPRequestHead {
        guard HTTPFields.isToken(request.method.name) else { throw .invalidRequest("method is not a token") }
        var headers = HTTPHeaders()
        headers.reserveCapacity(request.fields.count + 5)
        headers.add(name: "host", value: request.fields["host"] ?? request.url.authority)
        for (name, value) in request.fields {
            guard HTTPFields.isValid(name: name, value: value) else {
                throw .invalidRequest("field \(name) is not valid")
            }
            if !Self.isOwn(name) { headers.add(name: name, value: value) }
        }
        if !headers.contains(name: "user-agent"), !settings.userAgent.isEmpty {
            headers.add(name: "user-agent", value: settings.userAgent)
        }
        if request.decompresses, !headers.contains(name: "accept-encoding") {
            headers.add(name: "accept-encoding", value: "gzip, zstd, deflate")
        }
        if let body = request.body {
            headers.add(name: "content-length", value: "\(body.count)")
        } else if request.method == .post || request.method == .put || request.method == .patch {
            headers.add(name: "content-length", value: "0")
        }
        if !settings.keepsAlive, !settings.usesHTTP2PriorKnowledge { headers.add(name: "connection", value: "close") }
        var target = request.url.target
        if let proxy, !request.url.isSecure, !proxy.scheme.hasPrefix("socks5") {
            target = request.url.text
            if let authorization = proxy.basicAuthorization {
                headers.add(name: "proxy-authorization", value: authorization)
            }
        }
        return HTTPRequestHead(version: .http1_1, method: request.method.nio, uri: target, headers: headers)
    }

    private func response(
        _ head: HTTPResponseHead, _ exchange: ClientExchange, _ request: HTTPClientRequest,
        _ started: ContinuousClock.Instant
    ) throws(HTTPClientError) -> HTTPClientResponse {
        let limit = (request.maximumBodyBytes ?? settings.maximumBodyBytes).bytes
        var encoding: String?
        var fields = HTTPFields(head.headers)
        let isBodiless = request.method == .head || head.status.code == 204 || head.status.code == 304
        if request.decompresses, !isBodiless {
            let encodings = head.headers[canonicalForm: "content-encoding"].map { $0.lowercased() }
                .filter { !$0.isEmpty && $0 != "identity" }
            if encodings.count > 1 {
                exchange.abandon()
                throw .decoding("content encoding \(encodings.joined(separator: ", ")) is not supported")
            }
            encoding = encodings.first
            if encoding != nil {
                fields.remove("content-encoding")
                fields.remove("content-length")
            }
        }
        if encoding == nil, !isBodiless, let length = fields["content-length"].flatMap({ Int($0) }), length > limit {
            exchange.abandon()
            throw .bodyTooLarge(limit: limit)
        }
        let outcome = RequestOutcome(
            method: request.method, route: request.url.authority, status: HTTPStatus(Int(head.status.code)),
            duration: .zero)
        let body = try HTTPClientBody(exchange, limit: limit, encoding: encoding) { [observer] in
            var outcome = outcome
            outcome.duration = ContinuousClock.now - started
            observer.requestFinished(outcome)
        }
        return HTTPClientResponse(
            status: HTTPStatus(Int(head.status.code)), fields: fields, url: request.url,
            majorVersion: Int(head.version.major), body: body)
    }
}
