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
    /// How long one write of a response may wait for the client to take it; zero or nil is without limit.
    package var writeTimeout: Duration? = .seconds(30)
    /// How long a connection may wait for its next request; zero or nil is without limit.
    package var idleTimeout: Duration? = .seconds(120)
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
