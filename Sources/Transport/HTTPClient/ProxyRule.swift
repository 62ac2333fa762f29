import Essentials
import Glibc

/// Decides which proxy a URL is reached through, with the semantics of Go's `golang.org/x/net/http/httpproxy`.
struct ProxyRule: Sendable {
    private enum Exception: Sendable {
        case everything
        case address(IPLiteral, port: Int?)
        case network(IPLiteral, bits: Int)
        case domain(suffix: String, matchesExact: Bool, port: Int?)
    }

    private let httpProxy: HTTPURL?
    private let httpsProxy: HTTPURL?
    /// Loopback hosts are exempt unless the proxy is given without exceptions.
    private let exemptsLoopback: Bool
    private let exceptions: [Exception]

    init(_ settings: ProxySettings, environment: (String) -> String? = { getenv($0).map { String(cString: $0) } }) {
        if settings.usesEnvironment {
            func variable(_ name: String) -> String? {
                for candidate in [name, name.lowercased()] {
                    if let value = environment(candidate), !value.isEmpty { return value }
                }
                return nil
            }
            // A CGI program's HTTP_PROXY comes from a request's header.
            let isCGI = !(environment("REQUEST_METHOD") ?? "").isEmpty
            httpProxy = isCGI ? nil : variable("HTTP_PROXY").flatMap(Self.parse)
            httpsProxy = variable("HTTPS_PROXY").flatMap(Self.parse)
            exceptions = Self.parseExceptions(variable("NO_PROXY") ?? "")
            exemptsLoopback = true
        } else {
            let url = settings.url?.reveal { Self.parse($0) } ?? nil
            httpProxy = url
            httpsProxy = url
            let noProxy = settings.noProxy ?? ""
            exceptions = Self.parseExceptions(noProxy)
            exemptsLoopback = !noProxy.isEmpty
        }
    }

    /// A proxy's URL; one without a scheme is `http`.
    static func parse(_ text: String) -> HTTPURL? {
        guard let url = HTTPURL(text.contains("://") ? text : "http://\(text)") else { return nil }
        return ["http", "https", "socks5", "socks5h"].contains(url.scheme) ? url : nil
    }

    /// The proxy for a request to `url`, nil to go directly.
    func proxy(for url: HTTPURL) -> HTTPURL? {
        guard let proxy = url.isSecure ? httpsProxy : httpProxy else { return nil }
        let literal = IPLiteral(url.host)?.unmapped
        if exemptsLoopback, url.host == "localhost" || literal?.isLoopback == true { return nil }
        let isExempt = exceptions.contains { exception in
            switch exception {
            case .everything: return true
            case .address(let address, let port):
                return literal == address.unmapped && (port == nil || port == url.port)
            case .network(let network, let bits):
                guard let literal else { return false }
                return Self.isIn(literal.bytes, network.bytes, bits)
            case .domain(let suffix, let matchesExact, let port):
                guard port == nil || port == url.port else { return false }
                return url.host.hasSuffix(suffix) || (matchesExact && url.host == suffix.dropFirst())
            }
        }
        return isExempt ? nil : proxy
    }

    private static func isIn(_ address: [UInt8], _ network: [UInt8], _ bits: Int) -> Bool {
        guard address.count == network.count else { return false }
        for index in 0..<address.count {
            let left = bits - index * 8
            if left <= 0 { return true }
            let mask: UInt8 = left >= 8 ? 255 : UInt8(truncatingIfNeeded: 0xFF00 >> left)
            if address[index] & mask != network[index] & mask { return false }
        }
        return true
    }

    private static func parseExceptions(_ text: String) -> [Exception] {
        var exceptions: [Exception] = []
        for part in text.split(separator: ",") {
            var name = part.trimmingSpaces().lowercased()
            if name.isEmpty { continue }
            if name == "*" { return [.everything] }
            if let slash = name.firstIndex(of: "/"), let network = IPLiteral(name[..<slash]),
                let bits = Int(name[name.index(after: slash)...]), bits >= 0, bits <= network.bytes.count * 8
            {
                exceptions.append(.network(network, bits: bits))
                continue
            }
            var port: Int?
            if let address = IPLiteral(name) {
                exceptions.append(.address(address, port: nil))
                continue
            }
            if let colon = name.lastIndex(of: ":"), let number = Int(name[name.index(after: colon)...]) {
                port = number
                name = String(name[..<colon])
                if name.hasPrefix("["), name.hasSuffix("]") { name = String(name.dropFirst().dropLast()) }
                if let address = IPLiteral(name) {
                    exceptions.append(.address(address, port: port))
                    continue
                }
            }
            if name.isEmpty { continue }
            if name.hasPrefix("*.") { name = String(name.dropFirst()) }
            let matchesExact = !name.hasPrefix(".")
            exceptions.append(.domain(suffix: matchesExact ? ".\(name)" : name, matchesExact: matchesExact, port: port))
        }
        return exceptions
    }
}
