import Essentials
import Glibc

/// The control groups of the machine: one hierarchy (version 2), or one per controller (version 1).
///
/// Files: the kernel's Documentation/admin-guide/cgroup-v2.rst and cgroup-v1.
struct CgroupTree: Sendable {
    /// Controllers of version 1 whose groups count.
    private static let controllers: [String] = ["cpu", "cpuacct", "memory", "blkio", "pids", "cpuset", "hugetlb"]

    /// More groups than a machine can sensibly have; the rest is left out.
    static let maximumGroups = 20_000
    private static let maximumDepth = 32

    let root: String
    let isUnified: Bool
    /// Directories of version 1 by controller.
    private let directories: [String: String]

    init(root: String = "/sys/fs/cgroup") {
        self.root = root
        isUnified = access(root + "/cgroup.controllers", F_OK) == 0
        var found: [String: String] = [:]
        if !isUnified {
            for name in Self.controllers where Directory.isDirectory(root + "/" + name) {
                found[name] = root + "/" + name
            }
        }
        directories = found
    }

    /// The directory of a group, nil when the controller is not there.
    func directory(_ controller: String, _ name: String) -> String? {
        let base = isUnified ? root : directories[controller]
        return base.map { name == "/" ? $0 : $0 + name }
    }

    /// The directories of a group, one per hierarchy that can have it.
    func directories(of name: String) -> [String] {
        if isUnified { return [name == "/" ? root : root + name] }
        return directories.values.map { name == "/" ? $0 : $0 + name }
    }

    /// The names of all groups, sorted, from `/` on.
    func names() -> [String] {
        var names: Set<String> = ["/"]
        for base in isUnified ? [root] : Array(Set(directories.values)) {
            Self.descend(base, "", 0, into: &names)
        }
        return names.sorted()
    }

    private static func descend(_ path: String, _ name: String, _ depth: Int, into names: inout Set<String>) {
        guard depth < maximumDepth, names.count < maximumGroups else { return }
        // A group without groups has two links; asking that is cheaper than opening it.
        var status = stat()
        guard lstat(path, &status) == 0, status.st_nlink != 2, let stream = opendir(path) else { return }
        defer { closedir(stream) }
        while let entry = readdir(stream) {
            guard entry.pointee.d_type == UInt8(DT_DIR) else { continue }
            let child = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            // Mount units hold no processes of containers.
            if child == "." || child == ".." || child.hasSuffix(".mount") { continue }
            let childName = name + "/" + child
            names.insert(childName)
            descend(path + "/" + child, childName, depth + 1, into: &names)
        }
    }

    /// The ID of the container a group is for: 64 letters and digits in its last part. Nil when it is for none.
    static func containerID(_ name: String) -> String? {
        guard let slash = name.utf8.lastIndex(of: UInt8(ascii: "/")) else { return nil }
        let base = name[name.utf8.index(after: slash)...]
        // What monitors a container of CRI-O is not the container.
        if base.hasPrefix("crio-conmon") { return nil }
        var run = 0
        var index = base.utf8.startIndex
        while index < base.utf8.endIndex {
            let byte = base.utf8[index]
            run = (byte >= 48 && byte <= 57) || (byte >= 97 && byte <= 122) ? run + 1 : 0
            index = base.utf8.index(after: index)
            if run == 64 {
                return String(base[base.utf8.index(index, offsetBy: -64)..<index])
            }
        }
        return nil
    }
}
