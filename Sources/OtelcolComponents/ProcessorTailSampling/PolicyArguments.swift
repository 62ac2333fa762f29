import AlloySyntax
import Essentials
import OTTL
import Wire

/// A `policy` block.
struct PolicyBlock: Block, Sendable {
    let policy: SamplingPolicy

    init(from block: inout BlockReader) {
        let shared = SharedPolicy(from: &block)
        let composite: Composite? = block.optionalBlock("composite", "Several policies with shares of a rate.")
        let and: And? = block.optionalBlock("and", "Policies that must all keep a trace.")
        let not: Not? = block.optionalBlock("not", "A policy whose decision is turned around.")
        let drop: Drop? = block.optionalBlock("drop", "Policies that drop a trace when all would keep it.")
        let rule: SamplingPolicy.Rule
        switch shared.type {
        case "composite": rule = composite.map { .composite($0.rule) } ?? .and([])
        case "and": rule = .and(and?.policies ?? [])
        case "not": rule = not.map { .not($0.policy) } ?? .always
        case "drop": rule = .drop(drop?.policies ?? [])
        default: rule = shared.rule(in: &block, others: ["composite", "and", "not", "drop"])
        }
        let hasBlock = [
            "composite": composite != nil, "and": and != nil, "not": not != nil, "drop": drop != nil,
        ]
        if hasBlock[shared.type] == false {
            block.reject("type", "\"\(shared.type)\" needs the block \(shared.type)")
        }
        policy = SamplingPolicy(name: shared.name, rule: rule)
    }

    private struct Nested: Block {
        let policy: SamplingPolicy

        init(from block: inout BlockReader) {
            let shared = SharedPolicy(from: &block)
            policy = SamplingPolicy(name: shared.name, rule: shared.rule(in: &block, others: []))
        }
    }

    private struct And: Block {
        let policies: [SamplingPolicy]

        init(from block: inout BlockReader) {
            let nested: [Nested] = block.blocks("and_sub_policy", "A policy that must keep the trace.", required: true)
            policies = nested.map(\.policy)
        }
    }

    private struct Drop: Block {
        let policies: [SamplingPolicy]

        init(from block: inout BlockReader) {
            let nested: [Nested] = block.blocks(
                "drop_sub_policy", "A policy that must keep the trace for it to be dropped.", required: true)
            policies = nested.map(\.policy)
        }
    }

    private struct Not: Block {
        let policy: SamplingPolicy

        init(from block: inout BlockReader) {
            let nested: Nested = block.requiredBlock("not_sub_policy", "The policy that is turned around.")
            policy = nested.policy
        }
    }

    private struct CompositePart: Block {
        let policy: SamplingPolicy

        init(from block: inout BlockReader) {
            let shared = SharedPolicy(from: &block)
            let and: And? = block.optionalBlock("and", "Policies that must all keep a trace.")
            if shared.type == "and", and == nil { block.reject("type", "\"and\" needs the block and") }
            let rule = shared.type == "and" ? .and(and?.policies ?? []) : shared.rule(in: &block, others: ["and"])
            policy = SamplingPolicy(name: shared.name, rule: rule)
        }
    }

    private struct Allocation: Block {
        let policy: String
        let percent: Int64

        init(from block: inout BlockReader) {
            policy = block.required("policy", "The name of a policy.")
            percent = block.required("percent", "Its share of the spans that may be kept.")
            if !(0...100).contains(percent) { block.reject("percent", "must be between 0 and 100") }
        }
    }

    private struct Composite: Block {
        let rule: CompositeRule

        init(from block: inout BlockReader) {
            let total: Int64 = block.required("max_total_spans_per_second", "Spans that may be kept each second.")
            let order: [String] = block.required("policy_order", "Names of policies in the order they are asked.")
            let parts: [CompositePart] = block.blocks("composite_sub_policy", "A policy.")
            let shares: [Allocation] = block.blocks(
                "rate_allocation", "What a policy may keep; equal shares when left out.")
            var policies: [(policy: SamplingPolicy, bucket: SecondBudget)] = []
            for name in order {
                guard let part = parts.first(where: { $0.policy.name == name }) else {
                    block.reject("policy_order", "names \"\(name)\", and there is no composite_sub_policy of that name")
                    continue
                }
                let percent = shares.first { $0.policy == name }.map { Double($0.percent) }
                let share = percent.map { $0 / 100 } ?? (shares.isEmpty ? 1 / Double(order.count) : 0)
                policies.append((part.policy, SecondBudget(limit: Int(Double(total) * share))))
            }
            for share in shares where !parts.contains(where: { $0.policy.name == share.policy }) {
                block.reject(
                    "rate_allocation", "names \"\(share.policy)\", and there is no composite_sub_policy of that name")
            }
            if total < 0 { block.reject("max_total_spans_per_second", "must not be negative") }
            rule = CompositeRule(policies: policies)
        }
    }
}

