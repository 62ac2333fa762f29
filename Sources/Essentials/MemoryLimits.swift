import Glibc

/// What the kernel allows this process.
package enum MemoryLimits {
    /// The lowest memory limit of this process's control group and the groups around it, version 1 or 2; nil when there
    /// is none. `root` is where the file system begins, for tests.
    package static func controlGroup(root: String = "") -> ByteCount? {
        var lowest: Int?
        for file in files(root) {
            guard let text = try? Files.readText(root + file), let bytes = parse(text) else { continue }
            lowest = min(lowest ?? .max, bytes)
        }
        return lowest.map { ByteCount(bytes: $0) }
    }

    /// Reads a limit file; nil for `max`, and for version 1's way of saying so, a number beyond any memory.
    static func parse(_ text: String) -> Int? {
        guard let line = text.split(separator: "\n").first, let bytes = UInt64(line), bytes > 0, bytes < 1 << 60 else {
            return nil
        }
        return Int(bytes)
    }

    /// The files that may hold a limit, from the process's own group up.
    private static func files(_ root: String) -> [String] {
        var found: [String] = []
        let groups = (try? Files.readText(root + "/proc/self/cgroup")) ?? ""
        for line in groups.split(separator: "\n") {
            let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3 else { continue }
            let isUnified = parts[0] == "0" && parts[1].isEmpty
            guard isUnified || parts[1].split(separator: ",").contains("memory") else { continue }
            let base = isUnified ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory"
            let name = isUnified ? "/memory.max" : "/memory.limit_in_bytes"
            var path = String(parts[2])
            while true {
                if path.hasSuffix("/") { path.removeLast() }
                found.append(base + path + name)
                guard let slash = path.lastIndex(of: "/") else { break }
                path = String(path[..<slash])
            }
        }
        // Inside a container the path may be that of the host, of which only the own end is mounted here.
        return found + ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]
    }
}
