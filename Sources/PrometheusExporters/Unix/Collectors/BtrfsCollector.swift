import Essentials
import Glibc
import SelfMetrics

/// `btrfs`: file systems and their devices, from `/sys/fs/btrfs` and, where a mount can be opened, from the file system.
final class BtrfsCollector: NodeCollector {
    private struct Device {
        var name: String
        var uuid: String
        var used: UInt64
        var total: UInt64
        /// Errors at writing, reading and flushing, of content and of generations.
        var errors: [UInt64]
    }

    private static let errorTypes: [String] = ["write", "read", "flush", "corruption", "generation"]

    func collect(_ scrape: NodeScrape) throws {
        let root = scrape.paths.sys("fs/btrfs")
        let names = ((try? Files.list(root)) ?? []).filter { $0.contains("-") }
        if names.isEmpty { return }
        let mounted = devicesOfMounts(scrape)
        for name in names { try add(scrape, root + "/" + name, name, mounted) }
    }

    /// Empty when the file is missing.
    private func text(_ scrape: NodeScrape, _ path: String) throws -> String {
        do {
            return try scrape.files.text(path)
        } catch let error as SystemError where error.isNotFound {
            return ""
        }
    }

    private func number(_ scrape: NodeScrape, _ path: String) throws -> Double {
        Double(UInt64(try text(scrape, path)) ?? 0)
    }

    private func add(
        _ scrape: NodeScrape, _ path: String, _ name: String, _ mounted: [String: [Device]]
    ) throws {
        let page = scrape.page
        let devices = try Files.list(path + "/devices")
        let known = try text(scrape, path + "/metadata_uuid")
        let uuid = known.isEmpty ? name : known
        page.add(
            page.gauge("node_btrfs_info", "Filesystem information"), "label", try text(scrape, path + "/label"), "uuid",
            uuid, 1)
        page.add(
            page.gauge("node_btrfs_global_rsv_size_bytes", "Size of global reserve."), "uuid", uuid,
            try number(scrape, path + "/allocation/global_rsv_size"))
        for kind in ["data", "metadata", "system"] {
            try addAllocation(scrape, "\(path)/allocation/\(kind)", kind, uuid, deviceCount: devices.count)
        }
        let size = page.gauge(
            "node_btrfs_device_size_bytes", "Size of a device that is part of the filesystem.")
        guard let known = mounted[String(uuid.filter { $0 != "-" })] else {
            for device in devices {
                page.add(
                    size, "device", device, "uuid", uuid, try number(scrape, "\(path)/devices/\(device)/size") * 512)
            }
            return
        }
        let unused = page.gauge(
            "node_btrfs_device_unused_bytes", "Unused bytes unused on a device that is part of the filesystem.")
        let errors = page.counter("node_btrfs_device_errors_total", "Errors reported for the device")
        for device in known {
            let labels = [("btrfs_dev_uuid", device.uuid), ("device", device.name), ("uuid", uuid)]
            page.add(size, labels: labels, Double(device.total))
            page.add(unused, labels: labels, Double(device.total &- device.used))
            for (type, count) in zip(Self.errorTypes, device.errors) {
                page.add(errors, labels: labels + [("type", type)], Double(count))
            }
        }
    }

    private func addAllocation(
        _ scrape: NodeScrape, _ path: String, _ kind: String, _ uuid: String, deviceCount: Int
    ) throws {
        let page = scrape.page
        page.add(
            page.gauge("node_btrfs_reserved_bytes", "Amount of space reserved for a data type"), "block_group_type",
            kind, "uuid", uuid, try number(scrape, path + "/bytes_reserved"))
        for mode in try Files.list(path) where Directory.isDirectory(path + "/" + mode) {
            let labels = [("block_group_type", kind), ("mode", mode), ("uuid", uuid)]
            page.add(
                page.gauge("node_btrfs_used_bytes", "Amount of used space by a layout/data type"), labels: labels,
                try number(scrape, "\(path)/\(mode)/used_bytes"))
            page.add(
                page.gauge("node_btrfs_size_bytes", "Amount of space allocated for a layout/data type"),
                labels: labels, try number(scrape, "\(path)/\(mode)/total_bytes"))
            page.add(
                page.gauge("node_btrfs_allocation_ratio", "Data allocation ratio for a layout/data type"),
                labels: labels, Self.ratio(mode, Double(deviceCount)))
        }
    }

