import Essentials
import Foundation
import Synchronization
import TestKit
import Testing
import TextFormats

@testable import PrometheusExporters

/// A message bus with systemd and logind on it, on a unix socket.
private final class FakeBus: Sendable {
    /// What a method returns: a signature and its bytes.
    typealias Answer = (signature: String, body: [UInt8])

    let path: String
    private let descriptor: Int32
    private let answers: [String: Answer]
    private let breaks: Bool
    private let ended = DispatchSemaphore(value: 0)

    /// `answers` by `path member arguments`; with `breaks`, nonsense follows the greeting.
    init(_ directory: String, _ answers: [String: Answer], breaks: Bool = false) throws {
        path = directory + "/bus"
        self.answers = answers
        self.breaks = breaks
        descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let bound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        try #require(bound == 0 && listen(descriptor, 8) == 0)
        let thread = Thread { [self] in
            defer { ended.signal() }
            while case let client = accept(descriptor, nil, nil), client >= 0 {
                serve(client)
                close(client)
            }
        }
        thread.start()
    }

    /// Waits for the thread: it must not go on with a descriptor that another file has been given.
    func stop() {
        shutdown(descriptor, Int32(SHUT_RDWR))
        ended.wait()
        close(descriptor)
    }

    private func serve(_ client: Int32) {
        func read(_ count: Int) -> [UInt8]? {
            var bytes = [UInt8](repeating: 0, count: count)
            var offset = 0
            while offset < count {
                let got = bytes.withUnsafeMutableBytes { recv(client, $0.baseAddress! + offset, count - offset, 0) }
                if got <= 0 { return nil }
                offset += got
            }
            return bytes
        }
        func line() -> String? {
            var text: [UInt8] = []
            while text.last != 10 { guard let byte = read(1) else { return nil }; text += byte }
            return String(decoding: text, as: UTF8.self)
        }
        func write(_ bytes: [UInt8]) { _ = send(client, bytes, bytes.count, Int32(MSG_NOSIGNAL)) }
        guard line()?.hasPrefix("\0AUTH EXTERNAL 3") == true else { return write(Array("REJECTED\r\n".utf8)) }
        write(Array("OK 0123456789abcdef\r\n".utf8))
        guard line() == "BEGIN\r\n" else { return }
        while let head = read(16) {
            func number(_ offset: Int) -> Int {
                (0..<4).reduce(0) { $0 | Int(head[offset + $1]) << (8 * $1) }
            }
            guard let fields = read((number(12) + 7) & ~7), let body = read(number(4)) else { return }
            if breaks { return write((0..<400).map { _ in UInt8.random(in: 0...255) }) }
            let entries = fields.prefix(number(12)).withUnsafeBytes { bytes -> [UInt64: String] in
                var reader = DBusReader(Bytes(bytes))
                var found: [UInt64: String] = [:]
                while reader.position < bytes.count, let entry = try? reader.values("(yv)").first?.list {
                    found[entry[0].unsigned ?? 0] = entry[1].string
                }
                return found
            }
            let arguments = body.withUnsafeBytes { bytes -> [String] in
                var reader = DBusReader(bytes)
                return (try? reader.values(entries[8] ?? "").compactMap(\.string)) ?? []
            }
            let key = ([entries[1] ?? "", entries[3] ?? ""] + arguments).joined(separator: " ")
            // A signal nobody asked for comes first.
            write(Self.message(4, 0, [], ("", [])))
            if key.hasSuffix("Hello") {
                write(Self.message(2, number(8), [], Self.texts(":1.7")))
            } else if let answer = answers[key] {
                write(Self.message(2, number(8), [], answer))
            } else {
                let name = "org.freedesktop.DBus.Error.UnknownProperty"
                write(Self.message(3, number(8), Self.field(4, "s", name), Self.texts("no \(key)")))
            }
        }
    }

    private static func field(_ code: UInt8, _ type: String, _ text: String) -> [UInt8] {
        var bytes: [UInt8] = [code, 1, type.utf8.first!, 0]
        append(text, &bytes)
        pad(&bytes, 8)
        return bytes
    }

