/// MD5 (RFC 1321); broken for signatures, kept for protocols that name it and for hashing to shards.
package struct MD5: Digest {
    package static let blockSize = 64
    private var state = SIMD4<UInt32>(0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476)
    private var buffer = BlockBuffer(size: 64)

    package init() {}

    package mutating func update(_ bytes: UnsafeRawBufferPointer) {
        var state = state
        buffer.feed(bytes) { Self.compress(&state, $0) }
        self.state = state
    }

    package consuming func finish() -> [UInt8] {
        var state = state
        buffer.finish(lengthSize: 8, isBigEndian: false) { Self.compress(&state, $0) }
        return bigEndianBytes((0..<4).map { state[$0].byteSwapped })
    }

    private static func compress(_ state: inout SIMD4<UInt32>, _ block: UnsafeRawPointer) {
        var (a, b, c, d) = (state[0], state[1], state[2], state[3])
        DigestConstants.md5.withUnsafeBufferPointer { constants in
            DigestConstants.md5Shifts.withUnsafeBufferPointer { shifts in
                for index in 0..<64 {
                    let mixed: UInt32
                    let word: Int
                    switch index / 16 {
                    case 0: (mixed, word) = ((b & c) | (~b & d), index)
                    case 1: (mixed, word) = ((d & b) | (~d & c), (5 * index + 1) % 16)
                    case 2: (mixed, word) = (b ^ c ^ d, (3 * index + 5) % 16)
                    default: (mixed, word) = (c ^ (b | ~d), (7 * index) % 16)
                    }
                    let input = UInt32(littleEndian: block.loadUnaligned(fromByteOffset: 4 * word, as: UInt32.self))
                    let sum = a &+ mixed &+ constants[index] &+ input
                    let shift = shifts[index / 16 * 4 + index % 4]
                    (a, d, c) = (d, c, b)
                    b = b &+ (sum << shift | sum >> (32 - shift))
                }
            }
        }
        state = state &+ SIMD4(a, b, c, d)
    }
}
