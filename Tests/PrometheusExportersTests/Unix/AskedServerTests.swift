import ComponentKit
import Essentials
import Foundation
import TestKit
import Testing

@testable import PrometheusExporters

/// A socket of a test on loopback, answering in a thread until stopped.
private final class FakeServer: Sendable {
    let port: Int
    private let descriptor: Int32
    private let ended = DispatchSemaphore(value: 0)

    /// `answer` makes of what came what is sent back; a stream is closed after it.
    init(isDatagram: Bool, _ answer: @escaping @Sendable ([UInt8]) -> [UInt8]) {
        let type = isDatagram ? SOCK_DGRAM : SOCK_STREAM
        let descriptor = socket(AF_INET, Int32(type.rawValue), 0)
        self.descriptor = descriptor
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        port = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                _ = bind(descriptor, address, length)
                _ = getsockname(descriptor, address, &length)
            }
            return Int(pointer.pointee.sin_port.bigEndian)
        }
        if !isDatagram { listen(descriptor, 8) }
        Thread { [ended] in
            defer { ended.signal() }
            if isDatagram { Self.answerDatagrams(descriptor, answer) } else { Self.answerStreams(descriptor, answer) }
        }.start()
    }

    /// Waits for the thread: it must not go on with a descriptor that the next server has been given.
    func stop() {
        shutdown(descriptor, Int32(SHUT_RDWR))
        ended.wait()
        close(descriptor)
    }

    private static func answerDatagrams(_ descriptor: Int32, _ answer: ([UInt8]) -> [UInt8]) {
        var room = [UInt8](repeating: 0, count: 2048)
        while true {
            var sender = sockaddr_storage()
            var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
            let count = withUnsafeMutablePointer(to: &sender) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    recvfrom(descriptor, &room, room.count, 0, $0, &length)
                }
            }
            guard count > 0 else { return }
            let bytes = answer(Array(room[..<count]))
            _ = withUnsafePointer(to: &sender) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    sendto(descriptor, bytes, bytes.count, 0, $0, length)
                }
            }
        }
    }

    private static func answerStreams(_ descriptor: Int32, _ answer: ([UInt8]) -> [UInt8]) {
        var room = [UInt8](repeating: 0, count: 64 << 10)
        while case let client = accept(descriptor, nil, nil), client >= 0 {
            var request: [UInt8] = []
            // Up to the end of the body, which is XML.
            while !String(decoding: request, as: UTF8.self).contains("</methodCall>"),
                case let count = recv(client, &room, room.count, 0), count > 0
            {
                request += room[..<count]
            }
            let bytes = answer(request)
            _ = send(client, bytes, bytes.count, Int32(MSG_NOSIGNAL))
            close(client)
        }
    }
}

@Suite("prometheus.exporter.unix: collectors that ask a server", .serialized)
struct AskedServerTests {
    private func scrape(_ collector: String, _ change: (inout UnixSettings) -> Void) -> Exposed {
        var settings = UnixSettings()
        settings.collectors = CollectorTable.available.filter { $0.name == collector }
        change(&settings)
        let clock = EngineClock.system
        let scraper = NodeScraper(settings, clock: clock, log: Log(sink: RecordingLogSink(), clock: clock))
        return Exposed(String(decoding: scraper.scrape(), as: UTF8.self))
    }

    private func success(_ page: Exposed, _ collector: String) -> Double? {
        page["node_scrape_collector_success", "{collector=\"\(collector)\"}"]
    }

