import CLinux
import CNode
import Essentials
import Glibc
import SelfMetrics
import TextFormats

extension SystemError {
    /// Whether the kernel knows the file and not the operation.
    var isUnsupported: Bool { code == EOPNOTSUPP || code == ENOTSUP }
}

/// `loadavg`: the three load averages.
final class LoadAverageCollector: NodeCollector {
    func collect(_ scrape: NodeScrape) throws {
        let path = scrape.paths.proc("loadavg")
        let page = scrape.page
        try scrape.files.withFile(path) { bytes in
            var fields = bytes.fields
            for (name, help) in [
                ("node_load1", "1m load average."), ("node_load5", "5m load average."),
                ("node_load15", "15m load average."),
            ] {
                guard let value = fields.next()?.number else { throw MalformedFile(path: path) }
                page.add(page.gauge(name, help), value)
            }
        }
    }
}

/// `stat`: interrupts, context switches, forks and the time of the boot.
final class StatCollector: NodeCollector {
    func collect(_ scrape: NodeScrape) throws {
        let path = scrape.paths.proc("stat")
        let page = scrape.page
        try scrape.files.withStat(path) { bytes in
            var values: [Double] = Array(repeating: 0, count: 6)
            let keys: [StaticString] = ["intr", "ctxt", "processes", "btime", "procs_running", "procs_blocked"]
            for line in bytes.lines {
                var fields = line.fields
                guard let key = fields.next(), let index = keys.firstIndex(where: { key.equals($0) }) else { continue }
                guard let value = fields.next()?.number else {
                    throw MalformedFile(path: path, reason: "invalid line \(key.string)")
                }
                values[index] = value
            }
            page.add(page.counter("node_intr_total", "Total number of interrupts serviced."), values[0])
            page.add(page.counter("node_context_switches_total", "Total number of context switches."), values[1])
            page.add(page.counter("node_forks_total", "Total number of forks."), values[2])
            page.add(page.gauge("node_boot_time_seconds", "Node boot time, in unixtime."), values[3])
            page.add(page.gauge("node_procs_running", "Number of processes in runnable state."), values[4])
            page.add(
                page.gauge("node_procs_blocked", "Number of processes blocked waiting for I/O to complete."), values[5])
        }
    }
}

/// `time`: the clock, its zone and its sources.
final class TimeCollector: NodeCollector {
    func collect(_ scrape: NodeScrape) throws {
        let page = scrape.page
        let now = scrape.clock.wallNanoseconds
        page.add(page.gauge("node_time_seconds", "System time in seconds since epoch (1970)."), Double(now) / 1e9)
        var seconds = time_t(now / 1_000_000_000)
        var parts = tm()
        if localtime_r(&seconds, &parts) != nil {
            let zone = parts.tm_zone.map { String(cString: $0) } ?? ""
            let family = page.gauge("node_time_zone_offset_seconds", "System time zone offset in seconds.")
            page.add(family, "time_zone", zone, Double(parts.tm_gmtoff))
        }
        let available = page.gauge(
            "node_time_clocksource_available_info",
            "Available clocksources read from '/sys/devices/system/clocksource'.")
        let current = page.gauge(
            "node_time_clocksource_current_info", "Current clocksource read from '/sys/devices/system/clocksource'.")
        let root = scrape.paths.sys("devices/system/clocksource")
        for (index, name) in Directory.numbered(root, "clocksource").enumerated() {
            let path = root + "/" + name
            try scrape.files.withFile(path + "/available_clocksource") { bytes in
                for source in bytes.fields { page.add(available, "clocksource", source, "device", index, 1) }
            }
            try scrape.files.withFile(path + "/current_clocksource") { bytes in
                page.add(current, "clocksource", bytes.trimmed, "device", index, 1)
            }
        }
    }
}