    private static func message(_ kind: UInt8, _ serial: Int, _ more: [UInt8], _ answer: Answer) -> [UInt8] {
        var fields: [UInt8] = [5, 1, UInt8(ascii: "u"), 0]
        fields += (0..<4).map { UInt8(truncatingIfNeeded: serial >> (8 * $0)) }
        fields += more
        fields += [8, 1, UInt8(ascii: "g"), 0, UInt8(answer.signature.utf8.count)] + Array(answer.signature.utf8) + [0]
        var bytes: [UInt8] = [UInt8(ascii: "l"), kind, 0, 1]
        for number in [answer.body.count, 1, fields.count] {
            bytes += (0..<4).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) }
        }
        bytes += fields
        pad(&bytes, 8)
        return bytes + answer.body
    }

    static func pad(_ bytes: inout [UInt8], _ boundary: Int) { while bytes.count % boundary != 0 { bytes.append(0) } }

    static func append(_ text: String, _ bytes: inout [UInt8]) {
        pad(&bytes, 4)
        bytes += (0..<4).map { UInt8(truncatingIfNeeded: text.utf8.count >> (8 * $0)) }
        bytes += Array(text.utf8) + [0]
    }

    static func texts(_ text: String) -> Answer {
        var bytes: [UInt8] = []
        append(text, &bytes)
        return ("s", bytes)
    }

    /// A variant of a text.
    static func variant(_ text: String) -> Answer {
        var bytes: [UInt8] = [1, UInt8(ascii: "s"), 0]
        append(text, &bytes)
        return ("v", bytes)
    }

    /// A variant of a number or a truth, such as of type `u`, `t` or `b`.
    static func variant(_ type: String, _ value: UInt64) -> Answer {
        var bytes: [UInt8] = [1, type.utf8.first!, 0]
        let size = type == "t" ? 8 : 4
        pad(&bytes, size)
        bytes += (0..<size).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
        return ("v", bytes)
    }

    /// A list of structures of texts, with numbers where the type says `u`.
    static func rows(_ type: String, _ rows: [[String]]) -> Answer {
        var content: [UInt8] = []
        for row in rows {
            pad(&content, 8)
            for (kind, text) in zip(type, row) {
                guard kind == "u" else {
                    append(text, &content)
                    continue
                }
                pad(&content, 4)
                content += (0..<4).map { UInt8(truncatingIfNeeded: UInt32(text)! >> (8 * UInt32($0))) }
            }
        }
        var bytes = (0..<4).map { UInt8(truncatingIfNeeded: content.count >> (8 * $0)) }
        pad(&bytes, 8)
        return ("a(\(type))", bytes + content)
    }
}

@Suite("prometheus.exporter.unix: systemd and logind", .serialized)
struct BusTests {
    private func scrape(_ bus: FakeBus, _ collector: String, _ change: (inout UnixSettings) -> Void = { _ in }) throws
        -> Exposed
    {
        var settings = UnixSettings()
        settings.collectors = CollectorTable.available.filter { $0.name == collector }
        settings.systemBus = bus.path
        change(&settings)
        let clock = EngineClock.system
        let scraper = NodeScraper(settings, clock: clock, log: Log(sink: RecordingLogSink(), clock: clock))
        return Exposed(String(decoding: scraper.scrape(), as: UTF8.self))
    }

