import Essentials
import Glibc

/// Caches and memory bandwidth of groups, from the kernel's resctrl file system.
///
/// Source of the files: the kernel's Documentation/arch/x86/resctrl.rst. As google/cadvisor, a group whose threads no
/// monitoring group has for itself gets one, `cadvisor-NAME`, which goes when the group does. One owner at a time.
final class ResourceControl {
    /// What one cache's processors use; nil where it is not monitored.
    struct Usage: Equatable {
        var cache: UInt64?
        var bandwidth: UInt64?
        var localBandwidth: UInt64?
    }

    private struct Group {
        var path: String
        /// When it is looked for again, on the monotonic clock.
        var next: Int64
    }

    /// Files of a control group, which are no groups.
    private static let files: Set<String> = ["info", "mon_data", "mon_groups"]
    private static let prefix = "cadvisor-"

    private let root: String
    private let monitorsCaches: Bool
    private let monitorsBandwidth: Bool
    private let interval: Duration
    private var groups: [String: Group] = [:]

    /// Nil where the file system is not mounted or monitors nothing. An `interval` of zero looks for a group's place once.
    init?(_ files: ProcFiles, proc: String, interval: Duration) {
        let mount: String?? = try? files.withFile(proc + "/self/mountinfo") { bytes in
            for line in bytes.lines {
                let words = line.words()
                guard let end = words.firstIndex(where: { $0.equals("-") }), end > 4, end + 1 < words.count,
                    words[end + 1].equals("resctrl")
                else { continue }
                return words[4].string
            }
            return nil
        }
        guard let mount, let mount else { return nil }
        root = mount
        let features = ((try? files.text(mount + "/info/L3_MON/mon_features")) ?? "").split(separator: "\n")
        monitorsCaches = features.contains("llc_occupancy")
        monitorsBandwidth = features.contains("mbm_total_bytes")
        guard monitorsCaches || monitorsBandwidth else { return nil }
        self.interval = interval
    }

    deinit { for group in groups.values { Self.remove(group.path) } }

    /// Forgets groups that are no longer among `names`.
    func begin(keeping names: [String]) {
        let kept = Set(names)
        for (name, group) in groups where !kept.contains(name) {
            Self.remove(group.path)
            groups[name] = nil
        }
    }

    /// Only what was made here goes.
    private static func remove(_ path: String) {
        guard path.split(separator: "/").last?.hasPrefix(prefix) == true else { return }
        rmdir(path)
    }

    /// By cache; empty when the group's threads are not monitored. `processes` are those of the group `name`.
    func usage(of name: String, _ processes: [UInt64], proc: String, now: Int64, _ files: ProcFiles) -> [Usage] {
        guard let path = place(of: name, processes, proc: proc, now: now, files) else { return [] }
        var usages: [Usage] = []
        for domain in (try? Files.list(path + "/mon_data")) ?? [] {
            func number(_ file: String) -> UInt64? { try? files.unsigned("\(path)/mon_data/\(domain)/\(file)") }
            usages.append(
                Usage(
                    cache: monitorsCaches ? number("llc_occupancy") : nil,
                    bandwidth: monitorsBandwidth ? number("mbm_total_bytes") : nil,
                    localBandwidth: monitorsBandwidth ? number("mbm_local_bytes") : nil))
        }
        return usages
    }

    private func place(
        of name: String, _ processes: [UInt64], proc: String, now: Int64, _ files: ProcFiles
    ) -> String? {
        if name == "/" { return root }
        if let known = groups[name], interval == .zero || now < known.next { return known.path }
        guard !processes.isEmpty else { return groups[name]?.path }
        let threads = Set(
            processes.flatMap { id in
                ((try? Files.list("\(proc)/\(id)/task")) ?? []).compactMap { UInt64($0) }
            })
        guard !threads.isEmpty, let control = control(of: threads, files) else { return nil }
        let found = monitor(of: threads, in: control, name, files)
        if let old = groups[name], old.path != found { Self.remove(old.path) }
        groups[name] = found.map { Group(path: $0, next: now &+ interval.nanoseconds) }
        return found
    }

    private static func tasks(_ path: String, _ files: ProcFiles) -> Set<UInt64>? {
        try? files.withFile(path + "/tasks") { Set($0.lines.compactMap(\.unsigned)) }
    }

    /// The control group all threads are in.
    private func control(of threads: Set<UInt64>, _ files: ProcFiles) -> String? {
        let children = ((try? Files.list(root)) ?? []).filter {
            !Self.files.contains($0) && Directory.isDirectory(root + "/" + $0)
        }
        for path in [root] + children.map({ root + "/" + $0 }) {
            if let tasks = Self.tasks(path, files), threads.isSubset(of: tasks) { return path }
        }
        return nil
    }

    /// A monitoring group of these threads alone, made when there is none. Nil when it cannot be made.
    private func monitor(
        of threads: Set<UInt64>, in control: String, _ name: String, _ files: ProcFiles
    ) -> String? {
        let parent = control + "/mon_groups"
        for child in (try? Files.list(parent)) ?? [] where Self.tasks(parent + "/" + child, files) == threads {
            return parent + "/" + child
        }
        let own = parent + "/" + Self.prefix + String(name.dropFirst().map { $0 == "/" ? "-" : $0 })
        guard mkdir(own, 0o755) == 0 || errno == EEXIST else { return nil }
        for thread in threads.sorted() {
            let text = "\(thread)\n"
            let descriptor = open(own + "/tasks", O_WRONLY | O_APPEND | O_CLOEXEC)
            let isWritten = descriptor >= 0 && write(descriptor, text, text.utf8.count) == text.utf8.count
            let reason = errno
            if descriptor >= 0 { close(descriptor) }
            // One that has ended meanwhile needs no group.
            guard isWritten || reason == ESRCH else {
                rmdir(own)
                return nil
            }
        }
        return own
    }
}
