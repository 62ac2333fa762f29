import Essentials
import NIOCore
import Synchronization

extension TokenAuthoriser {
    /// Fetches tokens by the client-credentials grant (RFC 6749, 4.4) and puts them on requests.
    ///
    /// One token is fetched at a time, ten seconds before the old one ends, and again after 401. Whether the token server
    /// wants the client's secret in the `Authorization` field or in the body is found out once.
    static func oauth2(
        _ settings: OAuth2Settings, userAgent: String, on loops: EventLoops, clock: EngineClock
    ) -> TokenAuthoriser {
        var own = HTTPClientSettings()
        own.tls = settings.tls
        own.proxy = settings.proxy
        own.userAgent = userAgent
        let source = OAuth2TokenSource(settings, TokenClient("oauth2", own, on: loops, clock: clock))
        return TokenAuthoriser(clock: clock) { deadline throws(HTTPClientError) in
            try await source.token(until: deadline)
        }
    }
}

/// Asks the token server of an `oauth2` block.
private final class OAuth2TokenSource: Sendable {
    private static let margin = Duration.seconds(10)

    private let settings: OAuth2Settings
    private let client: TokenClient
    private let sendsSecretInBody = Mutex(false)

    init(_ settings: OAuth2Settings, _ client: TokenClient) {
        self.settings = settings
        self.client = client
    }

    func token(until deadline: NIODeadline) async throws(HTTPClientError) -> AccessToken {
        let grant = try await grant(until: deadline)
        return try client.token(grant, renewedAfter: grant.lifetime.map { $0 - Self.margin })
    }

    private func grant(until deadline: NIODeadline) async throws(HTTPClientError) -> TokenClient.Grant {
        guard let url = HTTPURL(settings.tokenURL) else { throw .authorisation("token_url is not a URL") }
        let secret = try settings.clientSecret.read()
        let inBody = sendsSecretInBody.withLock { $0 }
        let first = try await client.send(request(url, secret, inBody: inBody), until: deadline)
        if first.status.isSuccess { return try client.grant(in: first.body) }
        guard first.status.code == 400 || first.status.code == 401 || first.status.code == 403 else {
            throw .authorisation("oauth2: cannot fetch token: \(first.status)")
        }
        let second = try await client.send(request(url, secret, inBody: !inBody), until: deadline)
        guard second.status.isSuccess else { throw .authorisation("oauth2: cannot fetch token: \(first.status)") }
        sendsSecretInBody.withLock { $0 = !inBody }
        return try client.grant(in: second.body)
    }

    private func request(_ url: HTTPURL, _ secret: String, inBody: Bool) -> HTTPClientRequest {
        var items: [(name: String, value: String)] = [("grant_type", "client_credentials")]
        if !settings.scopes.isEmpty { items.append(("scope", settings.scopes.joined(separator: " "))) }
        for (name, value) in settings.endpointParameters.sorted(by: { $0.key < $1.key }) { items.append((name, value)) }
        if inBody {
            items.append(("client_id", settings.clientID))
            items.append(("client_secret", secret))
        }
        var request = HTTPClientRequest.tokenForm(url, items)
        if !inBody {
            let user = Percent.form([("", settings.clientID)]).dropFirst()
            let password = Percent.form([("", secret)]).dropFirst()
            request.fields["authorization"] = "Basic " + Base64.encode(Array("\(user):\(password)".utf8))
        }
        return request
    }
}
