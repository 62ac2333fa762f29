import SelfMetrics
import Synchronization
import Telemetry
import TextFormats
import Wire

/// The decisions about one batch, as `probabilisticsamplerprocessor` of the collector makes them.
struct Sampler {
    typealias Arguments = OtelcolProcessorProbabilisticSampler.Arguments

    private static let spanPriority: OTLPKey = "sampling.priority"
    private static let logThreshold: OTLPKey = "sampling.threshold"
    private static let logRandomness: OTLPKey = "sampling.randomness"

    private let arguments: Arguments
    private let mode: OtelcolProcessorProbabilisticSampler.Mode
    private let kind: OTLPBatch.Kind
    /// The share in doubles of the 32-bit percentage, as upstream computes with.
    private let ratio: Double
    /// For all modes but proportional; ``Sampling/maximum`` when nothing is kept.
    private let threshold: UInt64
    private let isNever: Bool

    init(_ arguments: Arguments, _ kind: OTLPBatch.Kind) {
        self.arguments = arguments
        self.kind = kind
        mode = arguments.mode(for: kind)
        let percentage = min(Float(arguments.percentage), 100)
        ratio = Double(percentage) / 100
        threshold =
            mode == .hashSeed
            ? Sampling.hashThreshold(percentage: percentage)
            : Sampling.threshold(ratio, digits: arguments.precision)
        isNever = percentage == 0 || (mode == .hashSeed && threshold >= Sampling.maximum)
    }

    /// Decisions are counted in `metrics`.
    func sample(_ batch: OTLPBatch, _ metrics: SamplerMetrics?) throws -> OTLPBatch {
        var tally = SamplerTally()
        let walker = OTLPWalker()
        let sampled = try walker.edit(batch, to: .item) { level in
            guard level == .item else { return .keep }
            return (kind == .traces ? keeps(walker.span, &tally) : keeps(walker.logRecord, &tally)) ? .keep : .drop
        }
        metrics?.add(tally, of: kind, attribute: arguments.attribute)
        return sampled
    }

    /// What an item says about earlier decisions, and where its randomness comes from.
    private struct Item {
        /// Nil when there is none.
        var randomness: UInt64?
        var policy = SamplerPolicy.missingRandomness
        /// The threshold it was sampled by before.
        var before: UInt64?
        /// Whether nobody can decide by what it says.
        var isFaulty = false
        /// Whether what it says may be changed.
        var isWritable = true
    }

    private struct Decision {
        var isKept: Bool
        /// What the item says from now on; nil leaves what it says.
        var threshold: UInt64?
        /// Whether the item's threshold contradicts its randomness.
        var clearsThreshold: Bool
    }

    /// `priority` overrides the threshold.
    private func decide(_ item: inout Item, priority: UInt64?) -> Decision {
        if isNever {
            item.randomness = Sampling.maximum - 1
            item.policy = .samplingPriority
        }
        var clears = false
        if let before = item.before, let randomness = item.randomness, !item.isFaulty, before > randomness {
            clears = true
            item.isFaulty = true
            item.before = nil
        }
        var limit: UInt64
        if item.isFaulty || item.randomness == nil {
            limit = arguments.failsClosed ? Sampling.maximum : 0
        } else {
            limit = isNever ? Sampling.maximum : combined(with: item.before)
        }
        if let priority {
            limit = priority
            item.policy = .samplingPriority
        }
        // What has no randomness passes all thresholds.
        let isKept = limit < Sampling.maximum && (item.randomness ?? Sampling.maximum - 1) >= limit
        let isNews = isKept && item.isWritable && limit >= item.before ?? 0
        return Decision(isKept: isKept, threshold: isNews ? limit : nil, clearsThreshold: clears)
    }

    /// The threshold for an item that may have been sampled before.
    private func combined(with before: UInt64?) -> UInt64 {
        switch mode {
        case .hashSeed: threshold
        case .equalizing: max(before ?? 0, threshold)
        case .proportional, .unset:
            Sampling.threshold(
                (before.map { Sampling.probability($0) } ?? 1) * ratio, digits: arguments.precision)
        }
    }

