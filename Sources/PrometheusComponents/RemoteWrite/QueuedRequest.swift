import Storage
import Wire

/// A compressed remote-write request as it lies in the queue, with a trailer that says how to send it.
///
///     payload := request trailer
///     trailer := version:u8 format:u8 shard:u16 shards:u16 0:u16 session:u64 generation:u32
///                samples:u32 histograms:u32 exemplars:u32 newest:i64
struct QueuedRequest: Sendable {
    /// Where the order of series holds: requests of one shard in one layout go out one after another.
    struct Layout: Sendable, Equatable {
        /// Random for each run of the process.
        var session: UInt64
        /// Grows with each change of the number of shards.
        var generation: UInt32
        var shards: Int
    }

    static let trailerSize = 40
    private static let format: UInt8 = 1

    /// Compressed.
    var body: [UInt8]
    var version: RemoteWriteVersion
    var layout: Layout
    var shard: Int
    var counts: RemoteWriteCounts

    init(
        body: [UInt8], version: RemoteWriteVersion, layout: Layout, shard: Int, counts: RemoteWriteCounts
    ) {
        self.body = body
        self.version = version
        self.layout = layout
        self.shard = shard
        self.counts = counts
    }

    /// Reads what ``record`` made; nil when it is something else.
    init?(_ stored: StoredRecord) {
        let payload = stored.record.payload
        guard payload.count >= Self.trailerSize else { return nil }
        let start = payload.count - Self.trailerSize
        func integer<Value: FixedWidthInteger>(_ offset: Int, _ type: Value.Type) -> Value {
            payload.withUnsafeBytes {
                Value(littleEndian: $0.loadUnaligned(fromByteOffset: start + offset, as: Value.self))
            }
        }
        guard integer(1, UInt8.self) == Self.format else { return nil }
        switch integer(0, UInt8.self) {
        case 1: version = .v1
        case 2: version = .v2
        default: return nil
        }
        shard = Int(integer(2, UInt16.self))
        layout = Layout(
            session: integer(8, UInt64.self), generation: integer(16, UInt32.self),
            shards: Int(integer(4, UInt16.self)))
        guard shard < layout.shards else { return nil }
        counts = RemoteWriteCounts()
        counts.samples = Int(integer(20, UInt32.self))
        counts.histograms = Int(integer(24, UInt32.self))
        counts.exemplars = Int(integer(28, UInt32.self))
        counts.newestTimestamp = integer(32, Int64.self)
        counts.oldestTimestamp = stored.record.oldestTimestamp
        body = payload
        body.removeLast(Self.trailerSize)
    }

    /// The record to queue.
    var record: SegmentRecord {
        var payload: [UInt8] = []
        payload.reserveCapacity(body.count + Self.trailerSize)
        payload.append(contentsOf: body)
        func append(_ value: some FixedWidthInteger) {
            withUnsafeBytes(of: value.littleEndian) { payload.append(contentsOf: $0) }
        }
        append(UInt8(version == .v1 ? 1 : 2))
        append(Self.format)
        append(UInt16(shard))
        append(UInt16(layout.shards))
        append(UInt16(0))
        append(layout.session)
        append(layout.generation)
        append(UInt32(clamping: counts.samples))
        append(UInt32(clamping: counts.histograms))
        append(UInt32(clamping: counts.exemplars))
        append(counts.newestTimestamp)
        return SegmentRecord(payload: payload, items: counts.items, oldestTimestamp: counts.oldestTimestamp)
    }
}
