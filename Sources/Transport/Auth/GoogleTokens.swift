import CryptoExtras
import Essentials
import Glibc
import NIOCore
import TextFormats

extension TokenAuthoriser {
    /// Fetches tokens of Google Cloud and puts them on requests.
    ///
    /// Credentials are looked for as Google's libraries do: the file given, `GOOGLE_APPLICATION_CREDENTIALS`, the file
    /// `gcloud auth application-default login` writes, the metadata server of the machine. A token is renewed a minute
    /// before its end, and after 401.
    static func googleIAM(
        _ settings: GoogleIAMSettings, userAgent: String, on loops: EventLoops, clock: EngineClock,
        environment: @escaping @Sendable (String) -> String? = { name in getenv(name).map { String(cString: $0) } }
    ) -> TokenAuthoriser {
        var own = HTTPClientSettings()
        own.userAgent = userAgent
        let source = GoogleTokenSource(
            settings: settings, client: TokenClient("google_iam", own, on: loops, clock: clock), clock: clock,
            environment: { name in environment(name).flatMap { $0.isEmpty ? nil : $0 } })
        return TokenAuthoriser(clock: clock) { deadline throws(HTTPClientError) in
            try await source.token(until: deadline)
        }
    }
}

/// Finds the credentials and asks for one token with them; files are read again for each token.
private struct GoogleTokenSource: Sendable {
    private static let platformScope = "https://www.googleapis.com/auth/cloud-platform"

    let settings: GoogleIAMSettings
    let client: TokenClient
    let clock: EngineClock
    let environment: @Sendable (String) -> String?

    func token(until deadline: NIODeadline) async throws(HTTPClientError) -> AccessToken {
        let grant: TokenClient.Grant
        var quotaProject = environment("GOOGLE_CLOUD_QUOTA_PROJECT")
        if let (credentials, project) = try credentials() {
            grant = try await ask(credentials, for: settings.scope, deadline)
            quotaProject = quotaProject ?? project
        } else {
            grant = try await askMetadata(deadline)
        }
        let life = grant.lifetime ?? .seconds(600)
        var token = try client.token(grant, renewedAfter: life > .seconds(120) ? life - .seconds(60) : life / 2)
        token.quotaProject = quotaProject.flatMap {
            HTTPFields.isValid(name: "x-goog-user-project", value: $0) ? $0 : nil
        }
        return token
    }

    /// The credentials there are, and the project they say is charged.
    private func credentials() throws(HTTPClientError) -> (GoogleCredentials, quotaProject: String?)? {
        if let path = settings.credentialsFile ?? environment("GOOGLE_APPLICATION_CREDENTIALS") {
            return try read(path)
        }
        guard let home = environment("HOME") else { return nil }
        let path = "\(home)/.config/gcloud/application_default_credentials.json"
        return access(path, R_OK) == 0 ? try read(path) : nil
    }

    private func read(_ path: String) throws(HTTPClientError) -> (GoogleCredentials, quotaProject: String?) {
        let text = try SecretSource.file(path).read()
        do {
            return (try GoogleCredentials(parsing: text), GoogleCredentials.quotaProject(in: text))
        } catch {
            throw .authorisation("google_iam: \(path): \(error)")
        }
    }

    private func ask(
        _ credentials: GoogleCredentials, for scope: String, _ deadline: NIODeadline
    ) async throws(HTTPClientError) -> TokenClient.Grant {
        switch credentials {
        case .serviceAccount(let email, let keyID, let key, let url):
            let claims: JSONObject = [
                "iss": .string(email), "scope": .string(scope), "aud": .string(url.text),
                "iat": .int(Int(clock.wallMilliseconds / 1_000)),
                "exp": .int(Int(clock.wallMilliseconds / 1_000) + 3_600),
            ]
            let assertion = try sign(claims, keyID: keyID, with: key)
            let type = "urn:ietf:params:oauth:grant-type:jwt-bearer"
            return try await client.grant(
                .tokenForm(url, [("grant_type", type), ("assertion", assertion)]), until: deadline)
        case .user(let clientID, let clientSecret, let refreshToken, let url):
            let form: [(name: String, value: String)] = [
                ("grant_type", "refresh_token"), ("client_id", clientID),
                ("client_secret", clientSecret.reveal { $0 }), ("refresh_token", refreshToken.reveal { $0 }),
            ]
            return try await client.grant(.tokenForm(url, form), until: deadline)
        case .external(let account): return try await exchange(account, for: scope, deadline)
        case .impersonated(let url, let delegates, let source):
            let own = try await ask(source, for: Self.platformScope, deadline)
            return try await impersonate(url, delegates, with: own, for: scope, deadline)
        }
    }

