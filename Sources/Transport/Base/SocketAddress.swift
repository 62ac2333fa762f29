import Glibc
import NIOCore

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

    init(_ address: NIOCore.SocketAddress?) {
        switch address {
        case .some(.v4), .some(.v6): self = .host(address?.ipAddress ?? "", port: address?.port ?? 0)
        case .some(.unixDomainSocket): self = .unix(path: address?.pathname ?? "")
        case .none: self = .placeholder
        }
    }
}

/// An IPv4 or IPv6 address in binary form.
package enum IPLiteral: Hashable, Sendable {
    /// Four bytes in network order.
    case v4([UInt8])
    /// Sixteen bytes in network order.
    case v6([UInt8])

    /// Reads a literal as `inet_pton` does; a zone (`%eth0`) is cut off.
    package init?(_ text: some StringProtocol) {
        let plain = String(text.prefix { $0 != "%" })
        var v4 = in_addr()
        if inet_pton(AF_INET, plain, &v4) == 1 {
            self = .v4(withUnsafeBytes(of: &v4) { Array($0) })
            return
        }
        var v6 = in6_addr()
        guard inet_pton(AF_INET6, plain, &v6) == 1 else { return nil }
        self = .v6(withUnsafeBytes(of: &v6) { Array($0) })
    }

    /// The bytes in network order: four or sixteen.
    package var bytes: [UInt8] {
        switch self {
        case .v4(let bytes), .v6(let bytes): bytes
        }
    }

    /// The same address as IPv4 when it is an IPv4-mapped IPv6 address.
    package var unmapped: IPLiteral {
        guard case .v6(let bytes) = self, bytes[0..<10].allSatisfy({ $0 == 0 }), bytes[10] == 255, bytes[11] == 255
        else { return self }
        return .v4(Array(bytes[12..<16]))
    }

    /// Whether it is `127.0.0.0/8` or `::1`.
    package var isLoopback: Bool {
        switch unmapped {
        case .v4(let bytes): bytes[0] == 127
        case .v6(let bytes): bytes[0..<15].allSatisfy { $0 == 0 } && bytes[15] == 1
        }
    }
}
