import AlloySyntax
import ComponentKit
import Essentials
import TestKit
import Testing

@testable import PlatformComponents

@Suite("local.file")
struct LocalFileTests {
    @Test("The content is exported at once and again at every poll")
    func polling() throws {
        let folder = try TemporaryFolder()
        try folder.write("a", "one\n")
        let harness = ComponentHarness(LocalFile.self)
        #expect(
            harness.start("filename = \"\(folder.path)/a\"\ndetector = \"poll\"\npoll_frequency = \"1m\"") == [])
        #expect(harness.export("content", as: String.self) == "one\n")
        #expect(harness.metric("local_file_timestamp_last_accessed_unix_seconds") == 1_700_000_000)
        try folder.write("a", "two")
        harness.advance(by: .seconds(59))
        #expect(harness.export("content", as: String.self) == "one\n")
        harness.advance(by: .seconds(1))
        #expect(harness.settle(until: { harness.export("content", as: String.self) == "two" }))
        #expect(harness.finish() == [])
    }

    @Test("The last good content stays while the file is missing, and the health says so")
    func missing() throws {
        let folder = try TemporaryFolder()
        try folder.write("a", "good")
        let harness = ComponentHarness(LocalFile.self)
        harness.start("filename = \"\(folder.path)/a\"\ndetector = \"poll\"")
        try folder.remove("a")
        harness.advance(by: .seconds(60))
        #expect(harness.settle(until: { harness.health?.state == .unhealthy }))
        #expect(harness.health?.message == "failed to read file: open \(folder.path)/a: no such file or directory")
        #expect(harness.export("content", as: String.self) == "good")
        try folder.write("a", "back")
        harness.advance(by: .seconds(60))
        #expect(harness.settle(until: { harness.health?.state == .healthy }))
        #expect(harness.export("content", as: String.self) == "back")
        #expect(harness.finish() == [])
    }

    @Test("An event of the kernel is enough, also when the file is replaced by renaming")
    func events() throws {
        let folder = try TemporaryFolder()
        try folder.write("a", "one")
        let harness = ComponentHarness(LocalFile.self)
        #expect(harness.start("filename = \"\(folder.path)/a\"\npoll_frequency = \"240h\"") == [])
        func becomes(_ text: String) -> Bool {
            harness.settle(until: {
                harness.advance(by: .milliseconds(30))
                return harness.export("content", as: String.self) == text
            })
        }
        try folder.write("a", "two")
        #expect(becomes("two"))
        try Files.replace(folder.path + "/a", with: Array("three".utf8))
        #expect(becomes("three"))
        try folder.write("a", "four")
        #expect(becomes("four"))
        #expect(harness.finish() == [])
    }

    @Test("A secret is exported as a secret")
    func secret() throws {
        let folder = try TemporaryFolder()
        try folder.write("a", "hush")
        let harness = ComponentHarness(LocalFile.self)
        #expect(harness.start("filename = \"\(folder.path)/a\"\nis_secret = true") == [])
        #expect(harness.export("content", as: String.self) == nil)
        #expect(harness.export("content", as: OptionalSecret.self) == .secret(Secret("hush")))
        harness.update("filename = \"\(folder.path)/a\"")
        #expect(harness.export("content", as: String.self) == "hush")
        #expect(harness.finish() == [])
    }

    @Test(
        "What cannot work is refused",
        arguments: [
            ("filename = \"/nonexistent/x\"", "no such file or directory"),
            ("filename = \"/etc/hostname\"\ndetector = \"magic\"", "should be one of"),
            ("filename = \"/etc/hostname\"\npoll_frequency = \"0s\"", "must be greater than 0"),
            ("detector = \"poll\"", "missing required attribute \"filename\""),
        ])
    func refusals(body: String, problem: String) {
        let harness = ComponentHarness(LocalFile.self)
        let problems = harness.start(body)
        #expect(problems.contains { $0.contains(problem) }, "\(problems)")
    }

    @Test("A new filename is read and followed")
    func change() throws {
        let folder = try TemporaryFolder()
        try folder.write("a", "A")
        try folder.write("b", "B")
        let harness = ComponentHarness(LocalFile.self)
        harness.start("filename = \"\(folder.path)/a\"\ndetector = \"poll\"")
        harness.update("filename = \"\(folder.path)/b\"\ndetector = \"poll\"")
        #expect(harness.export("content", as: String.self) == "B")
        try folder.write("b", "C")
        harness.advance(by: .seconds(60))
        #expect(harness.settle(until: { harness.export("content", as: String.self) == "C" }))
        #expect(harness.finish() == [])
    }
}
