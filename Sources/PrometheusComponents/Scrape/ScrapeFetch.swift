import ComponentKit
import Essentials
import SelfMetrics
import Telemetry
import Transport
import Wire

/// Why a scrape failed.
struct ScrapeFailure: Error, CustomStringConvertible {
    enum Kind: Equatable {
        /// Nothing of a page was read.
        case fetch
        /// The page is larger than allowed.
        case bodyLimit
        /// The page was read and refused, by this rule of its format where there is one.
        case content(ExpositionError.Code?)
    }

    var kind: Kind
    var description: String

    init(kind: Kind, description: String) {
        self.kind = kind
        self.description = description
    }

    init(_ error: any Error) {
        switch error {
        case let failure as ScrapeFailure: self = failure
        case let error as ExpositionError:
            self.init(kind: error.code == .bodyLimit ? .bodyLimit : .content(error.code), description: "\(error)")
        default: self.init(kind: .content(nil), description: "\(error)")
        }
    }
}

/// What is asked of a target at every scrape.
struct ScrapeRequest: Sendable {
    let target: ScrapeTarget
    var request: HTTPClientRequest
    let client: HTTPClient
    /// True when the target is this very process, which is asked without a socket.
    let isInMemory: Bool

    init(_ target: ScrapeTarget, _ arguments: PrometheusScrape.Arguments, in pool: ScrapePool) {
        self.target = target
        var request = HTTPClientRequest(
            .get, target.url,
            fields: [
                "accept": ScrapeProtocol.acceptHeader(arguments.protocols, escaping: arguments.escaping),
                "accept-encoding": arguments.isCompressionEnabled ? "gzip" : "identity",
                "x-prometheus-scrape-timeout-seconds": Self.seconds(target.timeout),
            ])
        request.timeout = target.timeout
        request.unixSocketPath = target.unixSocketPath
        self.request = request
        client = pool.client(arguments.client)
        let own = pool.context.services.memoryAddress
        isInMemory = !own.isEmpty && Self.isSame(target.url, own)
    }

    /// Seconds without an exponent or needless digits.
    private static func seconds(_ duration: Duration) -> String {
        let nanoseconds = duration.nanoseconds
        let whole = "\(nanoseconds / 1_000_000_000)"
        let rest = nanoseconds % 1_000_000_000
        if rest == 0 { return whole }
        var digits = String(rest)
        digits = String(repeating: "0", count: 9 - digits.count) + digits
        while digits.hasSuffix("0") { digits.removeLast() }
        return whole + "." + digits
    }

    private static func isSame(_ url: HTTPURL, _ address: String) -> Bool {
        guard let other = HTTPURL("\(url.scheme)://\(address)") else { return false }
        return other.host == url.host && other.port == url.port
    }
}

/// Gets the page of a target and hands it on in pieces.
struct ScrapeFetch: Sendable {
    let request: ScrapeRequest
    let arguments: PrometheusScrape.Arguments
    let pool: ScrapePool

    /// Calls `begin` with the format once it is known, then `piece` with each piece of the body.
    func run(
        begin: (ExpositionFormat) throws -> Void, piece: (HTTPBodyChunk) async throws -> Void
    ) async throws {
        if let page = inMemoryPage {
            let response = await page()
            guard response.status == 200 else {
                throw ScrapeFailure(
                    kind: .fetch, description: "server returned HTTP status \(HTTPStatus(response.status))")
            }
            if response.body.isEmpty { return }
            try begin(try format(response.contentType))
            try await piece(HTTPBodyChunk(response.body))
            return
        }
        let response: HTTPClientResponse
        do throws(HTTPClientError) {
            response = try await request.client.send(request.request)
        } catch {
            throw failure(error, isBody: false)
        }
        guard response.status.code == 200 else {
            response.body.cancel()
            throw ScrapeFailure(kind: .fetch, description: "server returned HTTP status \(response.status)")
        }
        var hasBegun = false
        while true {
            let chunk: HTTPBodyChunk
            do throws(HTTPClientError) {
                guard let next = try await response.body.nextChunk() else { break }
                chunk = next
            } catch {
                throw failure(error, isBody: true)
            }
            if !hasBegun, !chunk.isEmpty {
                // Whose body is empty need not say what it is.
                try begin(try format(response.fields["content-type"]))
                hasBegun = true
            }
            do {
                try await piece(chunk)
            } catch {
                response.body.cancel()
                throw error
            }
        }
    }

    private func format(_ contentType: String?) throws -> ExpositionFormat {
        try ExpositionFormat(contentType: contentType, fallback: arguments.fallbackProtocol)
    }

    private func failure(_ error: HTTPClientError, isBody: Bool) -> ScrapeFailure {
        if case .bodyTooLarge = error {
            return ScrapeFailure(kind: .bodyLimit, description: "body size limit exceeded")
        }
        let text = isBody ? "\(error)" : "Get \"\(request.target.identity.url)\": \(error)"
        return ScrapeFailure(kind: .fetch, description: text)
    }

    // MARK: Without a socket

    /// The page of this process that the target names, when its address is the one that reaches the process itself.
    var inMemoryPage: (() async -> ComponentResponse)? {
        guard request.isInMemory else { return nil }
        let services = pool.context.services
        let url = request.target.url
        let path = Percent.decode(url.path)
        let fields = request.request.fields
        return {
            if path.hasPrefix(ComponentHandlers.prefix) {
                guard let (handler, rest) = services.handlers.resolve(path) else {
                    return ComponentResponse(status: 404, body: [])
                }
                let query = url.query.map { QueryItems($0).items.map { (name: $0.name, value: $0.value) } } ?? []
                let headers = fields.map { (name: $0.name.lowercased(), value: $0.value) }
                return await handler(ComponentRequest(path: rest, query: query, headers: headers))
            }
            guard path == "/metrics" else { return ComponentResponse(status: 404, body: []) }
            return ComponentResponse(
                contentType: Exposition.contentType, body: Exposition.text(services.metrics.collect()))
        }
    }
}
