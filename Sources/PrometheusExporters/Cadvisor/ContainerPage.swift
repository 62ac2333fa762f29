import Essentials

/// Writes the series of one container after the other.
///
/// Names, helps, types and labels are those of cAdvisor (google/cadvisor `lib/metrics/prometheus.go`). Deviations:
/// samples have no timestamps, since values are read when they are scraped; times of disks are in seconds, as their
/// names say; labels without a value are left out, which means the same.
struct ContainerPage {
    let page: MetricPage
    let kinds: Set<CadvisorKind>
    let disks: [MachineStorage.Device: DiskCounters]

    // MARK: Labels

    /// The labels of every series of a container, as text without braces.
    static func labels(_ name: String, _ facts: ContainerFacts?, _ settings: CadvisorSettings) -> [UInt8] {
        var labels: [String: String] = ["id": name]
        if let facts {
            labels["name"] = facts.name
            labels["image"] = facts.image
            for (key, value) in facts.labels.sorted(by: { $0.name < $1.name })
            where settings.storesLabels || settings.allowedLabels.contains(key) {
                let label = EthtoolCollector.labelName("container_label_" + key)
                if labels[label] == nil { labels[label] = value }
            }
            for (key, value) in facts.environment.sorted(by: { $0.name < $1.name }) {
                let label = EthtoolCollector.labelName("container_env_" + key)
                if labels[label] == nil { labels[label] = value }
            }
        }
        var output: [UInt8] = []
        for (label, value) in labels.sorted(by: { $0.key < $1.key }) where !value.isEmpty {
            if !output.isEmpty { output.append(UInt8(ascii: ",")) }
            output += label.utf8
            output += "=\"".utf8
            value.append(to: &output)
            output.append(UInt8(ascii: "\""))
        }
        return output
    }

    // MARK: Groups of metrics

    private func gauge(_ name: String, _ help: String, _ base: [UInt8], _ value: Double) {
        page.add(page.gauge(name, help), base: base, value)
    }

    private func counter(_ name: String, _ help: String, _ base: [UInt8], _ value: Double) {
        page.add(page.counter(name, help), base: base, value)
    }

    private func seconds(_ nanoseconds: UInt64) -> Double { Double(nanoseconds) / 1e9 }

    /// When it was made and what it may use.
    func addSpecification(_ values: CgroupValues, created: Int64, started: Int64, _ base: [UInt8]) {
        gauge(
            "container_creation_time_seconds", "Container creation time since unix epoch in seconds.", base,
            Double(created))
        gauge(
            "container_start_time_seconds", "Start time of the container since unix epoch in seconds.", base,
            Double(started))
        if values.hasCPU {
            gauge("container_spec_cpu_period", "CPU period of the container.", base, Double(values.period))
            if values.quota != 0 {
                gauge("container_spec_cpu_quota", "CPU quota of the container.", base, Double(values.quota))
            }
            gauge("container_spec_cpu_shares", "CPU share of the container.", base, Double(values.shares))
        }
        if values.hasMemory {
            // What is larger means no limit.
            func limit(_ value: UInt64) -> Double { value > 1 << 62 ? 0 : Double(value) }
            gauge(
                "container_spec_memory_limit_bytes", "Memory limit for the container.", base,
                limit(values.memoryLimit))
            gauge(
                "container_spec_memory_swap_limit_bytes", "Memory swap limit for the container.", base,
                limit(values.swapLimit))
            gauge(
                "container_spec_memory_reservation_limit_bytes", "Memory reservation limit for the container.", base,
                limit(values.memoryReservation))
        }
    }

    func addValues(_ values: CgroupValues, health: Int, now: Int64, _ base: [UInt8]) {
        gauge("container_last_seen", "Last time a container was seen by the exporter", base, Double(now))
        gauge("container_health_state", "The result of the container's health check", base, Double(health))
        if kinds.contains(.cpu) { addProcessor(values, base) }
        if kinds.contains(.cpuLoad) { addLoad(base) }
        if kinds.contains(.memory) { addMemory(values, base) }
        if kinds.contains(.diskIO) { addRequests(values, base) }
        if kinds.contains(.pressure) { addPressure(values, base) }
        if kinds.contains(.hugePages) { addHugePages(values, base) }
        if kinds.contains(.cpuSet) {
            gauge("container_memory_migrate", "Memory migrate status.", base, Double(values.memoryMigrates))
        }
        if kinds.contains(.outOfMemory) {
            counter(
                "container_oom_events_total", "Count of out of memory events observed for the container", base,
                Double(values.outOfMemoryKills))
        }
        if kinds.contains(.memoryByNode) {
            let family = page.gauge("container_memory_numa_pages", "Number of used pages per NUMA node")
            for entry in values.nodePages {
                var labels = base
                labels += ",node=\"\(entry.node)\"".utf8
                page.add(family, base: labels, "scope", entry.scope, "type", entry.type, Double(entry.pages))
            }
        }
    }

