import Essentials
import SelfMetrics
import TextFormats

/// `thermal_zone`: temperatures and cooling devices.
final class ThermalCollector: NodeCollector {
    func collect(_ scrape: NodeScrape) throws {
        let root = scrape.paths.sys("class/thermal")
        let page = scrape.page
        let temperature = page.gauge("node_thermal_zone_temp", "Zone temperature in Celsius")
        for name in Directory.numbered(root, "thermal_zone") {
            let path = root + "/" + name
            // A zone that cannot be read just now is left out.
            guard let type = try? scrape.files.text(path + "/type"),
                let value = try? scrape.files.integer(path + "/temp")
            else { continue }
            page.add(temperature, "type", type, "zone", String(name.dropFirst(12)), Double(value) / 1000)
        }
        let current = page.gauge(
            "node_cooling_device_cur_state", "Current throttle state of the cooling device")
        let maximum = page.gauge(
            "node_cooling_device_max_state", "Maximum throttle state of the cooling device")
        for name in Directory.numbered(root, "cooling_device") {
            let path = root + "/" + name
            let type = try scrape.files.text(path + "/type")
            let number = String(name.dropFirst(14))
            page.add(
                maximum, "name", number, "type", type, Double(try scrape.files.integer(path + "/max_state")))
            page.add(
                current, "name", number, "type", type, Double(try scrape.files.integer(path + "/cur_state")))
        }
    }
}

/// `nvme`: what NVMe devices are.
final class NVMeCollector: NodeCollector {
    func collect(_ scrape: NodeScrape) throws {
        let root = scrape.paths.sys("class/nvme")
        let info = scrape.page.gauge(
            "node_nvme_info", "Non-numeric data from /sys/class/nvme/<device>, value is always 1.")
        for device in try noDataIfMissing({ try Files.list(root) }) {
            func text(_ file: String) throws -> String { try scrape.files.text("\(root)/\(device)/\(file)") }
            scrape.page.add(
                info,
                labels: [
                    ("device", device), ("firmware_revision", try text("firmware_rev")), ("model", try text("model")),
                    ("serial", try text("serial")), ("state", try text("state")),
                ], 1)
        }
    }
}

/// `dmi`: what the firmware says about the machine.
final class DMICollector: NodeCollector {
    private static let labels: [String] = [
        "bios_date", "bios_release", "bios_vendor", "bios_version", "board_asset_tag", "board_name", "board_serial",
        "board_vendor", "board_version", "chassis_asset_tag", "chassis_serial", "chassis_vendor", "chassis_version",
        "product_family", "product_name", "product_serial", "product_sku", "product_uuid", "product_version",
        "system_vendor",
    ]

    /// It does not change before the next boot.
    private var values: [(String, String)]?

    func collect(_ scrape: NodeScrape) throws {
        let values = self.values ?? read(scrape)
        self.values = values
        if values.isEmpty { throw NoData(reason: "no DMI information") }
        let info = scrape.page.gauge(
            "node_dmi_info",
            "A metric with a constant '1' value labeled by \(Self.labels.joined(separator: ", ")) if provided by DMI.")
        scrape.page.add(info, labels: values, 1)
    }

    private func read(_ scrape: NodeScrape) -> [(String, String)] {
        Self.labels.compactMap { label in
            let file = label == "system_vendor" ? "sys_vendor" : label
            return (try? scrape.files.text(scrape.paths.sys("class/dmi/id/" + file))).map { (label, $0) }
        }
    }
}

/// `rapl`: energy used.
final class RAPLCollector: NodeCollector {
    func collect(_ scrape: NodeScrape) throws {
        let root = scrape.paths.sys("class/powercap")
        var used: [String: Int] = [:]
        for zone in try noDataIfClosed({ try Files.list(root) }) {
            let path = root + "/" + zone
            guard let text = try? scrape.files.text(path + "/name") else { continue }
            var name = text
            var index = used[text] ?? 0
            let parts = text.split(separator: "-", omittingEmptySubsequences: false)
            if parts.count == 2, let number = Int(parts[1]), number >= 0, number < 65_536 {
                name = String(parts[0])
                index = number
            }
            used[name] = index + 1
            let microjoules = try noDataIfClosed { try scrape.files.unsigned(path + "/energy_uj") }
            let family = scrape.page.counter(
                "node_rapl_\(Self.metricPart(name))_joules_total", "Current RAPL \(name) value in joules")
            scrape.page.add(family, "index", index, "path", path, Double(microjoules) / 1e6)
        }
    }