    private static func systemd() -> [String: FakeBus.Answer] {
        let root = "/org/freedesktop/systemd1"
        let service = "org.freedesktop.systemd1"
        func unit(_ name: String, _ loaded: String, _ state: String, _ path: String) -> [String] {
            [name, "about \(name)", loaded, state, "x", "", "\(root)/unit/\(path)", "0", "", "/"]
        }
        var answers: [String: FakeBus.Answer] = [
            "\(root) ListUnits": FakeBus.rows(
                "ssssssouso",
                [
                    unit("web.service", "loaded", "active", "web"), unit("old.service", "loaded", "failed", "old"),
                    unit("gone.service", "not-found", "inactive", "gone"), unit("a.timer", "loaded", "active", "timer"),
                    unit("b.socket", "loaded", "active", "socket"), unit("c.mount", "loaded", "active", "mount"),
                    unit("d.slice", "loaded", "active", "slice"),
                ])
        ]
        func property(_ path: String, _ kind: String, _ name: String, _ answer: FakeBus.Answer) {
            answers["\(root)\(path) Get \(service).\(kind) \(name)"] = answer
        }
        property("", "Manager", "Version", FakeBus.variant("252.17-1~deb12u1"))
        property("", "Manager", "SystemState", FakeBus.variant("degraded"))
        property("/unit/web", "Service", "Type", FakeBus.variant("notify"))
        property("/unit/web", "Service", "NRestarts", FakeBus.variant("u", 3))
        property("/unit/web", "Service", "TasksCurrent", FakeBus.variant("t", 12))
        property("/unit/web", "Service", "TasksMax", FakeBus.variant("t", .max))
        property("/unit/web", "Unit", "ActiveEnterTimestamp", FakeBus.variant("t", 1_700_000_000_500_000))
        property("/unit/old", "Service", "Type", FakeBus.variant("oneshot"))
        property("/unit/timer", "Timer", "LastTriggerUSec", FakeBus.variant("t", 1_700_000_001_000_000))
        property("/unit/socket", "Socket", "NAccepted", FakeBus.variant("u", 5))
        property("/unit/socket", "Socket", "NConnections", FakeBus.variant("u", 2))
        property("/unit/socket", "Socket", "NRefused", FakeBus.variant("u", 1))
        return answers
    }

