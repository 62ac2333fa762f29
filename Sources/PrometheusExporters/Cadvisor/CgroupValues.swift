import Essentials
import Glibc

/// Requests and bytes of one block device.
struct BlockDeviceValues {
    var major: UInt64
    var minor: UInt64
    /// By operation: `Read`, `Write`, `Sync`, `Async`, `Discard`, `Total`.
    var values: [(operation: String, value: UInt64)]

    func value(_ operation: String) -> UInt64 { values.first { $0.operation == operation }?.value ?? 0 }
}

/// One or both lines of a pressure file: microseconds stalled so far.
struct PressureTotals {
    var some: UInt64 = 0
    var full: UInt64 = 0
}

/// What the kernel tells about one control group, read once per scrape.
struct CgroupValues {
    // Processor, in nanoseconds.
    var usage: UInt64 = 0
    var user: UInt64 = 0
    var system: UInt64 = 0
    var perCPU: [UInt64] = []
    var periods: UInt64 = 0
    var throttledPeriods: UInt64 = 0
    var throttledTime: UInt64 = 0
    var bursts: UInt64 = 0
    var burstTime: UInt64 = 0
    // Limits.
    var hasCPU = false
    var shares: UInt64 = 0
    var period: UInt64 = 0
    var quota: UInt64 = 0
    var hasMemory = false
    var memoryLimit: UInt64 = 0
    var swapLimit: UInt64 = 0
    var memoryReservation: UInt64 = 0
    // Memory, in bytes.
    var memoryUsage: UInt64 = 0
    var maximumUsage: UInt64 = 0
    var failures: UInt64 = 0
    var kernelUsage: UInt64 = 0
    var cache: UInt64 = 0
    var rss: UInt64 = 0
    var swap: UInt64 = 0
    var mappedFile: UInt64 = 0
    var activeFile: UInt64 = 0
    var inactiveFile: UInt64 = 0
    var pageFaults: UInt64 = 0
    var majorFaults: UInt64 = 0
    var fileDirty: UInt64 = 0
    var fileWriteback: UInt64 = 0
    var pagesScanned: UInt64 = 0
    var pagesStolen: UInt64 = 0
    var refaultsFile: UInt64 = 0
    var refaultsAnonymous: UInt64 = 0
    var highEvents: UInt64 = 0
    var maximumEvents: UInt64 = 0
    var outOfMemoryKills: UInt64 = 0
    // The rest.
    var serviceBytes: [BlockDeviceValues] = []
    var serviced: [BlockDeviceValues] = []
    var processes: UInt64 = 0
    var processLimit: UInt64 = 0
    var memoryMigrates: UInt64 = 0
    var hugePages: [(size: String, usage: UInt64, maximum: UInt64, failures: UInt64)] = []
    var cpuPressure = PressureTotals()
    var memoryPressure = PressureTotals()
    var ioPressure = PressureTotals()
    /// Pages by node: type, scope (`container` or `hierarchy`), node and pages.
    var nodePages: [(type: String, scope: String, node: String, pages: UInt64)] = []

    var workingSet: UInt64 { memoryUsage > inactiveFile ? memoryUsage - inactiveFile : 0 }
}

/// Reads ``CgroupValues``. Not for concurrent use.
struct CgroupReader {
    let tree: CgroupTree
    let files: GroupFiles
    let times: GroupTimes
    let kinds: Set<CadvisorKind>
    /// Which of the schedulers' files of version 1 have numbers on this machine.
    let blockPrefix: String

    private static let nanosecondsPerTick: UInt64 = 1_000_000_000 / UInt64(max(1, sysconf(Int32(_SC_CLK_TCK))))

    init(tree: CgroupTree, files: GroupFiles, times: GroupTimes, kinds: Set<CadvisorKind>) {
        self.tree = tree
        self.files = files
        self.times = times
        self.kinds = kinds
        let root = tree.directory("blkio", "/") ?? ""
        let candidates = ["blkio.bfq.", "blkio.", "blkio.throttle."]
        blockPrefix =
            tree.isUnified
            ? ""
            : candidates.first { prefix in
                let devices = try? files.withFile(root + "/\(prefix)io_serviced_recursive") { bytes in
                    bytes.lines.contains { $0.index(of: ":") != nil }
                }
                return devices == true
            } ?? "blkio.throttle."
    }

    func read(_ name: String) -> CgroupValues {
        var values = CgroupValues()
        if tree.isUnified { readUnified(name, &values) } else { readSeparate(name, &values) }
        return values
    }

