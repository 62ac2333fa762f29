/// The XXH3 hashes of 64 and 128 bits with seed 0 and the secret that comes with the algorithm.
///
/// Source: "XXH3 algorithm" of the xxHash specification (github.com/Cyan4973/xxHash, doc/xxhash_spec.md, 0.2).
enum XXH3 {
    static func hash64(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        let count = bytes.count
        let length = UInt64(count)
        switch count {
        case 0: return firstAvalanche(key(56) ^ key(64))
        case 1...3: return firstAvalanche(UInt64(short(bytes)) ^ UInt64(key32(0) ^ key32(4)))
        case 4...8:
            let joined = UInt64(word32(bytes, count - 4)) &+ UInt64(word32(bytes, 0)) << 32
            var hash = joined ^ key(8) ^ key(16)
            hash ^= rotated(hash, 49) ^ rotated(hash, 24)
            hash = hash &* mix2
            hash ^= (hash >> 35) &+ length
            hash = hash &* mix2
            return hash ^ hash >> 28
        case 9...16:
            let low = word(bytes, 0) ^ key(24) ^ key(32)
            let high = word(bytes, count - 8) ^ key(40) ^ key(48)
            return avalanche(length &+ low.byteSwapped &+ high &+ folded(low, high))
        case 17...128:
            var sum = length &* prime1
            // From the middle to the ends, in pairs.
            for pair in stride(from: (count - 1) / 32, through: 0, by: -1) {
                sum = sum &+ mixed16(bytes, pair * 16, pair * 32)
                sum = sum &+ mixed16(bytes, count - 16 - pair * 16, pair * 32 + 16)
            }
            return avalanche(sum)
        case 129...240:
            var sum = length &* prime1
            for round in 0..<8 { sum = sum &+ mixed16(bytes, round * 16, round * 16) }
            sum = avalanche(sum)
            for round in 8..<(count / 16) { sum = sum &+ mixed16(bytes, round * 16, (round - 8) * 16 + 3) }
            return avalanche(sum &+ mixed16(bytes, count - 16, 119))
        default: return Lanes(bytes).merged(11, length &* prime1)
        }
    }

    /// The low and the high half.
    static func hash128(_ bytes: UnsafeRawBufferPointer) -> (low: UInt64, high: UInt64) {
        let count = bytes.count
        let length = UInt64(count)
        switch count {
        case 0: return (firstAvalanche(key(64) ^ key(72)), firstAvalanche(key(80) ^ key(88)))
        case 1...3:
            let low = short(bytes)
            let swapped = low.byteSwapped
            let high = swapped << 13 | swapped >> 19
            return (
                firstAvalanche(UInt64(low) ^ UInt64(key32(0) ^ key32(4))),
                firstAvalanche(UInt64(high) ^ UInt64(key32(8) ^ key32(12)))
            )
        case 4...8:
            let joined = UInt64(word32(bytes, 0)) &+ UInt64(word32(bytes, count - 4)) << 32
            var (high, low) = (joined ^ key(16) ^ key(24)).multipliedFullWidth(by: prime1 &+ length << 2)
            high = high &+ low << 1
            low ^= high >> 3
            low = (low ^ low >> 35) &* mix2
            return (low ^ low >> 28, avalanche(high))
        case 9...16:
            let start = word(bytes, 0)
            var end = word(bytes, count - 8)
            var (high, low) = (start ^ end ^ key(32) ^ key(40)).multipliedFullWidth(by: prime1)
            low = low &+ (length - 1) << 54
            end ^= key(48) ^ key(56)
            high = high &+ end &+ (end & 0xFFFF_FFFF) &* (prime32b - 1)
            low ^= high.byteSwapped
            let product = low.multipliedFullWidth(by: prime2)
            return (avalanche(product.low), avalanche(product.high &+ high &* prime2))
        case 17...128:
            var sum = (low: length &* prime1, high: UInt64(0))
            for pair in stride(from: (count - 1) / 32, through: 0, by: -1) {
                mix32(&sum, bytes, pair * 16, count - 16 - pair * 16, pair * 32)
            }
            return finished(sum, length)
        case 129...240:
            var sum = (low: length &* prime1, high: UInt64(0))
            for round in 0..<4 { mix32(&sum, bytes, round * 32, round * 32 + 16, round * 32) }
            sum = (avalanche(sum.low), avalanche(sum.high))
            for round in 4..<(count / 32) { mix32(&sum, bytes, round * 32, round * 32 + 16, (round - 4) * 32 + 3) }
            mix32(&sum, bytes, count - 16, count - 32, 103)
            return finished(sum, length)
        default:
            let lanes = Lanes(bytes)
            return (lanes.merged(11, length &* prime1), lanes.merged(117, ~(length &* prime2)))
        }
    }

    // MARK: Long input

    /// Eight sums over stripes of 64 bytes; for input of more than 240.
    private struct Lanes {
        private var sums = SIMD8<UInt64>(
            prime32c, prime1, prime2, prime3, prime4, prime32b, prime5, prime32a)

        init(_ bytes: UnsafeRawBufferPointer) {
            let last = bytes.count - 1
            for block in 0..<(last / 1024) {
                for stripe in 0..<16 { add(bytes, block * 1024 + stripe * 64, stripe * 8) }
                for lane in 0..<8 {
                    sums[lane] = (sums[lane] ^ sums[lane] >> 47 ^ key(128 + lane * 8)) &* prime32a
                }
            }
            let rest = last / 1024 * 1024
            for stripe in 0..<((last - rest) / 64) { add(bytes, rest + stripe * 64, stripe * 8) }
            add(bytes, bytes.count - 64, 121)
        }

