import CLinux

/// The Castagnoli checksum (RFC 3720, appendix B.4): by the processor's instruction where there is one, else by tables,
/// eight bytes a step.
enum CRC32C {
    private static let hasInstruction = invar_has_crc32c() != 0

    /// Eight tables of 256 entries one after another.
    private static let tables: [UInt32] = {
        var tables = [UInt32](repeating: 0, count: 8 * 256)
        for index in 0..<256 {
            var value = UInt32(index)
            for _ in 0..<8 { value = value & 1 == 1 ? value >> 1 ^ 0x82F6_3B78 : value >> 1 }
            tables[index] = value
        }
        for index in 0..<256 {
            for table in 1..<8 {
                let before = tables[(table - 1) * 256 + index]
                tables[table * 256 + index] = tables[Int(before & 0xFF)] ^ before >> 8
            }
        }
        return tables
    }()

    /// The checksum of `bytes`, continuing from `seed`, the checksum of what came before.
    static func checksum(_ bytes: UnsafeRawBufferPointer, seed: UInt32 = 0) -> UInt32 {
        if hasInstruction { return ~invar_crc32c(~seed, bytes.baseAddress, bytes.count) }
        return tableChecksum(bytes, seed: seed)
    }

    /// The same by tables alone.
    static func tableChecksum(_ bytes: UnsafeRawBufferPointer, seed: UInt32 = 0) -> UInt32 {
        tables.withUnsafeBufferPointer { tables in
            guard let table = tables.baseAddress else { return 0 }
            var crc = ~seed
            var offset = 0
            let count = bytes.count
            while offset &+ 8 <= count {
                let word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
                let low = UInt32(truncatingIfNeeded: word) ^ crc
                let high = UInt32(truncatingIfNeeded: word >> 32)
                let a = table[1792 &+ Int(low & 0xFF)] ^ table[1536 &+ Int(low >> 8 & 0xFF)]
                let b = table[1280 &+ Int(low >> 16 & 0xFF)] ^ table[1024 &+ Int(low >> 24)]
                let c = table[768 &+ Int(high & 0xFF)] ^ table[512 &+ Int(high >> 8 & 0xFF)]
                let d = table[256 &+ Int(high >> 16 & 0xFF)] ^ table[Int(high >> 24)]
                crc = a ^ b ^ c ^ d
                offset &+= 8
            }
            while offset < count {
                crc = table[Int((crc ^ UInt32(bytes[offset])) & 0xFF)] ^ crc >> 8
                offset &+= 1
            }
            return ~crc
        }
    }
}
