import ComponentKit
import Essentials
import Telemetry
import TestKit

@testable import LokiComponents

/// One entry on its way into a pipeline.
struct InputEntry: Sendable {
    var line: [UInt8]
    var labels: LabelSet
    var timestamp: Int64
    var metadata: LabelSet

    init(
        _ line: String, _ labels: LabelSet = ["job": "a"], at timestamp: Int64 = 1_000, metadata: LabelSet = .empty
    ) {
        self.init(bytes: Array(line.utf8), labels, at: timestamp, metadata: metadata)
    }

    init(
        bytes line: [UInt8], _ labels: LabelSet = ["job": "a"], at timestamp: Int64 = 1_000, metadata: LabelSet = .empty
    ) {
        self.line = line
        self.labels = labels
        self.timestamp = timestamp
        self.metadata = metadata
    }

    static func batch(_ entries: [InputEntry]) -> LogBatch {
        var batch = LogBatch()
        for entry in entries {
            let stream = batch.stream(for: entry.labels)
            entry.line.withUnsafeBytes {
                batch.append($0, stream: stream, timestamp: entry.timestamp, metadata: entry.metadata)
            }
        }
        return batch
    }
}

/// `loki.process` with some stages, between a test that sends and a recorder.
final class ProcessFixture {
    let harness: ComponentHarness

    init(_ stages: String, wallNanoseconds: Int64 = 1_700_000_000_000_000_000) {
        harness = ComponentHarness(LokiProcess.self, wallNanoseconds: wallNanoseconds)
        problems = harness.start(Self.body(stages))
    }

    let problems: [String]

    /// A component's content from stages written without line breaks between statements.
    static func body(_ stages: String) -> String {
        "forward_to = [recorder.logs]\n"
            + stages.replacing(#/(["\]\}\d]|true|false) +(?=(?:stage|metric)\.|[a-z_]+ = |rule \{)/#) { match in
                "\(match.1)\n"
            }
    }

    /// The receiver, kept because exporting decodes it anew.
    var receiver: Receiver<LogBatch>? { harness.export("receiver") }

    func send(_ entries: [InputEntry]) throws {
        guard let receiver else { return }
        let batch = InputEntry.batch(entries)
        try harness.run { try await receiver.consume(batch) }
    }

    /// Lines that came out since the last call, with labels.
    func take() -> [String] {
        harness.logs.take().flatMap { batch in
            batch.entries.map { "\(batch.streams[Int($0.stream)]) \(batch.line($0))" }
        }
    }

    /// Entries that came out since the last call, as `labels metadata @timestamp line`.
    func takeAll() -> [String] {
        harness.logs.take().flatMap { batch in
            batch.entries.map { entry in
                "\(batch.streams[Int(entry.stream)]) \(entry.metadata) @\(entry.timestamp) \(batch.line(entry))"
            }
        }
    }

    /// What `stages` make of `entries`, everything held included.
    static func run(_ stages: String, _ entries: [InputEntry]) throws -> [String] {
        let fixture = ProcessFixture(stages)
        if !fixture.problems.isEmpty { return fixture.problems }
        try fixture.send(entries)
        let broken = fixture.harness.finish()
        return broken + fixture.take()
    }

    static func runAll(_ stages: String, _ entries: [InputEntry]) throws -> [String] {
        let fixture = ProcessFixture(stages)
        if !fixture.problems.isEmpty { return fixture.problems }
        try fixture.send(entries)
        let broken = fixture.harness.finish()
        return broken + fixture.takeAll()
    }
}
