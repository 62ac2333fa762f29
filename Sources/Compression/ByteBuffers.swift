extension Array where Element == UInt8 {
    /// Appends up to `capacity` bytes that `fill` writes; `fill` returns how many it wrote.
    @inline(__always)
    mutating func appendUninitialized(_ capacity: Int, _ fill: (UnsafeMutableRawBufferPointer) -> Int) {
        append(addingCapacity: capacity) { (span: inout OutputSpan<UInt8>) in
            span.withUnsafeMutableBufferPointer { buffer, initialized in
                let room = UnsafeMutableRawBufferPointer(
                    start: buffer.baseAddress.map { UnsafeMutableRawPointer($0 + initialized) },
                    count: Swift.min(capacity, buffer.count - initialized))
                initialized += Swift.min(Swift.max(0, fill(room)), room.count)
            }
        }
    }

    /// Calls `body` with the bytes of the array, keeping the type of what it throws.
    @inline(__always)
    func withBytes<Result, Failure>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try span.bytes.withUnsafeBytes(body)
    }
}

extension UnsafeRawBufferPointer {
    func sliced(from lower: Int, to upper: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: self[lower..<upper])
    }
}
