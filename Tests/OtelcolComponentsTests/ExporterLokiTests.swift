import ComponentKit
import Essentials
import Telemetry
import TestKit
import Testing
import Wire

@testable import OtelcolComponents

@Suite("otelcol.exporter.loki")
struct ExporterLokiTests {
    private struct Record {
        var body: OTLPAnyValue = .string("hi")
        var severity: UInt32 = 0
        var severityText = ""
        var time: UInt64 = 5
        var attributes: [(String, OTLPAnyValue)] = []
        var trace = false
    }

    private func batch(
        resource: [(String, OTLPAnyValue)] = [], scope: (name: String, version: String)? = nil, _ records: [Record]
    ) -> OTLPBatch {
        var assembler = OTLPAssembler(kind: .logs)
        let message = OTLPMessage()
        message.clear(as: .resource)
        for (key, value) in resource { message.attributes.set(OTLPKey(key), to: value) }
        assembler.begin(resource: message)
        if let scope {
            message.clear(as: .scope)
            message.set(OTLPField.Scope.name, string: scope.name)
            message.set(OTLPField.Scope.version, string: scope.version)
            assembler.begin(scope: message)
        }
        for record in records {
            message.clear(as: .logRecord)
            let log = OTLPLogRecord(message)
            log.timeUnixNano = record.time
            log.observedTimeUnixNano = 7
            log.severityNumber = record.severity
            message.set(OTLPField.LogRecord.severityText, string: record.severityText)
            message.set(OTLPField.LogRecord.body, value: record.body)
            if record.trace {
                [UInt8](repeating: 0xA1, count: 16).withUnsafeBytes { log.traceID = $0 }
                [UInt8](repeating: 0x0B, count: 8).withUnsafeBytes { log.spanID = $0 }
                log.flags = 1
            }
            for (key, value) in record.attributes { message.attributes.set(OTLPKey(key), to: value) }
            assembler.append(message)
        }
        return assembler.finish()
    }

    /// What arrives behind the component: labels, time and line of each entry.
    private func entries(_ batch: OTLPBatch, dropped: Int = 0) throws -> [String] {
        let harness = ComponentHarness(OtelcolExporterLoki.self)
        #expect(harness.start("forward_to = [recorder.logs]") == [])
        let input: Receiver<OTLPBatch> = try #require(harness.export("input"))
        try harness.run { try await input.consume(batch) }
        let kept = batch.itemCount - dropped
        #expect(harness.metric("otelcol_exporter_loki_entries_total") == Double(batch.itemCount))
        #expect(harness.metric("otelcol_exporter_loki_entries_processed") == Double(kept))
        #expect(harness.metric("otelcol_exporter_loki_entries_failed") == Double(dropped))
        #expect(harness.instance.ledger.statement.droppedItems == dropped)
        #expect(harness.finish() == [])
        return harness.logs.batches.flatMap { batch in
            batch.entries.map { "\(batch.streams[Int($0.stream)]) \($0.timestamp) \(batch.line($0))" }
        }
    }

