package import AlloySyntax
package import ComponentKit
import Essentials
import SelfMetrics
import Synchronization
import Telemetry
import Wire

/// Keeps or drops whole traces by what is in them: holds the spans of a trace for a while and then asks its policies.
///
/// A batch is taken when its spans are held, within `num_traces` and the memory budget. What was decided to be kept is held
/// until the consumers have taken it.
package final class OtelcolProcessorTailSampling: Component {
    package typealias Exports = InputExports

    package static let spec = ComponentSpec(
        "otelcol.processor.tail_sampling", .generallyAvailable, "Keeps or drops whole traces by policies.")

    package struct Arguments: Block, Sendable {
        let settings: TailSamplingSettings
        let policies: [SamplingPolicy]
        let output: OTLPOutput

        package init(from block: inout BlockReader) {
            settings = TailSamplingSettings(from: &block)
            let policies: [PolicyBlock] = block.blocks(
                "policy", "How to decide about a trace; all are asked.", required: true)
            self.policies = policies.map(\.policy)
            output = block.requiredBlock("output", OTLPOutput.doc)
            DebugMetrics.read(from: &block)
            if Set(self.policies.map(\.name)).count != self.policies.count {
                block.reject("policy", "names must differ")
            }
        }
    }

    let arguments: Live<Arguments>
    let context: Context<InputExports>
    private let way: HeldOutput
    private let holding: Holding
    private let metrics: TailSamplingMetrics
    private let errors: StatementErrors
    let store: Mutex<TraceStore>

    package init(_ arguments: Live<Arguments>, _ context: Context<InputExports>) throws {
        self.arguments = arguments
        self.context = context
        way = HeldOutput(context)
        holding = context.ledger.holding("traces")
        metrics = TailSamplingMetrics(context.metrics)
        errors = StatementErrors(log: context.log, clock: context.clock)
        store = Mutex(TraceStore())
        let receiver = context.makeReceiver(OTLPBatch.self)
        receiver.install { [weak self] (batch: OTLPBatch) async throws(DeliveryError) in
            guard let self else { throw .retry("otelcol.processor.tail_sampling is gone") }
            try await self.take(batch)
        }
        context.export(InputExports(input: receiver))
    }

    // MARK: Taking spans

    private enum Intake {
        case taken(TraceStore.Taken)
        case full
        case closed
    }

    private func take(_ batch: OTLPBatch) async throws(DeliveryError) {
        guard batch.kind == .traces else {
            throw .rejected("unsupported_signal", "\(context.componentID) takes traces only")
        }
        let current = arguments.current
        try way.checkRoom(for: batch.byteCount)
        let parts: [(id: TraceID, batch: OTLPBatch, hasRoot: Bool)]
        do {
            parts = try TraceStore.split(batch)
        } catch {
            throw .rejected(.malformed, "\(error)")
        }
        let now = context.clock.monotonicNanoseconds
        let intake = store.withLock { store -> Intake in
            if way.isClosed { return .closed }
            if current.settings.blocksOnOverflow, !store.hasRoom(for: parts.map(\.id), current.settings) {
                return .full
            }
            let before = (store.bytes, store.items)
            let taken = store.add(parts, current.settings, now: now)
            book(store.bytes - before.0, store.items - before.1)
            metrics.tracesOnMemory.set(store.count)
            return .taken(taken)
        }
        switch intake {
        case .closed: throw .retry(after: .seconds(1), "\(context.componentID) is not running")
        case .full: throw .overloaded(retryAfter: .seconds(1), "num_traces traces wait for their decision")
        case .taken(let taken):
            metrics.newTraces.add(taken.newTraces)
            metrics.droppedEarly.add(taken.evictedTraces)
            metrics.tooLarge.add(taken.largeTraces)
            context.ledger.drop(taken.evictedSpans, .limit, rule: "num_traces")
            context.ledger.drop(taken.largeSpans, .limit, rule: "maximum_trace_size_bytes")
            context.ledger.drop(taken.lateDropped, .rule, rule: "decided_before")
            for late in taken.lateKept { await way.send(late) { current.output } }
        }
    }

    private func book(_ bytes: Int, _ items: Int) {
        if bytes > 0 { context.memory.book(bytes) } else { context.memory.release(-bytes) }
        if items > 0 { holding.add(items) } else { holding.subtract(-items) }
    }

    // MARK: Deciding

    /// Decides each second about the traces whose time has come, until cancelled; then about the others, unless they are to
    /// be dropped.
    package func run() async throws {
        context.report(.healthy("gathering traces"))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { [self] in
                while true {
                    try await context.clock.sleep(for: min(.seconds(1), arguments.current.settings.wait))
                    await decide(before: context.clock.monotonicNanoseconds)
                }
            }
            group.addTask { [self] in
                try await way.run({ self.arguments.current.output }, last: { await self.finish() })
            }
            defer { group.cancelAll() }
            while try await group.next() != nil {}
        }
    }

    private func finish() async {
        guard arguments.current.settings.dropsPending else { return await decide(before: .max) }
        while let trace = takeDue(before: .max) { context.ledger.drop(trace.batch.itemCount, .stopped) }
    }

    private func takeDue(before deadline: Int64) -> TraceStore.Due? {
        store.withLock { store in
            let before = (store.bytes, store.items)
            let due = store.takeDue(before: deadline)
            book(store.bytes - before.0, store.items - before.1)
            metrics.tracesOnMemory.set(store.count)
            return due
        }
    }

    private func decide(before deadline: Int64) async {
        let current = arguments.current
        let walker = OTLPWalker()
        while let trace = takeDue(before: deadline) {
            let evaluation = SamplingEvaluation(
                trace.id, trace.batch, walker, context.clock, errors: errors, now: context.clock.monotonicNanoseconds)
            let decision = Self.decide(evaluation, current) { [metrics] policy, verdict in
                switch verdict {
                case .success(let verdict): metrics.decided(verdict.isSampled, by: policy.name)
                case .failure: metrics.evaluationErrors.add()
                }
            }
            metrics.decided(decision.isSampled)
            store.withLock { $0.remember(trace.id, decision.isSampled, current.settings) }
            if decision.isSampled {
                await way.send(trace.batch) { current.output }
            } else {
                context.ledger.drop(trace.batch.itemCount, .rule, rule: decision.policy)
            }
        }
    }

    /// The policies together: a drop comes first, then what an inverted match forbids, then what any policy keeps.
    ///
    /// `note` hears what each policy says that is asked.
    static func decide(
        _ evaluation: SamplingEvaluation, _ current: Arguments,
        note: (SamplingPolicy, Result<SamplingVerdict, any Error>) -> Void
    ) -> (isSampled: Bool, policy: String) {
        var keeps: String?
        var keepsInverted: String?
        var forbids: String?
        for policy in current.policies {
            let verdict: SamplingVerdict
            do {
                verdict = try policy.decide(evaluation)
            } catch {
                note(policy, .failure(error))
                continue
            }
            note(policy, .success(verdict))
            switch verdict {
            case .dropped: return (false, policy.name)
            case .invertedNotSampled: forbids = forbids ?? policy.name
            case .sampled: keeps = keeps ?? policy.name
            case .invertedSampled: keepsInverted = keepsInverted ?? policy.name
            case .notSampled: break
            }
            if current.settings.stopsAtFirst, verdict == .sampled || verdict == .invertedSampled { break }
        }
        if let forbids { return (false, forbids) }
        if let policy = keeps ?? keepsInverted { return (true, policy) }
        return (false, "no_policy")
    }
}

