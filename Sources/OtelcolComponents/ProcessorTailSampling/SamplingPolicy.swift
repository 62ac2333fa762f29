import Essentials
import OTTL
import Synchronization
import Telemetry
import TextFormats
import Wire

/// What a policy says of a trace.
enum SamplingVerdict: Sendable, Equatable {
    case sampled, notSampled
    /// Of conditions that are inverted: kept because nothing matched, or forbidden because something did.
    case invertedSampled, invertedNotSampled
    case dropped

    var isSampled: Bool { self == .sampled || self == .invertedSampled }
}

/// A trace while policies look at it.
final class SamplingEvaluation {
    let id: TraceID
    let batch: OTLPBatch
    let walker: OTLPWalker
    let clock: EngineClock
    let errors: StatementErrors
    /// Monotonic nanoseconds.
    let now: Int64

    init(
        _ id: TraceID, _ batch: OTLPBatch, _ walker: OTLPWalker, _ clock: EngineClock, errors: StatementErrors,
        now: Int64
    ) {
        self.id = id
        self.batch = batch
        self.walker = walker
        self.clock = clock
        self.errors = errors
        self.now = now
    }

    /// Whether `isMatch` holds for a resource or a span of the trace.
    func contains(_ isMatch: (OTLPAttributes) -> Bool) throws -> Bool {
        var isFound = false
        try walker.walk(batch, to: .item) { level in
            if isFound { return .skip }
            switch level {
            case .resource: isFound = isMatch(walker.resource.attributes)
            case .item: isFound = isMatch(walker.span.attributes)
            case .scope, .point: break
            }
            return .keep
        }
        return isFound
    }

    /// Whether `isMatch` holds for a span of the trace.
    func containsSpan(_ isMatch: (OTLPSpan) -> Bool) throws -> Bool {
        var isFound = false
        try walker.walk(batch, to: .item) { level in
            if level == .item, !isFound { isFound = isMatch(walker.span) }
            return .keep
        }
        return isFound
    }
}

/// One way to decide about a trace.
struct SamplingPolicy: Sendable {
    indirect enum Rule: Sendable {
        case always
        /// Nanoseconds; the upper limit is 0 for none.
        case latency(threshold: UInt64, upper: UInt64)
        case number(OTLPKey, ClosedRange<Int64>?, isInverted: Bool)
        case probability(salt: [UInt8], threshold: UInt64)
        case status(Set<UInt32>)
        case text(OTLPKey, TextSet, isInverted: Bool)
        case rate(TokenBucket, countsBytes: Bool)
        case spanCount(minimum: Int, maximum: Int)
        case truth(OTLPKey, Bool, isInverted: Bool)
        case conditions(spans: [OTTLCondition], events: [OTTLCondition], ErrorMode)
        case traceState(key: String, values: Set<String>)
        case and([SamplingPolicy])
        case not(SamplingPolicy)
        case drop([SamplingPolicy])
        case composite(CompositeRule)
    }

    let name: String
    let rule: Rule

    func decide(_ trace: SamplingEvaluation) throws -> SamplingVerdict {
        switch rule {
        case .always: return .sampled
        case .latency(let threshold, let upper):
            var (first, last): (UInt64, UInt64) = (.max, 0)
            _ = try trace.containsSpan { span in
                first = min(first, span.startTimeUnixNano)
                last = max(last, span.endTimeUnixNano)
                return false
            }
            let duration = last > first ? last - first : 0
            if upper == 0 { return duration >= threshold ? .sampled : .notSampled }
            return duration > threshold && duration <= upper ? .sampled : .notSampled
        case .number(let key, let range, let isInverted):
            return verdict(
                try trace.contains { attributes in
                    guard case .int(let value)? = attributes[key] else { return false }
                    return range?.contains(value) ?? false
                }, isInverted)
        case .probability(let salt, let threshold):
            var hash = FNV64a()
            salt.withRawBytes { hash.add($0) }
            trace.id.bytes.withRawBytes { hash.add($0) }
            return hash.value <= threshold ? .sampled : .notSampled
        case .status(let codes): return verdict(try trace.containsSpan { codes.contains($0.statusCode) })
        case .text(let key, let texts, let isInverted):
            return verdict(
                try trace.contains { attributes in
                    guard let text = attributes[key]?.stringBytes, !text.isEmpty else { return false }
                    return texts.contains(text)
                }, isInverted)
        case .rate(let bucket, let countsBytes):
            let amount = countsBytes ? trace.batch.byteCount : trace.batch.itemCount
            return verdict(bucket.take(amount, now: trace.now))
        case .spanCount(let minimum, let maximum):
            let count = trace.batch.itemCount
            return verdict(count >= minimum && (maximum == 0 || count <= maximum))
        case .truth(let key, let wanted, let isInverted):
            return verdict(
                try trace.contains { attributes in
                    guard case .bool(let value)? = attributes[key] else { return false }
                    return value == wanted
                }, isInverted)
        case .conditions(let spans, let events, let mode): return try decide(trace, spans, events, mode)
        case .traceState(let key, let values):
            return verdict(
                try trace.containsSpan { span in
                    TraceState.value(of: key, in: span.traceState).map { values.contains($0) } ?? false
                })
        case .and(let policies): return try hold(policies, trace) ? .sampled : .notSampled
        case .not(let policy):
            switch try policy.decide(trace) {
            case .sampled: return .notSampled
            case .notSampled: return .sampled
            case .invertedSampled: return .invertedNotSampled
            case .invertedNotSampled: return .invertedSampled
            case .dropped: return .dropped
            }
        case .drop(let policies): return try hold(policies, trace) ? .dropped : .notSampled
        case .composite(let rule): return try rule.decide(trace)
        }
    }

