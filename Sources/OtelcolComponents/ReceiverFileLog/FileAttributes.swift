import Glibc
import LogSources
import Wire

/// Which attributes tell what file a log came from: the `include_file_*` arguments.
struct FileAttributes: Sendable, Equatable {
    var name = true
    var path = false
    var resolvedName = false
    var resolvedPath = false
    var owner = false
    var group = false
    var permissions = false

    /// The attributes of a file. Blocks.
    func entries(_ path: String, _ status: OpenFile.Status) -> [OTLPAnyValue.Map.Entry] {
        var entries: [OTLPAnyValue.Map.Entry] = []
        func add(_ key: String, _ value: String) {
            entries.append(OTLPAnyValue.Map.Entry(key: Array(key.utf8), value: .text(Array(value.utf8))))
        }
        if name { add("log.file.name", Self.lastPart(path)) }
        if self.path { add("log.file.path", path) }
        if resolvedName || resolvedPath {
            let resolved = realpath(path, nil).map { made in
                defer { free(made) }
                return String(cString: made)
            }
            if resolvedName { add("log.file.name_resolved", Self.lastPart(resolved ?? path)) }
            if resolvedPath { add("log.file.path_resolved", resolved ?? path) }
        }
        if owner { add("log.file.owner.name", Self.userName(status.owner)) }
        if group { add("log.file.owner.group.name", Self.groupName(status.group)) }
        if permissions {
            let octal = String(status.permissions & 0o777, radix: 8)
            add("log.file.permissions", String(repeating: "0", count: max(0, 4 - octal.count)) + octal)
        }
        return entries
    }

    private static func lastPart(_ path: String) -> String {
        path.split(separator: "/").last.map(String.init) ?? path
    }

    /// The name of a user; the number of one without a name.
    private static func userName(_ id: UInt32) -> String {
        var record = passwd()
        var room = [CChar](repeating: 0, count: 16_384)
        var found: UnsafeMutablePointer<passwd>?
        guard getpwuid_r(id, &record, &room, room.count, &found) == 0, found != nil, let name = record.pw_name else {
            return String(id)
        }
        return String(cString: name)
    }

    private static func groupName(_ id: UInt32) -> String {
        var record = Glibc.group()
        var room = [CChar](repeating: 0, count: 16_384)
        var found: UnsafeMutablePointer<Glibc.group>?
        guard getgrgid_r(id, &record, &room, room.count, &found) == 0, found != nil, let name = record.gr_name else {
            return String(id)
        }
        return String(cString: name)
    }
}