/// How traces are held.
struct TailSamplingSettings: Sendable, Equatable {
    let wait: Duration
    let waitAfterRoot: Duration
    let traceLimit: Int
    let blocksOnOverflow: Bool
    let stopsAtFirst: Bool
    let dropsPending: Bool
    /// 0 is no limit.
    let traceBytes: Int
    let cache: DecisionCacheSizes

    init(from block: inout BlockReader) {
        wait = block.optional(
            "decision_wait", default: .seconds(30), "Time from a trace's first span to the decision.")
        waitAfterRoot = block.optional(
            "decision_wait_after_root_received", default: .zero,
            "Time from a trace's root span to the decision; 0 is never.")
        let limit = block.optional("num_traces", default: UInt64(50_000), "Traces held at a time.")
        blocksOnOverflow = block.optional(
            "block_on_overflow", default: false,
            "Whether senders wait when no more traces may be held, or the oldest goes.")
        let expected = block.optional(
            "expected_new_traces_per_sec", default: UInt64(0), "How many new traces to expect.")
        if expected != 0 { block.warn("expected_new_traces_per_sec", "has no effect: tables grow with what comes") }
        stopsAtFirst = block.optional(
            "sample_on_first_match", default: false, "Whether the first policy that keeps a trace decides.")
        dropsPending = block.optional(
            "drop_pending_traces_on_shutdown", default: false, "Whether undecided traces are dropped at the end.")
        let bytes = block.optional(
            "maximum_trace_size_bytes", default: UInt64(0),
            "Bytes above which a trace is dropped at once; 0 is no limit.")
        cache = block.optional(
            "decision_cache", default: DecisionCacheSizes(), "How many decisions are remembered, of either kind.")
        traceLimit = Int(clamping: limit)
        traceBytes = Int(clamping: bytes)
        if wait < .milliseconds(1) { block.reject("decision_wait", "must be greater than zero") }
        if waitAfterRoot < .zero { block.reject("decision_wait_after_root_received", "must not be negative") }
        if limit == 0 { block.reject("num_traces", "must be greater than zero") }
    }
}

