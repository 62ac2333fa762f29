import NIOCore
import NIOHTTP1

/// What a route answers: a status, fields, and bytes or a function that writes them.
package struct HTTPServerResponse: Sendable {
    /// How the body is produced.
    package enum Body: Sendable {
        /// No bytes.
        case empty
        /// All bytes at once, sent with their length.
        case bytes([UInt8])
        /// Written while the client takes them; chunked in HTTP/1.1.
        case stream(@Sendable (HTTPBodyWriter) async throws -> Void)
    }

    /// The status.
    package var status: HTTPStatus
    /// The fields; length, date and framing are added when sending.
    package var fields: HTTPFields
    /// The body.
    package var body: Body
    /// Sent after the body when not nil (gRPC's status); in HTTP/1.1 only when the body is chunked.
    package var trailers: HTTPFields?

    /// An answer with any body.
    package init(_ status: HTTPStatus, fields: HTTPFields = [:], body: Body = .empty) {
        self.status = status
        self.fields = fields
        self.body = body
    }

    /// Text in UTF-8.
    package static func text(_ status: HTTPStatus, _ text: String) -> HTTPServerResponse {
        .init(status, fields: ["content-type": "text/plain; charset=utf-8"], body: .bytes(Array(text.utf8)))
    }

    /// Bytes of a media type.
    package static func bytes(_ status: HTTPStatus, _ bytes: [UInt8], type: String) -> HTTPServerResponse {
        .init(status, fields: ["content-type": type], body: .bytes(bytes))
    }

    /// A JSON document.
    package static func json(_ status: HTTPStatus, _ bytes: [UInt8]) -> HTTPServerResponse {
        .bytes(status, bytes, type: "application/json")
    }

    /// A body written piece by piece.
    package static func stream(
        _ status: HTTPStatus, type: String, _ write: @escaping @Sendable (HTTPBodyWriter) async throws -> Void
    ) -> HTTPServerResponse {
        .init(status, fields: ["content-type": type], body: .stream(write))
    }

    /// Sends the client elsewhere.
    package static func redirect(_ status: HTTPStatus, to location: String) -> HTTPServerResponse {
        .init(status, fields: ["location": location])
    }
}

/// Writes the body of a streamed response; each write returns when the client's socket has taken the bytes.
package struct HTTPBodyWriter: Sendable {
    let exchange: ServerExchange

    /// Sends bytes now. Throws when the client is gone or took nothing for the write timeout.
    package func write(_ bytes: [UInt8]) async throws {
        guard !bytes.isEmpty else { return }
        try await exchange.writeBody(ByteBuffer(bytes: bytes))
    }

    /// Sends text now.
    package func write(_ text: String) async throws {
        guard !text.isEmpty else { return }
        try await exchange.writeBody(ByteBuffer(string: text))
    }

    /// Sets fields sent after the body (gRPC's status); in HTTP/1.1 only when the body is chunked.
    package func setTrailers(_ fields: HTTPFields) {
        exchange.setTrailers(fields.storage)
    }

    /// Returns once the client has gone away or the task is cancelled; for streams that wait for events.
    package func waitForDisconnection() async {
        await exchange.waitForClose()
    }
}

/// Thrown by writes to a client that is gone.
package enum HTTPResponseError: Error, Sendable, CustomStringConvertible {
    /// The connection was closed under the response.
    case connectionClosed
    /// The client took nothing for the write timeout.
    case writeTimeout

    package var description: String {
        switch self {
        case .connectionClosed: "client closed the connection"
        case .writeTimeout: "write timeout"
        }
    }
}
