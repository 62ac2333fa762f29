/// Where a socket listens or connects: a host and port, or the path of a unix socket.
package enum SocketAddress: Sendable, Hashable, CustomStringConvertible {
    /// A name or literal address without brackets (empty: every address of the machine) and a port.
    case host(String, port: Int)
    /// The path of a unix domain socket.
    case unix(path: String)

    /// Stands for an address not known yet.
    package static let placeholder = SocketAddress.host("", port: 0)

    /// Reads `host:port`, `:port`, `[v6]:port` and `unix:path` (also `unix:///path`); nil when it is none of them.
    package init?(_ text: String) {
        if text.hasPrefix("unix:") {
            var path = text.dropFirst(5)
            if path.hasPrefix("//") { path = path.dropFirst(2) }
            guard !path.isEmpty, path.utf8.count < 108, !path.utf8.contains(0) else { return nil }
            self = .unix(path: String(path))
            return
        }
        guard let colon = text.lastIndex(of: ":") else { return nil }
        var host = text[..<colon]
        let digits = text[text.index(after: colon)...]
        guard !digits.isEmpty, digits.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }),
            let port = Int(digits), port <= 65_535
        else { return nil }
        if host.hasPrefix("[") {
            guard host.hasSuffix("]") else { return nil }
            host = host.dropFirst().dropLast()
            guard IPLiteral(host) != nil else { return nil }
        } else if host.contains(":") {
            return nil
        }
        guard !host.utf8.contains(where: { $0 <= 32 || $0 == 127 || $0 == 47 }) else { return nil }
        self = .host(String(host), port: port)
    }

    /// `host:port` with brackets around IPv6, or `unix:path`.
    package var text: String {
        switch self {
        case .host(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .unix(let path): "unix:\(path)"
        }
    }

    package var description: String { text }

    /// The port, nil for a unix socket.
    package var port: Int? {
        if case .host(_, let port) = self { port } else { nil }
    }

    /// The host without brackets, nil for a unix socket.
    package var host: String? {
        if case .host(let host, _) = self { host } else { nil }
    }
}