    // MARK: Spans

    private func keeps(_ span: OTLPSpan, _ tally: inout SamplerTally) -> Bool {
        var state = SamplingState(span.traceState)
        let randomness = state["rv"], before = state["th"]
        var item = Item()
        item.before = before.flatMap { Sampling.threshold(fromText: $0) }
        let known = randomness.flatMap { Sampling.randomness(fromText: $0) }
        let isMalformed = (before != nil && item.before == nil) || (randomness != nil && known == nil)
        let hasID = span.traceID.contains { $0 != 0 }
        item.isFaulty = isMalformed
        item.isWritable = !isMalformed
        var made: UInt64?
        if isNever {
            // Nothing is asked.
        } else if mode == .hashSeed {
            if hasID {
                item.randomness = Sampling.hashed(span.traceID, seed: arguments.seed)
                item.policy = .traceIDHash
            }
            if randomness != nil || before != nil {
                // Of consistent sampling, which this mode must not touch.
                item.isFaulty = true
                item.isWritable = false
                item.before = nil
            } else {
                made = item.randomness
            }
        } else if isMalformed {
            item.before = nil
        } else if let known {
            item.randomness = known
            item.policy = .samplingRandomness
        } else if hasID {
            item.randomness = Sampling.randomness(ofTrace: span.traceID)
            item.policy = .traceIDW3C
        }
        let decision = decide(&item, priority: priority(span))
        tally.count(item.policy, isKept: decision.isKept)
        guard decision.isKept, item.isWritable else { return decision.isKept }
        let old = state.text
        if decision.clearsThreshold { state["th"] = nil }
        if let made { state["rv"] = Sampling.randomnessText(made) }
        if let threshold = decision.threshold { state["th"] = Sampling.text(threshold) }
        let new = state.text
        if new != old { Array(new.utf8).withRawBytes { span.traceState = $0 } }
        return true
    }

    /// The threshold a span's priority asks for; nil when it leaves the decision open.
    private func priority(_ span: OTLPSpan) -> UInt64? {
        let number: Double?
        switch span.attributes[Self.spanPriority] {
        case .int(let value)?: number = Double(value)
        case .double(let value)?: number = value
        case .string(let text)?: number = GoNumber.parseFloat(String(decoding: text, as: UTF8.self))
        default: number = nil
        }
        guard let number else { return nil }
        return number == 0 ? Sampling.maximum : number > 0 ? 0 : nil
    }

    // MARK: Log records

    private func keeps(_ record: OTLPLogRecord, _ tally: inout SamplerTally) -> Bool {
        let randomness = text(Self.logRandomness, record), before = text(Self.logThreshold, record)
        var item = Item()
        item.before = before.flatMap { Sampling.threshold(fromText: $0) }
        let known = randomness.flatMap { Sampling.randomness(fromText: $0) }
        let isMalformed = (before != nil && item.before == nil) || (randomness != nil && known == nil)
        let hasID = record.traceID.contains { $0 != 0 }
        item.isFaulty = isMalformed
        item.isWritable = !isMalformed
        var made: UInt64?
        if isNever {
            // Nothing is asked.
        } else if mode == .hashSeed {
            hash(record, hasID: hasID, &item)
            if randomness != nil || before != nil {
                item.isFaulty = true
                item.isWritable = false
                item.before = nil
            } else {
                made = item.randomness
            }
        } else if isMalformed {
            item.before = nil
        } else if let known {
            item.randomness = known
            item.policy = .samplingRandomness
        } else if hasID {
            item.randomness = Sampling.randomness(ofTrace: record.traceID)
            item.policy = .traceIDW3C
        }
        let decision = decide(&item, priority: priority(record))
        tally.count(item.policy, isKept: decision.isKept)
        guard decision.isKept, item.isWritable else { return decision.isKept }
        if let made { record.attributes.set(Self.logRandomness, to: Sampling.randomnessText(made)) }
        if let threshold = decision.threshold {
            record.attributes.set(Self.logThreshold, to: Sampling.text(threshold))
        } else if decision.clearsThreshold {
            record.attributes.remove(Self.logThreshold)
        }
        return true
    }

