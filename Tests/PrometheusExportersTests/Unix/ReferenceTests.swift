import ComponentKit
import Foundation
import TestKit
import Testing

@testable import PrometheusExporters

/// Compares with the node_exporter of the machine (Debian 12 has 1.5.0), collector by collector.
@Suite("prometheus.exporter.unix beside node_exporter", .enabled(if: NodeExporter.isInstalled))
struct ReferenceTests {
    /// What newer versions, which Alloy builds, expose differently from 1.5.0.
    private static let addedSince: Set<String> = [
        // 1.6.0 reads the further columns of softnet_stat.
        "node_softnet_cpu_collision_total", "node_softnet_received_rps_total", "node_softnet_flow_limit_count_total",
        "node_softnet_backlog_len",
    ]

    /// Labels added since 1.5.0, taken out before comparing.
    private static let addedLabels = ["adminstate"]

    /// Values that move in any direction between two looks.
    private static let moving: Set<String> = [
        "node_load1", "node_load5", "node_load15", "node_procs_running", "node_procs_blocked", "node_time_seconds",
        "node_disk_io_now", "node_entropy_available_bits", "node_filefd_allocated", "node_nf_conntrack_entries",
        "node_netstat_Tcp_CurrEstab", "node_processes_state", "node_processes_threads", "node_processes_threads_state",
        "node_processes_pids", "node_udp_queues", "node_filesystem_avail_bytes", "node_filesystem_free_bytes",
        "node_filesystem_files_free", "node_arp_entries", "node_buddyinfo_blocks",
    ]

    /// Prefixes of the same.
    private static let movingPrefixes = ["node_memory_", "node_sockstat_", "node_timex_"]

    /// Collectors whose labels move too: states that processes happen to be in.
    private static let movingLabels: Set<String> = ["processes"]

    private static let collectors: [String] = [
        "arp", "bonding", "buddyinfo", "cgroups", "conntrack", "cpu", "cpufreq", "diskstats", "dmi", "edac", "entropy",
        "ethtool", "filefd", "filesystem", "hwmon", "interrupts", "ipvs", "ksmd", "lnstat", "loadavg", "mdadm",
        "meminfo",
        "meminfo_numa", "netclass", "netdev",
        "netstat", "nvme", "os", "powersupplyclass", "pressure", "processes", "rapl", "schedstat", "selinux",
        "slabinfo", "sockstat", "softirqs", "softnet", "stat", "sysctl", "tapestats", "textfile", "thermal_zone",
        "time", "timex",
        "udp_queues", "uname", "vmstat", "xfs",
    ]

    private static let sysctl = """
        sysctl {
          include = ["net.ipv4.tcp_rmem:min,default,max", "vm.swappiness", "kernel.printk"]
          include_info = ["kernel.ostype"]
        }
        """

    @Test("Names, types, helps, labels and values agree")
    func agreement() throws {
        let reference = try NodeExporter()
        let now = Int64(Date().timeIntervalSince1970 * 1e9)
        for collector in Self.collectors {
            let harness = ComponentHarness(PrometheusExporterUnix.self, wallNanoseconds: now)
            #expect(harness.start("set_collectors = [\"\(collector)\"]\ncpu {\nguest = true\n}\n\(Self.sysctl)") == [])
            guard let before = try reference.scrape(collector) else { continue }
            let ours = try harness.scrape()
            let after = try #require(try reference.scrape(collector))
            #expect(ours.duplicates == [], "\(collector)")
            compare(collector, before, ours, after)
        }
    }

    private func compare(_ collector: String, _ before: Exposed, _ ours: Exposed, _ after: Exposed) {
        let wanted = before.values.filter { Self.isCompared($0.key.name) }
        let made = ours.values.filter { Self.isCompared($0.key.name) && !Self.addedSince.contains($0.key.name) }
        #expect(Set(made.keys.map(\.name)) == Set(wanted.keys.map(\.name)), "\(collector): names")
        for name in Set(wanted.keys.map(\.name)) {
            #expect(ours.types[name] == before.types[name], "\(collector): type of \(name)")
            #expect(ours.helps[name] == before.helps[name], "\(collector): help of \(name)")
        }
        if !Self.movingLabels.contains(collector) {
            let stripped = Set(made.keys.map { Series(name: $0.name, labels: Self.stripped($0.labels)) })
            #expect(stripped == Set(wanted.keys), "\(collector): series")
        }
        for (series, value) in made {
            let key = Series(name: series.name, labels: Self.stripped(series.labels))
            guard let low = before.values[key], let high = after.values[key] else { continue }
            #expect(Self.agrees(series.name, value, low, high), "\(series) is \(value), not \(low) to \(high)")
        }
        let success = Series(name: "node_scrape_collector_success", labels: "{collector=\"\(collector)\"}")
        #expect(ours.values[success] == before.values[success], "\(collector): success")
    }

