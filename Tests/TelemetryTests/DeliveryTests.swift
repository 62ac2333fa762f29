import Synchronization
import Telemetry
import Testing

@Suite("Fanout and ledger")
struct DeliveryTests {
    private final class Sink: Sendable {
        let receiver: Receiver<LogBatch>
        let taken = Mutex(0)
        let error = Mutex<DeliveryError?>(nil)

        init(_ name: String) {
            receiver = Receiver(ledger: ComponentLedger(componentID: name))
            receiver.install { [unowned self] (batch: LogBatch) async throws(DeliveryError) in
                if let error = self.error.withLock({ $0 }) { throw error }
                self.taken.withLock { $0 += batch.itemCount }
            }
        }
    }

    private func batch(_ count: Int) -> LogBatch {
        var batch = LogBatch()
        for index in 0..<count { batch.append("line \(index)", labels: ["a": "b"], timestamp: Int64(index)) }
        return batch
    }

    @Test("What a queue on disk held before is part of the books, once, and what it lost is dropped")
    func reopening() {
        let ledger = ComponentLedger(componentID: "sink")
        let queue = ledger.holding("queue")
        ledger.reopened(queue, with: 10)
        #expect(ledger.statement.restored == 10 && queue.items == 10 && ledger.statement.unaccounted == 0)
        ledger.delivered(4)
        queue.subtract(4)
        // The queue is closed and opened again by the same component.
        ledger.reopened(queue, with: 6)
        #expect(ledger.statement.restored == 10 && queue.items == 6)
        ledger.reopened(queue, with: 5)
        #expect(queue.items == 5 && ledger.statement.droppedItems == 1 && ledger.statement.unaccounted == 0)
    }

    @Test("A retry goes only to the receiver that refused")
    func retry() async throws {
        let fast = Sink("fast")
        let slow = Sink("slow")
        slow.error.withLock { $0 = .overloaded("full") }
        let ledger = ComponentLedger(componentID: "source")
        let fanout = Fanout([fast.receiver, slow.receiver], ledger: ledger)
        var batch = batch(3)
        await #expect(throws: DeliveryError.self) { try await fanout.deliver(&batch) }
        #expect(ledger.statement.outgoing == 0)
        slow.error.withLock { $0 = nil }
        try await fanout.deliver(&batch)
        #expect(fast.taken.withLock { $0 } == 3)
        #expect(slow.taken.withLock { $0 } == 3)
        let statement = ledger.statement
        #expect(statement.outgoing == 3)
        #expect(
            statement.edges.map { "\($0.to) \($0.accepted) \($0.refused.map(\.items))" } == ["fast 3 []", "slow 3 [3]"])
        #expect(slow.receiver.ledger.statement.incoming == 3)
        #expect(slow.receiver.ledger.statement.refused.map(\.items) == [3])
    }

    @Test("A rejection by one of two is final and counted on its edge; by all it reaches the source")
    func rejection() async throws {
        let good = Sink("good")
        let bad = Sink("bad")
        bad.error.withLock { $0 = .rejected(.malformed, "no") }
        let ledger = ComponentLedger(componentID: "source")
        try await Fanout([good.receiver, bad.receiver], ledger: ledger)(batch(2))
        #expect(ledger.statement.outgoing == 2)
        let only = Fanout([bad.receiver], ledger: ComponentLedger(componentID: "other"))
        let refused = await #expect(throws: DeliveryError.self) { try await only(self.batch(2)) }
        #expect(refused?.kind == .rejected)
    }

    @Test("Without receivers items are dropped with a reason, and equal receivers count once")
    func edges() async throws {
        let ledger = ComponentLedger(componentID: "source")
        try await Fanout<LogBatch>([], ledger: ledger)(batch(4))
        #expect(ledger.statement.dropped.map { "\($0.reason) \($0.items)" } == ["no_receivers 4"])
        let sink = Sink("sink")
        try await Fanout([sink.receiver, sink.receiver], ledger: ledger)(batch(1))
        #expect(sink.taken.withLock { $0 } == 1)
    }

    @Test("A receiver nobody serves asks for a retry")
    func notInstalled() async {
        let receiver = Receiver<LogBatch>(ledger: ComponentLedger(componentID: "late"))
        let error = await #expect(throws: DeliveryError.self) {
            try await Fanout([receiver], ledger: nil)(self.batch(1))
        }
        #expect(error?.isRetryable == true)
    }

    @Test("The books say what is unaccounted for")
    func law() {
        let ledger = ComponentLedger(componentID: "x")
        ledger.originated(10)
        ledger.delivered(6)
        ledger.drop(1, .limit)
        let queue = ledger.holding("queue")
        queue.add(3)
        #expect(ledger.statement.unaccounted == 0)
        queue.subtract(1)
        #expect(ledger.statement.unaccounted == 1)
        ledger.merged(2)
        ledger.created(1)
        #expect(ledger.statement.unaccounted == 0)
    }
}
