import ComponentKit
import Essentials
import Foundation
import TestKit
import Testing
import Transport
import Wire

@testable import PrometheusExporters

private let loops = EventLoops(threads: 2)

/// IDs of containers.
private let dockerID = String(repeating: "d0", count: 32)
private let podID = String(repeating: "ab", count: 32)
private let workID = String(repeating: "cd", count: 32)

/// A machine made of files, with its groups and runtimes.
private final class FakeMachine {
    let tree: FakeTree
    var settings = CadvisorSettings()

    init() throws {
        tree = try FakeTree()
        settings.kinds = Set(CadvisorKind.allCases).subtracting(CadvisorKind.disabledByDefault)
        settings.containerdSocket = tree.path + "/none.sock"
        try tree.write("proc/meminfo", "MemTotal: 1000 kB\nMemFree: 400 kB\nSwapTotal: 50 kB\n")
        try tree.write("proc/uptime", "100000.5 1\n")
        try tree.write("proc/sys/kernel/osrelease", "6.1.0\n")
        try tree.write("proc/diskstats", " 8 0 sda 11 12 13 14 15 16 17 18 19 20 21\n")
        try tree.write(
            "proc/1/net/dev",
            "Inter-|\n face |\n    lo: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n"
                + "  eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n")
        try tree.write("sys/devices/system/cpu/cpu0/topology/core_id", "0\n")
        try tree.write("sys/devices/system/cpu/cpu0/topology/physical_package_id", "0\n")
        try tree.write("sys/devices/system/cpu/cpu1/topology/core_id", "0\n")
        try tree.write("sys/devices/system/cpu/cpu1/topology/physical_package_id", "0\n")
        try tree.write("etc/machine-id", "m1\n")
        try tree.write("etc/os-release", "ID=x\nPRETTY_NAME=\"Fake OS 1\"\n")
    }

    var paths: CadvisorPaths {
        var paths = CadvisorPaths()
        paths.cgroups = tree.path + "/cgroup"
        paths.procfs = tree.path + "/proc"
        paths.sysfs = tree.path + "/sys"
        paths.rootfs = tree.path
        paths.crioSocket = "/crio.sock"
        return paths
    }

    func scrape(log: Log? = nil) async throws -> Exposed {
        let clock = EngineClock.system
        let scraper = CadvisorScraper(
            settings, paths: paths, on: loops, clock: clock, log: log ?? Log(sink: RecordingLogSink(), clock: clock))
        defer { scraper.shutDown() }
        let page = try await scraper.scrape(on: BlockingPool(name: "cadvisor-test", threads: 1))
        let exposed = Exposed(String(decoding: page, as: UTF8.self))
        #expect(exposed.duplicates == [])
        return exposed
    }

    /// A group of version 2.
    func unified(_ name: String, usage: Int = 5_000_000, current: Int = 4096) throws {
        let path = "cgroup" + (name == "/" ? "" : name)
        try tree.write("cgroup/cgroup.controllers", "cpu io memory pids\n")
        try tree.write(
            path + "/cpu.stat",
            "usage_usec \(usage)\nuser_usec 3000000\nsystem_usec 2000000\nnr_periods 10\nnr_throttled 4\n"
                + "throttled_usec 500000\nnr_bursts 1\nburst_usec 2\n")
        try tree.write(
            path + "/memory.stat",
            "anon 100\nfile 200\ninactive_file 96\nactive_file 50\nfile_mapped 7\nkernel 9\npgfault 30\npgmajfault 2\n")
        guard name != "/" else { return }
        try tree.write(path + "/cpu.weight", "100\n")
        try tree.write(path + "/cpu.max", "50000 100000\n")
        try tree.write(path + "/memory.current", "\(current)\n")
        try tree.write(path + "/memory.peak", "8192\n")
        try tree.write(path + "/memory.max", "max\n")
        try tree.write(path + "/memory.min", "11\n")
        try tree.write(path + "/memory.swap.max", "12\n")
        try tree.write(path + "/memory.swap.current", "13\n")
        try tree.write(path + "/memory.events", "low 0\nhigh 3\nmax 4\noom 1\noom_kill 1\n")
        try tree.write(path + "/io.stat", "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n")
        try tree.write(
            path + "/cpu.pressure",
            "some avg10=0.00 avg60=0.00 avg300=0.00 total=2000000\nfull avg10=0.00 total=1000000\n")
        try tree.write(path + "/pids.current", "5\n")
        try tree.write(path + "/pids.max", "max\n")
        try tree.write(path + "/cgroup.procs", "1\n999999\n")
    }

