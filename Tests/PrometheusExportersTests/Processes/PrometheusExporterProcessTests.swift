import ComponentKit
import Foundation
import TestKit
import Testing
import TextFormats

@testable import PrometheusExporters

@Suite("prometheus.exporter.process", .serialized)
struct PrometheusExporterProcessTests {
    private static func machine() -> [FakeProcess] {
        var server = FakeProcess(pid: 100, name: "server", arguments: ["/usr/bin/server", "--port", "80"])
        server.user = 4_000_000
        server.cgroup = "/system.slice/server.service"
        server.userTime = 250
        server.systemTime = 50
        server.faults = (minor: 40, major: 4)
        server.pages = (resident: 10, virtual: 100)
        server.bytes = (read: 4096, written: 8192)
        server.switches = (voluntary: 7, involuntary: 3)
        server.swapped = 12
        server.proportional = (resident: 30, swapped: 5)
        server.files = 6
        server.limit = "12"
        server.place = "ep_poll"
        var main = server
        main.threads = []
        var worker = main
        worker.pid = 101
        worker.name = "worker"
        worker.start = 1001
        worker.state = "R"
        worker.switches = (voluntary: 10, involuntary: 20)
        worker.place = "futex_wait"
        var other = worker
        other.pid = 102
        other.state = "D"
        server.threads = [main, worker, other]
        var child = FakeProcess(pid: 200, name: "cgi (x)", parent: 100, arguments: ["cgi"])
        child.start = 900
        var grandchild = FakeProcess(pid: 150, name: "helper", parent: 200, arguments: ["helper", "-v"])
        grandchild.state = "Z"
        grandchild.pages.resident = 1
        let plain = FakeProcess(pid: 1, name: "init", parent: 0, arguments: ["/sbin/init"])
        let kernel = FakeProcess(pid: 2, name: "kthreadd", parent: 0)
        return [plain, kernel, server, child, grandchild]
    }

    private func start(_ tree: FakeTree, _ body: String) -> ComponentHarness {
        let now = Int64(Date().timeIntervalSince1970 * 1e9)
        let harness = ComponentHarness(PrometheusExporterProcess.self, wallNanoseconds: now)
        #expect(harness.start("procfs_path = \"\(tree.path)/proc\"\n\(body)") == [])
        _ = harness.settle(until: { harness.health != nil })
        return harness
    }

    private func value(_ page: Exposed, _ name: String, _ labels: String) -> Double? {
        page["namedprocess_namegroup_" + name, "{\(labels)}"]
    }

