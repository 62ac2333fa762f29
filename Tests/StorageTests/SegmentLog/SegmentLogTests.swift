import Essentials
import Foundation
import Glibc
import Synchronization
import Testing

@testable import Storage

@Suite("SegmentLog")
struct SegmentLogTests {
    @Test("Records come back in order, once to each destination")
    func order() async throws {
        let fixture = LogFixture()
        let log = try await fixture.open(destinations: ["a", "b"])
        for number in 0..<100 { try await log.append([LogFixture.record(number)]) }
        let a = try #require(log.reader(for: "a"))
        let b = try #require(log.reader(for: "b"))
        #expect(log.reader(for: "c") == nil)
        #expect(a.pendingItems == LogFixture.items(0..<100))
        #expect(try await LogFixture.drain(a) == Array(0..<100))
        #expect(a.pendingItems == 0 && b.pendingItems == LogFixture.items(0..<100))
        #expect(try await LogFixture.drain(b) == Array(0..<100))
        #expect(try await a.nextIfAny() == nil && a.isAtEnd)
        await log.close()
    }

    @Test("Concurrent appends are all kept, each append in one piece")
    func concurrency() async throws {
        let fixture = LogFixture()
        let log = try await fixture.open { $0.segmentSize = ByteCount(bytes: 4096) }
        let reader = try #require(log.reader(for: "a"))
        try await withThrowingTaskGroup(of: Void.self) { group in
            for start in 0..<50 {
                group.addTask {
                    try await log.append((0..<4).map { LogFixture.record(start * 4 + $0) })
                }
            }
            try await group.waitForAll()
        }
        let numbers = try await LogFixture.drain(reader)
        #expect(numbers.sorted() == Array(0..<200))
        for start in stride(from: 0, to: 200, by: 4) {
            #expect(numbers[start] % 4 == 0 && Array(numbers[start..<start + 4]) == (0..<4).map { numbers[start] + $0 })
        }
        await log.close()
    }

    @Test("A waiting reader gets the next record, and nil when the log closes")
    func waiting() async throws {
        let fixture = LogFixture()
        let log = try await fixture.open()
        let reader = try #require(log.reader(for: "a"))
        async let first = reader.next()
        try await log.append([LogFixture.record(5)])
        #expect(try await first?.record == LogFixture.record(5))
        async let second = reader.next()
        await log.close()
        #expect(try await second == nil)
        await #expect(throws: SegmentLogError.self) { try await log.append([LogFixture.record(6)]) }
    }

    @Test("Cancelling a waiting reader ends its wait and loses nothing")
    func cancellation() async throws {
        let fixture = LogFixture()
        let log = try await fixture.open()
        let reader = try #require(log.reader(for: "a"))
        let waiting = Task { try await reader.next() }
        waiting.cancel()
        await #expect(throws: CancellationError.self) { try await waiting.value }
        try await log.append([LogFixture.record(1)])
        #expect(try await reader.next()?.record == LogFixture.record(1))
        await log.close()
    }

