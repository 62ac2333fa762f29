import Glibc

extension UnsafeRawBufferPointer {
    /// The first index at or after `start` that holds `byte`.
    @inline(__always)
    func firstIndex(of byte: UInt8, from start: Int) -> Int? {
        guard start < count, let base = baseAddress, let found = memchr(base + start, CInt(byte), count - start) else {
            return nil
        }
        return UnsafeRawPointer(found) - base
    }
}

extension Array where Element == UInt8 {
    /// Calls `body` with the bytes, keeping the type of what it throws.
    @inline(__always)
    package func withRawBytes<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try span.bytes.withUnsafeBytes(body)
    }
}
