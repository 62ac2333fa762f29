import AlloySyntax
import ComponentKit
import Essentials
import Glibc
import TestKit
import Testing

@testable import OtelcolComponents

@Suite("otelcol.storage.file")
struct StorageFileTests {
    private func mode(_ path: String) -> mode_t? {
        var status = stat()
        return stat(path, &status) == 0 ? status.st_mode & 0o7777 : nil
    }

    @Test("The directory is made with its permissions, in the component's own place unless given")
    func directories() throws {
        let root = ComponentHarness.makeTemporaryDirectory()
        let harness = ComponentHarness(OtelcolStorageFile.self)
        #expect(harness.start("directory = \"\(root)/a/b\"\ndirectory_permissions = \"0700\"\nfsync = true") == [])
        let handler: StorageHandler = try #require(harness.export("handler"))
        #expect(handler.directory == "\(root)/a/b")
        #expect(handler.synchronises)
        #expect(mode("\(root)/a/b") == 0o700)
        harness.update("directory = \"\(root)/c\"")
        #expect(harness.export("handler", as: StorageHandler.self)?.directory == "\(root)/c")
        #expect(harness.export("handler", as: StorageHandler.self)?.synchronises == false)
        #expect(mode("\(root)/c") == 0o750)
        harness.update("directory = \"\(root)/d\"\ncreate_directory = false")
        #expect(harness.health?.state == .unhealthy)
        #expect(mode("\(root)/d") == nil)
        #expect(harness.finish() == [])
        let own = ComponentHarness(OtelcolStorageFile.self)
        #expect(own.start("") == [])
        let made: StorageHandler = try #require(own.export("handler"))
        #expect(made.directory.hasPrefix(own.services.storagePath + "/"))
        #expect(mode(made.directory) != nil)
        #expect(own.finish() == [])
    }

    @Test(
        "Arguments that cannot work are refused, those without effect are warned of",
        arguments: [
            ("directory_permissions = \"0888\"", "must be octal"), ("timeout = \"0s\"", "must be greater than zero"),
            ("timeout = \"2s\"", "has no effect"), ("compaction { on_start = true }", "has no effect"),
            ("compaction { max_transaction_size = -1 }", "must not be negative"),
            (
                "compaction {\non_rebound = true\nrebound_needed_threshold_mib = 5\n}",
                "must be less than rebound_needed_threshold_mib"
            ),
        ])
    func problems(body: String, problem: String) {
        let problems = ComponentHarness(OtelcolStorageFile.self).evaluate(body)
        #expect(problems.contains { $0.contains(problem) }, "\(problems)")
    }
}
