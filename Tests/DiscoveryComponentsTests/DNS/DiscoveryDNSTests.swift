import ComponentKit
import Essentials
import Synchronization
import TestKit
import Testing
import Transport

@testable import DiscoveryComponents

/// `discovery.dns` asking the server of the test instead of the machine's.
private final class ScriptedDNS: Component {
    static let spec = DiscoveryDNS.spec
    typealias Arguments = DiscoveryDNS.Arguments
    typealias Exports = DiscoveryExports

    @TaskLocal static var server = SocketAddress.placeholder

    private let inner: DiscoveryDNS

    init(_ arguments: Live<Arguments>, _ context: Context<Exports>) throws {
        let loops = context.services.eventLoops
        let server = Self.server
        inner = DiscoveryDNS(arguments, context) {
            DNSResolver(ResolverConfiguration(servers: [server], timeout: .seconds(10), attempts: 1), on: loops)
        }
    }

    func run() async throws { try await inner.run() }
}

/// A name server on loopback that answers from a table; a name without an entry does not exist.
private final class NameServer: Sendable {
    enum Entry: Sendable {
        case records([(type: UInt8, data: [UInt8])])
        case failure
    }

    private let socket: UDPSocket
    private let table = Mutex<[String: Entry]>([:])
    private let task = Mutex<Task<Void, Never>?>(nil)

    init(_ harness: ComponentHarness) throws {
        let loops = harness.services.eventLoops
        socket = try harness.run { try await UDPSocket.bind(.host("127.0.0.1", port: 0), on: loops) }
        let running = Task(executorPreference: harness.executor) { [weak self, socket] in
            while let datagram = try? await socket.next() {
                guard let answer = self?.answer(datagram.bytes) else { return }
                try? await socket.send(answer, to: datagram.sender)
            }
        }
        task.withLock { $0 = running }
    }

    deinit {
        task.withLock { $0?.cancel() }
        socket.close()
    }

    var address: SocketAddress { socket.address }

    func set(_ name: String, _ entry: Entry?) { table.withLock { $0[name] = entry } }

    /// The text of a name on the wire.
    static func name(_ text: String) -> [UInt8] {
        text.split(separator: ".").flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) } + [0]
    }

    private func answer(_ query: [UInt8]) -> [UInt8] {
        var end = 12
        var labels: [String] = []
        while query[end] != 0 {
            labels.append(String(decoding: query[(end + 1)..<(end + 1 + Int(query[end]))], as: UTF8.self))
            end += Int(query[end]) + 1
        }
        let type = query[end + 2]
        let entry = table.withLock { $0[labels.joined(separator: ".")] }
        var code: UInt8 = 3
        var records: [(type: UInt8, data: [UInt8])] = []
        switch entry {
        case .records(let all)?:
            code = 0
            records = all.filter { $0.type == type || $0.type == 5 }
        case .failure?: code = 2
        case nil: break
        }
        var bytes = Array(query[0..<2]) + [0x81, 0x80 | code, 0, 1, 0, UInt8(records.count), 0, 0, 0, 0]
        bytes += query[12..<(end + 5)]
        for record in records {
            bytes += [0xC0, 12, 0, record.type, 0, 1, 0, 0, 0, 60, 0, UInt8(record.data.count)] + record.data
        }
        return bytes
    }
}

