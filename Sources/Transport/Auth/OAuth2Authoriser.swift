import Essentials
import NIOCore
import Synchronization
import TextFormats

/// Fetches tokens by the client-credentials grant (RFC 6749, 4.4) and puts them on requests.
///
/// One token is fetched at a time, ten seconds before the old one ends, and again after 401. Whether the token server
/// wants the client's secret in the `Authorization` field or in the body is found out once.
final class OAuth2Authoriser: RequestAuthoriser {
    private struct Token {
        let header: String
        /// On the clock's monotonic scale; nil never ends.
        let endNanoseconds: Int64?
    }

    private struct State {
        var token: Token?
        var waiting: [OneShot<Void>] = []
        var isFetching = false
        var sendsSecretInBody = false
    }

    private static let margin: Int64 = 10_000_000_000

    private let settings: OAuth2Settings
    private let client: HTTPClient
    private let clock: EngineClock
    private let state = Mutex(State())

    init(_ settings: OAuth2Settings, userAgent: String, on loops: EventLoops, clock: EngineClock) {
        self.settings = settings
        self.clock = clock
        var own = HTTPClientSettings()
        own.tls = settings.tls
        own.proxy = settings.proxy
        own.userAgent = userAgent
        own.requestTimeout = .seconds(30)
        own.maximumBodyBytes = .mebibytes(1)
        client = HTTPClient(own, on: loops, clock: clock)
    }

    func authorise(_ request: inout HTTPClientRequest, until deadline: NIODeadline) async throws(HTTPClientError) {
        request.fields["authorization"] = try await header(until: deadline)
    }

    func isRefreshable(after request: HTTPClientRequest) -> Bool {
        let used = request.fields["authorization"]
        return state.withLock { state in
            // Another request may have fetched a new one already.
            if state.token?.header == used { state.token = nil }
            return true
        }
    }

    private enum Choice {
        case use(String)
        case fetch
        case wait(OneShot<Void>)
    }

    private func header(until deadline: NIODeadline) async throws(HTTPClientError) -> String {
        while true {
            let now = clock.monotonicNanoseconds
            let choice = state.withLock { state -> Choice in
                if let token = state.token, token.endNanoseconds.map({ now < $0 - Self.margin }) ?? true {
                    return .use(token.header)
                }
                if state.isFetching {
                    let turn = OneShot<Void>()
                    state.waiting.append(turn)
                    return .wait(turn)
                }
                state.isFetching = true
                return .fetch
            }
            switch choice {
            case .use(let header): return header
            case .wait(let turn):
                do {
                    try await withTaskCancellationHandler {
                        try await turn.value()
                    } onCancel: {
                        turn.complete(.failure(HTTPClientError.cancelled))
                    }
                } catch {
                    throw HTTPClientError(error, in: .authorisation)
                }
                guard deadline > .now() else { throw .deadlineExceeded(.authorisation) }
            case .fetch:
                let fetched: Result<Token, HTTPClientError>
                do throws(HTTPClientError) {
                    fetched = .success(try await fetch(until: deadline))
                } catch {
                    fetched = .failure(error)
                }
                let waiting = state.withLock { state in
                    if case .success(let token) = fetched { state.token = token }
                    state.isFetching = false
                    defer { state.waiting = [] }
                    return state.waiting
                }
                for turn in waiting { turn.complete(fetched.map { _ in }.mapError { $0 }) }
                return try fetched.get().header
            }
        }
    }

    private func fetch(until deadline: NIODeadline) async throws(HTTPClientError) -> Token {
        guard let url = HTTPURL(settings.tokenURL) else { throw .authorisation("token_url is not a URL") }
        let secret = try settings.clientSecret.read()
        let inBody = state.withLock { $0.sendsSecretInBody }
        let first = try await ask(url, secret, inBody: inBody, deadline)
        if first.status.isSuccess { return try token(first.body) }
        guard first.status.code == 400 || first.status.code == 401 || first.status.code == 403 else {
            throw .authorisation("oauth2: cannot fetch token: \(first.status)")
        }
        let second = try await ask(url, secret, inBody: !inBody, deadline)
        guard second.status.isSuccess else { throw .authorisation("oauth2: cannot fetch token: \(first.status)") }
        state.withLock { $0.sendsSecretInBody = !inBody }
        return try token(second.body)
    }

    private func ask(
        _ url: HTTPURL, _ secret: String, inBody: Bool, _ deadline: NIODeadline
    ) async throws(HTTPClientError) -> (status: HTTPStatus, body: [UInt8]) {
        var items: [(name: String, value: String)] = [("grant_type", "client_credentials")]
        if !settings.scopes.isEmpty { items.append(("scope", settings.scopes.joined(separator: " "))) }
        for (name, value) in settings.endpointParameters.sorted(by: { $0.key < $1.key }) { items.append((name, value)) }
        if inBody {
            items.append(("client_id", settings.clientID))
            items.append(("client_secret", secret))
        }
        var request = HTTPClientRequest.post(
            url, Array(Percent.form(items).utf8), type: "application/x-www-form-urlencoded",
            fields: ["accept": "application/json"])
        if !inBody {
            let user = Percent.form([("", settings.clientID)]).dropFirst()
            let password = Percent.form([("", secret)]).dropFirst()
            request.fields["authorization"] = "Basic " + Base64.encode(Array("\(user):\(password)".utf8))
        }
        if deadline < .distantFuture {
            let left = (deadline - .now()).nanoseconds
            guard left > 0 else { throw .deadlineExceeded(.authorisation) }
            request.timeout = min(.nanoseconds(left), .seconds(30))
        }
        do {
            let response = try await client.send(request)
            return (response.status, try await response.collect())
        } catch .cancelled {
            throw .cancelled
        } catch .deadlineExceeded {
            throw .deadlineExceeded(.authorisation)
        } catch {
            throw .authorisation("oauth2: cannot fetch token: \(error)")
        }
    }

    private func token(_ body: [UInt8]) throws(HTTPClientError) -> Token {
        guard let json = try? JSONValue(parsing: body, maximumDepth: 16),
            let access = json["access_token"]?.stringValue, !access.isEmpty
        else { throw .authorisation("oauth2: server response missing access_token") }
        var type = json["token_type"]?.stringValue ?? "Bearer"
        if type.isEmpty || type.lowercased() == "bearer" { type = "Bearer" }
        let header = "\(type) \(access)"
        guard HTTPFields.isValid(name: "authorization", value: header) else {
            throw .authorisation("oauth2: token contains characters that cannot be sent")
        }
        let seconds = json["expires_in"]?.intValue ?? json["expires_in"]?.stringValue.flatMap { Int64($0) } ?? 0
        guard seconds > 0 else { return Token(header: header, endNanoseconds: nil) }
        let span = min(seconds, 10 * 365 * 86_400) * 1_000_000_000
        return Token(header: header, endNanoseconds: clock.monotonicNanoseconds + span)
    }
}
