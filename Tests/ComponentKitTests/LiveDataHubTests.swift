import ComponentKit
import Synchronization
import Telemetry
import Testing

@Suite("LiveDataHub")
struct LiveDataHubTests {
    private func send(_ receiver: Receiver<LogBatch>, _ line: String) async throws {
        var batch = LogBatch()
        batch.append(line, labels: ["a": "b"], timestamp: 1)
        try await receiver.consume(batch)
    }

    @Test(
        "Edges are shown while somebody looks and the configuration allows it, also those of a component that comes later"
    )
    func edges() async throws {
        let hub = LiveDataHub()
        let seen = Mutex<[String]>([])
        let observer = LiveDataHub.Observer(
            item: { _ in },
            edge: { sight in
                let line = (sight.batch as? LogBatch).map { $0.line($0.entries[0]) } ?? ""
                seen.withLock { $0.append(line) }
            })
        func component() -> Receiver<LogBatch> {
            let ledger = ComponentLedger(componentID: "loki.echo.e")
            hub.connect(ledger)
            let receiver = Receiver<LogBatch>(ledger: ledger)
            receiver.install { _ in }
            return receiver
        }
        let first = component()
        let stop = hub.observe("loki.echo.e", observer)
        try await send(first, "not allowed")
        hub.isEnabled = true
        try await send(first, "one")
        let second = component()
        try await send(second, "two")
        let other = hub.observe("loki.echo.other", observer)
        other()
        stop()
        stop()
        try await send(first, "late")
        try await send(second, "late")
        #expect(seen.withLock { $0 } == ["one", "two"])
    }
}
