import Essentials
import Foundation
import Testing

@testable import PrometheusExporters

/// A group of this machine's own that tests may make groups in, where there is one.
private let parent: String? = ["/sys/fs/cgroup/cpu", "/sys/fs/cgroup"].first { path in
    let probe = path + "/invar-test-probe-\(getpid())"
    guard mkdir(probe, 0o755) == 0 else { return false }
    defer { rmdir(probe) }
    return access(probe + "/cgroup.procs", F_OK) == 0
}

@Suite("Files of control groups")
struct GroupFilesTests {
    private func text(_ files: GroupFiles, _ path: String) throws -> String {
        try files.withFile(path) { $0.trimmed.string }
    }

    @Test("Files of other file systems are opened anew, so that one put in their place is seen")
    func others() throws {
        let tree = try FakeTree()
        let path = tree.path + "/memory.max"
        let files = GroupFiles(ProcFiles())
        files.begin()
        try tree.write("memory.max", "1\n")
        #expect(try text(files, path) == "1")
        try Data("22\n".utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
        #expect(try text(files, path) == "22")
        #expect(files.count == 0)
        #expect(throws: (any Error).self) { try text(files, tree.path + "/missing") }
    }

    /// Makes a group, and gives its path and that of a file in it that takes 0 and 1.
    private func makeGroup(_ name: String) throws -> (group: String, file: String) {
        let group = try #require(parent) + "/invar-test-\(name)-\(getpid())"
        try #require(mkdir(group, 0o755) == 0)
        let file = ["/notify_on_release", "/cgroup.freeze"].first { access(group + $0, F_OK) == 0 }
        return (group, group + (try #require(file)))
    }

    private func write(_ text: String, _ path: String) throws {
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
    }

    @Test("Files of groups stay open while they are read, and say what is new", .enabled(if: parent != nil))
    func staysOpen() throws {
        let (group, file) = try makeGroup("open")
        defer { rmdir(group) }
        let files = GroupFiles(ProcFiles(), capacity: 1)
        for value in ["0", "1", "0"] {
            try write(value, file)
            files.begin()
            #expect(try text(files, file) == value)
            // Beyond the limit, files are opened anew.
            #expect(try text(files, group + "/cgroup.procs").isEmpty)
            files.end()
            #expect(files.count == 1)
        }
        files.begin()
        files.end()
        #expect(files.count == 0)
    }

    @Test("A group made anew under the name of one that is gone is read", .enabled(if: parent != nil))
    func madeAnew() throws {
        let (group, file) = try makeGroup("anew")
        defer { rmdir(group) }
        let files = GroupFiles(ProcFiles())
        try write("1", file)
        files.begin()
        #expect(try text(files, file) == "1")
        rmdir(group)
        #expect(throws: (any Error).self) { try text(files, file) }
        #expect(files.count == 0)
        try #require(mkdir(group, 0o755) == 0)
        #expect(try text(files, file) == "0")
    }
}
