import Essentials
import Foundation
import Synchronization
import Testing

@Suite("EngineClock")
struct EngineClockTests {
    @Test("The system clock wakes sleepers in order of their deadlines")
    func systemOrder() async throws {
        let order = Recorded([Int]())
        try await withThrowingTaskGroup(of: Void.self) { group in
            for milliseconds in [30, 10, 20] {
                group.addTask {
                    try await EngineClock.system.sleep(for: .milliseconds(milliseconds))
                    order.update { $0.append(milliseconds) }
                }
            }
            try await group.waitForAll()
        }
        #expect(order.value == [10, 20, 30])
    }

    @Test("Cancelling ends a sleep at once, before and after it began")
    func cancellation() async {
        let clock = EngineClock.manual()
        let sleeper = Task { try await clock.sleep(for: .seconds(3600)) }
        sleeper.cancel()
        await #expect(throws: CancellationError.self) { try await sleeper.value }
        #expect(clock.nextDeadline == nil)
    }

    @Test("Manual time moves only when told, wall and monotonic together")
    func manual() {
        let clock = EngineClock.manual(startingAt: 5_000_000_000)
        #expect(clock.wallMilliseconds == 5000)
        clock.advance(by: .milliseconds(1500))
        #expect(clock.wallMilliseconds == 6500)
        #expect(clock.monotonicNanoseconds == 1_500_000_000)
    }
}

@Suite("Slots")
struct SlotsTests {
    @Test("Never more holders than slots, and everyone gets a turn")
    func bound() async throws {
        let slots = Slots(3)
        let state = Recorded((now: 0, most: 0, done: 0))
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<200 {
                group.addTask {
                    try await slots.withSlot {
                        state.update { state in
                            state.now += 1
                            state.most = max(state.most, state.now)
                        }
                        await Task.yield()
                        state.update { state in
                            state.now -= 1
                            state.done += 1
                        }
                    }
                }
            }
            try await group.waitForAll()
        }
        let end = state.value
        #expect(end.now == 0)
        #expect(end.most <= 3)
        #expect(end.done == 200)
    }
}

@Suite("MemoryBudget")
struct MemoryBudgetTests {
    @Test("A reservation beyond the limit is refused, except on an empty budget")
    func limit() {
        let budget = MemoryBudget(limit: ByteCount(bytes: 100))
        let account = budget.account("a")
        let other = budget.account("b")
        #expect(account.reserve(80))
        #expect(!other.reserve(30))
        #expect(other.reserve(20))
        #expect(budget.pressure == .exhausted)
        account.release(80)
        other.release(20)
        #expect(other.reserve(1000))
        #expect(budget.holdings.first?.name == "b")
        other.release(1000)
        #expect(budget.usage == .zero)
    }

    @Test("Sources get nothing of the last eighth, what is under way does, and an empty account always one item")
    func admission() {
        let budget = MemoryBudget(limit: ByteCount(bytes: 800))
        let source = budget.account("source")
        let sink = budget.account("sink")
        #expect(sink.spare(400) && !sink.spare(1))
        sink.release(400)
        #expect(source.admit(700) && budget.pressure == .high && !sink.spare(1))
        #expect(!source.admit(1))
        #expect(sink.reserve(100) && budget.pressure == .exhausted)
        #expect(!sink.reserve(1) && !sink.reserveOne(1))
        sink.release(100)
        #expect(sink.reserveOne(500) && budget.usage.bytes == 1200)
        sink.release(500)
        source.release(700)
        #expect(source.admit(5000))
        source.release(5000)
        #expect(budget.usage == .zero)
    }

    @Test("Minimums that do not fit together are refused with the numbers")
    func minimums() {
        let budget = MemoryBudget(limit: .mebibytes(4))
        let (one, two) = (budget.account("1"), budget.account("2"))
        #expect(budget.setMinimum(3 << 20, of: "one", for: one) == nil)
        let shortage = budget.setMinimum(2 << 20, of: "two", for: two)
        #expect(shortage == MemoryShortage(minimum: .mebibytes(2), others: .mebibytes(3), limit: .mebibytes(4)))
        #expect("\(shortage!)".contains("at least 2MiB") && "\(shortage!)".contains("4MiB"))
        #expect(budget.setMinimum(2 << 20, of: "one", for: one) == nil)
        #expect(budget.setMinimum(2 << 20, of: "two", for: two) == nil)
        #expect(budget.minimums.map(\.name) == ["one", "two"])
        #expect(budget.setMinimum(0, of: "one", for: one) == nil && budget.minimums.count == 1)
        #expect(budget.setMinimum(.max, of: "two", for: two) != nil)
    }

