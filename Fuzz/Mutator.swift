/// A reproducible source of randomness: SplitMix64.
struct FuzzRandom: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
    }

    /// A number below `bound`.
    mutating func below(_ bound: Int) -> Int { bound <= 1 ? 0 : Int(next() % UInt64(bound)) }
}

/// Makes new inputs of known ones, by byte, by token and by the structure of length-delimited messages.
struct Mutator {
    static let largestInput = 8 << 10
    private static let integers: [UInt64] = [
        0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 0x7FFF_FFFF_FFFF_FFFF,
        0x8000_0000_0000_0000, 0xFFFF_FFFF_FFFF_FFFF,
    ]

    let dictionary: [[UInt8]]

    /// One to six changes of a known input.
    func mutate(_ corpus: [[UInt8]], _ random: inout FuzzRandom) -> [UInt8] {
        var bytes = corpus[random.below(corpus.count)]
        for _ in 0...random.below(6) { change(&bytes, corpus, &random) }
        if bytes.count > Self.largestInput { bytes.removeLast(bytes.count - Self.largestInput) }
        return bytes
    }

    private func change(_ bytes: inout [UInt8], _ corpus: [[UInt8]], _ random: inout FuzzRandom) {
        switch random.below(14) {
        case 0: flip(&bytes, &random)
        case 1: overwrite(&bytes, &random)
        case 2:
            insert(Array((0...random.below(8)).map { _ in UInt8(truncatingIfNeeded: random.next()) }), &bytes, &random)
        case 3: remove(&bytes, &random)
        case 4: repeatPiece(&bytes, &random)
        case 5: splice(&bytes, corpus, &random)
        case 6: bytes.removeLast(random.below(bytes.count + 1) / (1 + random.below(8)))
        case 7: putVarint(&bytes, &random)
        case 8: swapPieces(&bytes, &random)
        case 9: replaceDigits(&bytes, &random)
        case 10: nest(&bytes, &random)
        default:
            if dictionary.isEmpty {
                flip(&bytes, &random)
            } else {
                insert(dictionary[random.below(dictionary.count)], &bytes, &random)
            }
        }
    }

    private func flip(_ bytes: inout [UInt8], _ random: inout FuzzRandom) {
        if bytes.isEmpty { return }
        bytes[random.below(bytes.count)] ^= 1 << UInt8(random.below(8))
    }

    /// A known difficult integer in place of what is there, in either byte order.
    private func overwrite(_ bytes: inout [UInt8], _ random: inout FuzzRandom) {
        if bytes.isEmpty { return }
        let value = Self.integers[random.below(Self.integers.count)]
        let width = min([1, 2, 4, 8][random.below(4)], bytes.count)
        let start = random.below(bytes.count - width + 1)
        let isLittle = random.below(2) == 0
        for index in 0..<width {
            let shift = UInt64(8 * (isLittle ? index : width - 1 - index))
            bytes[start + index] = UInt8(truncatingIfNeeded: value >> shift)
        }
    }

    private func insert(_ piece: [UInt8], _ bytes: inout [UInt8], _ random: inout FuzzRandom) {
        bytes.insert(contentsOf: piece, at: random.below(bytes.count + 1))
    }

    private func range(_ bytes: [UInt8], _ random: inout FuzzRandom) -> Range<Int> {
        let start = random.below(bytes.count + 1)
        let length = random.below(min(bytes.count - start, 1 << random.below(12)) + 1)
        return start..<start + length
    }

    private func remove(_ bytes: inout [UInt8], _ random: inout FuzzRandom) {
        bytes.removeSubrange(range(bytes, &random))
    }

    private func repeatPiece(_ bytes: inout [UInt8], _ random: inout FuzzRandom) {
        let piece = bytes[range(bytes, &random)]
        let times = 1 << random.below(8)
        guard piece.count * times < Self.largestInput else { return }
        let place = random.below(bytes.count + 1)
        bytes.insert(contentsOf: (0..<times).flatMap { _ in piece }, at: place)
    }

    private func splice(_ bytes: inout [UInt8], _ corpus: [[UInt8]], _ random: inout FuzzRandom) {
        let other = corpus[random.below(corpus.count)]
        insert(Array(other[range(other, &random)]), &bytes, &random)
    }

    private func putVarint(_ bytes: inout [UInt8], _ random: inout FuzzRandom) {
        var value = random.below(2) == 0 ? UInt64(random.below(300)) : Self.integers[random.below(Self.integers.count)]
        var piece: [UInt8] = []
        while value >= 0x80 {
            piece.append(UInt8(truncatingIfNeeded: value) | 0x80)
            value >>= 7
        }
        piece.append(UInt8(truncatingIfNeeded: value))
        let place = random.below(bytes.count + 1)
        if random.below(2) == 0, place < bytes.count { bytes.remove(at: place) }
        bytes.insert(contentsOf: piece, at: place)
    }

    private func swapPieces(_ bytes: inout [UInt8], _ random: inout FuzzRandom) {
        let piece = Array(bytes[range(bytes, &random)])
        if let place = (0...max(0, bytes.count - piece.count)).randomElement(using: &random),
            place + piece.count <= bytes.count
        {
            bytes.replaceSubrange(place..<place + piece.count, with: piece)
        }
    }

    /// A number in text becomes another, perhaps one no integer holds.
    private func replaceDigits(_ bytes: inout [UInt8], _ random: inout FuzzRandom) {
        let digits = bytes.indices.filter { (0x30...0x39).contains(bytes[$0]) }
        guard let start = digits.randomElement(using: &random) else { return }
        var end = start
        while end < bytes.count, (0x30...0x39).contains(bytes[end]) { end += 1 }
        let texts = [
            "0", "-1", "9223372036854775807", "9223372036854775808", "18446744073709551616", "1e400", "-1e-400", "NaN",
            "0x7fffffff", "1.5", "2147483648", "99999999999999999999999999", "00", "65536", "1000000000",
        ]
        bytes.replaceSubrange(start..<end, with: Array(texts[random.below(texts.count)].utf8))
    }

    /// Brackets around brackets.
    private func nest(_ bytes: inout [UInt8], _ random: inout FuzzRandom) {
        let pairs = [
            ("(", ")"), ("[", "]"), ("{", "}"), ("{\"a\":", "}"), ("- ", ""), ("{{if 1}}", "{{end}}"), ("-", ""),
        ]
        let (open, close) = pairs[random.below(pairs.count)]
        let depth = 1 << random.below(11)
        guard depth * (open.utf8.count + close.utf8.count) < Self.largestInput else { return }
        let place = random.below(bytes.count + 1)
        bytes.insert(contentsOf: (0..<depth).flatMap { _ in Array(close.utf8) }, at: place)
        bytes.insert(contentsOf: (0..<depth).flatMap { _ in Array(open.utf8) }, at: place)
    }
}
