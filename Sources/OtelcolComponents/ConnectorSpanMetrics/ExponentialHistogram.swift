import Glibc

/// A histogram of values that are not negative, with buckets between the powers of `2^(2^-scale)`.
///
/// It begins at the finest scale and halves its resolution whenever its values need more buckets than allowed, so that
/// there is no range to choose.
struct ExponentialHistogram: Sendable, Equatable {
    static let finestScale = 20
    private static let coarsestScale = -10

    private(set) var scale = finestScale
    private(set) var zeroCount: UInt64 = 0
    /// Index of the first of ``counts``.
    private(set) var offset = 0
    private(set) var counts: [UInt64] = []
    private(set) var count: UInt64 = 0
    private(set) var sum = 0.0
    private(set) var minimum = Double.infinity
    private(set) var maximum = -Double.infinity

    mutating func add(_ value: Double, maximumSize: Int) {
        guard value >= 0, value.isFinite else { return }
        count += 1
        sum += value
        minimum = min(minimum, value)
        maximum = max(maximum, value)
        if value == 0 {
            zeroCount += 1
            return
        }
        var index = Self.index(of: value, scale: scale)
        if counts.isEmpty {
            offset = index
            counts.append(1)
            return
        }
        while scale > Self.coarsestScale {
            let low = min(offset, index)
            let high = max(offset + counts.count - 1, index)
            if high - low < maximumSize { break }
            halve()
            index >>= 1
        }
        if index < offset {
            counts.insert(contentsOf: repeatElement(0, count: offset - index), at: 0)
            offset = index
        } else if index >= offset + counts.count {
            counts.append(contentsOf: repeatElement(0, count: index - offset - counts.count + 1))
        }
        counts[index - offset] += 1
    }

    /// Joins each two buckets.
    private mutating func halve() {
        let first = offset >> 1
        let last = (offset + counts.count - 1) >> 1
        var joined = [UInt64](repeating: 0, count: last - first + 1)
        for (place, count) in counts.enumerated() { joined[((offset + place) >> 1) - first] += count }
        (offset, counts) = (first, joined)
        scale -= 1
    }

    /// The bucket of `value`: the one whose upper bound is the first not below it.
    static func index(of value: Double, scale: Int) -> Int {
        let exponent = Int(value.exponent)
        let significand = value.significand
        if significand == 1 {
            // A power of two is an upper bound at every scale, which logarithms might miss.
            return scale > 0 ? (exponent << scale) - 1 : (exponent - 1) >> -scale
        }
        if scale <= 0 { return exponent >> -scale }
        let steps = Double(1 << scale)
        let inner = Int((log2(significand) * steps).rounded(.up)) - 1
        return (exponent << scale) + min(max(inner, 0), (1 << scale) - 1)
    }
}