    private func addProcessor(_ values: CgroupValues, _ base: [UInt8]) {
        counter(
            "container_cpu_user_seconds_total", "Cumulative user cpu time consumed in seconds.", base,
            seconds(values.user))
        counter(
            "container_cpu_system_seconds_total", "Cumulative system cpu time consumed in seconds.", base,
            seconds(values.system))
        let usage = page.counter("container_cpu_usage_seconds_total", "Cumulative cpu time consumed in seconds.")
        if values.perCPU.isEmpty {
            if values.usage > 0 { page.add(usage, base: base, "cpu", "total", seconds(values.usage)) }
        } else {
            for (index, time) in values.perCPU.enumerated() where time > 0 {
                let name = index < 10 ? "cpu0\(index)" : "cpu\(index)"
                page.add(usage, base: base, "cpu", name, seconds(time))
            }
        }
        guard values.quota != 0 else { return }
        counter(
            "container_cpu_cfs_periods_total", "Number of elapsed enforcement period intervals.", base,
            Double(values.periods))
        counter(
            "container_cpu_cfs_throttled_periods_total", "Number of throttled period intervals.", base,
            Double(values.throttledPeriods))
        counter(
            "container_cpu_cfs_throttled_seconds_total", "Total time duration the container has been throttled.", base,
            seconds(values.throttledTime))
        counter(
            "container_cpu_cfs_burst_periods_total", "Number of periods when burst occurs.", base,
            Double(values.bursts))
        counter(
            "container_cpu_cfs_burst_seconds_total", "Total time duration the container has been bursted.", base,
            seconds(values.burstTime))
    }

    /// The load of containers needs a reader that upstream does not turn on either: the values are zero there too.
    private func addLoad(_ base: [UInt8]) {
        gauge(
            "container_cpu_load_average_10s", "Value of container cpu load average over the last 10 seconds.", base, 0)
        gauge(
            "container_cpu_load_d_average_10s", "Value of container cpu load.d average over the last 10 seconds.",
            base, 0)
        let tasks = page.gauge("container_tasks_state", "Number of tasks in given state")
        for state in ["iowaiting", "running", "sleeping", "stopped", "uninterruptible"] {
            page.add(tasks, base: base, "state", state, 0)
        }
    }

    private func addMemory(_ values: CgroupValues, _ base: [UInt8]) {
        func bytes(_ name: String, _ help: String, _ value: UInt64) {
            gauge("container_memory_" + name, help, base, Double(value))
        }
        func count(_ name: String, _ help: String, _ value: UInt64) {
            counter("container_memory_" + name, help, base, Double(value))
        }
        bytes("cache", "Number of bytes of page cache memory.", values.cache)
        bytes("rss", "Size of RSS in bytes.", values.rss)
        bytes("kernel_usage", "Size of kernel memory allocated in bytes.", values.kernelUsage)
        bytes("mapped_file", "Size of memory mapped files in bytes.", values.mappedFile)
        bytes("swap", "Container swap usage in bytes.", values.swap)
        count("failcnt", "Number of memory usage hits limits", values.failures)
        bytes(
            "usage_bytes", "Current memory usage in bytes, including all memory regardless of when it was accessed",
            values.memoryUsage)
        bytes("max_usage_bytes", "Maximum memory usage recorded in bytes", values.maximumUsage)
        bytes("working_set_bytes", "Current working set in bytes.", values.workingSet)
        bytes("total_active_file_bytes", "Current total active file in bytes.", values.activeFile)
        bytes("total_inactive_file_bytes", "Current total inactive file in bytes.", values.inactiveFile)
        count(
            "events_high_total", "Cumulative count of memory.high throttle events for the container",
            values.highEvents)
        count(
            "events_max_total", "Cumulative count of memory.max limit hit events for the container",
            values.maximumEvents)
        bytes(
            "file_dirty_bytes",
            "Number of bytes of file cache that has been modified but not yet written back to disk.", values.fileDirty)
        bytes(
            "file_writeback_bytes", "Number of bytes of file cache that is currently being written back to disk.",
            values.fileWriteback)
        count(
            "pgscan_total", "Cumulative number of pages scanned by the page reclaim algorithm.", values.pagesScanned)
        count(
            "pgsteal_total", "Cumulative number of pages reclaimed by the page reclaim algorithm.",
            values.pagesStolen)
        count(
            "workingset_refault_file_total", "Cumulative number of refaults of previously evicted file pages.",
            values.refaultsFile)
        count(
            "workingset_refault_anon_total", "Cumulative number of refaults of previously evicted anonymous pages.",
            values.refaultsAnonymous)
        let failures = page.counter(
            "container_memory_failures_total", "Cumulative count of memory allocation failures.")
        for scope in ["container", "hierarchy"] {
            page.add(
                failures, base: base, "failure_type", "pgfault", "scope", scope, Double(values.pageFaults))
            page.add(
                failures, base: base, "failure_type", "pgmajfault", "scope", scope, Double(values.majorFaults))
        }
    }

