import Synchronization
import Telemetry
import Testing

@Suite("Fanout over several ways and attempts")
struct FanoutTests {
    /// A receiver that takes batches, unless it is told to answer otherwise.
    private final class Sink: Sendable {
        let receiver: Receiver<LogBatch>
        private let state = Mutex<(taken: [String], answers: [DeliveryError?])>(([], []))

        init(_ name: String) {
            receiver = Receiver(ledger: ComponentLedger(componentID: name))
            receiver.install { [unowned self] (batch: LogBatch) async throws(DeliveryError) in
                let answer = self.state.withLock { state in state.answers.isEmpty ? nil : state.answers.removeFirst() }
                if let answer { throw answer }
                self.state.withLock { $0.taken.append(batch.line(batch.entries[0])) }
            }
        }

        /// What the next attempts get, one after another; nil takes the batch.
        func answer(_ answers: DeliveryError?...) { state.withLock { $0.answers = answers } }
        var taken: [String] { state.withLock { $0.taken } }
    }

    /// A component that passes on what it gets with its name behind the line.
    private final class Stage: Sendable {
        let receiver: Receiver<LogBatch>
        let ledger: ComponentLedger

        init(_ name: String, to receivers: [Receiver<LogBatch>]) {
            let ledger = ComponentLedger(componentID: name)
            let fanout = Fanout(receivers, ledger: ledger)
            self.ledger = ledger
            receiver = Receiver(ledger: ledger)
            receiver.install { (batch: LogBatch) async throws(DeliveryError) in
                var output = FanoutTests.batch(batch.line(batch.entries[0]) + name)
                output.takenBy = batch.takenBy
                try await fanout(output)
            }
        }
    }

    private static func batch(_ line: String) -> LogBatch {
        var batch = LogBatch()
        batch.append(line, labels: ["a": "b"], timestamp: 1)
        return batch
    }

    @Test("A receiver reached on two ways gets a copy on each, also when the first attempt failed")
    func diamond() async throws {
        let (shared, other) = (Sink("shared"), Sink("other"))
        let first = Stage("1", to: [shared.receiver, other.receiver])
        let second = Stage("2", to: [shared.receiver])
        let ledger = ComponentLedger(componentID: "source")
        let fanout = Fanout([first.receiver, second.receiver], ledger: ledger)
        shared.answer(nil, .retry("not the second"))
        other.answer(.retry("not yet"))
        var batch = Self.batch("x")
        await #expect(throws: DeliveryError.self) { try await fanout.deliver(&batch) }
        #expect(shared.taken == ["x1"] && other.taken.isEmpty)
        try await fanout.deliver(&batch)
        #expect(shared.taken == ["x1", "x2"])
        #expect(other.taken == ["x1"])
        #expect(ledger.statement.outgoing == 1)
        #expect(second.ledger.statement.outgoing == 1)
    }

    @Test("One component reached on two ways keeps the ways apart below it")
    func sharedStage() async throws {
        let (left, right) = (Sink("left"), Sink("right"))
        let shared = Stage("s", to: [left.receiver, right.receiver])
        let first = Stage("1", to: [shared.receiver])
        let second = Stage("2", to: [shared.receiver])
        let fanout = Fanout([first.receiver, second.receiver], ledger: ComponentLedger(componentID: "source"))
        // The first way's copy gets to the left only, the second way's to the right only.
        left.answer(nil, .retry("later"))
        right.answer(.retry("later"), nil)
        var batch = Self.batch("x")
        await #expect(throws: DeliveryError.self) { try await fanout.deliver(&batch) }
        try await fanout.deliver(&batch)
        #expect(left.taken == ["x1s", "x2s"])
        #expect(right.taken.sorted() == ["x1s", "x2s"])
    }

