import AlloySyntax
import ComponentKit
import Essentials
import Storage
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

    /// One life of an exporter that keeps its queue in `directory`.
    private func exporter(_ directory: String, _ address: String, _ more: String = "") -> ComponentHarness {
        let handler = StorageHandler(directory: directory)
        let harness = ComponentHarness(
            OtelcolExporterOTLPHTTP.self, label: "out",
            variables: ["storage": .object(ObjectValue(ordered: [("handler", handler.alloyValue)]))])
        let problems = harness.start(
            """
            client { endpoint = "http://\(address)" }
            sending_queue {
                storage = storage.handler
                \(more)
            }
            retry_on_failure {
                initial_interval = "1h"
                max_interval     = "1h"
                max_elapsed_time = "0s"
            }
            """)
        #expect(problems == [])
        #expect(harness.settle(until: { harness.health?.state == .healthy }))
        return harness
    }

    private func receiver() throws -> (harness: ComponentHarness, address: String) {
        let harness = ComponentHarness(OtelcolReceiverOTLP.self, label: "in")
        harness.start("http { endpoint = \"127.0.0.1:0\" }\noutput { logs = [recorder.otlp] }")
        #expect(harness.settle(until: { harness.health?.state == .healthy }))
        guard case .string(let address)? = harness.instance.debugInfo["http_address"] else {
            throw HarnessError.timedOut
        }
        return (harness, address)
    }

    private func send(_ lines: [String], to harness: ComponentHarness, tenant: String? = nil) throws {
        let input: Receiver<OTLPBatch> = try #require(harness.export("input"))
        var made = PipelineTests.logs(lines)
        if let tenant {
            made.client = OTLPClient(
                address: "10.0.0.1:4711", metadata: [.init(name: "tenant", values: [tenant, "\(tenant)2"])],
                authentication: [.init(name: "raw", values: ["very secret"])])
        }
        let batch = made
        try harness.run { try await input.consume(batch) }
    }

    @Test("What an earlier life left takes room in the queue", arguments: ["requests", "items", "bytes"])
    func leftovers(sizer: String) throws {
        let directory = ComponentHarness.makeTemporaryDirectory()
        let size = sizer == "bytes" ? PipelineTests.logs(["a"]).byteCount : 1
        let settings = "sizer = \"\(sizer)\"\nqueue_size = \(3 * size)\nnum_consumers = 1"
        let first = exporter(directory, "127.0.0.1:1", settings)
        for line in ["a", "b"] { try send([line], to: first) }
        #expect(first.finish() == [])
        let second = exporter(directory, "127.0.0.1:1", settings)
        #expect(second.metric("otelcol_exporter_queue_size", ["data_type": "logs"]) == Double(2 * size))
        try send(["c"], to: second)
        #expect(throws: DeliveryError.self) { try send(["d"], to: second) }
        #expect(second.instance.ledger.statement.heldItems == 3)
        #expect(second.finish() == [])
        // Reading the queue through at the start loses nothing and repeats nothing.
        let (receiver, address) = try receiver()
        let third = exporter(directory, address, settings)
        #expect(
            third.settle(until: {
                receiver.settle()
                return third.instance.ledger.statement.outgoing == 3
            }))
        #expect(PipelineTests.lines(receiver.otlp.batches) == ["a", "b", "c"])
        #expect(third.metric("otelcol_exporter_queue_size", ["data_type": "logs"]) == 0)
        #expect(third.finish() == [])
        #expect(receiver.finish() == [])
    }

    @Test("Batches on disk are joined and split as the batch block says, those of other clients apart")
    func batching() throws {
        let directory = ComponentHarness.makeTemporaryDirectory()
        let (receiver, address) = try receiver()
        let harness = exporter(
            directory, address,
            "num_consumers = 1\nbatch {\nmin_size = 4\nmax_size = 4\nflush_timeout = \"1s\"\n}")
        try send(["a", "b"], to: harness)
        // Not enough, and not yet time.
        for _ in 0..<5 { harness.advance(by: .milliseconds(100)) }
        #expect(harness.instance.ledger.statement.heldItems == 2)
        try send(["c", "d", "e"], to: harness)
        func isSent(_ count: Int) -> Bool {
            harness.settle(until: {
                receiver.settle()
                return harness.instance.ledger.statement.outgoing == count
            })
        }
        #expect(isSent(5))
        #expect(receiver.otlp.batches.map(\.itemCount) == [4, 1])
        _ = receiver.otlp.take()
        try send(["f"], to: harness)
        #expect(harness.instance.ledger.statement.heldItems == 1)
        harness.advance(by: .milliseconds(1100))
        #expect(isSent(6))
        _ = receiver.otlp.take()
        for (line, tenant) in [("g", "x"), ("h", "y"), ("i", "x"), ("j", "y")] {
            try send([line], to: harness, tenant: tenant)
        }
        #expect(isSent(10))
        let groups = receiver.otlp.batches.map { PipelineTests.lines([$0]) }
        #expect(groups == [["g", "i"], ["h", "j"]])
        #expect(harness.finish() == [])
        #expect(receiver.finish() == [])
    }

    @Test("Address and metadata of clients are kept on disk, what they were authenticated with is not")
    func clients() throws {
        var batch = PipelineTests.logs(["a"])
        let client = OTLPClient(
            address: "10.0.0.1:4711",
            metadata: [.init(name: "tenant", values: ["x", "y"]), .init(name: "empty", values: [])],
            authentication: [.init(name: "raw", values: ["very secret"])])
        batch.client = client
        let record = QueueRecord.make(batch)
        let back = try #require(QueueRecord.batch(record, .logs))
        #expect(back.client == OTLPClient(address: client.address, metadata: client.metadata))
        #expect(back.requestBytes == batch.requestBytes)
        #expect(!String(decoding: record.payload, as: UTF8.self).contains("very secret"))
        batch.client = nil
        #expect(QueueRecord.batch(QueueRecord.make(batch), .logs)?.client == nil)
        // Whatever is cut off or changed is no batch, and nothing worse.
        for count in 0..<record.payload.count {
            var cut = record
            cut.payload = Array(record.payload[..<count])
            #expect(QueueRecord.batch(cut, .logs) == nil)
        }
        for index in record.payload.indices {
            var bad = record
            bad.payload[index] = 0xFF
            _ = QueueRecord.batch(bad, .logs)
        }
    }
}
