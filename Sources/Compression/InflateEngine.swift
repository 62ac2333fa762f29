import CZlib

/// Decodes gzip, zlib and raw deflate through zlib's `inflate`.
///
/// gzip members follow each other as RFC 1952 section 2.2 allows; bytes after the last member are an error, as in Go's
/// `compress/gzip`. Bytes after a zlib or raw stream are ignored.
final class InflateEngine: DecompressionEngine {
    enum Wrapper: Int32 {
        case gzip = 31
        case zlib = 15
        case raw = -15
    }

    private let wrapper: Wrapper
    private let stream: UnsafeMutablePointer<z_stream>
    private var ended = false

    init(_ wrapper: Wrapper) throws(CompressionError) {
        self.wrapper = wrapper
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        let status = inflateInit2_(
            stream, wrapper.rawValue, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        guard status == Z_OK else {
            stream.deallocate()
            throw .resource("zlib: \(status)")
        }
    }

    deinit {
        inflateEnd(stream)
        stream.deallocate()
    }

    var mayEnd: Bool { ended }

    func reset() {
        inflateReset(stream)
        ended = false
    }

    func step(
        _ input: UnsafeRawBufferPointer, _ output: UnsafeMutableRawBufferPointer
    ) throws(CompressionError) -> EngineStep {
        if ended {
            if wrapper != .gzip { return EngineStep(consumed: input.count, produced: 0) }
            if input.isEmpty { return EngineStep(consumed: 0, produced: 0) }
            inflateReset(stream)
            ended = false
        }
        let offered = min(input.count, 1 << 30)
        let room = min(output.count, 1 << 30)
        stream.pointee.next_in = UnsafeMutablePointer(
            mutating: input.baseAddress?.assumingMemoryBound(to: UInt8.self))
        stream.pointee.avail_in = UInt32(offered)
        stream.pointee.next_out = output.baseAddress?.assumingMemoryBound(to: UInt8.self)
        stream.pointee.avail_out = UInt32(room)
        let status = inflate(stream, Z_NO_FLUSH)
        let step = EngineStep(
            consumed: offered - Int(stream.pointee.avail_in), produced: room - Int(stream.pointee.avail_out))
        switch status {
        case Z_OK, Z_BUF_ERROR:
            return step
        case Z_STREAM_END:
            ended = true
            return step
        case Z_NEED_DICT:
            throw .corrupt("zlib: preset dictionary needed")
        case Z_MEM_ERROR:
            throw .resource("zlib: out of memory")
        default:
            throw .corrupt("zlib: \(stream.pointee.msg.map { String(cString: $0) } ?? "status \(status)")")
        }
    }
}
