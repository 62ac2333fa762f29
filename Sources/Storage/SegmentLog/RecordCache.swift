/// The newest records of a log in memory: always a gapless run up to its end.
struct RecordCache {
    private var records: [StoredRecord] = []
    private var head = 0
    private(set) var bytes = 0
    let limit: Int

    init(limit: Int) { self.limit = limit }

    /// Adds the record at the end of the log, in no more memory than it needs.
    mutating func append(_ stored: StoredRecord) {
        var stored = stored
        stored.record.payload.trim()
        records.append(stored)
        bytes += stored.size
        while bytes > limit, head < records.count { dropFirst() }
    }

    mutating func removeAll() {
        records = []
        head = 0
        bytes = 0
    }

    /// Drops everything before `position`.
    mutating func drop(before position: LogPosition) {
        while head < records.count, records[head].position < position { dropFirst() }
    }

    /// The record at `position`.
    subscript(position: LogPosition) -> StoredRecord? {
        var low = head
        var high = records.count
        while low < high {
            let middle = (low + high) / 2
            if records[middle].position < position { low = middle + 1 } else { high = middle }
        }
        return low < records.count && records[low].position == position ? records[low] : nil
    }

    /// Where the run begins; nil when it is empty.
    var first: LogPosition? { head < records.count ? records[head].position : nil }

    private mutating func dropFirst() {
        bytes -= records[head].size
        records[head].record.payload = []
        head += 1
        if head > 64, head * 2 > records.count {
            records.removeFirst(head)
            head = 0
        }
    }
}

extension [UInt8] {
    /// Gives back room beyond the bytes. Compressors ask for the most that might come out, and what came out may be a
    /// tenth of it: kept for long, the room costs more than the bytes and nobody counts it.
    fileprivate mutating func trim() {
        guard capacity - count > Swift.max(count / 4, 64) else { return }
        self = withUnsafeBufferPointer { bytes in
            [UInt8](unsafeUninitializedCapacity: bytes.count) { room, filled in
                filled = room.initialize(fromContentsOf: bytes)
            }
        }
    }
}
