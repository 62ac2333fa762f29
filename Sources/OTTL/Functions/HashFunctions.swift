import TextFormats

extension Functions {
    /// Digests of strings.
    static let hashConverters: [Converter] = [
        digest("MD5") { Hex.encode(MD5.digest($0)) },
        digest("SHA1") { Hex.encode(SHA1.digest($0)) },
        digest("SHA256") { Hex.encode(SHA256.digest($0)) },
        digest("SHA512") { Hex.encode(SHA512.digest($0)) },
        digest("Murmur3Hash") { bytes in
            withUnsafeBytes(of: Murmur3.hash32(bytes).littleEndian) { Hex.encode($0) }
        },
        digest("Murmur3Hash128") { bytes in
            let (low, high) = Murmur3.hash128(bytes)
            return withUnsafeBytes(of: low.littleEndian) { Hex.encode($0) }
                + withUnsafeBytes(of: high.littleEndian) { Hex.encode($0) }
        },
        digest("XXH3") { bytes in withUnsafeBytes(of: XXH3.hash64(bytes).bigEndian) { Hex.encode($0) } },
        digest("XXH128") { bytes in
            let (low, high) = XXH3.hash128(bytes)
            return withUnsafeBytes(of: high.bigEndian) { Hex.encode($0) }
                + withUnsafeBytes(of: low.bigEndian) { Hex.encode($0) }
        },
        Converter("FNV", [.text("target")], .int) { arguments in
            let target = arguments.value(0)
            return { frame in
                let value = try target.evaluate(frame)
                guard let hash = value.withText({ FNV1a.hash64($0) }) else {
                    _ = try value.requireText(arguments.what(0))
                    return .none
                }
                return .int(Int64(bitPattern: hash))
            }
        },
    ]

    private static func digest(
        _ name: String, _ body: @escaping @Sendable (UnsafeRawBufferPointer) -> String
    ) -> Converter {
        Converter(name, [.text("target")], .string) { arguments in
            let target = arguments.value(0)
            return { frame in
                let value = try target.evaluate(frame)
                guard let text = value.withText({ body($0) }) else {
                    _ = try value.requireText(arguments.what(0))
                    return .none
                }
                return .string(text)
            }
        }
    }
}

/// MurmurHash3 by Austin Appleby, `MurmurHash3_x86_32` and `MurmurHash3_x64_128` with seed 0.
enum Murmur3 {
    static func hash32(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        var hash: UInt32 = 0
        let blocks = bytes.count / 4
        for block in 0..<blocks {
            hash ^= mixed(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: block * 4, as: UInt32.self)))
            hash = rotated(hash, 13) &* 5 &+ 0xE654_6B64
        }
        var tail: UInt32 = 0
        for place in stride(from: bytes.count - 1, to: blocks * 4 - 1, by: -1) {
            tail = tail << 8 | UInt32(bytes[place])
        }
        if bytes.count % 4 > 0 { hash ^= mixed(tail) }
        hash ^= UInt32(truncatingIfNeeded: bytes.count)
        hash = (hash ^ hash >> 16) &* 0x85EB_CA6B
        hash = (hash ^ hash >> 13) &* 0xC2B2_AE35
        return hash ^ hash >> 16
    }

    private static func mixed(_ block: UInt32) -> UInt32 { rotated(block &* 0xCC9E_2D51, 15) &* 0x1B87_3593 }
    private static func rotated(_ value: UInt32, _ by: UInt32) -> UInt32 { value << by | value >> (32 - by) }
    private static func rotated(_ value: UInt64, _ by: UInt64) -> UInt64 { value << by | value >> (64 - by) }

    private static let first: UInt64 = 0x87C3_7B91_1142_53D5
    private static let second: UInt64 = 0x4CF5_AD43_2745_937F

    static func hash128(_ bytes: UnsafeRawBufferPointer) -> (UInt64, UInt64) {
        var low: UInt64 = 0
        var high: UInt64 = 0
        let blocks = bytes.count / 16
        for block in 0..<blocks {
            let a = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: block * 16, as: UInt64.self))
            let b = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: block * 16 + 8, as: UInt64.self))
            low ^= rotated(a &* first, 31) &* second
            low = (rotated(low, 27) &+ high) &* 5 &+ 0x52DC_E729
            high ^= rotated(b &* second, 33) &* first
            high = (rotated(high, 31) &+ low) &* 5 &+ 0x3849_5AB5
        }
        var a: UInt64 = 0
        var b: UInt64 = 0
        let rest = bytes.count - blocks * 16
        for place in stride(from: rest - 1, through: 0, by: -1) {
            let byte = UInt64(bytes[blocks * 16 + place])
            if place >= 8 { b = b << 8 | byte } else { a = a << 8 | byte }
        }
        if rest > 8 { high ^= rotated(b &* second, 33) &* first }
        if rest > 0 { low ^= rotated(a &* first, 31) &* second }
        low ^= UInt64(bytes.count)
        high ^= UInt64(bytes.count)
        low = low &+ high
        high = high &+ low
        low = finished(low)
        high = finished(high)
        low = low &+ high
        high = high &+ low
        return (low, high)
    }

    private static func finished(_ value: UInt64) -> UInt64 {
        var value = value
        value = (value ^ value >> 33) &* 0xFF51_AFD7_ED55_8CCD
        value = (value ^ value >> 33) &* 0xC4CE_B9FE_1A85_EC53
        return value ^ value >> 33
    }
}
