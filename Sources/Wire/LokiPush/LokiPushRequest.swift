import Compression
package import Telemetry

extension LokiPushDecoder {
    /// How the body of a push request is compressed, by its `Content-Encoding`.
    package enum Encoding: Sendable, Equatable {
        case none, snappy, gzip, deflate

        /// Reads a `Content-Encoding` header; throws `unsupported` for others than upstream takes.
        package init(header: String?) throws(LokiPushError) {
            switch header ?? "" {
            case "": self = .none
            case "snappy": self = .snappy
            case "gzip": self = .gzip
            case "deflate": self = .deflate
            default: throw LokiPushError(.unsupported, "Content-Encoding \"\(header ?? "")\" not supported")
            }
        }
    }

    /// Reads the body of a push request as the push endpoint does.
    ///
    /// `application/json` is JSON, anything else protobuf. Protobuf is always compressed with snappy (upstream expects it
    /// inside gzip and deflate too); under gzip and deflate a bare message is taken as well.
    package mutating func decode(
        _ body: UnsafeRawBufferPointer, contentType: String?, encoding: Encoding
    ) throws(LokiPushError) -> LokiPush {
        guard body.count <= limits.maximumBytes else {
            throw .tooLarge("received message larger than max (\(body.count) vs \(limits.maximumBytes))")
        }
        let isJSON = Self.isJSON(contentType)
        switch encoding {
        case .none, .snappy:
            return isJSON ? try decodeJSON(body) : try decodeSnappy(body)
        case .gzip, .deflate:
            let limit = limits.maximumBytes
            let plain = try Self.inflate(limit) { () throws(CompressionError) in
                encoding == .gzip
                    ? try Gzip.decompress(body, limit: limit) : try Deflate.decompress(body, .raw, limit: limit)
            }
            return try plain.withRawBytes { (bytes) throws(LokiPushError) in
                if isJSON { return try decodeJSON(bytes) }
                if let unpacked = try? Snappy.decompress(bytes, limit: limit) {
                    return try unpacked.withRawBytes { (bytes) throws(LokiPushError) in try decodeProtobuf(bytes) }
                }
                return try decodeProtobuf(bytes)
            }
        }
    }

    private mutating func decodeSnappy(_ body: UnsafeRawBufferPointer) throws(LokiPushError) -> LokiPush {
        var unpacked = scratch
        scratch = []
        unpacked.removeAll(keepingCapacity: true)
        defer { if unpacked.capacity <= 4 << 20 { scratch = unpacked } }
        let limit = limits.maximumBytes
        do throws(CompressionError) {
            try Snappy.decompress(body, limit: limit, into: &unpacked)
        } catch {
            throw Self.translate(error, limit)
        }
        return try unpacked.withRawBytes { (bytes) throws(LokiPushError) in try decodeProtobuf(bytes) }
    }

    private static func inflate(
        _ limit: Int, _ body: () throws(CompressionError) -> [UInt8]
    ) throws(LokiPushError) -> [UInt8] {
        do throws(CompressionError) { return try body() } catch { throw translate(error, limit) }
    }

    private static func translate(_ error: CompressionError, _ limit: Int) -> LokiPushError {
        if case .limitExceeded = error { return .tooLarge("decompressed message is larger than \(limit) bytes") }
        return .malformed("\(error)")
    }

    /// True for `application/json`, whatever its parameters.
    package static func isJSON(_ contentType: String?) -> Bool {
        guard let contentType else { return false }
        let type = contentType.split(separator: ";", maxSplits: 1, omittingEmptySubsequences: false).first ?? ""
        return type.filter { $0 != " " && $0 != "\t" }.lowercased() == "application/json"
    }

    /// Reads plain text: each line that is not empty is an entry of one stream. Carriage returns at the ends of lines
    /// are taken off. `timestamp` is nanoseconds since 1970.
    package func decodeLines(
        _ body: UnsafeRawBufferPointer, labels: LabelSet, timestamp: Int64
    ) throws(LokiPushError) -> LogBatch {
        guard body.count <= limits.maximumBytes else {
            throw .tooLarge("request of \(body.count) bytes is larger than \(limits.maximumBytes)")
        }
        var batch = LogBatch()
        let stream = batch.stream(for: labels)
        var start = 0
        while start < body.count {
            let end = body.firstIndex(of: 0x0A, from: start) ?? body.count
            var last = end
            while last > start, body[last - 1] == 0x0D { last -= 1 }
            if last > start {
                guard batch.entries.count < limits.maximumEntries else {
                    throw .tooLarge("more than \(limits.maximumEntries) entries")
                }
                let line = UnsafeRawBufferPointer(rebasing: body[start..<last])
                batch.append(line, stream: stream, timestamp: timestamp)
            }
            start = end + 1
        }
        return batch
    }
}
