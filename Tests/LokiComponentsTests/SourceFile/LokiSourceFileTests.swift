import AlloySyntax
import ComponentKit
import Essentials
import Foundation
import LogSources
import SelfMetrics
import Storage
import Telemetry
import TestKit
import Testing

@testable import LokiComponents

@Suite("loki.source.file")
struct LokiSourceFileTests {
    private func config(_ paths: [String], _ more: String = "") -> String {
        let targets = paths.map { "{__path__ = \"\($0)\", job = \"j\", __meta = \"m\"}" }.joined(separator: ", ")
        return "targets = [\(targets)]\nforward_to = [recorder.logs]\n\(more)"
    }

    @Test("Lines arrive with the target's labels and the file name, and the position is saved at the end")
    func basics() throws {
        let directory = TemporaryDirectory()
        directory.write("one\ntwo\nthr", to: "log")
        let path = directory["log"]
        let harness = ComponentHarness(LokiSourceFile.self, storagePath: directory["data"])
        #expect(harness.start(config([path, path])) == [])
        #expect(harness.settle(until: { harness.lines == ["one", "two"] }))
        #expect(harness.logs.batches.first?.streams == [["job": "j", "filename": path]])
        directory.append("ee\n", to: "log")
        #expect(
            harness.settle(until: {
                harness.advance(by: .milliseconds(250))
                return harness.lines.count == 3
            }))
        #expect(harness.metric("loki_source_file_read_lines_total", ["path": path]) == 3)
        #expect(harness.metric("loki_source_file_read_bytes_total", ["path": path]) == 14)
        #expect(harness.metric("loki_source_file_file_bytes_total", ["path": path]) == 14)
        #expect(
            harness.settle(until: {
                harness.advance(by: .milliseconds(250))
                return harness.metric("loki_source_file_files_active_total") == 1
            }))
        #expect("\(harness.instance.debugInfo)".contains(path))
        #expect(harness.finish() == [])
        let positions = try Positions(path: directory["data"] + "/loki.source.file.test/positions.yml")
        #expect(positions.all == [PositionKey(path: path, labels: "{job=\"j\"}"): "14"])
        // The next life goes on where this one ended.
        directory.append("four\n", to: "log")
        let next = ComponentHarness(LokiSourceFile.self, storagePath: directory["data"])
        next.start(config([path]))
        #expect(next.settle(until: { next.lines == ["four"] }))
        #expect(next.finish() == [])
    }

    @Test("A receiver that refuses holds the position; nothing is lost and nothing is sent twice after it accepts")
    func backPressure() throws {
        let directory = TemporaryDirectory()
        let wanted = (0..<50_000).map { "line \($0) with some text behind it" }
        directory.write(wanted.joined(separator: "\n") + "\n", to: "log")
        let harness = ComponentHarness(LokiSourceFile.self, storagePath: directory["data"])
        harness.logs.refuse { _ in .overloaded("no") }
        harness.start(config([directory["log"]]))
        for _ in 0..<20 { harness.advance(by: .seconds(1)) }
        #expect(harness.settle(until: { harness.services.budget.usage.bytes > 0 }))
        // Bounded: what one reader holds, not the file.
        #expect(harness.services.budget.usage.bytes <= 2 << 20)
        #expect(harness.metric("loki_source_file_read_lines_total", ["path": directory["log"]]) == 0)
        harness.logs.refuse(nil)
        #expect(
            harness.settle(until: {
                harness.advance(by: .seconds(5))
                return harness.lines.count >= wanted.count
            }))
        #expect(harness.lines == wanted)
        #expect(harness.finish() == [])
    }

    @Test("Lines that are refused for good are dropped and counted")
    func rejected() {
        let directory = TemporaryDirectory()
        directory.write("one\ntwo\n", to: "log")
        let harness = ComponentHarness(LokiSourceFile.self)
        harness.logs.refuse { _ in .rejected(.malformed, "never") }
        harness.start(config([directory["log"]]))
        #expect(harness.settle(until: { harness.instance.ledger.statement.droppedItems == 2 }))
        #expect(harness.finish() == [])
    }

    @Test("A kill at any time loses nothing: positions on disk never run ahead of what was accepted")
    func kill() throws {
        let directory = TemporaryDirectory()
        let wanted = (0..<150_000).map { "line \($0)" }
        directory.write(wanted.joined(separator: "\n") + "\n", to: "log")
        var seen: Set<String> = []
        for life in 0..<4 {
            let harness = ComponentHarness(LokiSourceFile.self, storagePath: directory["data"])
            // From some batch on the receiver takes nothing more.
            let limit = life < 3 ? 2 : Int.max
            let logs = harness.logs
            logs.refuse { [weak logs] _ in (logs?.batches.count ?? 0) >= limit ? .overloaded("full") : nil }
            harness.start(config([directory["log"]]))
            if life < 3 {
                #expect(harness.settle(until: { logs.batches.count == limit }))
                // Positions are written on the interval.
                let saved = directory["data"] + "/loki.source.file.test/positions.yml"
                try? FileManager.default.removeItem(atPath: saved)
                harness.advance(by: .seconds(11))
                #expect(harness.settle(until: { Files.exists(saved) }))
            } else {
                #expect(harness.settle(until: { harness.lines.last == wanted.last }))
                #expect(harness.lines.count < wanted.count)
            }
            seen.formUnion(harness.lines)
            // The harness goes away without a graceful end of the component.
        }
        #expect(seen == Set(wanted))
    }

    @Test("New arguments start and stop files and leave the others alone")
    func reload() throws {
        let directory = TemporaryDirectory()
        for name in ["a", "b", "c"] { directory.write(name + "1\n", to: name) }
        let harness = ComponentHarness(LokiSourceFile.self, storagePath: directory["data"])
        harness.start(config([directory["a"], directory["b"]]))
        #expect(harness.settle(until: { harness.lines.count == 2 }))
        harness.update(config([directory["b"], directory["c"]]))
        #expect(harness.settle(until: { harness.lines.count == 3 }))
        for name in ["a", "b", "c"] { directory.append(name + "2\n", to: name) }
        #expect(
            harness.settle(until: {
                harness.advance(by: .milliseconds(250))
                return harness.lines.count == 5
            }))
        #expect(Set(harness.lines) == ["a1", "b1", "c1", "b2", "c2"])
        #expect(harness.metric("loki_source_file_read_lines_total", ["path": directory["a"]]) == nil)
        #expect(harness.finish() == [])
        let positions = try Positions(path: directory["data"] + "/loki.source.file.test/positions.yml")
        #expect(Set(positions.all.keys.map(\.path)) == [directory["b"], directory["c"]])
    }

    @Test("Patterns are resolved again and again, with exceptions and an age limit")
    func patterns() {
        let directory = TemporaryDirectory()
        directory.write("a\n", to: "a.log")
        directory.write("x\n", to: "x.skip.log")
        directory.write("old\n", to: "old.log")
        utimes(directory["old.log"], [timeval(tv_sec: 1, tv_usec: 0), timeval(tv_sec: 1, tv_usec: 0)])
        let harness = ComponentHarness(LokiSourceFile.self)
        let text = """
            targets = [{__path__ = "\(directory.path)/*.log", __path_exclude__ = "\(directory.path)/*.skip.log"}]
            forward_to = [recorder.logs]
            file_match {
              enabled = true
              sync_period = "5s"
              ignore_older_than = "1h"
            }
            """
        #expect(harness.start(text) == [])
        #expect(harness.settle(until: { harness.lines == ["a"] }))
        directory.write("b\n", to: "b.log")
        #expect(
            harness.settle(until: {
                harness.advance(by: .seconds(5))
                return harness.lines.count == 2
            }))
        #expect(harness.lines == ["a", "b"])
        #expect(harness.finish() == [])
    }

    @Test("Compressed files wait for their delay, are read once, and keep their position")
    func compressed() throws {
        let directory = TemporaryDirectory()
        // "one\ntwo\nlast" as gzip made by Python 3.11.
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = ["-c", "printf 'one\\ntwo\\nlast' | gzip -c > \(directory["log.gz"])"]
        try process.run()
        process.waitUntilExit()
        let harness = ComponentHarness(LokiSourceFile.self, storagePath: directory["data"])
        let text = config(
            [directory["log.gz"]],
            """
            decompression {
              enabled = true
              format = "gz"
              initial_delay = "10s"
            }
            """)
        #expect(harness.start(text) == [])
        harness.advance(by: .seconds(9))
        #expect(harness.lines == [])
        #expect(
            harness.settle(until: {
                harness.advance(by: .seconds(1))
                return harness.lines == ["one", "two", "last"]
            }))
        #expect(harness.finish() == [])
        let positions = try Positions(path: directory["data"] + "/loki.source.file.test/positions.yml")
        #expect(Array(positions.all.values) == ["12"])
    }

    @Test("Positions of promtail are taken over for files without one of their own")
    func legacy() throws {
        let directory = TemporaryDirectory()
        directory.write("one\ntwo\n", to: "log")
        directory.write("positions:\n  \(directory["log"]): \"4\"\n", to: "promtail.yml")
        let harness = ComponentHarness(LokiSourceFile.self, storagePath: directory["data"])
        harness.start(config([directory["log"]], "legacy_positions_file = \"\(directory["promtail.yml"])\""))
        #expect(harness.settle(until: { harness.lines == ["two"] }))
        #expect(harness.finish() == [])
    }

    @Test(
        "A position that is no number is dealt with as asked",
        arguments: [
            ("restart_from_beginning", ["one", "two", "three"]), ("restart_from_end", ["three"]), ("skip", []),
        ])
    func positionErrors(_ policy: String, _ expected: [String]) throws {
        let directory = TemporaryDirectory()
        directory.write("one\ntwo\n", to: "log")
        let storage = directory["data"] + "/loki.source.file.test"
        try Files.makeDirectory(storage)
        let positions = try Positions(path: storage + "/positions.yml")
        positions[PositionKey(path: directory["log"], labels: "{job=\"j\"}")] = "x"
        try positions.save()
        let harness = ComponentHarness(LokiSourceFile.self, storagePath: directory["data"])
        harness.start(config([directory["log"]], "on_positions_file_error = \"\(policy)\""))
        _ = harness.settle(until: {
            harness.advance(by: .milliseconds(250))
            return harness.logSink.lines.contains { $0.contains("tailing") || $0.contains("Failed") }
        })
        directory.append("three\n", to: "log")
        let isThere = harness.settle(
            until: {
                harness.advance(by: .milliseconds(250))
                return harness.lines.count == expected.count && !expected.isEmpty
            }, seconds: expected.isEmpty ? 0 : 20)
        #expect(isThere == !expected.isEmpty)
        #expect(harness.lines == expected)
        #expect(harness.finish() == [])
    }

    @Test(
        "Arguments that cannot work are refused by name",
        arguments: [
            ("encoding = \"klingon\"", "encoding"), ("on_positions_file_error = \"panic\"", "restart_from_end"),
            ("file_match { sync_period = \"0s\" }", "sync_period"),
            ("decompression {\n enabled = true\n format = \"rar\" }", "bz2"),
            ("decompression { enabled = true }", "format"), ("whatever = 1", "whatever"),
        ])
    func refused(_ text: String, _ name: String) {
        let harness = ComponentHarness(LokiSourceFile.self)
        let problems = harness.evaluate(config(["/x"], text))
        #expect(problems.contains { $0.contains(name) }, "\(problems)")
        #expect(!harness.instance.isMade)
    }

    @Test("A damaged positions file refuses to start")
    func damagedPositions() throws {
        let directory = TemporaryDirectory()
        let storage = directory["data"] + "/loki.source.file.test"
        try Files.makeDirectory(storage)
        try Files.replace(storage + "/positions.yml", with: Array("positions: [".utf8))
        let harness = ComponentHarness(LokiSourceFile.self, storagePath: directory["data"])
        let problems = harness.evaluate(config(["/x"]))
        #expect(problems.contains { $0.contains("invalid yaml positions file") }, "\(problems)")
    }

    @Test("A thousand files are followed at once")
    func manyFiles() {
        let directory = TemporaryDirectory()
        let names = (0..<1000).map { "log\($0)" }
        for name in names { directory.write("\(name) 1\n", to: name) }
        let harness = ComponentHarness(LokiSourceFile.self)
        harness.start(config(names.map { directory[$0] }))
        #expect(harness.settle(until: { harness.lines.count == 1000 }))
        // Lines of many files share a batch.
        #expect(harness.logs.batches.count < 100)
        for name in names { directory.append("\(name) 2\n", to: name) }
        #expect(
            harness.settle(until: {
                harness.advance(by: .milliseconds(250))
                return harness.lines.count == 2000
            }))
        #expect(harness.finish() == [])
    }

    @Test("Looks at a file keep their distance however long reading takes")
    func looksOnTime() {
        let file = TailedFile(
            key: PositionKey(path: "/nowhere", labels: "{}"), labels: .empty, position: nil,
            options: FileTail.Options(), decoder: .verbatim, metrics: MetricRegistry().scope(), firstLook: 1_000)
        file.postponeLook(from: 1_040, minimum: 250, maximum: 1_000, isQuiet: false)
        #expect(file.nextLook == 1_250)
        file.postponeLook(from: 1_251, minimum: 250, maximum: 1_000, isQuiet: true)
        #expect(file.nextLook == 1_750)
        file.postponeLook(from: 1_752, minimum: 250, maximum: 1_000, isQuiet: true)
        #expect(file.nextLook == 2_750)
        file.postponeLook(from: 9_000, minimum: 250, maximum: 1_000, isQuiet: false)
        #expect(file.nextLook == 9_000)
    }
}
