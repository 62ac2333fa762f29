import ComponentKit
import Essentials
import Synchronization
import Telemetry
import TestKit
import Testing
import Transport
import Wire

@testable import OtelcolComponents

@Suite("OTLP pipeline")
struct PipelineTests {
    /// One log record with a body.
    static func logs(_ lines: [String]) -> OTLPBatch {
        var assembler = OTLPAssembler(kind: .logs)
        let resource = OTLPMessage()
        resource.clear(as: .resource)
        resource.attributes.set("service.name" as OTLPKey, to: "test")
        assembler.begin(resource: resource)
        let item = OTLPMessage()
        for line in lines {
            item.clear(as: .logRecord)
            item.set(OTLPField.LogRecord.body, value: OTLPAnyValue.string(line))
            assembler.append(item)
        }
        return assembler.finish()
    }

    static func lines(_ batches: [OTLPBatch]) -> [String] {
        var lines: [String] = []
        let walker = OTLPWalker()
        for batch in batches {
            try? walker.walk(batch, to: .item) { level in
                if level == .item { lines.append(walker.logRecord.body.string ?? "-") }
                return .keep
            }
        }
        return lines
    }

    private static let output = """
        output {
            logs = [recorder.otlp]
            traces = [recorder.otlp]
            metrics = [recorder.otlp]
        }
        """

    @Test("The batch processor gathers by size, splits what is too large and sends the rest in time")
    func batching() throws {
        let harness = ComponentHarness(OtelcolProcessorBatch.self)
        #expect(
            harness.start("send_batch_size = 4\nsend_batch_max_size = 5\ntimeout = \"1s\"\n" + Self.output).isEmpty)
        let input: Receiver<OTLPBatch> = try #require(harness.export("input"))
        try harness.run { try await input.consume(Self.logs(["a", "b"])) }
        #expect(harness.otlp.batches.isEmpty)
        try harness.run { try await input.consume(Self.logs(["c", "d", "e", "f"])) }
        #expect(harness.otlp.batches.map(\.itemCount) == [5])
        harness.advance(by: .seconds(2))
        #expect(harness.otlp.batches.map(\.itemCount) == [5, 1])
        #expect(Self.lines(harness.otlp.batches) == ["a", "b", "c", "d", "e", "f"])
        #expect(harness.finish() == [])
    }

    @Test("What consumers refuse is offered again, and senders are refused once the bound is reached")
    func pressure() throws {
        let harness = ComponentHarness(OtelcolProcessorBatch.self)
        harness.start("send_batch_size = 2\nsend_batch_max_size = 2\n" + Self.output)
        let input: Receiver<OTLPBatch> = try #require(harness.export("input"))
        harness.otlp.refuse { _ in .overloaded("full") }
        try harness.run { try await input.consume(Self.logs(["a", "b"])) }
        try harness.run { try await input.consume(Self.logs(["c", "d"])) }
        #expect(throws: DeliveryError.self) { try harness.run { try await input.consume(Self.logs(["e"])) } }
        harness.otlp.refuse(nil)
        harness.advance(by: .seconds(10))
        #expect(Self.lines(harness.otlp.batches) == ["a", "b", "c", "d"])
        #expect(harness.finish() == [])
    }

    @Test("Batches of different metadata stay apart, up to the limit")
    func metadata() throws {
        let harness = ComponentHarness(OtelcolProcessorBatch.self)
        harness.start("metadata_keys = [\"tenant\"]\nmetadata_cardinality_limit = 2\n" + Self.output)
        let input: Receiver<OTLPBatch> = try #require(harness.export("input"))
        @Sendable func batch(_ tenant: String) -> OTLPBatch {
            var batch = Self.logs([tenant])
            batch.client = OTLPClient(metadata: [.init(name: "tenant", values: [tenant])])
            return batch
        }
        for tenant in ["a", "b", "a"] { try harness.run { try await input.consume(batch(tenant)) } }
        #expect(throws: DeliveryError.self) { try harness.run { try await input.consume(batch("c")) } }
        harness.advance(by: .seconds(1))
        let found = Dictionary(
            uniqueKeysWithValues: harness.otlp.batches.map {
                ($0.client?.values(of: "Tenant").first ?? "", $0.itemCount)
            })
        #expect(found == ["a": 2, "b": 1])
        #expect(harness.finish() == [])
    }

    @Test("The memory limiter passes data on below its limit and refuses it above")
    func memoryLimiter() throws {
        for (limit, passes) in [("100000MiB", true), ("1MiB", false)] {
            let harness = ComponentHarness(OtelcolProcessorMemoryLimiter.self)
            #expect(harness.start("check_interval = \"1s\"\nlimit = \"\(limit)\"\n" + Self.output).isEmpty)
            let input: Receiver<OTLPBatch> = try #require(harness.export("input"))
            let taken = (try? harness.run { try await input.consume(Self.logs(["a"])) }) != nil
            #expect(taken == passes)
            #expect(harness.otlp.itemCount == (passes ? 1 : 0))
            #expect(harness.finish() == [])
        }
    }
}
