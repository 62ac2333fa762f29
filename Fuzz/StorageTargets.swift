import Essentials
import Glibc
import Storage

/// Readers of the program's own files, as a crash, a bad disk or another program may leave them.
enum StorageTargets {
    static let all: [FuzzTarget] = [segments, acknowledgement, positions, legacyPositions]

    /// A directory of this process, in memory where there is such a place.
    private static let directory: String = {
        let base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"
        return "\(base)/invar-fuzz-\(getpid())"
    }()

    private static let pool = BlockingPool(name: "fuzz", threads: 2)

    /// Deletes what this process made.
    static func removeFiles() { clear(removingDirectory: true) }

    private static func clear(removingDirectory: Bool = false) {
        for name in (try? Files.list(directory)) ?? [] { unlink("\(directory)/\(name)") }
        if removingDirectory { rmdir(directory) } else { try? Files.makeDirectory(directory) }
    }

    // MARK: Segments

    private static func little(_ value: UInt64, _ width: Int) -> [UInt8] {
        (0..<width).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * $0)) }
    }

    private static func checksum(_ bytes: some Sequence<UInt8>) -> [UInt8] {
        var crc: UInt32 = ~0
        for byte in bytes {
            crc ^= UInt32(byte)
            for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0x82F6_3B78 : crc >> 1 }
        }
        return little(UInt64(~crc), 4)
    }

    private static func record(_ payload: [UInt8], items: UInt64) -> [UInt8] {
        let length = little(UInt64(payload.count), 4)
        let rest = checksum(payload) + little(items, 4) + little(7, 4) + little(5, 8) + little(1_700_000_000_000, 8)
        return length + checksum(length + rest) + rest + payload
    }

    private static let header = bytes("INVRSEG1") + little(1, 8)

    private static let segment =
        header + record(bytes("first"), items: 2) + record([], items: 0)
        + record(bytes("third record"), items: 3)

    private static let complete: [UInt8] = {
        let footer = bytes("INVREND1") + little(5, 8) + little(3, 8) + little(1_700_000_000_000, 8)
        return segment + footer + checksum(footer) + little(0, 4)
    }()

    /// Makes the checksums of what looks like records right, so that what is behind them is read.
    private static func repair(_ input: [UInt8]) -> [UInt8] {
        var input = input
        if input.count >= header.count { input.replaceSubrange(0..<header.count, with: header) }
        var offset = header.count
        while offset + 36 <= input.count {
            let length = (0..<4).reduce(0) { $0 | Int(input[offset + $1]) << (8 * $1) }
            if offset + 36 + length <= input.count {
                let payload = checksum(input[(offset + 36)..<(offset + 36 + length)])
                input.replaceSubrange((offset + 8)..<(offset + 12), with: payload)
            }
            let sum = checksum(input[offset..<offset + 4] + input[(offset + 8)..<(offset + 36)])
            input.replaceSubrange((offset + 4)..<(offset + 8), with: sum)
            offset += 36 + length
        }
        return input
    }

    /// Opens the log and reads it to the end. With `isExact`, nothing may vanish without being reported as lost.
    private static func drain(_ what: String, isExact: Bool) async throws -> Int {
        let lost = Lost()
        var options = SegmentLog.Options(directory: directory)
        options.sync = .never
        let log = try await SegmentLog.open(
            options, destinations: ["a"], pool: pool, clock: .system,
            reportLoss: { _, _, items in lost.add(items) })
        guard let reader = log.reader(for: "a") else { throw Finding("no reader") }
        let pending = reader.pendingItems
        try await log.append([SegmentRecord(payload: [1, 2, 3], items: 1)])
        var delivered = 0
        var last: StoredRecord?
        while let stored = try await reader.nextIfAny() {
            delivered += stored.record.items
            reader.complete(stored)
            last = stored
        }
        try require(last?.record.payload == [1, 2, 3], "\(what): what was appended is not read")
        try require(
            !isExact || pending + 1 <= delivered + lost.items,
            "\(what): \(pending) items and one more are \(delivered) delivered and \(lost.items) lost")
        try require(!isExact || reader.pendingItems == 0, "\(what): \(reader.pendingItems) items are left")
        await log.close()
        return magnitude(delivered) << 8 | magnitude(lost.items)
    }

    private static let segments = FuzzTarget(
        name: "segments", seeds: [[0] + segment, [0] + complete, [1] + segment, [1] + complete, [2] + complete],
        dictionary: ["INVRSEG1", "INVREND1"]
    ) { input in
        guard let kind = input.first else { return 0 }
        clear()
        let content = kind & 1 == 0 ? Array(input.dropFirst()) : repair(Array(input.dropFirst()))
        try Files.replace("\(directory)/0000000001.segment", with: content)
        // As the only segment, and as one before another.
        if kind & 2 != 0 {
            let next = bytes("INVRSEG1") + little(2, 8) + record(bytes("next"), items: 4)
            try Files.replace("\(directory)/0000000002.segment", with: next)
        }
        return try await drain("segments", isExact: kind & 1 == 0)
    }

    private static let acknowledgement = FuzzTarget(
        name: "acknowledgement",
        seeds: {
            let body = bytes("INVRACK1") + little(9, 8) + little(1, 8) + little(16, 8) + little(0, 8)
            let slot = body + checksum(body) + [UInt8](repeating: 0, count: 20)
            return [[0] + slot + slot, [1] + slot]
        }(), dictionary: ["INVRACK1"]
    ) { input in
        guard let kind = input.first else { return 0 }
        clear()
        var content = Array(input.dropFirst())
        if kind & 1 == 1 {
            for start in stride(from: 0, to: content.count - 63, by: 64) {
                content.replaceSubrange((start + 40)..<(start + 44), with: checksum(content[start..<start + 40]))
            }
        }
        try Files.replace("\(directory)/0000000001.segment", with: kind & 2 == 0 ? segment : complete)
        try Files.replace("\(directory)/a.acknowledged", with: content)
        return try await drain("acknowledgement", isExact: kind & 1 == 0)
    }

    // MARK: Positions

    private static let positions = FuzzTarget(
        name: "positions",
        seeds: [
            bytes(
                "positions:\n  ? path: /var/log/a.log\n    labels: '{a=\"b\"}'\n  : \"12\"\n  ? path: cursor-x\n    labels: \"{}\"\n  : s=1\n"
            ),
            bytes("positions: {}\n"), bytes("positions:\n  {path: /a, labels: \"{}\"}: \"5\"\n"),
        ], dictionary: ["? path: ", "labels: ", "\"\\u0041\"", "''", "{", "}", ": ", "\n    ", "\t", "#", "---\n", "|"]
    ) { input in
        clear()
        let path = "\(directory)/positions.yml"
        try Files.replace(path, with: input)
        let first = try Positions(path: path)
        let all = first.all
        first.set(PositionKey(path: "/added", labels: "{}"), to: 3)
        try first.save()
        var again = try Positions(path: path).all
        again[PositionKey(path: "/added", labels: "{}")] = nil
        var expected = all
        expected[PositionKey(path: "/added", labels: "{}")] = nil
        try require(again == expected, "positions differ after they were saved")
        return magnitude(all.count)
    }

    private static let legacyPositions = FuzzTarget(
        name: "positions-legacy",
        seeds: [bytes("positions:\n  /var/log/a.log: \"12\"\n  \"/b c\": '7'\n"), bytes("positions:\n  /a: 5\n")],
        dictionary: ["positions:", ": ", "\"", "'", "\n  ", "~", "{}"]
    ) { input in
        clear()
        try Files.replace("\(directory)/legacy.yml", with: input)
        let outcome = try Positions.convertLegacy("\(directory)/legacy.yml", to: "\(directory)/new.yml")
        if case .converted(let count) = outcome {
            let read = try Positions(path: "\(directory)/new.yml").count
            try require(read == count, "\(count) positions were converted, \(read) are read")
        }
        return "\(outcome)".prefix(5).hashValue
    }
}

private final class Lost: Sendable {
    private let count = Counter()
    var items: Int { count.value }
    func add(_ items: Int) { count.add(items) }
}
