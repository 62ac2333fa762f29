import ComponentKit
import Synchronization
import TestKit
import Testing

@Suite("Live")
struct LiveTests {
    private struct Settings: Sendable {
        var address: String
        var other: Int
    }

    @Test("whileCurrent restarts only when its projection changes")
    func restarts() {
        let executor = ManualExecutor()
        let live = Live(Settings(address: "a", other: 1))
        let box = EventBox()
        let task = Task(executorPreference: executor) {
            try await live.whileCurrent({ $0.address }) { address in
                box.append("start \(address)")
                defer { box.append("stop \(address)") }
                try await waitForCancellation()
            }
        }
        executor.drain()
        live.replace(with: Settings(address: "a", other: 2))
        executor.drain()
        #expect(box.all == ["start a"])
        live.replace(with: Settings(address: "b", other: 2))
        executor.drain()
        #expect(box.all == ["start a", "stop a", "start b"])
        task.cancel()
        executor.drain()
        #expect(box.all == ["start a", "stop a", "start b", "stop b"])
    }

    @Test("A body that throws ends the whole call with its error")
    func failure() async {
        struct Failure: Error {}
        let live = Live(1)
        await #expect(throws: Failure.self) {
            try await live.whileCurrent({ $0 }) { _ in throw Failure() }
        }
    }
}

private final class EventBox: Sendable {
    private let events = Mutex<[String]>([])
    func append(_ event: String) { events.withLock { $0.append(event) } }
    var all: [String] { events.withLock { $0 } }
}
