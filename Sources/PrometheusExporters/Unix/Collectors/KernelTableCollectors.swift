import Essentials
import SelfMetrics

/// `slabinfo`: the kernel's object caches.
final class SlabCollector: NodeCollector {
    func collect(_ scrape: NodeScrape) throws {
        let path = scrape.paths.proc("slabinfo")
        let page = scrape.page
        let active = page.gauge(
            "node_slabinfo_active_objects", "The number of objects that are currently active (i.e., in use).")
        let total = page.gauge(
            "node_slabinfo_objects",
            "The total number of allocated objects (i.e., objects that are both in use and not in use).")
        let size = page.gauge("node_slabinfo_object_size_bytes", "The size of objects in this slab, in bytes.")
        let perSlab = page.gauge("node_slabinfo_objects_per_slab", "The number of objects stored in each slab.")
        let pages = page.gauge("node_slabinfo_pages_per_slab", "The number of pages allocated for each slab.")
        try scrape.files.withFile(path) { bytes in
            for line in bytes.lines.dropFirst() where line.first != UInt8(ascii: "#") {
                let words = line.words(limit: 6)
                guard words.count == 6 else {
                    throw MalformedFile(path: path, reason: "invalid line \(line.string)")
                }
                for (family, word) in zip([active, total, size, perSlab, pages], words.dropFirst()) {
                    guard let value = word.unsigned else {
                        throw MalformedFile(path: path, reason: "invalid value \(word.string)")
                    }
                    page.add(family, "slab", words[0], Double(value))
                }
            }
        }
    }
}

/// `meminfo_numa`: memory of every NUMA node.
final class NodeMemoryCollector: NodeCollector {
    func collect(_ scrape: NodeScrape) throws {
        let root = scrape.paths.sys("devices/system/node")
        for directory in Directory.numbered(root, "node") {
            let node = String(directory.dropFirst(4))
            let fields = "\(root)/\(directory)/meminfo"
            try scrape.files.withFile(fields) { try addFields($0, fields, scrape.page) }
            let counters = "\(root)/\(directory)/numastat"
            try scrape.files.withFile(counters) { try addCounters($0, counters, node, scrape.page) }
        }
    }

    /// Lines such as `Node 0 MemTotal:  14248140 kB`.
    private func addFields(_ bytes: Bytes, _ path: String, _ page: MetricPage) throws {
        for line in bytes.lines where !line.trimmed.isEmpty {
            let words = line.words(limit: 6)
            guard words.count == 4 || (words.count == 5 && words[4].equals("kB")), let value = words[3].number,
                words[2].count > 1
            else { throw MalformedFile(path: path, reason: "invalid line \(line.string)") }
            let name = MemInfoCollector.name(words[2].part(0..<(words[2].count - 1)), hasUnit: false)
            let family = page.gauge("node_memory_numa_" + name, "Memory information field \(name).")
            page.add(family, "node", words[1], words.count == 5 ? value * 1024 : value)
        }
    }

    /// Lines such as `numa_hit 193460335812`.
    private func addCounters(_ bytes: Bytes, _ path: String, _ node: String, _ page: MetricPage) throws {
        for line in bytes.lines where !line.trimmed.isEmpty {
            let words = line.words(limit: 3)
            guard words.count == 2, MetricName.isValid(words[0]), let value = words[1].number else {
                throw MalformedFile(path: path, reason: "invalid line \(line.string)")
            }
            let name = words[0].string + "_total"
            page.add(
                page.counter("node_memory_numa_" + name, "Memory information field \(name)."), "node", node, value)
        }
    }
}

/// `lnstat`: caches of the network stack, from the files of `/proc/net/stat`.
final class LinuxNetworkCacheCollector: NodeCollector {
    func collect(_ scrape: NodeScrape) throws {
        let root = scrape.paths.proc("net/stat")
        for name in try Files.list(root) {
            let path = root + "/" + name
            try scrape.files.withFile(path) { try add($0, path, name, scrape.page) }
        }
    }

