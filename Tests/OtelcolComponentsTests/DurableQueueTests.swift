import AlloySyntax
import ComponentKit
import Essentials
import Synchronization
import Telemetry
import TestKit
import Testing
import Transport

@testable import OtelcolComponents

@Suite("Durable sending queue")
struct DurableQueueTests {
    @Test("What was taken and not sent is sent by the next life, once")
    func survives() throws {
        let directory = ComponentHarness.makeTemporaryDirectory()
        var handler = StorageHandler(directory: directory)
        handler.synchronises = true
        let variables: [String: Value] = ["storage": .object(ObjectValue(ordered: [("handler", handler.alloyValue)]))]
        let text = """
            client { endpoint = "http://127.0.0.1:1" }
            sending_queue { storage = storage.handler }
            retry_on_failure { initial_interval = "1h"
                max_interval = "1h"
                max_elapsed_time = "0s" }
            """
        let first = ComponentHarness(OtelcolExporterOTLPHTTP.self, label: "out", variables: variables)
        #expect(first.start(text).isEmpty)
        #expect(first.settle(until: { first.health?.state == .healthy }))
        let input: Receiver<OTLPBatch> = try #require(first.export("input"))
        try first.run { try await input.consume(PipelineTests.logs(["a", "b"])) }
        #expect(first.instance.ledger.statement.heldItems == 2)
        #expect(first.finish() == [])

        let receiver = ComponentHarness(OtelcolReceiverOTLP.self, label: "in")
        receiver.start(
            """
            http { endpoint = "127.0.0.1:0" }
            output { logs = [recorder.otlp] }
            """)
        #expect(receiver.settle(until: { receiver.health?.state == .healthy }))
        guard case .string(let address)? = receiver.instance.debugInfo["http_address"] else {
            Issue.record("no address")
            return
        }
        let second = ComponentHarness(OtelcolExporterOTLPHTTP.self, label: "out", variables: variables)
        #expect(
            second.start(text.split(separator: "127.0.0.1:1").joined(separator: address)).isEmpty)
        #expect(
            second.settle(until: {
                receiver.settle()
                return second.instance.ledger.statement.outgoing == 2
            }))
        #expect(PipelineTests.lines(receiver.otlp.batches) == ["a", "b"])
        #expect(second.finish() == [])
        let third = ComponentHarness(OtelcolExporterOTLPHTTP.self, label: "out", variables: variables)
        third.start(text)
        #expect(third.settle(until: { third.health?.state == .healthy }))
        #expect(third.instance.ledger.statement.heldItems == 0)
        #expect(third.finish() == [])
        #expect(receiver.finish() == [])
    }
}
