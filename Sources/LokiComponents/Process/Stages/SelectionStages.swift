import AlloySyntax
import Essentials
import Telemetry
import TextFormats
import Wire

// MARK: stage.drop

struct DropArguments: Block, StageConfiguration {
    private let reason: String
    private let sources: [String]
    private let value: String
    private let separator: String
    private let expression: String
    private let olderThan: Duration
    private let longerThan: Int
    private let pattern: RegularExpression?

    init(from block: inout BlockReader) {
        let reason = block.optional(
            "drop_counter_reason", default: "drop_stage", "Reason the lines are counted under.")
        let source = block.optional(
            "source", default: "", "Extracted values to look at, separated by commas.")
        value = block.optional("value", default: "", "Drops when the source is equal to it.")
        let separator = block.optional("separator", default: ";", "Joins the values of several sources.")
        expression = block.optional(
            "expression", default: "", "Drops when the line, or the source, matches this RE2 expression.")
        let olderThan: Duration? = block.optional("older_than", "Drops entries older than this.")
        let longerThan: ByteCount? = block.optional("longer_than", "Drops lines longer than this.")
        self.reason = reason.isEmpty ? "drop_stage" : reason
        self.separator = separator.isEmpty ? ";" : separator
        sources = source.isEmpty ? [] : source.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        self.olderThan = olderThan ?? .zero
        self.longerThan = longerThan?.bytes ?? 0
        if !expression.isEmpty {
            do throws(RegularExpressionError) {
                pattern = try RegularExpression(expression)
            } catch {
                pattern = nil
                block.reject("expression", "drop stage regex compilation error: \(error)")
            }
        } else {
            pattern = nil
        }
        if source.isEmpty, expression.isEmpty, self.olderThan == .zero, self.longerThan == 0 {
            if value.isEmpty {
                block.reject(
                    "drop stage config must contain at least one of `source`, `expression`, `older_than` or `longer_than`"
                )
            }
        }
        if !value.isEmpty, !expression.isEmpty {
            block.reject(
                "value", "drop stage config error, `value` and `expression` cannot both be defined at the same time")
        }
        if !value.isEmpty, source.isEmpty {
            block.reject("value", "drop stage config must contain `source` if `value` is specified")
        }
    }

    func add(to program: inout ProgramBuilder) {
        program.append(
            DropStage(
                reason: reason, slots: sources.map { program.slot($0) }, separator: Array(separator.utf8),
                value: value.isEmpty ? nil : Array(value.utf8), pattern: pattern,
                olderThan: olderThan == .zero ? nil : olderThan.nanosecondsClamped,
                longerThan: longerThan == 0 ? nil : longerThan))
    }
}

private final class DropStage: Stage {
    private let reason: String
    private let slots: [Int]
    private let separator: [UInt8]
    private let value: [UInt8]?
    private let pattern: RegularExpression?
    private let olderThan: Int64?
    private let longerThan: Int?

    init(
        reason: String, slots: [Int], separator: [UInt8], value: [UInt8]?, pattern: RegularExpression?,
        olderThan: Int64?, longerThan: Int?
    ) {
        self.reason = reason
        self.slots = slots
        self.separator = separator
        self.value = value
        self.pattern = pattern
        self.olderThan = olderThan
        self.longerThan = longerThan
    }

    func run(_ work: inout Work) -> Verdict {
        guard isDropped(&work) else { return .next }
        work.tally.drop("stage.drop", reason: reason)
        return .stop
    }

    /// Every condition that is given must hold.
    private func isDropped(_ work: inout Work) -> Bool {
        if let longerThan, work.line.length <= longerThan { return false }
        if let olderThan {
            let (cutoff, overflow) = work.clock.wallNanoseconds.subtractingReportingOverflow(olderThan)
            if overflow || work.timestamp >= cutoff { return false }
        }
        if slots.isEmpty { return pattern?.matches(work.text.bytes(work.line)) ?? true }
        if value == nil, pattern == nil { return slots.allSatisfy { work.value($0).isThere } }
        var joined = work.takeScratch()
        defer { work.giveBack(joined) }
        var isFirst = true
        for slot in slots {
            let value = work.value(slot)
            guard value.isThere else { continue }
            guard let text = work.text(of: value) else { return false }
            if !isFirst { joined.append(contentsOf: separator) }
            isFirst = false
            joined.append(contentsOf: work.text.bytes(text))
        }
        if let value { return joined == value }
        return joined.withUnsafeBytes { pattern?.matches($0) ?? false }
    }
}

// MARK: stage.match

struct MatchArguments: Block, StageConfiguration {
    private let selectorText: String
    private let action: String
    private let reason: String
    private let selector: LogSelector?
    private let stages: [any StageConfiguration]

