import Essentials
import SelfMetrics

/// `zoneinfo`: zones of memory, from `/proc/zoneinfo`.
final class ZoneInfoCollector: NodeCollector {
    private struct Entry {
        let key: String
        let metric: String
        let help: String
        let kind: MetricKind

        init(_ key: String, _ metric: String, _ help: String, _ kind: MetricKind = .gauge) {
            self.key = key
            self.metric = metric
            self.help = help
            self.kind = kind
        }
    }

    private static let entries: [Entry] = [
        Entry("nr_free_pages", "nr_free_pages", "Total number of free pages in the zone"),
        Entry("min", "min_pages", "Zone watermark pages_min"),
        Entry("low", "low_pages", "Zone watermark pages_low"),
        Entry("high", "high_pages", "Zone watermark pages_high"),
        Entry("scanned", "scanned_pages", "Pages scanned since last reclaim"),
        Entry("spanned", "spanned_pages", "Total pages spanned by the zone, including holes"),
        Entry("present", "present_pages", "Physical pages existing within the zone"),
        Entry("managed", "managed_pages", "Present pages managed by the buddy system"),
        Entry("nr_active_anon", "nr_active_anon_pages", "Number of anonymous pages recently more used"),
        Entry("nr_inactive_anon", "nr_inactive_anon_pages", "Number of anonymous pages recently less used"),
        Entry("nr_isolated_anon", "nr_isolated_anon_pages", "Temporary isolated pages from anon lru"),
        Entry("nr_anon_pages", "nr_anon_pages", "Number of anonymous pages currently used by the system"),
        Entry(
            "nr_anon_transparent_hugepages", "nr_anon_transparent_hugepages",
            "Number of anonymous transparent huge pages currently used by the system"),
        Entry("nr_active_file", "nr_active_file_pages", "Number of active pages with file-backing"),
        Entry("nr_inactive_file", "nr_inactive_file_pages", "Number of inactive pages with file-backing"),
        Entry("nr_isolated_file", "nr_isolated_file_pages", "Temporary isolated pages from file lru"),
        Entry("nr_file_pages", "nr_file_pages", "Number of file pages"),
        Entry("nr_slab_reclaimable", "nr_slab_reclaimable_pages", "Number of reclaimable slab pages"),
        Entry("nr_slab_unreclaimable", "nr_slab_unreclaimable_pages", "Number of unreclaimable slab pages"),
        Entry("nr_mlock_stack", "nr_mlock_stack_pages", "mlock()ed pages found and moved off LRU"),
        Entry("nr_kernel_stack", "nr_kernel_stacks", "Number of kernel stacks"),
        Entry("nr_mapped", "nr_mapped_pages", "Number of mapped pages"),
        Entry("nr_dirty", "nr_dirty_pages", "Number of dirty pages"),
        Entry("nr_writeback", "nr_writeback_pages", "Number of writeback pages"),
        Entry("nr_unevictable", "nr_unevictable_pages", "Number of unevictable pages"),
        Entry("nr_shmem", "nr_shmem_pages", "Number of shmem pages (included tmpfs/GEM pages)"),
        Entry("nr_dirtied", "nr_dirtied_total", "Page dirtyings since bootup", .counter),
        Entry("nr_written", "nr_written_total", "Page writings since bootup", .counter),
        Entry("numa_hit", "numa_hit_total", "Allocated in intended node", .counter),
        Entry("numa_miss", "numa_miss_total", "Allocated in non intended node", .counter),
        Entry("numa_foreign", "numa_foreign_total", "Was intended here, hit elsewhere", .counter),
        Entry("numa_interleave", "numa_interleave_total", "Interleaver preferred this zone", .counter),
        Entry("numa_local", "numa_local_total", "Allocation from local node", .counter),
        Entry("numa_other", "numa_other_total", "Allocation from other node", .counter),
    ]
    private static let byKey: [String: Int] = Dictionary(
        uniqueKeysWithValues: entries.enumerated().map { ($0.element.key, $0.offset) })

    func collect(_ scrape: NodeScrape) throws {
        try scrape.files.withFile(scrape.paths.proc("zoneinfo")) { bytes in
            var node = ""
            var zone = ""
            var values: [Int: Int64] = [:]
            var protection: [Int64] = []
            for line in bytes.lines {
                if let place = Self.place(line) {
                    Self.add(scrape, node, zone, &values, &protection)
                    (node, zone) = place
                    continue
                }
                let words = line.words(limit: 2)
                guard words.count == 2 else { continue }
                if words[0].equals("protection:") {
                    protection = Self.protection(line)
                } else if let index = Self.byKey[words[0].string], let value = words[1].integer {
                    // Of several lines of a name, such as `high` of each CPU's pages, the last counts, as upstream.
                    values[index] = value
                }
            }
            Self.add(scrape, node, zone, &values, &protection)
        }
    }

    /// `Node 0, zone   Normal`.
    private static func place(_ line: Bytes) -> (String, String)? {
        let words = line.words(limit: 5)
        guard words.count == 4, words[0].equals("Node"), words[2].equals("zone"), words[1].last == UInt8(ascii: ","),
            words[1].part(0..<(words[1].count - 1)).unsigned != nil
        else { return nil }
        return (words[1].part(0..<(words[1].count - 1)).string, words[3].string)
    }

    /// `protection: (0, 2877, 7826)`; empty when it is none.
    private static func protection(_ line: Bytes) -> [Int64] {
        guard let (_, rest) = line.cut(at: "("), let (list, _) = rest.cut(at: ")") else { return [] }
        var values: [Int64] = []
        for part in list.split(separator: UInt8(ascii: ",")) {
            guard let value = Bytes(rebasing: part).trimmed.integer else { return [] }
            values.append(value)
        }
        return values
    }

    private static func add(
        _ scrape: NodeScrape, _ node: String, _ zone: String, _ values: inout [Int: Int64],
        _ protection: inout [Int64]
    ) {
        let page = scrape.page
        for (index, value) in values.sorted(by: { $0.key < $1.key }) {
            let entry = entries[index]
            page.add(
                page.family("node_zoneinfo_" + entry.metric, entry.help, entry.kind), "node", node, "zone", zone,
                Double(value))
        }
        for (index, value) in protection.enumerated() {
            page.add(
                page.gauge("node_zoneinfo_protection_\(index)", "Protection array \(index). field"), "node", node,
                "zone", zone, Double(value))
        }
        values = [:]
        protection = []
    }
}
