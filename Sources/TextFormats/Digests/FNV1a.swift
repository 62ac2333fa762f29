/// FNV-1a (Fowler, Noll, Vo), the non-cryptographic hash Prometheus fingerprints use.
package enum FNV1a {
    /// The 64-bit hash, continued from `state`.
    @inlinable
    package static func hash64(
        _ bytes: UnsafeRawBufferPointer, _ state: UInt64 = 0xCBF2_9CE4_8422_2325
    ) -> UInt64 {
        var value = state
        for byte in bytes { value = (value ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
        return value
    }

    /// The 32-bit hash, continued from `state`.
    @inlinable
    package static func hash32(_ bytes: UnsafeRawBufferPointer, _ state: UInt32 = 0x811C_9DC5) -> UInt32 {
        var value = state
        for byte in bytes { value = (value ^ UInt32(byte)) &* 0x0100_0193 }
        return value
    }
}
