import ComponentKit
import TestKit
import Testing

@testable import PrometheusExporters

@Suite("prometheus.exporter.unix arguments")
struct UnixArgumentsTests {
    private func collectors(_ body: String) throws -> (names: Set<String>, problems: [String]) {
        let harness = ComponentHarness(PrometheusExporterUnix.self)
        let problems = harness.start(body)
        guard harness.instance.isMade else { return ([], problems) }
        let page = try harness.scrape()
        let names = page.values.keys.filter { $0.name == "node_scrape_collector_success" }.map(\.labels)
        return (Set(names.map { String($0.dropFirst(12).dropLast(2)) }), problems)
    }

    @Test("Every argument and block of the reference is known")
    func everything() {
        let body = """
            include_exporter_metrics = true
            procfs_path = "/proc"
            sysfs_path = "/sys"
            rootfs_path = "/"
            udev_data_path = "/run/udev/data"
            enable_collectors = ["interrupts"]
            disable_collectors = ["arp"]
            set_collectors = ["cpu"]
            arp {
              device_exclude = "a"
              device_include = "b"
              netlink = false
            }
            cpu {
              bugs_include = "a"
              guest = true
              info = true
              flags_include = "b"
            }
            disk {
              device_exclude = "a"
              device_include = "b"
            }
            ethtool {
              device_exclude = ""
              device_include = "b"
              metrics_include = "c"
            }
            ipvs {
              backend_labels = ["proto", "local_mark"]
            }
            sysctl {
              include = ["net.ipv4.tcp_rmem:min,default,max", "vm.swappiness"]
              include_info = ["kernel.ostype"]
            }
            filesystem {
              fs_types_exclude = "a"
              mount_points_exclude = "b"
              mount_timeout = "1s"
            }
            hwmon {
              chip_exclude = "a"
              chip_include = "b"
            }
            netclass {
              ignore_invalid_speed_device = true
              ignored_devices = "a"
            }
            netdev {
              address_info = true
              device_exclude = "a"
              device_include = ""
            }
            netstat {
              fields = "a"
            }
            powersupply {
              ignored_supplies = "a"
            }
            tapestats {
              ignored_devices = "a"
            }
            textfile {
              directory = "/nowhere"
            }
            vmstat {
              fields = "a"
            }
            """
        #expect(ComponentHarness(PrometheusExporterUnix.self).evaluate(body) == [])
    }

    @Test("The defaults are upstream's")
    func defaults() throws {
        let harness = ComponentHarness(PrometheusExporterUnix.self)
        #expect(harness.start("") == [])
        #expect(harness.logSink.lines.allSatisfy { !$0.hasPrefix("warn") })
        let upstream: Set<String> = [
            "arp", "bcache", "bonding", "btrfs", "conntrack", "cpu", "cpufreq", "diskstats", "dmi", "edac", "entropy",
            "fibrechannel", "filefd", "filesystem", "hwmon", "infiniband", "ipvs", "loadavg", "mdadm", "meminfo",
            "netclass", "netdev", "netstat", "nfs", "nfsd", "nvme", "os", "powersupplyclass", "pressure", "processes",
            "rapl", "schedstat", "selinux", "sockstat", "softnet", "stat", "tapestats", "textfile", "thermal_zone",
            "time", "timex", "udp_queues", "uname", "vmstat", "xfs", "zfs",
        ]
        let names = try collectors("").names
        #expect(names == upstream)
    }

    @Test("The lists choose collectors as upstream")
    func selection() throws {
        #expect(try collectors(#"set_collectors = ["cpu", "os"]"#).names == ["cpu", "os"])
        #expect(
            try collectors(
                "set_collectors = [\"cpu\", \"os\"]\ndisable_collectors = [\"os\"]\nenable_collectors = [\"stat\"]"
            ).names == ["cpu", "stat"])
        #expect(
            try collectors("disable_collectors = [\"cpu\"]\nenable_collectors = [\"cpu\"]").names.contains("cpu"))
        #expect(try !collectors(#"disable_collectors = ["cpu"]"#).names.contains("cpu"))
        #expect(try collectors(#"enable_collectors = ["softirqs"]"#).names.contains("softirqs"))
    }

    @Test(
        "What is not there is refused by name",
        arguments: [
            (#"enable_collectors = ["nonsense"]"#, "names the unknown collector \"nonsense\""),
            ("perf {\ncpus = \"1-\"\n}", "\"cpus\" is no list of CPUs"),
            ("perf {\nhardware_profilers = [\"Nope\"]\n}", "names the unknown profiler \"Nope\""),
            ("perf {\ntracepoint = [\"a\"]\n}", "\"a\" is not of the form"),
            ("ipvs {\nbackend_labels = [\"proto\", \"host\"]\n}", "names the unknown label \"host\""),
            ("ethtool {\ndevice_exclude = \"a\"\ndevice_include = \"b\"\n}", "mutually exclusive"),
            ("ethtool {\nmetrics_include = \"(\"\n}", "\"metrics_include\" is not a regular expression"),
            ("sysctl {\ninclude = [\"../x\"]\n}", "is not the name of a value"),
            ("sysctl {\ninclude_info = [\"a:b\"]\n}", "names parts of \"a\""),
            ("netdev {\ndevice_exclude = \"a\"\ndevice_include = \"b\"\n}", "mutually exclusive"),
            ("disk {\ndevice_exclude = \"(\"\n}", "\"device_exclude\" is not a regular expression"),
            ("filesystem {\nmount_timeout = \"soon\"\n}", "soon"),
            ("filesystem {\nmount_points = \"a\"\n}", "unrecognized attribute name \"mount_points\""),
        ])
    func refusals(body: String, problem: String) throws {
        let problems = ComponentHarness(PrometheusExporterUnix.self).evaluate(body)
        #expect(problems.contains { $0.contains(problem) }, "\(problems)")
    }

    @Test("Collectors of other systems are accepted with a warning")
    func otherSystems() throws {
        let (names, problems) = try collectors(#"enable_collectors = ["boottime"]"#)
        #expect(names.contains("cpu"))
        #expect(problems.count == 1 && problems[0].contains("which Linux does not have"), "\(problems)")
    }

    @Test("New arguments apply to the next scrape")
    func update() throws {
        let harness = ComponentHarness(PrometheusExporterUnix.self)
        harness.start(#"set_collectors = ["loadavg"]"#)
        #expect(try harness.scrape().names(withPrefix: "node_load") == ["node_load1", "node_load5", "node_load15"])
        harness.update(#"set_collectors = ["uname"]"#)
        let page = try harness.scrape()
        #expect(page.names(withPrefix: "node_load") == [])
        #expect(page.names(withPrefix: "node_uname") == ["node_uname_info"])
        #expect(harness.finish() == [])
    }

    @Test("Metrics of the exporter itself are included when asked for")
    func exporterMetrics() throws {
        let harness = ComponentHarness(PrometheusExporterUnix.self)
        harness.start("include_exporter_metrics = true\nset_collectors = [\"loadavg\"]")
        _ = try harness.scrape()
        let page = try harness.scrape()
        #expect(page["promhttp_metric_handler_requests_total", #"{code="200"}"#] == 1)
        #expect(page["promhttp_metric_handler_requests_in_flight"] == 1)
        harness.update(#"set_collectors = ["loadavg"]"#)
        #expect(try harness.scrape()["promhttp_metric_handler_requests_in_flight"] == nil)
        #expect(harness.finish() == [])
    }
}
