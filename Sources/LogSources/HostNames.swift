package import Essentials
import Glibc
import Synchronization

/// Names of hosts by address, looked up as the system does and remembered, those without a name too.
package final class HostNames: Sendable {
    private struct State: ~Copyable {
        var names: [String: (name: String, used: UInt64)] = [:]
        var uses: UInt64 = 0
    }

    private let capacity: Int
    private let pool: BlockingPool
    private let state = Mutex(State())

    /// Remembers at most `capacity` names.
    package init(capacity: Int, pool: BlockingPool) {
        self.capacity = capacity
        self.pool = pool
    }

    /// The name of the host at a literal address; empty when it has none.
    package func name(of address: String) async -> String {
        if let known = known(address) { return known }
        let name = (try? await pool.run { Self.lookUp(address) }) ?? ""
        remember(address, name)
        return name
    }

    private func known(_ address: String) -> String? {
        state.withLock { state in
            state.uses += 1
            guard let known = state.names[address] else { return nil }
            state.names[address] = (known.name, state.uses)
            return known.name
        }
    }

    private func remember(_ address: String, _ name: String) {
        guard capacity > 0 else { return }
        state.withLock { state in
            if state.names.count >= capacity, state.names[address] == nil,
                let oldest = state.names.min(by: { $0.value.used < $1.value.used })
            {
                state.names[oldest.key] = nil
            }
            state.names[address] = (name, state.uses)
        }
    }

    /// Blocks.
    private static func lookUp(_ address: String) -> String {
        var hints = addrinfo()
        hints.ai_flags = AI_NUMERICHOST
        hints.ai_socktype = CInt(SOCK_DGRAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(address, nil, &hints, &found) == 0, let found else { return "" }
        defer { freeaddrinfo(found) }
        var name = [CChar](repeating: 0, count: Int(NI_MAXHOST))
        let result = getnameinfo(
            found.pointee.ai_addr, found.pointee.ai_addrlen, &name, socklen_t(name.count), nil, 0, NI_NAMEREQD)
        guard result == 0 else { return "" }
        return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
