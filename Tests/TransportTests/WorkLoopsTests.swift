import Essentials
import Testing

@testable import Transport

@Suite("WorkLoops")
struct WorkLoopsTests {
    private let loops = EventLoops(threads: 2)

    private func on<Value: Sendable>(
        _ executor: EventLoopExecutor, _ body: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        try await Task(executorPreference: executor) { try await body() }.value
    }

    @Test("What fits one loop is placed on one")
    func placement() {
        let first = loops.work.place()
        for _ in 0..<10 { #expect(loops.work.place() === first) }
        #expect(loops.work.betterPlace(than: first) == nil)
    }

    @Test("Tasks run on the loop, and connections they open live there")
    func connections() async throws {
        let loops = loops
        let executor = loops.work.place()
        let isThere = try await on(executor) {
            await Task.yield()
            return loops.isOnWorkLoop
                && loops.connectionLoop === executor.eventLoop
        }
        #expect(isThere)
        #expect(!loops.isOnWorkLoop)
        #expect(loops.connectionLoop !== executor.eventLoop)
    }

    @Test("Loops are filled one after another; when all are full, the least loaded is next")
    func filling() {
        #expect(WorkLoops.place([0.5, 0]) == 0)
        #expect(WorkLoops.place([0.7, 0.3, 0]) == 1)
        #expect(WorkLoops.place([0.9, 0.7, 0.8]) == 1)
    }

    @Test("Of the work of a full loop as much moves as evens the loads; of one that is not full, none")
    func rebalancing() {
        #expect(WorkLoops.betterPlace(than: 0, [0.5, 0], chance: 0) == nil)
        #expect(WorkLoops.betterPlace(than: 0, [0.8, 0], chance: 0.49) == 1)
        #expect(WorkLoops.betterPlace(than: 0, [0.8, 0], chance: 0.51) == nil)
        #expect(WorkLoops.betterPlace(than: 0, [0.9, 0.8], chance: 0) == nil)
        #expect(WorkLoops.betterPlace(than: 2, [1.0, 0.7, 1.0], chance: 0.1) == 1)
    }

    @Test("A sleep ends at its deadline, by an interrupt, or by cancellation")
    func sleep() async throws {
        let executor = loops.work.place()
        let clock = EngineClock.system
        let start = clock.monotonicNanoseconds
        let first = try await on(executor) {
            try await executor.sleep(untilMonotonic: start + 2_000_000, orUntil: SleepInterrupt())
        }
        #expect(!first)
        #expect(clock.monotonicNanoseconds >= start + 2_000_000)

        let interrupt = SleepInterrupt()
        async let second = on(executor) { try await executor.sleep(untilMonotonic: .max, orUntil: interrupt) }
        interrupt.trigger()
        #expect(try await second)

        let third = Task(executorPreference: executor) {
            try await executor.sleep(untilMonotonic: .max, orUntil: SleepInterrupt())
        }
        third.cancel()
        await #expect(throws: CancellationError.self) { try await third.value }
    }
}
