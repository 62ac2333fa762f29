import Essentials
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
