import Testing

@testable import Storage

@Suite("RecordCache")
struct RecordCacheTests {
    @Test("A record is kept in no more memory than its bytes need")
    func trimming() throws {
        var payload = [UInt8](repeating: 7, count: 900)
        payload.reserveCapacity(64 << 10)
        var cache = RecordCache(limit: 1 << 20)
        let position = LogPosition(segment: 1, offset: 64)
        cache.append(StoredRecord(record: SegmentRecord(payload: payload, items: 1), position: position, appendedAt: 0))
        let kept = try #require(cache[position]).record.payload
        #expect(kept == payload)
        #expect(kept.capacity < 2048)
    }
}
