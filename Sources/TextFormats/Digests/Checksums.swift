/// CRC-32 with the polynomial of IEEE 802.3 (gzip, zlib, PNG).
package enum CRC32 {
    private static let tables = reflectedTables(0xEDB8_8320)

    /// The checksum of `bytes`, continued from `previous`.
    package static func checksum(_ bytes: UnsafeRawBufferPointer, _ previous: UInt32 = 0) -> UInt32 {
        reflectedChecksum(bytes, previous, tables)
    }

    /// The checksum of `bytes`.
    package static func checksum(_ bytes: [UInt8]) -> UInt32 { bytes.withUnsafeBytes { checksum($0) } }
}

/// CRC-32C with the polynomial of Castagnoli (iSCSI, Snappy framing, Prometheus WAL).
package enum CRC32C {
    private static let tables = reflectedTables(0x82F6_3B78)

    /// The checksum of `bytes`, continued from `previous`.
    package static func checksum(_ bytes: UnsafeRawBufferPointer, _ previous: UInt32 = 0) -> UInt32 {
        reflectedChecksum(bytes, previous, tables)
    }

    /// The checksum of `bytes`.
    package static func checksum(_ bytes: [UInt8]) -> UInt32 { bytes.withUnsafeBytes { checksum($0) } }
}

/// Eight tables of 256, so that eight bytes take one step.
private func reflectedTables(_ polynomial: UInt32) -> [UInt32] {
    var tables = [UInt32](repeating: 0, count: 2048)
    for index in 0..<256 {
        var value = UInt32(index)
        for _ in 0..<8 { value = value & 1 == 1 ? (value >> 1) ^ polynomial : value >> 1 }
        tables[index] = value
    }
    for index in 256..<2048 {
        let previous = tables[index - 256]
        tables[index] = (previous >> 8) ^ tables[Int(previous & 0xFF)]
    }
    return tables
}

private func reflectedChecksum(_ bytes: UnsafeRawBufferPointer, _ previous: UInt32, _ tables: [UInt32]) -> UInt32 {
    tables.withUnsafeBufferPointer { table in
        var value = ~previous
        var index = 0
        while index + 8 <= bytes.count {
            let word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self)) ^ UInt64(value)
            value = 0
            for place in 0..<8 {
                value ^= table[(7 - place) * 256 + Int((word >> UInt64(8 * place)) & 0xFF)]
            }
            index += 8
        }
        while index < bytes.count {
            value = (value >> 8) ^ table[Int((value ^ UInt32(bytes[index])) & 0xFF)]
            index += 1
        }
        return ~value
    }
}

/// Adler-32 (RFC 1950 section 8).
package enum Adler32 {
    /// The checksum of `bytes`.
    package static func checksum(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        var low: UInt32 = 1
        var high: UInt32 = 0
        var index = 0
        while index < bytes.count {
            // 5552 is the longest run before the sums must be reduced.
            let end = min(bytes.count, index + 5552)
            while index < end {
                low &+= UInt32(bytes[index])
                high &+= low
                index += 1
            }
            low %= 65_521
            high %= 65_521
        }
        return high << 16 | low
    }
}

/// xxHash64 (`xxhash_spec.md`, 0.1.1), the hash of label sets and shards in Prometheus.
package enum XXHash64 {
    private static let primes: (UInt64, UInt64, UInt64, UInt64, UInt64) = (
        0x9E37_79B1_85EB_CA87, 0xC2B2_AE3D_27D4_EB4F, 0x1656_67B1_9E37_79F9, 0x85EB_CA77_C2B2_AE63,
        0x27D4_EB2F_1656_67C5
    )

    @inline(__always)
    private static func rotate(_ value: UInt64, _ count: UInt64) -> UInt64 { value << count | value >> (64 - count) }

    @inline(__always)
    private static func round(_ sum: UInt64, _ input: UInt64) -> UInt64 {
        rotate(sum &+ input &* primes.1, 31) &* primes.0
    }

    /// The hash of `bytes`.
    package static func hash(_ bytes: UnsafeRawBufferPointer, seed: UInt64 = 0) -> UInt64 {
        func word(_ offset: Int) -> UInt64 {
            UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
        }
        var index = 0
        var hash: UInt64
        if bytes.count >= 32 {
            var one = seed &+ primes.0 &+ primes.1
            var two = seed &+ primes.1
            var three = seed
            var four = seed &- primes.0
            while index + 32 <= bytes.count {
                one = round(one, word(index))
                two = round(two, word(index + 8))
                three = round(three, word(index + 16))
                four = round(four, word(index + 24))
                index += 32
            }
            hash = rotate(one, 1) &+ rotate(two, 7) &+ rotate(three, 12) &+ rotate(four, 18)
            for lane in [one, two, three, four] { hash = (hash ^ round(0, lane)) &* primes.0 &+ primes.3 }
        } else {
            hash = seed &+ primes.4
        }
        hash &+= UInt64(bytes.count)
        while index + 8 <= bytes.count {
            hash = rotate(hash ^ round(0, word(index)), 27) &* primes.0 &+ primes.3
            index += 8
        }
        if index + 4 <= bytes.count {
            let half = UInt64(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: index, as: UInt32.self)))
            hash = rotate(hash ^ (half &* primes.0), 23) &* primes.1 &+ primes.2
            index += 4
        }
        while index < bytes.count {
            hash = rotate(hash ^ (UInt64(bytes[index]) &* primes.4), 11) &* primes.0
            index += 1
        }
        hash = (hash ^ (hash >> 33)) &* primes.1
        hash = (hash ^ (hash >> 29)) &* primes.2
        return hash ^ (hash >> 32)
    }

    /// The hash of `bytes`.
    package static func hash(_ bytes: [UInt8], seed: UInt64 = 0) -> UInt64 {
        bytes.withUnsafeBytes { hash($0, seed: seed) }
    }
}

/// Hexadecimal digits.
package enum Hex {
    /// `bytes` in lower case.
    package static func encode(_ bytes: some Sequence<UInt8>) -> String {
        var output: [UInt8] = []
        for byte in bytes {
            for nibble in [byte >> 4, byte & 0xF] { output.append(nibble < 10 ? 0x30 + nibble : 0x57 + nibble) }
        }
        return String(decoding: output, as: UTF8.self)
    }

    /// The bytes of `text`, or nil when it is not an even number of digits.
    package static func decode(_ text: some Sequence<UInt8>) -> [UInt8]? {
        var output: [UInt8] = []
        var high: UInt32?
        for byte in text {
            guard let digit = JSONText.hex(byte) else { return nil }
            if let first = high {
                output.append(UInt8(first << 4 | digit))
                high = nil
            } else {
                high = digit
            }
        }
        return high == nil ? output : nil
    }
}
