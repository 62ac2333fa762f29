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

    private struct Endpoint: Sendable, Equatable {
        var name: String
        var header = ""
    }

    @Test("forEachCurrent keeps, adds, removes and updates elements by key")
    func keyed() {
        let executor = ManualExecutor()
        let live = Live([Endpoint(name: "a"), Endpoint(name: "b"), Endpoint(name: "b")])
        let box = EventBox()
        let task = Task(executorPreference: executor) {
            try await live.forEachCurrent({ $0 }, keyedBy: \.name) { element in
                let name = element.current.name
                box.append("start \(name)")
                defer { box.append("stop \(name)") }
                while true {
                    let (_, version) = element.snapshot
                    try await element.change(after: version)
                    box.append("change \(name) \(element.current.header)")
                }
            }
        }
        executor.drain()
        #expect(box.take() == ["start a", "start b", "start b"])
        live.replace(with: [Endpoint(name: "a", header: "x"), Endpoint(name: "b"), Endpoint(name: "c")])
        executor.drain()
        #expect(box.take().sorted() == ["change a x", "start c", "stop b"])
        live.replace(with: [Endpoint(name: "c"), Endpoint(name: "a", header: "x")])
        executor.drain()
        #expect(box.take() == ["stop b"])
        task.cancel()
        executor.drain()
        #expect(box.take().sorted() == ["stop a", "stop c"])
    }

    @Test("forEachCurrent begins a key again only when its old element has ended; others do not wait")
    func keyedAgain() {
        let executor = ManualExecutor()
        let live = Live(["slow"])
        let box = EventBox()
        let gate = Live(0)
        let task = Task(executorPreference: executor) {
            try await live.forEachCurrent({ $0 }, keyedBy: { $0 }) { element in
                let name = element.current
                box.append("start \(name)")
                try? await waitForCancellation()
                // A drain that outlives the cancellation.
                if name == "slow" { await Task { try? await gate.change(after: 0) }.value }
                box.append("stop \(name)")
            }
        }
        executor.drain()
        live.replace(with: ["other"])
        executor.drain()
        live.replace(with: ["other", "slow"])
        executor.drain()
        #expect(box.take() == ["start slow", "start other"])
        gate.replace(with: 1)
        #expect(executor.drain(until: { box.all.count == 2 }))
        #expect(box.take() == ["stop slow", "start slow"])
        task.cancel()
        #expect(executor.drain(until: { box.all.count == 2 }))
    }

    @Test("An element that throws ends forEachCurrent with its error")
    func keyedFailure() async {
        struct Failure: Error {}
        let live = Live([1, 2])
        await #expect(throws: Failure.self) {
            try await live.forEachCurrent({ $0 }, keyedBy: { $0 }) { element in
                if element.current == 2 { throw Failure() }
                try await waitForCancellation()
            }
        }
    }
}

private final class EventBox: Sendable {
    private let events = Mutex<[String]>([])
    func append(_ event: String) { events.withLock { $0.append(event) } }
    var all: [String] { events.withLock { $0 } }
    func take() -> [String] {
        events.withLock { events in
            defer { events = [] }
            return events
        }
    }
}
