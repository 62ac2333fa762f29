import CRE2

/// A pattern that is a plain sequence, matched without RE2: literals and runs of byte classes such as `level=(\w+) `,
/// with groups around parts of it.
///
/// Taken only where a greedy run never has to give bytes back, so that one walk from a place decides about that place.
/// The pattern begins with a literal or `^`, which says where to look. Semantics are RE2's; texts for which this walk
/// would not be linear are left to RE2.
struct SequencePattern: Sendable {
    enum Outcome {
        case matched, none
        /// To be asked again of RE2.
        case undecided
    }

    fileprivate enum Step: Sendable {
        /// Bytes of `literals`.
        case literal(offset: Int, length: Int)
        /// Bytes of a class: as many as there are, at least and at most so many.
        case run(mask: UInt8, minimum: Int, maximum: Int)
        case open(Int)
        case close(Int)
        case end
    }

    private var steps: [Step] = []
    private var literals: [UInt8] = []
    /// By byte, a bit for each class that has it.
    private var classes = [UInt8](repeating: 0, count: 256)
    private var classCount = 0
    private var isAnchored = false
    /// Whether a class has bytes that are not ASCII, so that the text must be valid for bytes to stand for characters.
    private(set) var needsValidText = false

    /// Takes `pattern` apart; nil when it is anything else than a sequence.
    init?(_ pattern: [UInt8], dotMatchesNewline: Bool) {
        var parser = SequenceParser(pattern, dotMatchesNewline: dotMatchesNewline)
        guard let items = parser.parse() else { return nil }
        isAnchored = parser.isAnchored
        for item in items {
            switch item {
            case .byte(let byte):
                if case .literal(let offset, let length) = steps.last {
                    steps[steps.count - 1] = .literal(offset: offset, length: length + 1)
                } else {
                    steps.append(.literal(offset: literals.count, length: 1))
                }
                literals.append(byte)
            case .run(let members, let minimum, let maximum):
                guard let mask = add(members) else { return nil }
                if members.hasHighBytes {
                    // A count would be one of characters, not of bytes.
                    guard maximum == .max, minimum <= 1 else { return nil }
                    needsValidText = true
                }
                steps.append(.run(mask: mask, minimum: minimum, maximum: maximum))
            case .open(let group): steps.append(.open(group))
            case .close(let group): steps.append(.close(group))
            case .end: steps.append(.end)
            }
        }
        guard Self.neverGivesBack(items) else { return nil }
        if !isAnchored {
            guard case .literal = firstConsuming else { return nil }
        }
    }

    private var firstConsuming: Step? { steps.first { !$0.isMark } }

    private mutating func add(_ members: ByteClass) -> UInt8? {
        guard classCount < 8 else { return nil }
        let mask: UInt8 = 1 << UInt8(classCount)
        for byte in 0..<256 where members.contains(UInt8(byte)) { classes[byte] |= mask }
        classCount += 1
        return mask
    }

    /// Whether what may follow each run of varying length begins with a byte the run would have taken.
    private static func neverGivesBack(_ items: [SequenceParser.Item]) -> Bool {
        for (index, item) in items.enumerated() {
            guard case .run(let members, let minimum, let maximum) = item, minimum != maximum else { continue }
            following: for next in items[(index + 1)...] {
                switch next {
                case .open, .close: continue
                case .end: break following
                case .byte(let byte):
                    if members.contains(byte) { return false }
                    break following
                case .run(let others, let minimum, _):
                    if members.intersects(others) { return false }
                    if minimum > 0 { break following }
                }
            }
        }
        return true
    }

