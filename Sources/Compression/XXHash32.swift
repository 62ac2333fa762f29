/// The 32-bit xxHash with seed 0 (`xxhash_spec.md`), the checksum of LZ4 frames.
enum XXHash32 {
    private static let primes: (UInt32, UInt32, UInt32, UInt32, UInt32) = (
        2_654_435_761, 2_246_822_519, 3_266_489_917, 668_265_263, 374_761_393
    )

    static func hash(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        var offset = 0
        var sum: UInt32
        if bytes.count >= 16 {
            var (a, b, c, d) = (primes.0 &+ primes.1, primes.1, 0 as UInt32, 0 &- primes.0)
            while bytes.count - offset >= 16 {
                a = round(a, word(bytes, offset))
                b = round(b, word(bytes, offset + 4))
                c = round(c, word(bytes, offset + 8))
                d = round(d, word(bytes, offset + 12))
                offset += 16
            }
            sum = rotate(a, 1) &+ rotate(b, 7) &+ rotate(c, 12) &+ rotate(d, 18)
        } else {
            sum = primes.4
        }
        sum &+= UInt32(truncatingIfNeeded: bytes.count)
        while bytes.count - offset >= 4 {
            sum = rotate(sum &+ word(bytes, offset) &* primes.2, 17) &* primes.3
            offset += 4
        }
        while offset < bytes.count {
            sum = rotate(sum &+ UInt32(bytes[offset]) &* primes.4, 11) &* primes.0
            offset += 1
        }
        sum = (sum ^ sum >> 15) &* primes.1
        sum = (sum ^ sum >> 13) &* primes.2
        return sum ^ sum >> 16
    }

    private static func round(_ lane: UInt32, _ word: UInt32) -> UInt32 {
        rotate(lane &+ word &* primes.1, 13) &* primes.0
    }

    private static func rotate(_ value: UInt32, _ bits: UInt32) -> UInt32 { value &<< bits | value &>> (32 - bits) }

    private static func word(_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> UInt32 {
        UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }
}
