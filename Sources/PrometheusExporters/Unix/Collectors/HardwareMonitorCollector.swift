import Essentials
import SelfMetrics

/// `hwmon`: sensors of the machine, from `/sys/class/hwmon`.
final class HardwareMonitorCollector: NodeCollector {
    private static let types: Set<String> = [
        "vrm", "beep_enable", "update_interval", "in", "cpu", "fan", "pwm", "temp", "curr", "power", "energy",
        "humidity", "intrusion",
    ]

    private let filter: DeviceFilter

    init(_ settings: UnixSettings) { filter = settings.hwmon }

    func collect(_ scrape: NodeScrape) throws {
        let root = scrape.paths.sys("class/hwmon")
        var failure: (any Error)?
        for name in try noDataIfMissing({ try Files.list(root) }) {
            let path = root + "/" + name
            guard Directory.isDirectory(path) else { continue }
            do {
                try collectChip(scrape, path)
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
    }

    private func collectChip(_ scrape: NodeScrape, _ path: String) throws {
        let chip = try chipName(scrape, path)
        if filter.ignores(chip) { return }
        let page = scrape.page
        var sensors: [String: (type: String, properties: [String: String])] = [:]
        try readSensors(scrape, path, &sensors)
        if Directory.isDirectory(path + "/device") { try readSensors(scrape, path + "/device", &sensors) }
        if let name = try? scrape.files.text(path + "/name"), !Self.cleaned(name).isEmpty {
            page.add(
                page.gauge("node_hwmon_chip_names", "Annotation metric for human-readable chip names"), "chip", chip,
                "chip_name", Self.cleaned(name), 1)
        }
        for (sensor, data) in sensors.sorted(by: { $0.key < $1.key }) {
            add(page, chip, sensor, data.type, data.properties)
        }
    }

    private func add(
        _ page: MetricPage, _ chip: String, _ sensor: String, _ type: String, _ properties: [String: String]
    ) {
        if let label = properties["label"] {
            page.add(
                page.gauge("node_hwmon_sensor_label", "Label for given chip and sensor"),
                labels: [("chip", chip), ("sensor", sensor), ("label", label)], 1)
        }
        func add(_ name: String, _ help: String, _ value: Double, _ kind: MetricKind = .gauge) {
            page.add(page.family(name, help, kind), "chip", chip, "sensor", sensor, value)
        }
        let own = properties[""].flatMap { Double($0) }
        switch type {
        case "beep_enable":
            add("node_hwmon_beep_enabled", "Hardware beep enabled", properties[""] == "1" ? 1 : 0)
            return
        case "vrm":
            if let own { add("node_hwmon_voltage_regulator_version", "Hardware voltage regulator", own) }
            return
        case "update_interval":
            if let own { add("node_hwmon_update_interval_seconds", "Hardware monitor update interval", own * 0.001) }
            return
        default: break
        }
        for (element, text) in properties.sorted(by: { $0.key < $1.key }) where element != "label" {
            guard let value = Double(text) else { continue }
            var name = "node_hwmon_" + type
            if element == "input" {
                if properties[""] != nil { name += "_input" }
            } else if !element.isEmpty {
                name += "_" + Self.cleaned(element)
            }
            switch (type, element) {
            case (_, "fault"), (_, "alarm"): add(name, "Hardware sensor \(element) status (\(type))", value)
            case (_, "beep"): add(name + "_enabled", "Hardware monitor sensor has beeping enabled", value)
            case ("in", _), ("cpu", _):
                add(name + "_volts", "Hardware monitor for voltage (\(element))", value * 0.001)
            case ("temp", let element) where element != "type":
                let shown = element.isEmpty ? "input" : element
                add(name + "_celsius", "Hardware monitor for temperature (\(shown))", value * 0.001)
            case ("curr", _): add(name + "_amps", "Hardware monitor for current (\(element))", value * 0.001)
            case ("energy", _):
                add(
                    name + "_joule_total", "Hardware monitor for joules used so far (\(element))", value / 1e6, .counter
                )
            case ("power", "accuracy"):
                add(name, "Hardware monitor power meter accuracy, as a ratio", value / 1e6)
            case ("power", "average_interval"), ("power", "average_interval_min"), ("power", "average_interval_max"):
                add(name + "_seconds", "Hardware monitor power usage update interval (\(element))", value * 0.001)
            case ("power", _):
                add(name + "_watt", "Hardware monitor for power usage in watts (\(element))", value / 1e6)
            case ("humidity", _):
                add(
                    name,
                    "Hardware monitor for humidity, as a ratio (multiply with 100.0 to get the humidity as a percentage) "
                        + "(\(element))", value / 1e6)
            case ("fan", "input"), ("fan", "min"), ("fan", "max"), ("fan", "target"):
                add(name + "_rpm", "Hardware monitor for fan revolutions per minute (\(element))", value)
            default: add(name, "Hardware monitor \(type) element \(element)", value)
            }
        }
    }

    private func readSensors(
        _ scrape: NodeScrape, _ directory: String,
        _ sensors: inout [String: (type: String, properties: [String: String])]
    ) throws {
        for file in try Files.list(directory) {
            guard let (type, number, property) = Self.split(file), Self.types.contains(type),
                let value = try? scrape.files.text(directory + "/" + file)
            else { continue }
            sensors[type + String(number), default: (type, [:])].properties[property] = value
        }
    }

    /// `temp1_input` is type `temp`, number 1, property `input`.
    static func split(_ file: String) -> (type: String, number: Int, property: String)? {
        let bytes = Array(file.utf8)
        func isDigit(_ byte: UInt8) -> Bool { byte >= 48 && byte <= 57 }
        let typeEnd = bytes.firstIndex(where: isDigit) ?? bytes.count
        guard typeEnd > 0 else { return nil }
        var end = typeEnd
        while end < bytes.count, isDigit(bytes[end]) { end += 1 }
        // Without a number the whole name is the type, underscores and all.
        if end == typeEnd { return (file, 0, "") }
        guard let number = Int(String(decoding: bytes[typeEnd..<end], as: UTF8.self)) else { return nil }
        let type = String(decoding: bytes[..<typeEnd], as: UTF8.self)
        if end == bytes.count { return (type, number, "") }
        guard bytes[end] == UInt8(ascii: "_"), end + 1 < bytes.count else { return nil }
        return (type, number, String(decoding: bytes[(end + 1)...], as: UTF8.self))
    }

    /// A name that stays the same however modules are loaded: of the device, else the chip, else the directory.
    private func chipName(_ scrape: NodeScrape, _ path: String) throws -> String {
        if let device = Directory.resolved(path + "/device") {
            let parts = device.split(separator: "/")
            let name = Self.cleaned(parts.last.map(String.init) ?? "")
            let bus = Self.cleaned(parts.dropLast().last.map(String.init) ?? "")
            if !bus.isEmpty, !name.isEmpty { return bus + "_" + name }
            if !name.isEmpty { return name }
        }
        if let name = try? scrape.files.text(path + "/name"), !Self.cleaned(name).isEmpty { return Self.cleaned(name) }
        guard let resolved = Directory.resolved(path), let last = resolved.split(separator: "/").last,
            !Self.cleaned(String(last)).isEmpty
        else { throw MalformedFile(path: path, reason: "no name for the chip") }
        return Self.cleaned(String(last))
    }

    /// Lower case, underscores for what no metric name may have, none around.
    static func cleaned(_ name: String) -> String {
        var bytes = name.lowercased().utf8.map { byte in
            (byte >= 97 && byte <= 122) || (byte >= 48 && byte <= 58) || byte == 95 ? byte : 95
        }
        while bytes.last == 95 { bytes.removeLast() }
        return String(decoding: bytes.drop { $0 == 95 }, as: UTF8.self)
    }
}