    init(from block: inout BlockReader) {
        selectorText = block.required("selector", "LogQL stream selector with line filters.")
        let action = block.optional("action", default: "keep", "What happens to entries that match: `keep` or `drop`.")
        let pipelineName = block.optional("pipeline_name", default: "", "Name of the pipeline; has no effect.")
        if !pipelineName.isEmpty { block.warn("pipeline_name", "has no effect, as upstream: nothing bears the name") }
        let reason = block.optional(
            "drop_counter_reason", default: "match_stage", "Reason dropped lines are counted under.")
        self.reason = reason.isEmpty ? "match_stage" : reason
        self.action = action.isEmpty ? "keep" : action
        stages = StageBlocks.read(&block)
        var selector: LogSelector?
        if block.isSet("selector") {
            if selectorText.isEmpty {
                block.reject("selector", "selector statement required for match stage")
            } else {
                do throws(LogQLError) {
                    selector = try LogSelector(parsing: selectorText)
                } catch {
                    block.reject("selector", "invalid selector syntax for match stage: \(error)")
                }
            }
        }
        self.selector = selector
        switch self.action {
        case "keep":
            if block.isSet("selector"), stages.isEmpty {
                block.reject("match stage requires at least one additional stage to be defined in '- stages'")
            }
        case "drop":
            if !stages.isEmpty {
                block.reject("match stage configured to drop entries cannot contains stages")
            }
        default: block.reject("action", "match stage action should be 'keep' or 'drop'")
        }
    }

    func add(to program: inout ProgramBuilder) {
        guard let selector else { return }
        let stage = MatchStage(selector, dropReason: action == "drop" ? reason : nil)
        program.append(stage)
        program.add(stages)
        stage.end = program.position
    }
}

private final class MatchStage: Stage {
    private let selector: LogSelector
    private let dropReason: String?
    /// Where the program goes on for entries that do not match.
    var end = 0
    private var answers: [UInt8] = []
    private var epoch = -1

    init(_ selector: LogSelector, dropReason: String?) {
        self.selector = selector
        self.dropReason = dropReason
    }

    func run(_ work: inout Work) -> Verdict {
        let isMatch =
            matchesLabels(work) && (!selector.hasLineFilters || selector.matches(line: work.text.bytes(work.line)))
        guard isMatch else { return .jump(end) }
        if let dropReason {
            work.tally.drop("stage.match", reason: dropReason)
            return .stop
        }
        work.extractLabels()
        return .next
    }

    /// Answers once for each label set: 1 is yes, 2 is no.
    private func matchesLabels(_ work: borrowing Work) -> Bool {
        if work.table.epoch != epoch {
            epoch = work.table.epoch
            answers.removeAll(keepingCapacity: true)
        }
        let id = Int(work.labels)
        while answers.count <= id { answers.append(0) }
        if answers[id] == 0 { answers[id] = selector.matches(work.table[work.labels]) ? 1 : 2 }
        return answers[id] == 1
    }
}

// MARK: stage.sampling

struct SamplingArguments: Block, StageConfiguration {
    private let reason: String
    private let rate: Double

    init(from block: inout BlockReader) {
        reason = block.optional(
            "drop_counter_reason", default: "sampling_stage", "Reason the lines are counted under.")
        rate = block.required("rate", "Share of lines that is kept, from 0 to 1.")
        if !(rate >= 0 && rate <= 1) {
            block.reject(
                "rate",
                "sampling stage failed to parse rate,Sampling Rate must be between 0.0 and 1.0, received \(GoNumber.fixed(rate, precision: 6))"
            )
        }
    }

    func add(to program: inout ProgramBuilder) { program.append(SamplingStage(rate: rate, reason: reason)) }
}

private final class SamplingStage: Stage {
    var isPredictable: Bool { false }
    private let boundary: UInt64
    private let reason: String
    private var state = UInt64.random(in: .min ... .max)

    init(rate: Double, reason: String) {
        boundary = rate >= 1 ? .max : rate <= 0 ? 0 : UInt64(rate * 0x1p63)
        self.reason = reason
    }

    func run(_ work: inout Work) -> Verdict {
        // SplitMix64 (Steele, Lea, Flood 2014).
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        mixed ^= mixed >> 31
        work.tally.isRepeatable = false
        if boundary > mixed >> 1 { return .next }
        work.tally.drop("stage.sampling", reason: reason)
        return .stop
    }
}

// MARK: stage.limit

struct LimitArguments: Block, StageConfiguration {
    fileprivate let rate: Double
    fileprivate let burst: Int
    fileprivate let drops: Bool
    fileprivate let labelName: String
    fileprivate let maxDistinctLabels: Int

