import TextFormats

extension ZipkinSpan {
    /// Reads a `ListOfSpans` of `zipkin.proto`.
    static func list(protobuf bytes: UnsafeRawBufferPointer) throws -> [ZipkinSpan] {
        var spans: [ZipkinSpan] = []
        var reader = ProtobufReader(bytes)
        while let tag = try reader.nextTag() {
            if tag.field == 1 {
                spans.append(try ZipkinSpan(try reader.message(tag)))
            } else {
                try reader.skip(tag)
            }
        }
        return spans
    }

    private init(_ message: ProtobufReader) throws {
        self.init()
        var reader = message
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: traceID = try Self.traceID(Hex.encode(try reader.bytes(tag)))
            case 2:
                let bytes = try reader.bytes(tag)
                parentID = bytes.isEmpty ? 0 : try Self.spanID(Hex.encode(bytes))
            case 3: id = try Self.spanID(Hex.encode(try reader.bytes(tag)))
            case 4:
                let kinds: [SpanDraft.Kind] = [.unspecified, .client, .server, .producer, .consumer]
                let number = try reader.uint64(tag)
                kind = number < 5 ? kinds[Int(number)] : .unspecified
            case 5: name = try reader.string(tag)
            case 6:
                let microseconds = try reader.fixed64(tag)
                time = microseconds > 0 ? microseconds : nil
            case 7: duration = try reader.uint64(tag)
            case 8: local = try Endpoint(try reader.message(tag))
            case 9: remote = try Endpoint(try reader.message(tag))
            case 10: annotations.append(try Self.annotation(try reader.message(tag)))
            case 11:
                let (key, value) = try Self.entry(try reader.message(tag))
                tags[key] = .string(value)
            default: try reader.skip(tag)
            }
        }
    }

    private static func annotation(_ message: ProtobufReader) throws -> Annotation {
        var reader = message
        var annotation = Annotation(time: 0, value: "")
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: annotation.time = try reader.fixed64(tag)
            case 2: annotation.value = try reader.string(tag)
            default: try reader.skip(tag)
            }
        }
        return annotation
    }

    private static func entry(_ message: ProtobufReader) throws -> (String, String) {
        var reader = message
        var entry = ("", "")
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: entry.0 = try reader.string(tag)
            case 2: entry.1 = try reader.string(tag)
            default: try reader.skip(tag)
            }
        }
        return entry
    }
}

extension ZipkinSpan.Endpoint {
    fileprivate init(_ message: ProtobufReader) throws {
        self.init()
        var reader = message
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: service = try reader.string(tag)
            case 2: ipv4 = Self.ipv4(Array(try reader.bytes(tag)))
            case 3: ipv6 = Self.ipv6(Array(try reader.bytes(tag)))
            case 4: port = Int64(try reader.int32(tag))
            default: try reader.skip(tag)
            }
        }
    }

    static func ipv4(_ bytes: [UInt8]) -> String {
        bytes.count == 4 ? bytes.map { "\($0)" }.joined(separator: ".") : ""
    }

    static func ipv6(_ bytes: [UInt8]) -> String { bytes.count == 16 ? IPv6Text.text(bytes) : "" }
}
