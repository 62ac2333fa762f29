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

    /// Where rho and pi take each lane, in the order the cycle visits them, and by how many bits they turn it.
    private static let cycle: [(target: Int, shift: UInt64)] = {
        var (x, y) = (1, 0)
        return (0..<24).map { step in
            (x, y) = (y, (2 * x + 3 * y) % 5)
            return (x + 5 * y, UInt64((step + 1) * (step + 2) / 2 % 64))
        }
    }()

    private mutating func permute() {
        lanes.withUnsafeMutableBufferPointer { lanes in
            for constant in Self.roundConstants {
                Self.mixColumns(lanes)
                var moving = lanes[1]
                for (target, shift) in Self.cycle {
                    let turned = moving << shift | moving >> ((64 - shift) & 63)
                    moving = lanes[target]
                    lanes[target] = turned
                }
                for row in stride(from: 0, to: 25, by: 5) {
                    let (a, b, c, d, e) = (lanes[row], lanes[row + 1], lanes[row + 2], lanes[row + 3], lanes[row + 4])
                    lanes[row] = a ^ (~b & c)
                    lanes[row + 1] = b ^ (~c & d)
                    lanes[row + 2] = c ^ (~d & e)
                    lanes[row + 3] = d ^ (~e & a)
                    lanes[row + 4] = e ^ (~a & b)
                }
                lanes[0] ^= constant
            }
        }
    }

    /// The step called theta.
    private static func mixColumns(_ lanes: UnsafeMutableBufferPointer<UInt64>) {
        func parity(_ column: Int) -> UInt64 {
            lanes[column] ^ lanes[column + 5] ^ lanes[column + 10] ^ lanes[column + 15] ^ lanes[column + 20]
        }
        func turned(_ value: UInt64) -> UInt64 { value << 1 | value >> 63 }
        let (a, b, c, d, e) = (parity(0), parity(1), parity(2), parity(3), parity(4))
        let mixed = (e ^ turned(b), a ^ turned(c), b ^ turned(d), c ^ turned(e), d ^ turned(a))
        for row in stride(from: 0, to: 25, by: 5) {
            lanes[row] ^= mixed.0
            lanes[row + 1] ^= mixed.1
            lanes[row + 2] ^= mixed.2
            lanes[row + 3] ^= mixed.3
            lanes[row + 4] ^= mixed.4
        }
    }
}
