/// SHA3-256 (FIPS 202).
package struct SHA3_256: Digest {
    package static let blockSize = 136
    private var lanes = [UInt64](repeating: 0, count: 25)
    private var position = 0

    package init() {}

    package mutating func update(_ bytes: UnsafeRawBufferPointer) {
        for byte in bytes { absorb(byte) }
    }

    package consuming func finish() -> [UInt8] {
        lanes[position / 8] ^= 0x06 << UInt64(8 * (position % 8))
        lanes[(Self.blockSize - 1) / 8] ^= 0x80 << 56
        permute()
        return bigEndianBytes(lanes[..<4].map(\.byteSwapped))
    }

    private mutating func absorb(_ byte: UInt8) {
        lanes[position / 8] ^= UInt64(byte) << UInt64(8 * (position % 8))
        position += 1
        if position == Self.blockSize {
            permute()
            position = 0
        }
    }

    /// Round constants, from the linear feedback shift register of section 3.2.5.
    private static let roundConstants: [UInt64] = {
        var register: UInt8 = 1
        return (0..<24).map { _ in
            var constant: UInt64 = 0
            for power in 0..<7 {
                if register & 1 == 1 { constant |= 1 << ((1 << UInt64(power)) - 1) }
                let carry = register & 0x80 != 0
                register = (register << 1) ^ (carry ? 0x71 : 0)
            }
            return constant
        }
    }()

    private mutating func permute() {
        for constant in Self.roundConstants {
            var parity = [UInt64](repeating: 0, count: 5)
            for index in 0..<25 { parity[index % 5] ^= lanes[index] }
            for index in 0..<25 {
                let column = index % 5
                let next = parity[(column + 1) % 5]
                lanes[index] ^= parity[(column + 4) % 5] ^ (next << 1 | next >> 63)
            }
            // Rho and pi: lane (x, y) moves to (y, 2x + 3y), turned by a triangular number of bits.
            var (x, y) = (1, 0)
            var moving = lanes[1]
            for step in 0..<24 {
                (x, y) = (y, (2 * x + 3 * y) % 5)
                let shift = UInt64((step + 1) * (step + 2) / 2 % 64)
                let turned = shift == 0 ? moving : moving << shift | moving >> (64 - shift)
                moving = lanes[x + 5 * y]
                lanes[x + 5 * y] = turned
            }
            for row in 0..<5 {
                let old = Array(lanes[(5 * row)..<(5 * row + 5)])
                for column in 0..<5 {
                    lanes[5 * row + column] = old[column] ^ (~old[(column + 1) % 5] & old[(column + 2) % 5])
                }
            }
            lanes[0] ^= constant
        }
    }
}
