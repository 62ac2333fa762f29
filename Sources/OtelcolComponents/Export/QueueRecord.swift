import Essentials
import Storage
import Telemetry
import Wire

/// How a batch is kept in a queue on disk: the request as OTLP has it, behind the address and metadata of the client where
/// there is metadata. What an authenticator found out about the client is not kept: it may hold passwords.
enum QueueRecord {
    /// The tag of records that begin with a client.
    private static let clientTag: UInt32 = 1

    static func make(_ batch: OTLPBatch) -> SegmentRecord {
        let count = batch.itemCount
        guard let client = batch.client, !client.metadata.isEmpty else {
            return SegmentRecord(payload: batch.requestBytes, items: count)
        }
        var head: [UInt8] = []
        append(client.address, to: &head)
        append(client.metadata.count, to: &head)
        for field in client.metadata {
            append(field.name, to: &head)
            append(field.values.count, to: &head)
            for value in field.values { append(value, to: &head) }
        }
        var payload: [UInt8] = []
        append(head.count, to: &payload)
        payload += head
        payload += batch.requestBytes
        return SegmentRecord(payload: payload, items: count, tag: clientTag)
    }

    /// The batch of a record; nil when the record is none.
    static func batch(_ record: SegmentRecord, _ kind: OTLPBatch.Kind) -> OTLPBatch? {
        guard record.tag == clientTag else { return checked(record.payload, record, kind) }
        var reader = Reader(bytes: record.payload[...])
        guard let length = reader.number(), let head = reader.take(length) else { return nil }
        var batch = checked(Array(reader.bytes), record, kind)
        reader = Reader(bytes: head)
        guard let client = client(&reader) else { return nil }
        batch?.client = client
        return batch
    }

    private static func checked(
        _ payload: [UInt8], _ record: SegmentRecord, _ kind: OTLPBatch.Kind
    ) -> OTLPBatch? {
        guard let batch = try? OTLPScanner.batch(payload, as: kind), batch.itemCount == record.items else { return nil }
        return batch
    }

    private static func client(_ reader: inout Reader) -> OTLPClient? {
        guard let address = reader.text(), let count = reader.number() else { return nil }
        var fields: [OTLPClient.Field] = []
        for _ in 0..<count {
            guard let name = reader.text(), let values = reader.number() else { return nil }
            var texts: [String] = []
            for _ in 0..<values {
                guard let value = reader.text() else { return nil }
                texts.append(value)
            }
            fields.append(OTLPClient.Field(name: name, values: texts))
        }
        return OTLPClient(address: address, metadata: fields)
    }

    private static func append(_ number: Int, to bytes: inout [UInt8]) {
        let number = UInt32(clamping: number)
        for shift in 0..<4 as Range<UInt32> { bytes.append(UInt8(truncatingIfNeeded: number >> (shift * 8))) }
    }

    private static func append(_ text: String, to bytes: inout [UInt8]) {
        append(text.utf8.count, to: &bytes)
        bytes += text.utf8
    }

    private struct Reader {
        var bytes: ArraySlice<UInt8>

        mutating func take(_ count: Int) -> ArraySlice<UInt8>? {
            guard count <= bytes.count else { return nil }
            defer { bytes = bytes.dropFirst(count) }
            return bytes.prefix(count)
        }

        mutating func number() -> Int? {
            guard let word = take(4) else { return nil }
            return Int(word.reversed().reduce(0 as UInt32) { $0 << 8 | UInt32($1) })
        }

        mutating func text() -> String? {
            guard let length = number(), let bytes = take(length) else { return nil }
            return String(decoding: bytes, as: UTF8.self)
        }
    }
}
