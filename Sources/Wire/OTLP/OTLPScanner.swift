package import Telemetry

/// Checks an export request in one pass and counts its items: what a receiver does with bytes before they become a batch.
///
/// Accepts what the OpenTelemetry Collector's decoder accepts (collector/pdata, generated from opentelemetry-proto):
/// known fields must have their wire type, trace IDs must be 16 bytes or none, span IDs 8 bytes or none; unknown fields
/// are stepped over; text is not checked for UTF-8. In addition messages may nest at most ``maximumDepth`` deep.
package struct OTLPScanner {
    /// Nesting of messages that is accepted, values of attributes included.
    package static let maximumDepth = 100

    /// Requests are indexed with 32 bits in places; larger ones are refused.
    package static let maximumCount = Int(Int32.max)

    private let table: UnsafePointer<UInt8>
    private var items = 0

    private init() { table = Schema.shared.cells }

    /// The number of spans, data points or log records in `request`, once all of it is found in order.
    package static func scan(
        _ request: UnsafeRawBufferPointer, as kind: OTLPBatch.Kind
    ) throws(ProtobufError) -> Int {
        guard request.count <= maximumCount else { throw .tooMany("bytes") }
        guard let base = request.baseAddress else { return 0 }
        var scanner = OTLPScanner()
        let message: Schema.Message =
            switch kind {
            case .traces: .tracesRequest
            case .metrics: .metricsRequest
            case .logs: .logsRequest
            }
        try scanner.check(base, base + request.count, message.rawValue, 0)
        return scanner.items
    }

    /// A batch of `request` when it is in order.
    package static func batch(
        _ request: [UInt8], as kind: OTLPBatch.Kind, client: OTLPClient? = nil
    ) throws(ProtobufError) -> OTLPBatch {
        let count = try request.withRawBytes { bytes throws(ProtobufError) in try scan(bytes, as: kind) }
        return OTLPBatch(kind: kind, bytes: request, itemCount: count, client: client)
    }

    private mutating func check(
        _ start: UnsafeRawPointer, _ end: UnsafeRawPointer, _ message: UInt8, _ depth: Int
    ) throws(ProtobufError) {
        guard depth < Self.maximumDepth else { throw .tooMany("nested messages") }
        if message >= Schema.firstItem { items &+= 1 }
        let fields = table + Int(message) * Schema.fieldLimit
        var cursor = start
        while cursor < end {
            let tag = try varint(&cursor, end)
            guard tag >= 8, tag <= UInt64(UInt32.max) else { throw .malformedTag }
            let field = Int(tag >> 3)
            let cell = field < Schema.fieldLimit ? fields[field] : Schema.unknown
            let type = UInt8(truncatingIfNeeded: tag & 7)
            if cell != Schema.unknown {
                guard Schema.allows(cell, type) else { throw .unexpectedWireType(field: field) }
            }
            switch type {
            case 0: _ = try varint(&cursor, end)
            case 1:
                guard end - cursor >= 8 else { throw .truncated }
                cursor += 8
            case 2:
                let length = try varint(&cursor, end)
                guard length <= UInt64(end - cursor) else { throw .truncated }
                let next = cursor + Int(length)
                if cell < Schema.messageLimit {
                    try check(cursor, next, cell, depth &+ 1)
                } else if cell == Schema.traceID {
                    guard length == 16 || length == 0 else { throw .invalid("length of a trace ID") }
                } else if cell == Schema.spanID {
                    guard length == 8 || length == 0 else { throw .invalid("length of a span ID") }
                } else if cell == Schema.fixed64 {
                    guard length % 8 == 0 else { throw .truncated }
                } else if cell == Schema.varints {
                    var element = cursor
                    while element < next { _ = try varint(&element, next) }
                }
                cursor = next
            case 5:
                guard end - cursor >= 4 else { throw .truncated }
                cursor += 4
            case 3:
                // Groups: no message has them, but unknown fields may.
                var reader = ProtobufReader(UnsafeRawBufferPointer(start: cursor, count: end - cursor))
                try reader.skip(ProtobufTag(field: field, type: .startGroup))
                cursor += reader.position
            default: throw .malformedTag
            }
        }
    }

    @inline(__always)
    private func varint(
        _ cursor: inout UnsafeRawPointer, _ end: UnsafeRawPointer
    ) throws(ProtobufError) -> UInt64 {
        guard cursor < end else { throw .truncated }
        let first = cursor.load(as: UInt8.self)
        if first < 0x80 {
            cursor += 1
            return UInt64(first)
        }
        var reader = ProtobufReader(UnsafeRawBufferPointer(start: cursor, count: end - cursor))
        let value = try reader.varint()
        cursor += reader.position
        return value
    }
}