    private func deviceName(_ device: BlockDeviceValues) -> String {
        disks[MachineStorage.Device(major: device.major, minor: device.minor)].map { "/dev/" + $0.name } ?? ""
    }

    private func addRequests(_ values: CgroupValues, _ base: [UInt8]) {
        let usage = page.counter("container_blkio_device_usage_total", "Blkio Device bytes usage")
        let read = page.counter("container_fs_reads_bytes_total", "Cumulative count of bytes read")
        let written = page.counter("container_fs_writes_bytes_total", "Cumulative count of bytes written")
        for device in values.serviceBytes {
            let name = deviceName(device)
            page.add(read, base: base, "device", name, Double(device.value("Read")))
            page.add(written, base: base, "device", name, Double(device.value("Write")))
            var labels = base
            labels += ",device=\"".utf8
            name.append(to: &labels)
            labels += "\",major=\"\(device.major)\",minor=\"\(device.minor)\"".utf8
            for entry in device.values {
                page.add(usage, base: labels, "operation", entry.operation, Double(entry.value))
            }
        }
        let reads = page.counter("container_fs_reads_total", "Cumulative count of reads completed")
        let writes = page.counter("container_fs_writes_total", "Cumulative count of writes completed")
        for device in values.serviced {
            let name = deviceName(device)
            page.add(reads, base: base, "device", name, Double(device.value("Read")))
            page.add(writes, base: base, "device", name, Double(device.value("Write")))
        }
    }

    private func addPressure(_ values: CgroupValues, _ base: [UInt8]) {
        for (name, what, totals) in [
            ("cpu", "CPU", values.cpuPressure), ("memory", "memory", values.memoryPressure),
            ("io", "IO", values.ioPressure),
        ] {
            if name == "io", !kinds.contains(.diskIO) { continue }
            counter(
                "container_pressure_\(name)_stalled_seconds_total",
                "Total time duration no tasks in the container could make progress due to \(what) congestion.", base,
                Double(totals.full) / 1e6)
            counter(
                "container_pressure_\(name)_waiting_seconds_total",
                "Total time duration tasks in the container have waited due to \(what) congestion.", base,
                Double(totals.some) / 1e6)
        }
    }

    private func addHugePages(_ values: CgroupValues, _ base: [UInt8]) {
        let failures = page.counter("container_hugetlb_failcnt", "Number of hugepage usage hits limits")
        let usage = page.gauge("container_hugetlb_usage_bytes", "Current hugepage usage in bytes")
        let maximum = page.gauge("container_hugetlb_max_usage_bytes", "Maximum hugepage usage recorded in bytes")
        for entry in values.hugePages {
            page.add(failures, base: base, "pagesize", entry.size, Double(entry.failures))
            page.add(usage, base: base, "pagesize", entry.size, Double(entry.usage))
            page.add(maximum, base: base, "pagesize", entry.size, Double(entry.maximum))
        }
    }

    // MARK: File systems

    /// Space of a file system: what `usage` of `limit` bytes is taken, and inodes.
    func addSpace(
        device: String, limit: UInt64, usage: UInt64, inodes: UInt64, freeInodes: UInt64, _ base: [UInt8]
    ) {
        func add(_ name: String, _ help: String, _ value: UInt64) {
            page.add(page.gauge("container_fs_" + name, help), base: base, "device", device, Double(value))
        }
        add("inodes_free", "Number of available Inodes", freeInodes)
        add("inodes_total", "Number of Inodes", inodes)
        add("limit_bytes", "Number of bytes that can be consumed by the container on this filesystem.", limit)
        add("usage_bytes", "Number of bytes that are consumed by the container on this filesystem.", usage)
    }

