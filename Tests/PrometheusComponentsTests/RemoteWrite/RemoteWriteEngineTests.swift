import Essentials
import Storage
import Telemetry
import Testing
import Wire

@testable import PrometheusComponents

@Suite("Remote write engines")
struct RemoteWriteEngineTests {
    @Test("A queued request comes back from its record")
    func queuedRequest() throws {
        var counts = RemoteWriteCounts()
        counts.samples = 3
        counts.exemplars = 2
        counts.oldestTimestamp = 5
        counts.newestTimestamp = 9
        let request = QueuedRequest(
            body: [1, 2, 3], version: .v2, layout: .init(session: .max, generation: 7, shards: 300), shard: 299,
            counts: counts)
        let stored = StoredRecord(record: request.record, position: .init(segment: 1, offset: 16), appendedAt: 0)
        let read = try #require(QueuedRequest(stored))
        #expect(read.body == request.body && read.version == .v2 && read.shard == 299)
        #expect(read.layout == request.layout && read.counts == counts)
        for cut in 0..<QueuedRequest.trailerSize {
            var record = request.record
            record.payload.removeLast(record.payload.count - cut)
            #expect(QueuedRequest(StoredRecord(record: record, position: stored.position, appendedAt: 0)) == nil)
        }
    }

    @Test("Shards follow the load, within bounds and with tolerance")
    func planner() {
        func observe(in samplesIn: Int, out: Int, busy: Double, pending: Int = 0, retrying: Bool = false)
            -> ShardPlanner.Observation
        {
            .init(
                samplesIn: samplesIn, samplesOut: out, sendSeconds: busy, pending: pending, seconds: 10,
                isBackingOff: retrying)
        }
        var planner = ShardPlanner(minimum: 1, maximum: 10)
        #expect(planner.plan(observe(in: 1000, out: 1000, busy: 1)) == 1)
        // One shard is busy all the time and half of the samples stay behind.
        var grown = 1
        for round in 1...10 {
            grown = planner.plan(observe(in: 20_000, out: 10_000, busy: 10, pending: 10_000 * round))
        }
        #expect(grown > 2 && grown <= 10)
        #expect(planner.plan(observe(in: 0, out: 0, busy: 0)) == grown)
        var shrunk = grown
        for _ in 0..<60 { shrunk = planner.plan(observe(in: 100, out: 100, busy: 0.01)) }
        #expect(shrunk == 1)
        var pressed = ShardPlanner(minimum: 2, maximum: 10)
        #expect(pressed.plan(observe(in: 100_000, out: 10, busy: 20, pending: 1_000_000, retrying: true)) == 2)
    }

    @Test(
        "Dates of HTTP are read",
        arguments: [
            ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777), ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Thu, 29 Feb 2024 23:59:59 GMT", 1_709_251_199), ("Fri, 31 Dec 1999 23:59:59 GMT", 946_684_799),
            ("tomorrow", nil), ("Sun, 99 Nov 1994 08:49:37 GMT", nil), ("Sun, 06 Nov 1994 08:49 GMT", nil), ("", nil),
        ] as [(String, Int64?)])
    func dates(_ text: String, _ expected: Int64?) { #expect(HTTPDate.seconds(text) == expected) }

    @Test("A lane hands out full requests at once, and the rest when told or closed")
    func lane() async {
        let lane = ShardLane()
        func entry(_ samples: Int, at arrival: Int64 = 0) -> ShardLane.Entry {
            var counts = RemoteWriteCounts()
            counts.samples = samples
            let request = QueuedRequest(
                body: [], version: .v1, layout: .init(session: 0, generation: 0, shards: 1), shard: 0, counts: counts)
            let stored = StoredRecord(record: request.record, position: .init(segment: 1, offset: 0), appendedAt: 0)
            return ShardLane.Entry(request: request, stored: stored, bytes: 0, arrival: arrival)
        }
        func sizes(_ entries: [ShardLane.Entry]?) -> [Int]? { entries?.map(\.request.counts.samples) }
        for size in [40, 40, 40] { #expect(await !lane.push(entry(size), capacity: 1000, fullAt: 100)) }
        #expect(sizes(await lane.next(limit: { 100 })) == [40, 40])
        #expect(lane.items == 40)
        async let late = lane.next(limit: { 100 })
        lane.flush(arrivedBefore: -1)
        lane.flush(arrivedBefore: 0)
        #expect(sizes(await late) == [40])
        // One larger than a request goes alone.
        _ = await lane.push(entry(500), capacity: 1000, fullAt: 100)
        #expect(sizes(await lane.next(limit: { 100 })) == [500])
        _ = await lane.push(entry(10), capacity: 10, fullAt: 100)
        async let waited = lane.push(entry(10), capacity: 10, fullAt: 100)
        #expect(sizes(await lane.next(limit: { 100 })) == [10])
        #expect(await waited)
        lane.close()
        #expect(sizes(await lane.next(limit: { 100 })) == [10])
        #expect(await lane.next(limit: { 100 }) == nil)
    }
}

extension ShardLane.Entry: Equatable {
    static func == (left: Self, right: Self) -> Bool { left.stored == right.stored }
}
