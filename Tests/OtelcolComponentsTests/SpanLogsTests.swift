import ComponentKit
import Essentials
import Telemetry
import TestKit
import Testing
import Wire

@testable import OtelcolComponents

@Suite("otelcol.connector.spanlogs")
struct SpanLogsTests {
    /// Two spans of one trace, the first of them its root and with an event, and one of another trace.
    private func batch() -> OTLPBatch {
        var assembler = OTLPAssembler(kind: .traces)
        let message = OTLPMessage()
        message.clear(as: .resource)
        message.attributes.set("service.name" as OTLPKey, to: "shop")
        message.attributes.set("host" as OTLPKey, to: "a b")
        assembler.begin(resource: message)
        for (trace, name, parent, status) in [
            (1, "root", 0, 0), (1, "child", 5, 2), (2, "other", 5, 1),
        ] as [(UInt8, String, UInt8, UInt32)] {
            message.clear(as: .span)
            let span = OTLPSpan(message)
            [UInt8](repeating: trace, count: 16).withUnsafeBytes { span.traceID = $0 }
            if parent > 0 { [UInt8](repeating: parent, count: 8).withUnsafeBytes { span.parentSpanID = $0 } }
            message.set(OTLPField.Span.name, string: name)
            span.startTimeUnixNano = 1000
            span.endTimeUnixNano = 3500
            span.setStatus(code: status, message: OTLPBytes.empty)
            message.attributes.set("code" as OTLPKey, to: OTLPAnyValue.int(200))
            if parent == 0 {
                let event = OTLPMessage()
                event.clear(as: .event)
                event.attributes.set("message" as OTLPKey, to: "say \"hi\"\n")
                event.encoded.withUnsafeBytes { message.append(OTLPField.Span.events, message: $0) }
            }
            assembler.append(message)
        }
        return assembler.finish()
    }

    /// What the arguments make of ``batch()``: the attributes of each record and its line.
    private func lines(_ arguments: String) throws -> [String] {
        let harness = ComponentHarness(OtelcolConnectorSpanLogs.self)
        #expect(harness.start("\(arguments)\noutput { logs = [recorder.otlp] }") == [])
        let input: Receiver<OTLPBatch> = try #require(harness.export("input"))
        let sent = batch()
        try harness.run { try await input.consume(sent) }
        var lines: [String] = []
        let walker = OTLPWalker()
        for batch in harness.otlp.batches {
            try walker.walk(batch, to: .item) { level in
                guard level == .item else { return .keep }
                var attributes: [String] = []
                walker.item.attributes.forEach { key, value in
                    let text = if case .int(let number) = value { "\(number)" } else { value.string ?? "?" }
                    attributes.append("\(String(decoding: key, as: UTF8.self))=\(text)")
                }
                lines.append("\(attributes.joined(separator: ",")): \(walker.logRecord.body.string ?? "-")")
                return .keep
            }
        }
        #expect(harness.finish() == [])
        return lines
    }

    private let first = String(repeating: "01", count: 16)
    private let second = String(repeating: "02", count: 16)

    @Test("Each kind of line by itself")
    func kinds() throws {
        #expect(try lines("") == [])
        #expect(
            try lines("spans = true") == [
                "traces=span: span=root dur=2500ns svc=shop tid=\(first)",
                "traces=span: span=child dur=2500ns status=Error svc=shop tid=\(first)",
                "traces=span: span=other dur=2500ns status=Ok svc=shop tid=\(second)",
            ])
        #expect(try lines("roots = true") == ["traces=root: span=root dur=2500ns svc=shop tid=\(first)"])
        #expect(
            try lines("processes = true\nprocess_attributes = [\"host\", \"absent\"]") == [
                "traces=process: svc=shop host=\"a b\" tid=\(first)",
                "traces=process: svc=shop host=\"a b\" tid=\(second)",
            ])
        #expect(
            try lines("events = true\nevent_attributes = [\"message\"]") == [
                "traces=event: span=root dur=2500ns svc=shop tid=\(first) message=\"say \\\"hi\\\"\\n\""
            ])
    }

    @Test("Attributes, labels and names of keys")
    func names() throws {
        #expect(
            try lines(
                """
                roots = true
                events = true
                span_attributes = ["code"]
                labels = ["code", "service", "host"]
                overrides {
                    logs_instance_tag = "kind"
                    service_key       = "service"
                    span_name_key     = "name"
                    duration_key      = "took"
                    trace_id_key      = "trace"
                }
                """) == [
                    "kind=root,code=200,service=shop: name=root took=2500ns code=200 service=shop trace=\(first)",
                    "kind=event,code=200,service=shop: name=root took=2500ns code=200 service=shop trace=\(first)",
                ])
    }

    @Test("A batch is refused when its lines are, and taken once they are")
    func refusals() throws {
        let harness = ComponentHarness(OtelcolConnectorSpanLogs.self)
        #expect(harness.start("spans = true\noutput { logs = [recorder.otlp] }") == [])
        let input: Receiver<OTLPBatch> = try #require(harness.export("input"))
        let sent = batch()
        harness.otlp.refuse { _ in .retry("later") }
        #expect(throws: DeliveryError.self) { try harness.run { try await input.consume(sent) } }
        harness.otlp.refuse(nil)
        try harness.run { try await input.consume(sent) }
        #expect(harness.otlp.itemCount == 3)
        #expect(throws: DeliveryError.self) {
            try harness.run { try await input.consume(PipelineTests.logs(["a"])) }
        }
        #expect(harness.finish() == [])
    }

    @Test("Values are quoted where they must be, keys lose what would end them")
    func logfmt() {
        var writer = LogfmtWriter()
        func add(_ key: String, _ value: String) {
            Array(key.utf8).withUnsafeBytes { key in
                Array(value.utf8).withUnsafeBytes { writer.append(key, .string($0)) }
            }
        }
        add("a", "plain")
        add("b c=\"", "x=y")
        add(" ", "gone")
        add("n", "null")
        add("e", "")
        add("u", "\u{e4}\u{1}")
        for value in [OTLPValue.empty, .bool(true), .double(1_500_000), .double(1e-7), .double(2.5)] {
            Array("v".utf8).withUnsafeBytes { writer.append($0, value) }
        }
        [0x76 as UInt8].withUnsafeBytes { key in
            [0xFF as UInt8].withUnsafeBytes { writer.append(key, .string($0)) }
        }
        #expect(
            String(decoding: writer.bytes, as: UTF8.self)
                == "a=plain bc=\"x=y\" n=\"null\" e= u=\"\u{e4}\\u0001\" "
                + "v=null v=true v=1500000 v=1e-07 v=2.5 v=\"\u{FFFD}\"")
    }
}
