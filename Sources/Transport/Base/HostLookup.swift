package import Essentials
import Glibc

/// A name without an address; the message is Go's.
struct HostLookupError: Error, CustomStringConvertible {
    let code: CInt
    var description: String {
        switch code {
        case EAI_NONAME, -5: "no such host"
        case EAI_AGAIN: "temporary failure in name resolution"
        default: String(cString: gai_strerror(code)).lowercased()
        }
    }
}

/// The addresses of one family a name has, in the system's order; blocks.
func lookUpHost(_ host: String, family: CInt) throws -> [String] {
    var hints = addrinfo()
    hints.ai_family = family
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    hints.ai_protocol = CInt(IPPROTO_TCP)
    var list: UnsafeMutablePointer<addrinfo>?
    let code = getaddrinfo(host, nil, &hints, &list)
    guard code == 0 else { throw HostLookupError(code: code) }
    defer { freeaddrinfo(list) }
    var addresses: [String] = []
    var next = list
    while let entry = next, addresses.count < 256 {
        var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
        let result = getnameinfo(
            entry.pointee.ai_addr, entry.pointee.ai_addrlen, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST)
        if result == 0 {
            addresses.append(String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))
        }
        next = entry.pointee.ai_next
    }
    return addresses
}

/// The system's resolver, hosts file and all, for those who want addresses without connecting.
package enum HostAddresses {
    /// The addresses of both families that a name has, in the system's order. Asks on a thread of `pool`; a cancelled
    /// caller does not wait for the answer.
    package static func lookUp(_ host: String, on pool: BlockingPool) async throws -> [String] {
        let once = OneShot<[String]>()
        return try await withTaskCancellationHandler {
            pool.submit { once.complete(Result { try lookUpHost(host, family: AF_UNSPEC) }) }
            return try await once.value()
        } onCancel: {
            once.complete(.failure(CancellationError()))
        }
    }
}
