import CBzip2

/// bzip2, as the `bzip2` program reads and writes it.
package final class Bzip2 {
    private let blockSize: Int32

    /// Makes a compressor; `blockSize` is 1 to 9 hundred kilobytes.
    package init(blockSize: Int = 9) { self.blockSize = Int32(max(1, min(blockSize, 9))) }

    /// Appends `bytes` as one stream to `output`.
    package func compress(_ bytes: UnsafeRawBufferPointer, into output: inout [UInt8]) throws(CompressionError) {
        let stream = UnsafeMutablePointer<bz_stream>.allocate(capacity: 1)
        stream.initialize(to: bz_stream())
        defer { stream.deallocate() }
        guard BZ2_bzCompressInit(stream, blockSize, 0, 0) == BZ_OK else { throw .resource("bzip2: no context") }
        defer { BZ2_bzCompressEnd(stream) }
        var offset = 0
        var status = BZ_RUN_OK
        while status != BZ_STREAM_END {
            let offered = min(bytes.count - offset, 1 << 30)
            let action = offset + offered == bytes.count ? BZ_FINISH : BZ_RUN
            stream.pointee.next_in = UnsafeMutablePointer(
                mutating: bytes.baseAddress.map { ($0 + offset).assumingMemoryBound(to: CChar.self) })
            stream.pointee.avail_in = UInt32(offered)
            output.appendUninitialized(65_536) { window in
                stream.pointee.next_out = window.baseAddress?.assumingMemoryBound(to: CChar.self)
                stream.pointee.avail_out = UInt32(window.count)
                status = BZ2_bzCompress(stream, action)
                return window.count - Int(stream.pointee.avail_out)
            }
            offset += offered - Int(stream.pointee.avail_in)
            guard status >= 0 else { throw .corrupt("bzip2: compressing returned \(status)") }
        }
    }

    /// Appends `bytes` as one stream to `output`.
    package func compress(_ bytes: [UInt8], into output: inout [UInt8]) throws(CompressionError) {
        try bytes.withBytes { (raw) throws(CompressionError) in try compress(raw, into: &output) }
    }

    /// Decompresses every stream; throws `limitExceeded` before more than `limit` bytes are made.
    package static func decompress(
        _ bytes: UnsafeRawBufferPointer, limit: Int
    ) throws(CompressionError) -> [UInt8] {
        try StreamingDecompressor.decompress(.bzip2, bytes, limit: limit)
    }

    /// Decompresses every stream; throws `limitExceeded` before more than `limit` bytes are made.
    package static func decompress(_ bytes: [UInt8], limit: Int) throws(CompressionError) -> [UInt8] {
        try bytes.withBytes { (raw) throws(CompressionError) in
            try StreamingDecompressor.decompress(.bzip2, raw, limit: limit)
        }
    }
}

/// Decodes concatenated bzip2 streams; holds about 4 MB, the format's largest block.
final class Bzip2Engine: DecompressionEngine {
    private let stream: UnsafeMutablePointer<bz_stream>
    private var isOpen = false
    private(set) var mayEnd = true

    init() throws(CompressionError) {
        stream = .allocate(capacity: 1)
        stream.initialize(to: bz_stream())
    }

    deinit {
        reset()
        stream.deallocate()
    }

    func reset() {
        if isOpen { BZ2_bzDecompressEnd(stream) }
        isOpen = false
        mayEnd = true
    }

    func step(
        _ input: UnsafeRawBufferPointer, _ output: UnsafeMutableRawBufferPointer
    ) throws(CompressionError) -> EngineStep {
        if !isOpen {
            if input.isEmpty { return EngineStep(consumed: 0, produced: 0) }
            stream.pointee = bz_stream()
            guard BZ2_bzDecompressInit(stream, 0, 0) == BZ_OK else { throw .resource("bzip2: no context") }
            isOpen = true
            mayEnd = false
        }
        let offered = min(input.count, 1 << 30)
        let room = min(output.count, 1 << 30)
        stream.pointee.next_in = UnsafeMutablePointer(
            mutating: input.baseAddress?.assumingMemoryBound(to: CChar.self))
        stream.pointee.avail_in = UInt32(offered)
        stream.pointee.next_out = output.baseAddress?.assumingMemoryBound(to: CChar.self)
        stream.pointee.avail_out = UInt32(room)
        let status = BZ2_bzDecompress(stream)
        let step = EngineStep(
            consumed: offered - Int(stream.pointee.avail_in), produced: room - Int(stream.pointee.avail_out))
        switch status {
        case BZ_OK:
            return step
        case BZ_STREAM_END:
            reset()
            return step
        case BZ_MEM_ERROR:
            throw .resource("bzip2: out of memory")
        case BZ_DATA_ERROR_MAGIC:
            throw .corrupt("bzip2: bad magic number")
        default:
            throw .corrupt("bzip2: data integrity error \(status)")
        }
    }
}
