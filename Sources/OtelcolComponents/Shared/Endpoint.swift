import AlloySyntax
import ComponentKit
import Essentials
import Transport

/// Addresses in the arguments of servers: `host:port`, with an empty host for every address.
enum ListenEndpoint {
    /// Nil when `text` is no address.
    static func parse(_ text: String) -> SocketAddress? {
        guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]),
            (0...65_535).contains(port)
        else { return nil }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        return .host(String(host), port: port)
    }

    /// The `endpoint` argument of a server.
    static func read(_ fallback: String, from block: inout BlockReader) -> SocketAddress {
        let text = block.optional("endpoint", default: fallback, "Address to listen on, as `host:port`.")
        if let address = parse(text) { return address }
        block.reject("endpoint", "must be an address as host:port")
        return .host("127.0.0.1", port: 0)
    }
}

extension BlockReader {
    /// A buffer size of Go's network stack: checked, and without effect here.
    mutating func bufferSize(_ name: String, default fallback: ByteCount? = nil, _ doc: String) {
        let size: ByteCount? = fallback.map { optional(name, default: $0, doc) } ?? optional(name, doc)
        if let size, size != fallback, size != .zero {
            warn(name, "has no effect: buffers grow and shrink with what is sent")
        }
    }
}
