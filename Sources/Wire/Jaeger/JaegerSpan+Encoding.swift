import TextFormats

extension JaegerTag {
    /// The number and name of the `ValueType`, and the number and name of the field that has the value.
    fileprivate var type: (number: UInt64, name: String) {
        switch value {
        case .bool: (1, "BOOL")
        case .int: (2, "INT64")
        case .double: (3, "FLOAT64")
        case .bytes: (4, "BINARY")
        case .empty, .string, .array, .map: (0, "STRING")
        }
    }
}

// MARK: Protobuf

extension JaegerSpan {
    /// The span as a `Span` of `model.proto`. Fields that are zero are left out.
    var protobuf: [UInt8] {
        var writer = ProtobufWriter(capacity: 1024)
        Self.write(traceID, 1, &writer)
        Self.write(spanID, 2, &writer)
        if !name.isEmpty { writer.field(3, string: name) }
        for reference in references {
            let mark = writer.beginMessage(4)
            Self.write(reference.traceID, 1, &writer)
            Self.write(reference.spanID, 2, &writer)
            if !reference.isChild { writer.field(3, varint: 1) }
            writer.endMessage(mark)
        }
        Self.write(nanoseconds: start, 6, &writer)
        Self.write(nanoseconds: duration, 7, &writer)
        Self.write(tags, 8, &writer)
        for log in logs {
            let mark = writer.beginMessage(9)
            Self.write(nanoseconds: log.time, 1, &writer)
            Self.write(log.fields, 2, &writer)
            writer.endMessage(mark)
        }
        if let process {
            let mark = writer.beginMessage(10)
            if !process.service.isEmpty { writer.field(1, string: process.service) }
            Self.write(process.tags, 2, &writer)
            writer.endMessage(mark)
        }
        return writer.bytes
    }

    private static func write(_ id: SpanDraft.TraceNumber, _ field: Int, _ writer: inout ProtobufWriter) {
        withUnsafeBytes(of: (id.high.bigEndian, id.low.bigEndian)) { writer.field(field, bytes: $0) }
    }

    private static func write(_ id: UInt64, _ field: Int, _ writer: inout ProtobufWriter) {
        withUnsafeBytes(of: id.bigEndian) { writer.field(field, bytes: $0) }
    }

    /// A `Timestamp` or `Duration`.
    private static func write(nanoseconds: UInt64, _ field: Int, _ writer: inout ProtobufWriter) {
        let (seconds, rest) = nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
        let mark = writer.beginMessage(field)
        if seconds != 0 { writer.field(1, varint: seconds) }
        if rest != 0 { writer.field(2, varint: rest) }
        writer.endMessage(mark)
    }

    private static func write(_ tags: [JaegerTag], _ field: Int, _ writer: inout ProtobufWriter) {
        for tag in tags {
            let mark = writer.beginMessage(field)
            writer.field(1, string: tag.key)
            if tag.type.number != 0 { writer.field(2, varint: tag.type.number) }
            switch tag.value {
            case .string(let bytes): bytes.withUnsafeBytes { writer.field(3, bytes: $0) }
            case .bool(let flag): writer.field(4, bool: flag)
            case .int(let number): writer.field(5, int64: number)
            case .double(let number): writer.field(6, double: number)
            case .bytes(let bytes): bytes.withUnsafeBytes { writer.field(7, bytes: $0) }
            case .empty, .array, .map: break
            }
            writer.endMessage(mark)
        }
    }
}

// MARK: JSON

extension JaegerSpan {
    /// The span by the mapping of protobuf to JSON: 64-bit integers are text, times are RFC 3339, zeros are left out.
    var json: [UInt8] {
        var object: JSONObject = ["traceId": Self.value(traceID)]
        if spanID != 0 { object["spanId"] = Self.value(spanID) }
        if !name.isEmpty { object["operationName"] = .string(name) }
        if !references.isEmpty { object["references"] = .array(references.map(Self.value)) }
        object["startTime"] = Self.time(start)
        object["duration"] = .string(Self.seconds(duration) + "s")
        if !tags.isEmpty { object["tags"] = .array(tags.map(Self.value)) }
        if !logs.isEmpty {
            object["logs"] = .array(
                logs.map { log in
                    var object: JSONObject = ["timestamp": Self.time(log.time)]
                    if !log.fields.isEmpty { object["fields"] = .array(log.fields.map(Self.value)) }
                    return .object(object)
                })
        }
        if let process {
            var made = JSONObject()
            if !process.service.isEmpty { made["serviceName"] = .string(process.service) }
            if !process.tags.isEmpty { made["tags"] = .array(process.tags.map(Self.value)) }
            object["process"] = .object(made)
        }
        var bytes: [UInt8] = []
        JSONWriter(escapesHTML: true).append(.object(object), to: &bytes)
        return bytes
    }

    private static func value(_ id: SpanDraft.TraceNumber) -> JSONValue {
        .string(withUnsafeBytes(of: (id.high.bigEndian, id.low.bigEndian)) { Base64.encode($0) })
    }

    private static func value(_ id: UInt64) -> JSONValue {
        .string(withUnsafeBytes(of: id.bigEndian) { Base64.encode($0) })
    }

    private static func value(_ reference: Reference) -> JSONValue {
        var object: JSONObject = ["traceId": value(reference.traceID)]
        if reference.spanID != 0 { object["spanId"] = value(reference.spanID) }
        if !reference.isChild { object["refType"] = .string("FOLLOWS_FROM") }
        return .object(object)
    }

    private static func value(_ tag: JaegerTag) -> JSONValue {
        var object = JSONObject()
        if !tag.key.isEmpty { object["key"] = .string(tag.key) }
        if tag.type.number != 0 { object["vType"] = .string(tag.type.name) }
        switch tag.value {
        case .string(let bytes):
            if !bytes.isEmpty { object["vStr"] = .string(String(decoding: bytes, as: UTF8.self)) }
        case .bool(let flag): if flag { object["vBool"] = .bool(true) }
        case .int(let number): if number != 0 { object["vInt64"] = .string(String(number)) }
        case .double(let number): if number != 0 { object["vFloat64"] = value(number) }
        case .bytes(let bytes): if !bytes.isEmpty { object["vBinary"] = .string(Base64.encode(bytes)) }
        case .empty, .array, .map: break
        }
        return .object(object)
    }

    /// What JSON has no number for is text.
    private static func value(_ number: Double) -> JSONValue {
        if number.isNaN { return .string("NaN") }
        if number.isInfinite { return .string(number > 0 ? "Infinity" : "-Infinity") }
        return .double(number)
    }

    private static func time(_ nanoseconds: UInt64) -> JSONValue {
        let (seconds, rest) = nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
        let text = GoTimeLayout("2006-01-02T15:04:05").format(GoTime(unixSeconds: Int64(seconds)))
        return .string("\(text)\(fraction(rest))Z")
    }

    private static func seconds(_ nanoseconds: UInt64) -> String {
        let (seconds, rest) = nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
        return "\(seconds)\(fraction(rest))"
    }

    /// Nothing, or a point and three, six or nine digits.
    private static func fraction(_ nanoseconds: UInt64) -> String {
        if nanoseconds == 0 { return "" }
        var digits = String(nanoseconds)
        digits = "." + String(repeating: "0", count: 9 - digits.utf8.count) + digits
        while digits.hasSuffix("000") { digits.removeLast(3) }
        return digits
    }
}
