package import AlloySyntax
package import ComponentKit
import Essentials
import Synchronization
import Telemetry
import TextFormats
import Transport

/// Authenticates clients with tokens of the OAuth 2.0 client-credentials grant (RFC 6749, 4.4).
package final class OtelcolAuthOAuth2: Component {
    package typealias Exports = AuthExports

    package static let spec = ComponentSpec(
        "otelcol.auth.oauth2", .generallyAvailable, "Authenticates clients with OAuth 2.0 tokens.")

    package struct Arguments: Block, Sendable {
        let settings: Settings

        package init(from block: inout BlockReader) {
            let id = block.optional("client_id", default: "", "Identifier of the client.")
            let idFile = block.optional("client_id_file", default: "", "File with the identifier of the client.")
            let secret = block.optional("client_secret", default: Secret(""), "Secret of the client.")
            let secretFile = block.optional("client_secret_file", default: "", "File with the secret of the client.")
            Self.refuseAssertions(&block)
            let url = block.required("token_url", "URL tokens are fetched from.") as String
            let parameters: [String: [String]] = block.optional(
                "endpoint_params", default: [:], "Further parameters of the token request.")
            let scopes: [String] = block.optional("scopes", default: [], "Scopes asked for.")
            let timeout = block.optional(
                "timeout", default: Duration.zero, "Time a token request may take; 0 is no limit.")
            let buffer = block.optional(
                "expiry_buffer", default: Duration.zero, "Time before its end at which a token is fetched anew.")
            let tls: ClientTLS = block.block("tls", "Certificates and versions of TLS to the token server.")
            DebugMetrics.read(from: &block)
            if id.isEmpty, idFile.isEmpty { block.reject("client_id", "or client_id_file must be set") }
            if secret.isEmpty, secretFile.isEmpty {
                block.reject("client_secret", "or client_secret_file must be set")
            }
            if !url.isEmpty, HTTPURL(url) == nil { block.reject("token_url", "must be a URL") }
            settings = Settings(
                id: idFile.isEmpty ? .inline(Secret(id)) : .file(idFile),
                secret: secretFile.isEmpty ? .inline(secret) : .file(secretFile), tokenURL: url,
                parameters: parameters, scopes: scopes, timeout: timeout > .zero ? timeout : nil,
                expiryBuffer: buffer > .zero ? buffer : .seconds(300), tls: tls.settings)
        }

        /// The grant by signed assertions needs keys this program cannot sign with.
        private static func refuseAssertions(_ block: inout BlockReader) {
            let grant = block.optional("grant_type", default: "client_credentials", "How tokens are asked for.")
            if grant != "client_credentials", !grant.isEmpty {
                block.reject("grant_type", "only client_credentials is supported")
            }
            let algorithm = block.optional("signature_algorithm", default: "RS256", "How assertions are signed.")
            let keyID = block.optional("client_certificate_key_id", default: "", "Name of the key of assertions.")
            let key = block.optional("client_certificate_key", default: Secret(""), "Key of assertions.")
            let keyFile = block.optional("client_certificate_key_file", default: "", "File with the key of assertions.")
            let issuer = block.optional("iss", default: "", "Issuer of assertions.")
            let audience = block.optional("audience", default: "", "Audience of assertions.")
            let claims: [String: Value] = block.optional("claims", default: [:], "Further claims of assertions.")
            let given: [(String, Bool)] = [
                ("signature_algorithm", algorithm != "RS256" && !algorithm.isEmpty),
                ("client_certificate_key_id", !keyID.isEmpty), ("client_certificate_key", !key.isEmpty),
                ("client_certificate_key_file", !keyFile.isEmpty), ("iss", !issuer.isEmpty),
                ("audience", !audience.isEmpty), ("claims", !claims.isEmpty),
            ]
            for (name, isGiven) in given where isGiven {
                block.reject(name, "is for the jwt-bearer grant, which is not supported: use client_credentials")
            }
        }
    }

    struct Settings: Sendable, Equatable {
        var id: SecretSource
        var secret: SecretSource
        var tokenURL: String
        var parameters: [String: [String]]
        var scopes: [String]
        var timeout: Duration?
        var expiryBuffer: Duration
        var tls: TLSClientSettings
    }

    private let arguments: Live<Arguments>
    private let context: Context<AuthExports>
    private let version = Mutex(0)

    package init(_ arguments: Live<Arguments>, _ context: Context<AuthExports>) throws {
        self.arguments = arguments
        self.context = context
        publish()
        context.report(.healthy("ready"))
    }

    package func argumentsChanged() { publish() }

    private func publish() {
        let version = version.withLock { version in
            version += 1
            return version
        }
        let source = TokenSource(
            arguments.current.settings, on: context.services.eventLoops, clock: context.clock)
        context.export(
            AuthExports(
                handler: AuthHandler(component: context.componentID, signer: source, version: version)))
    }
}