/// What the scanner knows of each message: one cell per field.
private final class Schema: Sendable {
    enum Message: UInt8 {
        case tracesRequest, metricsRequest, logsRequest
        case resourceSpans, resourceMetrics, resourceLogs
        case scopeSpans, scopeMetrics, scopeLogs
        case resource, scope, entityRef
        case keyValue, anyValue, arrayValue, keyValueList
        case event, link, status
        case metric, gauge, sum, histogram, exponentialHistogram, summary
        case buckets, quantile, exemplar
        // The rest are items.
        case span, logRecord, numberPoint, histogramPoint, exponentialHistogramPoint, summaryPoint
    }

    /// From here on messages are counted.
    static let firstItem = Message.span.rawValue
    static let fieldLimit = 17

    // A cell below this is the message in the field.
    static let messageLimit: UInt8 = 0x80
    static let varint: UInt8 = 0x80
    static let fixed64One: UInt8 = 0x81
    static let fixed32: UInt8 = 0x82
    static let bytes: UInt8 = 0x83
    static let traceID: UInt8 = 0x84
    static let spanID: UInt8 = 0x85
    /// Repeated, packed or not.
    static let fixed64: UInt8 = 0x86
    /// Repeated, packed or not.
    static let varints: UInt8 = 0x87
    static let unknown: UInt8 = 0xFF

    static let shared = Schema()

    /// `messages` rows of ``fieldLimit`` cells; never freed, as the schema lives as long as the program.
    nonisolated(unsafe) let cells: UnsafePointer<UInt8>

    @inline(__always)
    static func allows(_ cell: UInt8, _ type: UInt8) -> Bool {
        switch cell {
        case varint: type == 0
        case fixed64One: type == 1
        case fixed32: type == 5
        case fixed64: type == 1 || type == 2
        case varints: type == 0 || type == 2
        default: type == 2
        }
    }

    private init() {
        let rows = Int(Message.summaryPoint.rawValue) + 1
        let made = UnsafeMutablePointer<UInt8>.allocate(capacity: rows * Self.fieldLimit)
        made.initialize(repeating: Self.unknown, count: rows * Self.fieldLimit)
        func define(_ message: Message, _ fields: [(Int, UInt8)]) {
            for (field, cell) in fields { made[Int(message.rawValue) * Self.fieldLimit + field] = cell }
        }
        func nested(_ message: Message) -> UInt8 { message.rawValue }
        Self.defineGroups(define, nested)
        Self.defineTraces(define, nested)
        Self.defineMetrics(define, nested)
        Self.definePoints(define, nested)
        cells = UnsafePointer(made)
    }

    private typealias Define = (Message, [(Int, UInt8)]) -> Void
    private typealias Nested = (Message) -> UInt8

