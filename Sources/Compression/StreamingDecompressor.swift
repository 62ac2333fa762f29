/// Decompresses a stream chunk by chunk with memory bounded by the format's window.
///
/// `push` hands input over, `pull` takes at most as much output as the caller asked for, so that a small chunk that
/// expands a thousandfold never sits in memory whole. Not thread-safe: one owner at a time. The decoder's context is
/// reused after `reset`.
package final class StreamingDecompressor {
    package let format: CompressionFormat
    /// Output after which `pull` throws `limitExceeded`, in bytes since the last `reset`.
    package var limit: Int
    /// Bytes produced since the last `reset`.
    package private(set) var produced = 0

    private let engine: any DecompressionEngine
    private var pending: [UInt8] = []
    private var offset = 0
    private var failure: CompressionError?
    private var received = 0

    /// Makes a decoder of `format`.
    ///
    /// `maximumWindowLog` bounds the window a zstd frame may ask for (2^27 = 128 MiB is what the zstd tool accepts by
    /// default, 2^23 = 8 MiB is what RFC 8878 asks a decoder to support); other formats have fixed windows.
    package init(
        _ format: CompressionFormat, limit: Int = .max, maximumWindowLog: Int = 23
    ) throws(CompressionError) {
        self.format = format
        self.limit = limit
        switch format {
        case .gzip: engine = try InflateEngine(.gzip)
        case .zlib: engine = try InflateEngine(.zlib)
        case .rawDeflate: engine = try InflateEngine(.raw)
        case .zstandard: engine = try ZstandardEngine(maximumWindowLog: maximumWindowLog)
        case .bzip2: engine = try Bzip2Engine()
        case .snappyFramed: engine = SnappyFrameEngine()
        }
    }

    /// Whether `pull` has handed out everything it can until the next `push`.
    package var needsInput: Bool { offset == pending.count }

    /// Hands over the next chunk of input; it is kept, without a copy where nothing was pending, until consumed.
    package func push(_ chunk: [UInt8]) {
        received += chunk.count
        if offset == pending.count {
            pending = chunk
        } else {
            pending.removeSubrange(0..<offset)
            pending.append(contentsOf: chunk)
        }
        offset = 0
    }

    /// Appends at most `count` bytes of output and returns how many; 0 means that more input is needed.
    package func pull(into output: inout [UInt8], atMost count: Int = 65_536) throws(CompressionError) -> Int {
        if let failure { throw failure }
        var taken = 0
        while taken < count {
            let (step, room) = try advance(pending, from: offset, into: &output, room: count - taken)
            offset += step.consumed
            taken += step.produced
            if step.produced < room, step.consumed == 0, step.produced == 0 { break }
        }
        if offset == pending.count, !pending.isEmpty {
            pending = []
            offset = 0
        }
        return taken
    }

    /// Throws `truncated` unless the input pushed so far, all of it pulled, is a whole stream.
    package func finish() throws(CompressionError) {
        if let failure { throw failure }
        guard received > 0, offset == pending.count, engine.mayEnd else { throw .truncated }
    }

    /// Forgets the current stream; the context stays allocated.
    package func reset() {
        engine.reset()
        pending = []
        offset = 0
        produced = 0
        received = 0
        failure = nil
    }

    /// Decompresses a whole stream after a `reset` and appends it to `output`; stops at `limit` bytes.
    package func decompress(
        _ bytes: UnsafeRawBufferPointer, into output: inout [UInt8]
    ) throws(CompressionError) {
        reset()
        received = bytes.count
        var position = 0
        while true {
            let room = position == 0 ? min(max(bytes.count &* 4, 512), 65_536) : 65_536
            let step = try advance(bytes, from: position, into: &output, room: room)
            position += step.consumed
            if step.consumed == 0, step.produced == 0 { break }
        }
        guard received > 0, position == bytes.count, engine.mayEnd else { throw .truncated }
    }

    private func advance(
        _ input: [UInt8], from offset: Int, into output: inout [UInt8], room: Int
    ) throws(CompressionError) -> (EngineStep, Int) {
        let outcome = input.withBytes { bytes in
            Result { () throws(CompressionError) in
                try advance(bytes, from: offset, into: &output, room: min(room, 65_536))
            }
        }
        return (try outcome.get(), min(room, 65_536))
    }

    private func advance(
        _ input: UnsafeRawBufferPointer, from offset: Int, into output: inout [UInt8], room: Int
    ) throws(CompressionError) -> EngineStep {
        // One byte more than allowed tells a stream that ends at the limit from one that goes on.
        let left = limit - produced
        let capacity = left < room ? left + 1 : room
        var outcome: Result<EngineStep, CompressionError> = .success(EngineStep(consumed: 0, produced: 0))
        let rest = input.sliced(from: offset, to: input.count)
        let kept = output.count
        output.appendUninitialized(capacity) { window in
            outcome = Result { () throws(CompressionError) in
                try engine.step(rest, UnsafeMutableRawBufferPointer(rebasing: window[..<capacity]))
            }
            if case .success(let step) = outcome { return step.produced }
            return 0
        }
        switch outcome {
        case .success(let step):
            produced += step.produced
            if produced > limit {
                output.removeLast(output.count - kept - left)
                failure = .limitExceeded(limit)
                throw .limitExceeded(limit)
            }
            return step
        case .failure(let error):
            failure = error
            throw error
        }
    }

    static func decompress(
        _ format: CompressionFormat, _ bytes: UnsafeRawBufferPointer, limit: Int, maximumWindowLog: Int = 23
    ) throws(CompressionError) -> [UInt8] {
        let decoder = try StreamingDecompressor(format, limit: max(0, limit), maximumWindowLog: maximumWindowLog)
        var output: [UInt8] = []
        try decoder.decompress(bytes, into: &output)
        return output
    }
}