    /// A signed claim set as RFC 7515 writes it, with RSASSA-PKCS1-v1_5 and SHA-256.
    private func sign(
        _ claims: JSONObject, keyID: String, with key: Secret<String>
    ) throws(HTTPClientError) -> String {
        let header: JSONObject = ["alg": .string("RS256"), "typ": .string("JWT"), "kid": .string(keyID)]
        let writer = JSONWriter(escapesHTML: false)
        let parts = [header, claims].map { encode(Array(writer.text(.object($0)).utf8)) }
        let message = parts.joined(separator: ".")
        do {
            let signingKey = try key.reveal { try _RSA.Signing.PrivateKey(pemRepresentation: $0) }
            let signature = try signingKey.signature(for: Array(message.utf8), padding: .insecurePKCS1v1_5)
            return message + "." + encode(Array(signature.rawRepresentation))
        } catch {
            throw .authorisation("google_iam: private_key is not an RSA key in PEM")
        }
    }

    private func encode(_ bytes: [UInt8]) -> String {
        String(
            Base64.encode(bytes).compactMap { character -> Character? in
                switch character {
                case "+": "-"
                case "/": "_"
                case "=": nil
                default: character
                }
            })
    }

    private func exchange(
        _ account: GoogleCredentials.ExternalAccount, for scope: String, _ deadline: NIODeadline
    ) async throws(HTTPClientError) -> TokenClient.Grant {
        let form: [(name: String, value: String)] = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"), ("audience", account.audience),
            ("scope", scope), ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
            ("subject_token_type", account.tokenType), ("subject_token", try await subjectToken(account, deadline)),
        ]
        return try await client.grant(.tokenForm(account.tokenURL, form), until: deadline)
    }

    private func subjectToken(
        _ account: GoogleCredentials.ExternalAccount, _ deadline: NIODeadline
    ) async throws(HTTPClientError) -> String {
        let text: String
        switch account.subject {
        case .file(let path): text = try SecretSource.file(path).read()
        case .url(let url, let fields):
            let answer = try await client.send(HTTPClientRequest(.get, url, fields: fields), until: deadline)
            guard answer.status.isSuccess else {
                throw .authorisation("google_iam: cannot fetch the subject token: \(answer.status)")
            }
            text = String(String(decoding: answer.body, as: UTF8.self).trimmingWhitespace())
        }
        guard let name = account.tokenField else { return text }
        guard let json = try? JSONValue(parsing: text, maximumDepth: 16), let token = json[name]?.stringValue else {
            throw .authorisation("google_iam: the subject token has no member \(name)")
        }
        return token
    }

    private func impersonate(
        _ url: HTTPURL, _ delegates: [String], with own: TokenClient.Grant, for scope: String, _ deadline: NIODeadline
    ) async throws(HTTPClientError) -> TokenClient.Grant {
        let body: JSONObject = [
            "delegates": .array(delegates.map { .string($0) }), "scope": .array([.string(scope)]),
            "lifetime": .string("3600s"),
        ]
        var request = HTTPClientRequest.post(
            url, Array(JSONWriter().text(.object(body)).utf8), type: "application/json")
        request.fields["authorization"] = "\(own.type) \(own.token)"
        let answer = try await client.send(request, until: deadline)
        guard answer.status.isSuccess, let json = try? JSONValue(parsing: answer.body, maximumDepth: 16),
            let token = json["accessToken"]?.stringValue
        else { throw .authorisation("google_iam: cannot impersonate the service account: \(answer.status)") }
        let end = json["expireTime"]?.stringValue.flatMap { try? GoTimeLayout("2006-01-02T15:04:05Z07:00").parse($0) }
        let seconds = end.map { $0.unixSeconds - clock.wallMilliseconds / 1_000 } ?? 3_600
        return TokenClient.Grant(token: token, type: "Bearer", lifetime: .seconds(max(1, seconds)))
    }

    private func askMetadata(_ deadline: NIODeadline) async throws(HTTPClientError) -> TokenClient.Grant {
        let host = environment("GCE_METADATA_HOST") ?? "169.254.169.254"
        let query = Percent.form([("scopes", settings.scope)])
        guard
            let url = HTTPURL("http://\(host)/computeMetadata/v1/instance/service-accounts/default/token?\(query)")
        else { throw .authorisation("google_iam: GCE_METADATA_HOST does not make a URL") }
        return try await client.grant(
            HTTPClientRequest(.get, url, fields: ["metadata-flavor": "Google"]), until: deadline)
    }
}
