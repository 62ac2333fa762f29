package import AlloySyntax
package import Essentials
package import Transport

/// The arguments and blocks of an HTTP client, which many components inline into their own block.
///
/// Call on the reader of the block that has them; the result carries plain settings for `HTTPClient`.
package struct HTTPClientArguments: Sendable {
    package var settings = HTTPClientSettings()

    /// Reads the group. `http2` is the default of `enable_http2`, which differs among components.
    package init(from block: inout BlockReader, http2: Bool = true) {
        let bearerToken: Secret<String>? = block.optional("bearer_token", "Bearer token sent with every request.")
        let bearerTokenFile: String? = block.optional(
            "bearer_token_file", "File with a bearer token, read again when it changes.")
        settings.proxy = ProxyArguments(from: &block).settings
        settings.followsRedirects = block.optional(
            "follow_redirects", default: true, "Whether redirects of the server are followed.")
        settings.isHTTP2Enabled = block.optional(
            "enable_http2", default: http2, "Whether HTTP/2 is offered over TLS.")
        settings.headers = SecretFields.read("http_headers", "Header fields added to every request.", from: &block)
        let basic: BasicAuthenticationArguments? = block.optionalBlock(
            "basic_auth", "Authenticates with a name and a password.")
        let authorization: AuthorizationArguments? = block.optionalBlock(
            "authorization", "Sends a fixed `Authorization` field.")
        let oauth2: OAuth2Arguments? = block.optionalBlock(
            "oauth2", "Authenticates with tokens of the OAuth 2.0 client-credentials grant.")
        let tls: TLSArguments = block.block("tls_config", "Certificates and versions of TLS.")
        settings.tls = tls.settings

        var ways: [HTTPAuthorisation] = []
        if let basic { ways.append(basic.authorisation) }
        if let authorization { ways.append(authorization.authorisation) }
        if let oauth2 { ways.append(.oauth2(oauth2.settings)) }
        if let token = bearerToken, !token.isEmpty { ways.append(.bearer(.inline(token))) }
        if let file = bearerTokenFile, !file.isEmpty { ways.append(.bearer(.file(file))) }
        if ways.count > 1 {
            block.reject(
                "at most one of basic_auth, authorization, oauth2, bearer_token & bearer_token_file must be configured")
        }
        settings.authorisation = ways.first ?? .none
    }
}

/// A `basic_auth` block of a client.
package struct BasicAuthenticationArguments: Block {
    package let authorisation: HTTPAuthorisation

    package init(from block: inout BlockReader) {
        let username: String = block.optional("username", "Name sent to the server.") ?? ""
        let password: Secret<String>? = block.optional("password", "Password sent to the server.")
        let passwordFile: String? = block.optional(
            "password_file", "File with the password, read again when it changes.")
        if let password, !password.isEmpty, let passwordFile, !passwordFile.isEmpty {
            block.reject("password_file", "and password exclude each other")
        }
        authorisation = .basic(username: username, password: secretSource(password, passwordFile))
    }
}

/// An `authorization` block.
package struct AuthorizationArguments: Block {
    package let authorisation: HTTPAuthorisation

    package init(from block: inout BlockReader) {
        let type: String = block.optional("type", "Scheme of the field; `Bearer` unless given.") ?? ""
        let credentials: Secret<String>? = block.optional("credentials", "What follows the scheme.")
        let file: String? = block.optional("credentials_file", "File with the credentials, read again when it changes.")
        if let credentials, !credentials.isEmpty, let file, !file.isEmpty {
            block.reject("credentials_file", "and credentials exclude each other")
        }
        if type.lowercased() == "basic" {
            block.reject("type", "cannot be \"basic\": use a basic_auth block instead")
        }
        authorisation = .credentials(
            type: type.isEmpty ? "Bearer" : type, secretSource(credentials, file) ?? .inline(Secret("")))
    }
}

