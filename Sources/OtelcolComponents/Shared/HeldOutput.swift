import ComponentKit
import Essentials
import Synchronization
import Telemetry

/// The way out of a component that cannot make the same of the same input twice, because it has counted or joined it: what
/// it made is held, in order and within a bound, and offered to the consumers until they take it or refuse it for good.
///
/// Ask ``checkRoom(for:)`` before the state of the component changes, then ``send(_:to:)``, and run ``run(_:)`` beside.
final class HeldOutput: Sendable {
    private struct State {
        var waiting: [OTLPBatch] = []
        var items = 0
        /// One task at a time sends, so that the order stays.
        var isSending = false
        var retryAt: Int64?
        /// Once the component has ended: nothing is taken any more.
        var isClosed = false
        /// While what is left is offered for the last time.
        var isFinishing = false
        var backoff = Backoff(minimum: .milliseconds(100), maximum: .seconds(5))
    }

    /// Items that may wait before senders are told to.
    static let bound = 20_000

    private let context: Context<InputExports>
    private let holding: Holding
    private let alarm: Alarm
    private let state = Mutex(State())

    init(_ context: Context<InputExports>, holding: String = "output") {
        self.context = context
        self.holding = context.ledger.holding(holding)
        alarm = Alarm(clock: context.clock)
    }

    /// Whether the component has ended and takes nothing.
    var isClosed: Bool { state.withLock { $0.isClosed } }

    /// Throws when a batch of `bytes` must not be taken now.
    func checkRoom(for bytes: Int) throws(DeliveryError) {
        if isClosed { throw .retry(after: .seconds(1), "\(context.componentID) is not running") }
        if state.withLock({ $0.items }) >= Self.bound {
            throw .overloaded(
                retryAfter: .seconds(1), "the consumers take nothing, and the bound of what waits is reached")
        }
        guard context.memory.reserve(bytes) else {
            throw .overloaded(retryAfter: .seconds(1), "the memory budget is exhausted")
        }
        context.memory.release(bytes)
    }

    /// Holds `batch` and sends it if the consumers take it now.
    func send(_ batch: OTLPBatch, to output: () -> OTLPOutput) async {
        if batch.itemCount == 0 { return }
        context.memory.book(batch.byteCount)
        holding.add(batch.itemCount)
        state.withLock { state in
            state.waiting.append(batch)
            state.items += batch.itemCount
        }
        await drain(output)
        if state.withLock({ $0.isClosed && !$0.isFinishing }) { giveUp(output) }
    }

    /// Offers what was refused again until cancelled. Then takes nothing more, lets `last` send what the component still
    /// has, and asks a last few times; what is left then is dropped and counted.
    func run(
        _ output: @escaping @Sendable () -> OTLPOutput, last: @escaping @Sendable () async -> Void = {}
    ) async throws {
        state.withLock { $0.isClosed = false }
        while true {
            do {
                try await alarm.wait()
            } catch {
                break
            }
            await drain(output)
        }
        // The rest goes out in spite of the cancellation; this task is awaited.
        await Task(executorPreference: context.services.executor) { [self] in
            state.withLock { state in
                state.isClosed = true
                state.isFinishing = true
            }
            await last()
            await finish(output)
            state.withLock { $0.isFinishing = false }
            giveUp(output)
        }.value
        throw CancellationError()
    }

    private func finish(_ output: () -> OTLPOutput) async {
        for attempt in 0..<3 where state.withLock({ !$0.waiting.isEmpty }) {
            if attempt > 0 { try? await context.clock.sleep(for: .milliseconds(200)) }
            state.withLock { $0.retryAt = nil }
            await drain(output)
        }
    }

    private func giveUp(_ output: () -> OTLPOutput) {
        while let batch = state.withLock({ $0.waiting.isEmpty ? nil : $0.waiting.removeFirst() }) {
            settle(batch)
            output()[batch.kind].giveUp(batch, .stopped)
        }
    }

    private func next() -> OTLPBatch? {
        state.withLock { state in
            if state.isSending || state.waiting.isEmpty { return nil }
            if let retryAt = state.retryAt, context.clock.monotonicNanoseconds < retryAt { return nil }
            state.retryAt = nil
            state.isSending = true
            return state.waiting.removeFirst()
        }
    }

    private func drain(_ output: () -> OTLPOutput) async {
        while var batch = next() {
            let consumers = output()
            do throws(DeliveryError) {
                try await consumers.deliver(&batch)
                state.withLock { state in
                    state.isSending = false
                    state.backoff.reset()
                }
                settle(batch)
            } catch {
                if error.isRetryable { return putBack(batch) }
                state.withLock { $0.isSending = false }
                settle(batch)
                consumers[batch.kind].giveUp(batch, after: error)
                context.log.warn("Consumers refused a batch", error, ["items": "\(batch.itemCount)"])
            }
        }
    }

    private func putBack(_ batch: OTLPBatch) {
        let retryAt = state.withLock { state in
            state.waiting.insert(batch, at: 0)
            state.isSending = false
            let retryAt = context.clock.monotonicNanoseconds &+ state.backoff.nextExact().nanoseconds
            state.retryAt = retryAt
            return retryAt
        }
        alarm.set(retryAt)
    }

    private func settle(_ batch: OTLPBatch) {
        state.withLock { $0.items -= batch.itemCount }
        holding.subtract(batch.itemCount)
        context.memory.release(batch.byteCount)
    }
}