    /// Runs a server on a unix socket for the time of `body`.
    func serving<Result>(
        _ socket: String, _ router: HTTPRouter, _ body: () async throws -> Result
    ) async throws -> Result {
        let settings = HTTPServerSettings(address: .unix(path: tree.path + "/" + socket))
        let server = try await HTTPServer.bind(settings, router: router, on: loops)
        let running = Task { await server.run() }
        let result: Swift.Result<Result, any Error>
        do { result = .success(try await body()) } catch { result = .failure(error) }
        running.cancel()
        await running.value
        return try result.get()
    }
}

@Suite("prometheus.exporter.cadvisor")
struct CadvisorTests {
    @Test("Groups of version 2 are told with their limits and values")
    func unified() async throws {
        let machine = try FakeMachine()
        machine.settings.kinds.insert(.process)
        try machine.unified("/")
        try machine.unified("/system.slice/a.service")
        try machine.tree.write("cgroup/system.slice/b.mount/cpu.stat", "usage_usec 1\n")
        let page = try await machine.scrape()
        let group = #"{id="/system.slice/a.service"}"#
        #expect(page["container_cpu_usage_seconds_total", #"{cpu="total",id="/system.slice/a.service"}"#] == 5)
        #expect(page["container_cpu_user_seconds_total", group] == 3)
        #expect(page["container_cpu_cfs_throttled_seconds_total", group] == 0.5)
        #expect(page["container_spec_cpu_quota", group] == 50_000)
        #expect(page["container_spec_cpu_period", group] == 100_000)
        #expect(page["container_spec_cpu_shares", group] == 2597)
        #expect(page["container_memory_usage_bytes", group] == 4096)
        #expect(page["container_memory_working_set_bytes", group] == 4000)
        #expect(page["container_memory_rss", group] == 100)
        #expect(page["container_memory_cache", group] == 200)
        #expect(page["container_memory_swap", group] == 13)
        #expect(page["container_memory_max_usage_bytes", group] == 8192)
        #expect(page["container_spec_memory_limit_bytes", group] == 0)
        #expect(page["container_spec_memory_reservation_limit_bytes", group] == 11)
        #expect(page["container_oom_events_total", group] == 1)
        #expect(page["container_memory_events_max_total", group] == 4)
        #expect(
            page[
                "container_memory_failures_total",
                #"{failure_type="pgmajfault",id="/system.slice/a.service",scope="container"}"#] == 2)
        #expect(page["container_fs_reads_bytes_total", #"{device="/dev/sda",id="/system.slice/a.service"}"#] == 1)
        #expect(page["container_fs_writes_total", #"{device="/dev/sda",id="/system.slice/a.service"}"#] == 4)
        #expect(
            page[
                "container_blkio_device_usage_total",
                #"{device="/dev/sda",id="/system.slice/a.service",major="8",minor="0",operation="Discard"}"#] == 5)
        #expect(page["container_pressure_cpu_stalled_seconds_total", group] == 1)
        #expect(page["container_pressure_cpu_waiting_seconds_total", group] == 2)
        #expect(page["container_processes", group] == 2)
        #expect(page["container_threads", group] == 5)
        #expect(page["container_threads_max", group] == 0)
        #expect(page["container_health_state", group] == -1)
        // Nothing of mount units.
        #expect(page["container_cpu_usage_seconds_total", #"{cpu="total",id="/system.slice/b.mount"}"#] == nil)
    }

    @Test("The root group is the machine: its memory, its traffic without the loopback's")
    func root() async throws {
        let machine = try FakeMachine()
        try machine.unified("/")
        let page = try await machine.scrape()
        let root = #"{id="/"}"#
        #expect(page["container_spec_memory_limit_bytes", root] == 1_024_000)
        #expect(page["container_memory_usage_bytes", root] == 614_400)
        let interface = #"{id="/",interface="eth0"}"#
        #expect(page["container_network_receive_bytes_total", interface] == 1)
        #expect(page["container_network_receive_errors_total", interface] == 3)
        #expect(page["container_network_transmit_packets_dropped_total", interface] == 12)
        #expect(page["container_network_receive_bytes_total", #"{id="/",interface="lo"}"#] == nil)
        let labels = #"{machine_id="m1",system_uuid="m1"}"#
        #expect(page["machine_memory_bytes", labels] == 1_024_000)
        #expect(page["machine_cpu_cores", labels] == 2)
        #expect(page["machine_cpu_physical_cores", labels] == 1)
        #expect(page["cadvisor_version_info", #"{kernelVersion="6.1.0",osVersion="Fake OS 1"}"#] == 1)
        #expect(page["container_scrape_error"] == 0)
        machine.settings.skipsRootStats = true
        let without = try await machine.scrape()
        #expect(without["container_memory_usage_bytes", root] == nil)
        #expect(without["container_spec_memory_limit_bytes", root] == 1_024_000)
    }

    @Test("Nodes, cores, threads and caches of the machine are told when asked for")
    func topology() async throws {
        let machine = try FakeMachine()
        try machine.unified("/")
        machine.settings.kinds = [.cpuTopology]
        for cpu in 0..<4 {
            for root in ["cpu", "node/node\(cpu / 2)"] {
                let path = "sys/devices/system/\(root)/cpu\(cpu)/topology/"
                try machine.tree.write(path + "core_id", "\(cpu / 2)\n")
                try machine.tree.write(path + "physical_package_id", "0\n")
            }
            let caches: [(level: Int, type: String, size: String, map: String)] = [
                (1, "Data", "32K", cpu < 2 ? "3" : "c"), (2, "Unified", "1024K", cpu < 2 ? "3" : "c"),
                (3, "Unified", "8192K", "00000000,0000000f"),
            ]
            for (index, cache) in caches.enumerated() {
                let path = "sys/devices/system/cpu/cpu\(cpu)/cache/index\(index)/"
                try machine.tree.write(path + "id", "\(cache.level == 3 ? 0 : cpu / 2)\n")
                try machine.tree.write(path + "level", "\(cache.level)\n")
                try machine.tree.write(path + "type", cache.type + "\n")
                try machine.tree.write(path + "size", cache.size + "\n")
                try machine.tree.write(path + "shared_cpu_map", cache.map + "\n")
            }
        }
        for node in 0..<2 {
            let path = "sys/devices/system/node/node\(node)/"
            try machine.tree.write(path + "meminfo", "Node \(node) MemTotal:       \(1000 + node) kB\n")
            try machine.tree.write(path + "distance", node == 0 ? "10 21\n" : "21 10\n")
            try machine.tree.write(path + "hugepages/hugepages-2048kB/nr_hugepages", "\(node + 3)\n")
        }
        let page = try await machine.scrape()
        let ids = #"machine_id="m1""#
        func value(_ name: String, _ labels: String) -> Double? { page[name, "{\(labels),system_uuid=\"m1\"}"] }
        #expect(value("machine_node_memory_capacity_bytes", ids + #",node_id="1""#) == 1_025_024)
        #expect(
            page["machine_node_distance", #"{machine_id="m1",node_id="1",system_uuid="m1",target_node_id="0"}"#] == 21)
        #expect(
            page["machine_node_hugepages_count", #"{machine_id="m1",node_id="0",page_size="2048",system_uuid="m1"}"#]
                == 3)
        #expect(
            page[
                "machine_thread_siblings_count",
                #"{core_id="1",machine_id="m1",node_id="1",system_uuid="m1",thread_id="3"}"#] == 2)
        #expect(
            page[
                "machine_cpu_cache_capacity_bytes",
                #"{core_id="0",level="2",machine_id="m1",node_id="0",system_uuid="m1",type="Unified"}"#] == 1_048_576)
        // The cache of all four threads is larger than a node, so it stays with the cores.
        #expect(
            page[
                "machine_cpu_cache_capacity_bytes",
                #"{core_id="0",level="3",machine_id="m1",node_id="0",system_uuid="m1",type="Unified"}"#] == 8_388_608)
    }

    @Test("Scheduling, referenced memory and counters of TCP are read from the processes of a group")
    func processes() async throws {
        let machine = try FakeMachine()
        try machine.unified("/")
        machine.settings.kinds = [.scheduler, .referencedMemory, .advancedTCP]
        try machine.tree.write("cgroup/work/cgroup.procs", "10\n11\n")
        try machine.tree.write("cgroup/work/inner/cgroup.procs", "12\n")
        for (id, run) in [(10, 5), (11, 7), (12, 9)] {
            try machine.tree.write("proc/\(id)/schedstat", "\(run)000000000 500000000 \(id)\n")
            try machine.tree.write("proc/\(id)/smaps", "1-2 rw\nReferenced:  \(id) kB\n3-4 r\nReferenced: 1 kB\n")
        }
        try machine.tree.write("proc/1/net/netstat", "TcpExt: SyncookiesSent TCPTimeouts New\nTcpExt: 3 4 5\n")
        try machine.tree.write(
            "proc/1/net/snmp", "Ip: Forwarding\nIp: 1\nTcp: RtoAlgorithm MaxConn CurrEstab\nTcp: 1 -1 6\n")
        let clock = EngineClock.system
        let scraper = CadvisorScraper(
            machine.settings, paths: machine.paths, on: loops, clock: clock,
            log: Log(sink: RecordingLogSink(), clock: clock))
        defer { scraper.shutDown() }
        let pool = BlockingPool(name: "cadvisor-test", threads: 1)
        func scrape() async throws -> Exposed {
            Exposed(String(decoding: try await scraper.scrape(on: pool), as: UTF8.self))
        }
        let first = try await scrape()
        let work = #"{id="/work"}"#
        #expect(first["container_cpu_schedstat_run_seconds_total", work] == 21)
        #expect(first["container_cpu_schedstat_runqueue_seconds_total", work] == 1.5)
        #expect(first["container_cpu_schedstat_run_periods_total", work] == 33)
        #expect(first["container_referenced_bytes", work] == 23_552)
        let state = "container_network_advance_tcp_stats_total"
        #expect(first[state, #"{id="/",tcp_state="syncookiessent"}"#] == 3)
        #expect(first[state, #"{id="/",tcp_state="maxconn"}"#] == -1)
        #expect(first[state, #"{id="/",tcp_state="pawsestab"}"#] == 0)
        // What a process did that is gone still counts.
        try machine.tree.write("cgroup/work/cgroup.procs", "11\n")
        try machine.tree.write("proc/11/schedstat", "8000000000 500000000 12\n")
        let second = try await scrape()
        #expect(second["container_cpu_schedstat_run_seconds_total", work] == 22)
        #expect(second["container_cpu_schedstat_run_periods_total", work] == 34)
    }

    @Test("Groups of version 1 are put together from their controllers")
    func separate() async throws {
        let machine = try FakeMachine()
        machine.settings.kinds.formUnion([.hugePages, .memoryByNode, .cpuSet, .process])
        let tree = machine.tree
        for name in ["", "/job"] {
            try tree.write("cgroup/cpuacct\(name)/cpuacct.usage", "9000000000\n")
            try tree.write("cgroup/cpuacct\(name)/cpuacct.stat", "user 300\nsystem 200\n")
            try tree.write("cgroup/cpuacct\(name)/cpuacct.usage_percpu", "4000000000 0 5000000000 \n")
            try tree.write("cgroup/cpu\(name)/cpu.stat", "nr_periods 7\nnr_throttled 3\nthrottled_time 250000000\n")
            try tree.write("cgroup/cpu\(name)/cpu.shares", "512\n")
            try tree.write("cgroup/cpu\(name)/cpu.cfs_period_us", "100000\n")
            try tree.write("cgroup/cpu\(name)/cpu.cfs_quota_us", name.isEmpty ? "-1\n" : "20000\n")
            try tree.write("cgroup/cpu\(name)/cgroup.procs", "1\n")
            try tree.write(
                "cgroup/memory\(name)/memory.stat",
                "cache 1\nrss 2\ntotal_cache 10\ntotal_rss 20\ntotal_swap 30\ntotal_mapped_file 40\n"
                    + "total_inactive_file 50\ntotal_active_file 60\npgfault 70\npgmajfault 80\n")
            try tree.write("cgroup/memory\(name)/memory.usage_in_bytes", "1000\n")
            try tree.write("cgroup/memory\(name)/memory.failcnt", "6\n")
            try tree.write("cgroup/memory\(name)/memory.limit_in_bytes", "9223372036854771712\n")
            try tree.write("cgroup/memory\(name)/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")
            try tree.write(
                "cgroup/memory\(name)/memory.numa_stat", "total=5 N0=5\nfile=3 N0=3\nhierarchical_file=4 N0=4\n")
            try tree.write(
                "cgroup/blkio\(name)/blkio.throttle.io_service_bytes_recursive",
                "8:0 Read 100\n8:0 Write 200\n8:0 Total 300\nTotal 300\n")
            try tree.write(
                "cgroup/blkio\(name)/blkio.throttle.io_serviced_recursive", "8:0 Read 1\n8:0 Write 2\nTotal 3\n")
            try tree.write("cgroup/pids\(name)/pids.current", "4\n")
            try tree.write("cgroup/pids\(name)/pids.max", "100\n")
            try tree.write("cgroup/hugetlb\(name)/hugetlb.2MB.usage_in_bytes", "2097152\n")
            try tree.write("cgroup/hugetlb\(name)/hugetlb.2MB.max_usage_in_bytes", "4194304\n")
            try tree.write("cgroup/hugetlb\(name)/hugetlb.2MB.failcnt", "1\n")
            try tree.write("cgroup/cpuset\(name)/cpuset.memory_migrate", "1\n")
        }
        let page = try await machine.scrape()
        let job = #"{id="/job"}"#
        #expect(page["container_cpu_usage_seconds_total", #"{cpu="cpu00",id="/job"}"#] == 4)
        #expect(page["container_cpu_usage_seconds_total", #"{cpu="cpu01",id="/job"}"#] == nil)
        #expect(page["container_cpu_usage_seconds_total", #"{cpu="cpu02",id="/job"}"#] == 5)
        #expect(page["container_cpu_user_seconds_total", job] == 3)
        #expect(page["container_cpu_cfs_throttled_periods_total", job] == 3)
        #expect(page["container_cpu_cfs_throttled_periods_total", #"{id="/"}"#] == nil)
        #expect(page["container_spec_cpu_shares", job] == 512)
        #expect(page["container_memory_rss", job] == 20)
        #expect(page["container_memory_working_set_bytes", job] == 950)
        #expect(page["container_memory_failcnt", job] == 6)
        #expect(page["container_spec_memory_limit_bytes", job] == 0)
        #expect(page["container_oom_events_total", job] == 2)
        #expect(page["container_fs_writes_bytes_total", #"{device="/dev/sda",id="/job"}"#] == 200)
        #expect(page["container_fs_reads_total", #"{device="/dev/sda",id="/job"}"#] == 1)
        #expect(page["container_threads_max", job] == 100)
        #expect(page["container_hugetlb_max_usage_bytes", #"{id="/job",pagesize="2MB"}"#] == 4_194_304)
        #expect(page["container_memory_migrate", job] == 1)
        #expect(
            page["container_memory_numa_pages", #"{id="/job",node="0",scope="hierarchy",type="file"}"#] == 4)
        // Without percpu there is one series for all.
        machine.settings.kinds.remove(.perCPU)
        #expect(
            try await machine.scrape()["container_cpu_usage_seconds_total", #"{cpu="total",id="/job"}"#] == 9)
    }

    // MARK: Runtimes

    private func dockerRouter(process: Int32) -> HTTPRouter {
        var router = HTTPRouter()
        let list = #"[{"Id":"\#(dockerID)","Names":["/web"],"Status":"Up 5 minutes (healthy)"}]"#
        let inspect = """
            {"Id":"\(dockerID)","Name":"/web","Created":"2023-01-02T03:04:05.678Z","RestartCount":2,
             "State":{"Pid":\(process),"StartedAt":"2023-01-02T03:05:05Z"},"HostConfig":{"NetworkMode":"bridge"},
             "Config":{"Image":"nginx:1","Env":["APP_TIER=front","SECRET=x"],
                       "Labels":{"com.example/team":"a \\"b\\"","plain":"p"}}}
            """
        router.on(.get, "/containers/json") { _ in .json(.ok, Array(list.utf8)) }
        router.on(.get, "/containers/\(dockerID)/json") { _ in .json(.ok, Array(inspect.utf8)) }
        router.on(.get, "/version") { _ in .json(.ok, Array(#"{"Version":"24.0.1"}"#.utf8)) }
        return router
    }

    @Test("Containers of Docker have names, images, labels, variables, times and health")
    func docker() async throws {
        let machine = try FakeMachine()
        try machine.unified("/")
        try machine.unified("/system.slice/docker-\(dockerID).scope")
        machine.settings.docker = DockerEndpoint("unix://" + machine.tree.path + "/docker.sock")
        machine.settings.allowedEnvironment = ["APP_"]
        let process = getpid()
        try machine.tree.write(
            "proc/\(process)/net/dev", "a\nb\n  eth0: 21 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n")
        let id = #"id="/system.slice/docker-\#(dockerID).scope",image="nginx:1",name="web""#
        let environment = #"container_env_app_tier="front""#
        let team = #"container_label_com_example_team="a \"b\"""#
        try await machine.serving("docker.sock", dockerRouter(process: process)) {
            let all = "{\(environment),\(team),container_label_plain=\"p\",container_label_restartcount=\"2\",\(id)}"
            var page = try await machine.scrape()
            #expect(page["container_memory_usage_bytes", all] == 4096)
            #expect(page["container_creation_time_seconds", all] == 1_672_628_645)
            #expect(page["container_start_time_seconds", all] == 1_672_628_705)
            #expect(page["container_health_state", all] == 1)
            #expect(
                page[
                    "container_network_receive_bytes_total",
                    all.replacing(",name=\"web\"}", with: ",interface=\"eth0\",name=\"web\"}")] == 21)
            #expect(page.values.keys.contains { $0.labels.contains("dockerVersion=\"24.0.1\"") })
            machine.settings.storesLabels = false
            machine.settings.allowedLabels = ["plain"]
            page = try await machine.scrape()
            #expect(page["container_memory_usage_bytes", "{\(environment),container_label_plain=\"p\",\(id)}"] == 4096)
            // Nothing but containers and the root.
            try machine.unified("/other")
            machine.settings.dockerOnly = true
            page = try await machine.scrape()
            #expect(page["container_memory_usage_bytes", #"{id="/other"}"#] == nil)
            machine.settings.rawPrefixes = ["/oth"]
            page = try await machine.scrape()
            #expect(page["container_memory_usage_bytes", #"{id="/other"}"#] == 4096)
            #expect(page["container_memory_usage_bytes", #"{id="/system.slice"}"#] == nil)
        }
    }

    private func containerdRouter(process: Int32) -> HTTPRouter {
        var containers = ProtobufWriter()
        for (id, kind) in [(podID, "sandbox"), (workID, "container")] {
            let container = containers.beginMessage(1)
            containers.field(1, string: id)
            let label = containers.beginMessage(2)
            containers.field(1, string: "io.cri-containerd.kind")
            containers.field(2, string: kind)
            containers.endMessage(label)
            containers.field(3, string: "registry/app:2")
            let specification = containers.beginMessage(5)
            containers.field(1, string: "types.containerd.io/opencontainers/runtime-spec/1/Spec")
            containers.field(2, string: #"{"process":{"env":["APP_MODE=fast","OTHER=1"]}}"#)
            containers.endMessage(specification)
            let time = containers.beginMessage(8)
            containers.field(1, varint: 1_700_000_000)
            containers.endMessage(time)
            containers.endMessage(container)
        }
        var tasks = ProtobufWriter()
        for id in [podID, workID] {
            let task = tasks.beginMessage(1)
            tasks.field(2, string: id)
            tasks.field(3, varint: UInt64(process))
            tasks.endMessage(task)
        }
        let answers = (containers.bytes, tasks.bytes)
        var service = GRPCService(maximumMessage: 1 << 20)
        service.on(ContainerdMessages.listContainers) { request throws(GRPCStatus) in
            guard request.metadata["containerd-namespace"] == "k8s.io" else { throw GRPCStatus(.invalidArgument, "") }
            return answers.0
        }
        service.on(ContainerdMessages.listTasks) { _ throws(GRPCStatus) in answers.1 }
        return service.router
    }

    @Test("Containers of containerd come over gRPC, and only the sandbox of a pod counts traffic")
    func containerd() async throws {
        let machine = try FakeMachine()
        try machine.unified("/")
        let process = getpid()
        for id in [podID, workID] { try machine.unified("/kubepods/pod1/cri-containerd-\(id).scope") }
        try machine.tree.write(
            "proc/\(process)/net/dev", "a\nb\n  eth0: 21 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n")
        machine.settings.containerdSocket = machine.tree.path + "/containerd.sock"
        machine.settings.allowedEnvironment = ["APP_"]
        let page = try await machine.serving("containerd.sock", containerdRouter(process: process)) {
            try await machine.scrape()
        }
        func labels(_ id: String, _ kind: String, _ more: String = "") -> String {
            #"{container_env_APP_MODE="fast",container_label_io_cri_containerd_kind="\#(kind)","#
                + #"id="/kubepods/pod1/cri-containerd-\#(id).scope",image="registry/app:2",\#(more)name="\#(id)"}"#
        }
        #expect(page["container_memory_usage_bytes", labels(podID, "sandbox")] == 4096)
        #expect(page["container_creation_time_seconds", labels(workID, "container")] == 1_700_000_000)
        let interface = #"interface="eth0","#
        #expect(page["container_network_receive_bytes_total", labels(podID, "sandbox", interface)] == 21)
        #expect(page["container_network_receive_bytes_total", labels(workID, "container", interface)] == nil)
    }

    @Test("Containers of CRI-O come from its inspection API")
    func crio() async throws {
        let machine = try FakeMachine()
        try machine.unified("/")
        try machine.unified("/kubepods/crio-\(workID).scope")
        try machine.unified("/kubepods/crio-conmon-\(workID).scope")
        var router = HTTPRouter()
        let answer = """
            {"name":"k8s_app","pid":\(getpid()),"image":"img","labels":{"io.kubernetes.pod.name":"p"},
             "annotations":{"io.kubernetes.container.restartCount":"3"}}
            """
        router.on(.get, "/containers/\(workID)") { _ in .json(.ok, Array(answer.utf8)) }
        let page = try await machine.serving("crio.sock", router) { try await machine.scrape() }
        let labels =
            #"{container_label_io_kubernetes_pod_name="p",container_label_restartcount="3","#
            + #"id="/kubepods/crio-\#(workID).scope",image="img",name="k8s_app"}"#
        #expect(page["container_memory_usage_bytes", labels] == 4096)
        #expect(page["container_memory_usage_bytes", #"{id="/kubepods/crio-conmon-\#(workID).scope"}"#] == 4096)
    }

    @Test("A runtime that answers nonsense leaves the groups without names, and says so once")
    func brokenRuntimes() async throws {
        let machine = try FakeMachine()
        try machine.unified("/")
        try machine.unified("/docker/\(dockerID)")
        machine.settings.docker = DockerEndpoint("unix://" + machine.tree.path + "/docker.sock")
        machine.settings.containerdSocket = machine.tree.path + "/docker.sock"
        var router = HTTPRouter()
        router.otherwise { _ in .json(.ok, Array("[{\"Id\":".utf8)) }
        let sink = RecordingLogSink()
        let page = try await machine.serving("docker.sock", router) {
            try await machine.scrape(log: Log(sink: sink, clock: .system))
        }
        #expect(page["container_memory_usage_bytes", #"{id="/docker/\#(dockerID)"}"#] == 4096)
        #expect(sink.lines.filter { $0.contains("A container runtime did not answer") }.count == 1)
    }

    @Test("Broken protobuf of containerd is an error, never a trap", arguments: 0..<64)
    func hostileProtobuf(seed: Int) {
        var bytes: [UInt8] = [0x0A, 0x08, 0x0A, 0x02, 0x61, 0x62, 0x42, 0x02, 0x08, 0x01]
        bytes[seed % bytes.count] ^= UInt8(truncatingIfNeeded: seed &* 37 &+ 1)
        for length in 0...bytes.count {
            _ = try? ContainerdMessages.containers(Array(bytes.prefix(length)), allowedEnvironment: ["A"])
            _ = try? ContainerdMessages.processIDs(Array(bytes.prefix(length)))
        }
    }

    // MARK: Names and arguments

    @Test("IDs are found in names of groups")
    func identifiers() {
        #expect(CgroupTree.containerID("/docker/\(dockerID)") == dockerID)
        #expect(CgroupTree.containerID("/a/cri-containerd-\(workID).scope") == workID)
        #expect(CgroupTree.containerID("/a/crio-conmon-\(workID).scope") == nil)
        #expect(CgroupTree.containerID("/a/\(dockerID.dropLast())") == nil)
        #expect(CgroupTree.containerID("/\(dockerID)/inner") == nil)
        #expect(CgroupTree.containerID("/") == nil)
    }

    @Test(
        "What cannot be had is named",
        arguments: [
            (#"enabled_metrics = ["nonsense"]"#, "names the unsupported kind \"nonsense\""),
            (#"disabled_metrics = ["nonsense"]"#, "names the unsupported kind \"nonsense\""),
            (#"perf_events_config = "/x.json""#, "\"perf_events_config\" has no effect"),
            (#"resctrl_interval = "-1s""#, "\"resctrl_interval\" must not be negative"),
            (#"docker_host = "ftp://x""#, "\"docker_host\" is not an address"),
        ])
    func refusals(body: String, problem: String) {
        let problems = ComponentHarness(PrometheusExporterCadvisor.self).evaluate(body)
        #expect(problems.contains { $0.contains(problem) }, "\(problems)")
    }

    @Test("A list that leaves every kind enabled is taken as it is")
    func implicitKinds() {
        #expect(ComponentHarness(PrometheusExporterCadvisor.self).evaluate(#"disabled_metrics = ["tcp"]"#) == [])
    }

    @Test("Caches and memory bandwidth come from resctrl, with a monitoring group for those that have none")
    func resourceControl() async throws {
        let machine = try FakeMachine()
        try machine.unified("/")
        machine.settings.kinds = [.resourceControl]
        let root = "resctrl"
        try machine.tree.write(
            "proc/self/mountinfo",
            "1 2 0:3 / /proc rw - proc proc rw\n2 2 0:4 / \(machine.tree.path)/\(root) rw - resctrl resctrl rw\n")
        try machine.tree.write(root + "/info/L3_MON/mon_features", "llc_occupancy\nmbm_total_bytes\nmbm_local_bytes\n")
        try machine.tree.write(root + "/tasks", "10\n11\n12\n20\n")
        func data(_ group: String, _ value: Int) throws {
            for (node, domain) in ["mon_L3_00", "mon_L3_01"].enumerated() {
                let path = "\(root)\(group)/mon_data/\(domain)/"
                try machine.tree.write(path + "llc_occupancy", "\(value + node)\n")
                try machine.tree.write(path + "mbm_total_bytes", "\(value * 10 + node)\n")
                try machine.tree.write(path + "mbm_local_bytes", node == 0 ? "\(value * 5)\n" : "Unavailable\n")
            }
        }
        try data("", 1000)
        let page = try await machine.scrape()
        #expect(page["container_llc_occupancy_bytes", #"{id="/",node_id="1"}"#] == 1001)
        #expect(page["container_memory_bandwidth_bytes", #"{id="/",node_id="0"}"#] == 10_000)
        #expect(page["container_memory_bandwidth_local_bytes", #"{id="/",node_id="1"}"#] == nil)

        // A group of somebody else's, for these threads alone; and one of ours, as the kernel fills it.
        try machine.tree.write(root + "/mon_groups/theirs/tasks", "20\n")
        try data("/mon_groups/theirs", 200)
        for (process, thread) in [(20, 20), (10, 10), (10, 11)] {
            try machine.tree.write("proc/\(process)/task/\(thread)/stat", "")
        }
        try machine.tree.write(root + "/mon_groups/cadvisor-b-c/tasks", "")
        try data("/mon_groups/cadvisor-b-c", 30)
        let files = ProcFiles()
        let control = try #require(
            ResourceControl(files, proc: machine.paths.procfs, interval: .zero))
        func usage(_ name: String, _ processes: UInt64...) -> [ResourceControl.Usage] {
            control.usage(of: name, processes, proc: machine.paths.procfs, now: 0, files)
        }
        #expect(usage("/a", 20).first == .init(cache: 200, bandwidth: 2000, localBandwidth: 1000))
        #expect(usage("/b/c", 10).map(\.cache) == [30, 31])
        let tasks = "\(machine.tree.path)/\(root)/mon_groups/cadvisor-b-c/tasks"
        #expect(try Files.read(tasks) == Array("10\n11\n".utf8))
        // Where no group can be made, or nothing runs, there is nothing.
        #expect(usage("/d", 99).isEmpty && usage("/e").isEmpty)
        // Without the file system there is nothing, and no error.
        try machine.tree.write("proc/self/mountinfo", "1 2 0:3 / /proc rw - proc proc rw\n")
        #expect(try await machine.scrape().names(withPrefix: "container_llc").isEmpty)
    }

    @Test("The component serves this machine's groups and takes new arguments")
    func component() throws {
        let harness = ComponentHarness(PrometheusExporterCadvisor.self)
        let none = "docker_host = \"unix:///nowhere.sock\"\ncontainerd_host = \"/nowhere.sock\""
        #expect(harness.start(none) == [])
        let targets = harness.export("targets", as: [[String: String]].self)
        #expect(targets?.first?["job"] == "integrations/cadvisor")
        let page = try harness.scrape()
        #expect((page.values.first { $0.key.name == "machine_cpu_cores" }?.value ?? 0) >= 1)
        #expect(page["container_last_seen", #"{id="/"}"#] != nil)
        #expect(page.duplicates == [])
        harness.update(none + "\nenabled_metrics = [\"cpu\"]")
        #expect(try harness.scrape().names(withPrefix: "container_memory") == [])
        #expect(harness.finish() == [])
    }
}
