import AlloySyntax
import ComponentKit
import Essentials
import Transport

/// What the arguments of receivers that listen for logs have in common.
enum StreamArguments {
    /// An address that is given as `listen_address`.
    static func address(_ text: String, from block: inout BlockReader) -> SocketAddress? {
        let address = ListenEndpoint.parse(text)
        if text.isEmpty {
            block.reject("listen_address", "cannot be empty")
        } else if address == nil {
            block.reject("listen_address", "must be an address as host:port")
        }
        return address
    }

    /// The `max_log_size` argument of listeners for TCP.
    static func maximumBytes(from block: inout BlockReader) -> Int {
        let size = block.optional("max_log_size", default: ByteCount.mebibytes(1), "Longest log, in bytes.")
        if size == .zero { return 1 << 20 }
        if size < .kibibytes(64) {
            block.reject(
                "max_log_size", "invalid value \(size.bytes), must be equal to or greater than 65536 bytes")
        }
        if size > .mebibytes(64) { block.reject("max_log_size", "must be at most 64MiB") }
        return max(1, size.bytes)
    }

    static let attributesDoc = "Whether `net.*` attributes say where a log came from."
    static let packetDoc = "Whether all that a connection or datagram brings is one log."
    static let leadingDoc = "Whether white space at the beginning of a log stays."
    static let trailingDoc = "Whether white space at the end of a log stays."
}
