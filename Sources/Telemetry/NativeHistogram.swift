/// A native (sparse) histogram as Prometheus stores it: exponential or custom buckets in spans.
///
/// Integer histograms keep bucket counts as deltas to the bucket before, float histograms as absolute counts.
package struct NativeHistogram: Sendable, Equatable {
    /// A run of buckets that follow each other.
    package struct Span: Sendable, Equatable {
        /// Gap to the end of the span before (the first: index of its first bucket).
        package var offset: Int32
        package var length: UInt32

        package init(offset: Int32, length: UInt32) {
            self.offset = offset
            self.length = length
        }
    }

    /// What is known about the counter behind the histogram.
    package enum ResetHint: UInt8, Sendable {
        case unknown = 0
        case yes = 1
        case no = 2
        case gauge = 3
    }

    package enum Buckets: Sendable, Equatable {
        case deltas(positive: [Int64], negative: [Int64])
        case counts(positive: [Double], negative: [Double])
    }

    /// -53 for custom buckets.
    package static let customBucketsSchema: Int32 = -53

    package var schema: Int32 = 0
    package var zeroThreshold: Double = 0
    /// Exact for integer histograms below 2^53.
    package var zeroCount: Double = 0
    package var count: Double = 0
    package var sum: Double = 0
    package var positiveSpans: [Span] = []
    package var negativeSpans: [Span] = []
    package var buckets = Buckets.deltas(positive: [], negative: [])
    /// Upper bounds of custom buckets, without +Inf.
    package var customBounds: [Double] = []
    package var resetHint = ResetHint.unknown

    package init() {}

    package var isFloat: Bool { if case .counts = buckets { true } else { false } }

    /// A histogram that ends its series.
    package static var staleMarker: NativeHistogram {
        var histogram = NativeHistogram()
        histogram.sum = Sample.staleMarker
        return histogram
    }

    package var bucketCount: Int {
        switch buckets {
        case .deltas(let positive, let negative): positive.count + negative.count
        case .counts(let positive, let negative): positive.count + negative.count
        }
    }
}
