import AlloySyntax
import Essentials
import Foundation
import Storage
import Telemetry
import TestKit
import Testing

@testable import LokiComponents

/// Files that change their names between two lives of the component.
@Suite("loki.source.file, renamed while down")
struct RenamedWhileDownTests {
    private let directory = TemporaryDirectory()

    private func config(_ names: [String], _ more: String = "") -> String {
        let targets = names.map { "{__path__ = \"\(directory[$0])\", job = \"j\"}" }.joined(separator: ", ")
        return "targets = [\(targets)]\nforward_to = [recorder.logs]\n\(more)"
    }

    private func harness() -> ComponentHarness {
        ComponentHarness(LokiSourceFile.self, storagePath: directory["data"])
    }

    /// One life that reads `names` until it has `wanted`, in any order.
    private func live(
        _ names: [String], _ wanted: [String], _ more: String = "", sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let harness = harness()
        #expect(harness.start(config(names, more)) == [], sourceLocation: sourceLocation)
        let isDone = harness.settle(until: {
            harness.advance(by: .milliseconds(250))
            return harness.lines.count >= wanted.count
        })
        // Time for what should not come.
        for _ in 0..<8 { harness.advance(by: .milliseconds(250)) }
        #expect(isDone && harness.lines.sorted() == wanted.sorted(), sourceLocation: sourceLocation)
        #expect(harness.finish() == [], sourceLocation: sourceLocation)
    }

    @Test("A file renamed away is read to its end, the new one of its name from the beginning")
    func renamed() {
        directory.write("one\ntwo\n", to: "app.log")
        live(["app.log"], ["one", "two"])
        directory.append("three\nfour", to: "app.log")
        directory.move("app.log", to: "app.log.1")
        // Longer than what was read of the old one: the position alone would begin in its middle.
        directory.write("fresh and rather long\nnext\n", to: "app.log")
        live(["app.log"], ["three", "four", "fresh and rather long", "next"])
        directory.append("last\n", to: "app.log")
        live(["app.log"], ["last"])
    }