    // MARK: Files

    private func number(_ path: String) -> UInt64 {
        (try? files.withFile(path) { Self.number($0.trimmed) }) ?? 0
    }

    /// A number, or `max` for no limit.
    private static func number(_ text: Bytes) -> UInt64 { text.equals("max") ? .max : text.unsigned ?? 0 }

    /// Calls `body` for each line of two words; false when there is no such file.
    @discardableResult
    private func pairs(_ path: String, _ body: (Bytes, UInt64) -> Void) -> Bool {
        let read: Void? = try? files.withFile(path) { bytes in
            for line in bytes.lines {
                guard let (key, value) = line.cut(at: " ") else { continue }
                body(key, value.trimmed.unsigned ?? 0)
            }
        }
        return read != nil
    }

    private func pressure(_ path: String) -> PressureTotals {
        var totals = PressureTotals()
        _ = try? files.withFile(path) { bytes in
            for line in bytes.lines {
                for word in line.fields where word.starts(with: "total=") {
                    let total = word.part(6..<word.count).unsigned ?? 0
                    if line.starts(with: "some") { totals.some = total } else { totals.full = total }
                }
            }
        }
        return totals
    }

    // MARK: Version 2

    private func readUnified(_ name: String, _ values: inout CgroupValues) {
        guard let path = tree.directory("", name) else { return }
        values.hasCPU = true
        pairs(path + "/cpu.stat") { key, value in
            if key.equals("usage_usec") {
                values.usage = value &* 1000
            } else if key.equals("user_usec") {
                values.user = value &* 1000
            } else if key.equals("system_usec") {
                values.system = value &* 1000
            } else if key.equals("nr_periods") {
                values.periods = value
            } else if key.equals("nr_throttled") {
                values.throttledPeriods = value
            } else if key.equals("throttled_usec") {
                values.throttledTime = value &* 1000
            } else if key.equals("nr_bursts") {
                values.bursts = value
            } else if key.equals("burst_usec") {
                values.burstTime = value &* 1000
            }
        }
        let weight = number(path + "/cpu.weight")
        if weight >= 1, weight <= 10_000 { values.shares = 2 + (weight - 1) * 262_142 / 9_999 }
        _ = try? files.withFile(path + "/cpu.max") { bytes in
            let words = bytes.words(limit: 2)
            guard words.count == 2 else { return }
            if !words[0].equals("max") { values.quota = words[0].unsigned ?? 0 }
            values.period = words[1].unsigned ?? 0
        }
        readUnifiedMemory(path, &values)
        if kinds.contains(.diskIO) { readUnifiedIO(path, &values) }
        if kinds.contains(.process) {
            values.processes = number(path + "/pids.current")
            values.processLimit = number(path + "/pids.max")
        }
        if kinds.contains(.pressure) {
            values.cpuPressure = pressure(path + "/cpu.pressure")
            values.memoryPressure = pressure(path + "/memory.pressure")
            if kinds.contains(.diskIO) { values.ioPressure = pressure(path + "/io.pressure") }
        }
        if kinds.contains(.hugePages) {
            values.hugePages = hugePages(path, usage: ".current", maximum: "", failures: "")
        }
        if kinds.contains(.memoryByNode) { readUnifiedNodes(path, &values) }
    }

    private func readUnifiedMemory(_ path: String, _ values: inout CgroupValues) {
        pairs(path + "/memory.stat") { key, value in
            if key.equals("file") {
                values.cache = value
            } else if key.equals("anon") {
                values.rss = value
            } else if key.equals("file_mapped") {
                values.mappedFile = value
            } else if key.equals("kernel") {
                values.kernelUsage = value
            } else if key.equals("active_file") {
                values.activeFile = value
            } else if key.equals("inactive_file") {
                values.inactiveFile = value
            } else if key.equals("pgfault") {
                values.pageFaults = value
            } else if key.equals("pgmajfault") {
                values.majorFaults = value
            } else if key.equals("file_dirty") {
                values.fileDirty = value
            } else if key.equals("file_writeback") {
                values.fileWriteback = value
            } else if key.equals("pgscan") {
                values.pagesScanned = value
            } else if key.equals("pgsteal") {
                values.pagesStolen = value
            } else if key.equals("workingset_refault_file") {
                values.refaultsFile = value
            } else if key.equals("workingset_refault_anon") {
                values.refaultsAnonymous = value
            }
        }
        values.memoryUsage = number(path + "/memory.current")
        values.maximumUsage = number(path + "/memory.peak")
        values.swap = number(path + "/memory.swap.current")
        pairs(path + "/memory.events") { key, value in
            if key.equals("high") {
                values.highEvents = value
            } else if key.equals("max") {
                values.maximumEvents = value
            } else if key.equals("oom_kill") {
                values.outOfMemoryKills = value
            }
        }
        if access(path + "/memory.max", F_OK) == 0 {
            values.hasMemory = true
            values.memoryLimit = number(path + "/memory.max")
            values.swapLimit = number(path + "/memory.swap.max")
            values.memoryReservation = number(path + "/memory.min")
        }
    }

