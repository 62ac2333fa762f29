import Essentials
import SelfMetrics

/// `bcache`: caches of block devices, from `/sys/fs/bcache/<uuid>`.
final class BCacheCollector: NodeCollector {
    private let exportsPriorities: Bool

    init(_ settings: UnixSettings) { exportsPriorities = settings.exportsBCachePriorities }

    func collect(_ scrape: NodeScrape) throws {
        let root = scrape.paths.sys("fs/bcache")
        for uuid in (try? Files.list(root)) ?? [] where uuid.contains("-") {
            try addSet(scrape, root + "/" + uuid, uuid)
            for device in Directory.numbered(root + "/" + uuid, "bdev") {
                try addBackingDevice(scrape, "\(root)/\(uuid)/\(device)", uuid, device)
            }
            for device in Directory.numbered(root + "/" + uuid, "cache") {
                try addCache(scrape, "\(root)/\(uuid)/\(device)", uuid, device)
            }
        }
    }

    /// A number of a file, 0 where the kernel has no such file.
    private func number(_ scrape: NodeScrape, _ path: String) throws -> Double {
        do {
            return try scrape.files.withFile(path) { bytes in
                guard let value = Self.readable(bytes.trimmed) else { throw MalformedFile(path: path) }
                return value
            }
        } catch let error as SystemError where error.isNotFound {
            return 0
        }
    }

    /// A number as bcache prints it for people, such as `512.4k`; nil when it is none.
    ///
    /// What stands behind the point are 1024ths divided by a hundred, as the kernel's `bch_hprint` writes them.
    static func readable(_ text: Bytes) -> Double? {
        guard let last = text.last else { return nil }
        if text.first == UInt8(ascii: "-") { return readable(text.part(1..<text.count)).map { -$0 } }
        if last <= 57 { return text.number.map { $0.rounded(.towardZero) } }
        let digits = text.part(0..<(text.count - 1))
        var mantissa: Double?
        if let (whole, fraction) = digits.cut(at: ".") {
            if let whole = whole.number, let fraction = fraction.number { mantissa = whole + fraction / 10.24 }
        } else {
            mantissa = digits.number
        }
        // An unknown letter stands for nothing.
        var factor = 0.0
        if let power = Array("kMGTPEZY".utf8).firstIndex(of: last) {
            factor = 1024
            for _ in 0..<power { factor *= 1024 }
        }
        return mantissa.map { ($0 * factor).rounded(.towardZero) }
    }

    private func addSet(_ scrape: NodeScrape, _ path: String, _ uuid: String) throws {
        let page = scrape.page
        let gauges: [(file: String, metric: String, help: String)] = [
            ("average_key_size", "average_key_size_sectors", "Average data per key in the btree (sectors)."),
            ("btree_cache_size", "btree_cache_size_bytes", "Amount of memory currently used by the btree cache."),
            (
                "cache_available_percent", "cache_available_percent",
                "Percentage of cache device without dirty data, usable for writeback (may contain clean cached data)."
            ),
            ("congested", "congested", "Congestion."),
            (
                "root_usage_percent", "root_usage_percent",
                "Percentage of the root btree node in use (tree depth increases if too high)."
            ),
            ("tree_depth", "tree_depth", "Depth of the btree."),
            (
                "internal/active_journal_entries", "active_journal_entries",
                "Number of journal entries that are newer than the index."
            ),
            ("internal/btree_nodes", "btree_nodes", "Total nodes in the btree."),
        ]
        for gauge in gauges {
            page.add(
                page.gauge("node_bcache_" + gauge.metric, gauge.help), "uuid", uuid,
                try number(scrape, path + "/" + gauge.file))
        }
        page.add(
            page.gauge("node_bcache_btree_read_average_duration_seconds", "Average btree read duration."), "uuid",
            uuid, try number(scrape, path + "/internal/btree_read_average_duration_us") * 1e-9)
        page.add(
            page.counter(
                "node_bcache_cache_read_races_total",
                "Counts instances where while data was being read from the cache, the bucket was reused and "
                    + "invalidated - i.e. where the pointer was stale after the read completed."),
            "uuid", uuid, try number(scrape, path + "/internal/cache_read_races"))
    }

