import Telemetry
import Transport

extension OTLPClient {
    /// The address of the client without its port; nil when unknown.
    var host: String? {
        if address.isEmpty { return nil }
        if address.hasPrefix("["), let end = address.firstIndex(of: "]") {
            return String(address[address.index(after: address.startIndex)..<end])
        }
        guard let colon = address.lastIndex(of: ":"), IPLiteral(address) == nil else { return address }
        return String(address[..<colon])
    }
}
