import ComponentKit
import Telemetry
import TestKit
import Testing
import Wire

@testable import OtelcolComponents

@Suite("otelcol.processor.resourcedetection", .timeLimit(.minutes(2)))
struct ResourceDetectionProcessorTests {
    private let output = "output {\nlogs = [recorder.otlp]\n}"

    private func logs() throws -> OTLPBatch {
        try OTLPSample.batch(
            .logs,
            """
            {"resourceLogs":[{"resource":{"attributes":[{"key":"os.type","value":{"stringValue":"plan9"}}]},
            "scopeLogs":[{"logRecords":[{"body":{"stringValue":"x"}}]}]},
            {"schemaUrl":"mine","scopeLogs":[{"logRecords":[{"body":{"stringValue":"y"}}]}]}]}
            """)
    }

    /// For each resource its attribute `os.type`, how many attributes it has, and the schema.
    private func resources(_ batches: [OTLPBatch]) throws -> [String] {
        var lines: [String] = []
        let walker = OTLPWalker()
        for batch in batches {
            try walker.walk(batch, to: .resource) { _ in
                var names: [String] = []
                walker.resource.attributes.forEach { name, value in
                    if name.elementsEqual("os.type".utf8), case .string(let text) = value {
                        names.append(String(decoding: text, as: UTF8.self))
                    } else {
                        names.append(String(decoding: name, as: UTF8.self))
                    }
                }
                lines.append("\(names.sorted()) \(walker.resourceGroup.string(OTLPField.ResourceGroup.schemaURL))")
                return .skip
            }
        }
        return lines
    }

    @Test("What is found goes into every resource; what is there is replaced or kept as told")
    func adds() throws {
        let harness = ComponentHarness(OtelcolProcessorResourceDetection.self)
        let system = "detectors = [\"system\"]\nsystem {\nhostname_sources = [\"os\"]\n}\n"
        #expect(harness.start(system + output) == [])
        #expect(harness.settle(until: { harness.health?.state == .healthy }))
        try harness.send(try logs())
        let schema = DetectedResource.schemaURL
        #expect(
            try resources(harness.otlp.take()) == [
                #"["host.name", "linux"] \#(schema)"#, #"["host.name", "linux"] mine"#,
            ])
        harness.update(system + "override = false\n" + output)
        #expect(harness.settle(until: { harness.health?.state == .healthy }))
        try harness.send(try logs())
        #expect(
            try resources(harness.otlp.take()) == [
                #"["host.name", "plan9"] \#(schema)"#, #"["host.name", "linux"] mine"#,
            ])
        #expect(harness.finish() == [])
    }

    @Test("Until every detector has answered senders wait; a failure is told and tried again")
    func failure() throws {
        let harness = ComponentHarness(OtelcolProcessorResourceDetection.self)
        let consul = "detectors = [\"consul\"]\nconsul {\naddress = \"127.0.0.1:1\"\n}\ntimeout = \"10ms\"\n"
        #expect(harness.start(consul + output) == [])
        #expect(harness.settle(until: { harness.health?.state == .unhealthy }))
        #expect(
            harness.health?.message.hasPrefix("resource detection failed: consul: http://127.0.0.1:1/v1/agent/self: ")
                == true)
        #expect(throws: (any Error).self) { try harness.send(try logs()) }
        harness.update("detectors = [\"env\"]\n" + output)
        #expect(harness.settle(until: { harness.health?.state == .healthy }))
        try harness.send(try logs())
        #expect(try resources(harness.otlp.take()) == [#"["plan9"] "#, "[] mine"])
        #expect(harness.finish() == [])
    }

    @Test(
        "A metadata service that does not answer is an error only when asked for",
        arguments: [
            ("fail_on_missing_metadata = true", false), ("ec2 {\nfail_on_missing_metadata = true\n}", false),
            ("", true),
        ])
    func missing(_ body: String, _ isHealthy: Bool) throws {
        let harness = ComponentHarness(OtelcolProcessorResourceDetection.self)
        // No such place in a test: each of its variables is unset.
        let name = body.hasPrefix("ec2") ? "ec2" : "lambda"
        let attempts = "timeout = \"20ms\"\n"
        #expect(harness.start("detectors = [\"\(name)\"]\n\(attempts)\(body)\n\(output)") == [])
        #expect(
            harness.settle(until: {
                harness.advance(by: .milliseconds(100))
                return harness.health?.state == (isHealthy ? .healthy : .unhealthy)
            }))
        #expect(harness.finish() == [])
    }

    @Test("Every error of the configuration is told at once")
    func errors() {
        let harness = ComponentHarness(OtelcolProcessorResourceDetection.self)
        let problems = harness.evaluate(
            """
            detectors = ["env", "mainframe"]
            timeout = "0s"
            system { hostname_sources = ["guess"] }
            kubernetes_node { context = "other" }
            ec2 {
              resource_attributes {
                host.name { }
              }
            }
            \(output)
            """)
        #expect(problems.count == 5)
        #expect(problems.contains { $0.contains("has no detector \"mainframe\"; there are env, ec2, ") })
    }
}
