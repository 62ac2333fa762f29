import Compression
package import Essentials
import NIOCore
import NIOHTTP1

/// One request as its route sees it; the body is read from the socket while it is consumed.
package struct HTTPServerRequest: Sendable {
    /// The method.
    package let method: HTTPMethod
    /// The path as sent, without the query.
    package let rawPath: String
    /// The path, percent-decoded.
    package let path: String
    /// The query as sent, without `?`; empty when there is none.
    package let rawQuery: String
    /// The header fields.
    package let fields: HTTPFields
    /// The client's address.
    package let remoteAddress: SocketAddress
    /// Whether it came over TLS.
    package let isSecure: Bool
    /// The major version of HTTP: 1 or 2.
    package let majorVersion: Int
    /// The values of `{name}` in the route's pattern, percent-decoded.
    package internal(set) var parameters: [String: String] = [:]
    /// The body; empty when the request has none.
    package var body: HTTPServerBody

    init(_ exchange: ServerExchange, maximumBodyBytes: Int) {
        let head = exchange.head
        method = HTTPMethod(head.method.rawValue)
        let uri = Self.originForm(head.uri)
        if let mark = uri.firstIndex(of: "?") {
            rawPath = String(uri[..<mark])
            rawQuery = String(uri[uri.index(after: mark)...])
        } else {
            rawPath = String(uri)
            rawQuery = ""
        }
        path = Percent.decode(rawPath)
        fields = HTTPFields(head.headers)
        remoteAddress = exchange.remoteAddress
        isSecure = exchange.isSecure
        majorVersion = exchange.isHTTP2 ? 2 : 1
        body = HTTPServerBody(exchange: exchange, defaultLimit: maximumBodyBytes)
    }

    /// A request line may carry a whole URL (RFC 9112, 3.2.2).
    private static func originForm(_ uri: String) -> Substring {
        guard !uri.hasPrefix("/"), let url = HTTPURL(uri) else { return uri[...] }
        return url.target[...]
    }

    /// The query's items, percent-decoded.
    package var query: QueryItems { QueryItems(rawQuery) }

    /// The media type without parameters, in lower case; empty when there is none.
    package var mediaType: String {
        let value = fields["content-type"] ?? ""
        let type = value.prefix { $0 != ";" }
        return type.trimmingSpaces().lowercased()
    }
}

/// Why a body could not be taken; thrown out of a route it becomes the answer.
package enum HTTPBodyError: Error, Sendable, Equatable, CustomStringConvertible {
    /// More bytes came than allowed: 413.
    case tooLarge(limit: Int)
    /// The client went away or was too slow.
    case interrupted(String)
    /// A `Content-Encoding` nobody here knows: 415.
    case unsupportedEncoding(String)
    /// Compressed bytes that cannot be decompressed: 400.
    case malformed(String)
    /// The memory budget has no room for more of it: 503, to be sent again later.
    case outOfMemory

    package var description: String {
        switch self {
        case .tooLarge(let limit): "request body too large: limit is \(limit) bytes"
        case .interrupted(let reason): "request body interrupted: \(reason)"
        case .unsupportedEncoding(let name): "unsupported content encoding \(name)"
        case .malformed(let reason): "malformed request body: \(reason)"
        case .outOfMemory: "no room for the request body in the memory budget: send it again later"
        }
    }

    /// The status that tells the client.
    package var status: HTTPStatus {
        switch self {
        case .tooLarge: .contentTooLarge
        case .interrupted, .malformed: .badRequest
        case .unsupportedEncoding: .unsupportedMediaType
        case .outOfMemory: .serviceUnavailable
        }
    }
}

