import Essentials
import Glibc
import TextFormats

/// A path or pattern of files with target groups, in the dialect of Go's `path/filepath`.
struct TargetFilePattern: Sendable, Hashable {
    let text: String
    private let glob: Glob

    init(_ text: String) throws(GlobError) {
        self.text = text
        glob = try Glob(text, .plain)
    }

    /// The paths that match now. Blocks. A path without wildcards is kept as written.
    var paths: [String] {
        let isPattern = text.utf8.contains { [0x2A, 0x3F, 0x5B, 0x5C].contains($0) }
        if isPattern { return glob.expand(limits: Glob.Limits(matches: TargetFiles.maximumFiles)).paths }
        return text.isEmpty || TargetFiles.isAbsent(text) ? [] : [text]
    }
}

/// The files a discovery follows: what they looked like and how many groups each gave.
///
/// A value that is scanned on a thread for blocking calls and taken back.
struct TargetFiles: Sendable {
    /// Files followed at once.
    static let maximumFiles = 10_000
    /// Bytes of one file.
    static let maximumSize = ByteCount.mebibytes(64)

    /// What one look at the files found.
    struct Changes: Sendable {
        var groups: [TargetGroup.Key: TargetGroup?] = [:]
        var failures: [(path: String, error: String)] = []
        var timestamps: [(path: String, seconds: Int)] = []
        var gone: [String] = []
        /// Whether any file was read.
        var hasRead = false
    }

    /// What distinguishes one state of a file from the next.
    private struct Stamp: Sendable, Equatable {
        var device: UInt64
        var inode: UInt64
        var size: Int64
        var modifiedSeconds: Int
        var modifiedNanoseconds: Int
        var changedSeconds: Int
        var changedNanoseconds: Int

        init(_ status: stat) {
            device = UInt64(status.st_dev)
            inode = UInt64(status.st_ino)
            size = Int64(status.st_size)
            modifiedSeconds = status.st_mtim.tv_sec
            modifiedNanoseconds = status.st_mtim.tv_nsec
            changedSeconds = status.st_ctim.tv_sec
            changedNanoseconds = status.st_ctim.tv_nsec
        }
    }

    private struct Followed: Sendable {
        /// As of the last attempt to read; nil when the file could not even be looked at.
        var stamp: Stamp?
        var groupCount = 0
        var isRead = false
        var error: String?
    }

    private let patterns: [TargetFilePattern]
    private var files: [String: Followed] = [:]

    init(patterns: [TargetFilePattern]) { self.patterns = patterns }

    /// Files that have been read at least once.
    var readPaths: [String] { files.filter(\.value.isRead).map(\.key) }

    /// Why not all files are up to date; nil when they are.
    var problem: String? {
        let failed = files.filter { $0.value.error != nil }.sorted { $0.key < $1.key }
        guard let first = failed.first else { return nil }
        let others = failed.count > 1 ? " (and \(failed.count - 1) more)" : ""
        return "file \(first.key): \(first.value.error ?? "")\(others)"
    }

    /// Looks at all files and reads those that changed, or all. Blocks.
    mutating func scan(readsAll: Bool) -> Changes {
        var changes = Changes()
        var present: Set<String> = []
        for pattern in patterns {
            for path in pattern.paths where present.count < Self.maximumFiles { present.insert(path) }
        }
        for (path, known) in files where !present.contains(path) {
            // A directory that can no longer be listed does not take its files away.
            if !Self.isAbsent(path) {
                present.insert(path)
                continue
            }
            for index in 0..<known.groupCount { changes.groups[.init(source: path, index: index)] = .some(nil) }
            if known.isRead { changes.gone.append(path) }
            files[path] = nil
        }
        for path in present.sorted() { look(at: path, readsAll: readsAll, &changes) }
        return changes
    }

    private mutating func look(at path: String, readsAll: Bool, _ changes: inout Changes) {
        var known = files[path] ?? Followed()
        let isNew = files[path] == nil
        defer { files[path] = known }
        var status = stat()
        guard stat(path, &status) == 0 else {
            let error = "\(SystemError("stat", path))"
            if isNew || readsAll || known.stamp != nil || known.error != error {
                changes.failures.append((path, error))
            }
            known.stamp = nil
            known.error = error
            return
        }
        // Taken before reading: what is written meanwhile makes the next look find another one.
        let stamp = Stamp(status)
        if stamp == known.stamp, !readsAll { return }
        known.stamp = stamp
        changes.hasRead = true
        do {
            let groups = try Self.read(path, isRegular: status.st_mode & S_IFMT == S_IFREG)
            for (index, group) in groups.enumerated() {
                changes.groups[.init(source: path, index: index)] = .some(group)
            }
            if groups.count < known.groupCount {
                for index in groups.count..<known.groupCount {
                    changes.groups[.init(source: path, index: index)] = .some(nil)
                }
            }
            known.groupCount = groups.count
            known.isRead = true
            known.error = nil
            changes.timestamps.append((path, stamp.modifiedSeconds))
        } catch {
            known.error = "\(error)"
            changes.failures.append((path, "\(error)"))
        }
    }

    private static func read(_ path: String, isRegular: Bool) throws -> [TargetGroup] {
        let name = path[(path.lastIndex(of: "/").map { path.index(after: $0) } ?? path.startIndex)...]
        let suffix = name.lastIndex(of: ".").map { name[$0...].lowercased() } ?? ""
        guard [".json", ".yml", ".yaml"].contains(suffix) else {
            throw Unusable(description: "the name must end in .json, .yml or .yaml")
        }
        // Opening a pipe would wait for a writer.
        guard isRegular else { throw Unusable(description: "not a regular file") }
        let bytes = try Files.read(path, limit: maximumSize)
        let label = (name: "__meta_filepath", value: path)
        return suffix == ".json"
            ? try TargetGroupParser.json(bytes, adding: label) : try TargetGroupParser.yaml(bytes, adding: label)
    }

    private struct Unusable: Error, CustomStringConvertible { let description: String }

    /// Whether the system says that there is nothing at a path; false when it cannot tell.
    static func isAbsent(_ path: String) -> Bool {
        var status = stat()
        return lstat(path, &status) != 0 && (errno == ENOENT || errno == ENOTDIR)
    }
}
