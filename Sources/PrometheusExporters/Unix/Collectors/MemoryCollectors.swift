import Essentials
import SelfMetrics
import TextFormats

/// `meminfo`: every field of `/proc/meminfo`.
final class MemInfoCollector: NodeCollector {
    func collect(_ scrape: NodeScrape) throws {
        let path = scrape.paths.proc("meminfo")
        try scrape.files.withFile(path) { bytes in
            for line in bytes.lines {
                var fields = line.fields
                guard let key = fields.next() else { continue }
                guard let value = fields.next()?.number, key.count > 1 else {
                    throw MalformedFile(path: path, reason: "invalid line \(line.string)")
                }
                let unit = fields.next()
                if fields.next() != nil { throw MalformedFile(path: path, reason: "invalid line \(line.string)") }
                let name = Self.name(key.part(0..<(key.count - 1)), hasUnit: unit != nil)
                let kind: MetricKind = name.hasSuffix("_total") ? .counter : .gauge
                let family = scrape.page.family("node_memory_" + name, "Memory information field \(name).", kind)
                scrape.page.add(family, unit == nil ? value : value * 1024)
            }
        }
    }

    /// `Active(anon)` becomes `Active_anon`; a field with a unit ends in `_bytes`.
    static func name(_ key: Bytes, hasUnit: Bool) -> String {
        var name: [UInt8] = []
        for byte in key {
            switch byte {
            case UInt8(ascii: "("): name.append(UInt8(ascii: "_"))
            case UInt8(ascii: ")"): continue
            case 48...57, 65...90, 97...122, 95: name.append(byte)
            default: name.append(UInt8(ascii: "_"))
            }
        }
        if hasUnit { name += "_bytes".utf8 }
        return String(decoding: name, as: UTF8.self)
    }
}

/// `vmstat`: the chosen fields of `/proc/vmstat`.
final class VMStatCollector: NodeCollector {
    private let fields: RegularExpression?

    init(_ settings: UnixSettings) { fields = settings.vmstatFields }

    func collect(_ scrape: NodeScrape) throws {
        let path = scrape.paths.proc("vmstat")
        try scrape.files.withFile(path) { bytes in
            for line in bytes.lines {
                var words = line.fields
                guard let key = words.next() else { continue }
                guard let value = words.next()?.number else {
                    throw MalformedFile(path: path, reason: "invalid line \(line.string)")
                }
                guard let fields, fields.matches(key), MetricName.isValid(key) else { continue }
                let name = key.string
                let family = scrape.page.family(
                    "node_vmstat_" + name, "/proc/vmstat information field \(name).", .unknown)
                scrape.page.add(family, value)
            }
        }
    }
}

/// What may follow in a metric's name.
enum MetricName {
    static func isValid(_ part: Bytes) -> Bool {
        !part.isEmpty
            && part.allSatisfy {
                ($0 >= 48 && $0 <= 57) || ($0 >= 65 && $0 <= 90) || ($0 >= 97 && $0 <= 122) || $0 == 95
            }
    }
}

/// `pressure`: stall times.
final class PressureCollector: NodeCollector {
    func collect(_ scrape: NodeScrape) throws {
        let page = scrape.page
        func add(_ name: String, _ help: String, _ microseconds: UInt64) {
            page.add(page.counter("node_pressure_" + name, help), Double(microseconds) / 1e6)
        }
        for resource in ["cpu", "io", "memory"] {
            let (some, full) = try read(scrape, resource)
            guard let some, resource == "cpu" || full != nil else {
                throw NoData(reason: "pressure of \(resource) is not counted")
            }
            switch resource {
            case "cpu":
                add("cpu_waiting_seconds_total", "Total time in seconds that processes have waited for CPU time", some)
            case "io":
                add(
                    "io_waiting_seconds_total",
                    "Total time in seconds that processes have waited due to IO congestion", some)
                add(
                    "io_stalled_seconds_total",
                    "Total time in seconds no process could make progress due to IO congestion", full ?? 0)
            default:
                add(
                    "memory_waiting_seconds_total", "Total time in seconds that processes have waited for memory",
                    some)
                add(
                    "memory_stalled_seconds_total",
                    "Total time in seconds no process could make progress due to memory congestion", full ?? 0)
            }
        }
    }

