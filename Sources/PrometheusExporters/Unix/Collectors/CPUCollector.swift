import Essentials
import TextFormats

/// `cpu`: time per CPU and mode, throttling and isolation.
final class CPUCollector: NodeCollector {
    private static let modes: [StaticString] = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"]
    /// Ticks of `/proc/stat` per second.
    private static let ticksPerSecond = 100.0
    /// An idle counter that falls by more seconds than this means that the CPU was taken out and put back.
    private static let jumpBackSeconds = 3.0

    private struct Times {
        /// In the order of `/proc/stat`: the eight modes, guest, guest_nice.
        var seconds: [10 of Double] = .init(repeating: 0)
        var generation = 0
    }

    private let arguments: CPUArguments
    private let exportsFrequency: Bool
    private var times: [Int: Times] = [:]
    private var generation = 0

    init(_ settings: UnixSettings) {
        arguments = settings.cpu
        exportsFrequency = settings.collectors.contains { $0.name == "cpufreq" }
    }

    func collect(_ scrape: NodeScrape) throws {
        if arguments.exportsInfo { try collectInfo(scrape) }
        try collectTimes(scrape)
        collectIsolated(scrape)
        collectThrottling(scrape)
    }

    private func collectTimes(_ scrape: NodeScrape) throws {
        let path = scrape.paths.proc("stat")
        let page = scrape.page
        let family = page.counter("node_cpu_seconds_total", "Seconds the CPUs spent in each mode.")
        let guest = page.counter(
            "node_cpu_guest_seconds_total", "Seconds the CPUs spent in guests (VMs) for each mode.")
        generation &+= 1
        try scrape.files.withStat(path) { bytes in
            for line in bytes.lines where line.starts(with: "cpu") {
                var fields = line.fields
                guard let name = fields.next(), name.count > 3 else { continue }
                guard let id = name.part(3..<name.count).unsigned.flatMap({ Int(exactly: $0) }) else {
                    throw MalformedFile(path: path, reason: "unexpected line \(line.string)")
                }
                var read = [10 of Double](repeating: 0)
                for index in 0..<10 {
                    guard let field = fields.next() else { break }
                    guard let ticks = field.number else {
                        throw MalformedFile(path: path, reason: "unexpected line \(line.string)")
                    }
                    read[index] = ticks / Self.ticksPerSecond
                }
                let kept = update(id, read)
                for (index, mode) in Self.modes.enumerated() {
                    page.add(family, "cpu", id, "mode", mode, kept[index])
                }
                if arguments.exportsGuest {
                    page.add(guest, "cpu", id, "mode", "nice" as StaticString, kept[9])
                    page.add(guest, "cpu", id, "mode", "user" as StaticString, kept[8])
                }
            }
        }
        if times.contains(where: { $0.value.generation != generation }) {
            times = times.filter { $0.value.generation == generation }
        }
    }

    /// Counters never fall, except when the CPU was exchanged.
    private func update(_ id: Int, _ read: [10 of Double]) -> [10 of Double] {
        var kept = times[id] ?? Times()
        if kept.seconds[3] - read[3] >= Self.jumpBackSeconds { kept = Times() }
        for index in 0..<10 where read[index] > kept.seconds[index] { kept.seconds[index] = read[index] }
        kept.generation = generation
        times[id] = kept
        return kept.seconds
    }

    private func collectIsolated(_ scrape: NodeScrape) {
        guard let text = try? scrape.files.text(scrape.paths.sys("devices/system/cpu/isolated")) else { return }
        let family = scrape.page.gauge(
            "node_cpu_isolated", "Whether each core is isolated, information from /sys/devices/system/cpu/isolated.")
        for cpu in CPURange.parse(text) ?? [] { scrape.page.add(family, "cpu", cpu, 1) }
    }