    static let leastDistinctLabels = 10_000

    init(from block: inout BlockReader) {
        rate = block.required("rate", "Entries per second that may pass.")
        burst = block.required("burst", "Entries that may pass at once.")
        drops = block.optional(
            "drop", default: false, "Whether entries beyond the rate are dropped instead of delayed.")
        labelName = block.optional("by_label_name", default: "", "Label whose values have a limit each.")
        maxDistinctLabels = block.optional(
            "max_distinct_labels", default: Self.leastDistinctLabels, "Values whose limits are remembered.")
        if block.isSet("rate"), block.isSet("burst"), !(rate > 0) || burst <= 0 {
            block.reject("limit stage failed to parse rate or burst")
        }
        if !labelName.isEmpty, !drops {
            block.reject("drop", "when ratelimiting by label, drop must be true")
        }
        if !labelName.isEmpty, maxDistinctLabels < Self.leastDistinctLabels {
            block.warn(
                "max_distinct_labels",
                "was adjusted up to the minimal reasonable value of \(Self.leastDistinctLabels)")
        }
    }

    func add(to program: inout ProgramBuilder) {
        program.append(LimitStage(self, program.services))
    }
}

/// A bucket of `burst` tokens that fills at `rate` a second.
private struct TokenBucket {
    var tokens: Double
    var last: Int64

    mutating func refill(_ now: Int64, rate: Double, burst: Double) {
        if now > last {
            tokens = min(burst, tokens + Double(now - last) / 1e9 * rate)
            last = now
        }
    }
}

private final class LimitStage: Stage {
    private static let reason = "ratelimit_drop_stage"
    var isPredictable: Bool { false }

    private let rate: Double
    private let burst: Double
    private let drops: Bool
    private let labelName: String
    private let label: [UInt8]
    private let capacity: Int
    private let services: StageServices
    private var bucket: TokenBucket
    private var recent: [[UInt8]: TokenBucket] = [:]
    private var older: [[UInt8]: TokenBucket] = [:]
    /// Bytes booked for the values of ``recent`` and ``older``.
    private var recentBytes = 0
    private var olderBytes = 0

    /// What a bucket takes beside its value's bytes, with its place among the counts of drops.
    private static let overhead = 160

    init(_ arguments: LimitArguments, _ services: StageServices) {
        rate = arguments.rate
        burst = Double(arguments.burst)
        drops = arguments.drops
        labelName = arguments.labelName
        label = Array(arguments.labelName.utf8)
        capacity = max(arguments.maxDistinctLabels, LimitArguments.leastDistinctLabels)
        self.services = services
        bucket = TokenBucket(tokens: Double(arguments.burst), last: .min)
    }

    deinit { services.memory.subtractState(recentBytes + olderBytes) }

    func run(_ work: inout Work) -> Verdict {
        work.tally.isRepeatable = false
        let now = work.clock.monotonicNanoseconds
        if !label.isEmpty { return runByLabel(now, &work) }
        if bucket.last == .min { bucket.last = now }
        bucket.refill(now, rate: rate, burst: burst)
        if drops {
            guard bucket.tokens >= 1 else {
                work.tally.drop("stage.limit", reason: Self.reason)
                return .stop
            }
            bucket.tokens -= 1
            return .next
        }
        bucket.tokens -= 1
        if bucket.tokens < 0 { work.delay(until: now &+ Int64(min(-bucket.tokens / rate * 1e9, 1e17))) }
        return .next
    }

    private func runByLabel(_ now: Int64, _ work: inout Work) -> Verdict {
        let value = label.withUnsafeBytes { name in work.labelSet.withValue(of: name) { $0.map { Array($0) } } }
        guard let value else { return .next }
        var bucket = recent[value] ?? older[value] ?? TokenBucket(tokens: burst, last: now)
        bucket.refill(now, rate: rate, burst: burst)
        let isAllowed = bucket.tokens >= 1
        if isAllowed { bucket.tokens -= 1 }
        if recent.updateValue(bucket, forKey: value) == nil {
            let bytes = value.count + Self.overhead
            recentBytes += bytes
            services.memory.addState(bytes)
        }
        if recent.count >= capacity {
            services.memory.subtractState(olderBytes)
            (older, olderBytes) = (recent, recentBytes)
            (recent, recentBytes) = ([:], 0)
            services.metrics.resetDropsByLabel()
        }
        if isAllowed { return .next }
        work.tally.drop("stage.limit", reason: Self.reason)
        work.tally.labelDrops[[labelName, String(decoding: value, as: UTF8.self)], default: 0] += 1
        return .stop
    }
}
