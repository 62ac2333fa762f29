import Essentials
import SelfMetrics
import TextFormats

/// `diskstats`: requests, bytes and times of block devices.
final class DiskStatsCollector: NodeCollector {
    /// A column of `/proc/diskstats` behind the device's name.
    private struct Column {
        var name: String
        var help: String
        var kind = MetricKind.counter
        /// What one unit of the kernel's is in the metric's.
        var factor = 1.0
    }

    private static let columns: [Column] = [
        Column(name: "reads_completed_total", help: "The total number of reads completed successfully."),
        Column(name: "reads_merged_total", help: "The total number of reads merged."),
        Column(name: "read_bytes_total", help: "The total number of bytes read successfully.", factor: 512),
        Column(
            name: "read_time_seconds_total", help: "The total number of seconds spent by all reads.", factor: 0.001),
        Column(name: "writes_completed_total", help: "The total number of writes completed successfully."),
        Column(name: "writes_merged_total", help: "The number of writes merged."),
        Column(name: "written_bytes_total", help: "The total number of bytes written successfully.", factor: 512),
        Column(
            name: "write_time_seconds_total", help: "This is the total number of seconds spent by all writes.",
            factor: 0.001),
        Column(name: "io_now", help: "The number of I/Os currently in progress.", kind: .gauge),
        Column(name: "io_time_seconds_total", help: "Total seconds spent doing I/Os.", factor: 0.001),
        Column(
            name: "io_time_weighted_seconds_total", help: "The weighted # of seconds spent doing I/Os.",
            factor: 0.001),
        Column(name: "discards_completed_total", help: "The total number of discards completed successfully."),
        Column(name: "discards_merged_total", help: "The total number of discards merged."),
        Column(name: "discarded_sectors_total", help: "The total number of sectors discarded successfully."),
        Column(
            name: "discard_time_seconds_total", help: "This is the total number of seconds spent by all discards.",
            factor: 0.001),
        Column(
            name: "flush_requests_total", help: "The total number of flush requests completed successfully"),
        Column(
            name: "flush_requests_time_seconds_total",
            help: "This is the total number of seconds spent by all flush requests.", factor: 0.001),
    ]

    private static let ata: [(property: String, metric: String, help: String)] = [
        ("ID_ATA_WRITE_CACHE", "node_disk_ata_write_cache", "ATA disk has a write cache."),
        (
            "ID_ATA_WRITE_CACHE_ENABLED", "node_disk_ata_write_cache_enabled",
            "ATA disk has its write cache enabled."
        ),
        (
            "ID_ATA_ROTATION_RATE_RPM", "node_disk_ata_rotation_rate_rpm",
            "ATA disk rotation rate in RPMs (0 for SSDs)."
        ),
    ]

    private let filter: DeviceFilter

    init(_ settings: UnixSettings) { filter = settings.disk }

    func collect(_ scrape: NodeScrape) throws {
        let path = scrape.paths.proc("diskstats")
        let page = scrape.page
        let families = Self.columns.map { page.family("node_disk_" + $0.name, $0.help, $0.kind) }
        try scrape.files.withFile(path) { bytes in
            for line in bytes.lines {
                var fields = line.fields
                guard let major = fields.next(), let minor = fields.next(), let device = fields.next() else { continue }
                if filter.ignores(device) { continue }
                guard let majorNumber = major.unsigned, let minorNumber = minor.unsigned else {
                    throw MalformedFile(path: path, reason: "invalid line \(line.string)")
                }
                addProperties(
                    scrape, device.string, String(majorNumber), String(minorNumber))
                for (index, column) in Self.columns.enumerated() {
                    guard let field = fields.next() else { break }
                    guard let value = field.unsigned else {
                        throw MalformedFile(path: path, reason: "invalid line \(line.string)")
                    }
                    page.add(families[index], "device", device, Double(value) * column.factor)
                }
            }
        }
    }

    /// What udev knows about the device; all empty where it knows nothing.
    private func addProperties(_ scrape: NodeScrape, _ device: String, _ major: String, _ minor: String) {
        let page = scrape.page
        let udev =
            (try? scrape.files.withFile(scrape.paths.udevData + "/b\(major):\(minor)") { Self.properties($0) }) ?? [:]
        func value(_ name: String) -> String { udev[name] ?? "" }
        let serial = value("SCSI_IDENT_SERIAL")
        page.add(
            page.gauge("node_disk_info", "Info of /sys/block/<block_device>."),
            labels: [
                ("device", device), ("major", major), ("minor", minor), ("path", value("ID_PATH")),
                ("wwn", value("ID_WWN")), ("model", value("ID_MODEL")),
                ("serial", serial.isEmpty ? value("ID_SERIAL_SHORT") : serial), ("revision", value("ID_REVISION")),
            ], 1)
        if udev.isEmpty { return }
        if !value("ID_FS_TYPE").isEmpty {
            page.add(
                page.gauge("node_disk_filesystem_info", "Info about disk filesystem."),
                labels: [
                    ("device", device), ("type", value("ID_FS_TYPE")), ("usage", value("ID_FS_USAGE")),
                    ("uuid", value("ID_FS_UUID")), ("version", value("ID_FS_VERSION")),
                ], 1)
        }
        if !value("DM_NAME").isEmpty {
            page.add(
                page.gauge("node_disk_device_mapper_info", "Info about disk device mapper."),
                labels: [
                    ("device", device), ("name", value("DM_NAME")), ("uuid", value("DM_UUID")),
                    ("vg_name", value("DM_VG_NAME")), ("lv_name", value("DM_LV_NAME")),
                    ("lv_layer", value("DM_LV_LAYER")),
                ], 1)
        }
        guard !value("ID_ATA").isEmpty else { return }
        for entry in Self.ata {
            guard let number = udev[entry.property].flatMap({ DecimalParser.parse($0) }) else { continue }
            page.add(page.gauge(entry.metric, entry.help), "device", device, number)
        }
    }

    /// The lines `E:NAME=value` of a device's file.
    private static func properties(_ bytes: Bytes) -> [String: String] {
        var properties: [String: String] = [:]
        for line in bytes.lines where line.starts(with: "E:") {
            guard let (name, value) = line.part(2..<line.count).cut(at: "=") else { continue }
            properties[name.string] = value.string
        }
        return properties
    }
}