    /// Lines such as `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6`.
    private func readUnifiedIO(_ path: String, _ values: inout CgroupValues) {
        _ = try? files.withFile(path + "/io.stat") { bytes in
            for line in bytes.lines {
                var words = line.fields
                guard let device = words.next().flatMap(Self.device) else { continue }
                var size = BlockDeviceValues(major: device.major, minor: device.minor, values: [])
                var count = size
                while let word = words.next() {
                    guard let (key, value) = word.cut(at: "="), let number = value.unsigned else { continue }
                    if key.equals("rbytes") {
                        size.values.append(("Read", number))
                    } else if key.equals("wbytes") {
                        size.values.append(("Write", number))
                    } else if key.equals("dbytes") {
                        size.values.append(("Discard", number))
                    } else if key.equals("rios") {
                        count.values.append(("Read", number))
                    } else if key.equals("wios") {
                        count.values.append(("Write", number))
                    } else if key.equals("dios") {
                        count.values.append(("Discard", number))
                    }
                }
                if !size.values.isEmpty { values.serviceBytes.append(size) }
                if !count.values.isEmpty { values.serviced.append(count) }
            }
        }
    }

    /// Lines such as `anon N0=4096 N1=0`, in bytes.
    private func readUnifiedNodes(_ path: String, _ values: inout CgroupValues) {
        _ = try? files.withFile(path + "/memory.numa_stat") { bytes in
            for line in bytes.lines {
                var words = line.fields
                guard let type = words.next(), ["file", "anon", "unevictable"].contains(type.string) else { continue }
                while let word = words.next() {
                    guard let (node, value) = word.cut(at: "="), node.count > 1, let pages = value.unsigned else {
                        continue
                    }
                    values.nodePages.append((type.string, "container", node.part(1..<node.count).string, pages))
                }
            }
        }
    }

    private static func device(_ text: Bytes) -> (major: UInt64, minor: UInt64)? {
        guard let (major, minor) = text.cut(at: ":"), let first = major.unsigned, let second = minor.unsigned else {
            return nil
        }
        return (first, second)
    }

    private func hugePages(
        _ path: String, usage: String, maximum: String, failures: String
    ) -> [(size: String, usage: UInt64, maximum: UInt64, failures: UInt64)] {
        ((try? Files.list(path)) ?? []).compactMap { file in
            guard file.hasPrefix("hugetlb."), file.hasSuffix(usage), !file.contains("rsvd") else { return nil }
            let size = String(file.dropFirst(8).dropLast(usage.utf8.count))
            func other(_ suffix: String) -> UInt64 {
                suffix.isEmpty ? 0 : number("\(path)/hugetlb.\(size)\(suffix)")
            }
            return (size, number("\(path)/\(file)"), other(maximum), other(failures))
        }
    }

    // MARK: Version 1