    private func read(_ scrape: NodeScrape, _ resource: String) throws -> (some: UInt64?, full: UInt64?) {
        do {
            return try noDataIfMissing {
                try scrape.files.withFile(scrape.paths.proc("pressure/" + resource)) { bytes in
                    var some: UInt64?
                    var full: UInt64?
                    for line in bytes.lines {
                        guard
                            let total = line.fields.first(where: { $0.starts(with: "total=") })?.cut(at: "=")?.1
                                .unsigned
                        else { continue }
                        if line.starts(with: "some") { some = total }
                        if line.starts(with: "full") { full = total }
                    }
                    return (some, full)
                }
            }
        } catch let error as SystemError where error.isUnsupported {
            throw NoData(reason: "\(error)")
        }
    }
}

/// `buddyinfo`: free blocks by size.
final class BuddyInfoCollector: NodeCollector {
    func collect(_ scrape: NodeScrape) throws {
        let family = scrape.page.gauge("node_buddyinfo_blocks", "Count of free blocks according to size.")
        try scrape.files.withFile(scrape.paths.proc("buddyinfo")) { bytes in
            for line in bytes.lines {
                let words = line.words()
                guard words.count > 4, words[0].equals("Node") else { continue }
                let node = words[1].cut(at: ",")?.0.string ?? words[1].string
                for (size, word) in words[4...].enumerated() {
                    guard let count = word.unsigned else { continue }
                    scrape.page.add(
                        family, labels: [("node", node), ("zone", words[3].string), ("size", String(size))],
                        Double(count))
                }
            }
        }
    }
}

/// `ksmd`: merging of equal pages.
final class KSMCollector: NodeCollector {
    private static let files: [String] = [
        "full_scans", "merge_across_nodes", "pages_shared", "pages_sharing", "pages_to_scan", "pages_unshared",
        "pages_volatile", "run", "sleep_millisecs",
    ]

    func collect(_ scrape: NodeScrape) throws {
        for file in Self.files {
            let value = Double(try scrape.files.unsigned(scrape.paths.sys("kernel/mm/ksm/" + file)))
            let help = "ksmd '\(file)' file."
            switch file {
            case "full_scans": scrape.page.add(scrape.page.counter("node_ksmd_full_scans_total", help), value)
            case "sleep_millisecs": scrape.page.add(scrape.page.gauge("node_ksmd_sleep_seconds", help), value / 1000)
            default: scrape.page.add(scrape.page.gauge("node_ksmd_" + file, help), value)
            }
        }
    }
}

/// `edac`: errors of memory modules.
final class EDACCollector: NodeCollector {
    func collect(_ scrape: NodeScrape) throws {
        let page = scrape.page
        let files = scrape.files
        let root = scrape.paths.sys("devices/system/edac/mc")
        let corrected = page.counter("node_edac_correctable_errors_total", "Total correctable memory errors.")
        let uncorrected = page.counter("node_edac_uncorrectable_errors_total", "Total uncorrectable memory errors.")
        let rowCorrected = page.counter(
            "node_edac_csrow_correctable_errors_total", "Total correctable memory errors for this csrow.")
        let rowUncorrected = page.counter(
            "node_edac_csrow_uncorrectable_errors_total", "Total uncorrectable memory errors for this csrow.")
        for name in Directory.numbered(root, "mc") {
            let path = root + "/" + name
            let controller = String(name.dropFirst(2))
            func add(_ family: MetricPage.Family, _ file: String, row: String? = nil) throws {
                let value = Double(try files.unsigned(path + "/" + file))
                if let row {
                    page.add(family, "controller", controller, "csrow", row, value)
                } else {
                    page.add(family, "controller", controller, value)
                }
            }
            try add(corrected, "ce_count")
            try add(rowCorrected, "ce_noinfo_count", row: "unknown")
            try add(uncorrected, "ue_count")
            try add(rowUncorrected, "ue_noinfo_count", row: "unknown")
            for row in Directory.numbered(path, "csrow") {
                try add(rowCorrected, row + "/ce_count", row: String(row.dropFirst(5)))
                try add(rowUncorrected, row + "/ue_count", row: String(row.dropFirst(5)))
            }
        }
    }
}
