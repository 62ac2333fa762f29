import ComponentKit
import Foundation
import TestKit
import Testing

@testable import PrometheusExporters

@Suite("prometheus.exporter.unix: perf", .serialized)
struct PerfTests {
    @Test(
        "Lists of CPUs have single ones, ranges and strides",
        arguments: [
            ("0", [0]), ("1,3", [1, 3]), ("1-3", [1, 2, 3]), ("1-10:5", [1, 6]), ("0,4-8:2,9", [0, 4, 6, 8, 9]),
        ] as [(String, [Int])])
    func cpus(text: String, expected: [Int]) { #expect(PerfEvent.cpus(text) == expected) }

    @Test(
        "What is no list of CPUs is none",
        arguments: ["", "a", "1-", "-1", "3-1", "1-5:0", "1-5:-1", "1:2", "1,,2", "1-2-3", "99999999"])
    func noCPUs(text: String) { #expect(PerfEvent.cpus(text) == nil) }

    private static var canCount: Bool {
        let counted = PerfCollector(
            {
                var settings = UnixSettings()
                settings.perf.events = PerfEvent.software
                return settings
            }())
        return counted.isCounting
    }

    @Test(
        "Events are counted by CPU, those that are chosen", .enabled(if: Self.canCount, "the kernel lets nobody count"))
    func counting() throws {
        let harness = ComponentHarness(PrometheusExporterUnix.self)
        let body = """
            set_collectors = ["perf"]
            perf {
              cpus                       = "0"
              disable_hardware_profilers = true
              disable_cache_profilers    = true
              software_profilers         = ["ContextSwitch", "PageFault"]
            }
            """
        #expect(harness.start(body) == [])
        let first = try harness.scrape()
        #expect(
            first.names(withPrefix: "node_perf_") == [
                "node_perf_context_switches_total", "node_perf_page_faults_total",
            ])
        let cpu = #"{cpu="0"}"#
        let before = try #require(first["node_perf_context_switches_total", cpu])
        #expect(first["node_perf_context_switches_total", #"{cpu="1"}"#] == nil)
        #expect(
            harness.settle(until: {
                ((try? harness.scrape())?["node_perf_context_switches_total", cpu] ?? 0) > before
            }))
        #expect(harness.finish() == [])
    }

    @Test("The machine's events are node_exporter's", .enabled(if: NodeExporter.isInstalled))
    func agreement() throws {
        guard let theirs = try NodeExporter(["--collector.perf"]).scrape("perf") else { return }
        let harness = ComponentHarness(PrometheusExporterUnix.self)
        #expect(harness.start(#"set_collectors = ["perf"]"#) == [])
        let ours = try harness.scrape()
        let names = theirs.names(withPrefix: "node_perf_")
        #expect(ours.names(withPrefix: "node_perf_") == names)
        for name in names {
            #expect(ours.types[name] == theirs.types[name] && ours.helps[name] == theirs.helps[name], "\(name)")
        }
        #expect(harness.finish() == [])
    }

    @Test("A tracepoint the kernel does not have is an error of the scrape")
    func tracepoints() throws {
        let tree = try FakeTree()
        try tree.write("sys/kernel/tracing/events/sched/sched_switch/id", "316\n")
        let event = PerfEvent.tracepoint("sched:sched_switch", sysfs: tree.path + "/sys")
        #expect(event?.type == 2 && event?.config == 316 && event?.metric == "sched_sched_switch")
        #expect(event?.help == "Perf tracepoint sched:sched_switch")
        #expect(PerfEvent.tracepoint("sched:none", sysfs: tree.path + "/sys") == nil)
        let harness = ComponentHarness(PrometheusExporterUnix.self)
        #expect(
            harness.start("\(tree.arguments)\nset_collectors = [\"perf\"]\nperf {\ntracepoint = [\"sched:none\"]\n}")
                == [])
        #expect(try harness.scrape()["node_scrape_collector_success", #"{collector="perf"}"#] == 0)
        #expect(harness.finish() == [])
    }
}
