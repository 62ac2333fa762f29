package import Telemetry

/// The `Histogram` message, the same in both versions but for `start_timestamp`.
///
/// Source: prompb/types.proto and prompb/io/prometheus/write/v2/types.proto of Prometheus.
package enum RemoteWriteHistogram {
    /// Writes the fields of the message. `startTimestamp` (milliseconds) is written when not 0: 2.0 only.
    static func append(
        _ histogram: NativeHistogram, timestamp: Int64, startTimestamp: Int64 = 0, to writer: inout ProtobufWriter
    ) {
        let isFloat = histogram.isFloat
        if isFloat {
            writer.field(2, double: histogram.count)
        } else {
            writer.field(1, varint: whole(histogram.count))
        }
        writer.field(3, double: histogram.sum)
        if histogram.schema != 0 { writer.field(4, sint64: Int64(histogram.schema)) }
        if histogram.zeroThreshold != 0 { writer.field(5, double: histogram.zeroThreshold) }
        if isFloat {
            writer.field(7, double: histogram.zeroCount)
        } else {
            writer.field(6, varint: whole(histogram.zeroCount))
        }
        appendSpans(8, histogram.negativeSpans, to: &writer)
        switch histogram.buckets {
        case .deltas(let positive, let negative):
            appendDeltas(9, negative, to: &writer)
            appendSpans(11, histogram.positiveSpans, to: &writer)
            appendDeltas(12, positive, to: &writer)
        case .counts(let positive, let negative):
            appendDoubles(10, negative, to: &writer)
            appendSpans(11, histogram.positiveSpans, to: &writer)
            appendDoubles(13, positive, to: &writer)
        }
        if histogram.resetHint != .unknown { writer.field(14, varint: UInt64(histogram.resetHint.rawValue)) }
        writer.field(15, int64: timestamp)
        appendDoubles(16, histogram.customBounds, to: &writer)
        if startTimestamp != 0 { writer.field(17, int64: startTimestamp) }
    }

    /// Reads the fields of the message; refuses bucket lists that disagree with their spans.
    package static func read(
        _ message: ProtobufReader
    ) throws(ProtobufError) -> (histogram: NativeHistogram, timestamp: Int64, startTimestamp: Int64) {
        var reader = message
        var histogram = NativeHistogram()
        var timestamp: Int64 = 0
        var start: Int64 = 0
        var isFloat = false
        var positiveDeltas: [Int64] = []
        var negativeDeltas: [Int64] = []
        var positiveCounts: [Double] = []
        var negativeCounts: [Double] = []
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: histogram.count = Double(try reader.uint64(tag))
            case 2:
                histogram.count = try reader.double(tag)
                isFloat = true
            case 3: histogram.sum = try reader.double(tag)
            case 4: histogram.schema = try reader.sint32(tag)
            case 5: histogram.zeroThreshold = try reader.double(tag)
            case 6: histogram.zeroCount = Double(try reader.uint64(tag))
            case 7:
                histogram.zeroCount = try reader.double(tag)
                isFloat = true
            case 8: histogram.negativeSpans.append(try readSpan(reader.message(tag)))
            case 9:
                try reader.forEachVarint(tag) { (raw) throws(ProtobufError) in
                    negativeDeltas.append(ProtobufReader.unzigzag(raw))
                }
            case 10: try reader.forEachDouble(tag) { (value) throws(ProtobufError) in negativeCounts.append(value) }
            case 11: histogram.positiveSpans.append(try readSpan(reader.message(tag)))
            case 12:
                try reader.forEachVarint(tag) { (raw) throws(ProtobufError) in
                    positiveDeltas.append(ProtobufReader.unzigzag(raw))
                }
            case 13: try reader.forEachDouble(tag) { (value) throws(ProtobufError) in positiveCounts.append(value) }
            case 14:
                let hint = try reader.uint64(tag)
                histogram.resetHint = .init(rawValue: UInt8(clamping: hint)) ?? .unknown
            case 15: timestamp = try reader.int64(tag)
            case 16:
                try reader.forEachDouble(tag) { (value) throws(ProtobufError) in
                    histogram.customBounds.append(value)
                }
            case 17: start = try reader.int64(tag)
            default: try reader.skip(tag)
            }
        }
        isFloat = isFloat || !positiveCounts.isEmpty || !negativeCounts.isEmpty
        let positive = isFloat ? positiveCounts.count : positiveDeltas.count
        let negative = isFloat ? negativeCounts.count : negativeDeltas.count
        guard spanTotal(histogram.positiveSpans) == positive, spanTotal(histogram.negativeSpans) == negative else {
            throw .invalid("histogram: spans and buckets disagree")
        }
        histogram.buckets =
            isFloat
            ? .counts(positive: positiveCounts, negative: negativeCounts)
            : .deltas(positive: positiveDeltas, negative: negativeDeltas)
        return (histogram, timestamp, start)
    }

    private static func whole(_ count: Double) -> UInt64 { UInt64(exactly: count.rounded()) ?? 0 }

    private static func spanTotal(_ spans: [NativeHistogram.Span]) -> Int {
        spans.reduce(0) { $0 &+ Int($1.length) }
    }

    private static func readSpan(_ message: ProtobufReader) throws(ProtobufError) -> NativeHistogram.Span {
        var reader = message
        var span = NativeHistogram.Span(offset: 0, length: 0)
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: span.offset = try reader.sint32(tag)
            case 2: span.length = try reader.uint32(tag)
            default: try reader.skip(tag)
            }
        }
        return span
    }

    private static func appendSpans(_ field: Int, _ spans: [NativeHistogram.Span], to writer: inout ProtobufWriter) {
        for span in spans {
            let message = writer.beginMessage(field)
            if span.offset != 0 { writer.field(1, sint64: Int64(span.offset)) }
            if span.length != 0 { writer.field(2, varint: UInt64(span.length)) }
            writer.endMessage(message)
        }
    }

    private static func appendDeltas(_ field: Int, _ deltas: [Int64], to writer: inout ProtobufWriter) {
        if deltas.isEmpty { return }
        let packed = writer.beginMessage(field)
        for delta in deltas { writer.appendVarint(ProtobufWriter.zigzag(delta)) }
        writer.endMessage(packed)
    }

    private static func appendDoubles(_ field: Int, _ values: [Double], to writer: inout ProtobufWriter) {
        if values.isEmpty { return }
        let packed = writer.beginMessage(field)
        for value in values { writer.appendFixed64(value.bitPattern) }
        writer.endMessage(packed)
    }
}

extension MetricMetadata.Kind {
    /// The number of `MetricType`, the same in both versions.
    package var remoteWriteNumber: UInt64 {
        switch self {
        case .unknown: 0
        case .counter: 1
        case .gauge: 2
        case .histogram: 3
        case .gaugehistogram: 4
        case .summary: 5
        case .info: 6
        case .stateset: 7
        }
    }

    /// The kind of a `MetricType` number; unknown ones are `.unknown`.
    package init(remoteWriteNumber number: UInt64) {
        switch number {
        case 1: self = .counter
        case 2: self = .gauge
        case 3: self = .histogram
        case 4: self = .gaugehistogram
        case 5: self = .summary
        case 6: self = .info
        case 7: self = .stateset
        default: self = .unknown
        }
    }
}
