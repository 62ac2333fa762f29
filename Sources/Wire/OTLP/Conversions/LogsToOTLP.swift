package import Telemetry

/// Turns batches of Loki entries into OTLP log records.
///
/// As the collector's `pkg/translator/loki` does: labels become attributes and are named in `loki.attribute.labels`, so that
/// the way back finds them; a `filename` also becomes `log.file.path` and `log.file.name`. Structured metadata, which
/// upstream leaves out, becomes attributes that the hint does not name. The attributes of a stream are encoded once.
package enum LogsToOTLP {
    private static let attributesTag = UInt8(OTLPField.LogRecord.attributes << 3 | 2)

    /// One resource without attributes with all entries in their order.
    package static func convert(_ batch: LogBatch, observedNanoseconds: Int64) -> OTLPBatch {
        if batch.entries.isEmpty { return OTLPBatch(kind: .logs) }
        let streams = batch.streams.map(attributes)
        var extras: [[UInt8]] = []
        var total = 0
        for entry in batch.entries {
            var extra = 0
            if !entry.metadata.isEmpty {
                let encoded = metadata(entry.metadata, beside: batch.streams[Int(entry.stream)])
                extras.append(encoded)
                extra = encoded.count
            }
            let content = recordCount(entry, streams[Int(entry.stream)].count + extra)
            total += 1 + ProtobufWriter.varintSize(UInt64(content)) + content
        }
        let group = MetricsSource.fieldCount(total)
        let bytes = [UInt8](unsafeUninitializedCapacity: MetricsSource.fieldCount(group)) { buffer, initialized in
            guard let base = UnsafeMutableRawPointer(buffer.baseAddress) else { return }
            var cursor = WriteCursor(base)
            cursor.byte(0x0A)
            cursor.varint(UInt64(group))
            cursor.byte(0x12)
            cursor.varint(UInt64(total))
            var nextExtra = 0
            batch.arena.withRawBytes { arena in
                for entry in batch.entries {
                    let stream = streams[Int(entry.stream)]
                    var extra: [UInt8] = []
                    if !entry.metadata.isEmpty {
                        extra = extras[nextExtra]
                        nextExtra += 1
                    }
                    cursor.byte(0x12)
                    cursor.varint(UInt64(recordCount(entry, stream.count + extra.count)))
                    write(entry, arena, observedNanoseconds, &cursor)
                    stream.withRawBytes { cursor.bytes($0) }
                    extra.withRawBytes { cursor.bytes($0) }
                }
            }
            initialized = cursor.pointer - base
        }
        return OTLPBatch(kind: .logs, bytes: bytes, itemCount: batch.entries.count)
    }

    /// Bytes of a record: two times, the body and attributes.
    private static func recordCount(_ entry: LogEntry, _ attributes: Int) -> Int {
        18 + MetricsSource.fieldCount(MetricsSource.fieldCount(entry.lineLength)) + attributes
    }

    private static func write(
        _ entry: LogEntry, _ arena: UnsafeRawBufferPointer, _ observed: Int64, _ cursor: inout WriteCursor
    ) {
        cursor.byte(UInt8(OTLPField.LogRecord.timeUnixNano << 3 | 1))
        cursor.fixed64(UInt64(bitPattern: entry.timestamp))
        cursor.byte(UInt8(OTLPField.LogRecord.observedTimeUnixNano << 3 | 1))
        cursor.fixed64(UInt64(bitPattern: observed))
        cursor.byte(UInt8(OTLPField.LogRecord.body << 3 | 2))
        cursor.varint(UInt64(MetricsSource.fieldCount(entry.lineLength)))
        cursor.delimited(
            UInt8(OTLPField.AnyValue.string << 3 | 2),
            UnsafeRawBufferPointer(rebasing: arena[entry.lineOffset..<entry.lineOffset + entry.lineLength]))
    }

    /// The attributes of a stream, encoded.
    private static func attributes(_ labels: LabelSet) -> [UInt8] {
        if labels.isEmpty { return [] }
        var writer = ProtobufWriter(capacity: labels.encodedByteCount * 2)
        if let path = labels["filename"] {
            MetricsSource.attribute(attributesTag, "log.file.path", path, &writer)
            MetricsSource.attribute(attributesTag, "log.file.name", base(of: path), &writer)
        }
        let names = labels.pairs.map(\.name).joined(separator: ",")
        MetricsSource.attribute(attributesTag, LokiHint.attributeLabels.name, names, &writer)
        labels.forEach { name, value in MetricsSource.attribute(attributesTag, name, value, &writer) }
        return writer.bytes
    }

    /// The attributes of structured metadata; labels of the same name come first.
    private static func metadata(_ metadata: LabelSet, beside labels: LabelSet) -> [UInt8] {
        var writer = ProtobufWriter(capacity: metadata.encodedByteCount + 16)
        metadata.forEach { name, value in
            guard labels.withValue(of: name, { $0 == nil }) else { return }
            MetricsSource.attribute(attributesTag, name, value, &writer)
        }
        return writer.bytes
    }

    /// The last element of a path, as Go's `path.Base` gives it.
    static func base(of path: String) -> String {
        if path.isEmpty { return "." }
        return path.split(separator: "/").last.map(String.init) ?? "/"
    }
}

/// Attributes that tell how a log record becomes a Loki entry.
enum LokiHint {
    static let attributeLabels: OTLPKey = "loki.attribute.labels"
    static let resourceLabels: OTLPKey = "loki.resource.labels"
    static let tenant: OTLPKey = "loki.tenant"
    static let format: OTLPKey = "loki.format"

    static func isHint(_ key: UnsafeRawBufferPointer) -> Bool {
        OTLPBytes.equal(key, attributeLabels.bytes) || OTLPBytes.equal(key, resourceLabels.bytes)
            || OTLPBytes.equal(key, tenant.bytes) || OTLPBytes.equal(key, format.bytes)
    }
}
