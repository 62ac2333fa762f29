import ComponentKit
import Essentials
import Telemetry

/// Sends metrics that a component made of other signals, until they are taken, refused for good or the component ends.
struct MetricDelivery: Sendable {
    private let context: Context<InputExports>
    private let holding: Holding

    init(_ context: Context<InputExports>) {
        self.context = context
        holding = context.ledger.holding("flush")
    }

    /// Throws only when cancelled while waiting for another attempt; the batch is given up then.
    func send(_ batch: OTLPBatch, to output: () -> OTLPOutput) async throws {
        var batch = batch
        let count = batch.itemCount
        if count == 0 { return }
        context.ledger.created(count)
        holding.add(count)
        defer { holding.subtract(count) }
        var backoff = Backoff(minimum: .milliseconds(100), maximum: .seconds(5))
        while true {
            let failure: DeliveryError
            do throws(DeliveryError) {
                return try await output().deliver(&batch)
            } catch {
                failure = error
            }
            switch failure.kind {
            case .rejected:
                context.log.warn("Metrics were refused for good", failure, ["points": "\(count)"])
                return output().metrics.giveUp(batch, after: failure)
            case .retry(let wait), .overloaded(let wait):
                do {
                    try await context.clock.sleep(for: wait ?? backoff.next())
                } catch {
                    output().metrics.giveUp(batch, .stopped)
                    throw error
                }
            }
        }
    }
}
