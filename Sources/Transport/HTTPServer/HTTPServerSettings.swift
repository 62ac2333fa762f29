package import Essentials

/// Where and how an HTTP server listens, and the bounds on what its clients may do.
package struct HTTPServerSettings: Sendable, Equatable {
    /// The address to bind; port 0 asks for a free one.
    package var address: SocketAddress
    /// Certificates, or nil for plain text.
    package var tls: TLSServerSettings?
    /// Whether HTTP/2 is offered over TLS and understood as prior knowledge in plain text.
    package var isHTTP2Enabled = true
    /// Connections open at once; further ones wait in the kernel's backlog. Nil is without limit.
    package var maximumConnections: Int?
    /// Streams a client may have open on one HTTP/2 connection.
    package var maximumConcurrentStreams = 100
    /// From the first byte of a request to the end of its body, and for the TLS handshake; zero or nil is without limit.
    package var readTimeout: Duration? = .seconds(30)
    /// From the first byte of a request to the end of its head; nil is the read timeout for both together.
    package var readHeaderTimeout: Duration?
    /// Whether connections of HTTP/1.1 are kept after a response.
    package var keepsAlive = true
    /// How long one write of a response may wait for the client to take it; zero or nil is without limit.
    package var writeTimeout: Duration? = .seconds(30)
    /// How long a connection may wait for its next request; zero or nil is without limit.
    package var idleTimeout: Duration? = .seconds(120)
    /// Age at which an HTTP/2 connection is asked to leave; nil is never.
    package var maximumConnectionAge: Duration?
    /// Time given to requests under way on a connection that is asked to leave; nil is without limit.
    package var maximumConnectionAgeGrace: Duration?
    /// When HTTP/2 clients are asked for a sign of life; nil is never.
    package var keepalive: HTTP2Keepalive?
    /// What HTTP/2 clients may ping; nil is whatever they like.
    package var pingPolicy: HTTP2PingPolicy?
    /// Time given to requests under way when the server stops.
    package var shutdownTimeout: Duration = .seconds(30)
    /// All header names and values of one request together, in bytes; above it the answer is 431.
    package var maximumHeaderBytes = 1 << 20
    /// Header fields of one request; above it the answer is 431.
    package var maximumHeaderCount = 256
    /// What `collect` takes when no limit is named.
    package var maximumBodyBytes: ByteCount = .mebibytes(100)
    /// Demanded from every request when set.
    package var authentication: HTTPServerAuthentication?

    /// Plain text on `address` with the limits of dskit's server.
    package init(address: SocketAddress) { self.address = address }
}

/// When an HTTP/2 peer is asked for a sign of life.
package struct HTTP2Keepalive: Sendable, Equatable {
    /// Silence after which a ping is sent.
    package var interval: Duration
    /// Time the answer may take before the connection is closed.
    package var timeout: Duration
    /// Whether pings are sent while no request is under way; for clients.
    package var isWithoutStreams: Bool

    package init(interval: Duration, timeout: Duration, isWithoutStreams: Bool = true) {
        self.interval = interval
        self.timeout = timeout
        self.isWithoutStreams = isWithoutStreams
    }
}

/// How often HTTP/2 clients may ping, as gRPC's servers enforce it.
package struct HTTP2PingPolicy: Sendable, Equatable {
    /// The least time between pings.
    package var minimumInterval: Duration
    /// Whether clients may ping while no request is under way.
    package var permitsWithoutStreams: Bool

    package init(minimumInterval: Duration = .seconds(300), permitsWithoutStreams: Bool = false) {
        self.minimumInterval = minimumInterval
        self.permitsWithoutStreams = permitsWithoutStreams
    }
}

/// Basic authentication of a server's requests, as Alloy's `http` block has it.
package struct HTTPServerAuthentication: Sendable, Equatable {
    /// The name demanded.
    package var username: String
    /// The password demanded.
    package var password: Secret<String>
    /// Path prefixes the rule below is about; empty is every path.
    package var paths: [String]
    /// True: demand credentials on the given paths only. False: on every path but those.
    package var authenticatesMatchingPaths: Bool

    /// Demands these credentials on every path, or as the filter says.
    package init(
        username: String, password: Secret<String>, paths: [String] = [], authenticatesMatchingPaths: Bool = true
    ) {
        self.username = username
        self.password = password
        self.paths = paths
        self.authenticatesMatchingPaths = authenticatesMatchingPaths
    }

    /// Whether a request to `path` needs credentials.
    package func isRequired(for path: String) -> Bool {
        if paths.isEmpty { return true }
        return paths.contains { path.hasPrefix($0) } == authenticatesMatchingPaths
    }

    /// Whether an `Authorization` value carries the right credentials; takes the same time for every wrong one.
    package func accepts(_ authorization: String?) -> Bool {
        guard let authorization, let credentials = Base64.basicCredentials(authorization) else { return false }
        let isUser = Secret(credentials.user) == Secret(username)
        let isPassword = Secret(credentials.password) == password
        return isUser && isPassword
    }
}
