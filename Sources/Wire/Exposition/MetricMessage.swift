import Telemetry

extension FamilyKind {
    /// The field of `Metric` that holds the value of this type.
    var payloadField: Int {
        switch self {
        case .gauge: 2
        case .counter: 3
        case .summary: 4
        case .untyped: 5
        case .histogram, .gaugeHistogram: 7
        }
    }
}

/// `io.prometheus.client.LabelPair`.
enum LabelPair {
    /// Name and value, which are checked.
    static func read(
        _ bytes: UnsafeRawBufferPointer
    ) throws(ProtobufError) -> (name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) {
        var name = UnsafeRawBufferPointer(start: nil, count: 0)
        var value = name
        var reader = ProtobufReader(bytes)
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: name = try reader.bytes(tag)
            case 2: value = try reader.bytes(tag)
            default: try reader.skip(tag)
            }
        }
        guard !name.isEmpty, ByteText.isUTF8(name) else { throw .invalid("label name") }
        guard ByteText.isUTF8(value) else { throw .invalid("value of label \(ByteText.excerpt(name))") }
        return (name, value)
    }
}

/// `io.prometheus.client.Metric` without its labels. Slices point into the message.
struct MetricMessage: ~Copyable {
    struct Bucket {
        var bound = 0.0
        var count = 0.0
        var exemplar: UnsafeRawBufferPointer?
    }

    var labelCount = 0
    /// Milliseconds since 1970; 0 where there is none.
    var timestamp: Int64 = 0
    var value = 0.0
    var exemplar: UnsafeRawBufferPointer?
    /// Milliseconds since 1970.
    var start: Int64?

    var sampleCount: UInt64 = 0
    private var sampleCountFloat = 0.0
    var sampleSum = 0.0
    var quantiles: [(bound: Double, value: Double)] = []
    var buckets: [Bucket] = []
    var exemplars: [UnsafeRawBufferPointer] = []

    private var schema: Int32 = 0
    private var zeroThreshold = 0.0
    private var zeroCount: UInt64 = 0
    private var zeroCountFloat = 0.0
    private var positive = Side()
    private var negative = Side()

    private struct Side {
        var spans: [NativeHistogram.Span] = []
        var deltas: [Int64] = []
        var counts: [Double] = []
    }

    init() {}

    /// The number of observations of a classic histogram.
    var count: Double { sampleCountFloat != 0 ? sampleCountFloat : Double(sampleCount) }

    /// True when there is a native part. One without observations says so by an empty span.
    var isNative: Bool {
        !positive.spans.isEmpty || !negative.spans.isEmpty || zeroThreshold > 0 || zeroCount > 0
    }

    /// Reads the value message of a metric of this type.
    mutating func read(_ bytes: UnsafeRawBufferPointer, _ kind: FamilyKind) throws(ProtobufError) {
        var reader = ProtobufReader(bytes)
        while let tag = try reader.nextTag() {
            switch kind {
            case .gauge, .untyped:
                if tag.field == 1 { value = try reader.double(tag) } else { try reader.skip(tag) }
            case .counter:
                switch tag.field {
                case 1: value = try reader.double(tag)
                case 2: exemplar = try reader.bytes(tag)
                case 3: start = try Self.milliseconds(try reader.bytes(tag))
                default: try reader.skip(tag)
                }
            case .summary:
                switch tag.field {
                case 1: sampleCount = try reader.uint64(tag)
                case 2: sampleSum = try reader.double(tag)
                case 3: quantiles.append(try Self.quantile(try reader.bytes(tag)))
                case 4: start = try Self.milliseconds(try reader.bytes(tag))
                default: try reader.skip(tag)
                }
            case .histogram, .gaugeHistogram: try readHistogramField(tag, &reader)
            }
        }
    }

