import Compression

/// Undoes one `Content-Encoding` (RFC 9110, 8.4.1) with a cap on what comes out.
///
/// `deflate` is the zlib format as the RFC says; servers that send raw deflate are recognised by the first bytes.
final class ContentDecoder {
    private let limit: Int
    private var decompressor: StreamingDecompressor?
    private var isDeflate: Bool
    private var firstBytes: [UInt8] = []

    /// Nil when the encoding is not known.
    init?(_ encoding: String, limit: Int) {
        self.limit = limit
        isDeflate = false
        let format: CompressionFormat
        switch encoding {
        case "gzip", "x-gzip": format = .gzip
        case "zstd": format = .zstandard
        case "bzip2": format = .bzip2
        case "deflate":
            isDeflate = true
            return
        default: return nil
        }
        guard let decompressor = try? StreamingDecompressor(format, limit: limit) else { return nil }
        self.decompressor = decompressor
    }

    /// Hands input over without taking output, for `pull`.
    func push(_ bytes: [UInt8]) throws(CompressionError) {
        if let decompressor { return decompressor.push(bytes) }
        firstBytes.append(contentsOf: bytes)
        guard firstBytes.count >= 2 else { return }
        let header = Int(firstBytes[0]) << 8 | Int(firstBytes[1])
        let isZlib = firstBytes[0] & 15 == 8 && header % 31 == 0
        let made = try StreamingDecompressor(isZlib ? .zlib : .rawDeflate, limit: limit)
        decompressor = made
        made.push(firstBytes)
        firstBytes = []
    }

    /// Appends at most `count` bytes of output; 0 means that more input is needed.
    func pull(into output: inout [UInt8], atMost count: Int) throws(CompressionError) -> Int {
        try decompressor?.pull(into: &output, atMost: count) ?? 0
    }

    /// Appends all that `bytes` yield.
    func decode(_ bytes: [UInt8], into output: inout [UInt8]) throws(CompressionError) {
        try push(bytes)
        while try pull(into: &output, atMost: 64 * 1024) > 0 {}
    }

    /// Throws unless the input was whole. No input at all is an empty body.
    func finish(into output: inout [UInt8]) throws(CompressionError) {
        guard let decompressor else {
            if firstBytes.isEmpty { return }
            throw .truncated
        }
        while try pull(into: &output, atMost: 64 * 1024) > 0 {}
        try decompressor.finish()
    }
}
