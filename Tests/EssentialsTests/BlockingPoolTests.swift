import Synchronization
import Testing

@testable import Essentials

@Suite("BlockingPool")
struct BlockingPoolTests {
    @Test("Every job runs once, however many threads there are and whether they wait or not", arguments: [1, 2, 8])
    func everyJob(threads: Int) async throws {
        let pool = BlockingPool(name: "test", threads: threads)
        let count = Count()
        for round in 1...5 {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<200 {
                    group.addTask { try await pool.run { count.add() } }
                }
                try await group.waitForAll()
            }
            #expect(count.value == round * 200)
        }
    }

    private final class Count: Sendable {
        private let number = Atomic<Int>(0)
        var value: Int { number.load(ordering: .relaxed) }
        func add() { number.add(1, ordering: .relaxed) }
    }

    @Test("An error of the job is the caller's")
    func error() async {
        struct Failure: Error {}
        let pool = BlockingPool(name: "test", threads: 1)
        await #expect(throws: Failure.self) { try await pool.run { throw Failure() } }
    }
}
