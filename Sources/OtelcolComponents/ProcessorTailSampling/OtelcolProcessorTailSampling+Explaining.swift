package import ComponentKit
import Essentials
import Synchronization
import Telemetry
import Wire

extension OtelcolProcessorTailSampling: Explaining {
    /// Of spans, what the policies would say if these were all the spans of their trace; of a trace's ID, what is known
    /// here: what its spans so far would lead to, or what was decided.
    package func explain(_ item: ExplainedItem) -> Explanation? {
        if item.kind == .trace { return trace(item) }
        if let refusal = OTLPExplaining.refusing(item, .traces) { return refusal }
        guard let batch = item.batch, let parts = try? TraceStore.split(batch) else { return nil }
        var explanation = Explanation(
            notes: ["decided \(arguments.current.settings.wait) after the first span; as if no other spans came"])
        for part in parts {
            explanation.decide(part.id, part.batch, OTLPExplaining.item(part.batch, from: item), self)
        }
        return explanation
    }

    private func trace(_ item: ExplainedItem) -> Explanation? {
        guard let text = item.labels["trace_id"], let id = TraceID(hex: text),
            let known = store.withLock({ $0.knowledge(of: id) })
        else { return nil }
        let receivers = arguments.current.output[.traces].owners
        switch known {
        case .kept:
            return Explanation(
                [ExplainedStep("decision", .kept, "decided to be kept", before: item, after: item)],
                results: [Explanation.Result(item, .destination("kept: sent to \(receivers.joined(separator: ", "))"))])
        case .dropped:
            return Explanation([
                ExplainedStep("decision", .dropped, "decided to be dropped", before: item, after: nil)
            ])
        case .waiting(let batch, let deadline):
            let left = max(0, deadline - context.clock.monotonicNanoseconds) / 1_000_000_000
            var explanation = Explanation(
                notes: [
                    "\(batch.itemCount) spans are held; the decision is due in \(left) seconds, and with these spans "
                        + "it would be this"
                ])
            explanation.decide(id, batch, OTLPExplaining.item(batch, from: item), self)
            return explanation
        }
    }
}

extension Explanation {
    /// Asks every policy about a trace.
    fileprivate mutating func decide(
        _ id: TraceID, _ batch: OTLPBatch, _ item: ExplainedItem, _ sampling: OtelcolProcessorTailSampling
    ) {
        let current = sampling.arguments.current
        let clock = sampling.context.clock
        if current.policies.contains(where: \.dependsOnRate) {
            notes.append("a policy depends on the rate of spans: whether it keeps this trace is not known")
            results.append(Result(item, .ends("decided by the rate at the time")))
            return
        }
        let evaluation = SamplingEvaluation(
            id, batch, OTLPWalker(), clock,
            errors: StatementErrors(log: Log(sink: SilentLogSink(), clock: clock), clock: clock),
            now: clock.monotonicNanoseconds)
        var asked: [ExplainedStep] = []
        let decision = OtelcolProcessorTailSampling.decide(evaluation, current) { policy, verdict in
            let place = current.policies.firstIndex { $0.name == policy.name }
            let outcome: ExplainedStep.Outcome
            let detail: String
            switch verdict {
            case .success(let verdict):
                outcome = verdict == .dropped ? .dropped : verdict.isSampled ? .kept : .unchanged
                detail = verdict.phrase
            case .failure(let error):
                outcome = .unknown
                detail = "\(error)"
            }
            asked.append(
                ExplainedStep(
                    "policy \(policy.name)", path: place.map { RulePath("policy", $0) }, outcome, detail, before: item,
                    after: outcome == .dropped ? nil : item))
        }
        steps += asked
        if decision.isSampled {
            results.append(Result(item, .receivers(current.output[.traces].owners)))
        } else {
            let reason =
                decision.policy == "no_policy" ? "no policy keeps the trace" : "\(decision.policy) decides against it"
            steps.append(ExplainedStep("decision", .dropped, reason, before: item, after: nil))
        }
    }
}

extension SamplingVerdict {
    fileprivate var phrase: String {
        switch self {
        case .sampled: "keeps the trace"
        case .notSampled: "does not keep it"
        case .invertedSampled: "keeps the trace: nothing matches"
        case .invertedNotSampled: "forbids it: something matches"
        case .dropped: "drops the trace"
        }
    }
}

extension SamplingPolicy {
    /// Whether asking changes the answers to come.
    fileprivate var dependsOnRate: Bool {
        switch rule {
        case .rate, .composite: true
        case .and(let policies), .drop(let policies): policies.contains(where: \.dependsOnRate)
        case .not(let policy): policy.dependsOnRate
        default: false
        }
    }
}

extension TraceID {
    /// An ID written as 32 hexadecimal digits.
    init?(hex: String) {
        let digits = hex.compactMap(\.hexDigitValue)
        guard digits.count == 32, hex.count == 32 else { return nil }
        let bytes = stride(from: 0, to: 32, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
        self = bytes.withUnsafeBytes { TraceID($0) }
    }
}
