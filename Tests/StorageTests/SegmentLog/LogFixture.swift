import Essentials
import Foundation
import Glibc
import Storage
import Synchronization
import Testing

/// A directory of its own, removed at the end, and logs in it.
final class LogFixture: Sendable {
    let directory: String
    let pool = BlockingPool(name: "storage", threads: 4)
    let clock = EngineClock.manual()
    private let losses = Losses()

    private final class Losses: Sendable {
        let items = Mutex<[LogLoss: Int]>([:])
    }

    init() {
        directory = FileManager.default.temporaryDirectory.path + "/segment-log-\(UUID().uuidString)"
    }

    deinit { try? FileManager.default.removeItem(atPath: directory) }

    func open(
        destinations: [String] = ["a"], files: any LogFiles = SystemLogFiles(), account: MemoryAccount? = nil,
        _ adjust: (inout SegmentLog.Options) -> Void = { _ in }
    ) async throws -> SegmentLog {
        var options = SegmentLog.Options(directory: directory)
        options.sync = .never
        adjust(&options)
        return try await SegmentLog.open(
            options, destinations: destinations, pool: pool, clock: clock, account: account, files: files,
            reportLoss: { [losses] loss, _, items in losses.items.withLock { $0[loss, default: 0] += items } })
    }

    func lost(_ loss: LogLoss) -> Int { losses.items.withLock { $0[loss] ?? 0 } }

    var names: [String] { ((try? Files.list(directory)) ?? []).filter { $0.contains(".segment") } }

    static func record(_ number: Int, size: Int = 40) -> SegmentRecord {
        var payload = Array("\(number):".utf8)
        while payload.count < size { payload.append(UInt8(truncatingIfNeeded: payload.count &* 31 &+ number)) }
        return SegmentRecord(
            payload: payload, items: number % 7 + 1, tag: UInt32(number), oldestTimestamp: Int64(number))
    }

    static func items(_ numbers: some Sequence<Int>) -> Int { numbers.reduce(0) { $0 + $1 % 7 + 1 } }

    /// Everything a reader can get now, checked against what ``record(_:size:)`` makes.
    static func drain(_ reader: SegmentLogReader, completing: Bool = true) async throws -> [Int] {
        var numbers: [Int] = []
        while let stored = try await reader.nextIfAny() {
            let number = Int(stored.record.tag)
            #expect(stored.record == record(number, size: stored.record.payload.count))
            numbers.append(number)
            if completing { reader.complete(stored) }
        }
        return numbers
    }

    /// Waits for background work that reports nothing else: deleting files, noting acknowledgements.
    static func eventually(_ condition: () -> Bool) async throws {
        for _ in 0..<5000 {
            if condition() { return }
            await Task.yield()
            usleep(200)
        }
        Issue.record("the condition never came true")
    }
}

/// Files that fail on demand.
final class FailingFiles: LogFiles {
    struct Faults {
        /// Bytes that may still be written; then the disk is full.
        var room = Int.max
        var syncError: CInt?
        var truncateError: CInt?
        var readError: CInt?
        /// Bytes read so far.
        var bytesRead = 0
    }

    private let system = SystemLogFiles()
    let faults = Mutex(Faults())

    func create(_ path: String) throws(SystemError) -> CInt { try system.create(path) }
    func openOrCreate(_ path: String) throws(SystemError) -> CInt { try system.openOrCreate(path) }
    func openForReading(_ path: String) throws(SystemError) -> CInt { try system.openForReading(path) }

    func write(_ bytes: [UInt8], to descriptor: CInt, at offset: Int, path: String) throws(SystemError) {
        if path.hasSuffix(".acknowledged") { return try system.write(bytes, to: descriptor, at: offset, path: path) }
        let allowed = faults.withLock { faults in
            let allowed = min(faults.room, bytes.count)
            if faults.room != .max { faults.room -= allowed }
            return allowed
        }
        try system.write(Array(bytes[..<allowed]), to: descriptor, at: offset, path: path)
        if allowed < bytes.count { throw SystemError("write", path, code: ENOSPC) }
    }

    func read(
        into buffer: UnsafeMutableRawBufferPointer, from descriptor: CInt, at offset: Int, path: String
    ) throws(SystemError) -> Int {
        if let code = faults.withLock({ $0.readError }) { throw SystemError("read", path, code: code) }
        let count = try system.read(into: buffer, from: descriptor, at: offset, path: path)
        faults.withLock { $0.bytesRead += count }
        return count
    }

    func truncate(_ descriptor: CInt, to size: Int, path: String) throws(SystemError) {
        if let code = faults.withLock({ $0.truncateError }) { throw SystemError("truncate", path, code: code) }
        try system.truncate(descriptor, to: size, path: path)
    }

    func synchronise(_ descriptor: CInt, path: String) throws(SystemError) {
        if let code = faults.withLock({ $0.syncError }) { throw SystemError("fsync", path, code: code) }
        try system.synchronise(descriptor, path: path)
    }

    func size(of descriptor: CInt, path: String) throws(SystemError) -> Int {
        try system.size(of: descriptor, path: path)
    }

    func remove(_ path: String) throws(SystemError) { try system.remove(path) }
    func rename(_ path: String, to newPath: String) throws(SystemError) { try system.rename(path, to: newPath) }
    func close(_ descriptor: CInt) { system.close(descriptor) }
}