    private func addBackingDevice(_ scrape: NodeScrape, _ path: String, _ uuid: String, _ device: String) throws {
        let page = scrape.page
        func gauge(_ name: String, _ help: String, _ value: Double) {
            page.add(
                page.gauge("node_bcache_" + name, help), "backing_device", device, "uuid", uuid, value)
        }
        gauge(
            "dirty_data_bytes", "Amount of dirty data for this backing device in the cache.",
            try number(scrape, path + "/dirty_data"))
        let rates = try writebackRates(scrape, path + "/writeback_rate_debug")
        gauge(
            "dirty_target_bytes", "Current dirty data target threshold for this backing device in bytes.",
            rates["target"] ?? 0)
        gauge(
            "writeback_rate", "Current writeback rate for this backing device in bytes.", rates["rate"] ?? 0)
        gauge(
            "writeback_rate_proportional_term", "Current result of proportional controller, part of writeback rate",
            rates["proportional"] ?? 0)
        gauge(
            "writeback_rate_integral_term", "Current result of integral controller, part of writeback rate",
            rates["integral"] ?? 0)
        gauge(
            "writeback_change", "Last writeback rate change step for this backing device.", rates["change"] ?? 0)

        let counters: [(file: String, metric: String, help: String)] = [
            (
                "bypassed", "bypassed_bytes_total",
                "Amount of IO (both reads and writes) that has bypassed the cache."
            ),
            ("cache_hits", "cache_hits_total", "Hits counted per individual IO as bcache sees them."),
            ("cache_misses", "cache_misses_total", "Misses counted per individual IO as bcache sees them."),
            ("cache_bypass_hits", "cache_bypass_hits_total", "Hits for IO intended to skip the cache."),
            ("cache_bypass_misses", "cache_bypass_misses_total", "Misses for IO intended to skip the cache."),
            (
                "cache_miss_collisions", "cache_miss_collisions_total",
                "Instances where data insertion from cache miss raced with write (data already present)."
            ),
            ("cache_readaheads", "cache_readaheads_total", "Count of times readahead occurred."),
        ]
        for counter in counters {
            let value = try number(scrape, "\(path)/stats_total/\(counter.file)")
            // Newer kernels no longer count them.
            if counter.file == "cache_readaheads", value == 0 { continue }
            page.add(
                page.counter("node_bcache_" + counter.metric, counter.help), "backing_device", device, "uuid", uuid,
                value)
        }
    }

    private func writebackRates(_ scrape: NodeScrape, _ path: String) throws -> [String: Double] {
        try scrape.files.withFile(path) { bytes in
            var rates: [String: Double] = [:]
            for line in bytes.lines {
                guard let (name, rest) = line.cut(at: ":"), !name.equals("next io") else { continue }
                guard var text = rest.words().last else { continue }
                if text.string.hasSuffix("/sec") { text = text.part(0..<(text.count - 4)) }
                guard let value = Self.readable(text) else { throw MalformedFile(path: path) }
                rates[name.string] = value
            }
            return rates
        }
    }

    private func addCache(_ scrape: NodeScrape, _ path: String, _ uuid: String, _ device: String) throws {
        let page = scrape.page
        func add(_ family: MetricPage.Family, _ value: Double) {
            page.add(family, "cache_device", device, "uuid", uuid, value)
        }
        add(
            page.gauge(
                "node_bcache_io_errors", "Number of errors that have occurred, decayed by io_error_halflife."),
            try number(scrape, path + "/io_errors"))
        add(
            page.counter(
                "node_bcache_metadata_written_bytes_total",
                "Sum of all non data writes (btree writes and all other metadata)."),
            try number(scrape, path + "/metadata_written"))
        add(
            page.counter(
                "node_bcache_written_bytes_total", "Sum of all data that has been written to the cache."),
            try number(scrape, path + "/written"))
        guard exportsPriorities else { return }
        let unused = page.gauge(
            "node_bcache_priority_stats_unused_percent", "The percentage of the cache that doesn't contain any data.")
        let metadata = page.gauge("node_bcache_priority_stats_metadata_percent", "Bcache's metadata overhead.")
        var found = (unused: 0.0, metadata: 0.0)
        try scrape.files.withFile(path + "/priority_stats") { bytes in
            for line in bytes.lines {
                guard let (name, rest) = line.cut(at: ":"), let word = rest.words().last, word.last == 37,
                    let value = word.part(0..<(word.count - 1)).unsigned
                else { continue }
                if name.equals("Unused") { found.unused = Double(value) }
                if name.equals("Metadata") { found.metadata = Double(value) }
            }
        }
        add(unused, found.unused)
        add(metadata, found.metadata)
    }
}