    private func readSeparate(_ name: String, _ values: inout CgroupValues) {
        if let path = tree.directory("cpuacct", name) {
            values.usage = number(path + "/cpuacct.usage")
            pairs(path + "/cpuacct.stat") { key, value in
                if key.equals("user") { values.user = value &* Self.nanosecondsPerTick }
                if key.equals("system") { values.system = value &* Self.nanosecondsPerTick }
            }
            if kinds.contains(.perCPU) {
                values.perCPU =
                    (try? files.withFile(path + "/cpuacct.usage_percpu") { bytes in
                        bytes.fields.map { $0.unsigned ?? 0 }
                    }) ?? []
            }
        }
        if let path = tree.directory("cpu", name), access(path, F_OK) == 0 {
            values.hasCPU = true
            pairs(path + "/cpu.stat") { key, value in
                if key.equals("nr_periods") {
                    values.periods = value
                } else if key.equals("nr_throttled") {
                    values.throttledPeriods = value
                } else if key.equals("throttled_time") {
                    values.throttledTime = value
                } else if key.equals("nr_bursts") {
                    values.bursts = value
                } else if key.equals("burst_time") {
                    values.burstTime = value
                }
            }
            values.shares = number(path + "/cpu.shares")
            values.period = number(path + "/cpu.cfs_period_us")
            // Without a quota it is -1, which is no unsigned number.
            values.quota = number(path + "/cpu.cfs_quota_us")
        }
        if let path = tree.directory("memory", name), access(path, F_OK) == 0 { readSeparateMemory(path, &values) }
        if kinds.contains(.diskIO), let path = tree.directory("blkio", name) {
            values.serviceBytes = operations("\(path)/\(blockPrefix)io_service_bytes_recursive")
            values.serviced = operations("\(path)/\(blockPrefix)io_serviced_recursive")
        }
        if kinds.contains(.process), let path = tree.directory("pids", name) {
            values.processes = number(path + "/pids.current")
            values.processLimit = number(path + "/pids.max")
        }
        if kinds.contains(.cpuSet), let path = tree.directory("cpuset", name) {
            values.memoryMigrates = number(path + "/cpuset.memory_migrate")
        }
        if kinds.contains(.hugePages), let path = tree.directory("hugetlb", name) {
            values.hugePages = hugePages(
                path, usage: ".usage_in_bytes", maximum: ".max_usage_in_bytes", failures: ".failcnt")
        }
    }

    private func readSeparateMemory(_ path: String, _ values: inout CgroupValues) {
        values.hasMemory = true
        pairs(path + "/memory.stat") { key, value in
            if key.equals("total_cache") {
                values.cache = value
            } else if key.equals("total_rss") {
                values.rss = value
            } else if key.equals("total_swap") {
                values.swap = value
            } else if key.equals("total_mapped_file") {
                values.mappedFile = value
            } else if key.equals("total_active_file") {
                values.activeFile = value
            } else if key.equals("total_inactive_file") {
                values.inactiveFile = value
            } else if key.equals("pgfault") {
                values.pageFaults = value
            } else if key.equals("pgmajfault") {
                values.majorFaults = value
            }
        }
        values.memoryUsage = number(path + "/memory.usage_in_bytes")
        values.maximumUsage = number(path + "/memory.max_usage_in_bytes")
        values.failures = number(path + "/memory.failcnt")
        values.kernelUsage = number(path + "/memory.kmem.usage_in_bytes")
        values.memoryLimit = number(path + "/memory.limit_in_bytes")
        values.swapLimit = number(path + "/memory.memsw.limit_in_bytes")
        values.memoryReservation = number(path + "/memory.soft_limit_in_bytes")
        if kinds.contains(.outOfMemory) {
            pairs(path + "/memory.oom_control") { key, value in
                if key.equals("oom_kill") { values.outOfMemoryKills = value }
            }
        }
        if kinds.contains(.memoryByNode) { readSeparateNodes(path, &values) }
    }

    /// Lines such as `file=8 N0=8` and `hierarchical_file=8 N0=8`, in pages.
    private func readSeparateNodes(_ path: String, _ values: inout CgroupValues) {
        _ = try? files.withFile(path + "/memory.numa_stat") { bytes in
            for line in bytes.lines {
                var words = line.fields
                guard let head = words.next()?.cut(at: "=")?.0 else { continue }
                let isHierarchical = head.starts(with: "hierarchical_")
                let type = isHierarchical ? head.part(13..<head.count).string : head.string
                guard ["file", "anon", "unevictable"].contains(type) else { continue }
                while let word = words.next() {
                    guard let (node, value) = word.cut(at: "="), node.count > 1, let pages = value.unsigned else {
                        continue
                    }
                    let scope = isHierarchical ? "hierarchy" : "container"
                    values.nodePages.append((type, scope, node.part(1..<node.count).string, pages))
                }
            }
        }
    }

    /// Lines such as `8:0 Read 4096`; the total at the end has no device.
    private func operations(_ path: String) -> [BlockDeviceValues] {
        var devices: [BlockDeviceValues] = []
        _ = try? files.withFile(path) { bytes in
            for line in bytes.lines {
                let words = line.words(limit: 3)
                guard words.count == 3, let device = Self.device(words[0]), let value = words[2].unsigned else {
                    continue
                }
                if devices.last?.major != device.major || devices.last?.minor != device.minor {
                    devices.append(BlockDeviceValues(major: device.major, minor: device.minor, values: []))
                }
                devices[devices.count - 1].values.append((words[1].string, value))
            }
        }
        return devices
    }
}
