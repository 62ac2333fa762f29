import Essentials
import Foundation
import Glibc
import Synchronization
import Testing

@testable import Storage

@Suite("SegmentLog faults")
struct SegmentLogFaultTests {
    /// A log of two segments left by a crash: 0..<6 in a complete one, 6..<10 in one without a footer.
    private func crashed(_ fixture: LogFixture) async throws -> (path: String, bytes: [UInt8], first: [UInt8]) {
        let log = try await fixture.open { $0.segmentSize = ByteCount(bytes: 450) }
        for number in 0..<10 { try await log.append([LogFixture.record(number)]) }
        log.abandon()
        let path = "\(fixture.directory)/\(try #require(fixture.names.last))"
        return (path, try Files.read(path), try Files.read(fixture.directory + "/0000000001.segment"))
    }

    private func reset(_ fixture: LogFixture, _ first: [UInt8], _ path: String, to bytes: [UInt8]) throws {
        for name in try Files.list(fixture.directory) { unlink("\(fixture.directory)/\(name)") }
        try Files.replace(fixture.directory + "/0000000001.segment", with: first)
        try Files.replace(path, with: bytes)
    }

    @Test("A log cut off at any byte opens with the records before it and takes new ones")
    func truncation() async throws {
        let fixture = LogFixture()
        let (path, bytes, first) = try await crashed(fixture)
        let sizes = (6..<10).map { LogFixture.record($0).payload.count + SegmentFormat.headerSize }
        for length in 0...bytes.count {
            try reset(fixture, first, path, to: Array(bytes[..<length]))
            var log = try await fixture.open()
            var complete = 0
            var end = SegmentFormat.segmentHeaderSize
            while complete < sizes.count, end + sizes[complete] <= length {
                end += sizes[complete]
                complete += 1
            }
            let expected = Array(0..<6 + complete)
            #expect(log.reader(for: "a")?.pendingItems == LogFixture.items(expected), "cut at \(length)")
            try await log.append([LogFixture.record(99)])
            log.abandon()
            log = try await fixture.open()
            #expect(try await LogFixture.drain(#require(log.reader(for: "a"))) == expected + [99], "cut at \(length)")
            await log.close()
        }
        #expect(fixture.lost(.damaged) == 0)
    }

    @Test("A flipped bit anywhere costs only records of its segment, and what is delivered is right")
    func bitFlips() async throws {
        let fixture = LogFixture()
        let (path, bytes, first) = try await crashed(fixture)
        var setAside = 0
        for bit in stride(from: 0, to: bytes.count * 8, by: 11) {
            var flipped = bytes
            flipped[bit / 8] ^= 1 << UInt8(bit % 8)
            try reset(fixture, first, path, to: flipped)
            let log = try await fixture.open()
            try await log.append([LogFixture.record(99)])
            let reader = try #require(log.reader(for: "a"))
            let numbers = try await LogFixture.drain(reader)
            #expect(Array(numbers.prefix(6)) == Array(0..<6) && numbers.last == 99, "bit \(bit)")
            #expect(Array(6..<10).starts(with: numbers.dropFirst(6).dropLast()), "bit \(bit)")
            #expect(numbers.count < 11 && reader.pendingItems == 0, "bit \(bit)")
            try await LogFixture.eventually { log.state.withLock { !$0.isTidying } }
            await log.close()
            setAside += fixture.names.filter { $0.hasSuffix(".damaged") }.count
        }
        #expect(setAside > bytes.count / 3)
    }

    @Test("Damage in a complete segment loses the rest of it, counted, and no more")
    func damagedInTheMiddle() async throws {
        let fixture = LogFixture()
        _ = try await crashed(fixture)
        let path = fixture.directory + "/0000000001.segment"
        var bytes = try Files.read(path)
        // The third record's payload.
        bytes[SegmentFormat.segmentHeaderSize + 2 * 76 + SegmentFormat.headerSize + 5] ^= 0x10
        try Files.replace(path, with: bytes)
        let log = try await fixture.open()
        let reader = try #require(log.reader(for: "a"))
        #expect(reader.pendingItems == LogFixture.items(0..<10))
        #expect(try await LogFixture.drain(reader) == [0, 1, 6, 7, 8, 9])
        #expect(fixture.lost(.damaged) == LogFixture.items(2..<6) && reader.pendingItems == 0)
        try await LogFixture.eventually { fixture.names.contains("0000000001.segment.damaged") }
        #expect(log.statistics.damagedSegments == 1)
        await log.close()
    }

