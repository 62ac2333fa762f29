import Glibc

/// Measures `loki.source.file -> loki.process -> loki.write` in the whole program and prints a table in Markdown.
///
/// Usage: `logs-benchmark PROGRAM [live|backlog|files|wal|latency|quick]...`; without names, everything.
let scenarios: [(group: String, scenario: Scenario)] = [
    ("quick", Scenario(name: "backlog", files: 4, load: .backlog(megabytes: 100))),
    ("live", Scenario(name: "live, 10,000 lines/s", files: 20, load: .live(linesPerSecond: 10_000, seconds: 20))),
    ("backlog", Scenario(name: "backlog", files: 4, load: .backlog(megabytes: 400))),
    ("files", Scenario(name: "backlog, 1x files", files: 20, load: .backlog(megabytes: 200))),
    ("files", Scenario(name: "backlog, 4x files", files: 80, load: .backlog(megabytes: 200))),
    ("files", Scenario(name: "backlog, 16x files", files: 320, load: .backlog(megabytes: 200))),
    (
        "wal",
        Scenario(
            name: "live, write-ahead log", files: 20, load: .live(linesPerSecond: 10_000, seconds: 20),
            writesAhead: true)
    ),
    ("wal", Scenario(name: "backlog, write-ahead log", files: 4, load: .backlog(megabytes: 400), writesAhead: true)),
    (
        "latency",
        Scenario(
            name: "live, batch_wait 50 ms", files: 20, load: .live(linesPerSecond: 1000, seconds: 10),
            batchWait: "50ms")
    ),
]

let arguments = CommandLine.arguments.dropFirst()
guard let program = arguments.first else {
    print("usage: logs-benchmark PROGRAM [live|backlog|files|wal|latency|quick]...")
    exit(2)
}
let wanted = Set(arguments.dropFirst())
var directory = Array("/tmp/logs-benchmark-XXXXXX".utf8CString)
guard mkdtemp(&directory) != nil else { exit(1) }
let scratch = String(decoding: directory.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
var isFlawless = true
print(Report.heading)
for (group, scenario) in scenarios where wanted.isEmpty ? group != "quick" : wanted.contains(group) {
    do {
        let report = try scenario.run(program, in: scratch)
        print(report.row)
        fflush(nil)
        if !report.isFlawless { isFlawless = false }
    } catch {
        print("\(scenario.name): \(error)")
        isFlawless = false
    }
}
exit(isFlawless ? 0 : 1)