    /// Finds the leftmost match at or after byte `start` and writes its ranges to `captures`.
    func firstMatch(
        in bytes: UnsafeRawBufferPointer, from start: Int, _ captures: UnsafeMutableBufferPointer<invar_re2_range>
    ) -> Outcome {
        guard start >= 0, start <= bytes.count, let base = bytes.baseAddress else { return .undecided }
        if isAnchored {
            guard start == 0 else { return .none }
            return match(bytes, at: 0, captures) == nil ? .none : .matched
        }
        guard case .literal(let offset, let length) = firstConsuming else { return .undecided }
        var budget = 4 * bytes.count + 1024
        var position = start
        return literals.withUnsafeBytes { needle in
            guard let wanted = needle.baseAddress else { return .undecided }
            while let found = invar_find(base + position, bytes.count - position, wanted + offset, length) {
                position = found - base
                let end = match(bytes, at: position, captures)
                guard end == nil else { return .matched }
                budget -= furthest(captures) - position
                if budget < 0 { return .undecided }
                position += 1
            }
            return .none
        }
    }

    /// Where the walk that failed stood: left in the range of the whole match.
    private func furthest(_ captures: UnsafeMutableBufferPointer<invar_re2_range>) -> Int { captures[0].end }

    /// The end of the match that begins at `start`, or nil. The range of the whole match says how far the walk came.
    private func match(
        _ bytes: UnsafeRawBufferPointer, at start: Int, _ captures: UnsafeMutableBufferPointer<invar_re2_range>
    ) -> Int? {
        var position = start
        defer {
            captures[0].begin = start
            captures[0].end = position
        }
        for step in steps {
            switch step {
            case .literal(let offset, let length):
                guard bytes.count - position >= length else { return nil }
                for index in 0..<length where bytes[position + index] != literals[offset + index] { return nil }
                position += length
            case .run(let mask, let minimum, let maximum):
                let limit = maximum < bytes.count - position ? position + maximum : bytes.count
                let begin = position
                classes.withUnsafeBufferPointer { classes in
                    while position < limit, classes[Int(bytes[position])] & mask != 0 { position &+= 1 }
                }
                if position - begin < minimum { return nil }
            case .open(let group): captures[group].begin = position
            case .close(let group): captures[group].end = position
            case .end: if position != bytes.count { return nil }
            }
        }
        return position
    }
}

extension SequencePattern.Step {
    fileprivate var isMark: Bool {
        switch self {
        case .open, .close: true
        default: false
        }
    }
}

/// A set of bytes; those over 0x7F are all in it or none of them.
struct ByteClass: Sendable, Equatable {
    private var low: UInt64 = 0
    private var high: UInt64 = 0
    private(set) var hasHighBytes = false

    func contains(_ byte: UInt8) -> Bool {
        if byte < 64 { return low >> UInt64(byte) & 1 == 1 }
        if byte < 128 { return high >> UInt64(byte - 64) & 1 == 1 }
        return hasHighBytes
    }

    func intersects(_ other: ByteClass) -> Bool {
        low & other.low != 0 || high & other.high != 0 || hasHighBytes && other.hasHighBytes
    }

    mutating func insert(_ range: ClosedRange<UInt8>) {
        for byte in range where byte < 128 {
            if byte < 64 { low |= 1 << UInt64(byte) } else { high |= 1 << UInt64(byte - 64) }
        }
    }

    mutating func formUnion(_ other: ByteClass) {
        low |= other.low
        high |= other.high
        hasHighBytes = hasHighBytes || other.hasHighBytes
    }

    var inverted: ByteClass {
        var result = ByteClass()
        result.low = ~low
        result.high = ~high
        result.hasHighBytes = !hasHighBytes
        return result
    }

    static let digits = ByteClass([0x30...0x39])
    static let word = ByteClass([0x30...0x39, 0x41...0x5A, 0x5F...0x5F, 0x61...0x7A])
    static let space = ByteClass([0x09...0x0A, 0x0C...0x0D, 0x20...0x20])
    static let newline = ByteClass([0x0A...0x0A])

    init(_ ranges: [ClosedRange<UInt8>] = []) { for range in ranges { insert(range) } }
}
