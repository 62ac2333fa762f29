/// Why bytes could not be compressed or decompressed.
package enum CompressionError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The input ended inside a member, frame or block.
    case truncated
    /// The input breaks its format; the text says where.
    case corrupt(String)
    /// The output would pass the caller's cap, in bytes.
    case limitExceeded(Int)
    /// A library could not allocate what it needs.
    case resource(String)

    package var description: String {
        switch self {
        case .truncated: "unexpected end of compressed data"
        case .corrupt(let reason): "corrupt compressed data: \(reason)"
        case .limitExceeded(let limit): "decompressed data exceeds the limit of \(limit) bytes"
        case .resource(let reason): "compression resources exhausted: \(reason)"
        }
    }
}

/// A compressed stream format a `StreamingDecompressor` reads.
package enum CompressionFormat: Sendable, Hashable, CaseIterable {
    /// RFC 1952, any number of members.
    case gzip
    /// RFC 1950; HTTP calls it `deflate`, OTLP calls it `zlib`.
    case zlib
    /// RFC 1951 without a wrapper.
    case rawDeflate
    /// RFC 8878, any number of frames, skippable frames included.
    case zstandard
    /// bzip2, any number of concatenated streams.
    case bzip2
    /// Snappy framing format (`framing_format.txt`, 2013-10-25).
    case snappyFramed
}
