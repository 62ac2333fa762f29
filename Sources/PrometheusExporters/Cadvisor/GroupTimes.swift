import Glibc

/// When the control groups were made, remembered from scrape to scrape. Not for concurrent use.
final class GroupTimes {
    private struct Creation {
        /// The number of the group's directory, which a later group of the same name does not have.
        var inode: UInt
        var time: Int64
    }

    private var known: [String: Creation] = [:]

    /// Forgets the groups that are gone.
    func begin(keeping names: [String]) {
        if known.count <= names.count { return }
        let names = Set(names)
        known = known.filter { names.contains($0.key) }
    }

    /// The oldest time of the directories of a group, at most `now`.
    func createdAt(_ name: String, in tree: CgroupTree, now: Int64) -> Int64 {
        var status = stat()
        guard let directory = tree.directory("cpu", name), stat(directory, &status) == 0 else {
            return Self.oldest(name, tree, now)
        }
        if let creation = known[name], creation.inode == status.st_ino { return creation.time }
        let time = Self.oldest(name, tree, now)
        known[name] = Creation(inode: status.st_ino, time: time)
        return time
    }

    private static func oldest(_ name: String, _ tree: CgroupTree, _ now: Int64) -> Int64 {
        var oldest = now
        for directory in tree.directories(of: name) {
            // The directory changes with what is made in it; this file does not.
            let file = directory + (tree.isUnified ? "/cgroup.events" : "/cgroup.clone_children")
            for path in [directory, file] {
                var status = stat()
                if stat(path, &status) == 0 { oldest = min(oldest, Int64(status.st_mtim.tv_sec)) }
            }
        }
        return oldest
    }
}
