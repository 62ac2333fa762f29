import CZstd

/// Zstandard (RFC 8878).
///
/// An instance keeps its compression context between calls and has one owner at a time; decompressing needs none.
package final class Zstandard {
    private let context: OpaquePointer

    /// Makes a compressor; `level` as libzstd counts (3 is its default).
    package init(level: Int = 3) throws(CompressionError) {
        guard let made = ZSTD_createCCtx() else { throw .resource("zstd: no context") }
        context = made
        ZSTD_CCtx_setParameter(made, ZSTD_c_compressionLevel, Int32(max(-100, min(level, 22))))
    }

    deinit { ZSTD_freeCCtx(context) }

    /// Appends `bytes` as one frame, with its content size, to `output`.
    package func compress(_ bytes: UnsafeRawBufferPointer, into output: inout [UInt8]) throws(CompressionError) {
        var status = 0
        output.appendUninitialized(ZSTD_compressBound(bytes.count)) { window in
            status = ZSTD_compress2(context, window.baseAddress, window.count, bytes.baseAddress, bytes.count)
            return ZSTD_isError(status) == 0 ? status : 0
        }
        guard ZSTD_isError(status) == 0 else {
            throw .resource("zstd: \(String(cString: ZSTD_getErrorName(status)))")
        }
    }

    /// Appends `bytes` as one frame, with its content size, to `output`.
    package func compress(_ bytes: [UInt8], into output: inout [UInt8]) throws(CompressionError) {
        try bytes.withBytes { (raw) throws(CompressionError) in try compress(raw, into: &output) }
    }

    /// Decompresses every frame; throws `limitExceeded` before more than `limit` bytes are made.
    ///
    /// `maximumWindowLog` as for `StreamingDecompressor`.
    package static func decompress(
        _ bytes: UnsafeRawBufferPointer, limit: Int, maximumWindowLog: Int = 23
    ) throws(CompressionError) -> [UInt8] {
        try StreamingDecompressor.decompress(.zstandard, bytes, limit: limit, maximumWindowLog: maximumWindowLog)
    }

    /// Decompresses every frame; throws `limitExceeded` before more than `limit` bytes are made.
    package static func decompress(
        _ bytes: [UInt8], limit: Int, maximumWindowLog: Int = 23
    ) throws(CompressionError) -> [UInt8] {
        try bytes.withBytes { (raw) throws(CompressionError) in
            try decompress(raw, limit: limit, maximumWindowLog: maximumWindowLog)
        }
    }
}

/// Decodes zstd frames; the window a frame may ask for is capped.
final class ZstandardEngine: DecompressionEngine {
    private let context: OpaquePointer
    private(set) var mayEnd = true

    init(maximumWindowLog: Int) throws(CompressionError) {
        guard let made = ZSTD_createDCtx() else { throw .resource("zstd: no context") }
        context = made
        ZSTD_DCtx_setParameter(made, ZSTD_d_windowLogMax, Int32(max(10, min(maximumWindowLog, 31))))
    }

    deinit { ZSTD_freeDCtx(context) }

    func reset() {
        ZSTD_DCtx_reset(context, ZSTD_reset_session_only)
        mayEnd = true
    }

    func step(
        _ input: UnsafeRawBufferPointer, _ output: UnsafeMutableRawBufferPointer
    ) throws(CompressionError) -> EngineStep {
        if input.isEmpty, mayEnd { return EngineStep(consumed: 0, produced: 0) }
        var source = ZSTD_inBuffer(src: input.baseAddress, size: input.count, pos: 0)
        var target = ZSTD_outBuffer(dst: output.baseAddress, size: output.count, pos: 0)
        let status = ZSTD_decompressStream(context, &target, &source)
        guard ZSTD_isError(status) == 0 else {
            throw .corrupt("zstd: \(String(cString: ZSTD_getErrorName(status)))")
        }
        mayEnd = status == 0
        return EngineStep(consumed: source.pos, produced: target.pos)
    }
}
