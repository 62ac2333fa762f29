import NIOCore

/// Buffers for reading a socket that go with the bytes, instead of staying with the connection.
///
/// An adaptive allocator starts small and has each connection keep as many of its largest buffers as it makes reads in a
/// row: a thousand kept connections hold a quarter of a gigabyte. Here bodies come in few large reads, and what an idle
/// connection keeps is the small buffer of its first. The channel makes one read at a time (`maxMessagesPerRead`), or it
/// would keep more than that.
struct PassingReadBuffers: RecvByteBufferAllocator {
    private static let firstSize = 1 << 10
    static let size = 128 << 10

    private var isFirst = true

    mutating func record(actualReadBytes: Int) -> Bool {
        isFirst = false
        // "Might grow": the stored buffer is not to be used again.
        return true
    }

    func buffer(allocator: ByteBufferAllocator) -> ByteBuffer {
        allocator.buffer(capacity: isFirst ? Self.firstSize : Self.size)
    }
}