    private func collectThrottling(_ scrape: NodeScrape) {
        let root = scrape.paths.sys("devices/system/cpu")
        var packages: [UInt64: UInt64] = [:]
        var cores: [[UInt64]: UInt64] = [:]
        for name in Directory.numbered(root, "cpu") {
            let path = root + "/" + name
            guard let package = try? scrape.files.unsigned(path + "/topology/physical_package_id"),
                let core = try? scrape.files.unsigned(path + "/topology/core_id")
            else { continue }
            if cores[[package, core]] == nil {
                cores[[package, core]] = try? scrape.files.unsigned(path + "/thermal_throttle/core_throttle_count")
            }
            if packages[package] == nil {
                packages[package] = try? scrape.files.unsigned(path + "/thermal_throttle/package_throttle_count")
            }
        }
        let page = scrape.page
        let coreFamily = page.counter(
            "node_cpu_core_throttles_total", "Number of times this CPU core has been throttled.")
        for (key, count) in cores.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
            page.add(coreFamily, "core", String(key[1]), "package", String(key[0]), Double(count))
        }
        let packageFamily = page.counter(
            "node_cpu_package_throttles_total", "Number of times this CPU package has been throttled.")
        for (package, count) in packages.sorted(by: { $0.key < $1.key }) {
            page.add(packageFamily, "package", String(package), Double(count))
        }
    }

    // MARK: /proc/cpuinfo

    private func collectInfo(_ scrape: NodeScrape) throws {
        let page = scrape.page
        let info = page.gauge("node_cpu_info", "CPU information from /proc/cpuinfo.")
        let frequency = page.gauge("node_cpu_frequency_hertz", "CPU frequency in hertz from /proc/cpuinfo.")
        let flags = page.gauge(
            "node_cpu_flag_info",
            "The `flags` field of CPU information from /proc/cpuinfo taken from the first core.")
        let bugs = page.gauge(
            "node_cpu_bug_info", "The `bugs` field of CPU information from /proc/cpuinfo taken from the first core.")
        try scrape.files.withFile(scrape.paths.proc("cpuinfo")) { bytes in
            var processor: [String: String] = [:]
            var isFirst = true
            func finish() {
                guard let cpu = processor["processor"] else { return }
                let package = processor["physical id"] ?? ""
                let core = processor["core id"] ?? ""
                page.add(
                    info,
                    labels: [
                        ("package", package), ("core", core), ("cpu", cpu), ("vendor", processor["vendor_id"] ?? ""),
                        ("family", processor["cpu family"] ?? ""), ("model", processor["model"] ?? ""),
                        ("model_name", processor["model name"] ?? ""), ("microcode", processor["microcode"] ?? ""),
                        ("stepping", processor["stepping"] ?? ""), ("cachesize", processor["cache size"] ?? ""),
                    ], 1)
                if exportsFrequency, let text = processor["cpu MHz"], let megahertz = DecimalParser.parse(text) {
                    page.add(
                        frequency, labels: [("package", package), ("core", core), ("cpu", cpu)], megahertz * 1e6)
                }
                if isFirst {
                    addWords(processor["flags"], arguments.flags, "flag", flags, page)
                    addWords(processor["bugs"], arguments.bugs, "bug", bugs, page)
                }
                isFirst = false
                processor = [:]
            }
            for line in bytes.lines {
                guard let (key, value) = line.cut(at: ":") else { continue }
                let name = key.trimmed.string
                if name == "processor" { finish() }
                processor[name] = value.trimmed.string
            }
            finish()
        }
    }

    private func addWords(
        _ text: String?, _ filter: RegularExpression?, _ label: StaticString, _ family: MetricPage.Family,
        _ page: MetricPage
    ) {
        guard let filter, let text else { return }
        for word in text.split(separator: " ") where filter.matches(String(word)) {
            page.add(family, label, String(word), 1)
        }
    }
}

