import Telemetry

/// Reads Loki push requests: protobuf (`logproto.PushRequest`), JSON (Loki HTTP API, `POST /loki/api/v1/push`) and
/// plain lines (promtail's `/promtail/api/v1/raw`).
///
/// Never traps and never holds more than `limits` allow, whatever the bytes. An instance keeps scratch memory; one owner
/// at a time.
package struct LokiPushDecoder: Sendable {
    package var limits: LokiPushLimits
    var builder = LabelSetBuilder()
    var scratch: [UInt8] = []
    /// The structured metadata last read: the bytes of its fields and what they stood for. Neighbours are often equal.
    private var lastMetadata: (bytes: [UInt8], labels: LabelSet) = ([], .empty)

    package init(limits: LokiPushLimits = LokiPushLimits()) { self.limits = limits }

    /// Reads an uncompressed `PushRequest`.
    package mutating func decodeProtobuf(_ bytes: UnsafeRawBufferPointer) throws(LokiPushError) -> LokiPush {
        guard bytes.count <= limits.maximumBytes else {
            throw .tooLarge("request of \(bytes.count) bytes is larger than \(limits.maximumBytes)")
        }
        var push = LokiPush()
        push.batch.arena.reserveCapacity(bytes.count)
        do {
            var reader = ProtobufReader(bytes)
            while let tag = try reader.nextTag() {
                if tag.field == 1 {
                    try decodeStream(try reader.bytes(tag), into: &push)
                } else {
                    try reader.skip(tag)
                }
            }
        } catch let error as LokiPushError {
            throw error
        } catch {
            throw .malformed("\(error)")
        }
        return push
    }

    private mutating func decodeStream(_ bytes: UnsafeRawBufferPointer, into push: inout LokiPush) throws {
        // The labels may come after entries, so they are looked for first.
        var labels = UnsafeRawBufferPointer(start: nil, count: 0)
        var entries = 0
        var fields = ProtobufReader(bytes)
        while let tag = try fields.nextTag() {
            switch tag.field {
            case 1: labels = try fields.bytes(tag)
            case 2:
                try fields.skip(tag)
                entries += 1
            default: try fields.skip(tag)
            }
        }
        guard let stream = try beginStream(labels, entries: entries, in: &push) else { return }
        fields = ProtobufReader(bytes)
        while let tag = try fields.nextTag() {
            if tag.field == 2 {
                try decodeEntry(try fields.bytes(tag), stream: stream, into: &push.batch)
            } else {
                try fields.skip(tag)
            }
        }
    }

    /// Adds the stream whose labels are `text`, or notes in `push` why there is none and returns nil.
    mutating func beginStream(
        _ text: UnsafeRawBufferPointer, entries: Int, in push: inout LokiPush
    ) throws(LokiPushError) -> Int32? {
        guard push.batch.streams.count < limits.maximumStreams else {
            throw .tooLarge("more than \(limits.maximumStreams) streams")
        }
        guard push.batch.entries.count + entries <= limits.maximumEntries else {
            throw .tooLarge("more than \(limits.maximumEntries) entries")
        }
        builder.reset()
        do throws(LokiPushError) {
            try LokiLabelText.parse(text, into: &builder, maximumLabels: limits.maximumLabels)
        } catch {
            guard error.kind == .malformed else { throw error }
            push.streamError = error
            push.skippedEntries += entries
            return nil
        }
        push.batch.streams.append(builder.finish())
        return Int32(push.batch.streams.count - 1)
    }

    private mutating func decodeEntry(
        _ bytes: UnsafeRawBufferPointer, stream: Int32, into batch: inout LogBatch
    ) throws {
        var timestamp: Int64 = 0
        var line = UnsafeRawBufferPointer(start: nil, count: 0)
        var pairs = 0
        var start = 0
        var end = 0
        var reader = ProtobufReader(bytes)
        while true {
            let position = reader.position
            guard let tag = try reader.nextTag() else { break }
            switch tag.field {
            case 1: timestamp = try Self.timestamp(try reader.message(tag))
            case 2: line = try reader.bytes(tag)
            case 3:
                if pairs == 0 { start = position }
                try reader.skip(tag)
                pairs += 1
                end = reader.position
            default: try reader.skip(tag)
            }
        }
        var metadata = LabelSet.empty
        if pairs > 0 {
            guard pairs <= limits.maximumLabels else {
                throw LokiPushError.tooLarge("more than \(limits.maximumLabels) pairs of structured metadata")
            }
            metadata = try decodeMetadata(UnsafeRawBufferPointer(rebasing: bytes[start..<end]))
        }
        batch.append(line, stream: stream, timestamp: timestamp, metadata: metadata)
    }

    /// Reads the fields numbered 3 of `fields`.
    private mutating func decodeMetadata(_ fields: UnsafeRawBufferPointer) throws -> LabelSet {
        if lastMetadata.bytes.count == fields.count, lastMetadata.bytes.elementsEqual(fields) {
            return lastMetadata.labels
        }
        builder.reset()
        var reader = ProtobufReader(fields)
        while let tag = try reader.nextTag() {
            guard tag.field == 3 else {
                try reader.skip(tag)
                continue
            }
            var pair = try reader.message(tag)
            var name = UnsafeRawBufferPointer(start: nil, count: 0)
            var value = UnsafeRawBufferPointer(start: nil, count: 0)
            while let tag = try pair.nextTag() {
                switch tag.field {
                case 1: name = try pair.bytes(tag)
                case 2: value = try pair.bytes(tag)
                default: try pair.skip(tag)
                }
            }
            builder.set(name, to: value)
        }
        let labels = builder.finish()
        lastMetadata.bytes.removeAll(keepingCapacity: true)
        if fields.count <= 4096 {
            lastMetadata.bytes.append(contentsOf: fields)
            lastMetadata.labels = labels
        }
        return labels
    }

    /// Nanoseconds since 1970 of a `google.protobuf.Timestamp`, held within what 64 bits can say.
    private static func timestamp(_ message: consuming ProtobufReader) throws -> Int64 {
        var reader = message
        var seconds: Int64 = 0
        var nanoseconds: Int32 = 0
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: seconds = try reader.int64(tag)
            case 2: nanoseconds = try reader.int32(tag)
            default: try reader.skip(tag)
            }
        }
        guard nanoseconds >= 0, nanoseconds < 1_000_000_000 else {
            throw LokiPushError.malformed("timestamp with \(nanoseconds) nanoseconds")
        }
        let (scaled, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        let (sum, carry) = scaled.addingReportingOverflow(Int64(nanoseconds))
        if overflow || carry { return seconds < 0 ? .min : .max }
        return sum
    }
}
