extension JaegerBatch {
    /// Reads a `PostSpansRequest` of `collector.proto`, whose field 1 is a `Batch` of `model.proto`.
    package init(postSpansRequest bytes: UnsafeRawBufferPointer) throws(ProtobufError) {
        self.init()
        var reader = ProtobufReader(bytes)
        while let tag = try reader.nextTag() {
            if tag.field == 1 {
                try read(try reader.message(tag))
            } else {
                try reader.skip(tag)
            }
        }
    }

    private mutating func read(_ batch: ProtobufReader) throws(ProtobufError) {
        var reader = batch
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: spans.append(try JaegerSpan(try reader.message(tag)))
            case 2: process = try JaegerProcess(try reader.message(tag))
            default: try reader.skip(tag)
            }
        }
    }
}

extension JaegerProcess {
    fileprivate init(_ message: ProtobufReader) throws(ProtobufError) {
        self.init()
        var reader = message
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: service = try reader.string(tag)
            case 2: tags.append(try JaegerTag(try reader.message(tag)))
            default: try reader.skip(tag)
            }
        }
    }
}

extension JaegerTag {
    fileprivate init(_ message: ProtobufReader) throws(ProtobufError) {
        var reader = message
        var key = ""
        var type: UInt64 = 0
        var values: [OTLPAnyValue] = ["", false, 0, 0.0, .bytes([])]
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: key = try reader.string(tag)
            case 2: type = try reader.uint64(tag)
            case 3: values[0] = .string(Array(try reader.bytes(tag)))
            case 4: values[1] = .bool(try reader.bool(tag))
            case 5: values[2] = .int(try reader.int64(tag))
            case 6: values[3] = .double(try reader.double(tag))
            case 7: values[4] = .bytes(Array(try reader.bytes(tag)))
            default: try reader.skip(tag)
            }
        }
        self.init(key, type < 5 ? values[Int(type)] : .string("<Unknown Jaeger TagType \"\(type)\">"))
    }
}

extension JaegerSpan {
    fileprivate init(_ message: ProtobufReader) throws(ProtobufError) {
        var reader = message
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: traceID = try Self.traceID(try reader.bytes(tag))
            case 2: spanID = try Self.spanID(try reader.bytes(tag))
            case 3: name = try reader.string(tag)
            case 4: references.append(try Self.reference(try reader.message(tag)))
            case 6: start = try Self.nanoseconds(try reader.message(tag))
            case 7: duration = try Self.nanoseconds(try reader.message(tag))
            case 8: tags.append(try JaegerTag(try reader.message(tag)))
            case 9: logs.append(try Self.log(try reader.message(tag)))
            case 10: process = try JaegerProcess(try reader.message(tag))
            default: try reader.skip(tag)
            }
        }
    }

    /// At most 16 bytes, the most significant first.
    private static func traceID(_ bytes: UnsafeRawBufferPointer) throws(ProtobufError) -> SpanDraft.TraceNumber {
        guard bytes.count <= 16 else { throw .tooMany("bytes of a trace ID") }
        var id = SpanDraft.TraceNumber(low: 0)
        for byte in bytes {
            id.high = id.high << 8 | id.low >> 56
            id.low = id.low << 8 | UInt64(byte)
        }
        return id
    }

    private static func spanID(_ bytes: UnsafeRawBufferPointer) throws(ProtobufError) -> UInt64 {
        guard bytes.count <= 8 else { throw .tooMany("bytes of a span ID") }
        return bytes.reduce(0) { $0 << 8 | UInt64($1) }
    }

    private static func reference(_ message: ProtobufReader) throws(ProtobufError) -> Reference {
        var reader = message
        var reference = Reference(traceID: .init(low: 0), spanID: 0, isChild: true)
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: reference.traceID = try traceID(try reader.bytes(tag))
            case 2: reference.spanID = try spanID(try reader.bytes(tag))
            case 3: reference.isChild = try reader.uint64(tag) == 0
            default: try reader.skip(tag)
            }
        }
        return reference
    }

    /// A `Timestamp` or `Duration`: seconds and nanoseconds.
    private static func nanoseconds(_ message: ProtobufReader) throws(ProtobufError) -> UInt64 {
        var reader = message
        var (seconds, rest): (Int64, Int64) = (0, 0)
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: seconds = try reader.int64(tag)
            case 2: rest = Int64(try reader.int32(tag))
            default: try reader.skip(tag)
            }
        }
        return UInt64(clamping: seconds.multipliedReportingOverflow(by: 1_000_000_000).partialValue &+ rest)
    }

    private static func log(_ message: ProtobufReader) throws(ProtobufError) -> Log {
        var reader = message
        var log = Log(time: 0, fields: [])
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: log.time = try nanoseconds(try reader.message(tag))
            case 2: log.fields.append(try JaegerTag(try reader.message(tag)))
            default: try reader.skip(tag)
            }
        }
        return log
    }
}