    private static func isCompared(_ name: String) -> Bool {
        !name.hasPrefix("node_scrape_") && !name.hasPrefix("promhttp_") && !name.hasPrefix("go_")
            && !name.hasPrefix("process_") && name != "node_exporter_build_info"
    }

    private static func stripped(_ labels: String) -> String {
        var labels = labels
        for name in addedLabels {
            labels = labels.replacing(try! Regex("\(name)=\"[^\"]*\",?"), with: "").replacing(",}", with: "}")
        }
        return labels
    }

    private static func agrees(_ name: String, _ value: Double, _ before: Double, _ after: Double) -> Bool {
        if value == before || value == after || value.isNaN && before.isNaN { return true }
        // Counts of objects in caches jump between two looks; what does not move is compared as it is.
        if name == "node_slabinfo_active_objects" || name == "node_slabinfo_objects" { return true }
        let low = min(before, after)
        let high = max(before, after)
        if moving.contains(name) || movingPrefixes.contains(where: { name.hasPrefix($0) }) {
            // Ten per cent, and what a busy machine may do between two looks.
            let slack = 0.1 * high.magnitude + (name.contains("bytes") ? 256e6 : 50)
            return value >= low - slack && value <= high + slack
        }
        let rounding = 1e-9 * high.magnitude
        return value >= low - rounding && value <= high + rounding
    }
}

/// The program of the machine, running until released.
final class NodeExporter {
    static let path = "/usr/bin/prometheus-node-exporter"
    static var isInstalled: Bool { FileManager.default.isExecutableFile(atPath: path) }

    private let process = Process()
    private let base: String

    /// `more` come after the arguments that every comparison needs.
    init(_ more: [String] = []) throws {
        let output = Pipe()
        process.executableURL = URL(fileURLWithPath: Self.path)
        process.arguments =
            [
                "--web.listen-address=127.0.0.1:0", "--no-collector.netdev.netlink",
                // Debian's defaults also leave out lo, /mnt and /media.
                "--collector.netdev.device-exclude=^$",
                "--collector.filesystem.mount-points-exclude=^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+)($|/)",
            ]
            + [
                "--collector.sysctl.include=net.ipv4.tcp_rmem:min,default,max",
                "--collector.sysctl.include=vm.swappiness",
                "--collector.sysctl.include=kernel.printk", "--collector.sysctl.include-info=kernel.ostype",
            ]
            + [
                "buddyinfo", "ethtool", "interrupts", "ksmd", "lnstat", "meminfo_numa", "processes", "slabinfo",
                "sysctl",
            ]
            .map { "--collector.\($0)" } + more
        process.standardError = output
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        var log = ""
        var address: String?
        while address == nil {
            let data = output.fileHandleForReading.availableData
            if data.isEmpty { throw Failure(text: log) }
            log += String(decoding: data, as: UTF8.self)
            address = log.firstMatch(of: try! Regex("\"Listening on\" address=(127\\.0\\.0\\.1:[0-9]+)\\s"))?
                .output[1].substring.map(String.init)
        }
        base = "http://\(address ?? "")/metrics"
    }

    deinit { process.terminate() }

    struct Failure: Error { var text: String }

    /// Nil when this version does not have the collector.
    func scrape(_ collector: String) throws -> Exposed? {
        let curl = Process()
        let output = Pipe()
        curl.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        curl.arguments = ["curl", "-sgf", "\(base)?collect[]=\(collector)"]
        curl.standardOutput = output
        try curl.run()
        let data = output.fileHandleForReading.readDataToEndOfFile()
        curl.waitUntilExit()
        return curl.terminationStatus == 0 ? Exposed(String(decoding: data, as: UTF8.self)) : nil
    }
}
