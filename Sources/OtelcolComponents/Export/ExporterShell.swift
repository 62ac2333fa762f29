import ComponentKit
import Essentials
import Synchronization
import Telemetry

/// The life of an exporter: its receiver and, while it runs, an ``ExportPipeline`` made from its arguments.
///
/// A component keeps one, makes it in `init` and calls ``run(_:_:)`` from its `run`. When the settings change the old
/// pipeline drains before the new one takes batches; until then senders are asked to come back. What the old destination
/// no longer takes the new one is given, so that new credentials do not cost what waited for them.
final class ExporterShell<Arguments: Sendable>: Sendable {
    /// What settings are made into.
    struct Made {
        var queue: SendingQueue
        var retry: RetryOnFailure
        var destination: any ExportDestination
        /// For people: where batches go.
        var name: String
        /// Called when the pipeline has ended.
        var close: @Sendable () -> Void
    }

    private let arguments: Live<Arguments>
    private let context: Context<InputExports>
    private let pipeline = Mutex<ExportPipeline?>(nil)
    private let leftovers = Mutex<[ExportEntry]>([])

    init(_ arguments: Live<Arguments>, _ context: Context<InputExports>) {
        self.arguments = arguments
        self.context = context
        let receiver = context.makeReceiver(OTLPBatch.self)
        receiver.install { [weak self] (batch: OTLPBatch) async throws(DeliveryError) in
            guard let pipeline = self?.pipeline.withLock({ $0 }) else {
                throw .retry(after: .seconds(1), "the exporter is not running")
            }
            try await pipeline.take(batch)
        }
        context.export(InputExports(input: receiver))
    }

    /// Sends until cancelled. `settings` is what a change of makes everything anew; `make` connects nothing yet.
    func run<Settings: Equatable & Sendable>(
        _ settings: @escaping @Sendable (Arguments) -> Settings,
        _ make: @escaping @Sendable (Settings, Context<InputExports>) throws -> Made
    ) async throws {
        defer {
            for entry in takeLeftovers() { entry.settled(.failed(.stopped, "the exporter stopped")) }
        }
        let latest = LatestSettings<Settings>()
        try await arguments.whileCurrent({ latest.note(settings($0)) }) { [self] current in
            let made = try make(current, context)
            defer { made.close() }
            let next = ExportPipeline(
                queue: made.queue, retry: made.retry, destination: made.destination, context: context,
                exporter: context.componentID,
                successor: ExportSuccessor(
                    isExpected: { latest.value != current },
                    take: { [self] entry in leftovers.withLock { $0.append(entry) } }))
            next.adopt(takeLeftovers())
            do {
                try await next.run { [self] isTaking in
                    pipeline.withLock { $0 = isTaking ? next : nil }
                    if isTaking { context.report(.healthy("sending to \(made.name)")) }
                }
            } catch {
                context.report(.unhealthy("\(error)"))
                throw error
            }
        }
    }

    private func takeLeftovers() -> [ExportEntry] {
        leftovers.withLock { entries in
            defer { entries = [] }
            return entries
        }
    }
}

/// The settings that ``Live/whileCurrent(_:_:)`` has seen last: others than those that run are what comes next, even when
/// they have been changed back since.
final class LatestSettings<Value: Sendable>: Sendable {
    private let latest = Mutex<Value?>(nil)

    var value: Value? { latest.withLock { $0 } }

    func note(_ value: Value) -> Value {
        latest.withLock { $0 = value }
        return value
    }
}
