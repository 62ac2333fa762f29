package import Essentials

/// Everything a client can be told, as plain values; the words of the HTTP client blocks.
package struct HTTPClientSettings: Sendable, Equatable {
    /// How requests are authorised; at most one.
    package var authorisation = HTTPAuthorisation.none
    /// Fields added to every request: a name and its secret values.
    package var headers: [HTTPSecretField] = []
    /// Certificates and versions of HTTPS.
    package var tls = TLSClientSettings()
    /// Which proxy requests go through.
    package var proxy = ProxySettings()
    /// Whether redirects are followed, ten at most.
    package var followsRedirects = true
    /// Whether HTTP/2 is offered over TLS.
    package var isHTTP2Enabled = true
    /// Speak HTTP/2 without TLS and without asking (gRPC).
    package var usesHTTP2PriorKnowledge = false
    /// When an HTTP/2 server is asked for a sign of life; nil is never.
    package var keepalive: HTTP2Keepalive?
    /// Resolve the host at every connection and take one of its addresses at random.
    package var usesRoundRobinDNS = false
    /// Sent unless the request has its own.
    package var userAgent = "invar"
    /// For name, connection, proxy and TLS together; nil is without limit of its own.
    package var connectTimeout: Duration? = .seconds(30)
    /// For a whole request up to the end of its body, redirects included; nil is without limit.
    package var requestTimeout: Duration?
    /// How long an unused connection is kept.
    package var idleTimeout: Duration = .seconds(300)
    /// Unused connections kept per host.
    package var maximumIdleConnectionsPerHost = 1_000
    /// Whether connections are kept for the next request.
    package var keepsAlive = true
    /// Header bytes of one response.
    package var maximumHeaderBytes = 1 << 20
    /// Body bytes of one response after decompression, unless the request says otherwise.
    package var maximumBodyBytes: ByteCount = .mebibytes(256)

    /// No authorisation, the system's certificate roots, direct connections.
    package init() {}
}

/// A field whose values are secret.
package struct HTTPSecretField: Sendable, Equatable {
    /// The field's name.
    package var name: String
    /// Sent as one field each, in order.
    package var values: [SecretSource]

    /// A field with the given values.
    package init(_ name: String, _ values: [SecretSource]) {
        self.name = name
        self.values = values
    }
}

/// How requests prove who sends them.
package enum HTTPAuthorisation: Sendable, Equatable {
    case none
    /// RFC 7617; no password is an empty one.
    case basic(username: String, password: SecretSource?)
    /// `Authorization: <type> <credentials>`; a bearer token is the type `Bearer`.
    case credentials(type: String, SecretSource)
    /// RFC 6749, section 4.4.
    indirect case oauth2(OAuth2Settings)
    /// AWS Signature Version 4.
    case sigV4(SigV4Settings)
    /// Microsoft Entra ID.
    case azureAD(AzureADSettings)
    /// Google Cloud IAM.
    case googleIAM(GoogleIAMSettings)

    /// A bearer token.
    package static func bearer(_ token: SecretSource) -> HTTPAuthorisation { .credentials(type: "Bearer", token) }
}

/// The client-credentials grant of OAuth 2.0; the words of an `oauth2` block.
package struct OAuth2Settings: Sendable, Equatable {
    /// The client's identifier.
    package var clientID: String
    /// The client's secret.
    package var clientSecret: SecretSource
    /// Where tokens are fetched.
    package var tokenURL: String
    /// The scopes asked for.
    package var scopes: [String] = []
    /// Further parameters of the token request.
    package var endpointParameters: [String: String] = [:]
    /// Certificates of the token server.
    package var tls = TLSClientSettings()
    /// The proxy to the token server.
    package var proxy = ProxySettings()

    /// Fetches tokens for a client from `tokenURL`.
    package init(clientID: String, clientSecret: SecretSource, tokenURL: String) {
        self.clientID = clientID
        self.clientSecret = clientSecret
        self.tokenURL = tokenURL
    }
}