        private mutating func add(_ bytes: UnsafeRawBufferPointer, _ offset: Int, _ secret: Int) {
            for lane in 0..<8 {
                let data = word(bytes, offset + lane * 8)
                let keyed = data ^ key(secret + lane * 8)
                sums[lane ^ 1] = sums[lane ^ 1] &+ data
                sums[lane] = sums[lane] &+ (keyed & 0xFFFF_FFFF) &* (keyed >> 32)
            }
        }

        func merged(_ secret: Int, _ start: UInt64) -> UInt64 {
            var sum = start
            for pair in 0..<4 {
                let place = secret + pair * 16
                sum = sum &+ folded(sums[pair * 2] ^ key(place), sums[pair * 2 + 1] ^ key(place + 8))
            }
            return avalanche(sum)
        }
    }

    // MARK: Pieces

    private static func finished(_ sum: (low: UInt64, high: UInt64), _ length: UInt64) -> (UInt64, UInt64) {
        let high = sum.low &* prime1 &+ sum.high &* prime4 &+ length &* prime2
        return (avalanche(sum.low &+ sum.high), 0 &- avalanche(high))
    }

    private static func mix32(
        _ sum: inout (low: UInt64, high: UInt64), _ bytes: UnsafeRawBufferPointer, _ first: Int, _ second: Int,
        _ secret: Int
    ) {
        sum.low = (sum.low &+ mixed16(bytes, first, secret)) ^ (word(bytes, second) &+ word(bytes, second + 8))
        sum.high = (sum.high &+ mixed16(bytes, second, secret + 16)) ^ (word(bytes, first) &+ word(bytes, first + 8))
    }

    private static func mixed16(_ bytes: UnsafeRawBufferPointer, _ offset: Int, _ secret: Int) -> UInt64 {
        folded(word(bytes, offset) ^ key(secret), word(bytes, offset + 8) ^ key(secret + 8))
    }

    /// One to three bytes and their number as one word.
    private static func short(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        let count = bytes.count
        return UInt32(bytes[0]) << 16 | UInt32(bytes[count / 2]) << 24 | UInt32(bytes[count - 1])
            | UInt32(count) << 8
    }

    private static func folded(_ left: UInt64, _ right: UInt64) -> UInt64 {
        let product = left.multipliedFullWidth(by: right)
        return product.low ^ product.high
    }

    private static func avalanche(_ value: UInt64) -> UInt64 {
        let value = (value ^ value >> 37) &* 0x1656_6791_9E37_79F9
        return value ^ value >> 32
    }

    private static func firstAvalanche(_ value: UInt64) -> UInt64 {
        var value = (value ^ value >> 33) &* prime2
        value = (value ^ value >> 29) &* prime3
        return value ^ value >> 32
    }

    private static func rotated(_ value: UInt64, _ by: UInt64) -> UInt64 { value << by | value >> (64 - by) }

    private static func word(_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> UInt64 {
        UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }

    private static func word32(_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> UInt32 {
        UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }

    /// Eight bytes of the secret from the offset.
    private static func key(_ offset: Int) -> UInt64 {
        let (index, shift) = (offset / 8, UInt64(offset % 8 * 8))
        if shift == 0 { return secret[index] }
        return secret[index] >> shift | secret[index + 1] << (64 - shift)
    }

    private static func key32(_ offset: Int) -> UInt32 { UInt32(truncatingIfNeeded: key(offset)) }

    // MARK: Numbers

    private static let prime32a: UInt64 = 0x9E37_79B1
    private static let prime32b: UInt64 = 0x85EB_CA77
    private static let prime32c: UInt64 = 0xC2B2_AE3D
    private static let prime1: UInt64 = 0x9E37_79B1_85EB_CA87
    private static let prime2: UInt64 = 0xC2B2_AE3D_27D4_EB4F
    private static let prime3: UInt64 = 0x1656_67B1_9E37_79F9
    private static let prime4: UInt64 = 0x85EB_CA77_C2B2_AE63
    private static let prime5: UInt64 = 0x27D4_EB2F_1656_67C5
    private static let mix2: UInt64 = 0x9FB2_1C65_1E98_DF25

    /// The 192 bytes of the secret, as little-endian words.
    private static let secret: [UInt64] = [
        0xBE4B_A423_396C_FEB8, 0x1CAD_21F7_2C81_017C, 0xDB97_9083_E96D_D4DE, 0x1F67_B3B7_A4A4_4072,
        0x78E5_C0CC_4EE6_79CB, 0x2172_FFCC_7DD0_5A82, 0x8E24_43F7_7446_08B8, 0x4C26_3A81_E690_35E0,
        0xCB00_C391_BB52_283C, 0xA32E_531B_8B65_D088, 0x4EF9_0DA2_9748_6471, 0xD8AC_DEA9_46EF_1938,
        0x3F34_9CE3_3F76_FAA8, 0x1D4F_0BC7_C7BB_DCF9, 0x3159_B4CD_4BE0_518A, 0x6473_78D9_C97E_9FC8,
        0xC3EB_D334_83AC_C5EA, 0xEB63_13FA_FFA0_81C5, 0x49DA_F0B7_51DD_0D17, 0x9E68_D429_2655_16D3,
        0xFCA1_477D_58BE_162B, 0xCE31_D07A_D1B8_F88F, 0x2804_1695_8F3A_CB45, 0x7E40_4BBB_CAFB_D7AF,
    ]
}
