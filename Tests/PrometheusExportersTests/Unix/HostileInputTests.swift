import ComponentKit
import Foundation
import TestKit
import Testing

@testable import PrometheusExporters

@Suite("prometheus.exporter.unix on hostile files")
struct HostileInputTests {
    private static let procFiles: [String] = [
        "stat", "cpuinfo", "meminfo", "vmstat", "loadavg", "diskstats", "mounts", "mdstat", "interrupts", "softirqs",
        "schedstat", "buddyinfo", "cgroups", "net/dev", "net/netstat", "net/snmp", "net/snmp6", "net/sockstat",
        "net/sockstat6", "net/softnet_stat", "net/arp", "net/udp", "net/udp6", "net/stat/nf_conntrack",
        "pressure/cpu", "pressure/io", "pressure/memory", "sys/fs/file-nr", "sys/kernel/random/entropy_avail",
        "sys/kernel/random/poolsize", "sys/net/netfilter/nf_conntrack_count", "sys/net/netfilter/nf_conntrack_max",
        "sys/kernel/threads-max", "sys/kernel/pid_max", "self/stat",
    ]

    /// Two arrays, one of them resyncing, for machines without any.
    private static let mdstat = """
        Personalities : [raid1]
        md1 : active raid1 sdb1[1] sda1[0]
              1000 blocks super 1.2 [2/2] [UU]
              [==>....]  resync = 12.5% (125/1000) finish=1.0min speed=10K/sec

        """

    private static func content(_ name: String) -> [UInt8] {
        let data = FileManager.default.contents(atPath: "/proc/" + name) ?? Data()
        if name == "mdstat", data.isEmpty { return Array(mdstat.utf8) }
        if name == "schedstat", data.isEmpty { return Array("cpu0 0 0 0 0 0 0 1 2 3\ndomain0 1\n".utf8) }
        return Array(data.prefix(8192))
    }

    private func scrape(_ change: (String, [UInt8]) -> [UInt8]) throws -> Exposed {
        let tree = try FakeTree()
        for name in Self.procFiles {
            let bytes = change(name, Self.content(name))
            try tree.write("proc/" + (name == "self/stat" ? "17/stat" : name), Data(bytes))
        }
        try tree.write(
            "text/a.prom", Data(change("prom", Array("# TYPE a counter\na_b{c=\"d\\n\",e=\"f\"} 1.5\n".utf8))))
        try tree.write("root/etc/os-release", Data(change("os", Array("ID=\"a\"\nVERSION_ID='1.2'\n".utf8))))
        try tree.write("udev/b254:0", Data(change("udev", Array("E:ID_ATA=1\nE:ID_ATA_WRITE_CACHE=1\n".utf8))))
        try tree.write("sys/devices/system/cpu/isolated", Data(change("isolated", Array("0-3,7\n".utf8))))
        let harness = ComponentHarness(PrometheusExporterUnix.self)
        let names = CollectorTable.available.map { "\"\($0.name)\"" }.joined(separator: ", ")
        let problems = harness.start(
            """
            \(tree.arguments)
            set_collectors = [\(names)]
            textfile {
            directory = "\(tree.path)/text"
            }
            cpu {
            info = true
            guest = true
            }
            vmstat {
            fields = ""
            }
            netstat {
            fields = ""
            }
            """)
        #expect(problems == [])
        let page = try harness.scrape()
        #expect(
            page.values.keys.filter { $0.name == "node_scrape_collector_success" }.count
                == names.split(separator: ",").count)
        #expect(harness.finish() == [])
        return page
    }

    @Test("The unchanged files make every collector of /proc succeed")
    func unchanged() throws {
        let page = try scrape { $1 }
        for collector in ["cpu", "meminfo", "stat", "diskstats", "netdev", "netstat", "sockstat", "softnet", "mdadm"] {
            #expect(page["node_scrape_collector_success", "{collector=\"\(collector)\"}"] == 1, "\(collector)")
        }
    }

    @Test(
        "Truncated files do not trap", arguments: [0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610, 987, 1597])
    func truncated(length: Int) throws {
        _ = try scrape { Array($1.prefix(length)) }
    }

    @Test(
        "Numbers beyond every range do not trap",
        arguments: [
            "99999999999999999999999999", "18446744073709551615", "-9223372036854775808", "1e400", "-1", "0x", "",
        ])
    func hugeNumbers(number: String) throws {
        _ = try scrape { _, bytes in
            var output: [UInt8] = []
            var isDigit = false
            for byte in bytes {
                let now = byte >= 48 && byte <= 57
                if now, !isDigit { output += number.utf8 }
                if !now { output.append(byte) }
                isDigit = now
            }
            return output
        }
    }

    @Test("Damaged bytes do not trap", arguments: 0..<20)
    func damaged(seed: UInt64) throws {
        var state = seed &* 0x9E37_79B9_7F4A_7C15 | 1
        func random() -> UInt64 {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return state
        }
        _ = try scrape { _, bytes in
            var bytes = bytes
            if bytes.isEmpty { return bytes }
            for _ in 0..<max(1, bytes.count / 50) {
                let index = Int(random() % UInt64(bytes.count))
                switch random() % 4 {
                case 0: bytes[index] = UInt8(truncatingIfNeeded: random())
                case 1: bytes[index] = [0, 10, 32, 58, 61, 123, 34, 255][Int(random() % 8)]
                case 2: bytes.remove(at: index)
                default: bytes.insert(UInt8(truncatingIfNeeded: random()), at: index)
                }
                if bytes.isEmpty { return bytes }
            }
            return bytes
        }
    }

    @Test("Random bytes do not trap", arguments: 0..<5)
    func noise(seed: UInt64) throws {
        var generator = Generator(state: seed &+ 1)
        _ = try scrape { _, bytes in (0..<bytes.count).map { _ in UInt8.random(in: 0...255, using: &generator) } }
    }

    private struct Generator: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state ^ state >> 29
        }
    }
}
