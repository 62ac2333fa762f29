import Testing

@testable import Essentials

@Suite("SleepInterrupt")
struct SleepInterruptTests {
    @Test("A sleep that nobody interrupts ends at its deadline")
    func deadline() async throws {
        let clock = EngineClock.system
        let start = clock.monotonicNanoseconds
        let interrupted = try await clock.sleep(untilMonotonic: start + 1_000_000, orUntil: SleepInterrupt())
        #expect(!interrupted)
        #expect(clock.monotonicNanoseconds >= start + 1_000_000)
    }

    @Test("Triggered before, it ends the next sleep and no other")
    func before() async throws {
        let clock = EngineClock.system
        let interrupt = SleepInterrupt()
        interrupt.trigger()
        #expect(try await clock.sleep(untilMonotonic: .max, orUntil: interrupt))
        #expect(try await !clock.sleep(untilMonotonic: clock.monotonicNanoseconds + 1000, orUntil: interrupt))
    }

    @Test("Triggered by another task, it ends a sleep that would last for ever", arguments: 0..<20)
    func during(_: Int) async throws {
        let interrupt = SleepInterrupt()
        async let slept = EngineClock.system.sleep(untilMonotonic: .max, orUntil: interrupt)
        async let triggered: Void = interrupt.trigger()
        await triggered
        #expect(try await slept)
    }

    @Test("Cancellation ends it with an error, as it does any sleep")
    func cancellation() async throws {
        let sleeping = Task { try await EngineClock.system.sleep(untilMonotonic: .max, orUntil: SleepInterrupt()) }
        sleeping.cancel()
        await #expect(throws: CancellationError.self) { try await sleeping.value }
    }
}
