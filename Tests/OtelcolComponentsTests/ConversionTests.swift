import ComponentKit
import Telemetry
import TestKit
import Testing
import Wire

@testable import OtelcolComponents

@Suite("Conversions between Prometheus, Loki and OpenTelemetry")
struct ConversionTests {
    static let output = """
        output {
            metrics = [recorder.otlp]
            logs = [recorder.otlp]
        }
        """

    static func samples(_ series: [(LabelSet, Double)]) -> MetricBatch {
        var writer = SeriesTable.Writer()
        let refs = series.map { writer.append($0.0) }
        var batch = MetricBatch(table: writer.table)
        for (ref, entry) in zip(refs, series) { batch.append(ref, entry.1, at: 1_700_000_000_000) }
        return batch
    }

    @Test("Prometheus samples arrive as data points, and the books balance")
    func receiverPrometheus() throws {
        let harness = ComponentHarness(OtelcolReceiverPrometheus.self)
        #expect(harness.start(Self.output).isEmpty)
        let receiver: Receiver<MetricBatch> = try #require(harness.export("receiver"))
        var batch = Self.samples([
            (["__name__": "h_bucket", "le": "1", "job": "j", "instance": "i"], 1),
            (["__name__": "h_count", "job": "j", "instance": "i"], 1),
            (["__name__": "up", "job": "j", "instance": "i"], 1),
            (["__name__": "lost"], 1),
        ])
        batch.metadata = [MetricMetadata(family: "h", kind: .histogram)]
        let sent = batch
        try harness.run { try await receiver.consume(sent) }
        #expect(harness.otlp.itemCount == 2)
        let statement = harness.instance.ledger.statement
        #expect(statement.incoming == 4 && statement.outgoing == 2 && statement.merged == 1)
        #expect(statement.dropped.map(\.reason.name) == ["no_job_or_instance"])
        #expect(harness.metric("otelcol_receiver_accepted_metric_points_total") == 2)

        // A refusal reaches the sender, which still has the batch.
        harness.otlp.refuse { _ in .overloaded("full") }
        #expect(throws: DeliveryError.self) { try harness.run { try await receiver.consume(sent) } }
        #expect(harness.metric("otelcol_receiver_refused_metric_points_total") == 2)
        harness.otlp.refuse(nil)
        try harness.run { try await receiver.consume(sent) }
        #expect(harness.otlp.itemCount == 4)
        #expect(harness.finish() == [])
    }

    @Test("Loki entries arrive as log records with their labels as attributes and named in the hint")
    func receiverLoki() throws {
        let harness = ComponentHarness(OtelcolReceiverLoki.self)
        #expect(harness.start(Self.output).isEmpty)
        let receiver: Receiver<LogBatch> = try #require(harness.export("receiver"))
        var batch = LogBatch()
        let labels: LabelSet = ["filename": "/var/log/app.log", "job": "app"]
        batch.append("first", labels: labels, timestamp: 5_000_000_001)
        batch.append("second", labels: labels, timestamp: 6, metadata: ["trace": "t", "job": "hidden"])
        batch.append("", labels: ["a": "b"], timestamp: 7)
        let sent = batch
        try harness.run { try await receiver.consume(sent) }
        #expect(harness.finish() == [])
        let converted = try #require(harness.otlp.batches.first)
        let scanned = try converted.requestBytes.withRawBytes { try OTLPScanner.scan($0, as: .logs) }
        #expect(scanned == 3)
        #expect(
            Self.records(converted) == [
                "5000000001 first log.file.path=/var/log/app.log log.file.name=app.log"
                    + " loki.attribute.labels=filename,job filename=/var/log/app.log job=app",
                "6 second log.file.path=/var/log/app.log log.file.name=app.log"
                    + " loki.attribute.labels=filename,job filename=/var/log/app.log job=app trace=t",
                "7  loki.attribute.labels=a a=b",
            ])
    }

    static func records(_ batch: OTLPBatch) -> [String] {
        let walker = OTLPWalker()
        var lines: [String] = []
        try? walker.walk(batch, to: .item) { level in
            guard level == .item else { return .keep }
            var line = "\(walker.logRecord.timeUnixNano) \(walker.logRecord.body.string ?? "-")"
            walker.item.attributes.forEach { key, value in
                line += " \(String(decoding: key, as: UTF8.self))=\(value.string ?? "?")"
            }
            lines.append(line)
            return .keep
        }
        return lines
    }
}
