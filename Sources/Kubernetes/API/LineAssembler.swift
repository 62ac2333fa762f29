import Glibc

/// Cuts a stream of bytes into lines.
///
/// Bytes are moved at most once per chunk; a line longer than the limit is an error the owner decides about.
package struct LineAssembler {
    private var buffer: [UInt8] = []
    private var start = 0
    /// How far the buffer was searched for a line end.
    private var searched = 0

    package init() {}

    /// Bytes held that are not a whole line yet.
    package var heldBytes: Int { buffer.count - start }

    /// Hands the buffer to `fill`, which appends the next chunk.
    package mutating func fill<Result, Failure: Error>(
        _ fill: (inout [UInt8]) async throws(Failure) -> Result
    ) async throws(Failure) -> Result {
        if start > 0 {
            if start == buffer.count {
                buffer.removeAll(keepingCapacity: buffer.capacity <= 1 << 20)
            } else {
                buffer.removeFirst(start)
            }
            searched -= start
            start = 0
        }
        return try await fill(&buffer)
    }

    /// Hands out the next whole line without its end; nil when there is none yet.
    package mutating func nextLine<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result? {
        guard let range = nextRange() else { return nil }
        return try buffer.span.bytes.withUnsafeBytes { (raw) throws(Failure) in
            try body(UnsafeRawBufferPointer(rebasing: raw[range]))
        }
    }

    /// Hands out what is left when the stream has ended.
    package mutating func takeRest<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result? {
        guard start < buffer.count else { return nil }
        let range = start..<buffer.count
        start = buffer.count
        searched = start
        return try buffer.span.bytes.withUnsafeBytes { (raw) throws(Failure) in
            try body(UnsafeRawBufferPointer(rebasing: raw[range]))
        }
    }

    /// Throws away what is held.
    package mutating func discard() {
        buffer.removeAll(keepingCapacity: false)
        start = 0
        searched = 0
    }

    private mutating func nextRange() -> Range<Int>? {
        let from = max(searched, start)
        let end: Int? = buffer.withUnsafeBytes { raw in
            guard let base = raw.baseAddress, from < raw.count else { return nil }
            return memchr(base + from, 10, raw.count - from).map { UnsafeRawPointer($0) - base }
        }
        guard let end else {
            searched = buffer.count
            return nil
        }
        let range = start..<end
        start = end + 1
        searched = start
        return range
    }
}
