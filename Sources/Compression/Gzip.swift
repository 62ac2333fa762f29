import CZlib

/// A reusable zlib compressor for one wrapper; owns about 256 KiB while it lives.
final class DeflateContext {
    private let stream: UnsafeMutablePointer<z_stream>
    private let level: Int32
    private let windowBits: Int32
    private var isOpen = false

    init(level: Int, windowBits: Int32) {
        self.level = Int32(max(-1, min(level, 9)))
        self.windowBits = windowBits
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
    }

    deinit {
        if isOpen { deflateEnd(stream) }
        stream.deallocate()
    }

    func reset() throws(CompressionError) {
        if isOpen {
            deflateReset(stream)
            return
        }
        let status = deflateInit2_(
            stream, level, Z_DEFLATED, windowBits, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
            Int32(MemoryLayout<z_stream>.size))
        guard status == Z_OK else { throw .resource("zlib: \(status)") }
        isOpen = true
    }

    /// Compresses `bytes` with `flush` (a zlib flush value) and appends what comes out.
    func write(
        _ bytes: UnsafeRawBufferPointer, flush: Int32, into output: inout [UInt8]
    ) throws(CompressionError) {
        if !isOpen { try reset() }
        var offset = 0
        var status = Z_OK
        repeat {
            let offered = min(bytes.count - offset, 1 << 30)
            let isLast = offset + offered == bytes.count
            stream.pointee.next_in = UnsafeMutablePointer(
                mutating: bytes.baseAddress.map { ($0 + offset).assumingMemoryBound(to: UInt8.self) })
            stream.pointee.avail_in = UInt32(offered)
            let first = min(max(Int(deflateBound(stream, UInt(offered))), 64), 1 << 20)
            repeat {
                output.appendUninitialized(first) { window in
                    stream.pointee.next_out = window.baseAddress?.assumingMemoryBound(to: UInt8.self)
                    stream.pointee.avail_out = UInt32(window.count)
                    status = deflate(stream, isLast ? flush : Z_NO_FLUSH)
                    return window.count - Int(stream.pointee.avail_out)
                }
            } while stream.pointee.avail_out == 0 && status == Z_OK
            offset += offered - Int(stream.pointee.avail_in)
        } while offset < bytes.count && status == Z_OK
        guard status == Z_OK || status == Z_STREAM_END || status == Z_BUF_ERROR else {
            throw .corrupt("zlib: deflate returned \(status)")
        }
    }
}

/// gzip (RFC 1952).
///
/// An instance keeps its compressor between calls and has one owner at a time; decompressing needs none.
package final class Gzip {
    private let context: DeflateContext

    /// Makes a compressor; `level` runs from 1 (fast) to 9 (small), -1 being zlib's default of 6.
    package init(level: Int = -1) { context = DeflateContext(level: level, windowBits: 31) }

    /// Appends `bytes` as one gzip member to `output`.
    package func compress(_ bytes: UnsafeRawBufferPointer, into output: inout [UInt8]) throws(CompressionError) {
        try context.reset()
        try context.write(bytes, flush: Z_FINISH, into: &output)
    }

    /// Appends `bytes` as one gzip member to `output`.
    package func compress(_ bytes: [UInt8], into output: inout [UInt8]) throws(CompressionError) {
        try context.reset()
        try bytes.withBytes { (raw) throws(CompressionError) in
            try context.write(raw, flush: Z_FINISH, into: &output)
        }
    }

    /// Decompresses every member; throws `limitExceeded` before more than `limit` bytes are made.
    package static func decompress(
        _ bytes: UnsafeRawBufferPointer, limit: Int
    ) throws(CompressionError) -> [UInt8] {
        try StreamingDecompressor.decompress(.gzip, bytes, limit: limit)
    }

    /// Decompresses every member; throws `limitExceeded` before more than `limit` bytes are made.
    package static func decompress(_ bytes: [UInt8], limit: Int) throws(CompressionError) -> [UInt8] {
        try bytes.withBytes { (raw) throws(CompressionError) in
            try StreamingDecompressor.decompress(.gzip, raw, limit: limit)
        }
    }
}

/// Writes one gzip member piece by piece, for HTTP bodies and files.
package final class StreamingGzipEncoder {
    private let context: DeflateContext
    private var isOpen = false

    /// Makes an encoder; `level` as for `Gzip`.
    package init(level: Int = -1) { context = DeflateContext(level: level, windowBits: 31) }

    /// Compresses `bytes`, appending what is ready to `output`; the rest stays in the encoder (at most its window).
    package func write(_ bytes: UnsafeRawBufferPointer, into output: inout [UInt8]) throws(CompressionError) {
        try open()
        try context.write(bytes, flush: Z_NO_FLUSH, into: &output)
    }

    /// Compresses `bytes`, appending what is ready to `output`; the rest stays in the encoder (at most its window).
    package func write(_ bytes: [UInt8], into output: inout [UInt8]) throws(CompressionError) {
        try open()
        try bytes.withBytes { (raw) throws(CompressionError) in
            try context.write(raw, flush: Z_NO_FLUSH, into: &output)
        }
    }

    /// Appends everything written so far, so that a reader can decode all of it.
    package func flush(into output: inout [UInt8]) throws(CompressionError) {
        try open()
        try context.write(UnsafeRawBufferPointer(start: nil, count: 0), flush: Z_SYNC_FLUSH, into: &output)
    }

    /// Ends the member; the next `write` begins another.
    package func finish(into output: inout [UInt8]) throws(CompressionError) {
        try open()
        try context.write(UnsafeRawBufferPointer(start: nil, count: 0), flush: Z_FINISH, into: &output)
        isOpen = false
    }

    private func open() throws(CompressionError) {
        if !isOpen { try context.reset() }
        isOpen = true
    }
}
