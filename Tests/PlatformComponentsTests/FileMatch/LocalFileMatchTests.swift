import ComponentKit
import Foundation
import Telemetry
import TestKit
import Testing

@testable import PlatformComponents

@Suite("local.file_match")
struct LocalFileMatchTests {
    private func paths(_ harness: ComponentHarness, below folder: TemporaryFolder) -> [String] {
        (harness.export("targets", as: [Target].self) ?? []).map { target in
            String((target["__path__"] ?? "").dropFirst(folder.path.count + 1))
        }
    }

    @Test("Each file becomes a target with its path and the labels of the pattern's target")
    func expansion() throws {
        let folder = try TemporaryFolder()
        for name in ["b.log", "a.log", "sub/c.log", "sub/deep/d.txt", "skip.log"] { try folder.write(name) }
        let harness = ComponentHarness(LocalFileMatch.self)
        let body = """
            path_targets = [
              {"__path__" = "\(folder.path)/**/*.{log,txt}", "__path_exclude__" = "**/skip*", "job" = "x"},
              {"__path__" = "\(folder.path)/a.log", "job" = "y"},
            ]
            """
        #expect(harness.start(body) == [])
        #expect(harness.settle(until: { harness.exportCount == 1 }))
        #expect(paths(harness, below: folder) == ["a.log", "b.log", "sub/c.log", "sub/deep/d.txt", "a.log"])
        let targets: [Target] = try #require(harness.export("targets"))
        #expect(targets.map { $0["job"] } == ["x", "x", "x", "x", "y"])
        #expect(targets[0]["__path_exclude__"] == "**/skip*")
        #expect(harness.health == .healthy("5 files found"))
        #expect(harness.finish() == [])
    }

    @Test("New files are found at the next period, and nothing is exported when nothing changed")
    func period() throws {
        let folder = try TemporaryFolder()
        try folder.write("a.log")
        let harness = ComponentHarness(LocalFileMatch.self)
        harness.start("path_targets = [{\"__path__\" = \"\(folder.path)/*.log\"}]\nsync_period = \"5s\"")
        #expect(harness.settle(until: { paths(harness, below: folder) == ["a.log"] }))
        try folder.write("b.log")
        harness.advance(by: .seconds(4))
        #expect(paths(harness, below: folder) == ["a.log"])
        harness.advance(by: .seconds(1))
        #expect(harness.settle(until: { paths(harness, below: folder) == ["a.log", "b.log"] }))
        harness.advance(by: .seconds(20))
        #expect(harness.exportCount == 2)
        #expect(harness.finish() == [])
    }

    @Test("Files unchanged for too long are left out, directories and dangling links always")
    func exclusions() throws {
        let folder = try TemporaryFolder()
        try folder.write("old.log")
        try folder.write("new.log")
        try folder.write("dir.log/inside")
        try FileManager.default.createSymbolicLink(
            atPath: folder.path + "/gone.log", withDestinationPath: folder.path + "/nowhere")
        let now = Int64(Date().timeIntervalSince1970)
        try FileManager.default.setAttributes(
            [.modificationDate: Date(timeIntervalSince1970: Double(now - 7200))], ofItemAtPath: folder.path + "/old.log"
        )
        let harness = ComponentHarness(LocalFileMatch.self, wallNanoseconds: now * 1_000_000_000)
        harness.start("path_targets = [{\"__path__\" = \"\(folder.path)/*.log\"}]\nignore_older_than = \"1h\"")
        #expect(harness.settle(until: { paths(harness, below: folder) == ["new.log"] }))
        harness.update("path_targets = [{\"__path__\" = \"\(folder.path)/*.log\"}]")
        #expect(harness.settle(until: { paths(harness, below: folder) == ["new.log", "old.log"] }))
        #expect(harness.finish() == [])
    }

    @Test("A pattern that cannot be read makes the component unhealthy and does not stop the others")
    func badPattern() throws {
        let folder = try TemporaryFolder()
        try folder.write("a.log")
        let harness = ComponentHarness(LocalFileMatch.self)
        harness.start(
            "path_targets = [{\"__path__\" = \"/tmp/[\"}, {\"__path__\" = \"\(folder.path)/*.log\"}]")
        #expect(harness.settle(until: { paths(harness, below: folder) == ["a.log"] }))
        #expect(harness.health?.state == .unhealthy)
        #expect(harness.finish() == [])
    }
}
