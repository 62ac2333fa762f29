package import Telemetry

/// Counts spans, data points and log records by stepping over fields. For bytes that were scanned; what is malformed
/// ends the count.
package enum OTLPCounter {
    /// Items in a whole export request.
    package static func items(inRequest request: UnsafeRawBufferPointer, of kind: OTLPBatch.Kind) -> Int {
        sum(request, 1) { items(inResourceGroup: $0, of: kind) }
    }

    static func items(inResourceGroup content: UnsafeRawBufferPointer, of kind: OTLPBatch.Kind) -> Int {
        sum(content, OTLPField.ResourceGroup.scopes) { items(inScopeGroup: $0, of: kind) }
    }

    static func items(inScopeGroup content: UnsafeRawBufferPointer, of kind: OTLPBatch.Kind) -> Int {
        sum(content, OTLPField.ScopeGroup.items) { items(inItem: $0, of: kind) }
    }

    /// One for a span or log record, the data points for a metric.
    static func items(inItem content: UnsafeRawBufferPointer, of kind: OTLPBatch.Kind) -> Int {
        guard kind == .metrics else { return 1 }
        var reader = ProtobufReader(content)
        var points = 0
        while let tag = try? reader.nextTag() {
            if tag.type == .lengthDelimited, let bytes = try? reader.rawBytes() {
                if OTLPMetricKind(rawValue: tag.field) != nil {
                    points = sum(bytes, OTLPField.MetricData.points) { _ in 1 }
                }
            } else if (try? reader.skip(tag)) == nil {
                break
            }
        }
        return points
    }

    @inline(__always)
    private static func sum(
        _ content: UnsafeRawBufferPointer, _ field: Int, _ count: (UnsafeRawBufferPointer) -> Int
    ) -> Int {
        var reader = ProtobufReader(content)
        var total = 0
        while let tag = try? reader.nextTag() {
            if tag.type == .lengthDelimited {
                guard let bytes = try? reader.rawBytes() else { break }
                if tag.field == field { total += count(bytes) }
            } else if (try? reader.skip(tag)) == nil {
                break
            }
        }
        return total
    }
}