    /// Names, types, helps and, where `isEqual` says so, values of node_exporter's page, where it is installed.
    private func compare(
        _ ours: Exposed, _ collector: String, _ flags: [String], isEqual: (String) -> Bool
    ) throws {
        guard NodeExporter.isInstalled, let theirs = try NodeExporter(flags).scrape(collector) else { return }
        let prefix = "node_\(collector)_"
        func own(_ page: Exposed) -> [Series: Double] { page.values.filter { $0.key.name.hasPrefix(prefix) } }
        #expect(Set(own(ours).keys) == Set(own(theirs).keys))
        for (series, value) in own(theirs) {
            #expect(ours.types[series.name] == theirs.types[series.name], "type of \(series.name)")
            #expect(ours.helps[series.name] == theirs.helps[series.name], "help of \(series.name)")
            if isEqual(series.name) { #expect(own(ours)[series] == value, "\(series)") }
        }
    }

    // MARK: NTP

    /// An answer of a server whose clock is ahead by `offset` seconds.
    private static func answer(
        _ request: [UInt8], offset: Double = 0, stratum: UInt8 = 2, leap: UInt8 = 0,
        change: (inout [UInt8]) -> Void = { _ in }
    ) -> [UInt8] {
        func stamp(_ seconds: Double) -> [UInt8] {
            let whole = UInt64(seconds + 2_208_988_800)
            let fraction = UInt64((seconds - seconds.rounded(.down)) * 4_294_967_296)
            return (0..<8).map { UInt8(truncatingIfNeeded: (whole << 32 | fraction) >> (56 - 8 * $0)) }
        }
        let now = Date().timeIntervalSince1970 + offset
        var bytes = [UInt8](repeating: 0, count: 48)
        bytes[0] = leap << 6 | 4 << 3 | 4
        bytes[1] = stratum
        // Half a second and a quarter.
        bytes[6] = 0x80
        bytes[10] = 0x40
        bytes.replaceSubrange(16..<24, with: stamp((now - 64).rounded()))
        bytes.replaceSubrange(24..<32, with: request[40..<48])
        bytes.replaceSubrange(32..<40, with: stamp(now))
        bytes.replaceSubrange(40..<48, with: stamp(now))
        change(&bytes)
        return bytes
    }

    private func ntp(_ server: FakeServer) -> Exposed {
        scrape("ntp") { $0.ntp.port = server.port }
    }

    @Test("ntp tells of the server's clock and whether it is sane")
    func ntp() throws {
        let server = FakeServer(isDatagram: true) { Self.answer($0) }
        defer { server.stop() }
        let page = ntp(server)
        #expect(success(page, "ntp") == 1)
        #expect(page["node_ntp_stratum"] == 2 && page["node_ntp_leap"] == 0)
        #expect(page["node_ntp_root_delay_seconds"] == 0.5 && page["node_ntp_root_dispersion_seconds"] == 0.25)
        #expect(abs(page["node_ntp_offset_seconds"] ?? 1) < 0.5)
        #expect(abs((page["node_ntp_reference_timestamp_seconds"] ?? 0) - Date().timeIntervalSince1970 + 64) < 5)
        #expect(page["node_ntp_sanity"] == 1)
        try compare(
            page, "ntp", ["--collector.ntp", "--collector.ntp.server-port=\(server.port)"],
            isEqual: { $0.contains("root_") || $0.hasSuffix("stratum") || $0.hasSuffix("leap") })
    }

    @Test("ntp does not call a clock sane that is far off, unsynchronised or too distant")
    func insaneClocks() {
        let answers: [(Int, @Sendable ([UInt8]) -> [UInt8])] = [
            (0, { Self.answer($0, offset: 10) }), (0, { Self.answer($0, leap: 3) }),
            (0, { Self.answer($0, stratum: 0) }),
            (0, { Self.answer($0, stratum: 16) }), (0, { Self.answer($0) { $0[5] = 9 } }),
            // An announced leap second may be smeared.
            (1, { Self.answer($0, offset: 0.5, leap: 1) }),
        ]
        for (index, (sanity, answer)) in answers.enumerated() {
            let server = FakeServer(isDatagram: true, answer)
            defer { server.stop() }
            #expect(ntp(server)["node_ntp_sanity"] == Double(sanity), "answer \(index)")
        }
    }

    @Test("ntp takes no answers to other questions")
    func strangeAnswers() {
        let answers: [@Sendable ([UInt8]) -> [UInt8]] = [
            { Self.answer($0) { $0[24] ^= 1 } }, { Self.answer($0) { $0[0] = 4 << 3 | 3 } }, { _ in [1, 2, 3] },
            { Self.answer($0) { $0.replaceSubrange(40..<48, with: [UInt8](repeating: 0, count: 8)) } },
            { Self.answer($0) { $0[40] = 0 } },
        ]
        for (index, answer) in answers.enumerated() {
            let server = FakeServer(isDatagram: true, answer)
            defer { server.stop() }
            #expect(success(ntp(server), "ntp") == 0, "answer \(index)")
        }
    }

    // MARK: supervisord

    private static func document(_ processes: [[(String, String)]]) -> [UInt8] {
        let rows = processes.map { members in
            let texts = members.map { "<member>\n<name>\($0.0)</name>\n<value>\($0.1)</value>\n</member>" }
            return "<value><struct>\n\(texts.joined(separator: "\n"))\n</struct></value>"
        }
        let body = """
            <?xml version='1.0'?>
            <methodResponse><params><param>
            <value><array><data>\(rows.joined(separator: "\n"))</data></array></value>
            </param></params></methodResponse>
            """
        return Array(
            "HTTP/1.0 200 OK\r\nContent-Type: text/xml\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)".utf8)
    }

    private func supervisord(_ server: FakeServer) -> Exposed {
        scrape("supervisord") { $0.supervisordURL = "http://127.0.0.1:\(server.port)/RPC2" }
    }

    @Test("supervisord's processes are told with their states")
    func supervisord() throws {
        func process(_ name: String, _ state: Int, _ start: Int, _ exit: Int) -> [(String, String)] {
            [
                ("name", "<string>\(name)</string>"), ("group", "<string>g &amp; h</string>"),
                ("start", "<int>\(start)</int>"), ("stop", "<int>0</int>"), ("now", "<int>1700000100</int>"),
                ("state", "<int>\(state)</int>"), ("statename", "<string>S</string>"),
                ("exitstatus", "<int>\(exit)</int>"), ("pid", "<int>7</int>"),
            ]
        }
        let answer = Self.document([process("web", 20, 1_700_000_000, 0), process("old", 100, 5, 2)])
        let server = FakeServer(isDatagram: false) { _ in answer }
        defer { server.stop() }
        let page = supervisord(server)
        #expect(success(page, "supervisord") == 1)
        let web = #"{group="g & h",name="web"}"#
        #expect(page["node_supervisord_up", web] == 1 && page["node_supervisord_state", web] == 20)
        #expect(page["node_supervisord_start_time_seconds", web] == 1_700_000_000)
        #expect(page["node_supervisord_exit_status", #"{group="g & h",name="old"}"#] == 2)
        #expect(page["node_supervisord_start_time_seconds", #"{group="g & h",name="old"}"#] == nil)
        try compare(
            page, "supervisord",
            ["--collector.supervisord", "--collector.supervisord.url=http://127.0.0.1:\(server.port)/RPC2"],
            isEqual: { _ in true })
    }

    @Test("What is no answer of supervisord is an error")
    func brokenSupervisord() {
        let answers = [
            "", "HTTP/1.0 500 no\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\n<methodResponse><fault></fault></methodResponse>",
            "HTTP/1.0 200 OK\r\n\r\n<methodResponse><params>", "SSH-2.0\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\n<",
        ]
        for answer in answers {
            let server = FakeServer(isDatagram: false) { _ in Array(answer.utf8) }
            defer { server.stop() }
            #expect(success(supervisord(server), "supervisord") == 0, "\(answer)")
        }
    }

    @Test(
        "Settings that cannot be are refused by name",
        arguments: [
            ("ntp {\nserver = \"192.0.2.1\"\n}", "\"server\" must be an address of this machine"),
            ("ntp {\nprotocol_version = 5\n}", "\"protocol_version\" must be 2, 3 or 4"),
            ("ntp {\nlocal_offset_tolerance = \"-1s\"\n}", "\"local_offset_tolerance\" must not be negative"),
            ("supervisord {\nurl = \"https://localhost:9001\"\n}", "\"url\" is not an address"),
        ])
    func refusals(body: String, problem: String) {
        let problems = ComponentHarness(PrometheusExporterUnix.self).evaluate(body)
        #expect(problems.contains { $0.contains(problem) }, "\(problems)")
    }
}