    /// How many bytes of devices a byte of data takes.
    private static func ratio(_ mode: String, _ devices: Double) -> Double {
        switch mode {
        case "single", "raid0": 1
        case "dup", "raid1", "raid10": 2
        case "raid5": devices / (devices - 1)
        case "raid6": devices / (devices - 2)
        default: 0
        }
    }

    // MARK: Asking file systems

    /// Devices by the file system's UUID without dashes, for the mounts that can be asked.
    ///
    /// Source of the structures: the kernel's `include/uapi/linux/btrfs.h`.
    private func devicesOfMounts(_ scrape: NodeScrape) -> [String: [Device]] {
        var points: [String] = []
        for file in ["1/mounts", "mounts"] {
            let found: Void? = try? scrape.files.withFile(scrape.paths.proc(file)) { bytes in
                for line in bytes.lines {
                    let words = line.words(limit: 3)
                    guard words.count == 3, words[2].equals("btrfs") else { continue }
                    points.append(words[1].string.replacingOctalEscapes())
                }
            }
            if found != nil { break }
        }
        var devices: [String: [Device]] = [:]
        for point in points {
            let descriptor = open(scrape.paths.root(point), O_RDONLY | O_CLOEXEC | O_DIRECTORY | O_NONBLOCK)
            guard descriptor >= 0 else { continue }
            defer { close(descriptor) }
            if let (uuid, found) = Self.ask(descriptor), devices[uuid] == nil { devices[uuid] = found }
        }
        return devices
    }

    private static func ask(_ descriptor: Int32) -> (uuid: String, devices: [Device])? {
        var info = [UInt8](repeating: 0, count: 1024)
        guard ioctl(descriptor, 0x8400_941F, &info) == 0 else { return nil }
        let last = number(info, 0)
        let count = number(info, 8)
        var devices: [Device] = []
        var id: UInt64 = 0
        // Numbers of devices have gaps, but few.
        while id <= min(last, 65_535), UInt64(devices.count) < count {
            defer { id += 1 }
            var device = [UInt8](repeating: 0, count: 4096)
            withUnsafeBytes(of: id) { device.replaceSubrange(0..<8, with: $0) }
            if ioctl(descriptor, 0xD000_941E, &device) != 0 {
                if errno == ENODEV { continue }
                return nil
            }
            var stats = [UInt8](repeating: 0, count: 1032)
            withUnsafeBytes(of: id) { stats.replaceSubrange(0..<8, with: $0) }
            stats[8] = 5
            guard ioctl(descriptor, 0xC408_9434, &stats) == 0 else { return nil }
            let path = String(decoding: device[3072...].prefix { $0 != 0 }, as: UTF8.self)
            devices.append(
                Device(
                    name: path.split(separator: "/").last.map(String.init) ?? "", uuid: hexadecimal(device[8..<24]),
                    used: number(device, 24), total: number(device, 32),
                    errors: (0..<5).map { number(stats, 24 + 8 * $0) }))
        }
        return (hexadecimal(info[16..<32]), devices)
    }

    private static func number(_ bytes: [UInt8], _ offset: Int) -> UInt64 {
        bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: UInt64.self) }
    }

    private static func hexadecimal(_ bytes: ArraySlice<UInt8>) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}

extension String {
    /// With `\040` and its like, as mount tables write spaces, turned back.
    fileprivate func replacingOctalEscapes() -> String {
        var bytes: [UInt8] = []
        var rest = Array(utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "\\"), rest.count >= 3,
                let value = UInt8(String(decoding: rest.prefix(3), as: UTF8.self), radix: 8)
            {
                bytes.append(value)
                rest = rest.dropFirst(3)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
