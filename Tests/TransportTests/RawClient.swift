import Testing

@testable import Transport

/// Speaks to a server byte by byte.
struct RawClient {
    let connection: TCPConnection

    init(_ address: SocketAddress) async throws {
        connection = try await TCPConnection.connect(to: .host("127.0.0.1", port: address.port ?? 0), on: loops)
    }

    func send(_ text: String) async throws { try await connection.write(Array(text.utf8)) }

    /// Everything up to the end of the stream.
    func rest() async throws -> String {
        var bytes: [UInt8] = []
        while (try? await connection.read(into: &bytes)) == true {}
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Reads until `text` has come.
    func read(until text: String) async throws -> String {
        var bytes: [UInt8] = []
        while !String(decoding: bytes, as: UTF8.self).contains(text) {
            guard try await connection.read(into: &bytes) else { break }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
