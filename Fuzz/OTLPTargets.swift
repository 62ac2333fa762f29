import Telemetry
import Wire

/// Export requests of OpenTelemetry, checked and walked.
enum OTLPTargets {
    static let all: [FuzzTarget] = [
        target("otlp-traces", .traces, span), target("otlp-metrics", .metrics, metric),
        target("otlp-logs", .logs, record),
        json("otlp-json-traces", .traces, request(span)), json("otlp-json-metrics", .metrics, request(metric)),
        json("otlp-json-logs", .logs, request(record)), others,
    ]

    /// Spans written as Jaeger and Zipkin have them must be read again.
    private static let others = FuzzTarget(
        name: "otlp-other-spans", seeds: [request(span), []], dictionary: ["service.name", "net.peer.ip", "error"]
    ) { input in
        let batch = try OTLPScanner.batch(input, as: .traces)
        var spans = 0
        try JaegerSpans.forEach(of: batch, .protobuf) { _, _ in spans += 1 }
        try JaegerSpans.forEach(of: batch, .json) { _, _ in spans += 1 }
        try require(spans == 2 * batch.itemCount, "\(batch.itemCount) spans, \(spans) written twice")
        let formats: [(ZipkinSpans.Written, ZipkinSpans.Encoding)] = [(.json, .jsonV2), (.protobuf, .protobufV2)]
        for (format, encoding) in formats {
            let written = try ZipkinSpans.encode(batch, as: format)
            // Names with bars are taken for events with attributes.
            if input.contains(UInt8(ascii: "|")) { continue }
            let read: OTLPBatch
            do {
                read = try written.bytes.withUnsafeBytes { try ZipkinSpans.traces($0, encoding, parsesTags: false) }
            } catch {
                throw Finding("what was written cannot be read: \(error)")
            }
            try require(read.itemCount == written.count, "\(written.count) spans written, \(read.itemCount) read")
        }
        return magnitude(spans)
    }

    /// Requests in JSON: what is read must come out the same after it was written and read again.
    private static func json(_ name: String, _ kind: OTLPBatch.Kind, _ request: [UInt8]) -> FuzzTarget {
        let seed = request.withUnsafeBytes { OTLPJSON.encode($0, of: kind) }
        let words = ["stringValue", "arrayValue", "kvlistValue", "bytesValue", "intValue", "null", "traceId"]
        return FuzzTarget(name: name, seeds: [seed, bytes("{}"), []], dictionary: words) { input in
            let read = try input.withUnsafeBytes { try OTLPJSON.decode($0, as: kind) }
            let batch = try OTLPScanner.batch(read, as: kind)
            let written = read.withUnsafeBytes { OTLPJSON.encode($0, of: kind) }
            let again: [UInt8]
            do { again = try written.withUnsafeBytes { try OTLPJSON.decode($0, as: kind) } } catch {
                throw Finding("what was written cannot be read: \(error)")
            }
            let items = again.withUnsafeBytes { OTLPCounter.items(inRequest: $0, of: kind) }
            try require(items == batch.itemCount, "\(batch.itemCount) items read, \(items) after writing")
            return magnitude(read.count) << 4 | magnitude(items)
        }
    }

    private static func field(_ number: Int, _ content: [UInt8]) -> [UInt8] {
        varint(number << 3 | 2) + varint(content.count) + content
    }

    private static func varint(_ value: Int) -> [UInt8] {
        var rest = value
        var made: [UInt8] = []
        while rest >= 0x80 {
            made.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        return made + [UInt8(truncatingIfNeeded: rest)]
    }

    private static func attribute(_ number: Int, _ key: String, _ value: [UInt8]) -> [UInt8] {
        field(number, field(1, bytes(key)) + field(2, value))
    }

    private static let text = field(1, bytes("value"))
    private static let list = field(5, field(1, text) + field(1, [0x18, 5]))
    private static let map = field(6, field(1, field(1, bytes("k")) + field(2, list)))
    private static let span =
        field(1, [UInt8](repeating: 1, count: 16)) + field(2, [UInt8](repeating: 2, count: 8)) + field(5, bytes("name"))
        + [0x39, 1, 0, 0, 0, 0, 0, 0, 0] + attribute(9, "a", text) + attribute(9, "m", map)
        + field(11, field(2, bytes("event")) + attribute(3, "l", list))
    private static let point = [0x19, 1, 0, 0, 0, 0, 0, 0, 0, 0x31, 5, 0, 0, 0, 0, 0, 0, 0] + attribute(7, "a", text)
    private static let metric = field(1, bytes("m")) + field(7, field(1, point) + field(1, point) + [0x10, 2, 0x18, 1])
    private static let record = [0x09, 1, 0, 0, 0, 0, 0, 0, 0] + field(5, map) + attribute(6, "env", text)

    /// An export request of one resource and one scope with an item twice.
    private static func request(_ item: [UInt8]) -> [UInt8] {
        let scopes = field(2, field(1, field(1, bytes("scope"))) + field(2, item) + field(2, item))
        return field(1, field(1, attribute(1, "service.name", text)) + scopes + field(3, bytes("schema")))
    }

    private static func target(
        _ name: String, _ kind: OTLPBatch.Kind, _ item: [UInt8]
    ) -> FuzzTarget {
        let request = request(item)
        return FuzzTarget(name: name, seeds: [request, request + request, []], dictionary: ["service.name"]) { input in
            let batch = try OTLPScanner.batch(input, as: kind)
            let counted = input.withUnsafeBytes { OTLPCounter.items(inRequest: $0, of: kind) }
            try require(counted == batch.itemCount, "\(batch.itemCount) items scanned, \(counted) counted")
            let walker = OTLPWalker()
            var levels = [0, 0, 0, 0]
            try walker.walk(batch, to: .point) { level in
                levels[level.rawValue] += 1
                return .keep
            }
            // Every other item goes, the others are changed: what is left must be in order again.
            var place = 0
            let edited = try walker.edit(batch, to: .item) { level in
                if level == .resource { walker.resource.attributes.set("added", to: "x") }
                guard level == .item else { return .keep }
                place += 1
                return place % 2 == 0 ? .drop : .keep
            }
            let again = try edited.chunks.map { chunk in
                do { return try OTLPScanner.batch(chunk.bytes, as: kind).itemCount } catch {
                    throw Finding("an edited batch cannot be read: \(error)")
                }
            }.reduce(0, +)
            try require(again == edited.itemCount, "\(edited.itemCount) items after an edit, \(again) are read")
            return levels.reduce(0) { $0 << 4 | magnitude($1) }
        }
    }
}
