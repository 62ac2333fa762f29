import Essentials
import SelfMetrics

/// Nodes, cores, threads and caches of the machine, read once.
///
/// What belongs to whom agrees with google/cadvisor `utils/sysinfo`.
struct MachineTopology: Sendable {
    private struct Cache: Hashable, Sendable {
        var id: UInt64
        var level: UInt64
        var size: UInt64
        var type: String
        var threads: Int
    }

    private struct Core: Sendable {
        var id: String
        var package: String
        var threads: [String]
    }

    private struct Entry: Sendable {
        var metric: String
        var help: String
        var labels: [(String, String)]
        var value: Double
    }

    private var entries: [Entry] = []

    init(_ files: ProcFiles, sys: String) {
        let cpus = sys + "/devices/system/cpu"
        let root = sys + "/devices/system/node"
        let nodes = Directory.numbered(root, "node")
        for node in nodes {
            let path = root + "/" + node
            let id = String(node.dropFirst(4))
            addCores(files, Directory.numbered(path, "cpu").map { path + "/" + $0 }, node: id, cpus)
            addNode(files, path, id)
        }
        guard nodes.isEmpty else { return }
        // Without nodes, packages stand for them.
        var packages: [String: [String]] = [:]
        for cpu in Directory.numbered(cpus, "cpu") {
            let path = cpus + "/" + cpu
            guard let package = try? files.text(path + "/topology/physical_package_id") else { continue }
            packages[package, default: []].append(path)
        }
        for (package, paths) in packages.sorted(by: { $0.key < $1.key }) {
            addCores(files, paths, node: package, cpus)
            entries.append(
                Entry(
                    metric: "machine_node_memory_capacity_bytes", help: "Amount of memory assigned to NUMA node.",
                    labels: [("node_id", package)], value: 0))
        }
    }

    func add(to page: MetricPage, base: [UInt8]) {
        var written: Set<[String]> = []
        for entry in entries {
            // Cores of two packages of a node may have the same number.
            guard written.insert([entry.metric] + entry.labels.map(\.1)).inserted else { continue }
            var labels = base
            for (name, value) in entry.labels {
                if !labels.isEmpty { labels.append(UInt8(ascii: ",")) }
                labels += "\(name)=\"".utf8
                value.append(to: &labels)
                labels.append(UInt8(ascii: "\""))
            }
            page.add(page.gauge(entry.metric, entry.help), base: labels, entry.value)
        }
    }

    private mutating func addCores(_ files: ProcFiles, _ paths: [String], node: String, _ cpus: String) {
        var cores: [Core] = []
        for path in paths {
            guard let name = path.split(separator: "/").last, (try? files.text(path + "/online")) != "0",
                let id = try? files.text(path + "/topology/core_id"),
                let package = try? files.text(path + "/topology/physical_package_id")
            else { continue }
            let thread = String(name.dropFirst(3))
            if let index = cores.firstIndex(where: { $0.id == id && $0.package == package }) {
                cores[index].threads.append(thread)
            } else {
                cores.append(Core(id: id, package: package, threads: [thread]))
            }
        }
        for core in cores {
            for thread in core.threads {
                entries.append(
                    Entry(
                        metric: "machine_thread_siblings_count", help: "Number of CPU thread siblings.",
                        labels: [("node_id", node), ("core_id", core.id), ("thread_id", thread)],
                        value: Double(core.threads.count)))
            }
        }
        addCaches(files, cores, node: node, cpus)
    }

    private mutating func addCaches(_ files: ProcFiles, _ cores: [Core], node: String, _ cpus: String) {
        var shared: Set<Cache> = []
        for core in cores {
            guard let thread = core.threads.first else { continue }
            var own: Set<Cache> = []
            for index in Directory.numbered("\(cpus)/cpu\(thread)/cache", "index") {
                guard let cache = Self.cache(files, "\(cpus)/cpu\(thread)/cache/\(index)") else { continue }
                if cache.level > 2 {
                    if cache.threads == cores.count * core.threads.count {
                        if shared.insert(cache).inserted { addCache(cache, node: node, core: "") }
                    } else if own.insert(cache).inserted {
                        addCache(cache, node: node, core: core.id)
                    }
                } else if cache.threads == core.threads.count {
                    addCache(cache, node: node, core: core.id)
                }
            }
        }
    }

    private mutating func addCache(_ cache: Cache, node: String, core: String) {
        entries.append(
            Entry(
                metric: "machine_cpu_cache_capacity_bytes",
                help: "Cache size in bytes assigned to NUMA node and CPU core.",
                labels: [("node_id", node), ("core_id", core), ("type", cache.type), ("level", "\(cache.level)")],
                value: Double(cache.size)))
    }

    private static func cache(_ files: ProcFiles, _ path: String) -> Cache? {
        guard let id = try? files.unsigned(path + "/id"), let level = try? files.unsigned(path + "/level"),
            let type = try? files.text(path + "/type"), let size = try? files.text(path + "/size"),
            let map = try? files.text(path + "/shared_cpu_map")
        else { return nil }
        let kibibytes = UInt64(size.prefix { $0.isNumber }) ?? 0
        var threads = 0
        for mask in map.split(separator: ",") { threads += UInt64(mask, radix: 16)?.nonzeroBitCount ?? 0 }
        return Cache(id: id, level: level, size: kibibytes &* 1024, type: type, threads: threads)
    }

    private mutating func addNode(_ files: ProcFiles, _ path: String, _ node: String) {
        var memory: UInt64 = 0
        _ = try? files.withFile(path + "/meminfo") { bytes in
            for line in bytes.lines {
                let words = line.words(limit: 5)
                if words.count >= 4, words[2].equals("MemTotal:") { memory = (words[3].unsigned ?? 0) &* 1024 }
            }
        }
        entries.append(
            Entry(
                metric: "machine_node_memory_capacity_bytes", help: "Amount of memory assigned to NUMA node.",
                labels: [("node_id", node)], value: Double(memory)))
        for name in Directory.numbered(path + "/hugepages", "hugepages-") {
            let size = String(name.dropFirst(10).prefix { $0.isNumber })
            guard let count = try? files.unsigned("\(path)/hugepages/\(name)/nr_hugepages") else { continue }
            entries.append(
                Entry(
                    metric: "machine_node_hugepages_count", help: "Numer of hugepages assigned to NUMA node.",
                    labels: [("node_id", node), ("page_size", size)], value: Double(count)))
        }
        let distances = (try? files.text(path + "/distance").split(separator: " ").map { Double($0) ?? 0 }) ?? []
        for (target, distance) in distances.enumerated() {
            entries.append(
                Entry(
                    metric: "machine_node_distance", help: "Distance between NUMA node and target NUMA node.",
                    labels: [("node_id", node), ("target_node_id", "\(target)")], value: distance))
        }
    }
}
