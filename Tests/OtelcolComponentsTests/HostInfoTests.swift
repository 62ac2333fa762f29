import ComponentKit
import Essentials
import Telemetry
import TestKit
import Testing
import Wire

@testable import OtelcolComponents

@Suite("otelcol.connector.host_info")
struct HostInfoTests {
    private func batch(_ resource: [(String, String)]) -> OTLPBatch {
        var assembler = OTLPAssembler(kind: .traces)
        let message = OTLPMessage()
        message.clear(as: .resource)
        for (key, value) in resource { message.attributes.set(OTLPKey(key), to: value) }
        assembler.begin(resource: message)
        message.clear(as: .span)
        message.set(OTLPField.Span.name, string: "a")
        assembler.append(message)
        return assembler.finish()
    }

    private func send(_ resource: [(String, String)], to harness: ComponentHarness) throws {
        let input: Receiver<OTLPBatch> = try #require(harness.export("input"))
        let batch = batch(resource)
        try harness.run { try await input.consume(batch) }
    }

    private func hosts(_ harness: ComponentHarness) throws -> [String] {
        var hosts: [String] = []
        let walker = OTLPWalker()
        for batch in harness.otlp.take() {
            try walker.walk(batch, to: .point) { level in
                guard level == .point else { return .keep }
                #expect(walker.item.string(OTLPField.Metric.name) == "traces_host_info")
                #expect(OTLPNumberPoint(walker.point).value == .int(1))
                hosts.append(walker.point.attributes["grafana.host.id" as OTLPKey]?.string ?? "-")
                return .keep
            }
        }
        return hosts
    }

    @Test("Each host is named once a flush, while it sends spans")
    func flushing() throws {
        let harness = ComponentHarness(OtelcolConnectorHostInfo.self)
        #expect(
            harness.start(
                "host_identifiers = [\"host.id\", \"node\"]\noutput { metrics = [recorder.otlp] }") == [])
        for host in ["b", "a", "b"] { try send([("host.id", host)], to: harness) }
        try send([("node", "n")], to: harness)
        try send([("other", "x")], to: harness)
        #expect(try hosts(harness) == [])
        harness.advance(by: .seconds(60))
        #expect(try hosts(harness) == ["a", "b", "n"])
        harness.advance(by: .seconds(60))
        #expect(try hosts(harness) == [])
        try send([("host.id", "c")], to: harness)
        harness.otlp.refuse { _ in .retry("later") }
        harness.advance(by: .seconds(60))
        #expect(harness.instance.ledger.statement.heldItems == 1)
        harness.otlp.refuse(nil)
        harness.advance(by: .seconds(10))
        #expect(try hosts(harness) == ["c"])
        // What came last is sent at the end.
        try send([("host.id", "d")], to: harness)
        #expect(throws: DeliveryError.self) {
            let input: Receiver<OTLPBatch> = try #require(harness.export("input"))
            try harness.run { try await input.consume(PipelineTests.logs(["a"])) }
        }
        #expect(harness.finish() == [])
        #expect(try hosts(harness) == ["d"])
    }

    @Test(
        "Arguments that cannot work are refused",
        arguments: [
            ("host_identifiers = []", "at least one host identifier"),
            ("metrics_flush_interval = \"14s\"", "between 15s and 5m"),
            ("metrics_flush_interval = \"301s\"", "between 15s and 5m"),
        ])
    func refusals(body: String, problem: String) {
        let problems = ComponentHarness(OtelcolConnectorHostInfo.self).evaluate(body + "\noutput {}")
        #expect(problems.contains { $0.contains(problem) }, "\(problems)")
    }
}
