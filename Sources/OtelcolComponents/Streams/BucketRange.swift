import Wire

/// One side of an exponential histogram: the counts of neighbouring buckets.
struct BucketRange: Sendable, Equatable {
    /// Index of the first bucket.
    private(set) var offset = 0
    private(set) var counts: [UInt64] = []

    init() {}

    init(offset: Int, counts: [UInt64]) {
        self.offset = offset
        self.counts = counts
        trim()
    }

    /// Reads a side (`positive` or `negative` of ``OTLPField``) of a data point.
    init(_ point: OTLPExponentialHistogramPoint, _ side: Int) {
        var counts: [UInt64] = []
        var offset = 0
        point.buckets(side) { first, message in
            offset = Int(first)
            message.forEachVarint(OTLPField.Buckets.counts) { counts.append($0) }
        }
        self.init(offset: offset, counts: counts)
    }

    /// The index behind the last bucket.
    var end: Int { offset + counts.count }
    var isEmpty: Bool { counts.isEmpty }

    /// Removes empty buckets at both ends.
    private mutating func trim() {
        while counts.last == 0 { counts.removeLast() }
        let empty = counts.prefix { $0 == 0 }.count
        if empty > 0 {
            counts.removeFirst(empty)
            offset += empty
        }
        if counts.isEmpty { offset = 0 }
    }

    /// Joins buckets until the scale is lower by `steps`.
    mutating func coarsen(by steps: Int) {
        guard steps > 0, !counts.isEmpty else { return }
        let shift = min(steps, 62)
        let first = offset >> shift
        var joined = [UInt64](repeating: 0, count: ((end - 1) >> shift) - first + 1)
        for (place, count) in counts.enumerated() { joined[((offset + place) >> shift) - first] &+= count }
        (offset, counts) = (first, joined)
        trim()
    }

    /// Takes out the buckets up to and with index `last`, and returns what they held.
    mutating func remove(through last: Int) -> UInt64 {
        guard !counts.isEmpty, last >= offset else { return 0 }
        let count = min(last - offset + 1, counts.count)
        let sum = counts[..<count].reduce(0, &+)
        counts.removeFirst(count)
        offset += count
        trim()
        return sum
    }

    /// Adds counts of the same scale. The caller has seen to it that the range of both is small.
    mutating func add(_ other: BucketRange) {
        if other.isEmpty { return }
        if isEmpty {
            self = other
            return
        }
        let first = min(offset, other.offset)
        var sum = [UInt64](repeating: 0, count: max(end, other.end) - first)
        for (place, count) in counts.enumerated() { sum[offset - first + place] &+= count }
        for (place, count) in other.counts.enumerated() { sum[other.offset - first + place] &+= count }
        (offset, counts) = (first, sum)
    }

    /// Takes counts of the same scale away; false, with nothing changed, when a bucket would fall below zero.
    mutating func subtract(_ other: BucketRange) -> Bool {
        if other.isEmpty { return true }
        guard other.offset >= offset, other.end <= end else { return false }
        var rest = counts
        for (place, count) in other.counts.enumerated() {
            let index = other.offset - offset + place
            guard rest[index] >= count else { return false }
            rest[index] -= count
        }
        counts = rest
        trim()
        return true
    }

    /// Buckets that both ranges take together, at a scale lower by `steps`.
    static func width(_ left: BucketRange, _ right: BucketRange, coarsenedBy steps: Int) -> Int {
        if left.isEmpty, right.isEmpty { return 0 }
        let shift = min(steps, 62)
        let first = min(left.isEmpty ? .max : left.offset, right.isEmpty ? .max : right.offset) >> shift
        let last = (max(left.isEmpty ? .min : left.end, right.isEmpty ? .min : right.end) - 1) >> shift
        return last - first + 1
    }

    /// Replaces a side of a data point.
    func write(to message: OTLPMessage, _ side: Int) {
        guard !isEmpty else { return message.remove(side) }
        let buckets = OTLPMessage()
        buckets.clear(as: .other)
        buckets.set(OTLPField.Buckets.offset, varint: ProtobufWriter.zigzag(Int64(offset)))
        buckets.set(OTLPField.Buckets.counts, packedVarints: counts)
        buckets.encoded.withRawBytes { message.set(side, bytes: $0) }
    }
}
