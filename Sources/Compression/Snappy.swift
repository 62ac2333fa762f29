import CSnappy

/// Snappy: the block format (`format_description.txt`) of remote write and Loki push, and the framed stream.
package enum Snappy {
    /// Appends `bytes` as one block to `output`; the block format carries at most 4 GiB.
    package static func compress(
        _ bytes: UnsafeRawBufferPointer, into output: inout [UInt8]
    ) throws(CompressionError) {
        guard bytes.count <= Int(UInt32.max) else { throw .limitExceeded(Int(UInt32.max)) }
        var status = SNAPPY_OK
        output.appendUninitialized(snappy_max_compressed_length(bytes.count)) { window in
            var length = window.count
            let source = bytes.baseAddress?.assumingMemoryBound(to: CChar.self)
            status = snappy_compress(
                source, bytes.count, window.baseAddress?.assumingMemoryBound(to: CChar.self), &length)
            return status == SNAPPY_OK ? length : 0
        }
        guard status == SNAPPY_OK else { throw .resource("snappy: compressing failed") }
    }

    /// Appends `bytes` as one block to `output`; the block format carries at most 4 GiB.
    package static func compress(_ bytes: [UInt8], into output: inout [UInt8]) throws(CompressionError) {
        try bytes.withBytes { (raw) throws(CompressionError) in try compress(raw, into: &output) }
    }

    /// Decompresses one block; a declared length over `limit` is refused before anything is allocated.
    package static func decompress(
        _ bytes: UnsafeRawBufferPointer, limit: Int
    ) throws(CompressionError) -> [UInt8] {
        var output: [UInt8] = []
        try decompress(bytes, limit: limit, into: &output)
        return output
    }

    /// Decompresses one block; a declared length over `limit` is refused before anything is allocated.
    package static func decompress(_ bytes: [UInt8], limit: Int) throws(CompressionError) -> [UInt8] {
        try bytes.withBytes { (raw) throws(CompressionError) in try decompress(raw, limit: limit) }
    }

    /// Appends one decompressed block to `output`, which keeps its capacity between calls.
    package static func decompress(
        _ bytes: UnsafeRawBufferPointer, limit: Int, into output: inout [UInt8]
    ) throws(CompressionError) {
        let length = try declaredLength(bytes)
        guard length <= limit else { throw .limitExceeded(limit) }
        // One byte cannot stand for more than 64/3 bytes of output: a longer claim is a lie, not worth allocating.
        guard length <= (bytes.count &* 22) &+ 64 else { throw .corrupt("snappy: declared length \(length)") }
        var status = SNAPPY_OK
        output.appendUninitialized(length) { window in
            var written = window.count
            status = uncompress(bytes, window, &written)
            return status == SNAPPY_OK ? written : 0
        }
        guard status == SNAPPY_OK else { throw .corrupt("snappy: invalid block") }
    }

    /// The length a block says it decompresses to, in bytes.
    package static func declaredLength(_ bytes: UnsafeRawBufferPointer) throws(CompressionError) -> Int {
        guard !bytes.isEmpty else { throw .truncated }
        var length = 0
        let status = snappy_uncompressed_length(
            bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count, &length)
        guard status == SNAPPY_OK else { throw .corrupt("snappy: invalid length") }
        return length
    }

    /// Decompresses a framed stream; throws `limitExceeded` before more than `limit` bytes are made.
    package static func decompressFramed(
        _ bytes: UnsafeRawBufferPointer, limit: Int
    ) throws(CompressionError) -> [UInt8] {
        try StreamingDecompressor.decompress(.snappyFramed, bytes, limit: limit)
    }

    /// Decompresses a framed stream; throws `limitExceeded` before more than `limit` bytes are made.
    package static func decompressFramed(_ bytes: [UInt8], limit: Int) throws(CompressionError) -> [UInt8] {
        try bytes.withBytes { (raw) throws(CompressionError) in
            try StreamingDecompressor.decompress(.snappyFramed, raw, limit: limit)
        }
    }

    /// Appends `bytes` as a framed stream, beginning with its stream identifier, to `output`.
    package static func compressFramed(
        _ bytes: UnsafeRawBufferPointer, into output: inout [UInt8]
    ) throws(CompressionError) {
        output.append(contentsOf: SnappyFrameEngine.streamIdentifier)
        var offset = 0
        while offset < bytes.count {
            let chunk = bytes.sliced(from: offset, to: min(bytes.count, offset + 65_536))
            try appendFrame(chunk, into: &output)
            offset += chunk.count
        }
    }

    /// Appends `bytes` as a framed stream, beginning with its stream identifier, to `output`.
    package static func compressFramed(_ bytes: [UInt8], into output: inout [UInt8]) throws(CompressionError) {
        try bytes.withBytes { (raw) throws(CompressionError) in try compressFramed(raw, into: &output) }
    }

    private static func appendFrame(
        _ chunk: UnsafeRawBufferPointer, into output: inout [UInt8]
    ) throws(CompressionError) {
        let start = output.count
        output.append(contentsOf: [UInt8](repeating: 0, count: 8))
        try compress(chunk, into: &output)
        var kind: UInt8 = 0
        if output.count - start - 8 >= chunk.count - chunk.count / 8 {
            // Less than an eighth saved: not worth the reader's time.
            output.removeLast(output.count - start - 8)
            output.append(contentsOf: chunk)
            kind = 1
        }
        let length = output.count - start - 4
        let checksum = CRC32C.masked(chunk)
        output[start] = kind
        for index in 0..<3 { output[start + 1 + index] = UInt8(truncatingIfNeeded: length >> (8 * index)) }
        for index in 0..<4 { output[start + 4 + index] = UInt8(truncatingIfNeeded: checksum >> (8 * UInt32(index))) }
    }

    static func uncompress(
        _ bytes: UnsafeRawBufferPointer, _ window: UnsafeMutableRawBufferPointer, _ written: inout Int
    ) -> snappy_status {
        var placeholder: CChar = 0
        if window.isEmpty {
            var none = 1
            let status = snappy_uncompress(
                bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count, &placeholder, &none)
            written = 0
            return status
        }
        return snappy_uncompress(
            bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count,
            window.baseAddress?.assumingMemoryBound(to: CChar.self), &written)
    }
}