    /// Runs of what no metric name may have, with the underscores around them, as one underscore.
    static func metricPart(_ name: String) -> String {
        var part: [UInt8] = []
        var pending = false
        for byte in name.utf8 {
            let isValid = (byte >= 48 && byte <= 57) || (byte >= 65 && byte <= 90) || (byte >= 97 && byte <= 122)
            if isValid || (byte == 95 && !pending) {
                if pending {
                    while part.last == 95 { part.removeLast() }
                    part.append(95)
                }
                pending = false
                part.append(byte)
            } else {
                pending = true
            }
        }
        if pending {
            while part.last == 95 { part.removeLast() }
            part.append(95)
        }
        return String(decoding: part, as: UTF8.self)
    }
}

/// `tapestats`: requests and bytes of tape drives.
final class TapeCollector: NodeCollector {
    private static let counters: [(file: String, metric: String, help: String, factor: Double)] = [
        (
            "io_ns", "io_time_seconds_total",
            "The amount of time spent waiting for all I/O to complete (including read and write). This includes tape "
                + "movement commands such as seeking between file or set marks and implicit tape movement such as when "
                + "rewind on close tape devices are used.", 1e-9
        ),
        (
            "other_cnt", "io_others_total",
            "The number of I/Os issued to the tape drive other than read or write commands. The time taken to complete "
                + "these commands uses the following calculation "
                + "io_time_seconds_total-read_time_seconds_total-write_time_seconds_total", 1
        ),
        ("read_byte_cnt", "read_bytes_total", "The number of bytes read from the tape drive.", 1),
        ("read_cnt", "reads_completed_total", "The number of read requests issued to the tape drive.", 1),
        (
            "read_ns", "read_time_seconds_total",
            "The amount of time spent waiting for read requests to complete.", 1e-9
        ),
        (
            "resid_cnt", "residual_total",
            "The number of times during a read or write we found the residual amount to be non-zero. This should mean "
                + "that a program is issuing a read larger thean the block size on tape. For write not all data made it "
                + "to tape.", 1
        ),
        ("write_byte_cnt", "written_bytes_total", "The number of bytes written to the tape drive.", 1),
        ("write_cnt", "writes_completed_total", "The number of write requests issued to the tape drive.", 1),
        (
            "write_ns", "write_time_seconds_total",
            "The amount of time spent waiting for write requests to complete.", 1e-9
        ),
    ]

    private let ignored: RegularExpression?

    init(_ settings: UnixSettings) { ignored = settings.ignoredTapes }

    func collect(_ scrape: NodeScrape) throws {
        let root = scrape.paths.sys("class/scsi_tape")
        let page = scrape.page
        for device in try noDataIfMissing({ try Files.list(root) }) {
            guard device.hasPrefix("st"), device.utf8.count > 2,
                device.utf8.dropFirst(2).allSatisfy({ $0 >= 48 && $0 <= 57 })
            else { continue }
            if let ignored, ignored.matches(device) { continue }
            let path = root + "/" + device + "/stats/"
            page.add(
                page.gauge("node_tape_io_now", "The number of I/Os currently outstanding to this device."), "device",
                device, Double(try scrape.files.unsigned(path + "in_flight")))
            for counter in Self.counters {
                page.add(
                    page.counter("node_tape_" + counter.metric, counter.help), "device", device,
                    Double(try scrape.files.unsigned(path + counter.file)) * counter.factor)
            }
        }
    }
}