    @Test("Hints make labels of attributes, which then are not in the line; the rest is JSON in upstream's order")
    func hints() throws {
        let sent = batch(
            resource: [
                ("service.name", .string("shop")), ("service.namespace", .string("eu")),
                ("service.instance.id", .string("i-1")), ("host.name", .string("h")), ("zone", .int(3)),
                ("loki.resource.labels", .string("host.name, none")),
            ],
            scope: ("lib", "1.2"),
            [
                Record(
                    body: .string("a <b>"), severity: 10, severityText: "Info2",
                    attributes: [
                        ("loki.attribute.labels", .string("event.domain,http.code")),
                        ("event.domain", .string("web")),
                        ("http", .map(OTLPAnyValue.Map(unique: [.init(key: Array("code".utf8), value: .int(200))]))),
                        ("rest", .bool(true)),
                    ],
                    trace: true)
            ])
        #expect(
            try entries(sent) == [
                #"{event_domain="web", exporter="OTLP", host_name="h", http_code="200", instance="i-1", "#
                    + #"job="eu/shop", level="INFO2"} 5 {"body":"a \u003cb\u003e","#
                    + #""traceid":"a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1","spanid":"0b0b0b0b0b0b0b0b","severity":"Info2","#
                    + #""flags":1,"attributes":{"http":{"code":200},"rest":true},"resources":{"#
                    + #""service.instance.id":"i-1","service.name":"shop","service.namespace":"eu","zone":3},"#
                    + #""instrumentation_scope":{"name":"lib","version":"1.2"}}"#
            ])
    }

    @Test("Lists of hints, a tenant, names Prometheus does not allow, and times that are missing")
    func labels() throws {
        let sent = batch([
            Record(
                body: .empty, time: 0,
                attributes: [
                    ("loki.attribute.labels", .array([.string("2 cents"), .string("_x"), .string("__y")])),
                    ("2 cents", .double(1.5)), ("_x", .string("a")), ("__y", .string("b")),
                    ("loki.tenant", .string("org")), ("org", .string("t1")),
                ])
        ])
        #expect(
            try entries(sent) == [#"{__y="b", exporter="OTLP", key_2_cents="1.5", key_x="a", org="t1"} 7 {}"#])
    }

    @Test("Lines in logfmt take up a body that is logfmt, and flatten what is nested")
    func logfmt() throws {
        let format: (String, OTLPAnyValue) = ("loki.format", .string("logfmt"))
        let nested = OTLPAnyValue.Map(unique: [
            .init(key: Array("a".utf8), value: .array([.int(1), .string("x y")])),
            .init(key: Array("b".utf8), value: .bool(false)),
        ])
        let sent = batch(
            resource: [format, ("zone", .string("z"))],
            [
                Record(body: .string(#"msg="it \"is\"" severity=low n=1"#), severityText: "warn"),
                Record(body: .string(#"not = logfmt"#)), Record(body: .map(nested)), Record(body: .int(4)),
                Record(body: .array([.string("q")]), attributes: [("k", .map(nested))], trace: true),
            ])
        #expect(
            try entries(sent) == [
                #"{exporter="OTLP"} 5 msg="it \"is\"" severity=warn n=1 resource_zone=z"#,
                #"{exporter="OTLP"} 5 msg="not = logfmt" resource_zone=z"#,
                #"{exporter="OTLP"} 5 a_0=1 a_1="x y" b=false resource_zone=z"#,
                #"{exporter="OTLP"} 5 msg=4 resource_zone=z"#,
                #"{exporter="OTLP"} 5 body_0=q traceID=a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1 spanID=0b0b0b0b0b0b0b0b "#
                    + #"flags=1 attribute_k_a_0=1 attribute_k_a_1="x y" attribute_k_b=false resource_zone=z"#,
            ])
    }

    @Test("A record whose format nobody knows is dropped and counted, the others go on")
    func unknownFormat() throws {
        let sent = batch([
            Record(attributes: [("loki.format", .string("xml"))]), Record(body: .string("good")),
        ])
        #expect(try entries(sent, dropped: 1) == [#"{exporter="OTLP"} 5 {"body":"good"}"#])
    }

    @Test("Other signals are refused for good, and a receiver that is full is felt by the sender")
    func refusals() throws {
        let harness = ComponentHarness(OtelcolExporterLoki.self)
        #expect(harness.start("forward_to = [recorder.logs]") == [])
        let input: Receiver<OTLPBatch> = try #require(harness.export("input"))
        var assembler = OTLPAssembler(kind: .traces)
        let message = OTLPMessage()
        message.clear(as: .resource)
        assembler.begin(resource: message)
        message.clear(as: .span)
        assembler.append(message)
        let traces = assembler.finish()
        func failure(of batch: OTLPBatch) -> DeliveryError? {
            do {
                try harness.run { try await input.consume(batch) }
                return nil
            } catch {
                return error as? DeliveryError
            }
        }
        let refused = failure(of: traces)
        #expect(refused?.isRetryable == false)
        harness.logs.refuse { _ in .overloaded(retryAfter: .seconds(3), "full") }
        let logs = batch([Record()])
        let full = failure(of: logs)
        #expect(full?.isRetryable == true)
        harness.logs.refuse(nil)
        try harness.run { try await input.consume(logs) }
        #expect(harness.logs.batches.count == 1)
        #expect(harness.finish() == [])
    }
}