/// `timex`: how the kernel disciplines its clock.
final class TimexCollector: NodeCollector {
    func collect(_ scrape: NodeScrape) throws {
        var values = timex()
        let status = invar_adjtimex(&values)
        guard status >= 0 else {
            let error = SystemError("adjtimex", "")
            if error.code == EPERM || error.code == EACCES { throw NoData(reason: "\(error)") }
            throw error
        }
        let divisor = values.status & STA_NANO != 0 ? 1e9 : 1e6
        // Parts per million with 16 bits of fraction; see adjtimex(2).
        let fraction = 1_000_000.0 * 65536.0
        let page = scrape.page
        func gauge(_ name: String, _ help: String, _ value: Double) {
            page.add(page.gauge("node_timex_" + name, help), value)
        }
        func counter(_ name: String, _ help: String, _ value: Int) {
            page.add(page.counter("node_timex_" + name, help), Double(value))
        }
        gauge(
            "sync_status", "Is clock synchronized to a reliable server (1 = yes, 0 = no).",
            status == TIME_ERROR ? 0 : 1)
        gauge(
            "offset_seconds", "Time offset in between local system and reference clock.",
            Double(values.offset) / divisor)
        gauge("frequency_adjustment_ratio", "Local clock frequency adjustment.", 1 + Double(values.freq) / fraction)
        gauge("maxerror_seconds", "Maximum error in seconds.", Double(values.maxerror) / 1e6)
        gauge("estimated_error_seconds", "Estimated error in seconds.", Double(values.esterror) / 1e6)
        gauge("status", "Value of the status array bits.", Double(values.status))
        gauge("loop_time_constant", "Phase-locked loop time constant.", Double(values.constant))
        gauge("tick_seconds", "Seconds between clock ticks.", Double(values.tick) / 1e6)
        gauge("pps_frequency_hertz", "Pulse per second frequency.", Double(values.ppsfreq) / fraction)
        gauge("pps_jitter_seconds", "Pulse per second jitter.", Double(values.jitter) / divisor)
        gauge("pps_shift_seconds", "Pulse per second interval duration.", Double(values.shift))
        gauge(
            "pps_stability_hertz", "Pulse per second stability, average of recent frequency changes.",
            Double(values.stabil) / fraction)
        counter("pps_jitter_total", "Pulse per second count of jitter limit exceeded events.", values.jitcnt)
        counter("pps_calibration_total", "Pulse per second count of calibration intervals.", values.calcnt)
        counter("pps_error_total", "Pulse per second count of calibration errors.", values.errcnt)
        counter(
            "pps_stability_exceeded_total", "Pulse per second count of stability limit exceeded events.",
            values.stbcnt)
        gauge("tai_offset_seconds", "International Atomic Time (TAI) offset.", Double(values.tai))
    }
}

/// `uname`: names and versions of the kernel.
final class UnameCollector: NodeCollector {
    func collect(_ scrape: NodeScrape) throws {
        var names = utsname()
        guard uname(&names) == 0 else { throw SystemError("uname", "") }
        func text<Field>(_ field: Field) -> String {
            withUnsafeBytes(of: field) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        }
        let family = scrape.page.gauge(
            "node_uname_info", "Labeled system information as provided by the uname system call.")
        scrape.page.add(
            family,
            labels: [
                ("sysname", text(names.sysname)), ("release", text(names.release)), ("version", text(names.version)),
                ("machine", text(names.machine)), ("nodename", text(names.nodename)),
                ("domainname", text(names.__domainname)),
            ], 1)
    }
}

/// `filefd`: open files of the whole machine.
final class FileDescriptorCollector: NodeCollector {
    func collect(_ scrape: NodeScrape) throws {
        let path = scrape.paths.proc("sys/fs/file-nr")
        let page = scrape.page
        try scrape.files.withFile(path) { bytes in
            let words = bytes.words(limit: 3)
            guard words.count == 3, let allocated = words[0].number, let maximum = words[2].number else {
                throw MalformedFile(path: path)
            }
            page.add(page.gauge("node_filefd_allocated", "File descriptor statistics: allocated."), allocated)
            page.add(page.gauge("node_filefd_maximum", "File descriptor statistics: maximum."), maximum)
        }
    }
}

/// `entropy`: the random number generator's pool.
final class EntropyCollector: NodeCollector {
    func collect(_ scrape: NodeScrape) throws {
        let page = scrape.page
        let available = try scrape.files.unsigned(scrape.paths.proc("sys/kernel/random/entropy_avail"))
        page.add(page.gauge("node_entropy_available_bits", "Bits of available entropy."), Double(available))
        let size = try scrape.files.unsigned(scrape.paths.proc("sys/kernel/random/poolsize"))
        page.add(page.gauge("node_entropy_pool_size_bits", "Bits of entropy pool."), Double(size))
    }
}