/// `powersupplyclass`: batteries and mains.
final class PowerSupplyCollector: NodeCollector {
    /// The file, the metric and what a metric's unit has of the file's.
    private static let numbers: [(file: String, metric: String, divisor: Double)] = [
        ("authentic", "authentic", 1), ("calibrate", "calibrate", 1), ("capacity", "capacity", 1),
        ("capacity_alert_max", "capacity_alert_max", 1), ("capacity_alert_min", "capacity_alert_min", 1),
        ("cycle_count", "cyclecount", 1), ("online", "online", 1), ("present", "present", 1),
        ("time_to_empty_now", "time_to_empty_seconds", 1), ("time_to_full_now", "time_to_full_seconds", 1),
        ("current_boot", "current_boot", 1e6), ("current_max", "current_max", 1e6),
        ("current_now", "current_ampere", 1e6), ("energy_empty", "energy_empty", 1e6),
        ("energy_empty_design", "energy_empty_design", 1e6), ("energy_full", "energy_full", 1e6),
        ("energy_full_design", "energy_full_design", 1e6), ("energy_now", "energy_watthour", 1e6),
        ("voltage_boot", "voltage_boot", 1e6), ("voltage_max", "voltage_max", 1e6),
        ("voltage_max_design", "voltage_max_design", 1e6), ("voltage_min", "voltage_min", 1e6),
        ("voltage_min_design", "voltage_min_design", 1e6), ("voltage_now", "voltage_volt", 1e6),
        ("voltage_ocv", "voltage_ocv", 1e6), ("charge_control_limit", "charge_control_limit", 1e6),
        ("charge_control_limit_max", "charge_control_limit_max", 1e6), ("charge_counter", "charge_counter", 1e6),
        ("charge_empty", "charge_empty", 1e6), ("charge_empty_design", "charge_empty_design", 1e6),
        ("charge_full", "charge_full", 1e6), ("charge_full_design", "charge_full_design", 1e6),
        ("charge_now", "charge_ampere", 1e6), ("charge_term_current", "charge_term_current", 1e6),
        ("constant_charge_current", "constant_charge_current", 1e6),
        ("constant_charge_current_max", "constant_charge_current_max", 1e6),
        ("constant_charge_voltage", "constant_charge_voltage", 1e6),
        ("constant_charge_voltage_max", "constant_charge_voltage_max", 1e6),
        ("precharge_current", "precharge_current", 1e6), ("input_current_limit", "input_current_limit", 1e6),
        ("power_now", "power_watt", 1e6), ("temp", "temp_celsius", 10),
        ("temp_alert_max", "temp_alert_max_celsius", 10),
        ("temp_alert_min", "temp_alert_min_celsius", 10), ("temp_ambient", "temp_ambient_celsius", 10),
        ("temp_ambient_max", "temp_ambient_max_celsius", 10), ("temp_ambient_min", "temp_ambient_min_celsius", 10),
        ("temp_max", "temp_max_celsius", 10), ("temp_min", "temp_min_celsius", 10),
    ]

    private static let texts: [String] = [
        "capacity_level", "charge_type", "health", "manufacturer", "model_name", "scope", "serial_number", "status",
        "technology", "type", "usb_type",
    ]

    private let ignored: RegularExpression?

    init(_ settings: UnixSettings) { ignored = settings.ignoredPowerSupplies }

    func collect(_ scrape: NodeScrape) throws {
        let root = scrape.paths.sys("class/power_supply")
        let page = scrape.page
        for supply in try noDataIfMissing({ try Files.list(root) }) {
            if let ignored, ignored.matches(supply) { continue }
            let path = root + "/" + supply + "/"
            for entry in Self.numbers {
                guard let value = try? scrape.files.integer(path + entry.file) else { continue }
                let family = page.gauge(
                    "node_power_supply_" + entry.metric,
                    "\(entry.metric) value of /sys/class/power_supply/<power_supply>.")
                page.add(family, "power_supply", supply, Double(value) / entry.divisor)
            }
            var labels = [("power_supply", supply)]
            for name in Self.texts {
                guard let text = try? scrape.files.text(path + name), !text.isEmpty else { continue }
                labels.append((name, text))
            }
            let info = page.gauge("node_power_supply_info", "info of /sys/class/power_supply/<power_supply>.")
            page.add(info, labels: labels, 1)
        }
    }
}
