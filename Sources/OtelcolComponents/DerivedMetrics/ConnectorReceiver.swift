import ComponentKit
import Telemetry

/// What connectors do that make metrics of each batch for itself.
enum ConnectorReceiver {
    /// Installs `make` behind a new receiver: what it makes goes to the output in place of the batch.
    static func receiver(
        _ context: Context<InputExports>, output: @escaping @Sendable () -> OTLPOutput?,
        make: @escaping @Sendable (OTLPBatch) throws -> OTLPBatch
    ) -> Receiver<OTLPBatch> {
        let receiver = context.makeReceiver(OTLPBatch.self)
        let ledger = context.ledger
        receiver.install { (batch: OTLPBatch) async throws(DeliveryError) in
            guard let output = output() else { throw .retry("the component is gone") }
            var result: OTLPBatch
            do {
                result = try make(batch)
            } catch {
                throw .rejected(.rule, "\(error)")
            }
            result.takenBy = batch.takenBy
            try await output.deliver(&result)
            ledger.created(result.itemCount)
            ledger.merged(batch.itemCount)
        }
        return receiver
    }
}
