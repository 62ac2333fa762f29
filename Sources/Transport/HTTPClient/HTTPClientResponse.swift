import Compression
import NIOCore
import NIOHTTP1
import Synchronization

/// A response whose body is read from the socket while it is consumed.
///
/// A body that is neither read to its end nor dropped keeps its connection; dropping closes it.
package struct HTTPClientResponse: Sendable {
    /// The status.
    package let status: HTTPStatus
    /// The header fields.
    package let fields: HTTPFields
    /// The URL that answered, after redirects.
    package let url: HTTPURL
    /// The major version of HTTP: 1 or 2.
    package let majorVersion: Int
    /// The body.
    package let body: HTTPClientBody

    /// The media type with its parameters, as sent; empty when there is none.
    package var contentType: String { fields["content-type"] ?? "" }

    /// The whole body; throws `bodyTooLarge` above the request's limit.
    package func collect() async throws(HTTPClientError) -> [UInt8] { try await body.collect() }
}

/// The body of a response: chunks as they come, decompressed when asked for, with back-pressure to the server.
///
/// One reader at a time. Bytes are counted after decompression, and reading ends with `bodyTooLarge` above the limit.
package final class HTTPClientBody: Sendable, AsyncSequence {
    package typealias Element = [UInt8]

    private struct State {
        var taken = 0
        var wireBytes = 0
        var failure: HTTPClientError?
    }

    private let exchange: ClientExchange
    private let limit: Int
    private let encoding: String?
    // Touched inside `decoding` only and never across an await, so that a second reader cannot harm it either.
    private nonisolated(unsafe) let decoder: ContentDecoder?
    private let decoding = Mutex(())
    private let state = Mutex(State())
    private let finished: @Sendable () -> Void

    init(
        _ exchange: ClientExchange, limit: Int, encoding: String?, finished: @escaping @Sendable () -> Void
    ) throws(HTTPClientError) {
        self.exchange = exchange
        self.limit = limit
        self.encoding = encoding
        self.finished = finished
        if let encoding {
            guard let decoder = ContentDecoder(encoding, limit: limit) else {
                exchange.abandon()
                throw .decoding("content encoding \(encoding) is not supported")
            }
            self.decoder = decoder
        } else {
            decoder = nil
        }
    }

    deinit { exchange.abandon() }

    /// Bytes received so far, before decompression.
    package var receivedBytes: Int { state.withLock { $0.wireBytes } }

    /// Trailer fields, once the end has been read.
    package var trailers: HTTPFields? { exchange.pipe.trailers.map { HTTPFields($0) } }

    /// Ends the transfer; the connection is closed when the body is not whole.
    package func cancel() { exchange.abandon() }

    package func makeAsyncIterator() -> Iterator { Iterator(body: self) }

    /// Hands out the chunks as they come.
    package struct Iterator: AsyncIteratorProtocol {
        let body: HTTPClientBody

        package mutating func next() async throws -> [UInt8]? { try await body.next() }
    }

    /// The next chunk, at most 64 KiB when decompressed; nil at the end.
    package func next() async throws(HTTPClientError) -> [UInt8]? {
        var chunk: [UInt8] = []
        return try await read(into: &chunk) ? chunk : nil
    }

    /// The next chunk where it lies, without copying it; nil at the end.
    package func nextChunk() async throws(HTTPClientError) -> HTTPBodyChunk? {
        if encoding != nil { return try await next().map { HTTPBodyChunk($0) } }
        if let failure = state.withLock({ $0.failure }) { throw failure }
        do throws(HTTPClientError) {
            guard let chunk = try await received() else { return nil }
            try count(chunk)
            return HTTPBodyChunk(chunk)
        } catch {
            state.withLock { $0.failure = error }
            exchange.abandon()
            throw error
        }
    }

    private func count(_ chunk: ByteBuffer) throws(HTTPClientError) {
        let total = state.withLock { state in
            state.taken += chunk.readableBytes
            return state.taken
        }
        guard total <= limit else { throw .bodyTooLarge(limit: limit) }
    }

    /// Appends the next chunk to `buffer` without a copy of its own; false at the end.
    package func read(into buffer: inout [UInt8]) async throws(HTTPClientError) -> Bool {
        if let failure = state.withLock({ $0.failure }) { throw failure }
        do throws(HTTPClientError) {
            if encoding == nil {
                guard let chunk = try await received() else { return false }
                try count(chunk)
                buffer.append(contentsOf: chunk.readableBytesView)
                return true
            }
            while true {
                if try pull(into: &buffer) { return true }
                guard let chunk = try await received() else {
                    try finishDecoding()
                    return false
                }
                try push(Array(chunk.readableBytesView))
            }
        } catch {
            state.withLock { $0.failure = error }
            exchange.abandon()
            throw error
        }
    }

    /// The rest of the body; throws `bodyTooLarge` above the limit.
    package func collect() async throws(HTTPClientError) -> [UInt8] {
        var bytes: [UInt8] = []
        while try await read(into: &bytes) {}
        return bytes
    }

    private func received() async throws(HTTPClientError) -> ByteBuffer? {
        do {
            guard let chunk = try await exchange.pipe.next() else {
                finished()
                return nil
            }
            state.withLock { $0.wireBytes += chunk.readableBytes }
            return chunk
        } catch {
            throw HTTPClientError(error, in: .body)
        }
    }

    private func pull(into buffer: inout [UInt8]) throws(HTTPClientError) -> Bool {
        try decode { decoder throws(CompressionError) in try decoder.pull(into: &buffer, atMost: 64 * 1024) > 0 }
            ?? false
    }

    private func push(_ bytes: [UInt8]) throws(HTTPClientError) {
        _ = try decode { decoder throws(CompressionError) in try decoder.push(bytes) }
    }

    private func finishDecoding() throws(HTTPClientError) {
        var nothing: [UInt8] = []
        _ = try decode { decoder throws(CompressionError) in try decoder.finish(into: &nothing) }
    }

    private func decode<Value: Sendable>(
        _ body: (ContentDecoder) throws(CompressionError) -> Value
    ) throws(HTTPClientError) -> Value? {
        do throws(CompressionError) {
            return try decoding.withLock { _ throws(CompressionError) in
                guard let decoder else { return nil }
                return try body(decoder)
            }
        } catch .limitExceeded {
            throw .bodyTooLarge(limit: limit)
        } catch {
            throw .decoding("\(error)")
        }
    }
}

/// A piece of a body.
package struct HTTPBodyChunk: Sendable {
    private enum Content {
        case received(ByteBuffer)
        case made([UInt8])
    }

    private let content: Content

    package init(_ bytes: [UInt8]) { content = .made(bytes) }
    init(_ buffer: ByteBuffer) { content = .received(buffer) }

    package var isEmpty: Bool {
        switch content {
        case .received(let buffer): buffer.readableBytes == 0
        case .made(let bytes): bytes.isEmpty
        }
    }

    /// Calls `body` with the bytes, valid until it returns.
    package func withUnsafeBytes<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        var result: Swift.Result<Result, Failure>?
        func run(_ bytes: UnsafeRawBufferPointer) {
            do throws(Failure) { result = .success(try body(bytes)) } catch { result = .failure(error) }
        }
        switch content {
        case .received(let buffer): buffer.withUnsafeReadableBytes(run)
        case .made(let bytes): bytes.withUnsafeBytes(run)
        }
        guard let result else { preconditionFailure("the bytes were not handed out") }
        return try result.get()
    }
}
