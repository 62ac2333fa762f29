import CLinux

/// How much memory the process uses and may use.
package enum ProcessMemory {
    /// Bytes allocated and not freed; what the allocator keeps for later does not count.
    package static var inUse: Int {
        let information = mallinfo2()
        return Int(clamping: information.uordblks) + Int(clamping: information.hblkhd)
    }

    /// Bytes the process may use: the limit of its control group, else the machine's memory.
    package static var total: Int {
        let limits = [
            number(in: "/sys/fs/cgroup/memory.max"), number(in: "/sys/fs/cgroup/memory/memory.limit_in_bytes"),
            machine,
        ]
        return limits.compactMap(\.self).filter { $0 > 0 }.min() ?? 1 << 30
    }

    private static func number(in path: String) -> Int? {
        guard let text = try? Files.readText(path, limit: .kibibytes(4)) else { return nil }
        return Int(text.filter { $0.isNumber })
    }

    private static var machine: Int? {
        guard let text = try? Files.readText("/proc/meminfo", limit: .mebibytes(1)) else { return nil }
        for line in text.split(separator: "\n") where line.hasPrefix("MemTotal:") {
            return Int(line.filter { $0.isNumber }).map { $0 * 1024 }
        }
        return nil
    }

    /// Keeps resident memory close to what is in use; call it before the first thread is started.
    ///
    /// By default glibc gives each thread an arena of its own, up to eight a core, and what was freed in one is of no use
    /// to the others. Threads have caches for small blocks as well, so that two arenas make nobody wait.
    package static func configureAllocator() {
        mallopt(M_ARENA_MAX, 2)
    }

    /// Gives freed memory back to the system, after a burst that is not expected to come again soon.
    package static func trim() {
        malloc_trim(0)
    }
}
