import ComponentKit
import Essentials
import Telemetry
import TestKit
import Testing

@testable import OtelcolComponents

@Suite("otelcol.exporter.debug")
struct ExporterDebugTests {
    private func send(_ lines: [String], to harness: ComponentHarness) throws {
        let input: Receiver<OTLPBatch> = try #require(harness.export("input"))
        try harness.run { try await input.consume(PipelineTests.logs(lines)) }
    }

    private func messages(_ harness: ComponentHarness, _ message: String) -> [String] {
        harness.logSink.lines.filter { $0.contains(message) }
    }

    @Test("Counts go to the log, of the first batches of each second and some of the rest")
    func sampling() throws {
        let harness = ComponentHarness(OtelcolExporterDebug.self)
        #expect(harness.start("sampling_initial = 2\nsampling_thereafter = 3") == [])
        for _ in 0..<9 { try send(["a", "b"], to: harness) }
        // Two, and of the seven others the third and the sixth.
        #expect(messages(harness, "info Logs").count == 4)
        #expect(messages(harness, "info Logs").allSatisfy { $0.contains("2") })
        #expect(messages(harness, "Telemetry") == [])
        harness.advance(by: .seconds(1))
        try send(["c"], to: harness)
        #expect(messages(harness, "info Logs").count == 5)
        #expect(harness.instance.ledger.statement.outgoing == 19)
        #expect(harness.finish() == [])
    }

    @Test("With more verbosity the telemetry itself is written", arguments: ["normal", "detailed"])
    func verbosity(word: String) throws {
        let harness = ComponentHarness(OtelcolExporterDebug.self)
        #expect(harness.start("verbosity = \"\(word)\"") == [])
        try send(["hello there"], to: harness)
        #expect(messages(harness, "hello there").count == 1)
        #expect(harness.finish() == [])
    }

    @Test("Files are written to where the log is not")
    func files() throws {
        let path = ComponentHarness.makeTemporaryDirectory() + "/out"
        let harness = ComponentHarness(OtelcolExporterDebug.self)
        #expect(
            harness.start(
                "use_internal_logger = false\noutput_paths = [\"\(path)\", \"/nowhere/at/all\"]\nverbosity = \"normal\""
            )
                == [])
        try send(["hello"], to: harness)
        try send(["again"], to: harness)
        let text = try Files.readText(path, limit: .mebibytes(1))
        #expect(text.split(separator: "\n").filter { $0.hasPrefix("Logs ") }.count == 2)
        #expect(text.contains("hello") && text.contains("again"))
        #expect(messages(harness, "Cannot write telemetry to a file").count == 2)
        #expect(messages(harness, "info Logs") == [])
        #expect(harness.finish() == [])
    }

    @Test(
        "Arguments that cannot work are refused",
        arguments: ["sampling_initial = -1", "sampling_thereafter = -1", "verbosity = \"loud\""])
    func refusals(body: String) {
        #expect(!ComponentHarness(OtelcolExporterDebug.self).evaluate(body).isEmpty)
    }
}
