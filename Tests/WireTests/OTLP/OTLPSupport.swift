import Telemetry
import Wire

/// Builds messages for tests, field by field.
struct Message {
    private var writer: [UInt8] = []

    var bytes: [UInt8] { writer }

    init(_ build: (inout Message) -> Void = { _ in }) { build(&self) }

    private mutating func varint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            writer.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        writer.append(UInt8(rest))
    }

    private mutating func tag(_ field: Int, _ type: UInt64) { varint(UInt64(field) << 3 | type) }

    mutating func bytes(_ field: Int, _ bytes: [UInt8]) {
        tag(field, 2)
        varint(UInt64(bytes.count))
        writer.append(contentsOf: bytes)
    }

    mutating func text(_ field: Int, _ text: String) { bytes(field, Array(text.utf8)) }

    mutating func number(_ field: Int, _ value: UInt64) {
        tag(field, 0)
        varint(value)
    }

    mutating func fixed64(_ field: Int, _ value: UInt64) {
        tag(field, 1)
        for shift in 0..<8 { writer.append(UInt8(truncatingIfNeeded: value >> (8 * UInt64(shift)))) }
    }

    mutating func double(_ field: Int, _ value: Double) { fixed64(field, value.bitPattern) }

    mutating func message(_ field: Int, _ build: (inout Message) -> Void) {
        bytes(field, Message(build).bytes)
    }

    /// A text attribute.
    mutating func attribute(_ field: Int, _ key: String, _ value: String) {
        message(field) { entry in
            entry.text(1, key)
            entry.message(2) { $0.text(1, value) }
        }
    }

    mutating func attribute(_ field: Int, _ key: String, int value: Int64) {
        message(field) { entry in
            entry.text(1, key)
            entry.message(2) { $0.number(3, UInt64(bitPattern: value)) }
        }
    }
}

enum Samples {
    static let traceID = (0..<16).map { UInt8($0 + 1) }
    static let spanID = (0..<8).map { UInt8($0 + 0xA0) }

    /// Groups of resource `service.name` = `service<r>` with one scope each and `items` spans in it.
    static func spans(resources: Int = 2, items: Int = 3) -> [UInt8] {
        groups(resources, items) { span, resource, index in
            span.bytes(1, traceID)
            span.bytes(2, spanID)
            span.text(5, "span \(resource).\(index)")
            span.number(6, 2)
            span.fixed64(7, 1_700_000_000_000_000_000)
            span.fixed64(8, 1_700_000_001_000_000_000)
            span.attribute(9, "http.method", "GET")
            span.attribute(9, "http.status_code", int: Int64(200 + index))
            span.message(11) { event in
                event.fixed64(1, 7)
                event.text(2, "exception")
                event.attribute(3, "level", "error")
            }
            span.message(15) { status in
                status.text(2, "bad")
                status.number(3, 2)
            }
            span.text(200, "unknown")
        }
    }

    static func logs(resources: Int = 2, items: Int = 3) -> [UInt8] {
        groups(resources, items) { record, resource, index in
            record.fixed64(1, 1_700_000_000_000_000_000)
            record.number(2, 9)
            record.text(3, "INFO")
            record.message(5) { $0.text(1, "line \(resource).\(index)") }
            record.attribute(6, "env", "test")
        }
    }

    /// Metrics: sums of two points each.
    static func metrics(resources: Int = 2, items: Int = 3) -> [UInt8] {
        groups(resources, items) { metric, resource, index in
            metric.text(1, "requests_\(index)")
            metric.text(3, "1")
            metric.message(7) { sum in
                for point in 0..<2 {
                    sum.message(1) { number in
                        number.attribute(7, "code", "\(point)")
                        number.fixed64(3, 1_700_000_000_000_000_000)
                        number.double(4, Double(point) + 0.5)
                    }
                }
                sum.number(2, 2)
                sum.number(3, 1)
            }
        }
    }

    private static func groups(
        _ resources: Int, _ items: Int, _ fill: (inout Message, Int, Int) -> Void
    ) -> [UInt8] {
        Message { request in
            for resource in 0..<resources {
                request.message(1) { group in
                    group.message(1) { $0.attribute(1, "service.name", "service\(resource)") }
                    group.message(2) { scope in
                        scope.message(1) { $0.text(1, "library") }
                        for index in 0..<items { scope.message(2) { fill(&$0, resource, index) } }
                        scope.text(3, "scope-schema")
                    }
                    group.text(3, "schema")
                }
            }
        }.bytes
    }
}

/// The batch as text, one line for each item, for comparisons.
func lines(_ batch: OTLPBatch) throws -> [String] {
    let walker = OTLPWalker()
    var lines: [String] = []
    try walker.walk(batch, to: .point) { level in
        let service = walker.resource.attributes.value(of: "service.name") ?? "-"
        switch (level, batch.kind) {
        case (.item, .traces): lines.append("\(service) \(text(walker.span.name))")
        case (.item, .logs): lines.append("\(service) \(walker.logRecord.body.string ?? "-")")
        case (.point, .metrics):
            let point = OTLPNumberPoint(walker.point)
            lines.append("\(service) \(text(walker.metric.name)) \(point.value?.double ?? -1)")
        default: break
        }
        return .keep
    }
    return lines
}

func text(_ bytes: UnsafeRawBufferPointer) -> String { String(decoding: bytes, as: UTF8.self) }

extension OTLPAttributes {
    func value(of key: String) -> String? { self[OTLPKey(key)]?.string }
}