    @Test(
        "The control group's limit is found, in version 1 and 2, its own and those around it",
        arguments: [
            ("0::/a/b", ["/sys/fs/cgroup/a/memory.max": "1000\n", "/sys/fs/cgroup/a/b/memory.max": "max\n"], 1000),
            ("0::/a/b", ["/sys/fs/cgroup/a/memory.max": "1000\n", "/sys/fs/cgroup/a/b/memory.max": "800\n"], 800),
            ("0::/gone", ["/sys/fs/cgroup/memory.max": "700\n"], 700),
            (
                "5:cpu:/x\n4:memory:/m",
                [
                    "/sys/fs/cgroup/memory/m/memory.limit_in_bytes": "4096\n",
                    "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
                ], 4096
            ),
            ("4:memory:/", ["/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"], nil),
            ("0::/", ["/sys/fs/cgroup/memory.max": "nonsense"], nil),
        ] as [(String, [String: String], Int?)])
    func controlGroup(_ group: String, _ files: [String: String], _ limit: Int?) throws {
        let root = FileManager.default.temporaryDirectory.path + "/limits-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: root) }
        var all = files
        all["/proc/self/cgroup"] = group + "\n"
        for (path, text) in all {
            let directory = path[..<(path.lastIndex(of: "/") ?? path.startIndex)]
            try FileManager.default.createDirectory(
                atPath: root + directory, withIntermediateDirectories: true)
            try Files.replace(root + path, with: Array(text.utf8))
        }
        #expect(MemoryLimits.controlGroup(root: root)?.bytes == limit)
    }

    @Test("What a released account held goes back")
    func deinitialisation() {
        let budget = MemoryBudget(limit: ByteCount(bytes: 100))
        do {
            let account = budget.account("short")
            #expect(account.reserve(60))
        }
        #expect(budget.usage == .zero)
    }
}

@Suite("Backoff, sizes and files")
struct SmallThingsTests {
    @Test("Waits double up to the maximum")
    func backoff() {
        var backoff = Backoff(minimum: .milliseconds(30), maximum: .seconds(5))
        let waits = (0..<10).map { _ in backoff.nextExact().milliseconds }
        #expect(waits == [30, 60, 120, 240, 480, 960, 1920, 3840, 5000, 5000])
        backoff.reset()
        let jittered = backoff.next().milliseconds
        #expect((15...30).contains(jittered))
    }

    @Test(
        "Sizes print in the largest fitting unit",
        arguments: [(0, "0B"), (12, "12B"), (1 << 20, "1MiB"), (1536 << 20, "1.5GiB")])
    func sizes(bytes: Int, text: String) {
        #expect("\(ByteCount(bytes: bytes))" == text)
    }

    @Test("A file is replaced whole, and a cap on reading holds")
    func files() throws {
        let path = "/tmp/invar-essentials-\(UInt64.random(in: 0 ... .max))"
        try Files.replace(path, with: Array("one".utf8))
        try Files.replace(path, with: Array("second".utf8))
        #expect(try Files.readText(path) == "second")
        #expect(throws: FileTooLarge.self) { try Files.read(path, limit: ByteCount(bytes: 3)) }
        let missing = #expect(throws: SystemError.self) { try Files.read(path + ".none") }
        #expect(missing?.isNotFound == true)
        #expect("\(try #require(missing))".hasSuffix("no such file or directory"))
    }

    @Test("Secrets show nothing and compare by value")
    func secrets() {
        let secret = Secret("hunter2")
        #expect(String(describing: secret) == "(secret)")
        #expect(String(reflecting: secret) == "(secret)")
        #expect(!"\(Mirror(reflecting: secret).children.map { "\($0)" })".contains("hunter2"))
        #expect(secret == Secret("hunter2"))
        #expect(secret != Secret("hunter3"))
        #expect(secret.reveal { $0.count } == 7)
    }

    @Test("The log limiter lets one event through and counts the rest")
    func limiter() {
        let clock = EngineClock.manual()
        let limiter = LogLimiter(every: .seconds(10), clock: clock)
        var seen: [Int] = []
        for _ in 0..<5 { limiter.attempt { seen.append($0) } }
        clock.advance(by: .seconds(11))
        limiter.attempt { seen.append($0) }
        #expect(seen == [0, 4])
    }
}

/// A value several tasks change.
private final class Recorded<Value: Sendable>: Sendable {
    private let stored: Mutex<Value>
    init(_ value: Value) { stored = Mutex(value) }
    var value: Value { stored.withLock { $0 } }
    func update(_ change: (inout Value) -> Void) { stored.withLock { change(&$0) } }
}