/// `cpufreq`: frequencies and governors.
final class CPUFrequencyCollector: NodeCollector {
    private static let files: [(file: String, metric: String, help: String)] = [
        ("cpuinfo_cur_freq", "node_cpu_frequency_hertz", "Current CPU thread frequency in hertz."),
        ("cpuinfo_min_freq", "node_cpu_frequency_min_hertz", "Minimum CPU thread frequency in hertz."),
        ("cpuinfo_max_freq", "node_cpu_frequency_max_hertz", "Maximum CPU thread frequency in hertz."),
        ("scaling_cur_freq", "node_cpu_scaling_frequency_hertz", "Current scaled CPU thread frequency in hertz."),
        ("scaling_min_freq", "node_cpu_scaling_frequency_min_hertz", "Minimum scaled CPU thread frequency in hertz."),
        ("scaling_max_freq", "node_cpu_scaling_frequency_max_hertz", "Maximum scaled CPU thread frequency in hertz."),
    ]

    func collect(_ scrape: NodeScrape) throws {
        let root = scrape.paths.sys("devices/system/cpu")
        let offline = Set(CPURange.parse(try scrape.files.text(root + "/offline")) ?? [])
        for name in Directory.numbered(root, "cpu") {
            guard let cpu = Int(name.dropFirst(3)), !offline.contains(cpu) else { continue }
            let path = root + "/" + name + "/cpufreq"
            guard Files.exists(path) else { continue }
            for entry in Self.files {
                guard let kilohertz = try? scrape.files.unsigned(path + "/" + entry.file) else { continue }
                let family = scrape.page.gauge(entry.metric, entry.help)
                scrape.page.add(family, "cpu", cpu, Double(kilohertz) * 1000)
            }
            guard let governor = try? scrape.files.text(path + "/scaling_governor"), !governor.isEmpty,
                let available = try? scrape.files.text(path + "/scaling_available_governors")
            else { continue }
            let family = scrape.page.gauge("node_cpu_scaling_governor", "Current enabled CPU frequency governor.")
            for candidate in available.split(separator: " ") {
                scrape.page.add(family, "cpu", cpu, "governor", String(candidate), candidate == governor ? 1 : 0)
            }
        }
    }
}

/// `schedstat`: what the scheduler counts per CPU.
final class SchedStatCollector: NodeCollector {
    func collect(_ scrape: NodeScrape) throws {
        let page = scrape.page
        let running = page.counter(
            "node_schedstat_running_seconds_total", "Number of seconds CPU spent running a process.")
        let waiting = page.counter(
            "node_schedstat_waiting_seconds_total", "Number of seconds spent by processing waiting for this CPU.")
        let slices = page.counter("node_schedstat_timeslices_total", "Number of timeslices executed by CPU.")
        try noDataIfMissing {
            try scrape.files.withFile(scrape.paths.proc("schedstat")) { bytes in
                for line in bytes.lines where line.starts(with: "cpu") {
                    let words = line.words()
                    guard words.count >= 10, words[0].count > 3, let ran = words[7].unsigned,
                        let waited = words[8].unsigned, let count = words[9].unsigned
                    else { continue }
                    let cpu = words[0].part(3..<words[0].count)
                    page.add(running, "cpu", cpu, Double(ran) / 1e9)
                    page.add(waiting, "cpu", cpu, Double(waited) / 1e9)
                    page.add(slices, "cpu", cpu, Double(count))
                }
            }
        }
    }
}

/// Lists of CPUs as the kernel prints them: `0-3,8`.
enum CPURange {
    /// More CPUs than any kernel supports.
    private static let maximum = 65_536

    /// Nil when the text is no such list.
    static func parse(_ text: String) -> [Int]? {
        var cpus: [Int] = []
        for part in text.split(separator: ",") {
            let ends = part.split(separator: "-", omittingEmptySubsequences: false)
            guard let low = Int(ends[0]), let high = ends.count == 2 ? Int(ends[1]) : low, ends.count <= 2,
                low >= 0, high < maximum
            else { return nil }
            if low <= high { cpus += low...high }
            if cpus.count > maximum { return nil }
        }
        return cpus
    }
}

extension StaticString: LabelText {
    func append(to output: inout [UInt8]) {
        output.append(contentsOf: UnsafeBufferPointer(start: utf8Start, count: utf8CodeUnitCount))
    }
}