    /// A heading and one line of hexadecimal numbers per CPU.
    private func add(_ bytes: Bytes, _ path: String, _ name: String, _ page: MetricPage) throws {
        var lines = bytes.lines.makeIterator()
        guard let heading = lines.next() else { return }
        let families = try heading.words(limit: 256).map { column in
            guard MetricName.isValid(column) else {
                throw MalformedFile(path: path, reason: "invalid column \(column.string)")
            }
            return page.counter("node_lnstat_\(column.string)_total", "linux network cache stats")
        }
        var cpu = 0
        while let line = lines.next() {
            for (family, word) in zip(families, line.words(limit: 256)) {
                guard let value = word.hexadecimal else {
                    throw MalformedFile(path: path, reason: "invalid value \(word.string)")
                }
                page.add(family, "cpu", cpu, "subsystem", name, Double(value))
            }
            cpu += 1
        }
    }
}

/// `cpu_vulnerabilities`: what the kernel knows about flaws of the CPUs.
final class CPUVulnerabilitiesCollector: NodeCollector {
    func collect(_ scrape: NodeScrape) throws {
        let root = scrape.paths.sys("devices/system/cpu/vulnerabilities")
        let info = scrape.page.gauge(
            "node_cpu_vulnerabilities_info",
            "Details of each CPU vulnerability reported by sysfs. The value of the series is an int encoded state of "
                + "the vulnerability. The same state is stored as a string in the label")
        for name in try noDataIfMissing({ try Files.list(root) }) {
            let state = Self.state(try scrape.files.text(root + "/" + name))
            scrape.page.add(info, "codename", name, "state", state, 1)
        }
    }

    /// The words the kernel begins with; anything else, such as a hypervisor's own words, is unknown.
    static func state(_ text: String) -> String {
        let text = text.lowercased()
        return ["not affected", "vulnerable", "mitigation"].first { text.hasPrefix($0) } ?? "unknown"
    }
}

/// `sysctl`: chosen values of `/proc/sys`.
final class SysctlCollector: NodeCollector {
    private let arguments: SysctlArguments

    init(_ settings: UnixSettings) { arguments = settings.sysctl }

    func collect(_ scrape: NodeScrape) throws {
        for item in arguments.numbers { try addNumbers(item, scrape) }
        for item in arguments.texts { try addTexts(item, scrape) }
    }

    private func path(_ item: SysctlArguments.Item, _ scrape: NodeScrape) -> String {
        scrape.paths.proc("sys/" + item.name.replacing(".", with: "/"))
    }

    private func addNumbers(_ item: SysctlArguments.Item, _ scrape: NodeScrape) throws {
        let path = path(item, scrape)
        let values = try scrape.files.withFile(path) { bytes in
            try bytes.fields.map { word in
                guard let value = word.integer else {
                    throw MalformedFile(path: path, reason: "invalid value \(word.string)")
                }
                return Double(value)
            }
        }
        let page = scrape.page
        let name = "node_sysctl_" + EthtoolCollector.sanitized(item.name)
        guard item.keys.isEmpty || item.keys.count == values.count, !values.isEmpty else {
            throw MalformedFile(path: path, reason: "has \(values.count) values where \(item.keys.count) are named")
        }
        for (index, value) in values.enumerated() {
            if !item.keys.isEmpty {
                let key = EthtoolCollector.sanitized(item.keys[index])
                page.add(page.family("\(name)_\(key)", "sysctl \(item.name), field \(index)", .unknown), value)
            } else if values.count == 1 {
                page.add(page.family(name, "sysctl \(item.name)", .unknown), value)
            } else {
                page.add(page.family(name, "sysctl \(item.name)", .unknown), "index", index, value)
            }
        }
    }

    private func addTexts(_ item: SysctlArguments.Item, _ scrape: NodeScrape) throws {
        let info = scrape.page.gauge("node_sysctl_info", "sysctl info")
        try scrape.files.withFile(path(item, scrape)) { bytes in
            for (index, word) in bytes.words(limit: 1024).enumerated() {
                scrape.page.add(
                    info, labels: [("index", String(index)), ("name", item.name), ("value", word.string)], 1)
            }
        }
    }
}