    private mutating func readHistogramField(_ tag: ProtobufTag, _ reader: inout ProtobufReader) throws(ProtobufError) {
        switch tag.field {
        case 1: sampleCount = try reader.uint64(tag)
        case 2: sampleSum = try reader.double(tag)
        case 3: buckets.append(try Self.bucket(try reader.bytes(tag)))
        case 4: sampleCountFloat = try reader.double(tag)
        case 5: schema = try reader.sint32(tag)
        case 6: zeroThreshold = try reader.double(tag)
        case 7: zeroCount = try reader.uint64(tag)
        case 8: zeroCountFloat = try reader.double(tag)
        case 9: negative.spans.append(try Self.span(try reader.bytes(tag)))
        case 10: try reader.forEachVarint(tag) { negative.deltas.append(ProtobufReader.unzigzag($0)) }
        case 11: try reader.forEachDouble(tag) { negative.counts.append($0) }
        case 12: positive.spans.append(try Self.span(try reader.bytes(tag)))
        case 13: try reader.forEachVarint(tag) { positive.deltas.append(ProtobufReader.unzigzag($0)) }
        case 14: try reader.forEachDouble(tag) { positive.counts.append($0) }
        case 15: start = try Self.milliseconds(try reader.bytes(tag))
        case 16: exemplars.append(try reader.bytes(tag))
        default: try reader.skip(tag)
        }
    }

    /// The native part without empty buckets; nil when spans and buckets disagree.
    func nativeHistogram(isGauge: Bool) -> NativeHistogram? {
        var histogram = NativeHistogram()
        histogram.schema = schema
        histogram.zeroThreshold = zeroThreshold
        histogram.sum = sampleSum
        histogram.positiveSpans = positive.spans
        histogram.negativeSpans = negative.spans
        if sampleCountFloat > 0 || zeroCountFloat > 0 {
            histogram.count = sampleCountFloat
            histogram.zeroCount = zeroCountFloat
            histogram.buckets = .counts(positive: positive.counts, negative: negative.counts)
        } else {
            histogram.count = Double(sampleCount)
            histogram.zeroCount = Double(zeroCount)
            histogram.buckets = .deltas(positive: positive.deltas, negative: negative.deltas)
        }
        if isGauge { histogram.resetHint = .gauge }
        return histogram.compact(keepingGapsOf: 0) ? histogram : nil
    }

    private static func quantile(
        _ bytes: UnsafeRawBufferPointer
    ) throws(ProtobufError) -> (bound: Double, value: Double) {
        var result = (bound: 0.0, value: 0.0)
        var reader = ProtobufReader(bytes)
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: result.bound = try reader.double(tag)
            case 2: result.value = try reader.double(tag)
            default: try reader.skip(tag)
            }
        }
        return result
    }

    private static func bucket(_ bytes: UnsafeRawBufferPointer) throws(ProtobufError) -> Bucket {
        var bucket = Bucket()
        var countFloat = 0.0
        var reader = ProtobufReader(bytes)
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: bucket.count = Double(try reader.uint64(tag))
            case 2: bucket.bound = try reader.double(tag)
            case 3: bucket.exemplar = try reader.bytes(tag)
            case 4: countFloat = try reader.double(tag)
            default: try reader.skip(tag)
            }
        }
        if countFloat != 0 { bucket.count = countFloat }
        return bucket
    }

    private static func span(_ bytes: UnsafeRawBufferPointer) throws(ProtobufError) -> NativeHistogram.Span {
        var span = NativeHistogram.Span(offset: 0, length: 0)
        var reader = ProtobufReader(bytes)
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: span.offset = try reader.sint32(tag)
            case 2: span.length = try reader.uint32(tag)
            default: try reader.skip(tag)
            }
        }
        return span
    }

    /// `google.protobuf.Timestamp` in milliseconds since 1970.
    static func milliseconds(_ bytes: UnsafeRawBufferPointer) throws(ProtobufError) -> Int64 {
        var seconds: Int64 = 0
        var nanoseconds: Int32 = 0
        var reader = ProtobufReader(bytes)
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: seconds = try reader.int64(tag)
            case 2: nanoseconds = try reader.int32(tag)
            default: try reader.skip(tag)
            }
        }
        let (scaled, overflow) = seconds.multipliedReportingOverflow(by: 1000)
        let (sum, carry) = scaled.addingReportingOverflow(Int64(nanoseconds / 1_000_000))
        if overflow || carry { throw .invalid("timestamp") }
        return sum
    }
}
