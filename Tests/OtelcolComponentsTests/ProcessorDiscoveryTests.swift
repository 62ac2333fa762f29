import ComponentKit
import Telemetry
import TestKit
import Testing
import Wire

@testable import OtelcolComponents

@Suite("otelcol.processor.discovery", .timeLimit(.minutes(1)))
struct ProcessorDiscoveryTests {
    private let targets = """
        targets = [
          {"__address__" = "10.0.0.1:80", "pod" = "web", "__meta_x" = "no"},
          {"__address__" = "[fd00::1]:80", "pod" = "six"},
          {"pod" = "nowhere"},
        ]
        output {
          traces = [recorder.otlp]
        }

        """

    /// The attribute `pod` of the resource of a span with the attributes, "-" without one.
    private func pod(
        _ harness: ComponentHarness, _ attributes: [String: String], from address: String = ""
    ) throws -> String {
        let pairs = attributes.map { #"{"key":"\#($0.key)","value":{"stringValue":"\#($0.value)"}}"# }
        var batch = try OTLPSample.batch(
            .traces,
            #"{"resourceSpans":[{"resource":{"attributes":[\#(pairs.joined(separator: ","))]},"scopeSpans":[{"spans":[{}]}]}]}"#
        )
        batch.client = OTLPClient(address: address)
        try harness.send(batch)
        var found = "-"
        let walker = OTLPWalker()
        for batch in harness.otlp.take() {
            try walker.walk(batch, to: .resource) { _ in
                #expect(!walker.resource.attributes.contains("__meta_x"))
                #expect(!walker.resource.attributes.contains("__address__"))
                if let text = walker.resource.attributes["pod"]?.stringBytes {
                    found = String(decoding: text, as: UTF8.self)
                }
                return .skip
            }
        }
        return found
    }

    @Test("By each association in order, the client's address at last")
    func associations() throws {
        let harness = ComponentHarness(OtelcolProcessorDiscovery.self)
        #expect(harness.start(targets) == [])
        for key in ["ip", "net.host.ip", "k8s.pod.ip", "host.name"] {
            #expect(try pod(harness, [key: "10.0.0.1"]) == "web", "\(key)")
        }
        #expect(try pod(harness, [:], from: "10.0.0.1:4711") == "web")
        #expect(try pod(harness, [:], from: "[::ffff:10.0.0.1]:4711") == "web")
        #expect(try pod(harness, [:], from: "[fd00::1]:4711") == "six")
        #expect(try pod(harness, ["host.name": "web-1"], from: "10.0.0.9:1") == "-")
        #expect(try pod(harness, ["ip": "10.0.0.9"], from: "10.0.0.1:1") == "-")
        #expect(harness.finish() == [])
    }

    @Test(
        "insert keeps, update replaces what is there, upsert does both",
        arguments: [
            ("insert", "mine", "web"), ("update", "web", "-"), ("upsert", "web", "web"),
        ])
    func operations(_ operation: String, _ present: String, _ absent: String) throws {
        let harness = ComponentHarness(OtelcolProcessorDiscovery.self)
        #expect(harness.start("operation_type = \"\(operation)\"\n" + targets) == [])
        #expect(try pod(harness, ["ip": "10.0.0.1", "pod": "mine"]) == present)
        #expect(try pod(harness, ["ip": "10.0.0.1"]) == absent)
        #expect(harness.finish() == [])
    }

    @Test("New targets count at once; only traces are taken")
    func targetsChange() throws {
        let harness = ComponentHarness(OtelcolProcessorDiscovery.self)
        #expect(harness.start(targets) == [])
        #expect(try pod(harness, ["ip": "10.0.0.2"]) == "-")
        harness.update(
            "targets = [{\"__address__\" = \"10.0.0.2\", \"pod\" = \"new\"}]\noutput {\ntraces = [recorder.otlp]\n}")
        #expect(try pod(harness, ["ip": "10.0.0.2"]) == "new")
        #expect(try pod(harness, ["ip": "10.0.0.1"]) == "-")
        let logs = try OTLPSample.batch(.logs, #"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{}]}]}]}"#)
        #expect(throws: DeliveryError.self) { try harness.send(logs) }
        #expect(harness.finish() == [])
    }

    @Test("Unknown words are refused")
    func refusals() {
        let problems = ComponentHarness(OtelcolProcessorDiscovery.self).evaluate(
            "operation_type = \"replace\"\npod_associations = [\"guess\"]\n" + targets)
        #expect(problems.count == 2)
    }
}