/// Fetches tokens one at a time and keeps them until shortly before their end.
private final class TokenSource: RequestSigner {
    private struct Token {
        var header: String
        var end: Int64?
    }

    private let settings: OtelcolAuthOAuth2.Settings
    private let client: HTTPClient
    private let clock: EngineClock
    private let token = Mutex<Token?>(nil)
    private let turn = Slots(1)

    init(_ settings: OtelcolAuthOAuth2.Settings, on loops: EventLoops, clock: EngineClock) {
        self.settings = settings
        self.clock = clock
        var http = HTTPClientSettings()
        http.tls = settings.tls
        http.requestTimeout = settings.timeout
        http.maximumBodyBytes = .mebibytes(1)
        client = HTTPClient(http, on: loops, clock: clock)
    }

    func sign(_ request: inout HTTPClientRequest, for client: OTLPClient?) async throws(AuthenticationError) {
        request.fields["authorization"] = try await header()
    }

    func refused() -> Bool {
        token.withLock { $0 = nil }
        return true
    }

    private var known: String? {
        let now = clock.monotonicNanoseconds
        return token.withLock { token in
            guard let token, token.end.map({ now < $0 }) ?? true else { return nil }
            return token.header
        }
    }

    private func header() async throws(AuthenticationError) -> String {
        if let known { return known }
        do {
            return try await turn.withSlot {
                if let known { return known }
                let made = try await fetch()
                token.withLock { $0 = made }
                return made.header
            }
        } catch let error as AuthenticationError {
            throw error
        } catch {
            throw AuthenticationError("cannot fetch a token: \(error)")
        }
    }

    private func fetch() async throws -> Token {
        guard let url = HTTPURL(settings.tokenURL) else { throw AuthenticationError("token_url is not a URL") }
        var items: [(String, String)] = [("grant_type", "client_credentials")]
        if !settings.scopes.isEmpty { items.append(("scope", settings.scopes.joined(separator: " "))) }
        for (name, values) in settings.parameters.sorted(by: { $0.key < $1.key }) {
            for value in values { items.append((name, value)) }
        }
        let id = try Self.read(settings.id)
        let secret = try Self.read(settings.secret)
        let body = items.map { "\(Self.escaped($0.0))=\(Self.escaped($0.1))" }.joined(separator: "&")
        var request = HTTPClientRequest.post(url, Array(body.utf8), type: "application/x-www-form-urlencoded")
        request.fields["authorization"] =
            "Basic " + Base64.encode(Array("\(Self.escaped(id)):\(Self.escaped(secret))".utf8))
        var response = try await client.send(request)
        var answer = try await response.collect()
        if !response.status.isSuccess {
            // Some servers take the secret in the body only.
            let more = body + "&client_id=\(Self.escaped(id))&client_secret=\(Self.escaped(secret))"
            response = try await client.send(
                HTTPClientRequest.post(url, Array(more.utf8), type: "application/x-www-form-urlencoded"))
            answer = try await response.collect()
        }
        guard response.status.isSuccess else {
            throw AuthenticationError("the token server answered \(response.status)")
        }
        return try token(answer)
    }

    private func token(_ answer: [UInt8]) throws -> Token {
        let json = try JSONValue(parsing: String(decoding: answer, as: UTF8.self))
        guard let text = json["access_token"]?.stringValue, !text.isEmpty else {
            throw AuthenticationError("the token server's answer has no access_token")
        }
        let type = json["token_type"]?.stringValue ?? "Bearer"
        var end: Int64?
        if let seconds = json["expires_in"]?.doubleValue, seconds > 0, seconds < 1e9 {
            let life = Int64(seconds * 1e9)
            // A buffer longer than half of a token's life would fetch one for every request.
            end = clock.monotonicNanoseconds &+ max(life - settings.expiryBuffer.nanoseconds, life / 2)
        }
        let scheme = type.lowercased() == "bearer" ? "Bearer" : type
        return Token(header: "\(scheme) \(text)", end: end)
    }

    private static func read(_ source: SecretSource) throws -> String {
        switch source {
        case .inline(let secret): secret.reveal { $0 }
        case .file(let path): String(try Files.readText(path, limit: .mebibytes(1)).trimmed)
        }
    }

    /// As in forms: everything but letters, digits and `-._~`.
    private static func escaped(_ text: String) -> String {
        let digits = Array("0123456789ABCDEF")
        return text.utf8.map { byte in
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E:
                String(UnicodeScalar(byte))
            default: "%\(digits[Int(byte >> 4)])\(digits[Int(byte & 15)])"
            }
        }.joined()
    }
}