    @Test(
        "Damage in the segment a crash left costs what cannot be read, counted; what was acknowledged is not looked at")
    func damagedAfterCrash() async throws {
        for acknowledged in [0, 1, 4] {
            let fixture = LogFixture()
            var log = try await fixture.open()
            for number in 0..<8 { try await log.append([LogFixture.record(number)]) }
            var reader = try #require(log.reader(for: "a"))
            for _ in 0..<acknowledged { reader.complete(try #require(try await reader.nextIfAny())) }
            log.abandonOnceTidy()
            let path = fixture.directory + "/0000000001.segment"
            var bytes = try Files.read(path)
            // The payload of the third record.
            bytes[SegmentFormat.segmentHeaderSize + 2 * 76 + SegmentFormat.headerSize + 5] ^= 0x10
            try Files.replace(path, with: bytes)
            log = try await fixture.open()
            reader = try #require(log.reader(for: "a"))
            #expect(reader.pendingItems == LogFixture.items(acknowledged..<8))
            try await log.append([LogFixture.record(99)])
            let isHarmless = acknowledged > 2
            let readable = Array(acknowledged..<(isHarmless ? 8 : 2))
            #expect(try await LogFixture.drain(reader) == readable + [99])
            #expect(fixture.lost(.damaged) == (isHarmless ? 0 : LogFixture.items(2..<8)))
            #expect(reader.pendingItems == 0 && log.statistics.damagedSegments == (isHarmless ? 0 : 1))
            await log.close()
        }
    }

    @Test("A segment that vanished is counted as damaged and the rest goes on")
    func vanishedSegment() async throws {
        let fixture = LogFixture()
        let log = try await fixture.open {
            $0.segmentSize = ByteCount(bytes: 450)
            $0.memoryLimit = .zero
        }
        for number in 0..<10 { try await log.append([LogFixture.record(number)]) }
        unlink(fixture.directory + "/0000000001.segment")
        #expect(try await LogFixture.drain(#require(log.reader(for: "a"))) == [6, 7, 8, 9])
        #expect(fixture.lost(.damaged) == LogFixture.items(0..<6))
        await log.close()
    }

    @Test("Damage found in the segment being written does not stop later records")
    func damagedWhileWriting() async throws {
        let fixture = LogFixture()
        let log = try await fixture.open { $0.memoryLimit = .zero }
        for number in 0..<5 { try await log.append([LogFixture.record(number)]) }
        let path = fixture.directory + "/0000000001.segment"
        let descriptor = Glibc.open(path, O_RDWR)
        var garbage: [UInt8] = [0xFF, 0xFF]
        pwrite(descriptor, &garbage, 2, SegmentFormat.segmentHeaderSize + 76 + 40)
        close(descriptor)
        let reader = try #require(log.reader(for: "a"))
        #expect(try await LogFixture.drain(reader) == [0])
        try await log.append([LogFixture.record(5)])
        #expect(try await LogFixture.drain(reader) == [5])
        #expect(fixture.lost(.damaged) == LogFixture.items(1..<5) && reader.pendingItems == 0)
        await log.close()
    }

    @Test("A full disk refuses appends, at whatever byte it fills, and corrupts nothing")
    func fullDisk() async throws {
        for room in stride(from: 0, to: 700, by: 7) {
            let fixture = LogFixture()
            let files = FailingFiles()
            var log = try await fixture.open(files: files) { $0.segmentSize = ByteCount(bytes: 300) }
            files.faults.withLock { $0.room = room }
            var accepted: [Int] = []
            for number in 0..<12 {
                do throws(SegmentLogError) {
                    try await log.append([LogFixture.record(number)])
                    accepted.append(number)
                } catch {
                    var isFull = false
                    if case .noSpace = error { isFull = true }
                    #expect(isFull && error.isRetryable)
                }
            }
            #expect(accepted.count < 12)
            files.faults.withLock { $0.room = .max }
            try await log.append([LogFixture.record(50)])
            accepted.append(50)
            let reader = try #require(log.reader(for: "a"))
            #expect(reader.pendingItems == LogFixture.items(accepted), "room \(room)")
            #expect(try await LogFixture.drain(reader, completing: false) == accepted, "room \(room)")
            log.abandon()
            log = try await fixture.open()
            #expect(try await LogFixture.drain(#require(log.reader(for: "a"))) == accepted, "room \(room), reopened")
            #expect(fixture.lost(.damaged) == 0)
            await log.close()
        }
    }

    @Test("When even cutting back fails the next append goes to a new segment")
    func failedTruncation() async throws {
        let fixture = LogFixture()
        let files = FailingFiles()
        let log = try await fixture.open(files: files)
        try await log.append([LogFixture.record(0)])
        files.faults.withLock { faults in
            faults.room = 50
            faults.truncateError = EIO
        }
        await #expect(throws: SegmentLogError.self) { try await log.append([LogFixture.record(1)]) }
        files.faults.withLock { $0 = .init() }
        try await log.append([LogFixture.record(2)])
        #expect(try await LogFixture.drain(#require(log.reader(for: "a"))) == [0, 2])
        await log.close()
    }

    @Test("With the policy `always` a failed fsync refuses the append")
    func failedSync() async throws {
        let fixture = LogFixture()
        let files = FailingFiles()
        let log = try await fixture.open(files: files) { $0.sync = .always }
        try await log.append([LogFixture.record(0)])
        files.faults.withLock { $0.syncError = EIO }
        await #expect(throws: SegmentLogError.self) { try await log.append([LogFixture.record(1)]) }
        files.faults.withLock { $0.syncError = nil }
        try await log.append([LogFixture.record(2)])
        #expect(try await LogFixture.drain(#require(log.reader(for: "a"))) == [0, 2])
        await log.close()
    }

    @Test("A torn acknowledgement falls back to the one before")
    func tornAcknowledgement() async throws {
        let fixture = LogFixture()
        var log = try await fixture.open()
        for number in 0..<4 { try await log.append([LogFixture.record(number)]) }
        let reader = try #require(log.reader(for: "a"))
        for _ in 0..<2 {
            reader.complete(try #require(try await reader.nextIfAny()))
            try await LogFixture.eventually { log.state.withLock { !$0.isTidying } }
        }
        log.abandon()
        let path = fixture.directory + "/a.acknowledged"
        let bytes = try Files.read(path)
        let newest = try #require(bytes.withUnsafeBytes { AcknowledgementFormat.read($0) })
        for byte in 0..<44 {
            var torn = bytes
            torn[Int(newest.sequence % 2) * AcknowledgementFormat.slotSize + byte] ^= 0xFF
            let slot = try #require(torn.withUnsafeBytes { AcknowledgementFormat.read($0) })
            #expect(slot.sequence == newest.sequence - 1)
        }
        try Files.replace(path, with: [UInt8](repeating: 0xEE, count: 500))
        log = try await fixture.open()
        #expect(try await LogFixture.drain(#require(log.reader(for: "a"))) == [0, 1, 2, 3])
        await log.close()
    }

    @Test("Random use with crashes agrees with a model", arguments: 0..<12)
    func model(_ seed: UInt64) async throws {
        var random = SplitMix(state: seed)
        let fixture = LogFixture()
        let segmentSize = Int.random(in: 200...3000, using: &random)
        let memory = [0, 500, 1 << 20][Int(seed % 3)]
        func open() async throws -> SegmentLog {
            try await fixture.open {
                $0.segmentSize = ByteCount(bytes: segmentSize)
                $0.memoryLimit = ByteCount(bytes: memory)
            }
        }
        var log = try await open()
        var reader = try #require(log.reader(for: "a"))
        var next = 0
        /// Appended and not known to be acknowledged on disk; those handed out come first.
        var taken: [StoredRecord] = []
        var completed: Set<Int> = []
        var expectedNext = 0
        for _ in 0..<400 {
            switch Int.random(in: 0..<20, using: &random) {
            case 0..<8:
                let count = Int.random(in: 1...3, using: &random)
                try await log.append(
                    (0..<count).map { LogFixture.record(next + $0, size: Int.random(in: 10...300, using: &random)) })
                next += count
            case 8..<14:
                if let stored = try await reader.nextIfAny() {
                    #expect(stored.record.tag == UInt32(expectedNext))
                    #expect(stored.record == LogFixture.record(expectedNext, size: stored.record.payload.count))
                    expectedNext += 1
                    taken.append(stored)
                } else {
                    #expect(expectedNext == next)
                }
            case 14..<18:
                if let index = taken.indices.randomElement(using: &random) {
                    reader.complete(taken[index])
                    completed.insert(Int(taken[index].record.tag))
                    taken.remove(at: index)
                }
            case 18:
                reader.rewind()
                expectedNext = frontier(completed, expectedNext)
                completed = completed.filter { $0 < expectedNext }
                taken = []
            default:
                let frontier = frontier(completed, expectedNext)
                if Bool.random(using: &random) { await log.close() } else { log.abandonOnceTidy() }
                log = try await open()
                reader = try #require(log.reader(for: "a"))
                taken = []
                completed = completed.filter { $0 < frontier }
                expectedNext = frontier
            }
            let open = (0..<next).filter { !completed.contains($0) }
            #expect(reader.pendingItems == LogFixture.items(open))
        }
        #expect(try await LogFixture.drain(reader) == Array(expectedNext..<next))
        await log.close()
    }

    /// The first number not completed, up to what was handed out.
    private func frontier(_ completed: Set<Int>, _ end: Int) -> Int {
        (0..<end).first { !completed.contains($0) } ?? end
    }
}

extension SegmentLog {
    /// Crashes at a moment when the acknowledgements are on disk.
    func abandonOnceTidy() {
        while state.withLock({
            $0.isTidying || $0.isFlushing || $0.readers[0].frontier.position != $0.readers[0].persisted
        }) {
            usleep(100)
        }
        abandon()
    }
}

struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