    @Test("A kill right after the first lines does not lose a file that is renamed then")
    func killedEarly() {
        directory.write("one\ntwo\n", to: "app.log")
        do {
            let harness = harness()
            harness.start(config(["app.log"]))
            #expect(harness.settle(until: { harness.lines == ["one", "two"] }))
            let beside = directory["data"] + "/loki.source.file.test/positions.yml.fingerprints"
            #expect(
                harness.settle(until: {
                    harness.advance(by: .milliseconds(250))
                    return Files.exists(beside)
                }))
            // Well before the interval at which positions are written; the harness goes away without a graceful end.
        }
        directory.append("three\n", to: "app.log")
        directory.move("app.log", to: "app.log.1")
        directory.write("fresh and rather long\n", to: "app.log")
        live(["app.log"], ["three", "fresh and rather long"])
    }

    @Test("A file whose new one is not there yet is read to its end")
    func renamedWithoutSuccessor() {
        directory.write("one\n", to: "app.log")
        live(["app.log"], ["one"])
        directory.append("two\n", to: "app.log")
        directory.move("app.log", to: "old-20240101")
        live(["app.log"], ["two"])
    }

    @Test("A file whose new one is not there yet keeps its position while a slow receiver has not taken its end")
    func renamedWithoutSuccessorSlowly() {
        directory.write("one\n", to: "app.log")
        live(["app.log"], ["one"])
        directory.append("two\n", to: "app.log")
        directory.move("app.log", to: "old-20240101")
        do {
            let harness = harness()
            harness.logs.refuse { _ in .retry("busy") }
            harness.start(config(["app.log"]))
            // Several times as long as positions of missing files are kept.
            for _ in 0..<200 { harness.advance(by: .milliseconds(250)) }
            #expect(harness.lines == [])
            _ = harness.finish()
        }
        live(["app.log"], ["two"])
    }

    @Test("The position of a file that is gone for good does not stay")
    func forgotten() throws {
        directory.write("one\n", to: "app.log")
        directory.write("one\n", to: "gone.log")
        live(["app.log", "gone.log"], ["one", "one"])
        directory.remove("gone.log")
        let harness = harness()
        harness.start(config(["app.log"]))
        let path = directory["data"] + "/loki.source.file.test/positions.yml"
        let isForgotten = harness.settle(until: {
            harness.advance(by: .seconds(1))
            return (try? Files.readText(path, limit: .mebibytes(1)))?.contains("gone.log") == false
        })
        #expect(isForgotten)
        #expect(harness.finish() == [])
    }

    @Test("A renamed file that is a target itself goes on where it was, and is read once")
    func renamedIntoTarget() {
        directory.write("one\ntwo\n", to: "app.log")
        live(["app.log"], ["one", "two"])
        directory.append("three\n", to: "app.log")
        directory.move("app.log", to: "app.1.log")
        directory.write("fresh and rather long\n", to: "app.log")
        live(["app.1.log", "app.log"], ["three", "fresh and rather long"])
        live(["app.1.log", "app.log"], [])
    }

    @Test("A pattern finds the renamed file too")
    func renamedWithinPattern() {
        let match = "file_match {\nenabled = true\nsync_period = \"1s\"\n}"
        directory.write("one\ntwo\n", to: "app.log")
        live(["*.log"], ["one", "two"], match)
        directory.append("three\n", to: "app.log")
        directory.move("app.log", to: "app-1.log")
        directory.write("fresh and rather long\n", to: "app.log")
        live(["*.log"], ["three", "fresh and rather long"], match)
    }

    @Test("A file copied away and truncated is read to the copy's end, then from its beginning")
    func copiedAndTruncated() {
        directory.write("one\ntwo\n", to: "app.log")
        live(["app.log"], ["one", "two"])
        directory.write("one\ntwo\nthree\n", to: "app.log.1")
        directory.write("fresh and rather long\n", to: "app.log")
        live(["app.log"], ["three", "fresh and rather long"])
    }

    @Test("A file whose bytes are the same under another inode goes on")
    func restored() {
        directory.write("one\ntwo\n", to: "app.log")
        live(["app.log"], ["one", "two"])
        directory.move("app.log", to: "elsewhere/../gone")
        directory.remove("gone")
        directory.write("one\ntwo\nthree\n", to: "app.log")
        live(["app.log"], ["three"])
    }

    @Test("A new file that begins like the renamed one is told apart by the inode")
    func equalBeginnings() {
        let banner = String(repeating: "#", count: 2000)
        directory.write("\(banner)\none\n", to: "app.log")
        live(["app.log"], [banner, "one"])
        directory.append("two\n", to: "app.log")
        directory.move("app.log", to: "app.log.1")
        directory.write("\(banner)\nfresh and rather long\n", to: "app.log")
        live(["app.log"], ["two", banner, "fresh and rather long"])
    }

    @Test("A file that is gone for good is reported, and the new one read from its beginning")
    func gone() {
        directory.write("one\ntwo\n", to: "app.log")
        live(["app.log"], ["one", "two"])
        directory.move("app.log", to: "aside")
        directory.write("fresh and rather long\n", to: "app.log")
        directory.remove("aside")
        let harness = harness()
        harness.start(config(["app.log"]))
        #expect(harness.settle(until: { harness.lines == ["fresh and rather long"] }))
        #expect(harness.logSink.lines.contains { "\($0)".contains("read before is gone") })
        #expect(harness.finish() == [])
    }

    @Test("Positions Alloy wrote, without fingerprints, are taken over")
    func fromAlloy() throws {
        directory.write("one\ntwo\nthree\n", to: "app.log")
        try Files.makeDirectory(directory["data"] + "/loki.source.file.test")
        let text = "positions:\n  ? path: \(directory["app.log"])\n    labels: '{job=\"j\"}'\n  : \"8\"\n"
        try Files.replace(directory["data"] + "/loki.source.file.test/positions.yml", with: Array(text.utf8))
        live(["app.log"], ["three"])
    }
}