/// The value of `decision_cache`.
struct DecisionCacheSizes: AlloyDecodable, AlloyEncodable, Sendable, Equatable {
    static var alloyTypeName: String { "object" }
    static var placeholder: DecisionCacheSizes { DecisionCacheSizes() }

    var sampled = 0
    var notSampled = 0

    init() {}

    init(alloy value: AlloySyntax.Value) throws(ValueError) {
        for (key, size) in try [String: Int](alloy: value) {
            guard size >= 0 else { throw ValueError("\(key) must not be negative") }
            switch key {
            case "sampled_cache_size": sampled = size
            case "non_sampled_cache_size": notSampled = size
            default:
                throw ValueError("unknown field \"\(key)\": sampled_cache_size and non_sampled_cache_size are known")
            }
        }
    }

    var alloyValue: AlloySyntax.Value {
        var fields: [(String, AlloySyntax.Value)] = []
        if sampled > 0 { fields.append(("sampled_cache_size", .int(sampled))) }
        if notSampled > 0 { fields.append(("non_sampled_cache_size", .int(notSampled))) }
        return .object(ObjectValue(ordered: fields))
    }
}

/// The processor's metrics, named as the OpenTelemetry Collector names them.
private final class TailSamplingMetrics: Sendable {
    private static let prefix = "otelcol_processor_tail_sampling_"

    let newTraces: Counter
    let droppedEarly: Counter
    let tooLarge: Counter
    let evaluationErrors: Counter
    let tracesOnMemory: Gauge
    private let sampled: Counter
    private let notSampled: Counter
    private let scope: MetricScope
    private let policies = Mutex<[String: (sampled: Counter, notSampled: Counter)]>([:])

    init(_ scope: MetricScope) {
        self.scope = scope
        newTraces = scope.counter(Self.prefix + "new_trace_id_received_total", "Counts the arrival of new traces")
        droppedEarly = scope.counter(
            Self.prefix + "sampling_trace_dropped_too_early_total",
            "Count of traces that needed to be dropped before the configured wait time")
        tooLarge = scope.counter(
            Self.prefix + "traces_dropped_too_large_total", "Count of traces dropped because they were too large")
        evaluationErrors = scope.counter(
            Self.prefix + "sampling_policy_evaluation_error_total", "Count of sampling policy evaluation errors")
        tracesOnMemory = scope.gauge(
            Self.prefix + "sampling_traces_on_memory", "Tracks the number of traces current on memory")
        func counter(_ value: String) -> Counter {
            scope.counter(
                Self.prefix + "global_count_traces_sampled_total",
                "Global count of traces sampled or not by at least one policy", labels: ["sampled": value])
        }
        sampled = counter("true")
        notSampled = counter("false")
    }

    func decided(_ isSampled: Bool) { (isSampled ? sampled : notSampled).add() }

    func decided(_ isSampled: Bool, by policy: String) {
        let counters = policies.withLock { policies in
            if let known = policies[policy] { return known }
            func counter(_ value: String) -> Counter {
                scope.counter(
                    Self.prefix + "count_traces_sampled_total",
                    "Count of traces that were sampled or not per sampling policy",
                    labels: ["policy": policy, "sampled": value])
            }
            let made = (sampled: counter("true"), notSampled: counter("false"))
            policies[policy] = made
            return made
        }
        (isSampled ? counters.sampled : counters.notSampled).add()
    }
}
