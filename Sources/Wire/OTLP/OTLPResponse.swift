package import Telemetry

/// The answer to an export request (`Export*ServiceResponse`): empty, or what of it was not taken.
package struct OTLPResponse: Sendable, Equatable {
    /// Items refused for good; `rejected_spans` and its like.
    package var rejectedItems: Int64
    package var errorMessage: String

    package init(rejectedItems: Int64 = 0, errorMessage: String = "") {
        self.rejectedItems = rejectedItems
        self.errorMessage = errorMessage
    }

    /// The answer that all was taken has no bytes at all.
    package var encoded: [UInt8] {
        guard rejectedItems != 0 || !errorMessage.isEmpty else { return [] }
        var writer = ProtobufWriter(capacity: 64)
        let partial = writer.beginMessage(1)
        if rejectedItems != 0 { writer.field(1, int64: rejectedItems) }
        if !errorMessage.isEmpty { writer.field(2, string: errorMessage) }
        writer.endMessage(partial)
        return writer.bytes
    }

    /// Reads the protobuf form; what cannot be read says nothing.
    package init(decoding bytes: [UInt8]) {
        self.init()
        bytes.withRawBytes { content in
            var reader = ProtobufReader(content)
            while let tag = try? reader.nextTag() {
                if tag.field == 1, tag.type == .lengthDelimited, let partial = try? reader.rawBytes() {
                    read(partial)
                } else if (try? reader.skip(tag)) == nil {
                    return
                }
            }
        }
    }

    private mutating func read(_ content: UnsafeRawBufferPointer) {
        var reader = ProtobufReader(content)
        while let tag = try? reader.nextTag() {
            switch (tag.field, tag.type) {
            case (1, .varint): rejectedItems = (try? reader.int64(tag)) ?? 0
            case (2, .lengthDelimited): errorMessage = (try? reader.string(tag)) ?? ""
            default:
                guard (try? reader.skip(tag)) != nil else { return }
            }
        }
    }

    /// The JSON form.
    package func json(_ kind: OTLPBatch.Kind) -> [UInt8] {
        encoded.withRawBytes { OTLPJSON.encode($0, of: Self.message(kind)) }
    }

    /// Reads the JSON form.
    package init(json text: [UInt8], _ kind: OTLPBatch.Kind) {
        let bytes = text.withRawBytes { try? OTLPJSON.decode($0, as: Self.message(kind)) }
        self.init(decoding: bytes ?? [])
    }

    private static func message(_ kind: OTLPBatch.Kind) -> OTLPJSONMessage {
        switch kind {
        case .traces: .partialSuccessResponse("rejectedSpans")
        case .metrics: .partialSuccessResponse("rejectedDataPoints")
        case .logs: .partialSuccessResponse("rejectedLogRecords")
        }
    }
}