/// What policies of every level have.
private struct SharedPolicy {
    let name: String
    let type: String
    private let rules: [String: SamplingPolicy.Rule]

    private static let known = [
        "always_sample", "latency", "numeric_attribute", "probabilistic", "status_code", "string_attribute",
        "rate_limiting", "bytes_limiting", "span_count", "boolean_attribute", "ottl_condition", "trace_state",
    ]

    init(from block: inout BlockReader) {
        name = block.required("name", "The name of the policy.")
        type = block.required("type", "What the policy looks at.")
        var rules: [String: SamplingPolicy.Rule] = ["always_sample": .always]
        func note(_ name: String, _ given: (any RuleBlock)?) { rules[name] = given?.rule }
        let latency: Latency? = block.optionalBlock("latency", "Keeps traces by their duration.")
        let number: NumericAttribute? = block.optionalBlock("numeric_attribute", "Keeps traces by a number.")
        let probability: Probabilistic? = block.optionalBlock("probabilistic", "Keeps a part of all traces.")
        let status: StatusCode? = block.optionalBlock("status_code", "Keeps traces by the status of their spans.")
        let text: StringAttribute? = block.optionalBlock("string_attribute", "Keeps traces by a text.")
        let rate: RateLimiting? = block.optionalBlock("rate_limiting", "Keeps so many spans a second.")
        let bytes: BytesLimiting? = block.optionalBlock("bytes_limiting", "Keeps so many bytes a second.")
        let count: SpanCount? = block.optionalBlock("span_count", "Keeps traces by the number of their spans.")
        let truth: BooleanAttribute? = block.optionalBlock("boolean_attribute", "Keeps traces by a truth value.")
        let conditions: Conditions? = block.optionalBlock("ottl_condition", "Keeps traces for which a condition holds.")
        let state: TraceStateRule? = block.optionalBlock("trace_state", "Keeps traces by a key of their trace state.")
        note("latency", latency)
        note("numeric_attribute", number)
        note("probabilistic", probability)
        note("status_code", status)
        note("string_attribute", text)
        note("rate_limiting", rate)
        note("bytes_limiting", bytes)
        note("span_count", count)
        note("boolean_attribute", truth)
        note("ottl_condition", conditions)
        note("trace_state", state)
        self.rules = rules
    }

    /// The rule of the type named. `others` are the types the caller knows besides.
    func rule(in block: inout BlockReader, others: [String]) -> SamplingPolicy.Rule {
        if let rule = rules[type] { return rule }
        guard block.isSet("type") else { return .always }
        if Self.known.contains(type) {
            block.reject("type", "\"\(type)\" needs the block \(type)")
        } else {
            let words = (Self.known + others).joined(separator: ", ")
            block.reject("type", "unknown policy type \"\(type)\": known are \(words)")
        }
        return .always
    }
}

private protocol RuleBlock: Block {
    var rule: SamplingPolicy.Rule { get }
}

private struct Latency: RuleBlock {
    let rule: SamplingPolicy.Rule

    init(from block: inout BlockReader) {
        let threshold: Int64 = block.required("threshold_ms", "Milliseconds from which a trace is kept.")
        let upper = block.optional("upper_threshold_ms", default: Int64(0), "Milliseconds up to which; 0 is no limit.")
        func nanoseconds(_ value: Int64) -> UInt64 {
            UInt64(clamping: value.multipliedReportingOverflow(by: 1_000_000).partialValue)
        }
        rule = .latency(threshold: nanoseconds(threshold), upper: nanoseconds(upper))
    }
}

private struct NumericAttribute: RuleBlock {
    let rule: SamplingPolicy.Rule

    init(from block: inout BlockReader) {
        let key: String = block.required("key", "The name of the attribute.")
        let least: Int64 = block.required("min_value", "The least value that matches.")
        let most: Int64 = block.required("max_value", "The greatest value that matches.")
        let isInverted = block.optional("invert_match", default: false, "Whether traces with a match are not kept.")
        rule = .number(OTLPKey(key), least <= most ? least...most : nil, isInverted: isInverted)
    }
}

private struct Probabilistic: RuleBlock {
    let rule: SamplingPolicy.Rule

    init(from block: inout BlockReader) {
        let salt =
            block.optional("hash_salt", "Mixed with the trace ID, so that collectors decide alike or apart.") ?? ""
        let percentage: Double = block.required("sampling_percentage", "Percentage of traces that are kept.")
        let ratio = min(max(percentage / 100, 0), 1)
        let threshold = ratio >= 1 ? UInt64.max : UInt64(ratio * 18_446_744_073_709_551_615.0)
        rule = .probability(salt: Array((salt.isEmpty ? "default-hash-seed" : salt).utf8), threshold: threshold)
    }
}

