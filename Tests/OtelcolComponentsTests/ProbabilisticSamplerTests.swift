import Telemetry
import TestKit
import Testing
import Wire

@testable import OtelcolComponents

/// Decisions and what is written beside them, against figures worked out apart from the program.
@Suite("Probabilistic sampler")
struct ProbabilisticSamplerTests {
    /// Its randomness is c0000000000001.
    private static let id = [UInt8](repeating: 7, count: 8) + [0, 0xC0, 0, 0, 0, 0, 0, 1]

    private static func span(_ state: String, id: [UInt8] = id, priority: OTLPAnyValue? = nil) -> OTLPBatch {
        var assembler = OTLPAssembler(kind: .traces)
        let item = OTLPMessage()
        item.clear(as: .span)
        let span = OTLPSpan(item)
        id.withRawBytes { span.traceID = $0 }
        Array(state.utf8).withRawBytes { if !$0.isEmpty { span.traceState = $0 } }
        if let priority { span.attributes.set("sampling.priority" as OTLPKey, to: priority) }
        assembler.append(item)
        return assembler.finish()
    }

    /// The span's state afterwards; nil when it was dropped.
    private static func state(_ configuration: String, _ batch: OTLPBatch) throws -> String? {
        var found: String?
        let walker = OTLPWalker()
        for batch in try TransformFilterTests.process(
            OtelcolProcessorProbabilisticSampler.self, configuration, batch)
        {
            try walker.walk(batch, to: .item) { level in
                if level == .item { found = String(decoding: walker.span.traceState, as: UTF8.self) }
                return .keep
            }
        }
        return found
    }

    @Test(
        "States of spans",
        arguments: [
            ("25\nmode = \"equalizing\"", "", "ot=th:c"),
            ("25\nmode = \"equalizing\"", "ot=th:8,congo=x", "ot=th:c,congo=x"),
            ("50\nmode = \"equalizing\"", "ot=th:c", "ot=th:c"),
            ("25\nmode = \"equalizing\"", "ot=th:e", nil),
            ("25\nmode = \"equalizing\"\nfail_closed = false", "ot=th:e", "ot=th:0"),
            ("10\nmode = \"equalizing\"", "", nil),
            ("50", "ot=th:8", "ot=th:c"), ("50", "ot=rv:80000000000000", "ot=rv:80000000000000;th:8"),
            ("50", "ot=rv:7fffffffffffff", nil), ("100", "ot=k:v", "ot=th:0;k:v"),
            ("1", "ot=rv:ffffffffffffff", "ot=rv:ffffffffffffff;th:fd70a"),
            ("0.001", "ot=rv:ffffffffffffff", "ot=rv:ffffffffffffff;th:ffff583a"),
            ("99.9", "", "ot=th:004189"), ("33.3333", "", "ot=th:aaab"), ("75", "", "ot=th:4"),
            ("90", "", "ot=th:199a"), ("90\nsampling_precision = 14", "", "ot=th:19999999999998"),
            ("60\nsampling_precision = 2", "", "ot=th:66"), ("150", "", "ot=th:0"),
            ("50", "ot=th:xyz", nil), ("50\nfail_closed = false", "ot=th:xyz", "ot=th:xyz"), ("0", "", nil),
            ("25\nmode = \"hash_seed\"", "", "ot=rv:d0d43d254a8bca;th:c"),
            ("25\nhash_seed = 3", "", "ot=rv:fe381b28cb8071;th:c"), ("25\nhash_seed = 1", "", nil),
            ("25\nhash_seed = 3", "ot=rv:fe381b28cb8071;th:c", nil),
            ("25\nhash_seed = 3\nfail_closed = false", "ot=th:c", "ot=th:c"),
        ])
    func spans(_ configuration: String, _ before: String, _ after: String?) throws {
        #expect(try Self.state("sampling_percentage = " + configuration, Self.span(before)) == after)
    }

    @Test("A span's priority overrides, and does not claim less than was sampled before")
    func priorities() throws {
        #expect(try Self.state("sampling_percentage = 0", Self.span("", priority: 1)) == "ot=th:0")
        #expect(try Self.state("sampling_percentage = 1", Self.span("ot=th:8", priority: "2.5")) == "ot=th:8")
        #expect(try Self.state("sampling_percentage = 100", Self.span("", priority: .double(0))) == nil)
        #expect(try Self.state("sampling_percentage = 100", Self.span("", priority: -1)) == "ot=th:0")
        let nameless = Self.span("", id: [])
        #expect(try Self.state("sampling_percentage = 100", nameless) == nil)
        #expect(try Self.state("sampling_percentage = 1\nfail_closed = false", nameless) == "ot=th:0")
    }

    @Test("Log records say their randomness and threshold in attributes")
    func logs() throws {
        func check(
            _ configuration: String, _ attributes: [(String, OTLPAnyValue)], _ expected: String?,
            sourceLocation: SourceLocation = #_sourceLocation
        ) throws {
            let batches = try TransformFilterTests.process(
                OtelcolProcessorProbabilisticSampler.self, "sampling_percentage = " + configuration,
                AttributeProcessorTests.logs([("l", attributes)]))
            let found = try AttributeProcessorTests.attributes(batches).first
            #expect(found == expected.map { "service.name=test | " + $0 }, sourceLocation: sourceLocation)
        }
        let record = "25\nattribute_source = \"record\"\nfrom_attribute = \"id\"\nhash_seed = 22"
        try check(
            record, [("id", "record 0")],
            "id=record 0 sampling.randomness=c63416ccb24e72 sampling.threshold=c")
        try check(record, [("id", "record 1")], nil)
        try check(record, [("other", "record 0")], nil)
        try check(record, [("id", "record 0"), ("sampling.threshold", "8")], nil)
        // Only the older mode asks attributes.
        try check(record + "\nmode = \"equalizing\"", [("id", "record 0")], nil)
        try check(
            "50", [("sampling.randomness", "f0000000000000"), ("sampling.threshold", "8")],
            "sampling.randomness=f0000000000000 sampling.threshold=c")
        try check("50", [("sampling.randomness", "f")], nil)
        let priority = record + "\nsampling_priority = \"p\""
        try check(
            priority, [("id", "record 1"), ("p", 50)],
            "id=record 1 p=50 sampling.randomness=bfe8170cc25005 sampling.threshold=8")
        try check(priority, [("id", "record 1"), ("p", 0)], nil)
        try check(priority, [("id", "record 0"), ("p", 10)], nil)
    }

    @Test("Decisions are counted by what they were made")
    func counted() throws {
        let harness = ComponentHarness(OtelcolProcessorProbabilisticSampler.self)
        #expect(
            harness.start("sampling_percentage = 25\nmode = \"equalizing\"\noutput {\n traces = [recorder.otlp]\n}")
                == [])
        let input: Receiver<OTLPBatch> = try #require(harness.export("input"))
        for batch in [Self.span(""), Self.span("ot=rv:00000000000000"), Self.span("", priority: 0)] {
            try harness.run { try await input.consume(batch) }
        }
        for (policy, sampled) in [
            ("trace_id_w3c", "true"), ("sampling_randomness", "false"), ("sampling_priority", "false"),
        ] {
            #expect(
                harness.metric(
                    "otelcol_processor_probabilistic_sampler_count_traces_sampled_total",
                    ["policy": policy, "sampled": sampled]) == 1)
        }
        #expect(harness.finish() == [])
    }
}
