package import ComponentKit
import Synchronization
package import Telemetry

/// A receiver that keeps what it is given, and refuses when told to.
package final class Recorder<Items: RoutableBatch>: Sendable {
    package typealias Policy = @Sendable (Items) -> DeliveryError?

    package let receiver: Receiver<Items>
    private let state = Mutex<(batches: [Items], policy: Policy?)>(([], nil))

    package init(_ name: String) {
        receiver = Receiver(ledger: ComponentLedger(componentID: "recorder." + name))
        receiver.install { [weak self] (batch: Items) async throws(DeliveryError) in
            guard let self else { throw .retry("the recorder is gone") }
            if let policy = self.state.withLock({ $0.policy }), let error = policy(batch) { throw error }
            self.state.withLock { $0.batches.append(batch) }
        }
    }

    /// Everything accepted so far, in order.
    package var batches: [Items] { state.withLock { $0.batches } }

    package var itemCount: Int { batches.reduce(0) { $0 + $1.itemCount } }

    /// Takes what was accepted so far and forgets it.
    package func take() -> [Items] {
        state.withLock { state in
            defer { state.batches = [] }
            return state.batches
        }
    }

    /// From now on refuses the batches for which `policy` returns an error; nil accepts all.
    package func refuse(_ policy: Policy?) { state.withLock { $0.policy = policy } }
}

extension Recorder where Items == MetricBatch {
    /// Every sample as `{labels} value @milliseconds`, in order; staleness markers as `stale`.
    package var samples: [String] {
        batches.flatMap { batch in
            batch.series.indices.map { row in
                let value = batch.values[row]
                let text = Sample.isStale(value) ? "stale" : "\(value)"
                return "\(batch.table[batch.series[row]]) \(text) @\(batch.timestamps[row])"
            }
        }
    }
}

extension Recorder where Items == LogBatch {
    /// Every entry as `{labels} line`, in order.
    package var lines: [String] {
        batches.flatMap { batch in batch.entries.map { "\(batch.streams[Int($0.stream)]) \(batch.line($0))" } }
    }
}