/// `selinux`: whether it is enabled and enforced.
final class SELinuxCollector: NodeCollector {
    func collect(_ scrape: NodeScrape) throws {
        let page = scrape.page
        let enabled = page.gauge("node_selinux_enabled", "SELinux is enabled, 1 is true, 0 is false")
        guard let current = try? scrape.files.integer("/sys/fs/selinux/enforce"),
            let label = try? scrape.files.withFile("/proc/self/attr/current", { $0.trimmed.string }),
            label.prefix(while: { $0 != "\0" }) != "kernel"
        else {
            page.add(enabled, 0)
            return
        }
        page.add(enabled, 1)
        let configured = (try? scrape.files.withFile("/etc/selinux/config") { Self.mode(of: $0) }) ?? -1
        page.add(page.gauge("node_selinux_config_mode", "Configured SELinux enforcement mode"), Double(configured))
        page.add(page.gauge("node_selinux_current_mode", "Current SELinux enforcement mode"), Double(current))
    }

    /// 1 enforcing, 0 permissive, -1 disabled.
    static func mode(of config: Bytes) -> Int {
        for line in config.lines {
            guard let (key, value) = line.cut(at: "="), key.trimmed.equals("SELINUX") else { continue }
            switch value.trimmed.string {
            case "enforcing": return 1
            case "permissive": return 0
            default: return -1
            }
        }
        return -1
    }
}

/// `interrupts`: every interrupt on every CPU.
final class InterruptsCollector: NodeCollector {
    func collect(_ scrape: NodeScrape) throws {
        let path = scrape.paths.proc("interrupts")
        let family = scrape.page.counter("node_interrupts_total", "Interrupt details.")
        try scrape.files.withFile(path) { bytes in
            var lines = bytes.lines
            guard let header = lines.next() else { throw MalformedFile(path: path, reason: "interrupts empty") }
            let cpus = header.words(limit: 4096).count
            for line in lines {
                guard let (label, rest) = line.cut(at: ":") else { continue }
                let words = rest.words(limit: cpus + 64)
                guard words.count > cpus else { continue }
                let name = label.trimmed
                let details = words[cpus...].map(\.string)
                let isNumber = name.integer != nil
                let info = isNumber ? details[0] : details.joined(separator: " ")
                let devices = isNumber ? details.dropFirst().joined(separator: " ") : ""
                for cpu in 0..<cpus {
                    guard let value = words[cpu].number else {
                        throw MalformedFile(path: path, reason: "invalid value \(words[cpu].string)")
                    }
                    scrape.page.add(
                        family,
                        labels: [("cpu", String(cpu)), ("devices", devices), ("info", info), ("type", name.string)],
                        value)
                }
            }
        }
    }
}

/// `softirqs`: software interrupts on every CPU.
final class SoftIRQsCollector: NodeCollector {
    func collect(_ scrape: NodeScrape) throws {
        let family = scrape.page.counter("node_softirqs_functions_total", "Softirq counts per CPU.")
        try scrape.files.withFile(scrape.paths.proc("softirqs")) { bytes in
            for line in bytes.lines.dropFirst() {
                guard let (name, rest) = line.cut(at: ":") else { continue }
                for (cpu, word) in rest.fields.enumerated() {
                    guard let count = word.unsigned else { continue }
                    scrape.page.add(family, "cpu", cpu, "type", name.trimmed, Double(count))
                }
            }
        }
    }
}

/// `cgroups`: control groups by subsystem.
final class CgroupsCollector: NodeCollector {
    func collect(_ scrape: NodeScrape) throws {
        let groups = scrape.page.gauge("node_cgroups_cgroups", "Current cgroup number of the subsystem.")
        let enabled = scrape.page.gauge("node_cgroups_enabled", "Current cgroup number of the subsystem.")
        try scrape.files.withFile(scrape.paths.proc("cgroups")) { bytes in
            for line in bytes.lines where !line.starts(with: "#") {
                let words = line.words(limit: 4)
                guard words.count == 4, let count = words[2].unsigned, let isEnabled = words[3].unsigned else {
                    continue
                }
                scrape.page.add(groups, "subsys_name", words[0], Double(count))
                scrape.page.add(enabled, "subsys_name", words[0], Double(isEnabled))
            }
        }
    }
}
