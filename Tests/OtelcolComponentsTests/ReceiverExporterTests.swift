import AlloySyntax
import ComponentKit
import Essentials
import Synchronization
import Telemetry
import TestKit
import Testing
import Transport
import Wire

@testable import OtelcolComponents

/// Components of both ends, joined by real sockets on the loopback.
@Suite("OTLP receiver and exporters")
struct ReceiverExporterTests {
    private static let output = """
        output {
            logs = [recorder.otlp]
        }
        """

    /// A receiver on free ports, with its addresses.
    private func receiver(_ more: String = "") throws -> (harness: ComponentHarness, grpc: String, http: String) {
        let harness = ComponentHarness(OtelcolReceiverOTLP.self, label: "in")
        let problems = harness.start(
            """
            grpc { endpoint = "127.0.0.1:0" }
            http {
                endpoint = "127.0.0.1:0"
                \(more)
            }
            \(Self.output)
            """)
        #expect(problems.isEmpty)
        #expect(harness.settle(until: { harness.health?.state == .healthy }))
        func address(_ name: String) -> String {
            guard case .string(let text)? = harness.instance.debugInfo[name] else { return "" }
            return text
        }
        return (harness, address("grpc_address"), address("http_address"))
    }

    private func post(
        _ harness: ComponentHarness, _ url: String, _ body: [UInt8], _ fields: HTTPFields
    ) throws -> (status: Int, fields: HTTPFields, body: [UInt8]) {
        let loops = harness.services.eventLoops
        return try harness.run {
            let client = HTTPClient(on: loops)
            defer { client.shutDown() }
            var request = HTTPClientRequest(.post, try #require(HTTPURL(url)), fields: fields)
            request.body = body
            let response = try await client.send(request)
            return (response.status.code, response.fields, try await response.collect())
        }
    }

    @Test("HTTP: protobuf, JSON, malformed bodies, unknown paths, refusals")
    func http() throws {
        let (harness, _, address) = try receiver()
        let batch = PipelineTests.logs(["a", "b"])
        let url = "http://\(address)/v1/logs"
        let protobuf: HTTPFields = ["content-type": "application/x-protobuf"]
        #expect(try post(harness, url, batch.requestBytes, protobuf).status == 200)
        let json = batch.requestBytes.withUnsafeBytes { OTLPJSON.encode($0, of: .logs) }
        let answer = try post(harness, url, json, ["content-type": "application/json"])
        #expect(answer.status == 200)
        #expect(String(decoding: answer.body, as: UTF8.self) == "{}")
        #expect(PipelineTests.lines(harness.otlp.batches) == ["a", "b", "a", "b"])
        #expect(try post(harness, url, [1, 2, 3], protobuf).status == 400)
        #expect(try post(harness, url, Array("{".utf8), ["content-type": "application/json"]).status == 400)
        #expect(try post(harness, url, [], ["content-type": "text/plain"]).status == 415)
        #expect(try post(harness, "http://\(address)/v1/traces", [], protobuf).status == 404)
        harness.otlp.refuse { _ in .overloaded(retryAfter: .seconds(7), "full") }
        let refused = try post(harness, url, batch.requestBytes, protobuf)
        #expect(refused.status == 429)
        #expect(refused.fields["retry-after"] == "7")
        harness.otlp.refuse { _ in .retry("later") }
        #expect(try post(harness, url, batch.requestBytes, protobuf).status == 503)
        harness.otlp.refuse { _ in .rejected(.limit, "never") }
        #expect(try post(harness, url, batch.requestBytes, protobuf).status == 500)
        #expect(harness.finish() == [])
    }

    @Test("gRPC: a call is taken, refused with the time to come back, and unknown methods are named")
    func grpc() throws {
        let (harness, address, _) = try receiver()
        let parts = try #require(GRPCDialArguments.parse(address))
        let loops = harness.services.eventLoops
        let bytes = PipelineTests.logs(["a"]).requestBytes
        func call(_ path: String, _ compression: GRPCCompression = .identity) throws -> GRPCStatus? {
            var settings = GRPCClientSettings(host: parts.host, port: parts.port)
            settings.compression = compression
            let made = settings
            return try harness.run {
                let client = GRPCClient(made, on: loops)
                defer { client.shutDown() }
                do throws(GRPCStatus) {
                    _ = try await client.call(path, bytes, timeout: .seconds(20))
                    return nil
                } catch {
                    return error
                }
            }
        }
        let path = OTLPBatch.Kind.logs.exportMethod
        for compression in GRPCCompression.allCases { #expect(try call(path, compression) == nil) }
        #expect(harness.otlp.itemCount == GRPCCompression.allCases.count)
        #expect(try call("/nothing").map(\.code) == .unimplemented)
        #expect(try call(OTLPBatch.Kind.traces.exportMethod).map(\.code) == .unimplemented)
        harness.otlp.refuse { _ in .overloaded(retryAfter: .milliseconds(1500), "full") }
        let refused = try call(path)
        #expect(refused?.code == .resourceExhausted)
        #expect(refused?.retryDelay == .milliseconds(1500))
        #expect(refused?.message == "full")
        #expect(harness.finish() == [])
    }

    @Test("Exporters deliver to the receiver, retry what it refuses and refuse themselves when their queue is full")
    func exporters() throws {
        let (receiver, grpc, http) = try receiver()
        for (type, client) in [
            (OtelcolExporterOTLPHTTP.self as any Component.Type, "endpoint = \"http://\(http)\""),
            (OtelcolExporterOTLP.self, "endpoint = \"\(grpc)\"\ntls { insecure = true }"),
        ] {
            let harness = ComponentHarness(type, label: "out")
            #expect(
                harness.start(
                    """
                    client { \n\(client)\n }
                    sending_queue {
                        queue_size = 2
                        num_consumers = 1
                    }
                    retry_on_failure { initial_interval = "1s" }
                    """
                ).isEmpty)
            let input: Receiver<OTLPBatch> = try #require(harness.export("input"))
            _ = receiver.otlp.take()
            try harness.run { try await input.consume(PipelineTests.logs(["a", "b"])) }
            func settle(until condition: () -> Bool) -> Bool {
                harness.settle(until: {
                    receiver.settle()
                    return condition()
                })
            }
            #expect(settle { harness.instance.ledger.statement.outgoing == 2 })
            #expect(receiver.otlp.itemCount == 2)
            let asked = Atomic<Int>(0)
            receiver.otlp.refuse { _ in
                asked.add(1, ordering: .relaxed)
                return .retry("later")
            }
            // One is under way, two wait.
            try harness.run { try await input.consume(PipelineTests.logs(["c"])) }
            #expect(settle { asked.load(ordering: .relaxed) > 0 })
            for line in ["d", "e"] { try harness.run { try await input.consume(PipelineTests.logs([line])) } }
            #expect(throws: DeliveryError.self) {
                try harness.run { try await input.consume(PipelineTests.logs(["f"])) }
            }
            receiver.otlp.refuse(nil)
            #expect(
                settle {
                    harness.advance(by: .seconds(1))
                    return receiver.otlp.itemCount >= 5
                })
            #expect(PipelineTests.lines(receiver.otlp.batches) == ["a", "b", "c", "d", "e"])
            #expect(
                settle {
                    harness.advance(by: .seconds(1))
                    return harness.instance.ledger.statement.heldItems == 0
                })
            #expect(harness.finish() == [])
        }
        #expect(receiver.finish() == [])
    }

    @Test("Without a queue, a sender that is cancelled is told so instead of tried for again and again")
    func cancelledSender() throws {
        let harness = ComponentHarness(OtelcolExporterOTLPHTTP.self, label: "out")
        // Nobody listens on the port of discard, as a rule.
        let problems = harness.start(
            "client {\nendpoint = \"http://127.0.0.1:9\"\n}\nsending_queue {\nenabled = false\n}")
        #expect(problems.isEmpty)
        let input: Receiver<OTLPBatch> = try #require(harness.export("input"))
        let failure: DeliveryError? = try harness.run {
            let sender = Task { () async -> DeliveryError? in
                do throws(DeliveryError) {
                    try await input.consume(PipelineTests.logs(["a"]))
                    return nil
                } catch {
                    return error
                }
            }
            sender.cancel()
            return await sender.value
        }
        #expect(failure?.isRetryable == true)
        #expect(harness.finish() == [])
    }

    @Test("What waits for a destination goes to the new one when the arguments change", arguments: [true, false])
    func changedDestination(isBatching: Bool) throws {
        let (receiver, _, http) = try receiver()
        let harness = ComponentHarness(OtelcolExporterOTLPHTTP.self, label: "out")
        func body(_ address: String) -> String {
            let batching = isBatching ? "batch {\nflush_timeout = \"1ms\"\nmin_size = 1\n}" : ""
            return """
                client { endpoint = "http://\(address)" }
                sending_queue {
                    num_consumers = 2
                    \(batching)
                }
                retry_on_failure { initial_interval = "100s" }
                """
        }
        // Nobody listens on the port of discard, as a rule.
        #expect(harness.start(body("127.0.0.1:9")) == [])
        let input: Receiver<OTLPBatch> = try #require(harness.export("input"))
        for line in ["a", "b", "c", "d"] {
            try harness.run { try await input.consume(PipelineTests.logs([line])) }
        }
        #expect(harness.update(body(http)) == [])
        #expect(
            harness.settle(until: {
                receiver.settle()
                return receiver.otlp.itemCount >= 4
            }))
        #expect(Set(PipelineTests.lines(receiver.otlp.batches)) == ["a", "b", "c", "d"])
        #expect(
            harness.settle(until: {
                receiver.settle()
                return harness.instance.ledger.statement.heldItems == 0
            }))
        #expect(harness.instance.ledger.statement.outgoing == 4)
        #expect(harness.instance.ledger.statement.dropped.isEmpty)
        #expect(harness.metric("otelcol_exporter_send_failed_log_records_total") == 0)
        #expect(harness.finish() == [])
        #expect(receiver.finish() == [])
    }
}