/// An `oauth2` block of a client.
package struct OAuth2Arguments: Block {
    package let settings: OAuth2Settings

    package init(from block: inout BlockReader) {
        let clientID: String = block.optional("client_id", "Identifier of the client.") ?? ""
        let secret: Secret<String>? = block.optional("client_secret", "Secret of the client.")
        let file: String? = block.optional("client_secret_file", "File with the secret, read again when it changes.")
        let scopes: [String] = block.optional("scopes", "Scopes asked for.") ?? []
        let tokenURL: String = block.optional("token_url", "URL tokens are fetched from.") ?? ""
        let parameters: [String: String] =
            block.optional(
                "endpoint_params", "Further parameters of the token request.") ?? [:]
        let proxy = ProxyArguments(from: &block)
        let tls: TLSArguments? = block.optionalBlock(
            "tls_config", "Certificates and versions of TLS to the token server.")
        if clientID.isEmpty { block.reject("oauth2 client_id must be configured") }
        if tokenURL.isEmpty { block.reject("oauth2 token_url must be configured") }
        let hasSecret = secret.map { !$0.isEmpty } ?? false
        let hasFile = file.map { !$0.isEmpty } ?? false
        if !hasSecret, !hasFile {
            block.reject("either oauth2 client_secret or client_secret_file must be configured")
        } else if hasSecret, hasFile {
            block.reject("client_secret_file", "and client_secret exclude each other")
        }
        var made = OAuth2Settings(
            clientID: clientID, clientSecret: secretSource(secret, file) ?? .inline(Secret("")), tokenURL: tokenURL)
        made.scopes = scopes
        made.endpointParameters = parameters
        made.proxy = proxy.settings
        if let tls { made.tls = tls.settings }
        settings = made
    }
}

/// The proxy arguments of a client.
package struct ProxyArguments: Sendable {
    package var settings = ProxySettings()

    package init(from block: inout BlockReader) {
        let url: String? = block.optional("proxy_url", "Proxy that requests are sent through.")
        let noProxy: String? = block.optional(
            "no_proxy", "Comma-separated addresses, networks and domains that are reached without the proxy.")
        settings.usesEnvironment = block.optional(
            "proxy_from_environment", default: false, "Whether the environment's proxy variables are used.")
        settings.connectFields = SecretFields.read(
            "proxy_connect_header", "Header fields sent to the proxy with CONNECT.", from: &block)
        if let url, !url.isEmpty { settings.url = Secret(url) }
        if let noProxy, !noProxy.isEmpty { settings.noProxy = noProxy }
        if let problem = settings.problem { block.reject("\(problem.argument): \(problem.reason)") }
    }
}

/// A `tls_config` block of a client.
package struct TLSArguments: Block {
    package let settings: TLSClientSettings

    package init(from block: inout BlockReader) {
        var made = TLSClientSettings()
        made.caPEM = block.nonEmpty("ca_pem", "Certificates trusted instead of the system's, as PEM.")
        made.caFile = block.nonEmpty("ca_file", "File with the certificates trusted instead of the system's.")
        made.certificatePEM = block.nonEmpty("cert_pem", "Certificate chain of the client, as PEM.")
        made.certificateFile = block.nonEmpty("cert_file", "File with the certificate chain of the client.")
        let key: Secret<String>? = block.optional("key_pem", "Key of the client's certificate, as PEM.")
        made.keyPEM = key.flatMap { $0.isEmpty ? nil : $0 }
        made.keyFile = block.nonEmpty("key_file", "File with the key of the client's certificate.")
        made.serverName = block.nonEmpty("server_name", "Name verified instead of the host of the URL.")
        made.skipsVerification = block.optional("insecure_skip_verify", "Whether any certificate is accepted.") ?? false
        let version: String? = block.nonEmpty("min_version", "Oldest version accepted: `TLS10` to `TLS13`.")
        if let version {
            if let known = TLSProtocolVersion(configured: version) {
                made.minimumVersion = known
            } else {
                block.reject("min_version", "must be one of TLS10, TLS11, TLS12, TLS13")
            }
        }
        if let problem = made.problem { block.reject(problem.reason) }
        settings = made
    }
}

/// A `map(list(secret))` of header fields.
package enum SecretFields {
    /// Reads the argument into fields sorted by name; each must have at least one value.
    package static func read(_ name: String, _ doc: String, from block: inout BlockReader) -> [HTTPSecretField] {
        let fields: [String: [Secret<String>]] = block.optional(name, doc) ?? [:]
        return fields.sorted { $0.key < $1.key }.map { field in
            HTTPSecretField(field.key, field.value.map { .inline($0) })
        }
    }
}

extension BlockReader {
    /// An optional text; empty counts as left out, as in Alloy.
    package mutating func nonEmpty(_ name: String, _ doc: String, defaultProse: String? = nil) -> String? {
        let text: String? = optional(name, doc, defaultProse: defaultProse)
        return text.flatMap { $0.isEmpty ? nil : $0 }
    }
}

extension Secret<String> {
    /// Whether there is nothing to keep secret.
    package var isEmpty: Bool { reveal { $0.isEmpty } }
}

/// The secret given inline, or else the file; nil when both are missing or empty.
package func secretSource(_ inline: Secret<String>?, _ file: String?) -> SecretSource? {
    if let inline, !inline.isEmpty { return .inline(inline) }
    if let file, !file.isEmpty { return .file(file) }
    return nil
}