    private func verdict(_ isMatch: Bool, _ isInverted: Bool = false) -> SamplingVerdict {
        if isInverted { return isMatch ? .invertedNotSampled : .invertedSampled }
        return isMatch ? .sampled : .notSampled
    }

    private func hold(_ policies: [SamplingPolicy], _ trace: SamplingEvaluation) throws -> Bool {
        for policy in policies where try !policy.decide(trace).isSampled { return false }
        return true
    }

    private func decide(
        _ trace: SamplingEvaluation, _ spans: [OTTLCondition], _ events: [OTTLCondition], _ mode: ErrorMode
    ) throws -> SamplingVerdict {
        let walker = trace.walker
        let frame = OTTLFrame(walker, clock: trace.clock)
        var isFound = false
        try walker.walk(trace.batch, to: events.isEmpty ? .item : .point) { level in
            if isFound { return .skip }
            frame.begin(level)
            for condition in level == .item ? spans : level == .point ? events : [] {
                do {
                    if try condition.holds(frame) {
                        isFound = true
                        break
                    }
                } catch {
                    try trace.errors.report(error, in: condition.text, mode)
                }
            }
            return .keep
        }
        return verdict(isFound)
    }
}

/// Several policies in order, each with a share of the spans that may be kept each second.
struct CompositeRule: Sendable {
    let policies: [(policy: SamplingPolicy, bucket: SecondBudget)]

    func decide(_ trace: SamplingEvaluation) throws -> SamplingVerdict {
        for (policy, bucket) in policies {
            guard try policy.decide(trace).isSampled else { continue }
            // A trace beyond the share of one policy is another's if that keeps it too.
            if bucket.take(trace.batch.itemCount, now: trace.now) { return .sampled }
        }
        return .notSampled
    }
}

/// So many per second and no more.
final class SecondBudget: Sendable {
    private let limit: Int
    private let state = Mutex((second: Int64.min, used: 0))

    init(limit: Int) { self.limit = limit }

    /// `now` is in monotonic nanoseconds.
    func take(_ amount: Int, now: Int64) -> Bool {
        state.withLock { state in
            let second = now / 1_000_000_000
            if second != state.second { state = (second, 0) }
            guard state.used + amount <= limit else { return false }
            state.used += amount
            return true
        }
    }
}

/// A rate with a burst: holds up to its capacity and fills with time.
final class TokenBucket: Sendable {
    private let rate: Double
    private let capacity: Double
    private let state: Mutex<(tokens: Double, time: Int64?)>

    /// A capacity of 0 is `multiple` seconds of the rate.
    init(perSecond rate: Int64, capacity: Int64, multiple: Double) {
        self.rate = Double(rate)
        let room = capacity > 0 ? Double(capacity) : Double(rate) * multiple
        self.capacity = room
        state = Mutex((tokens: room, time: nil))
    }

    /// `now` is in monotonic nanoseconds.
    func take(_ amount: Int, now: Int64) -> Bool {
        state.withLock { state in
            if let time = state.time, now > time {
                state.tokens = min(capacity, state.tokens + Double(now - time) / 1e9 * rate)
            }
            state.time = now
            guard state.tokens >= Double(amount) else { return false }
            state.tokens -= Double(amount)
            return true
        }
    }
}

/// FNV-1a of 64 bits (datatracker.ietf.org, draft-eastlake-fnv).
struct FNV64a {
    private(set) var value: UInt64 = 0xCBF2_9CE4_8422_2325

    mutating func add(_ bytes: UnsafeRawBufferPointer) {
        for byte in bytes { value = (value ^ UInt64(byte)) &* 0x100_0000_01B3 }
    }
}

/// The `tracestate` of W3C Trace Context: a list of `key=value`.
enum TraceState {
    static func value(of key: String, in bytes: UnsafeRawBufferPointer) -> String? {
        let text = String(decoding: bytes, as: UTF8.self)
        for member in text.split(separator: ",") {
            let parts = member.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2 else { continue }
            let name = parts[0].drop { $0 == " " || $0 == "\t" }
            if name == key { return String(parts[1].reversed().drop { $0 == " " || $0 == "\t" }.reversed()) }
        }
        return nil
    }
}
