import NIOCore
import NIOPosix

/// Why a server, listener or socket could not be set up or used; messages are for people.
package enum TransportError: Error, Sendable, Equatable, CustomStringConvertible {
    /// An address could not be bound: which and why.
    case bind(address: String, reason: String)
    /// Certificates or keys that cannot be used.
    case tls(String)
    /// A connection ended or failed.
    case connection(String)
    /// A line or message above its bound.
    case tooLarge(limit: Int)
    /// Nothing came for the time allowed.
    case timeout
    /// The task was cancelled.
    case cancelled

    package var description: String {
        switch self {
        case .bind(let address, let reason): "listen \(address): \(reason)"
        case .tls(let reason): "tls: \(reason)"
        case .connection(let reason): reason
        case .tooLarge(let limit): "message larger than \(limit) bytes"
        case .timeout: "i/o timeout"
        case .cancelled: "cancelled"
        }
    }

    init(_ error: any Error) {
        switch error {
        case let error as TransportError: self = error
        case is CancellationError: self = .cancelled
        case let error as IOError: self = .connection(errorText(error.errnoCode))
        case ChannelError.ioOnClosedChannel, ChannelError.alreadyClosed, ChannelError.eof:
            self = .connection("use of closed network connection")
        default: self = .connection("\(error)")
        }
    }
}

/// Binds a stream listener, replacing a stale unix socket.
func bindListener(
    _ bootstrap: ServerBootstrap, _ address: SocketAddress
) async throws(TransportError) -> any Channel {
    do {
        switch address {
        case .host(let host, let port):
            if host.isEmpty {
                // One socket for both families where the kernel has IPv6, as Go's empty host.
                do {
                    return try await bootstrap.bind(host: "::", port: port).get()
                } catch let error as IOError where error.errnoCode != 98 && error.errnoCode != 13 {
                    return try await bootstrap.bind(host: "0.0.0.0", port: port).get()
                }
            }
            return try await bootstrap.bind(host: host, port: port).get()
        case .unix(let path):
            return try await bootstrap.bind(unixDomainSocketPath: path, cleanupExistingSocketFile: true).get()
        }
    } catch {
        throw .bind(address: address.text, reason: bindReason(error))
    }
}

func bindReason(_ error: any Error) -> String {
    switch error {
    case let error as IOError: errorText(error.errnoCode)
    case let error as SocketAddressError: "no such host (\(error))"
    default: "\(error)"
    }
}

func boundAddress(_ channel: any Channel, _ wanted: SocketAddress) -> SocketAddress {
    switch wanted {
    case .host("", _): .host("", port: channel.localAddress?.port ?? 0)
    case .host: SocketAddress(channel.localAddress)
    case .unix: wanted
    }
}
