import Glibc
import NIOCore
import NIOPosix

/// Resolves names with `getaddrinfo` on threads of its own; happy eyeballs then races the addresses (RFC 8305).
final class AddressResolver: Resolver, Sendable {
    private let threads: NIOThreadPool
    private let eventLoop: any EventLoop
    private let shuffles: Bool

    init(_ threads: NIOThreadPool, _ eventLoop: any EventLoop, shuffles: Bool) {
        self.threads = threads
        self.eventLoop = eventLoop
        self.shuffles = shuffles
    }

    func initiateAQuery(host: String, port: Int) -> EventLoopFuture<[NIOCore.SocketAddress]> {
        resolve(host, port, AF_INET)
    }

    func initiateAAAAQuery(host: String, port: Int) -> EventLoopFuture<[NIOCore.SocketAddress]> {
        resolve(host, port, AF_INET6)
    }

    func cancelQueries() {}

    private func resolve(_ host: String, _ port: Int, _ family: CInt) -> EventLoopFuture<[NIOCore.SocketAddress]> {
        if let literal = IPLiteral(host) {
            var fits = family == AF_INET6
            if case .v4 = literal { fits = family == AF_INET }
            return eventLoop.makeCompletedFuture {
                fits ? [try NIOCore.SocketAddress(ipAddress: host, port: port)] : []
            }
        }
        let shuffles = shuffles
        return threads.runIfActive(eventLoop: eventLoop) {
            let addresses = try lookUpHost(host, family: family)
            let found = try addresses.map { try NIOCore.SocketAddress(ipAddress: $0, port: port) }
            return shuffles ? found.shuffled().prefix(1).map(\.self) : found
        }
    }
}