    @Test("Outputs made from one input are told apart by their branch")
    func branches() async throws {
        let sink = Sink("sink")
        let fanout = Fanout([sink.receiver], ledger: ComponentLedger(componentID: "splitter"))
        var input = ReceiverSet()
        func split() async throws {
            for number in 0..<2 {
                var output = Self.batch("\(number)")
                output.takenBy = input.branch(number)
                defer { input.formUnion(output.takenBy) }
                try await fanout.deliver(&output)
            }
        }
        sink.answer(nil, .retry("later"))
        await #expect(throws: DeliveryError.self) { try await split() }
        try await split()
        #expect(sink.taken == ["0", "1"])
    }

    @Test("A receiver that refused for good has not taken the batch on the next attempt")
    func refusedIsNotTaken() async throws {
        let (first, second) = (Sink("first"), Sink("second"))
        let ledger = ComponentLedger(componentID: "source")
        let fanout = Fanout([first.receiver, second.receiver], ledger: ledger)
        first.answer(.rejected(.malformed, "never"))
        second.answer(.retry("later"), .rejected(.limit, "never"))
        var batch = Self.batch("x")
        let early = await #expect(throws: DeliveryError.self) { try await fanout.deliver(&batch) }
        #expect(early?.isRetryable == true && early?.anyTaken == false)
        let late = await #expect(throws: DeliveryError.self) { try await fanout.deliver(&batch) }
        #expect(late?.kind == .rejected && late?.anyTaken == false)
        #expect(ledger.statement.outgoing == 0)
        let drops = ledger.statement.edges.map { "\($0.to) \($0.dropped.map { "\($0.reason) \($0.items)" })" }
        #expect(drops == ["first [\"malformed 1\"]", "second [\"limit 1\"]"])
        // A third attempt finds nobody to ask.
        let third = await #expect(throws: DeliveryError.self) { try await fanout.deliver(&batch) }
        #expect(third?.kind == .rejected && [.malformed, .limit].contains(third?.reason))
    }

    @Test("Who gives up has delivered when anyone took the batch, and the other edges say what they lost")
    func givingUp() async throws {
        let (first, second) = (Sink("first"), Sink("second"))
        let ledger = ComponentLedger(componentID: "source")
        let fanout = Fanout([first.receiver, second.receiver], ledger: ledger)
        second.answer(.overloaded("full"), .overloaded("full"))
        do throws(DeliveryError) {
            try await fanout(Self.batch("x"))
        } catch {
            #expect(error.anyTaken)
            fanout.giveUp(Self.batch("x"), after: error)
        }
        first.answer(.retry("no"))
        do throws(DeliveryError) {
            try await fanout(Self.batch("y"))
        } catch {
            #expect(!error.anyTaken)
            fanout.giveUp(Self.batch("y"), after: error)
        }
        let statement = ledger.statement
        #expect(statement.outgoing == 1)
        #expect(statement.dropped.map { "\($0.reason) \($0.items)" } == ["overloaded 1"])
        let drops = statement.edges.map { "\($0.to) \($0.accepted) \($0.dropped.map(\.items))" }
        #expect(drops == ["first 1 [1]", "second 0 [2]"])
    }

    @Test("A receiver that has to wait does not delay those after it")
    func concurrency() async throws {
        let slow = Receiver<LogBatch>(ledger: ComponentLedger(componentID: "slow"))
        let (waiting, gate) = AsyncStream<Void>.makeStream()
        slow.install { (_: LogBatch) async throws(DeliveryError) in
            for await _ in waiting { break }
        }
        let (fast, last) = (Sink("fast"), Sink("last"))
        let fanout = Fanout(
            [slow, fast.receiver, last.receiver], ledger: ComponentLedger(componentID: "source"))
        let delivery = Task { try await fanout(Self.batch("x")) }
        for _ in 0..<100_000 where fast.taken.isEmpty || last.taken.isEmpty { await Task.yield() }
        #expect(fast.taken == ["x"] && last.taken == ["x"])
        #expect(slow.ledger.statement.incoming == 0)
        gate.yield()
        try await delivery.value
        #expect(slow.ledger.statement.incoming == 1)
    }
}