/// AWS credentials and scope; the words of a `sigv4` block.
package struct SigV4Settings: Sendable, Equatable {
    /// The region; nil takes it from the environment or the profile.
    package var region: String?
    /// A fixed access key.
    package var accessKey: String?
    /// The secret of the fixed access key.
    package var secretKey: Secret<String>?
    /// The profile of the shared credentials file.
    package var profile: String?
    /// A role assumed through STS with the credentials found.
    package var roleARN: String?
    /// Sent when assuming the role.
    package var externalID: String?
    /// The name of the session of the assumed role.
    package var sessionName = "invar"
    /// The region whose STS is asked; nil for the one signed for.
    package var stsRegion: String?
    /// Ask the FIPS endpoint of STS.
    package var usesFIPSEndpoint = false
    /// The service signed for.
    package var service = "aps"
    /// Where STS is asked instead of AWS's endpoint of the region.
    package var stsEndpoint: String?

    /// Credentials from the environment, signed for managed Prometheus.
    package init() {}
}

/// An identity of Microsoft Entra ID; the words of an `azuread` block.
package struct AzureADSettings: Sendable, Equatable {
    /// A separate Azure with servers of its own.
    package enum Cloud: String, Sendable, CaseIterable {
        case `public` = "AzurePublic"
        case government = "AzureGovernment"
        case china = "AzureChina"
    }

    /// Who asks for a token.
    package enum Identity: Sendable, Equatable {
        /// An identity the machine has.
        case managed(clientID: String)
        /// An application that proves itself by a token of the cluster it runs in.
        case workload(clientID: String, tenantID: String, tokenFile: String)
        /// An application that has a secret.
        case application(clientID: String, clientSecret: Secret<String>, tenantID: String)
        /// What the environment says; an empty tenant is the environment's.
        case environment(tenantID: String)
    }

    /// The cloud the identity belongs to.
    package var cloud: Cloud
    /// Who asks.
    package var identity: Identity
    /// The scope asked for; nil is that of Azure Monitor's ingestion.
    package var scope: String?

    /// Tokens for an identity.
    package init(_ identity: Identity, cloud: Cloud = .public, scope: String? = nil) {
        self.cloud = cloud
        self.identity = identity
        self.scope = scope
    }
}

/// An identity of Google Cloud; the words of a `google_iam` block.
package struct GoogleIAMSettings: Sendable, Equatable {
    /// A file with credentials; nil looks where Google's libraries do.
    package var credentialsFile: String?
    /// The scope asked for.
    package var scope = "https://www.googleapis.com/auth/monitoring.write"

    /// Tokens that may write metrics.
    package init(credentialsFile: String? = nil) {
        self.credentialsFile = credentialsFile
    }
}

/// Which proxy a request goes through; the words of the proxy arguments.
package struct ProxySettings: Sendable, Equatable {
    /// The proxy's URL with optional credentials; `http`, `https`, `socks5` or `socks5h`.
    package var url: Secret<String>?
    /// Hosts that are reached directly, in Go's syntax.
    package var noProxy: String?
    /// Take URL and exceptions from `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`.
    package var usesEnvironment = false
    /// Fields sent to the proxy with CONNECT.
    package var connectFields: [HTTPSecretField] = []

    /// No proxy.
    package init() {}

    /// What is wrong with the combination: argument name and reason, nil when nothing is.
    package var problem: (argument: String, reason: String)? {
        if usesEnvironment, url != nil {
            return (
                "proxy_from_environment", "if proxy_from_environment is configured, proxy_url must not be configured"
            )
        }
        if usesEnvironment, noProxy != nil {
            return (
                "proxy_from_environment", "if proxy_from_environment is configured, no_proxy must not be configured"
            )
        }
        if url == nil, noProxy != nil {
            return ("no_proxy", "if no_proxy is configured, proxy_url must also be configured")
        }
        if !connectFields.isEmpty, url == nil, !usesEnvironment {
            return (
                "proxy_connect_header",
                "if proxy_connect_header is configured, proxy_url or proxy_from_environment must also be configured"
            )
        }
        if let url, !url.reveal({ ProxyRule.parse($0) != nil }) { return ("proxy_url", "not a usable proxy URL") }
        return nil
    }
}
