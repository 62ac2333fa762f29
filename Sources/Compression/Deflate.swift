import CZlib

/// deflate: zlib-wrapped (RFC 1950) or raw (RFC 1951).
///
/// An instance keeps its compressor between calls and has one owner at a time; decompressing needs none.
package final class Deflate {
    /// What surrounds the deflate stream.
    package enum Wrapper: Sendable {
        case zlib
        case raw

        fileprivate var format: CompressionFormat { self == .zlib ? .zlib : .rawDeflate }
    }

    private let context: DeflateContext

    /// Makes a compressor; `level` runs from 1 (fast) to 9 (small), -1 being zlib's default of 6.
    package init(_ wrapper: Wrapper = .zlib, level: Int = -1) {
        context = DeflateContext(level: level, windowBits: wrapper == .zlib ? 15 : -15)
    }

    /// Appends `bytes` as one stream to `output`.
    package func compress(_ bytes: UnsafeRawBufferPointer, into output: inout [UInt8]) throws(CompressionError) {
        try context.reset()
        try context.write(bytes, flush: Z_FINISH, into: &output)
    }

    /// Appends `bytes` as one stream to `output`.
    package func compress(_ bytes: [UInt8], into output: inout [UInt8]) throws(CompressionError) {
        try context.reset()
        try bytes.withBytes { (raw) throws(CompressionError) in
            try context.write(raw, flush: Z_FINISH, into: &output)
        }
    }

    /// Decompresses one stream; throws `limitExceeded` before more than `limit` bytes are made.
    package static func decompress(
        _ bytes: UnsafeRawBufferPointer, _ wrapper: Wrapper = .zlib, limit: Int
    ) throws(CompressionError) -> [UInt8] {
        try StreamingDecompressor.decompress(wrapper.format, bytes, limit: limit)
    }

    /// Decompresses one stream; throws `limitExceeded` before more than `limit` bytes are made.
    package static func decompress(
        _ bytes: [UInt8], _ wrapper: Wrapper = .zlib, limit: Int
    ) throws(CompressionError) -> [UInt8] {
        try bytes.withBytes { (raw) throws(CompressionError) in
            try StreamingDecompressor.decompress(wrapper.format, raw, limit: limit)
        }
    }
}
