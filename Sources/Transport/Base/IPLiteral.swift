import Glibc

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

extension IPLiteral {
    /// The canonical text, as `inet_ntop` prints it.
    package var text: String {
        var buffer = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        let family: CInt
        switch self {
        case .v4: family = AF_INET
        case .v6: family = AF_INET6
        }
        guard inet_ntop(family, bytes, &buffer, socklen_t(buffer.count)) != nil else { return "" }
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
