import Foundation

/// A process of a made-up procfs.
struct FakeProcess {
    var pid: Int
    var name: String
    var parent = 1
    var arguments: [String] = []
    var user = 0
    var cgroup = "/"
    var state = "S"
    /// Hundredths of a second.
    var userTime = 0
    var systemTime = 0
    var start = 1000
    var faults = (minor: 0, major: 0)
    var pages = (resident: 0, virtual: 0)
    var bytes: (read: Int, written: Int)? = (0, 0)
    var switches = (voluntary: 0, involuntary: 0)
    var swapped = 0
    var proportional = (resident: 0, swapped: 0)
    var files = 3
    var limit = "1024"
    var place = "0"
    var threads: [FakeProcess] = []
}

extension FakeTree {
    /// A procfs that began at second 1,700,000,000.
    func writeProcfs(_ processes: [FakeProcess]) throws {
        try write("proc/stat", "cpu  1 2 3 4 5 6 7 8 9 10\nbtime 1700000000\nprocesses 10\n")
        for process in processes { try write(process) }
    }

    func remove(_ name: String) throws { try FileManager.default.removeItem(atPath: path + "/" + name) }

    func write(_ process: FakeProcess) throws {
        let directory = "proc/\(process.pid)"
        try write(process, in: directory)
        try write(
            directory + "/limits",
            """
            Limit                     Soft Limit           Hard Limit           Units
            Max cpu time              unlimited            unlimited            seconds
            Max open files            \(process.limit)                 4096                 files
            Max nice priority         0                    0

            """)
        try write(
            directory + "/smaps_rollup",
            """
            1000-2000 ---p 00000000 00:00 0                          [rollup]
            Rss:                 100 kB
            Pss:                 \(process.proportional.resident) kB
            SwapPss:             \(process.proportional.swapped) kB

            """)
        for number in 0..<process.files {
            if FileManager.default.fileExists(atPath: "\(path)/\(directory)/fd/\(number)") { continue }
            try link(directory + "/fd/\(number)", to: "/dev/null")
        }
        let own = process.threads.isEmpty ? [process] : process.threads
        for thread in own { try write(thread, in: directory + "/task/\(thread.pid)") }
    }

    private func write(_ process: FakeProcess, in directory: String) throws {
        let fields: [String] =
            [process.state, "\(process.parent)", "1", "1", "0", "-1", "4194304", "\(process.faults.minor)", "0"]
            + ["\(process.faults.major)", "0", "\(process.userTime)", "\(process.systemTime)", "0", "0", "20", "0"]
            + ["\(max(1, process.threads.count))", "0", "\(process.start)", "\(process.pages.virtual * 4096)"]
            + ["\(process.pages.resident)", "18446744073709551615"] + Array(repeating: "0", count: 27)
        try write(directory + "/stat", "\(process.pid) (\(process.name)) \(fields.joined(separator: " "))\n")
        try write(
            directory + "/status",
            """
            Name:\t\(process.name)
            Tgid:\t\(process.pid)
            Uid:\t\(process.user)\t\(process.user)\t\(process.user)\t\(process.user)
            Gid:\t0\t0\t0\t0
            VmSwap:\t\(process.swapped) kB
            voluntary_ctxt_switches:\t\(process.switches.voluntary)
            nonvoluntary_ctxt_switches:\t\(process.switches.involuntary)

            """)
        try write(directory + "/cmdline", process.arguments.map { $0 + "\0" }.joined())
        try write(directory + "/cgroup", "0::\(process.cgroup)\n")
        try write(directory + "/wchan", process.place)
        if let bytes = process.bytes {
            try write(
                directory + "/io",
                """
                rchar: 1
                wchar: 2
                syscr: 3
                syscw: 4
                read_bytes: \(bytes.read)
                write_bytes: \(bytes.written)
                cancelled_write_bytes: 0

                """)
        }
    }
}
