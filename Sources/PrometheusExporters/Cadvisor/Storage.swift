import CLinux
import Essentials
import Glibc

/// What `/proc/diskstats` tells about a device.
struct DiskCounters {
    var name = ""
    /// Reads, merged, sectors, milliseconds; the same of writes; in progress, milliseconds, weighted milliseconds.
    var values: [UInt64] = []

    func value(_ index: Int) -> Double { index < values.count ? Double(values[index]) : 0 }
}

/// A mounted file system.
struct MountedFileSystem {
    var device: String
    var major: UInt64
    var minor: UInt64
    var mountPoint: String
}

/// Disks and file systems of the machine.
enum MachineStorage {
    private static let types: Set<String> = [
        "btrfs", "exfat", "ext2", "ext3", "ext4", "f2fs", "fat", "hfs", "hfsplus", "iso9660", "jfs", "msdos", "ntfs",
        "overlay", "reiserfs", "squashfs", "tmpfs", "udf", "vfat", "xfs", "zfs",
    ]

    struct Device: Hashable {
        var major: UInt64
        var minor: UInt64
    }

    static func disks(_ files: ProcFiles, proc: String) -> [Device: DiskCounters] {
        var disks: [Device: DiskCounters] = [:]
        _ = try? files.withFile(proc + "/diskstats") { bytes in
            for line in bytes.lines {
                let words = line.words(limit: 14)
                guard words.count == 14, let major = words[0].unsigned, let minor = words[1].unsigned else { continue }
                disks[Device(major: major, minor: minor)] = DiskCounters(
                    name: words[2].string, values: words[3...].map { $0.unsigned ?? 0 })
            }
        }
        return disks
    }

    /// Local file systems, each device once. Those of the network are left out: one that hangs would hold up all.
    static func fileSystems(_ files: ProcFiles, proc: String) -> [MountedFileSystem] {
        var seen: Set<String> = []
        var mounts: [MountedFileSystem] = []
        _ = try? files.withFile(proc + "/self/mountinfo") { bytes in
            for line in bytes.lines {
                guard let mount = mount(line), seen.insert(mount.device).inserted else { continue }
                mounts.append(mount)
            }
        }
        return mounts
    }

    /// A line such as `36 35 98:0 / /mnt rw,noatime master:1 - ext3 /dev/root rw`.
    private static func mount(_ line: Bytes) -> MountedFileSystem? {
        let words = line.words(limit: 32)
        guard words.count >= 10, let separator = words.firstIndex(where: { $0.equals("-") }),
            separator + 2 < words.count, let (major, minor) = words[2].cut(at: ":"), let first = major.unsigned,
            let second = minor.unsigned
        else { return nil }
        let type = words[separator + 1].string
        guard types.contains(type) else { return nil }
        let point = unescaped(words[4])
        var device = unescaped(words[separator + 2])
        if type == "tmpfs" { device = point }
        if type == "overlay" { device += "_\(first)-\(second)" }
        return MountedFileSystem(device: device, major: first, minor: second, mountPoint: point)
    }

    /// Undoes `\040` and the like.
    static func unescaped(_ text: Bytes) -> String {
        guard text.index(of: "\\") != nil else { return text.string }
        var output: [UInt8] = []
        var index = 0
        while index < text.count {
            if text[index] == UInt8(ascii: "\\"), index + 3 < text.count {
                let digits = text.part((index + 1)..<(index + 4))
                if let value = UInt8(digits.string, radix: 8) {
                    output.append(value)
                    index += 4
                    continue
                }
            }
            output.append(text[index])
            index += 1
        }
        return String(decoding: output, as: UTF8.self)
    }

    /// Capacity, free bytes, inodes and free inodes; nil when the mount does not answer.
    static func space(_ path: String) -> (total: UInt64, free: UInt64, inodes: UInt64, freeInodes: UInt64)? {
        var status = statvfs()
        guard statvfs(path, &status) == 0 else { return nil }
        let unit = UInt64(status.f_frsize)
        return (
            UInt64(status.f_blocks) &* unit, UInt64(status.f_bfree) &* unit, UInt64(status.f_files),
            UInt64(status.f_ffree)
        )
    }
}

/// How much containers wrote, measured by walking their directories: a few at each scrape, and none twice a minute.
final class WrittenBytes {
    struct Usage {
        var bytes: UInt64 = 0
        var inodes: UInt64 = 0
        var measuredAt: Int64 = 0
    }

    private static let lifetime = Duration.seconds(60)
    /// How much of one scrape may go into measuring.
    private static let budget = Duration.milliseconds(20)
    private static let maximumEntries = 500_000

    private var usages: [String: Usage] = [:]
    private var started: Int64 = 0

    /// Forgets containers that are gone and begins to measure.
    func begin(keeping ids: some Sequence<String>, now: Int64) {
        let ids = Set(ids)
        usages = usages.filter { ids.contains($0.key) }
        started = now
    }

    /// The newest measurement, taken now when there is time for it. Nil before the first.
    func usage(_ id: String, paths: [String], clock: EngineClock) -> Usage? {
        let now = clock.monotonicNanoseconds
        if let known = usages[id], now - known.measuredAt < Self.lifetime.nanoseconds { return known }
        guard now - started < Self.budget.nanoseconds else { return usages[id] }
        var usage = Usage(measuredAt: now)
        var left = Self.maximumEntries
        for path in paths { Self.add(path, 0, &left, to: &usage) }
        usages[id] = usage
        return usage
    }

    private static func add(_ path: String, _ depth: Int, _ left: inout Int, to usage: inout Usage) {
        var status = stat()
        guard left > 0, depth < 128, lstat(path, &status) == 0 else { return }
        left -= 1
        usage.bytes &+= UInt64(max(0, status.st_blocks)) &* 512
        usage.inodes += 1
        guard status.st_mode & S_IFMT == S_IFDIR, let stream = opendir(path) else { return }
        defer { closedir(stream) }
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { add(path + "/" + name, depth + 1, &left, to: &usage) }
        }
    }
}
