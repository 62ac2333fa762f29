import Telemetry
import Transport

extension OTLPClient {
    /// The address of the client without its port; nil when unknown.
    ///
    /// Sockets that listen for both versions of the protocol see clients of IPv4 under mapped addresses
    /// (`::ffff:10.0.0.1`): these are told as IPv4.
    var host: String? {
        if address.isEmpty { return nil }
        let host: Substring
        if address.hasPrefix("["), let end = address.firstIndex(of: "]") {
            host = address[address.index(after: address.startIndex)..<end]
        } else if let colon = address.lastIndex(of: ":"), IPLiteral(address) == nil {
            host = address[..<colon]
        } else {
            host = address[...]
        }
        if host.hasPrefix("::ffff:"), let mapped = IPLiteral(host)?.unmapped, case .v4 = mapped { return mapped.text }
        return String(host)
    }
}