    /// The text of an attribute, unless it is empty.
    private func text(_ key: OTLPKey, _ record: OTLPLogRecord) -> String? {
        guard let text = record.attributes[key]?.string, !text.isEmpty else { return nil }
        return text
    }

    /// The randomness of the older mode: of the trace ID or, without one, of the attribute.
    private func hash(_ record: OTLPLogRecord, hasID: Bool, _ item: inout Item) {
        if !arguments.usesRecord, hasID {
            item.randomness = Sampling.hashed(record.traceID, seed: arguments.seed)
            item.policy = .traceIDHash
        } else if let value = arguments.attribute.flatMap({ record.attributes[$0] }) {
            let bytes: [UInt8] = if case .bytes(let bytes) = value { Array(bytes) } else { OTLPText.bytes(value) }
            guard !bytes.isEmpty else { return }
            item.randomness = bytes.withRawBytes { Sampling.hashed($0, seed: arguments.seed) }
            item.policy = .attribute
        }
    }

    /// The threshold of a record's own percentage; nil when it has none that can be used.
    private func priority(_ record: OTLPLogRecord) -> UInt64? {
        guard let key = arguments.priority else { return nil }
        let percentage: Double
        switch record.attributes[key] {
        case .int(let number)?: percentage = Double(number)
        case .double(let number)?: percentage = number
        default: return nil
        }
        let share = percentage / 100
        guard share >= 1 / Double(Sampling.maximum), share <= 1 else { return nil }
        return Sampling.threshold(share, digits: arguments.precision)
    }
}

/// By what an item was decided about.
enum SamplerPolicy: Int, CaseIterable {
    case missingRandomness, traceIDHash, traceIDW3C, samplingRandomness, samplingPriority, attribute

    /// The metric's label; the attribute's is its name.
    fileprivate var label: String {
        switch self {
        case .missingRandomness: "missing_randomness"
        case .traceIDHash: "trace_id_hash"
        case .traceIDW3C: "trace_id_w3c"
        case .samplingRandomness: "sampling_randomness"
        case .samplingPriority: "sampling_priority"
        case .attribute: "attribute"
        }
    }
}

/// Decisions about the items of one batch.
struct SamplerTally {
    fileprivate var counts = [Int](repeating: 0, count: SamplerPolicy.allCases.count * 2)

    mutating func count(_ policy: SamplerPolicy, isKept: Bool) { counts[policy.rawValue * 2 + (isKept ? 1 : 0)] += 1 }
}

/// The processor's metrics, named as the OpenTelemetry Collector names them.
final class SamplerMetrics: Sendable {
    private let scope: MetricScope
    private let counters = Mutex<[String: Counter]>([:])

    init(_ scope: MetricScope) { self.scope = scope }

    func add(_ tally: SamplerTally, of kind: OTLPBatch.Kind, attribute: OTLPKey?) {
        for (place, count) in tally.counts.enumerated() where count > 0 {
            guard let policy = SamplerPolicy(rawValue: place / 2) else { continue }
            let signal = kind == .traces ? "traces" : "logs"
            let label =
                policy == .attribute ? attribute.map { String(decoding: $0.bytes, as: UTF8.self) } ?? "" : policy.label
            let isKept = place % 2 == 1
            let counter = counters.withLock { counters in
                let key = "\(signal) \(isKept) \(label)"
                if let counter = counters[key] { return counter }
                let counter = scope.counter(
                    "otelcol_processor_probabilistic_sampler_count_\(signal)_sampled_total",
                    "Count of \(signal) that were sampled or not, by what they were decided",
                    labels: ["policy": label, "sampled": "\(isKept)"])
                counters[key] = counter
                return counter
            }
            counter.add(count)
        }
    }
}
