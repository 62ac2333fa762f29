package import Transport

/// Where a Docker daemon listens, as its clients are told: `unix:///path`, `tcp://host:port` or an HTTP URL.
package struct DockerEndpoint: Sendable, Equatable {
    /// What requests are made relative to.
    package var base: HTTPURL
    /// The unix socket to connect to instead of the host; settings of HTTP clients do not apply to it.
    package var socket: String?
    /// How the daemon is asked over TLS.
    package var tls: TLSClientSettings?

    /// Nil when the text is none of the forms. An endpoint `tcp://` with TLS is one of HTTPS.
    package init?(_ text: String, tls: TLSClientSettings? = nil) {
        self.tls = tls
        if text.hasPrefix("unix://") {
            let path = String(text.dropFirst(7))
            guard path.hasPrefix("/"), let base = HTTPURL("http://localhost") else { return nil }
            self.base = base
            socket = path
            self.tls = nil
            return
        }
        var address = text
        if text.hasPrefix("tcp://") { address = (tls == nil ? "http://" : "https://") + text.dropFirst(6) }
        guard let base = HTTPURL(address), base.scheme == "http" || base.scheme == "https", !base.host.isEmpty else {
            return nil
        }
        self.base = base
    }

    /// A request of the Docker Engine API at `target`, such as `/containers/json?all=1`; nil when that is no target.
    package func request(_ target: String) -> HTTPClientRequest? {
        guard let url = base.resolving(target) else { return nil }
        var request = HTTPClientRequest(.get, url)
        request.unixSocketPath = socket
        return request
    }
}