private struct StatusCode: RuleBlock {
    let rule: SamplingPolicy.Rule

    init(from block: inout BlockReader) {
        let names: [String] = block.required("status_codes", "OK, ERROR and UNSET: the codes that are kept.")
        var codes: Set<UInt32> = []
        for name in names {
            guard let code = ["UNSET", "OK", "ERROR"].firstIndex(of: name) else {
                block.reject("status_codes", "unknown status code \"\(name)\": known are OK, ERROR and UNSET")
                continue
            }
            codes.insert(UInt32(code))
        }
        if names.isEmpty, block.isSet("status_codes") { block.reject("status_codes", "must not be empty") }
        rule = .status(codes)
    }
}

private struct StringAttribute: RuleBlock {
    let rule: SamplingPolicy.Rule

    init(from block: inout BlockReader) {
        let key: String = block.required("key", "The name of the attribute.")
        let values: [String] = block.required("values", "Values or patterns, one of which must match.")
        let isRegexp = block.optional("enabled_regex_matching", default: false, "Whether values are patterns.")
        let cache: Int = block.optional("cache_max_size", "How many results of matching are cached.") ?? 0
        if cache != 0 { block.warn("cache_max_size", "has no effect: patterns are matched without a cache") }
        let isInverted = block.optional("invert_match", default: false, "Whether traces with a match are not kept.")
        do {
            rule = .text(OTLPKey(key), try TextSet(values, isRegexp), isInverted: isInverted)
        } catch {
            block.reject("values", "\(error)")
            rule = .always
        }
    }
}

private struct RateLimiting: RuleBlock {
    let rule: SamplingPolicy.Rule

    init(from block: inout BlockReader) {
        let rate: Int64 = block.required("spans_per_second", "Spans that are kept each second.")
        let burst = block.optional(
            "burst_capacity", default: Int64(0), "Spans that may be kept at once; as many as a second's when 0.")
        rule = .rate(TokenBucket(perSecond: max(rate, 0), capacity: burst, multiple: 1), countsBytes: false)
    }
}

private struct BytesLimiting: RuleBlock {
    let rule: SamplingPolicy.Rule

    init(from block: inout BlockReader) {
        let rate: Int64 = block.required("bytes_per_second", "Bytes that are kept each second.")
        let burst = block.optional(
            "burst_capacity", default: Int64(0), "Bytes that may be kept at once; twice a second's when 0.")
        rule = .rate(TokenBucket(perSecond: max(rate, 0), capacity: burst, multiple: 2), countsBytes: true)
    }
}

private struct SpanCount: RuleBlock {
    let rule: SamplingPolicy.Rule

    init(from block: inout BlockReader) {
        let least: Int32 = block.required("min_spans", "Spans from which a trace is kept.")
        let most = block.optional("max_spans", default: Int32(0), "Spans up to which; 0 is no limit.")
        rule = .spanCount(minimum: Int(least), maximum: Int(most))
    }
}

private struct BooleanAttribute: RuleBlock {
    let rule: SamplingPolicy.Rule

    init(from block: inout BlockReader) {
        let key: String = block.required("key", "The name of the attribute.")
        let value: Bool = block.required("value", "The value that matches.")
        let isInverted = block.optional("invert_match", default: false, "Whether traces with a match are not kept.")
        rule = .truth(OTLPKey(key), value, isInverted: isInverted)
    }
}

private struct Conditions: RuleBlock {
    let rule: SamplingPolicy.Rule

    init(from block: inout BlockReader) {
        let mode: ErrorMode = block.required("error_mode", "What to do when a condition fails.")
        let spans: [String] = block.optional("span", default: [], "Conditions on spans.")
        let events: [String] = block.optional("spanevent", default: [], "Conditions on events of spans.")
        func compiled(_ name: String, _ texts: [String], _ context: OTTLContext) -> [OTTLCondition] {
            texts.compactMap { text in
                do {
                    return try OTTLCondition(text, in: context)
                } catch {
                    block.reject(name, "\(error)")
                    return nil
                }
            }
        }
        if spans.isEmpty, events.isEmpty { block.reject("needs a condition in span or spanevent") }
        rule = .conditions(
            spans: compiled("span", spans, .span), events: compiled("spanevent", events, .spanevent), mode)
    }
}

private struct TraceStateRule: RuleBlock {
    let rule: SamplingPolicy.Rule

    init(from block: inout BlockReader) {
        let key: String = block.required("key", "The key of the trace state.")
        let values: [String] = block.required("values", "Values one of which it must have.")
        rule = .traceState(key: key, values: Set(values))
    }
}
