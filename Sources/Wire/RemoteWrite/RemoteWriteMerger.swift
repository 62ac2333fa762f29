import Compression

/// Joins small remote-write requests, compressed as they are queued, into one to send.
///
/// 1.0 requests are joined without decompressing: concatenated messages are one message (protobuf.dev, "Encoding"), and
/// snappy blocks without their lengths concatenate too, because copies reach backwards within their own block only
/// (format_description.txt of snappy). 2.0 requests get one table of symbols.
package struct RemoteWriteMerger: ~Copyable {
    /// Bytes a request may decompress to.
    private static let limit = 64 << 20

    private var writer = ProtobufWriter(capacity: 64 << 10)
    private var scratch: [UInt8] = []

    package init() {}

    /// What joining made.
    package struct Merged: Sendable {
        /// Compressed; empty when nothing is left.
        package var bytes: [UInt8] = []
        /// What was older than the cutoff and left out.
        package var dropped = RemoteWriteCounts()
    }

    /// Joins `requests` of the same version, in order. With a cutoff (milliseconds since 1970), series whose newest
    /// sample is older are left out.
    package mutating func merge(
        _ requests: [[UInt8]], version: RemoteWriteVersion, olderThan cutoff: Int64? = nil
    ) throws -> Merged {
        if cutoff == nil {
            if requests.count == 1 { return Merged(bytes: requests[0]) }
            if version == .v1 { return Merged(bytes: try Self.concatenate(requests)) }
        }
        switch version {
        case .v1: return try filter1(requests, cutoff ?? .min)
        case .v2: return try merge2(requests, cutoff ?? .min)
        }
    }

    private static func concatenate(_ blocks: [[UInt8]]) throws -> [UInt8] {
        var length: UInt64 = 0
        var size = 10
        var starts: [Int] = []
        for block in blocks {
            try block.withUnsafeBytes { bytes in
                var reader = ProtobufReader(bytes)
                let own = try reader.varint()
                guard own <= UInt64(limit) else { throw CompressionError.limitExceeded(limit) }
                length += own
                starts.append(reader.position)
            }
            size += block.count
        }
        guard length <= UInt64(limit) else { throw CompressionError.limitExceeded(limit) }
        var joined: [UInt8] = []
        joined.reserveCapacity(size)
        while length >= 0x80 {
            joined.append(UInt8(truncatingIfNeeded: length) | 0x80)
            length >>= 7
        }
        joined.append(UInt8(truncatingIfNeeded: length))
        for (block, start) in zip(blocks, starts) { joined.append(contentsOf: block[start...]) }
        return joined
    }

    // MARK: 1.0

    private mutating func filter1(_ requests: [[UInt8]], _ cutoff: Int64) throws -> Merged {
        var merged = Merged()
        writer.removeAll()
        for request in requests {
            try decompress(request)
            try scratch.withUnsafeBytes { bytes in
                var reader = ProtobufReader(bytes)
                while let tag = try reader.nextTag() {
                    let value = try reader.bytes(tag)
                    if tag.field == 1 {
                        let counts = try Self.survey(value, exemplar: 3, histogram: 4)
                        if counts.newestTimestamp < cutoff {
                            merged.dropped += counts
                            continue
                        }
                    }
                    writer.field(tag.field, bytes: value)
                }
            }
        }
        try compress(into: &merged.bytes)
        return merged
    }

    /// Counts what a series holds, with its newest time.
    private static func survey(
        _ series: UnsafeRawBufferPointer, exemplar: Int, histogram: Int
    ) throws(ProtobufError) -> RemoteWriteCounts {
        var counts = RemoteWriteCounts()
        var reader = ProtobufReader(series)
        while let tag = try reader.nextTag() {
            let timeField: Int
            switch tag.field {
            case 2:
                counts.samples += 1
                timeField = 2
            case exemplar:
                counts.exemplars += 1
                timeField = 3
            case histogram:
                counts.histograms += 1
                timeField = 15
            default:
                try reader.skip(tag)
                continue
            }
            var message = try reader.message(tag)
            while let tag = try message.nextTag() {
                if tag.field == timeField { counts.note(try message.int64(tag)) } else { try message.skip(tag) }
            }
        }
        return counts
    }

    // MARK: 2.0

    private mutating func merge2(_ requests: [[UInt8]], _ cutoff: Int64) throws -> Merged {
        var merged = Merged()
        var symbols = SymbolInterner()
        _ = symbols.intern(UnsafeRawBufferPointer(start: nil, count: 0))
        writer.removeAll()
        for request in requests {
            try decompress(request)
            try scratch.withUnsafeBytes { bytes in
                var refs: [UInt32] = []
                var reader = ProtobufReader(bytes)
                while let tag = try reader.nextTag() {
                    let value = try reader.bytes(tag)
                    if tag.field == 4 { refs.append(symbols.intern(value)) }
                }
                reader = ProtobufReader(bytes)
                while let tag = try reader.nextTag() {
                    let value = try reader.bytes(tag)
                    guard tag.field == 5 else { continue }
                    let counts = try Self.survey(value, exemplar: 4, histogram: 3)
                    if counts.newestTimestamp < cutoff {
                        merged.dropped += counts
                    } else {
                        try appendSeries(value, refs)
                    }
                }
            }
        }
        if writer.isEmpty { return merged }
        var table = ProtobufWriter(capacity: 16 << 10)
        for symbol in 0..<symbols.count { table.field(4, bytes: symbols[UInt32(symbol)]) }
        writer.withBytes { table.append($0) }
        swap(&table, &writer)
        try compress(into: &merged.bytes)
        return merged
    }

    private mutating func appendSeries(_ series: UnsafeRawBufferPointer, _ refs: [UInt32]) throws(ProtobufError) {
        let message = writer.beginMessage(5)
        var reader = ProtobufReader(series)
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: try appendRefs(&reader, tag, refs)
            case 4:
                let exemplar = writer.beginMessage(4)
                var inner = try reader.message(tag)
                while let tag = try inner.nextTag() {
                    switch tag.field {
                    case 1: try appendRefs(&inner, tag, refs)
                    case 2: writer.field(2, double: try inner.double(tag))
                    case 3: writer.field(3, int64: try inner.int64(tag))
                    default: try inner.skip(tag)
                    }
                }
                writer.endMessage(exemplar)
            case 5:
                let metadata = writer.beginMessage(5)
                var inner = try reader.message(tag)
                while let tag = try inner.nextTag() {
                    let value = try inner.uint64(tag)
                    writer.field(tag.field, varint: tag.field == 1 ? value : UInt64(try Self.map(value, refs)))
                }
                writer.endMessage(metadata)
            default: writer.field(tag.field, bytes: try reader.bytes(tag))
            }
        }
        writer.endMessage(message)
    }

    private mutating func appendRefs(
        _ reader: inout ProtobufReader, _ tag: ProtobufTag, _ refs: [UInt32]
    ) throws(ProtobufError) {
        var packed = ProtobufReader(try reader.bytes(tag))
        let list = writer.beginMessage(1)
        while !packed.isAtEnd { writer.appendVarint(UInt64(try Self.map(try packed.varint(), refs))) }
        writer.endMessage(list)
    }

    private static func map(_ ref: UInt64, _ refs: [UInt32]) throws(ProtobufError) -> UInt32 {
        guard ref < UInt64(refs.count) else { throw .invalid("symbol reference") }
        return refs[Int(ref)]
    }

    // MARK: Compression

    private mutating func decompress(_ request: [UInt8]) throws {
        scratch.removeAll(keepingCapacity: true)
        try request.withUnsafeBytes { bytes in try Snappy.decompress(bytes, limit: Self.limit, into: &scratch) }
    }

    private mutating func compress(into bytes: inout [UInt8]) throws {
        if writer.isEmpty { return }
        try writer.withBytes { source in try Snappy.compress(source, into: &bytes) }
        if writer.count > 4 << 20 { writer.shrink(to: 1 << 20) }
    }
}
