package import AlloySyntax
package import ComponentKit
import Essentials
import Synchronization
import Telemetry
import Wire

/// Turns monotonic sums and histograms that count from a start into differences from point to point.
package final class OtelcolProcessorCumulativeToDelta: Component {
    package typealias Exports = InputExports

    package static let spec = ComponentSpec(
        "otelcol.processor.cumulativetodelta", .publicPreview, "Turns cumulative metrics into deltas.")

    package struct Arguments: Block, Sendable {
        let settings: DeltaSettings
        let include: MetricSelection
        let exclude: MetricSelection
        let output: OTLPOutput

        package init(from block: inout BlockReader) {
            settings = DeltaSettings(from: &block)
            include = block.block("include", "The metrics to convert; all when left out.")
            exclude = block.block("exclude", "The metrics not to convert.")
            output = block.requiredBlock("output", OTLPOutput.doc)
            DebugMetrics.read(from: &block)
        }

        /// Whether the metric is one to convert, by its name and kind.
        func selects(_ name: UnsafeRawBufferPointer, _ kind: OTLPMetricKind) -> Bool {
            if let names = include.names, !names.contains(name) { return false }
            if !include.kinds.isEmpty, !include.kinds.contains(kind) { return false }
            if let names = exclude.names, names.contains(name) { return false }
            return !exclude.kinds.contains(kind)
        }
    }

    private let arguments: Live<Arguments>
    private let context: Context<InputExports>
    private let way: HeldOutput
    private let tracker: Mutex<DeltaTracker>

    package init(_ arguments: Live<Arguments>, _ context: Context<InputExports>) throws {
        self.arguments = arguments
        self.context = context
        way = HeldOutput(context)
        tracker = Mutex(DeltaTracker(began: context.clock.wallNanoseconds))
        let receiver = context.makeReceiver(OTLPBatch.self)
        receiver.install { [weak self] (batch: OTLPBatch) async throws(DeliveryError) in
            guard let self else { throw .retry("otelcol.processor.cumulativetodelta is gone") }
            try await self.take(batch)
        }
        context.export(InputExports(input: receiver))
    }

    private func take(_ batch: OTLPBatch) async throws(DeliveryError) {
        guard batch.kind == .metrics else {
            throw .rejected("unsupported_signal", "\(context.componentID) takes metrics only")
        }
        let current = arguments.current
        try way.checkRoom(for: batch.byteCount)
        let (result, dropped): (OTLPBatch, DeltaTracker.Dropped)
        do {
            (result, dropped) = try tracker.withLock { tracker in
                let before = tracker.bytes
                defer { settle(tracker.bytes - before) }
                return try tracker.convert(batch, current)
            }
        } catch {
            throw .rejected(.malformed, "\(error)")
        }
        context.ledger.drop(dropped.initial, "initial")
        context.ledger.drop(dropped.reset, "reset")
        context.ledger.drop(dropped.mismatch, "bucket_mismatch")
        await way.send(result) { current.output }
    }

    private func settle(_ difference: Int) {
        if difference > 0 { context.memory.book(difference) } else { context.memory.release(-difference) }
    }

    /// Forgets streams that have not been seen for `max_staleness`, until cancelled.
    package func run() async throws {
        context.report(.healthy("converting"))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { [self] in try await way.run { self.arguments.current.output } }
            group.addTask { [self] in
                try await arguments.whileCurrent(\.settings.staleness) { [self] staleness in
                    while true {
                        try await context.clock.sleep(for: staleness > .zero ? staleness : .seconds(3600))
                        if staleness > .zero { forget(staleness) }
                    }
                }
            }
            defer { group.cancelAll() }
            while try await group.next() != nil {}
        }
    }

    private func forget(_ staleness: Duration) {
        let oldest = context.clock.wallNanoseconds &- staleness.nanoseconds
        tracker.withLock { tracker in
            let before = tracker.bytes
            tracker.forget(before: oldest)
            settle(tracker.bytes - before)
        }
    }
}

/// What becomes of the first point of a stream.
enum InitialValue: String, AlloyWord {
    static var placeholder: InitialValue { .auto }

    /// Sent when its start shows that nothing was missed.
    case auto
    /// Sent as it is.
    case keep
    /// Not sent.
    case drop
}

/// How deltas are made.
struct DeltaSettings: Sendable, Equatable {
    let staleness: Duration
    let initial: InitialValue

    init(from block: inout BlockReader) {
        staleness = block.optional(
            "max_staleness", default: .zero, "Time after which a stream without points is forgotten; 0 is never.")
        initial = block.optional("initial_value", default: .auto, "What becomes of the first point of a stream.")
        if staleness < .zero { block.reject("max_staleness", "must not be negative") }
    }
}

/// The `include` and `exclude` blocks.
struct MetricSelection: Block, Sendable {
    let names: TextSet?
    let kinds: Set<OTLPMetricKind>

    init(from block: inout BlockReader) {
        let metrics: [String]? = block.optional("metrics", "Names or patterns of metrics.")
        let type: String? = block.optional("match_type", "How names are compared: strict or regexp.")
        let types: [String]? = block.optional("metric_types", "Kinds of metrics: sum or histogram.")
        if (metrics ?? []).isEmpty != (type ?? "").isEmpty {
            block.reject("metrics", "and match_type go together: give both or none")
        }
        if let type, !type.isEmpty, type != "strict", type != "regexp" {
            block.reject("match_type", "must be \"strict\" or \"regexp\"")
        }
        var names: TextSet?
        if let metrics, !metrics.isEmpty {
            do { names = try TextSet(metrics, type == "regexp") } catch { block.reject("metrics", "\(error)") }
        }
        self.names = names
        var kinds: Set<OTLPMetricKind> = []
        for name in types ?? [] {
            switch name.lowercased() {
            case "sum": kinds.insert(.sum)
            case "histogram": kinds.insert(.histogram)
            case "exponentialhistogram": kinds.insert(.exponentialHistogram)
            default:
                block.reject("metric_types", "\"\(name)\" must be \"sum\", \"histogram\" or \"exponentialhistogram\"")
            }
        }
        self.kinds = kinds
    }
}
