import Essentials
import SelfMetrics

/// `mdadm`: software RAID, from `/proc/mdstat`.
final class MDCollector: NodeCollector {
    /// One array.
    struct Device: Equatable {
        var name: String
        var state: String
        var active = 0
        var required = 0
        var failed = 0
        var spare = 0
        var blocks = 0
        var synced = 0
    }

    func collect(_ scrape: NodeScrape) throws {
        let path = scrape.paths.proc("mdstat")
        let devices = try noDataIfMissing {
            try scrape.files.withFile(path) { try Self.parse($0.lines.map(\.string), path) }
        }
        let page = scrape.page
        let required = page.gauge("node_md_disks_required", "Total number of disks of device.")
        let disks = page.gauge("node_md_disks", "Number of active/failed/spare disks of device.")
        let state = page.gauge("node_md_state", "Indicates the state of md-device.")
        let blocks = page.gauge("node_md_blocks", "Total number of blocks on device.")
        let synced = page.gauge("node_md_blocks_synced", "Number of blocks synced on device.")
        for device in devices {
            page.add(required, "device", device.name, Double(device.required))
            page.add(disks, "device", device.name, "state", "active", Double(device.active))
            page.add(disks, "device", device.name, "state", "failed", Double(device.failed))
            page.add(disks, "device", device.name, "state", "spare", Double(device.spare))
            for (label, value) in [
                ("active", "active"), ("inactive", "inactive"), ("recovering", "recovering"),
                ("resync", "resyncing"), ("check", "checking"),
            ] {
                page.add(state, "device", device.name, "state", label, device.state == value ? 1 : 0)
            }
            page.add(blocks, "device", device.name, Double(device.blocks))
            page.add(synced, "device", device.name, Double(device.synced))
        }
    }

    static func parse(_ lines: [String], _ path: String) throws -> [Device] {
        var devices: [Device] = []
        for (index, line) in lines.enumerated() {
            if line.isEmpty || line.hasPrefix(" ") || line.hasPrefix("unused") || line.hasPrefix("Personalities") {
                continue
            }
            let words = line.split(separator: " ")
            guard words.count >= 3, lines.count > index + 1 else {
                throw MalformedFile(path: path, reason: "unexpected line \(line)")
            }
            var device = Device(name: String(words[0]), state: String(words[2]))
            device.failed = count("(F)", in: line)
            device.spare = count("(S)", in: line)
            try readStatus(lines[index + 1], of: line, path, &device)
            device.synced = device.blocks
            var sync = index + 2
            if sync < lines.count, lines[sync].contains("bitmap") { sync += 1 }
            if sync < lines.count { try readProgress(lines[sync], path, &device) }
            devices.append(device)
        }
        return devices
    }

    /// Such as `      1953514496 blocks super 1.2 [2/1] [U_]`.
    private static func readStatus(_ status: String, of line: String, _ path: String, _ device: inout Device) throws {
        let words = status.split(separator: " ")
        guard let blocks = words.first.flatMap({ Int($0) }) else {
            throw MalformedFile(path: path, reason: "unexpected line \(status)")
        }
        device.blocks = blocks
        if line.contains("raid0") || line.contains("linear") {
            device.required = count("[", in: line)
            device.active = device.required
            return
        }
        if line.contains("inactive") { return }
        for word in words where word.hasPrefix("[") && word.hasSuffix("]") {
            let parts = word.dropFirst().dropLast().split(separator: "/")
            if parts.count == 2, let required = Int(parts[0]), let active = Int(parts[1]) {
                device.required = required
                device.active = active
                return
            }
        }
        throw MalformedFile(path: path, reason: "unexpected line \(status)")
    }

    /// Such as `[=>......]  recovery = 8.5% (16775552/195310144) finish=17.0min speed=259783K/sec`.
    private static func readProgress(_ line: String, _ path: String, _ device: inout Device) throws {
        let states = [
            ("recovery", "recovering"), ("reshape", "reshaping"), ("check", "checking"), ("resync", "resyncing"),
        ]
        guard let state = states.first(where: { line.contains($0.0) }) else { return }
        device.state = state.1
        if line.contains("PENDING") || line.contains("DELAYED") {
            device.synced = 0
            return
        }
        guard let open = line.lastIndex(of: "("), let slash = line[open...].firstIndex(of: "/"),
            let synced = Int(line[line.index(after: open)..<slash])
        else { throw MalformedFile(path: path, reason: "unexpected line \(line)") }
        device.synced = synced
    }

    private static func count(_ part: String, in line: String) -> Int { line.ranges(of: part).count }
}
