import ComponentKit
import Essentials
import Telemetry

/// Hands batches of a source to its receivers until they are taken, or refused for good.
struct LogDelivery: Sendable {
    private let context: Context<NoValues>
    private let forwardTo: @Sendable () -> Fanout<LogBatch>
    private let refusals: LogLimiter

    init(_ context: Context<NoValues>, to forwardTo: @escaping @Sendable () -> Fanout<LogBatch>) {
        self.context = context
        self.forwardTo = forwardTo
        refusals = LogLimiter(every: .seconds(10), clock: context.clock)
    }

    /// Returns when every receiver has taken the batch or refused it for good. Waits for memory first.
    func deliver(_ batch: LogBatch) async throws {
        if batch.isEmpty { return }
        let bytes = batch.byteCount
        while !context.memory.reserve(bytes) { try await context.clock.sleep(for: .milliseconds(100)) }
        defer { context.memory.release(bytes) }
        var batch = batch
        let count = batch.itemCount
        var backoff = Backoff(minimum: .milliseconds(100), maximum: .seconds(5))
        while true {
            let failure: DeliveryError
            do throws(DeliveryError) {
                try await forwardTo().deliver(&batch)
                context.ledger.originated(count)
                return
            } catch {
                failure = error
            }
            switch failure.kind {
            case .rejected:
                context.ledger.originated(count)
                context.ledger.drop(count, failure.reason)
                refusals.attempt { suppressed in
                    context.log.warn(
                        "Lines refused for good", failure, ["lines": "\(count)", "suppressed": "\(suppressed)"])
                }
                return
            case .retry(let wait), .overloaded(let wait):
                try await context.clock.sleep(for: wait ?? backoff.next())
            }
        }
    }
}
