import AlloySyntax
import ComponentKit
import Essentials
import Telemetry

/// Takes what a receiver read into the graph and books it: in requests that are answered, or from peers that nobody answers.
final class ReceiverDelivery: Sendable {
    private let output: @Sendable () -> OTLPOutput
    private let ledger: ComponentLedger
    private let memory: MemoryAccount
    private let clock: EngineClock
    private let metrics: ReceiverMetrics

    init<Exports: WritableBlock>(
        _ context: Context<Exports>, transport: String, output: @escaping @Sendable () -> OTLPOutput
    ) {
        self.output = output
        ledger = context.ledger
        memory = context.memory
        clock = context.clock
        metrics = ReceiverMetrics(context.metrics, receiver: context.componentID, transport: transport)
    }

    /// What a client is told that comes while memory is short.
    static let noMemory = DeliveryError.overloaded(
        retryAfter: .seconds(1), "data refused due to high memory usage")

    /// One attempt: when it throws a retryable error, the client still has its data and comes again.
    func offer(_ batch: OTLPBatch) async throws(DeliveryError) {
        if batch.itemCount == 0 { return }
        let bytes = batch.byteCount
        guard memory.admit(bytes) else {
            metrics.refused(batch)
            throw Self.noMemory
        }
        defer { memory.release(bytes) }
        var moving = batch
        let output = output()
        do throws(DeliveryError) {
            try await output.deliver(&moving)
        } catch {
            metrics.refused(batch)
            if error.isRetryable, error.anyTaken {
                // The client comes again with everything, but these have been passed on.
                ledger.originated(batch.itemCount)
                ledger.delivered(batch.itemCount)
            } else if !error.isRetryable {
                ledger.originated(batch.itemCount)
                output[batch.kind].giveUp(batch, after: error)
            }
            throw error
        }
        ledger.originated(batch.itemCount)
        metrics.accepted(batch)
    }

    /// Returns when every consumer has taken the batch or refused it for good; false when cancelled before. For peers that
    /// cannot be told to come again: they are read on after this.
    func push(_ batch: OTLPBatch) async -> Bool {
        if batch.itemCount == 0 { return true }
        var moving = batch
        let bytes = batch.byteCount
        memory.book(bytes)
        defer { memory.release(bytes) }
        var backoff = Backoff(minimum: .milliseconds(100), maximum: .seconds(5))
        while true {
            let output = output()
            let failure: DeliveryError
            do throws(DeliveryError) {
                try await output.deliver(&moving)
                ledger.originated(batch.itemCount)
                metrics.accepted(batch)
                return true
            } catch {
                failure = error
            }
            metrics.refused(batch)
            switch failure.kind {
            case .rejected:
                ledger.originated(batch.itemCount)
                output[batch.kind].giveUp(moving, after: failure)
                return true
            case .retry(let wait), .overloaded(let wait):
                do {
                    try await clock.sleep(for: wait ?? backoff.next())
                } catch {
                    ledger.originated(batch.itemCount)
                    output[batch.kind].giveUp(moving, .stopped)
                    return false
                }
            }
        }
    }

    /// Books items that ended before they could become a batch.
    func lost(_ count: Int, _ reason: DropReason) {
        ledger.originated(count)
        ledger.drop(count, reason)
    }
}
