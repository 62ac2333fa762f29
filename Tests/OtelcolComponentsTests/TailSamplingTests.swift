import ComponentKit
import Telemetry
import TestKit
import Testing
import Wire

@testable import OtelcolComponents

@Suite("otelcol.processor.tail_sampling")
struct TailSamplingTests {
    /// A span of trace `trace` (a digit) as OTLP/JSON.
    private func span(
        _ trace: Int, milliseconds: Int = 10, status: Int = 0, attributes: String = "", parent: Bool = true,
        state: String = "", event: String = ""
    ) -> String {
        """
        {"traceId":"\(String(repeating: "\(trace)", count: 32))","spanId":"0000000000000001","name":"s",
        \(parent ? "\"parentSpanId\":\"0000000000000002\"," : "")"startTimeUnixNano":"1000000000",
        "endTimeUnixNano":"\(1_000_000_000 + milliseconds * 1_000_000)","traceState":"\(state)",
        "status":{"code":\(status)},"attributes":[\(attributes)],"events":[\(event)]}
        """
    }

    private func attribute(_ key: String, _ value: String) -> String { "{\"key\":\"\(key)\",\"value\":{\(value)}}" }

    private func batch(_ spans: [String]) throws -> OTLPBatch {
        try OTLPSample.batch(
            .traces,
            "{\"resourceSpans\":[{\"resource\":{\"attributes\":[\(attribute("r", "\"stringValue\":\"res\""))]},"
                + "\"scopeSpans\":[{\"spans\":[\(spans.joined(separator: ","))]}]}]}")
    }

    private func harness(_ policies: String, _ settings: String = "decision_wait = \"5s\"") -> ComponentHarness {
        let harness = ComponentHarness(OtelcolProcessorTailSampling.self)
        #expect(harness.start("\(settings)\n\(policies)\noutput { traces = [recorder.otlp] }") == [])
        return harness
    }

    private func policy(_ type: String, _ body: String, name: String = "p") -> String {
        "policy {\nname = \"\(name)\"\ntype = \"\(type)\"\n\(body.isEmpty ? "" : "\(type) {\n\(body)\n}")\n}"
    }

    /// The traces that arrived, by their digit, with the number of their spans.
    private func traces(_ harness: ComponentHarness) -> [String: Int] {
        var found: [String: Int] = [:]
        let walker = OTLPWalker()
        for batch in harness.otlp.take() {
            try? walker.walk(batch, to: .item) { level in
                if level == .item { found[String(OTLPBytes.hex(walker.span.traceID).prefix(1)), default: 0] += 1 }
                return .keep
            }
        }
        return found
    }

    /// The traces 1 and 2 that a policy keeps when one span each is sent.
    private func kept(_ policies: String, _ first: String, _ second: String) throws -> [String] {
        let harness = harness(policies)
        try harness.send(batch([first, second]))
        harness.advance(by: .seconds(7))
        let found = traces(harness).keys.sorted()
        #expect(harness.finish() == [])
        return found
    }

    @Test("A trace is kept whole or dropped whole, with spans that came in several batches and late ones")
    func wholeTraces() throws {
        let harness = harness(policy("status_code", "status_codes = [\"ERROR\"]"))
        try harness.send(batch([span(1), span(2)]))
        try harness.send(batch([span(1, status: 2), span(3)]))
        #expect(harness.instance.ledger.statement.heldItems == 4)
        harness.advance(by: .seconds(4))
        #expect(traces(harness) == [:])
        harness.advance(by: .seconds(3))
        #expect(traces(harness) == ["1": 2])
        try harness.send(batch([span(1), span(2)]))
        #expect(traces(harness) == ["1": 1])
        let dropped = harness.instance.ledger.statement.dropped.map { "\($0.rule) \($0.items)" }
        #expect(Set(dropped) == ["no_policy 2", "decided_before 1"])
        #expect(
            harness.metric("otelcol_processor_tail_sampling_global_count_traces_sampled_total", ["sampled": "true"])
                == 1)
        #expect(
            harness.metric(
                "otelcol_processor_tail_sampling_count_traces_sampled_total", ["policy": "p", "sampled": "false"]) == 2)
        #expect(harness.finish() == [])
    }

    @Test("Each type of policy keeps what it names")
    func types() throws {
        #expect(try kept(policy("always_sample", ""), span(1), span(2)) == ["1", "2"])
        #expect(try kept(policy("latency", "threshold_ms = 100"), span(1, milliseconds: 100), span(2)) == ["1"])
        #expect(
            try kept(
                policy("latency", "threshold_ms = 10\nupper_threshold_ms = 20"), span(1, milliseconds: 20),
                span(2, milliseconds: 10)) == ["1"])
        let number = attribute("n", "\"intValue\":\"7\"")
        #expect(
            try kept(
                policy("numeric_attribute", "key = \"n\"\nmin_value = 5\nmax_value = 7"), span(1, attributes: number),
                span(2))
                == ["1"])
        #expect(
            try kept(
                policy("numeric_attribute", "key = \"n\"\nmin_value = 5\nmax_value = 7\ninvert_match = true"),
                span(1, attributes: number), span(2)) == ["2"])
        let text = attribute("t", "\"stringValue\":\"/health\"")
        #expect(
            try kept(
                policy("string_attribute", "key = \"t\"\nvalues = [\"/health\"]"), span(1, attributes: text), span(2))
                == ["1"])
        #expect(
            try kept(
                policy(
                    "string_attribute",
                    "key = \"t\"\nvalues = [\"^/h.*\"]\nenabled_regex_matching = true\ninvert_match = true"),
                span(1, attributes: text), span(2)) == ["2"])
        #expect(
            try kept(policy("string_attribute", "key = \"r\"\nvalues = [\"res\"]"), span(1), span(2)) == ["1", "2"])
        let truth = attribute("b", "\"boolValue\":true")
        #expect(
            try kept(policy("boolean_attribute", "key = \"b\"\nvalue = true"), span(1, attributes: truth), span(2)) == [
                "1"
            ])
        #expect(try kept(policy("span_count", "min_spans = 2"), span(1) + "," + span(1), span(2)) == ["1"])
        #expect(
            try kept(policy("span_count", "min_spans = 1\nmax_spans = 1"), span(1) + "," + span(1), span(2)) == ["2"])
        #expect(
            try kept(
                policy("trace_state", "key = \"k\"\nvalues = [\"v\"]"), span(1, state: "a=b, k=v"),
                span(2, state: "k=w"))
                == ["1"])
        #expect(
            try kept(
                policy("ottl_condition", "error_mode = \"ignore\"\nspan = [\"attributes[\\\"n\\\"] == 7\"]"),
                span(1, attributes: number), span(2)) == ["1"])
        #expect(
            try kept(
                policy("ottl_condition", "error_mode = \"ignore\"\nspanevent = [\"name == \\\"e\\\"\"]"),
                span(1, event: "{\"name\":\"e\"}"), span(2, event: "{\"name\":\"f\"}")) == ["1"])
    }

    @Test("Rates are of spans and of bytes, with a burst, and fill with time")
    func rates() throws {
        let harness = harness(
            policy("rate_limiting", "spans_per_second = 1\nburst_capacity = 2"), "decision_wait = \"1s\"")
        for trace in 1...4 { try harness.send(batch([span(trace)])) }
        harness.advance(by: .seconds(2))
        #expect(traces(harness).count == 2)
        try harness.send(batch([span(5)]))
        harness.advance(by: .seconds(2))
        #expect(traces(harness) == ["5": 1])
        #expect(harness.finish() == [])
        #expect(
            try kept(policy("bytes_limiting", "bytes_per_second = 1\nburst_capacity = 150"), span(1), span(2)).count
                == 1)
    }

    @Test("A percentage keeps about that many traces, always the same ones, others with another salt")
    func probability() throws {
        func kept(_ salt: String) throws -> Set<[UInt8]> {
            let harness = harness(
                policy("probabilistic", "sampling_percentage = 25\n\(salt)"), "decision_wait = \"1s\"")
            // Identifiers as random as those of tracers; the hash tells neighbouring numbers apart in its low bits only.
            var state: UInt64 = 1
            for _ in 0..<400 {
                var trace = ""
                for _ in 0..<4 {
                    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                    let digits = String(state >> 32, radix: 16)
                    trace += String(repeating: "0", count: 8 - digits.count) + digits
                }
                try harness.send(batch([span(1).replacing(String(repeating: "1", count: 32), with: trace)]))
            }
            harness.advance(by: .seconds(3))
            var found: Set<[UInt8]> = []
            let walker = OTLPWalker()
            for batch in harness.otlp.take() {
                try walker.walk(batch, to: .item) { level in
                    if level == .item { found.insert(Array(walker.span.traceID)) }
                    return .keep
                }
            }
            #expect(harness.finish() == [])
            return found
        }
        let plain = try kept("")
        #expect((60...140).contains(plain.count), "\(plain.count) of 400")
        #expect(try kept("") == plain)
        #expect(try kept("hash_salt = \"x\"") != plain)
        #expect(try kept("hash_salt = \"default-hash-seed\"") == plain)
    }

    @Test("Policies within policies: and, not, drop, composite")
    func nested() throws {
        let number = attribute("n", "\"intValue\":\"7\"")
        let isSeven = "type = \"numeric_attribute\"\nnumeric_attribute {\nkey = \"n\"\nmin_value = 7\nmax_value = 7\n}"
        let isError = "type = \"status_code\"\nstatus_code { status_codes = [\"ERROR\"] }"
        func sub(_ kind: String, _ body: String, _ name: String = "s") -> String {
            "\(kind) {\nname = \"\(name)\"\n\(body)\n}"
        }
        let both = span(1, status: 2, attributes: number)
        #expect(
            try kept(
                policy("and", sub("and_sub_policy", isSeven) + "\n" + sub("and_sub_policy", isError)), both,
                span(2, attributes: number)) == ["1"])
        #expect(try kept(policy("not", sub("not_sub_policy", isSeven)), both, span(2)) == ["2"])
        #expect(
            try kept(
                policy("always_sample", "", name: "all") + "\n"
                    + policy("drop", sub("drop_sub_policy", isError), name: "d"), both,
                span(2)) == ["2"])
        let composite = """
            max_total_spans_per_second = 4
            policy_order = ["a", "b"]
            \(sub("composite_sub_policy", isError, "a"))
            \(sub("composite_sub_policy", "type = \"always_sample\"", "b"))
            rate_allocation {
                policy  = "a"
                percent = 50
            }
            rate_allocation {
                policy  = "b"
                percent = 25
            }
            """
        let harness = harness(policy("composite", composite), "decision_wait = \"1s\"")
        for trace in 1...6 { try harness.send(batch([span(trace, status: trace <= 3 ? 2 : 0)])) }
        harness.advance(by: .milliseconds(1500))
        // Two of the errors by the first, the third error by the second, and nothing is left for the others.
        #expect(traces(harness).keys.sorted() == ["1", "2", "3"])
        #expect(harness.finish() == [])
    }

    @Test("The oldest trace goes when there are too many, or senders wait; one that is too large goes at once")
    func bounds() throws {
        let all = policy("always_sample", "")
        let evicting = harness(all, "num_traces = 2")
        for trace in 1...3 { try evicting.send(batch([span(trace)])) }
        evicting.advance(by: .seconds(32))
        #expect(traces(evicting).keys.sorted() == ["2", "3"])
        #expect(evicting.metric("otelcol_processor_tail_sampling_sampling_trace_dropped_too_early_total") == 1)
        #expect(evicting.finish() == [])

        let blocking = harness(all, "num_traces = 2\nblock_on_overflow = true")
        for trace in 1...2 { try blocking.send(batch([span(trace)])) }
        #expect(throws: DeliveryError.self) { try blocking.send(batch([span(3)])) }
        try blocking.send(batch([span(2)]))
        #expect(blocking.finish() == [])
        #expect(traces(blocking) == ["1": 1, "2": 2])

        let large = harness(all, "maximum_trace_size_bytes = 200")
        try large.send(batch([span(1), span(1), span(1), span(2)]))
        try large.send(batch([span(1)]))
        large.advance(by: .seconds(32))
        #expect(traces(large) == ["2": 1])
        #expect(large.finish() == [])
    }

    @Test("A root span brings the decision forward, and the end decides or drops what is left")
    func endings() throws {
        let root = harness(policy("always_sample", ""), "decision_wait_after_root_received = \"2s\"")
        try root.send(batch([span(1), span(2)]))
        try root.send(batch([span(1, parent: false)]))
        root.advance(by: .seconds(3))
        #expect(traces(root) == ["1": 2])
        #expect(root.finish() == [])
        #expect(traces(root) == ["2": 1])

        let dropping = harness(policy("always_sample", ""), "drop_pending_traces_on_shutdown = true")
        try dropping.send(batch([span(1)]))
        #expect(dropping.finish() == [])
        #expect(traces(dropping) == [:])
        #expect(dropping.instance.ledger.statement.dropped.map(\.reason.name) == ["stopped"])
    }

    @Test(
        "Arguments that contradict themselves are refused",
        arguments: [
            ("policy {\nname = \"p\"\ntype = \"odd\"\n}", "unknown policy type"),
            ("policy {\nname = \"p\"\ntype = \"latency\"\n}", "needs the block latency"),
            ("policy {\nname = \"p\"\ntype = \"and\"\n}", "needs the block and"),
            (
                "policy {\nname = \"p\"\ntype = \"status_code\"\nstatus_code { status_codes = [\"BAD\"] }\n}",
                "unknown status code"
            ),
            ("decision_wait = \"0s\"", "greater than zero"),
            ("decision_cache = { other = 1 }", "unknown field"),
            (
                "policy {\nname = \"p\"\ntype = \"ottl_condition\"\nottl_condition { error_mode = \"ignore\" }\n}",
                "needs a condition"
            ),
        ])
    func refused(body: String, reason: String) {
        let harness = ComponentHarness(OtelcolProcessorTailSampling.self)
        let extra = body.contains("policy") ? "" : policy("always_sample", "")
        let problems = harness.start("\(body)\n\(extra)\noutput { traces = [recorder.otlp] }")
        #expect(problems.joined().contains(reason), "\(problems)")
    }
}
