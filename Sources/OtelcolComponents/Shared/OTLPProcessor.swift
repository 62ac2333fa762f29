import ComponentKit
import Telemetry

/// What the processors that change batches one by one do around the change.
enum OTLPProcessor {
    /// Installs `transform` behind a new receiver: its result goes on to the output.
    ///
    /// Items that are fewer after it are booked as dropped by a rule, or as merged where `mergesItems`; items that are
    /// more as created.
    static func receiver(
        _ context: Context<InputExports>, mergesItems: Bool = false,
        output: @escaping @Sendable () -> OTLPOutput?,
        transform: @escaping @Sendable (OTLPBatch) throws -> OTLPBatch
    ) -> Receiver<OTLPBatch> {
        let receiver = context.makeReceiver(OTLPBatch.self)
        install(on: receiver, context.ledger, mergesItems: mergesItems, output: output, transform: transform)
        return receiver
    }

    /// The same on a receiver that is there.
    static func install(
        on receiver: Receiver<OTLPBatch>, _ ledger: ComponentLedger, mergesItems: Bool = false,
        output: @escaping @Sendable () -> OTLPOutput?,
        transform: @escaping @Sendable (OTLPBatch) throws -> OTLPBatch
    ) {
        receiver.install { (batch: OTLPBatch) async throws(DeliveryError) in
            guard let output = output() else { throw .retry("the component is gone") }
            var result: OTLPBatch
            do {
                result = try transform(batch)
            } catch {
                throw .rejected(.rule, "\(error)")
            }
            result.takenBy = batch.takenBy
            try await output.deliver(&result)
            let difference = result.itemCount - batch.itemCount
            if difference > 0 {
                ledger.created(difference)
            } else if mergesItems {
                ledger.merged(-difference)
            } else {
                ledger.drop(-difference, .rule)
            }
        }
    }
}