    @Test("A group sums up its processes, their children and threads")
    func sums() throws {
        let tree = try FakeTree()
        try tree.writeProcfs(Self.machine())
        let harness = start(tree, "matcher {\nname = \"{{.Comm}}\"\ncomm = [\"server\"]\n}")
        let page = try harness.scrape()
        #expect(page.duplicates == [])
        let group = #"groupname="server""#
        #expect(value(page, "num_procs", group) == 3)
        #expect(value(page, "open_filedesc", group) == 12)
        #expect(value(page, "worst_fd_ratio", group) == 0.5)
        #expect(value(page, "oldest_start_time_seconds", group) == 1_700_000_009)
        #expect(value(page, "num_threads", group) == 5)
        #expect(value(page, "memory_bytes", group + #",memtype="resident""#) == 45_056)
        #expect(value(page, "memory_bytes", group + #",memtype="virtual""#) == 409_600)
        #expect(value(page, "memory_bytes", group + #",memtype="swapped""#) == 12_288)
        #expect(value(page, "memory_bytes", group + #",memtype="proportionalResident""#) == 30_720)
        #expect(value(page, "memory_bytes", group + #",memtype="proportionalSwapped""#) == 5120)
        #expect(value(page, "states", group + #",state="Sleeping""#) == 3)
        #expect(value(page, "states", group + #",state="Running""#) == 1)
        #expect(value(page, "states", group + #",state="Waiting""#) == 1)
        #expect(value(page, "states", group + #",state="Zombie""#) == 1)
        #expect(value(page, "threads_wchan", group + #",wchan="ep_poll""#) == 2)
        #expect(value(page, "threads_wchan", group + #",wchan="futex_wait""#) == 2)
        #expect(value(page, "thread_count", group + #",threadname="worker""#) == 2)
        // Counters begin with the first look.
        #expect(value(page, "cpu_seconds_total", group + #",mode="user""#) == 0)
        #expect(page["namedprocess_scrape_errors"] == 0)

        var machine = Self.machine()
        machine[2].userTime = 350
        machine[2].bytes = (read: 5096, written: 8192)
        machine[2].threads[1].userTime = 275
        machine[2].threads[2].switches.voluntary = 110
        // A process that began after the first look counts from its beginning.
        var late = FakeProcess(pid: 300, name: "late", parent: 200, arguments: ["late"])
        late.start = Int(Date().timeIntervalSince1970 * 100) - 170_000_000_000 + 6000
        late.systemTime = 400
        machine.append(late)
        try tree.writeProcfs(machine)
        let second = try harness.scrape()
        #expect(value(second, "num_procs", group) == 4)
        #expect(value(second, "cpu_seconds_total", group + #",mode="user""#) == 1)
        #expect(value(second, "cpu_seconds_total", group + #",mode="system""#) == 4)
        #expect(value(second, "read_bytes_total", group) == 1000)
        #expect(value(second, "context_switches_total", #"ctxswitchtype="voluntary","# + group) == 100)
        #expect(
            value(second, "thread_cpu_seconds_total", group + #",mode="user",threadname="worker""#) == 0.25)

        for pid in [100, 150, 200, 300] { try tree.remove("proc/\(pid)") }
        let third = try harness.scrape()
        #expect(value(third, "num_procs", group) == 0)
        #expect(value(third, "cpu_seconds_total", group + #",mode="system""#) == 4)
        #expect(value(third, "oldest_start_time_seconds", group) == -62_135_596_800)
        #expect(harness.finish() == [])
    }

    @Test("Arguments: no children, no threads, no maps, and groups that go")
    func arguments() throws {
        let tree = try FakeTree()
        try tree.writeProcfs(Self.machine())
        let harness = start(
            tree,
            """
            track_children = false
            track_threads = false
            gather_smaps = false
            remove_empty_groups = true
            matcher {
              exe = ["/usr/bin/server"]
            }
            """)
        let page = try harness.scrape()
        let group = #"groupname="server""#
        #expect(value(page, "num_procs", group) == 1)
        #expect(page.names().allSatisfy { !$0.contains("thread_") })
        #expect(value(page, "memory_bytes", group + #",memtype="proportionalResident""#) == nil)
        try tree.remove("proc/100")
        #expect(value(try harness.scrape(), "num_procs", group) == nil)
        #expect(harness.finish() == [])
    }

    @Test("Processes that change their name are found when asked for")
    func rechecking() throws {
        let tree = try FakeTree()
        try tree.writeProcfs(Self.machine())
        let body = "matcher {\ncomm = [\"renamed\"]\nname = \"{{.Comm}}\"\n}"
        let once = start(tree, body)
        let again = start(tree, "recheck_on_scrape = true\n" + body)
        #expect(value(try again.scrape(), "num_procs", #"groupname="renamed""#) == nil)
        try tree.write(FakeProcess(pid: 1, name: "renamed", parent: 0, arguments: ["/sbin/init"]))
        #expect(value(try once.scrape(), "num_procs", #"groupname="renamed""#) == nil)
        #expect(value(try again.scrape(), "num_procs", #"groupname="renamed""#) == 4)
        #expect(once.finish() == [] && again.finish() == [])
    }

    @Test("What cannot be read is counted", .enabled(if: getuid() == 0))
    func errors() throws {
        let tree = try FakeTree()
        var machine = Self.machine()
        machine[2].bytes = nil
        machine[2].threads = []
        try tree.writeProcfs(machine)
        try tree.write("proc/77/stat", "nonsense")
        let harness = start(tree, "matcher {\ncomm = [\"server\"]\n}")
        let page = try harness.scrape()
        #expect(page["namedprocess_scrape_partial_errors"] == 2)
        #expect(page["namedprocess_scrape_procread_errors"] == 2)
        try tree.remove("proc")
        #expect(try harness.scrape()["namedprocess_scrape_errors"] == 1)
        #expect(harness.finish() == [])
    }

    @Test("The first matcher that matches names the group, from a template")
    func names() throws {
        func group(_ name: String, _ comm: [String]?, _ exe: [String]?, _ cmdline: [String]?) throws -> String? {
            let matcher = try ProcessMatcher(
                name: name, comm: comm, exe: exe, cmdline: try cmdline?.map { try .init($0) })
            var process = ProcessIdentity(name: "python3", arguments: ["/usr/bin/python3", "/srv/app.py", "-x"])
            process.cgroups = ["/a", "/b"]
            process.userName = "www"
            process.pid = 42
            process.start = 1_700_000_000_000_000_000
            return matcher.group(of: process)
        }
        let all = "{{.Comm}} {{.ExeBase}} {{.ExeFull}} {{.Username}} {{.PID}}"
        #expect(try group(all, ["python3"], nil, nil) == "python3 python3 /usr/bin/python3 www 42")
        #expect(
            try group("{{index .Cgroups 1}} {{.StartTime}}", ["python3"], nil, nil)
                == "/b 2023-11-14 22:13:20 +0000 UTC")
        #expect(try group("{{.Matches.app}}", nil, nil, [#"/(?P<app>\w+)\.py"#, "-x$"]) == "app")
        #expect(try group("x", nil, nil, [#"\.py"#, "-y"]) == nil)
        #expect(try group("x", ["python"], nil, nil) == nil)
        #expect(try group("x", nil, ["python3"], nil) == "x")
        #expect(try group("x", nil, ["/usr/bin/python3"], nil) == "x")
        #expect(try group("x", nil, ["/bin/python3"], nil) == nil)
        #expect(try group("x", ["python3"], ["bash"], nil) == nil)
        #expect(
            ProcessMatcher.base("") == "." && ProcessMatcher.base("//") == "/" && ProcessMatcher.base("a/b/") == "b")
    }

    @Test(
        "What cannot be is refused by name",
        arguments: [
            ("matcher {\nname = \"x\"\n}", "no matchers provided"),
            ("matcher {\ncmdline = [\"(\"]\n}", "\"cmdline\" is not a regular expression"),
            ("matcher {\nname = \"{{.Nope}}\"\ncomm = [\"x\"]\n}", "a process has no field .Nope"),
            ("matcher {\nname = \"{{.Comm\"\ncomm = [\"x\"]\n}", "\"name\" is no usable template"),
            ("matcher {\nname = \"{{.PID.X}}\"\ncomm = [\"x\"]\n}", "\"name\" is no usable template"),
            ("nonsense = 1", "nonsense"),
        ])
    func refusals(body: String, problem: String) {
        let problems = ComponentHarness(PrometheusExporterProcess.self).evaluate(body)
        #expect(problems.contains { $0.contains(problem) }, "\(problems)")
    }

    @Test("Agrees with process-exporter on a made-up machine", .enabled(if: ProcessExporter.isInstalled))
    func agreement() throws {
        let tree = try FakeTree()
        try tree.writeProcfs(Self.machine())
        let reference = try ProcessExporter(
            tree.path,
            """
            process_names:
            - name: "{{.Comm}}:{{.Username}}"
              comm: [server]
            - cmdline: ['init$']
            - name: "rest {{.PID}}"
              exe: [helper, /bin/none]
            """)
        let harness = start(
            tree,
            """
            matcher {
              name = "{{.Comm}}:{{.Username}}"
              comm = ["server"]
            }
            matcher {
              cmdline = ["init$"]
            }
            matcher {
              name = "rest {{.PID}}"
              exe = ["helper", "/bin/none"]
            }
            """)
        _ = try reference.scrape()
        _ = try harness.scrape()
        var machine = Self.machine()
        machine[2].userTime += 77
        machine[2].threads[1].systemTime += 3
        machine[2].threads[2].bytes = (read: 10_000, written: 20_000)
        machine[3].faults.minor = 5
        machine[4].switches.voluntary = 9
        try tree.writeProcfs(machine)
        compare(try reference.scrape(), try harness.scrape())
        try tree.remove("proc/150")
        compare(try reference.scrape(), try harness.scrape())
        #expect(harness.finish() == [])
    }

    private func compare(_ wanted: Exposed, _ made: Exposed) {
        func own(_ page: Exposed) -> [Series: Double] { page.values.filter { $0.key.name.hasPrefix("namedprocess_") } }
        for name in wanted.names(withPrefix: "namedprocess_") {
            #expect(made.types[name] == wanted.types[name], "type of \(name)")
            #expect(made.helps[name] == wanted.helps[name], "help of \(name)")
        }
        #expect(Set(own(made).keys) == Set(own(wanted).keys))
        for (series, value) in own(wanted) {
            #expect(abs((own(made)[series] ?? .nan) - value) < 1e-9, "\(series)")
        }
    }
}

