package import AlloySyntax
package import ComponentKit
import Essentials
import SelfMetrics
import Telemetry

/// Keeps what passed lately in memory, to look at it in the console: a lens, not a database.
///
/// Takes whatever it is sent; what is too much goes, the oldest first, and is counted. The pages of the component
/// (`/api/v0/component/<id>/`) answer questions about what is there; see `Docs/HTTP-API.md`.
package final class InvarRecent: Component {
    package static let spec = ComponentSpec(
        "invar.recent", .generallyAvailable, "Keeps the metrics, logs and traces of the last minutes for the console.")

    package struct Arguments: Block, Sendable {
        let limits: RecentStore.Limits

        package init(from block: inout BlockReader) {
            let retention = block.optional("retention", default: Duration.seconds(900), "How long things are kept.")
            let size = block.optional(
                "max_size", default: ByteCount.mebibytes(64),
                "Bytes all of it together may take; the oldest goes first.")
            if block.isSet("retention"), retention < .seconds(10) { block.reject("retention", "must be at least 10s") }
            if block.isSet("max_size"), size < .mebibytes(1) { block.reject("max_size", "must be at least 1MiB") }
            limits = RecentStore.Limits(retention: retention, bytes: size.bytes)
        }
    }

    package struct Exports: WritableBlock {
        var metrics: Receiver<MetricBatch>
        var logs: Receiver<LogBatch>
        var input: Receiver<OTLPBatch>

        package static let placeholder = Exports(metrics: .placeholder, logs: .placeholder, input: .placeholder)

        package func write(to block: inout BlockWriter) {
            block.attribute("metrics_receiver", metrics, "Takes metrics of `prometheus.*` components.")
            block.attribute("logs_receiver", logs, "Takes log entries of `loki.*` components.")
            block.attribute("input", input, "Takes traces, metrics and logs of `otelcol.*` components.")
        }
    }

    private let arguments: Live<Arguments>
    private let context: Context<Exports>
    private let store: RecentStore

    package init(_ arguments: Live<Arguments>, _ context: Context<Exports>) throws {
        self.arguments = arguments
        self.context = context
        let store = RecentStore(arguments.current.limits, account: context.memory, clock: context.clock)
        self.store = store
        let ledger = context.ledger
        let metrics = context.makeReceiver(MetricBatch.self)
        metrics.install { (batch: MetricBatch) async throws(DeliveryError) in
            Self.book(store.add(batch), of: batch.itemCount, in: ledger)
        }
        let logs = context.makeReceiver(LogBatch.self)
        logs.install { (batch: LogBatch) async throws(DeliveryError) in
            Self.book(store.add(batch), of: batch.itemCount, in: ledger)
        }
        let input = context.makeReceiver(OTLPBatch.self)
        input.install { (batch: OTLPBatch) async throws(DeliveryError) in
            Self.book(store.add(batch), of: batch.itemCount, in: ledger)
        }
        context.metrics.collector { [weak store] in store?.selfMetrics() ?? [] }
        context.serve { request in RecentPages(store).answer(request) }
        context.export(Exports(metrics: metrics, logs: logs, input: input))
    }

    private static func book(_ refused: RecentStore.Refused, of count: Int, in ledger: ComponentLedger) {
        let (tooOld, surplus) = (min(refused.tooOld, count), min(refused.surplus, count))
        ledger.drop(tooOld, .tooOld)
        ledger.drop(surplus, .limit)
        ledger.delivered(count - tooOld - surplus)
    }

    package func argumentsChanged() { store.change(arguments.current.limits) }

    /// Lets go of what is too old while nothing comes, and of everything in the end.
    package func run() async throws {
        defer { store.removeAll() }
        while true {
            try await context.clock.sleep(for: .seconds(5))
            store.sweep()
        }
    }
}

extension RecentStore {
    fileprivate func selfMetrics() -> [CollectedFamily] {
        read { state in
            func gauge(_ name: String, _ help: String, _ value: Int) -> CollectedFamily {
                CollectedFamily(
                    name: name, help: help, kind: .gauge, samples: [CollectedSample(labels: [], value: Double(value))])
            }
            var evicted: [CollectedSample] = []
            for (kind, counts) in [
                ("samples", state.evicted.samples), ("entries", state.evicted.entries), ("spans", state.evicted.spans),
            ] {
                for why in Eviction.allCases {
                    guard let count = counts[why] else { continue }
                    evicted.append(
                        CollectedSample(labels: [("kind", kind), ("reason", why.rawValue)], value: Double(count)))
                }
            }
            return [
                gauge("invar_recent_bytes", "Bytes held.", state.byteCount),
                gauge("invar_recent_series", "Series held.", state.series.count),
                gauge("invar_recent_samples", "Samples held.", state.samples),
                gauge("invar_recent_entries", "Log entries held.", state.entries.count),
                gauge("invar_recent_spans", "Spans held.", state.traces.spanCount),
                CollectedFamily(
                    name: "invar_recent_evicted_total",
                    help: "Items forgotten because they are too old, or for lack of room.",
                    kind: .counter, samples: evicted),
            ]
        }
    }
}

extension InvarRecent: Explaining {
    package func explain(_ item: ExplainedItem) -> Explanation? {
        guard item.signal != nil else { return nil }
        return Explanation(results: [Explanation.Result(item, .destination("the console of this program"))])
    }
}