    @Test("What was not acknowledged comes again after a restart", arguments: [true, false])
    func restart(_ closesProperly: Bool) async throws {
        let fixture = LogFixture()
        var log = try await fixture.open { $0.segmentSize = ByteCount(bytes: 1024) }
        for number in 0..<100 { try await log.append([LogFixture.record(number)]) }
        var reader = try #require(log.reader(for: "a"))
        var taken: [StoredRecord] = []
        for _ in 0..<60 { taken.append(try #require(try await reader.nextIfAny())) }
        // Out of order: 0...39 and 50...59 are done.
        for stored in (taken[..<40] + taken[50...]).reversed() { reader.complete(stored) }
        #expect(reader.pendingItems == LogFixture.items(40..<50) + LogFixture.items(60..<100))
        if closesProperly {
            await log.close()
        } else {
            let state = log
            try await LogFixture.eventually {
                state.state.withLock { !$0.isTidying && $0.readers[0].frontier.position == $0.readers[0].persisted }
            }
            log.abandon()
        }
        log = try await fixture.open()
        reader = try #require(log.reader(for: "a"))
        #expect(reader.pendingItems == LogFixture.items(40..<100))
        #expect(try await LogFixture.drain(reader) == Array(40..<100))
        #expect(reader.pendingItems == 0)
        await log.close()
    }

    @Test("Rewinding hands out again what was not complete")
    func rewind() async throws {
        let fixture = LogFixture()
        let log = try await fixture.open()
        for number in 0..<10 { try await log.append([LogFixture.record(number)]) }
        let reader = try #require(log.reader(for: "a"))
        var taken: [StoredRecord] = []
        for _ in 0..<6 { taken.append(try #require(try await reader.nextIfAny())) }
        for index in [0, 1, 4] { reader.complete(taken[index]) }
        reader.rewind()
        #expect(reader.pendingItems == LogFixture.items(2..<10))
        #expect(try await LogFixture.drain(reader) == Array(2..<10))
        #expect(reader.pendingItems == 0)
        await log.close()
    }

    @Test("Acknowledged segments are deleted, unread ones are kept")
    func retirement() async throws {
        let fixture = LogFixture()
        let log = try await fixture.open(destinations: ["a", "b"]) { $0.segmentSize = ByteCount(bytes: 1024) }
        for number in 0..<100 { try await log.append([LogFixture.record(number)]) }
        #expect(fixture.names.count > 5)
        let a = try #require(log.reader(for: "a"))
        let b = try #require(log.reader(for: "b"))
        _ = try await LogFixture.drain(a)
        #expect(fixture.names.count > 5)
        _ = try await LogFixture.drain(b)
        try await LogFixture.eventually { fixture.names.count == 1 }
        #expect(log.statistics.segments == 1)
        await log.close()
    }

    @Test("A reader far behind reads from the files, a fresh one from memory")
    func laggingReader() async throws {
        let fixture = LogFixture()
        let budget = MemoryBudget(limit: .mebibytes(64))
        let account = budget.account("queue")
        let log = try await fixture.open(account: account) {
            $0.memoryLimit = ByteCount(bytes: 1000)
            $0.segmentSize = ByteCount(bytes: 10_000)
        }
        for number in 0..<200 { try await log.append([LogFixture.record(number, size: 20 + number)]) }
        #expect(log.statistics.memory.bytes <= 1000 && log.statistics.memory.bytes > 0)
        #expect(account.held == log.statistics.memory)
        let reader = try #require(log.reader(for: "a"))
        #expect(try await LogFixture.drain(reader) == Array(0..<200))
        #expect(account.held.bytes == 0)
        await log.close()
    }

    @Test("Without room in the budget everything goes through the files")
    func exhaustedBudget() async throws {
        let fixture = LogFixture()
        let budget = MemoryBudget(limit: ByteCount(bytes: 100))
        let other = budget.account("other")
        other.book(100)
        let log = try await fixture.open(account: budget.account("queue"))
        for number in 0..<50 { try await log.append([LogFixture.record(number)]) }
        #expect(log.statistics.memory.bytes == 0)
        #expect(try await LogFixture.drain(#require(log.reader(for: "a"))) == Array(0..<50))
        await log.close()
    }

    @Test("A record larger than the read window comes back whole")
    func largeRecord() async throws {
        let fixture = LogFixture()
        let log = try await fixture.open { $0.memoryLimit = .zero }
        for (number, size) in [40, 3 << 20, 40, 1 << 20, 5 << 20].enumerated() {
            try await log.append([LogFixture.record(number, size: size)])
        }
        #expect(try await LogFixture.drain(#require(log.reader(for: "a"))) == Array(0..<5))
        await #expect(throws: SegmentLogError.self) {
            try await log.append([SegmentRecord(payload: [UInt8](repeating: 0, count: 65 << 20), items: 1)])
        }
        await log.close()
    }

    @Test("Past its size the log loses the oldest segments and says how many items")
    func sizeLimit() async throws {
        let fixture = LogFixture()
        let log = try await fixture.open { $0.sizeLimit = ByteCount(bytes: 600_000) }
        for number in 0..<2000 { try await log.append([LogFixture.record(number, size: 1000)]) }
        #expect(log.statistics.bytes.bytes <= 600_000)
        let reader = try #require(log.reader(for: "a"))
        let lost = fixture.lost(.sizeLimit)
        #expect(lost > 0 && reader.pendingItems + lost == LogFixture.items(0..<2000))
        let numbers = try await LogFixture.drain(reader)
        #expect(numbers.last == 1999 && LogFixture.items(numbers) + lost == LogFixture.items(0..<2000))
        #expect(reader.pendingItems == 0)
        await log.close()
    }

    @Test("Records older than the age limit are passed over and counted")
    func ageLimit() async throws {
        let fixture = LogFixture()
        let log = try await fixture.open {
            $0.ageLimit = .seconds(60)
            $0.segmentSize = ByteCount(bytes: 1024)
        }
        for number in 0..<50 { try await log.append([LogFixture.record(number)]) }
        fixture.clock.advance(by: .seconds(50))
        for number in 50..<60 { try await log.append([LogFixture.record(number)]) }
        fixture.clock.advance(by: .seconds(20))
        log.expire()
        #expect(fixture.lost(.ageLimit) > 0)
        let reader = try #require(log.reader(for: "a"))
        #expect(try await LogFixture.drain(reader) == Array(50..<60))
        #expect(fixture.lost(.ageLimit) == LogFixture.items(0..<50) && reader.pendingItems == 0)
        await log.close()
    }

    @Test("Setting the clock forward or back expires nothing and keeps nothing longer", arguments: [-86_400, 86_400])
    func clockJump(_ seconds: Int) async throws {
        let fixture = LogFixture()
        func open() async throws -> SegmentLog {
            try await fixture.open {
                $0.ageLimit = .seconds(60)
                $0.segmentSize = ByteCount(bytes: 1024)
            }
        }
        var log = try await open()
        for number in 0..<20 { try await log.append([LogFixture.record(number)]) }
        fixture.clock.advance(by: .seconds(40))
        fixture.clock.jumpWall(by: .seconds(seconds))
        log.expire()
        #expect(fixture.lost(.ageLimit) == 0)
        for number in 20..<30 { try await log.append([LogFixture.record(number)]) }
        fixture.clock.advance(by: .seconds(30))
        log.expire()
        var reader = try #require(log.reader(for: "a"))
        #expect(try await LogFixture.drain(reader, completing: false) == Array(20..<30))
        #expect(fixture.lost(.ageLimit) == LogFixture.items(0..<20))
        await log.close()
        // Opened again with the clock behind the records: they are new. Ahead of them: they are old.
        log = try await open()
        reader = try #require(log.reader(for: "a"))
        #expect(try await LogFixture.drain(reader) == (seconds < 0 ? Array(20..<30) : []))
        #expect(reader.pendingItems == 0)
        await log.close()
    }

    @Test("A directory is for one log at a time")
    func exclusive() async throws {
        let fixture = LogFixture()
        let log = try await fixture.open()
        await #expect(throws: SegmentLogError.self) { try await fixture.open() }
        await log.close()
        let again = try await fixture.open()
        await again.close()
    }

    @Test("Files of others in the directory are left alone, forgotten destinations are not waited for")
    func foreignFiles() async throws {
        let fixture = LogFixture()
        try Files.makeDirectory(fixture.directory + "/wal")
        try Files.replace(fixture.directory + "/wal/00000000", with: [1, 2, 3])
        try Files.replace(fixture.directory + "/00000007", with: [1, 2, 3])
        var log = try await fixture.open(destinations: ["a", "http://b/?x=1"])
        try await log.append([LogFixture.record(0)])
        await log.close()
        log = try await fixture.open(destinations: ["a"])
        _ = try await LogFixture.drain(#require(log.reader(for: "a")))
        try await LogFixture.eventually { fixture.names.isEmpty }
        #expect(Files.exists(fixture.directory + "/wal/00000000") && Files.exists(fixture.directory + "/00000007"))
        await log.close()
    }

    @Test("Each second of the interval policy the written segments reach the disk")
    func synchronisation() async throws {
        let fixture = LogFixture()
        let files = FailingFiles()
        let log = try await fixture.open(files: files) { $0.sync = .interval(.seconds(1)) }
        try await log.append([LogFixture.record(0)])
        files.faults.withLock { $0.syncError = EIO }
        log.synchroniseNow()
        #expect(log.statistics.failedSyncs == 1)
        files.faults.withLock { $0.syncError = nil }
        log.synchroniseNow()
        #expect(log.state.withLock { $0.unsynchronised.isEmpty })
        await log.close()
    }
}

@Suite("SegmentLog limits")
struct SegmentLogLimitTests {
    @Test("A full log refuses appends while its records are too young to go; later they go, counted")
    func keepLimit() async throws {
        let fixture = LogFixture()
        let log = try await fixture.open {
            $0.sizeLimit = ByteCount(bytes: 600_000)
            $0.keepLimit = .seconds(300)
        }
        var accepted = 0
        do throws(SegmentLogError) {
            for number in 0..<2000 {
                try await log.append([LogFixture.record(number, size: 1000)])
                accepted += 1
            }
        } catch {
            #expect(error.isRetryable)
        }
        #expect(accepted > 500 && accepted < 700 && fixture.lost(.sizeLimit) == 0)
        fixture.clock.advance(by: .seconds(301))
        try await log.append([LogFixture.record(accepted, size: 1000)])
        #expect(fixture.lost(.sizeLimit) > 0)
        await log.close()
    }

    @Test("Opening a large backlog reads little of it, however it was left", arguments: [true, false])
    func opening(_ closesProperly: Bool) async throws {
        let fixture = LogFixture()
        var log = try await fixture.open { $0.segmentSize = ByteCount(bytes: 200_000) }
        let records = (0..<20).map { LogFixture.record($0, size: 50_000) }
        for _ in 0..<20 { try await log.append(records) }
        let size = log.statistics.bytes.bytes
        #expect(log.statistics.segments == 20 && size > 20_000_000)
        if closesProperly { await log.close() } else { log.abandon() }
        let files = FailingFiles()
        log = try await fixture.open(files: files)
        let bytesRead = files.faults.withLock { $0.bytesRead }
        #expect(bytesRead < size / 20 + 100_000, "\(bytesRead) of \(size)")
        #expect(log.reader(for: "a")?.pendingItems == 20 * LogFixture.items(0..<20))
        await log.close()
    }

    @Test("A finished log hands out what it has, then nil, and takes no more")
    func finishing() async throws {
        let fixture = LogFixture()
        let log = try await fixture.open()
        try await log.append([LogFixture.record(0)])
        let reader = try #require(log.reader(for: "a"))
        #expect(try await reader.next() != nil)
        async let last = reader.next()
        log.finishAppending()
        #expect(try await last == nil)
        await #expect(throws: SegmentLogError.self) { try await log.append([LogFixture.record(1)]) }
        await log.close()
        try SegmentLog.remove(fixture.directory)
        #expect(!Files.exists(fixture.directory))
    }
}
