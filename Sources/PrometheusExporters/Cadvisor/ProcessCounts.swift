import Essentials
import Glibc

/// Processes of a group, with what they have open.
struct ProcessCounts {
    var processes = 0
    var descriptors = 0
    var sockets = 0
    /// Soft limit of the first process; -1 without limit, nil when it is not known.
    var openFilesLimit: Double?

    init(group: String, proc: String, firstProcess: Int, files: ProcFiles) {
        let ids = (try? files.withFile(group + "/cgroup.procs") { $0.lines.compactMap(\.unsigned) }) ?? []
        processes = ids.count
        for id in ids { count(proc + "/\(id)/fd") }
        guard firstProcess > 0 else { return }
        openFilesLimit =
            (try? files.withFile(proc + "/\(firstProcess)/limits") { bytes -> Double? in
                for line in bytes.lines where line.starts(with: "Max open files") {
                    let words = line.part(14..<line.count).words(limit: 1)
                    return words.first.flatMap { $0.equals("unlimited") ? -1 : $0.number }
                }
                return nil
            }) ?? nil
    }

    private mutating func count(_ path: String) {
        guard let stream = opendir(path) else { return }
        defer { closedir(stream) }
        let directory = dirfd(stream)
        var target = [CChar](repeating: 0, count: 8)
        while let entry = readdir(stream) {
            let isSocket: Bool? = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { name in
                    if name[0] == CChar(UInt8(ascii: ".")) { return nil }
                    let length = readlinkat(directory, name, &target, target.count)
                    return length >= 6 && memcmp(target, "socket", 6) == 0
                }
            }
            guard let isSocket else { continue }
            descriptors += 1
            if isSocket { sockets += 1 }
        }
    }
}
