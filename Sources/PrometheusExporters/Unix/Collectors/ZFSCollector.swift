import Essentials
import SelfMetrics

/// `zfs`: statistics of ZFS, from `/proc/spl/kstat/zfs`.
final class ZFSCollector: NodeCollector {
    private static let files: [(subsystem: String, file: String)] = [
        ("zfs_abd", "abdstats"), ("zfs_arc", "arcstats"), ("zfs_dbuf", "dbufstats"), ("zfs_dmu_tx", "dmu_tx"),
        ("zfs_dnode", "dnodestats"), ("zfs_fm", "fm"), ("zfs_vdev_cache", "vdev_cache_stats"),
        ("zfs_vdev_mirror", "vdev_mirror_stats"), ("zfs_xuio", "xuio_stats"), ("zfs_zfetch", "zfetchstats"),
        ("zfs_zil", "zil"),
    ]

    private static let states: [String] = [
        "online", "degraded", "faulted", "offline", "removed", "unavail", "suspended",
    ]

    func collect(_ scrape: NodeScrape) throws {
        let root = scrape.paths.proc("spl/kstat/zfs")
        let names = try noDataIfMissing { try Files.list(root) }
        for (subsystem, file) in Self.files where names.contains(file) {
            let path = root + "/" + file
            try readTable(scrape, path) { key, value in
                Self.add(scrape, subsystem, file, key, [], value)
            }
        }
        let pools = names.filter { Directory.isDirectory(root + "/" + $0) }
        for pool in pools where Files.exists("\(root)/\(pool)/io") { try addTransfers(scrape, root, pool) }
        for pool in pools {
            for file in (try? Files.list(root + "/" + pool)) ?? [] where file.hasPrefix("objset-") {
                try addDataset(scrape, "\(root)/\(pool)/\(file)", pool)
            }
        }
        for pool in pools where Files.exists("\(root)/\(pool)/state") { try addState(scrape, root, pool) }
    }

    private static func add(
        _ scrape: NodeScrape, _ subsystem: String, _ file: String, _ key: String, _ labels: [(String, String)],
        _ value: Double
    ) {
        let name = String(key.map { $0 == "-" ? "_" : $0 })
        guard
            name.utf8.allSatisfy({ $0 == 95 || $0 == 58 || ($0 | 32 >= 97 && $0 | 32 <= 122) || $0 >= 48 && $0 <= 57 })
        else { return }
        let family = scrape.page.family("node_\(subsystem)_\(name)", "kstat.zfs.misc.\(file).\(key)", .unknown)
        scrape.page.add(family, labels: labels, value)
    }

    /// Rows of a name, a type and a value behind a line that says so.
    private func readTable(
        _ scrape: NodeScrape, _ path: String, text: (Bytes) -> Void = { _ in }, _ body: (String, Double) -> Void
    ) throws {
        try scrape.files.withFile(path) { bytes in
            var isTable = false
            for line in bytes.lines {
                let words = line.words(limit: 4)
                if !isTable {
                    isTable =
                        words.count == 3 && words[0].equals("name") && words[1].equals("type")
                        && words[2].equals("data")
                    continue
                }
                guard words.count >= 3 else { continue }
                if words[0].equals("dataset_name") {
                    // The name goes on to the end of the line: it may hold spaces.
                    if let start = words[2].baseAddress, let base = line.baseAddress {
                        text(line.part((start - base)..<line.count))
                    }
                } else if words[1].equals("4") {
                    guard let value = words[2].unsigned else { throw MalformedFile(path: path) }
                    body(words[0].string, Double(value))
                } else if words[1].equals("3") {
                    guard let value = words[2].integer else { throw MalformedFile(path: path) }
                    body(words[0].string, Double(value))
                }
            }
            if !isTable { throw MalformedFile(path: path, reason: "not a single metric") }
        }
    }

    private func addTransfers(_ scrape: NodeScrape, _ root: String, _ pool: String) throws {
        let path = "\(root)/\(pool)/io"
        try scrape.files.withFile(path) { bytes in
            var fields: [String] = []
            for line in bytes.lines {
                let words = line.words()
                if fields.isEmpty {
                    if words.count >= 12, words[0].equals("nread") { fields = words.map(\.string) }
                    continue
                }
                for (field, word) in zip(fields, words) {
                    guard let value = word.unsigned else { throw MalformedFile(path: path) }
                    Self.add(scrape, "zfs_zpool", "io", field, [("zpool", pool)], Double(value))
                }
            }
        }
    }

    private func addDataset(_ scrape: NodeScrape, _ path: String, _ pool: String) throws {
        var dataset = ""
        try readTable(scrape, path, text: { dataset = $0.string }) { key, value in
            Self.add(scrape, "zfs_zpool_dataset", "objset", key, [("dataset", dataset), ("zpool", pool)], value)
        }
    }

    private func addState(_ scrape: NodeScrape, _ root: String, _ pool: String) throws {
        let state = try scrape.files.text("\(root)/\(pool)/state").lowercased()
        let family = scrape.page.gauge("node_zfs_zpool_state", "kstat.zfs.misc.state")
        for name in Self.states { scrape.page.add(family, "state", name, "zpool", pool, state == name ? 1 : 0) }
    }
}