/// The body of a request, one reader at a time; the socket is read as fast as the chunks are taken.
package struct HTTPServerBody: Sendable, AsyncSequence {
    package typealias Element = [UInt8]

    let exchange: ServerExchange
    let defaultLimit: Int
    /// Where the bytes that `collect` and `collectDecoded` gather are booked as they come.
    ///
    /// Whoever sets it holds the lease for as long as it holds the bytes. Without room the collection ends with
    /// `HTTPBodyError.outOfMemory`.
    package var lease: MemoryLease?

    /// The length announced, nil when the body is chunked.
    package var announcedLength: Int? {
        exchange.head.headers.first(name: "content-length").flatMap { Int($0) }
    }

    package func makeAsyncIterator() -> Iterator { Iterator(exchange: exchange) }

    /// Hands out the chunks as they come.
    package struct Iterator: AsyncIteratorProtocol {
        let exchange: ServerExchange

        package mutating func next() async throws -> [UInt8]? {
            try await exchange.nextChunk().map { Array($0.readableBytesView) }
        }
    }

    /// The whole body as sent; throws `HTTPBodyError.tooLarge` above `limit` bytes (default: the server's limit).
    package func collect(upTo limit: Int? = nil) async throws(HTTPBodyError) -> [UInt8] {
        let limit = limit ?? defaultLimit
        if let announcedLength, announcedLength > limit { throw .tooLarge(limit: limit) }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Swift.min(announcedLength ?? 0, 1 << 20))
        while let chunk = try await chunk() {
            guard bytes.count + chunk.readableBytes <= limit else { throw .tooLarge(limit: limit) }
            guard hasRoom(for: chunk.readableBytes) else { throw .outOfMemory }
            bytes.append(contentsOf: chunk.readableBytesView)
        }
        return bytes
    }

    /// The whole body with its `Content-Encoding` (gzip, deflate, zstd, bzip2) undone.
    ///
    /// `limit` bounds the decompressed bytes (default: the server's limit). `snappy` is left to the caller, because
    /// Loki and remote write use the block format.
    package func collectDecoded(upTo limit: Int? = nil) async throws(HTTPBodyError) -> [UInt8] {
        let limit = limit ?? defaultLimit
        let encodings = exchange.head.headers[canonicalForm: "content-encoding"].map { $0.lowercased() }
            .filter { $0 != "identity" && $0 != "snappy" && !$0.isEmpty }
        guard let encoding = encodings.first else { return try await collect(upTo: limit) }
        guard encodings.count == 1, let decoder = ContentDecoder(encoding, limit: limit) else {
            throw .unsupportedEncoding(encodings.joined(separator: ", "))
        }
        var bytes: [UInt8] = []
        do throws(CompressionError) {
            while let chunk = try await chunkForDecoding() {
                try decoder.push(Array(chunk.readableBytesView))
                try pull(from: decoder, into: &bytes)
            }
            try decoder.finish(into: &bytes)
        } catch .limitExceeded {
            throw .tooLarge(limit: limit)
        } catch {
            if let failure = exchange.readFailure { throw failure }
            throw .malformed("\(error)")
        }
        if let failure = exchange.readFailure { throw failure }
        return bytes
    }

    /// Takes what the decoder has, piece by piece, so that a small body that unpacks to a large one is refused early.
    private func pull(from decoder: ContentDecoder, into bytes: inout [UInt8]) throws(CompressionError) {
        while true {
            let count = try decoder.pull(into: &bytes, atMost: 64 * 1024)
            if count == 0 { return }
            guard hasRoom(for: count) else {
                exchange.note(.outOfMemory)
                throw .truncated
            }
        }
    }

    private func hasRoom(for count: Int) -> Bool { lease?.grow(by: count) ?? true }

    private func chunk() async throws(HTTPBodyError) -> ByteBuffer? {
        do {
            return try await exchange.nextChunk()
        } catch let error as HTTPBodyError {
            throw error
        } catch is CancellationError {
            throw .interrupted("cancelled")
        } catch {
            throw .interrupted("\(error)")
        }
    }

    /// As `chunk`, with a failure kept in the exchange, so that the decoder's errors are the only ones thrown here.
    private func chunkForDecoding() async throws(CompressionError) -> ByteBuffer? {
        do throws(HTTPBodyError) {
            return try await chunk()
        } catch {
            exchange.note(error)
            return nil
        }
    }
}

extension StringProtocol {
    func trimmingSpaces() -> SubSequence {
        guard let first = firstIndex(where: { $0 != " " && $0 != "\t" }),
            let last = lastIndex(where: { $0 != " " && $0 != "\t" })
        else { return self[endIndex...] }
        return self[first...last]
    }
}
