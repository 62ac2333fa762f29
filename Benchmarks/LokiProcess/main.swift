import ComponentKit
import LokiComponents
import Telemetry
import TestKit

/// CPU time of `loki.process` per line, from the receiver to the next one, for pipelines people run.
///
/// Usage: `swift run -c release loki-process-benchmark [rounds]`.
struct Scenario {
    var name: String
    var stages: String
    var line: (Int) -> String
}

let levels = ["info", "warn", "info", "error", "info", "debug"]
let time = "2024-02-29T12:00:00."
let text =
    "GET /api/v1/items?page=3 200 12ms user=alice trace=4bf92f3577b34da6a3ce929d0e0e4736 request served from cache"

let scenarios = [
    Scenario(name: "no stages", stages: "") { "\(time)\(100_000_000 + $0)Z stdout F level=info \(text)" },
    Scenario(name: "cri", stages: "stage.cri { }") { "\(time)\(100_000_000 + $0)Z stdout F level=info \(text)" },
    Scenario(
        name: "cri + regex level + labels",
        stages: """
            stage.cri { }
            stage.regex { expression = "level=(?P<level>\\\\w+)" }
            stage.labels { values = { level = "" } }
            """
    ) { "\(time)\(100_000_000 + $0)Z stdout F level=\(levels[$0 % 6]) \(text)" },
    Scenario(
        name: "json 5 fields",
        stages: """
            stage.json { expressions = { level = "", msg = "", status = "", user = "", trace = "" } }
            """
    ) { jsonLine($0) },
    Scenario(
        name: "json 5 fields + labels + timestamp + output",
        stages: """
            stage.json { expressions = { level = "", msg = "", status = "", user = "", time = "" } }
            stage.labels { values = { level = "", status = "" } }
            stage.timestamp {
                source = "time"
                format = "RFC3339Nano"
            }
            stage.output { source = "msg" }
            """
    ) { jsonLine($0) },
    Scenario(
        name: "docker + logfmt 3 fields + drop",
        stages: """
            stage.docker { }
            stage.logfmt { mapping = { level = "", status = "", user = "" } }
            stage.drop {
                source = "level"
                value  = "debug"
            }
            """
    ) {
        "{\"log\":\"level=\(levels[$0 % 6]) status=200 user=alice msg=\\\"served from cache\\\"\\n\",\"stream\":\"stdout\",\"time\":\"\(time)\(100_000_000 + $0)Z\"}"
    },
    Scenario(
        name: "multiline, 4 lines a block", stages: "stage.multiline { firstline = \"^\\\\d{4}-\" }"
    ) { $0 % 4 == 0 ? "2024-02-29 error \(text)" : "    at com.example.Class.method(Class.java:\($0))" },
]

func jsonLine(_ number: Int) -> String {
    "{\"time\":\"\(time)\(100_000_000 + number)Z\",\"level\":\"\(levels[number % 6])\",\"msg\":\"request served from cache\",\"status\":200,\"duration\":0.0123,\"user\":\"alice\",\"trace\":\"4bf92f3577b34da6a3ce929d0e0e4736\",\"path\":\"/api/v1/items\",\"nested\":{\"a\":[1,2,3]}}"
}

let rounds = CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 200
let linesPerBatch = 1000

for scenario in scenarios {
    let harness = ComponentHarness(LokiProcess.self)
    let problems = harness.start("forward_to = [recorder.logs]\n" + scenario.stages)
    guard problems.isEmpty, let receiver: Receiver<LogBatch> = harness.export("receiver") else {
        print(scenario.name, problems)
        continue
    }
    var batch = LogBatch()
    var bytes = 0
    for number in 0..<linesPerBatch {
        let line = scenario.line(number)
        bytes += line.utf8.count
        batch.append(line, labels: ["job": "bench", "pod": "pod-1", "namespace": "default"], timestamp: Int64(number))
    }
    let input = batch
    func run(_ count: Int) throws -> Double {
        let begin = processNanoseconds()
        for _ in 0..<count {
            try harness.run { try await receiver.consume(input) }
            _ = harness.logs.take()
        }
        return Double(processNanoseconds() - begin)
    }
    _ = try run(20)
    let best = try (0..<3).map { _ in try run(rounds) }.min() ?? 0
    let perLine = best / Double(rounds * linesPerBatch)
    let megabytes = Double(bytes) / Double(linesPerBatch) / perLine * 1e3
    print("\(scenario.name): \(Int(perLine.rounded())) ns/line, \(Int(megabytes.rounded())) MB/s")
    _ = harness.finish()
}