    /// Requests of the disk below a file system, for the machine as a whole. Reads and writes of a device that
    /// the root group counts itself are not added a second time.
    func addDisk(_ disk: DiskCounters, device: String, isCounted: Bool, _ base: [UInt8]) {
        func count(_ name: String, _ help: String, _ value: Double) {
            page.add(page.counter("container_fs_" + name, help), base: base, "device", device, value)
        }
        if !isCounted {
            count("reads_total", "Cumulative count of reads completed", disk.value(0))
            count("writes_total", "Cumulative count of writes completed", disk.value(4))
        }
        count("reads_merged_total", "Cumulative count of reads merged", disk.value(1))
        count("sector_reads_total", "Cumulative count of sector reads completed", disk.value(2))
        count("read_seconds_total", "Cumulative count of seconds spent reading", disk.value(3) / 1000)
        count("writes_merged_total", "Cumulative count of writes merged", disk.value(5))
        count("sector_writes_total", "Cumulative count of sector writes completed", disk.value(6))
        count("write_seconds_total", "Cumulative count of seconds spent writing", disk.value(7) / 1000)
        page.add(
            page.gauge("container_fs_io_current", "Number of I/Os currently in progress"), base: base, "device", device,
            disk.value(8))
        count("io_time_seconds_total", "Cumulative count of seconds spent doing I/Os", disk.value(9) / 1000)
        count("io_time_weighted_seconds_total", "Cumulative weighted I/O time in seconds", disk.value(10) / 1000)
    }

    // MARK: Processes

    func addScheduler(_ times: SchedulerTimes.Times, _ base: [UInt8]) {
        counter(
            "container_cpu_schedstat_run_seconds_total",
            "Time duration the processes of the container have run on the CPU.", base, seconds(times.run))
        counter(
            "container_cpu_schedstat_runqueue_seconds_total",
            "Time duration processes of the container have been waiting on a runqueue.", base, seconds(times.waited))
        counter(
            "container_cpu_schedstat_run_periods_total",
            "Number of times processes of the cgroup have run on the cpu", base, Double(times.periods))
    }

    func addResources(_ usages: [ResourceControl.Usage], _ base: [UInt8]) {
        func add(_ name: String, _ help: String, _ value: (ResourceControl.Usage) -> UInt64?) {
            for (node, usage) in usages.enumerated() {
                guard let value = value(usage) else { continue }
                page.add(page.gauge(name, help), base: base, "node_id", node, Double(value))
            }
        }
        add(
            "container_memory_bandwidth_bytes",
            "Total memory bandwidth usage statistics for container counted with RDT Memory Bandwidth Monitoring (MBM).",
            \.bandwidth)
        add(
            "container_memory_bandwidth_local_bytes",
            "Local memory bandwidth usage statistics for container counted with RDT Memory Bandwidth Monitoring (MBM).",
            \.localBandwidth)
        add(
            "container_llc_occupancy_bytes",
            "Last level cache usage statistics for container counted with RDT Memory Bandwidth Monitoring (MBM).",
            \.cache)
    }

    func addReferenced(_ bytes: UInt64, _ base: [UInt8]) {
        gauge(
            "container_referenced_bytes", "Container referenced bytes during last measurements cycle", base,
            Double(bytes))
    }

    func addProcesses(_ counts: ProcessCounts, _ values: CgroupValues, _ base: [UInt8]) {
        gauge(
            "container_processes", "Number of processes running inside the container.", base,
            Double(counts.processes))
        gauge(
            "container_file_descriptors", "Number of open file descriptors for the container.", base,
            Double(counts.descriptors))
        gauge("container_sockets", "Number of open sockets for the container.", base, Double(counts.sockets))
        gauge(
            "container_threads_max",
            "Maximum number of threads allowed inside the container, infinity if value is zero",
            base, values.processLimit == .max ? 0 : Double(values.processLimit))
        gauge(
            "container_threads", "Number of threads running inside the container", base, Double(values.processes))
        if let limit = counts.openFilesLimit {
            page.add(
                page.gauge(
                    "container_ulimits_soft",
                    "Soft ulimit values for the container root process. Unlimited if -1, except priority and nice"),
                base: base, "ulimit", "max_open_files", limit)
        }
    }
}