extension DiscoveryTests {
    @Suite("discovery.dns")
    struct DiscoveryDNSTests {
        private func start(_ harness: ComponentHarness, _ server: NameServer, _ body: String) {
            ScriptedDNS.$server.withValue(server.address) { #expect(harness.start(body) == []) }
        }

        private static let zone: [(type: UInt8, data: [UInt8])] = [
            (33, [0, 1, 0, 2, 0x1F, 0x90] + NameServer.name("web.example")),
            (1, [10, 0, 0, 2]), (1, [10, 0, 0, 1]), (5, NameServer.name("alias.example")),
            (28, [0x20, 1] + [UInt8](repeating: 0, count: 13) + [1]),
            (15, [0, 10] + NameServer.name("mail.example")), (2, NameServer.name("ns.example")),
        ]

        @Test(
            "Each type of record gives its targets and labels",
            arguments: [
                (
                    "names = [\"x.example\"]",
                    [
                        #"{__address__="web.example:8080", __meta_dns_name="x.example", __meta_dns_srv_record_port="8080", __meta_dns_srv_record_target="web.example."}"#
                    ]
                ),
                (
                    "names = [\"x.example\"]\ntype = \"a\"\nport = 80",
                    [
                        #"{__address__="10.0.0.1:80", __meta_dns_name="x.example"}"#,
                        #"{__address__="10.0.0.2:80", __meta_dns_name="x.example"}"#,
                    ]
                ),
                (
                    "names = [\"x.example\"]\ntype = \"AAAA\"\nport = 80",
                    [#"{__address__="[2001::1]:80", __meta_dns_name="x.example"}"#]
                ),
                (
                    "names = [\"x.example\"]\ntype = \"MX\"\nport = 25",
                    [
                        #"{__address__="mail.example:25", __meta_dns_mx_record_target="mail.example.", __meta_dns_name="x.example"}"#
                    ]
                ),
                (
                    "names = [\"x.example\"]\ntype = \"NS\"\nport = 53",
                    [
                        #"{__address__="ns.example:53", __meta_dns_name="x.example", __meta_dns_ns_record_target="ns.example."}"#
                    ]
                ),
            ])
        func types(body: String, expected: [String]) throws {
            let harness = ComponentHarness(ScriptedDNS.self)
            let server = try NameServer(harness)
            server.set("x.example", .records(Self.zone))
            start(harness, server, body)
            let isFound = harness.settle(until: { targets(harness) == expected })
            #expect(isFound, "\(targets(harness))")
            #expect(harness.metric("prometheus_sd_dns_lookups_total") == 1)
            #expect(harness.metric("prometheus_sd_dns_lookup_failures_total") == 0)
            #expect(harness.finish() == [])
        }

        @Test("A failing name keeps its targets while the others follow; a name that is gone has none")
        func failures() throws {
            let harness = ComponentHarness(ScriptedDNS.self)
            let server = try NameServer(harness)
            server.set("a.example", .records([(1, [10, 0, 0, 1])]))
            server.set("b.example", .records([(1, [10, 0, 0, 2])]))
            start(harness, server, "names = [\"b.example\", \"a.example\"]\ntype = \"A\"\nport = 9")
            func addresses() -> [String] { targets(harness).map { String($0.prefix { $0 != "," }) } }
            #expect(
                harness.settle(until: {
                    addresses() == [#"{__address__="10.0.0.1:9""#, #"{__address__="10.0.0.2:9""#]
                }))
            server.set("a.example", .failure)
            server.set("b.example", .records([(1, [10, 0, 0, 3])]))
            #expect(
                harness.settle(until: {
                    harness.advance(by: .seconds(30))
                    return addresses() == [#"{__address__="10.0.0.1:9""#, #"{__address__="10.0.0.3:9""#]
                }))
            #expect(harness.settle(until: { harness.health?.state == .unhealthy }))
            #expect(harness.health?.message.contains("1 of 2 lookups failed") == true)
            #expect(harness.metric("prometheus_sd_dns_lookup_failures_total") ?? 0 >= 1)
            #expect(harness.metric("prometheus_sd_dns_lookups_total") ?? 0 >= 4)
            server.set("a.example", nil)
            #expect(
                harness.settle(until: {
                    harness.advance(by: .seconds(30))
                    return addresses() == [#"{__address__="10.0.0.3:9""#] && harness.health?.state == .healthy
                }))
            #expect(harness.finish() == [])
        }

        @Test(
            "Arguments that cannot work are refused",
            arguments: [
                ("names = [\"x\"]\ntype = \"A\"", "\"port\" is required"),
                ("names = [\"x\"]\ntype = \"TXT\"", "\"type\" must be one of"),
                ("names = [\"x\"]\ntype = \"A\"\nport = 65536", "\"port\" must be between"),
                ("names = [\"x\"]\nrefresh_interval = \"0s\"", "\"refresh_interval\" must be greater than 0"),
            ])
        func refusals(body: String, problem: String) {
            let harness = ComponentHarness(DiscoveryDNS.self)
            let problems = harness.evaluate(body)
            #expect(problems.contains { $0.contains(problem) }, "\(problems)")
        }
    }
}
