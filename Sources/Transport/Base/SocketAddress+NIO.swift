import NIOCore

extension SocketAddress {
    init(_ address: NIOCore.SocketAddress?) {
        switch address {
        case .some(.v4), .some(.v6): self = .host(address?.ipAddress ?? "", port: address?.port ?? 0)
        case .some(.unixDomainSocket): self = .unix(path: address?.pathname ?? "")
        case .none: self = .placeholder
        }
    }
}
