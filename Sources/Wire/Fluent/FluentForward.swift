import Compression
package import Telemetry

/// A message of the Forward protocol of Fluentd and Fluent Bit.
///
/// fluent/fluentd wiki, "Forward Protocol Specification v1": the modes Message, Forward, PackedForward and
/// CompressedPackedForward, told apart by what follows the tag.
package struct FluentForward: Sendable {
    /// Why bytes are no message.
    package enum Failure: Error, Sendable, Equatable, CustomStringConvertible {
        case messagePack(MessagePackError)
        case malformed(String)
        /// Events unpack to more than is taken.
        case tooLarge

        package var description: String {
            switch self {
            case .messagePack(let error): "\(error)"
            case .malformed(let reason): reason
            case .tooLarge: "the events unpack to more than is taken"
            }
        }
    }

    package let logs: OTLPBatch
    /// What the client wants to hear back when its events were taken.
    package let chunk: String?

    /// Reads a message; `limit` is the most bytes that packed events may unpack to.
    package init(_ message: MessagePackValue, limit: Int) throws(Failure) {
        guard case .array(let parts) = message, parts.count >= 2, parts.count <= 4 else {
            throw .malformed("a message is an array of two to four elements")
        }
        guard let tag = parts[0].string else { throw .malformed("the tag is not text") }
        var writer = LogWriter(tag: tag)
        let options: MessagePackValue?
        switch parts[1] {
        case .array(let entries):
            options = parts.count > 2 ? parts[2] : nil
            for entry in entries { try writer.append(entry) }
        case .string(let packed), .binary(let packed):
            options = parts.count > 2 ? parts[2] : nil
            var bytes = packed
            if Self.option("compressed", options) == "gzip" { bytes = try Self.unpack(packed, limit) }
            try writer.append(packed: bytes)
        default:
            guard parts.count >= 3 else { throw .malformed("a message without a record") }
            options = parts.count > 3 ? parts[3] : nil
            try writer.append(time: parts[1], record: parts[2])
        }
        chunk = Self.option("chunk", options)
        logs = writer.finish()
    }

    /// Whether this is a heartbeat, which asks for nothing.
    package static func isHeartbeat(_ message: MessagePackValue) -> Bool { message == .null }

    private static func option(_ name: String, _ options: MessagePackValue?) -> String? {
        guard case .map(let entries)? = options else { return nil }
        return entries.last { $0.key.string == name }?.value.string
    }

    /// Several members of gzip may follow one another.
    private static func unpack(_ packed: [UInt8], _ limit: Int) throws(Failure) -> [UInt8] {
        do throws(CompressionError) {
            return try Gzip.decompress(packed, limit: limit)
        } catch .limitExceeded {
            throw .tooLarge
        } catch {
            throw .malformed("events that are not gzip: \(error)")
        }
    }

    /// The answer to a message with a chunk: the map of `ack` to it.
    package static func acknowledgement(of chunk: String) -> [UInt8] {
        var bytes: [UInt8] = [0x81, 0xA3] + Array("ack".utf8)
        let text = Array(chunk.utf8)
        if text.count < 32 {
            bytes.append(0xA0 | UInt8(text.count))
        } else if text.count < 256 {
            bytes += [0xD9, UInt8(text.count)]
        } else if text.count < 65536 {
            bytes += [0xDA, UInt8(text.count >> 8), UInt8(text.count & 0xFF)]
        } else {
            let count = UInt32(text.count)
            bytes += [0xDB] + (0..<4).map { UInt8(truncatingIfNeeded: count >> (24 - 8 * $0)) }
        }
        return bytes + text
    }
}

/// Makes log records of events.
private struct LogWriter: ~Copyable {
    private static let tagKey = Array("fluent.tag".utf8)

    private let tag: OTLPAnyValue
    private var assembler = OTLPAssembler(kind: .logs)
    private var writer = ProtobufWriter(capacity: 1024)

    init(tag: String) { self.tag = .string(tag) }

    mutating func finish() -> OTLPBatch { assembler.finish() }

    /// An entry: an array of a time and a record.
    mutating func append(_ entry: MessagePackValue) throws(FluentForward.Failure) {
        guard case .array(let parts) = entry, parts.count == 2 else {
            throw .malformed("an entry is an array of a time and a record")
        }
        try append(time: parts[0], record: parts[1])
    }

    /// Entries one behind the other.
    mutating func append(packed bytes: [UInt8]) throws(FluentForward.Failure) {
        var failure: FluentForward.Failure?
        bytes.withRawBytes { bytes in
            var reader = MessagePackReader(bytes)
            while !reader.isAtEnd, failure == nil {
                do throws(MessagePackError) {
                    let entry = try reader.value()
                    do throws(FluentForward.Failure) { try append(entry) } catch { failure = error }
                } catch {
                    failure = .messagePack(error)
                }
            }
        }
        if let failure { throw failure }
    }

    mutating func append(time: MessagePackValue, record: MessagePackValue) throws(FluentForward.Failure) {
        // Fluent Bit puts metadata beside the time.
        var stamp = time
        if case .array(let parts) = time, let first = parts.first { stamp = first }
        guard let nanoseconds = Self.nanoseconds(stamp) else {
            throw .malformed("an event has no time that can be read")
        }
        guard case .map(let fields) = record else { throw .malformed("a record is not a map") }
        writer.removeAll()
        writer.field(OTLPField.LogRecord.timeUnixNano, fixed64: nanoseconds)
        var attributes = AttributeTable()
        for field in fields {
            guard let key = field.key.string else { throw .malformed("the name of a field is not text") }
            let value = OTLPAnyValue(field.value)
            if key == "message" || key == "log" {
                let mark = writer.beginMessage(OTLPField.LogRecord.body)
                value.encode(into: &writer)
                writer.endMessage(mark)
            } else {
                attributes[key] = value
            }
        }
        attributes["fluent.tag"] = tag
        attributes.map.encode(field: OTLPField.LogRecord.attributes, into: &writer)
        writer.withBytes { assembler.append(item: $0) }
    }

    /// Seconds, or the extension type 0 of seconds and nanoseconds.
    private static func nanoseconds(_ time: MessagePackValue) -> UInt64? {
        switch time {
        case .int(let seconds):
            return UInt64(clamping: seconds.multipliedReportingOverflow(by: 1_000_000_000).partialValue)
        case .double(let seconds): return seconds >= 0 && seconds < 1.8e10 ? UInt64(seconds * 1e9) : nil
        case .extended(type: 0, let bytes) where bytes.count == 8:
            let both = bytes.reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            return (both >> 32) * 1_000_000_000 + (both & 0xFFFF_FFFF)
        default: return nil
        }
    }
}

extension OTLPAnyValue {
    /// A value of MessagePack.
    init(_ value: MessagePackValue) {
        switch value {
        case .null: self = .empty
        case .bool(let value): self = .bool(value)
        case .int(let value): self = .int(value)
        case .uint(let value): self = .int(Int64(bitPattern: value))
        case .double(let value): self = .double(value)
        // Writers of the older form send bytes as text and text as bytes.
        case .string(let bytes), .binary(let bytes): self = .string(bytes)
        case .array(let elements): self = .array(elements.map { OTLPAnyValue($0) })
        case .map(let entries):
            var table = AttributeTable()
            for entry in entries { table[entry.key.string ?? "\(entry.key)"] = OTLPAnyValue(entry.value) }
            self = .map(table.map)
        case .extended(_, let bytes): self = .bytes(bytes)
        }
    }
}
