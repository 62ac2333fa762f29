/// SHA-256 (FIPS 180-4).
package struct SHA256: Digest {
    package static let blockSize = 64
    private var state = DigestConstants.sha256Start
    private var buffer = BlockBuffer(size: 64)

    package init() {}

    package mutating func update(_ bytes: UnsafeRawBufferPointer) {
        var state = state
        buffer.feed(bytes) { Self.compress(&state, $0) }
        self.state = state
    }

    package consuming func finish() -> [UInt8] {
        var state = state
        buffer.finish(lengthSize: 8, isBigEndian: true) { Self.compress(&state, $0) }
        return bigEndianBytes((0..<8).map { state[$0] })
    }

    @inline(__always)
    private static func rotate(_ value: UInt32, _ count: UInt32) -> UInt32 { value >> count | value << (32 - count) }

    private static func compress(_ state: inout SIMD8<UInt32>, _ block: UnsafeRawPointer) {
        withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 64) { words in
            for index in 0..<16 {
                words[index] = UInt32(bigEndian: block.loadUnaligned(fromByteOffset: 4 * index, as: UInt32.self))
            }
            for index in 16..<64 {
                let early = words[index - 15]
                let late = words[index - 2]
                let small = rotate(early, 7) ^ rotate(early, 18) ^ (early >> 3)
                let large = rotate(late, 17) ^ rotate(late, 19) ^ (late >> 10)
                words[index] = words[index - 16] &+ small &+ words[index - 7] &+ large
            }
            var (a, b, c, d) = (state[0], state[1], state[2], state[3])
            var (e, f, g, h) = (state[4], state[5], state[6], state[7])
            DigestConstants.sha256.withUnsafeBufferPointer { constants in
                for index in 0..<64 {
                    let mixed = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)
                    let chosen = (e & f) ^ (~e & g)
                    let first = h &+ mixed &+ chosen &+ constants[index] &+ words[index]
                    let majority = (a & b) ^ (a & c) ^ (b & c)
                    let second = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) &+ majority
                    (h, g, f, e) = (g, f, e, d &+ first)
                    (d, c, b, a) = (c, b, a, first &+ second)
                }
            }
            state = state &+ SIMD8(a, b, c, d, e, f, g, h)
        }
    }
}

/// SHA-512 (FIPS 180-4).
package struct SHA512: Digest {
    package static let blockSize = 128
    private var state = DigestConstants.sha512Start
    private var buffer = BlockBuffer(size: 128)

    package init() {}

    package mutating func update(_ bytes: UnsafeRawBufferPointer) {
        var state = state
        buffer.feed(bytes) { Self.compress(&state, $0) }
        self.state = state
    }

    package consuming func finish() -> [UInt8] {
        var state = state
        buffer.finish(lengthSize: 16, isBigEndian: true) { Self.compress(&state, $0) }
        return bigEndianBytes((0..<8).map { state[$0] })
    }

    @inline(__always)
    private static func rotate(_ value: UInt64, _ count: UInt64) -> UInt64 { value >> count | value << (64 - count) }

    private static func compress(_ state: inout SIMD8<UInt64>, _ block: UnsafeRawPointer) {
        withUnsafeTemporaryAllocation(of: UInt64.self, capacity: 80) { words in
            for index in 0..<16 {
                words[index] = UInt64(bigEndian: block.loadUnaligned(fromByteOffset: 8 * index, as: UInt64.self))
            }
            for index in 16..<80 {
                let early = words[index - 15]
                let late = words[index - 2]
                let small = rotate(early, 1) ^ rotate(early, 8) ^ (early >> 7)
                let large = rotate(late, 19) ^ rotate(late, 61) ^ (late >> 6)
                words[index] = words[index - 16] &+ small &+ words[index - 7] &+ large
            }
            var (a, b, c, d) = (state[0], state[1], state[2], state[3])
            var (e, f, g, h) = (state[4], state[5], state[6], state[7])
            DigestConstants.sha512.withUnsafeBufferPointer { constants in
                for index in 0..<80 {
                    let mixed = rotate(e, 14) ^ rotate(e, 18) ^ rotate(e, 41)
                    let chosen = (e & f) ^ (~e & g)
                    let first = h &+ mixed &+ chosen &+ constants[index] &+ words[index]
                    let majority = (a & b) ^ (a & c) ^ (b & c)
                    let second = (rotate(a, 28) ^ rotate(a, 34) ^ rotate(a, 39)) &+ majority
                    (h, g, f, e) = (g, f, e, d &+ first)
                    (d, c, b, a) = (c, b, a, first &+ second)
                }
            }
            state = state &+ SIMD8(a, b, c, d, e, f, g, h)
        }
    }
}
