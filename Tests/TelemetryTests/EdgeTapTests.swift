import Synchronization
import Telemetry
import Testing

@Suite("The edges of a component while somebody looks")
struct EdgeTapTests {
    private final class Sights: Sendable {
        private let texts = Mutex<[String]>([])

        func note(_ sight: EdgeSight) {
            let way = sight.passage == .incoming ? "in" : "out"
            let what =
                (sight.batch as? LogBatch).map { $0.line($0.entries[0]) } ?? "refused: \(sight.problem?.message ?? "")"
            texts.withLock { $0.append("\(way) \(sight.count) \(what)") }
        }

        func take() -> [String] {
            texts.withLock { texts in
                defer { texts = [] }
                return texts
            }
        }
    }

    private static func batch(_ line: String) -> LogBatch {
        var batch = LogBatch()
        batch.append(line, labels: ["a": "b"], timestamp: 1)
        return batch
    }

    @Test("Batches are seen on their way in and out, with what became of those that are not taken")
    func bothWays() async throws {
        let sink = Receiver<LogBatch>(ledger: ComponentLedger(componentID: "sink"))
        let ledger = ComponentLedger(componentID: "stage")
        #expect(!ledger.tap.hasSights)
        let receiver = Receiver<LogBatch>(ledger: ledger)
        let fanout = Fanout([sink], ledger: ledger)
        #expect(ledger.tap.hasSights)
        receiver.install { (batch: LogBatch) async throws(DeliveryError) in
            var output = Self.batch(batch.line(batch.entries[0]).uppercased())
            output.takenBy = batch.takenBy
            try await fanout(output)
        }
        sink.install { _ in }
        let sights = Sights()
        try await receiver.consume(Self.batch("nobody looks"))
        ledger.tap.show(to: { sights.note($0) })
        try await receiver.consume(Self.batch("x"))
        #expect(sights.take() == ["in 1 x", "out 1 X"])
        sink.install(nil)
        await #expect(throws: DeliveryError.self) { try await receiver.consume(Self.batch("y")) }
        #expect(
            sights.take() == ["in 1 y", "out 1 refused: sink is not running", "in 1 refused: sink is not running"])
        ledger.tap.show(to: nil)
        sink.install { _ in }
        try await receiver.consume(Self.batch("z"))
        #expect(sights.take().isEmpty)
    }

    @Test("A component that shows its items by itself is not shown by its edges")
    func replaced() async throws {
        let ledger = ComponentLedger(componentID: "own")
        let receiver = Receiver<LogBatch>(ledger: ledger)
        receiver.install { _ in }
        let sights = Sights()
        ledger.tap.show(to: { sights.note($0) })
        ledger.tap.replace()
        try await receiver.consume(Self.batch("x"))
        ledger.tap.show(to: { sights.note($0) })
        try await receiver.consume(Self.batch("y"))
        #expect(sights.take().isEmpty && ledger.tap.hasSights)
    }
}