    @Test("systemd tells of units, timers, sockets and its own state")
    func systemd() throws {
        let tree = try FakeTree()
        let bus = try FakeBus(tree.path, Self.systemd())
        defer { bus.stop() }
        let harness = ComponentHarness(PrometheusExporterUnix.self)
        #expect(harness.evaluate("systemd {\nenable_restarts = true\n}\nenable_collectors = [\"systemd\"]") == [])
        let page = try scrape(bus, "systemd") { settings in
            settings.systemd = SystemdArguments(
                exportsRestarts: true, exportsStartTimes: true, exportsTasks: true,
                excluded: try! .init(#".+\.(automount|device|mount|scope|slice)"#), included: try! .init(".+"))
        }
        #expect(page["node_scrape_collector_success", #"{collector="systemd"}"#] == 1)
        #expect(page["node_systemd_version", #"{version="252.17-1~deb12u1"}"#] == 252.17)
        #expect(page["node_systemd_units", #"{state="active"}"#] == 5)
        #expect(page["node_systemd_units", #"{state="deactivating"}"#] == 0)
        #expect(page["node_systemd_unit_state", #"{name="web.service",state="active",type="notify"}"#] == 1)
        #expect(page["node_systemd_unit_state", #"{name="old.service",state="failed",type="oneshot"}"#] == 1)
        #expect(page["node_systemd_unit_state", #"{name="a.timer",state="active"}"#] == 1)
        #expect(page.values.keys.allSatisfy { !$0.labels.contains("gone.") && !$0.labels.contains("d.slice") })
        #expect(page["node_systemd_service_restart_total", #"{name="web.service"}"#] == 3)
        #expect(page["node_systemd_service_restart_total", #"{name="old.service"}"#] == nil)
        #expect(page["node_systemd_unit_tasks_current", #"{name="web.service"}"#] == 12)
        #expect(page["node_systemd_unit_tasks_max", #"{name="web.service"}"#] == nil)
        #expect(page["node_systemd_unit_start_time_seconds", #"{name="web.service"}"#] == 1_700_000_000.5)
        #expect(page["node_systemd_unit_start_time_seconds", #"{name="old.service"}"#] == 0)
        #expect(page["node_systemd_timer_last_trigger_seconds", #"{name="a.timer"}"#] == 1_700_000_001)
        #expect(page["node_systemd_socket_accepted_connections_total", #"{name="b.socket"}"#] == 5)
        #expect(page["node_systemd_socket_refused_connections_total", #"{name="b.socket"}"#] == 1)
        #expect(page["node_systemd_system_running"] == 0)
    }

    @Test("logind counts sessions by seat, kind and type")
    func logind() throws {
        let tree = try FakeTree()
        let root = "/org/freedesktop/login1"
        var answers: [String: FakeBus.Answer] = [
            "\(root) ListSeats": FakeBus.rows("so", [["seat0", root + "/seat/seat0"]]),
            "\(root) ListSessions": FakeBus.rows(
                "susso",
                [
                    ["1", "1000", "me", "seat0", root + "/session/_31"], ["2", "0", "root", "", root + "/session/_32"],
                    ["3", "0", "root", "", root + "/session/_33"],
                ]),
        ]
        for (path, remote, type, kind) in [("_31", 0, "wayland", "user"), ("_32", 1, "tty", "manager")] {
            let key = "\(root)/session/\(path) Get org.freedesktop.login1.Session "
            answers[key + "Remote"] = FakeBus.variant("b", UInt64(remote))
            answers[key + "Type"] = FakeBus.variant(type)
            answers[key + "Class"] = FakeBus.variant(kind)
        }
        let bus = try FakeBus(tree.path, answers)
        defer { bus.stop() }
        let page = try scrape(bus, "logind")
        #expect(page["node_logind_sessions", #"{class="user",remote="false",seat="seat0",type="wayland"}"#] == 1)
        #expect(page["node_logind_sessions", #"{class="other",remote="true",type="tty"}"#] == 1)
        #expect(page.values.keys.filter { $0.name == "node_logind_sessions" }.count == 2 * 7 * 5 * 2)
        #expect(page.values.filter { $0.key.name == "node_logind_sessions" }.values.reduce(0, +) == 2)
    }

    @Test("A bus that is not there, lets nobody in or talks nonsense is an error", arguments: 0..<20)
    func nonsense(round: Int) throws {
        let tree = try FakeTree()
        let bus = try FakeBus(tree.path, [:], breaks: true)
        let page = try scrape(bus, "systemd")
        #expect(page["node_scrape_collector_success", #"{collector="systemd"}"#] == 0)
        bus.stop()
        try FileManager.default.removeItem(atPath: bus.path)
        #expect(try scrape(bus, "logind")["node_scrape_collector_success", #"{collector="logind"}"#] == 0)
    }

    @Test("Values of any signature are read or refused, never trapped on")
    func hostileValues() {
        let signatures = ["a(yv)", "v", "aav", "a{sv}", "(ss)", "ag", "a()", "((", "a", "xtd", "aaaaas"]
        for seed in 0..<3000 {
            let bytes = (0..<(seed % 60)).map { index in
                UInt8(truncatingIfNeeded: (seed &* 7919 &+ index &* 104_729) >> 3)
            }
            for signature in signatures {
                bytes.withUnsafeBytes { bytes in
                    var reader = DBusReader(bytes)
                    _ = try? reader.values(signature)
                }
            }
        }
    }

    private static let daemon = "/usr/bin/dbus-daemon"

    @Test(
        "A real bus lets us in and answers",
        .enabled(if: FileManager.default.isExecutableFile(atPath: Self.daemon), "dbus-daemon is not installed"))
    func realBus() throws {
        let tree = try FakeTree()
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(fileURLWithPath: Self.daemon)
        process.arguments = ["--session", "--nofork", "--print-address", "--address=unix:path=\(tree.path)/bus"]
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        defer {
            // The runner's mask of signals, which it inherits, may hold back gentler ones.
            kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
        }
        // It prints its address when it listens.
        #expect(!output.fileHandleForReading.availableData.isEmpty)
        let bus = try DBusConnection(tree.path + "/bus")
        let service = "org.freedesktop.DBus"
        let names = try bus.call(service, "/org/freedesktop/DBus", service, "ListNames")
        #expect(names.first?.list?.contains(.string(service)) == true)
        #expect(try bus.property(service, "/org/freedesktop/DBus", service, "Features").list != nil)
        #expect(throws: DBusError.self) { try bus.property(service, "/org/freedesktop/DBus", service, "Nothing") }
        #expect(throws: DBusError.self) { try bus.call("org.example.nobody", "/", "org.example", "Call") }
    }
}
