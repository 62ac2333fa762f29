/// A fast 64-bit hash of bytes for in-process tables. Not stable across versions; not for adversarial settings where
/// an attacker sees the seed, which is why tables of unbounded input also cap their size.
package enum ByteHash {
    @inline(__always)
    private static func fold(_ a: UInt64, _ b: UInt64) -> UInt64 {
        let product = a.multipliedFullWidth(by: b)
        return product.high ^ product.low
    }

    private static let secret0: UInt64 = 0x9E37_79B9_7F4A_7C15
    private static let secret1: UInt64 = 0xD6E8_FEB8_6659_FD93

    /// Hashes all of `bytes`.
    package static func hash(_ bytes: UnsafeRawBufferPointer, seed: UInt64 = 0) -> UInt64 {
        var state = seed ^ secret0 ^ UInt64(truncatingIfNeeded: bytes.count)
        var offset = 0
        while offset &+ 16 <= bytes.count {
            let a = bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            let b = bytes.loadUnaligned(fromByteOffset: offset &+ 8, as: UInt64.self)
            state = fold(a ^ state, b ^ secret1)
            offset &+= 16
        }
        var tailLow: UInt64 = 0
        var tailHigh: UInt64 = 0
        if offset &+ 8 <= bytes.count {
            tailLow = bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            offset &+= 8
        }
        var shift: UInt64 = 0
        while offset < bytes.count {
            tailHigh |= UInt64(bytes[offset]) << shift
            shift &+= 8
            offset &+= 1
        }
        return fold(fold(tailLow ^ state, tailHigh ^ secret1), secret0)
    }
}