    private static func defineGroups(_ define: Define, _ nested: Nested) {
        let levels: [(Message, Message, Message, Message)] = [
            (.tracesRequest, .resourceSpans, .scopeSpans, .span),
            (.metricsRequest, .resourceMetrics, .scopeMetrics, .metric),
            (.logsRequest, .resourceLogs, .scopeLogs, .logRecord),
        ]
        for (request, resourceGroup, scopeGroup, item) in levels {
            define(request, [(1, nested(resourceGroup))])
            define(resourceGroup, [(1, nested(.resource)), (2, nested(scopeGroup)), (3, bytes)])
            define(scopeGroup, [(1, nested(.scope)), (2, nested(item)), (3, bytes)])
        }
        define(.resource, [(1, nested(.keyValue)), (2, varint), (3, nested(.entityRef))])
        define(.entityRef, [(1, bytes), (2, bytes), (3, bytes), (4, bytes)])
        define(.scope, [(1, bytes), (2, bytes), (3, nested(.keyValue)), (4, varint)])
        define(.keyValue, [(1, bytes), (2, nested(.anyValue))])
        define(
            .anyValue,
            [
                (1, bytes), (2, varint), (3, varint), (4, fixed64One), (5, nested(.arrayValue)),
                (6, nested(.keyValueList)), (7, bytes),
            ])
        define(.arrayValue, [(1, nested(.anyValue))])
        define(.keyValueList, [(1, nested(.keyValue))])
        define(
            .logRecord,
            [
                (1, fixed64One), (2, varint), (3, bytes), (5, nested(.anyValue)), (6, nested(.keyValue)),
                (7, varint), (8, fixed32), (9, traceID), (10, spanID), (11, fixed64One), (12, bytes),
            ])
    }

    private static func defineTraces(_ define: Define, _ nested: Nested) {
        define(
            .span,
            [
                (1, traceID), (2, spanID), (3, bytes), (4, spanID), (5, bytes), (6, varint), (7, fixed64One),
                (8, fixed64One), (9, nested(.keyValue)), (10, varint), (11, nested(.event)), (12, varint),
                (13, nested(.link)), (14, varint), (15, nested(.status)), (16, fixed32),
            ])
        define(.event, [(1, fixed64One), (2, bytes), (3, nested(.keyValue)), (4, varint)])
        define(
            .link, [(1, traceID), (2, spanID), (3, bytes), (4, nested(.keyValue)), (5, varint), (6, fixed32)])
        define(.status, [(2, bytes), (3, varint)])
    }

    private static func defineMetrics(_ define: Define, _ nested: Nested) {
        define(
            .metric,
            [
                (1, bytes), (2, bytes), (3, bytes), (5, nested(.gauge)), (7, nested(.sum)), (9, nested(.histogram)),
                (10, nested(.exponentialHistogram)), (11, nested(.summary)), (12, nested(.keyValue)),
            ])
        define(.gauge, [(1, nested(.numberPoint))])
        define(.sum, [(1, nested(.numberPoint)), (2, varint), (3, varint)])
        define(.histogram, [(1, nested(.histogramPoint)), (2, varint)])
        define(.exponentialHistogram, [(1, nested(.exponentialHistogramPoint)), (2, varint)])
        define(.summary, [(1, nested(.summaryPoint))])
    }

    private static func definePoints(_ define: Define, _ nested: Nested) {
        define(
            .numberPoint,
            [
                (2, fixed64One), (3, fixed64One), (4, fixed64One), (5, nested(.exemplar)), (6, fixed64One),
                (7, nested(.keyValue)), (8, varint),
            ])
        define(
            .histogramPoint,
            [
                (2, fixed64One), (3, fixed64One), (4, fixed64One), (5, fixed64One), (6, fixed64), (7, fixed64),
                (8, nested(.exemplar)), (9, nested(.keyValue)), (10, varint), (11, fixed64One), (12, fixed64One),
            ])
        define(
            .exponentialHistogramPoint,
            [
                (1, nested(.keyValue)), (2, fixed64One), (3, fixed64One), (4, fixed64One), (5, fixed64One),
                (6, varint), (7, fixed64One), (8, nested(.buckets)), (9, nested(.buckets)), (10, varint),
                (11, nested(.exemplar)), (12, fixed64One), (13, fixed64One), (14, fixed64One),
            ])
        define(.buckets, [(1, varint), (2, varints)])
        define(
            .summaryPoint,
            [
                (2, fixed64One), (3, fixed64One), (4, fixed64One), (5, fixed64One), (6, nested(.quantile)),
                (7, nested(.keyValue)), (8, varint),
            ])
        define(.quantile, [(1, fixed64One), (2, fixed64One)])
        define(
            .exemplar,
            [(2, fixed64One), (3, fixed64One), (4, spanID), (5, traceID), (6, fixed64One), (7, nested(.keyValue))])
    }
}