/// The program of the machine on a made-up procfs, running until released.
final class ProcessExporter {
    static let path = "/usr/bin/prometheus-process-exporter"
    static var isInstalled: Bool { FileManager.default.isExecutableFile(atPath: path) }

    private let process = Process()
    private let port: Int

    init(_ root: String, _ configuration: String) throws {
        let file = root + "/config.yml"
        try configuration.write(toFile: file, atomically: true, encoding: .utf8)
        port = Self.freePort()
        process.executableURL = URL(fileURLWithPath: Self.path)
        process.arguments = [
            "-procfs", root + "/proc", "-config.path", file, "-web.listen-address", "127.0.0.1:\(port)",
        ]
        process.standardError = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        try process.run()
    }

    deinit {
        process.terminate()
        process.waitUntilExit()
    }

    func scrape() throws -> Exposed {
        let request = URL(string: "http://127.0.0.1:\(port)/metrics")!
        let deadline = Date().addingTimeInterval(20)
        while true {
            let curl = Process()
            let output = Pipe()
            curl.executableURL = URL(fileURLWithPath: "/usr/bin/curl")
            curl.arguments = [
                "-s", "-f", "--retry", "20", "--retry-connrefused", "--retry-delay", "0", request.absoluteString,
            ]
            curl.standardOutput = output
            try curl.run()
            let bytes = output.fileHandleForReading.readDataToEndOfFile()
            curl.waitUntilExit()
            if curl.terminationStatus == 0 { return Exposed(String(decoding: bytes, as: UTF8.self)) }
            if Date() > deadline { throw CocoaError(.fileReadUnknown) }
        }
    }

    private static func freePort() -> Int {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        return withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                guard bind(descriptor, address, length) == 0, getsockname(descriptor, address, &length) == 0 else {
                    return 0
                }
                return Int(pointer.pointee.sin_port.bigEndian)
            }
        }
    }
}
