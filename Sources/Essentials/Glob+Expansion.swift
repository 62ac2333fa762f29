import Glibc

/// What a pattern found in the file system.
package struct GlobExpansion: Sendable, Hashable {
    /// Sorted by their bytes, each once, written as the pattern begins: absolute or relative.
    package var paths: [String]
    /// Whether a limit ended the search early.
    package var isTruncated: Bool
}

extension Glob {
    /// How far a search may go.
    package struct Limits: Sendable {
        /// Directory entries looked at.
        package var entries: Int
        /// Paths found.
        package var matches: Int
        /// Directories inside each other.
        package var depth: Int

        package init(entries: Int = 1_000_000, matches: Int = 100_000, depth: Int = 64) {
            self.entries = entries
            self.matches = matches
            self.depth = depth
        }
    }

    /// The paths that exist and match, directories too unless `filesOnly`. Blocks: call it from a ``BlockingPool``.
    ///
    /// Symbolic links are followed, except into a directory the search is already inside of. Directories that cannot
    /// be read count as empty. Each directory is read once, whatever the pattern.
    package func expand(filesOnly: Bool = false, limits: Limits = Limits()) -> GlobExpansion {
        var search = GlobSearch(filesOnly: filesOnly, limits: limits)
        for alternative in alternatives { search.run(alternative) }
        return search.finish()
    }
}

private struct GlobSearch {
    private let filesOnly: Bool
    private let limits: Glob.Limits
    private var found: Set<String> = []
    private var entries = 0
    private var isTruncated = false
    /// Device and inode of the directories the search is inside of.
    private var inside: [(dev_t, ino_t)] = []

    init(filesOnly: Bool, limits: Glob.Limits) {
        self.filesOnly = filesOnly
        self.limits = limits
    }

    func finish() -> GlobExpansion {
        let sorted = found.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        return GlobExpansion(paths: sorted, isTruncated: isTruncated)
    }

    mutating func run(_ alternative: Glob.Alternative) {
        if alternative.segments.isEmpty {
            if alternative.isAbsolute { add([UInt8(ascii: "/")], isDirectory: true) }
            return
        }
        walk(alternative.isAbsolute ? [UInt8(ascii: "/")] : [], alternative, alternative.closure([0]))
    }

    /// Looks below `directory` (empty: the current one) for what the segments at `states` match.
    private mutating func walk(_ directory: [UInt8], _ alternative: Glob.Alternative, _ states: Set<Int>) {
        let segments = alternative.segments
        if inside.count >= limits.depth {
            isTruncated = true
            return
        }
        if states.contains(segments.count), !directory.isEmpty { add(directory, isDirectory: true) }
        let open = states.filter { $0 < segments.count }
        if open.isEmpty { return }
        // Names that are known need no listing.
        let isListed = open.contains { if case .literal = segments[$0] { false } else { true } }
        if !isListed {
            for state in open {
                if case .literal(let name) = segments[state] { step(directory, name, alternative, [state], kind: nil) }
            }
            return
        }
        guard let status = Self.status(directory), status.isDirectory else { return }
        if inside.contains(where: { $0.0 == status.device && $0.1 == status.inode }) { return }
        inside.append((status.device, status.inode))
        defer { inside.removeLast() }
        for (name, kind) in list(directory) {
            if isTruncated { return }
            step(directory, name, alternative, open, kind: kind)
        }
    }

    /// Goes from `directory` to the entry `name` with the states that it matches.
    private mutating func step(
        _ directory: [UInt8], _ name: [UInt8], _ alternative: Glob.Alternative, _ states: Set<Int>, kind: UInt8?
    ) {
        let segments = alternative.segments
        var next: Set<Int> = []
        for state in states {
            if case .directories = segments[state] {
                next.insert(state)
            } else if segments[state].matches(name[...]) {
                next.insert(state + 1)
            }
        }
        if next.isEmpty { return }
        var path = directory
        if let last = path.last, last != UInt8(ascii: "/") { path.append(UInt8(ascii: "/")) }
        path += name
        let isDirectory: Bool
        switch kind {
        case UInt8(DT_DIR): isDirectory = true
        case UInt8(DT_REG), UInt8(DT_FIFO), UInt8(DT_SOCK), UInt8(DT_CHR), UInt8(DT_BLK): isDirectory = false
        default:
            if let status = Self.status(path) {
                isDirectory = status.isDirectory
            } else if kind != nil || Self.linkExists(path) {
                isDirectory = false
            } else {
                return
            }
        }
        if isDirectory {
            walk(path, alternative, alternative.closure(next))
        } else {
            let matchesFile = next.contains { state in
                if state == segments.count { return true }
                if case .directories = segments[state] { return state == segments.count - 1 }
                return false
            }
            if matchesFile { add(path, isDirectory: false) }
        }
    }

    private mutating func add(_ path: [UInt8], isDirectory: Bool) {
        if filesOnly, isDirectory { return }
        // A name that is no text cannot be the value of a label or an argument.
        guard let text = String(validating: path, as: UTF8.self) else { return }
        if found.count >= limits.matches {
            isTruncated = true
            return
        }
        found.insert(text)
    }

    private mutating func list(_ directory: [UInt8]) -> [(name: [UInt8], kind: UInt8)] {
        guard let stream = Self.withPath(directory, { opendir($0) }) else { return [] }
        defer { closedir(stream) }
        var names: [(name: [UInt8], kind: UInt8)] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { Array($0.prefix { $0 != 0 }) }
            if name == [UInt8(ascii: ".")] || name == [UInt8(ascii: "."), UInt8(ascii: ".")] { continue }
            entries += 1
            if entries > limits.entries {
                isTruncated = true
                break
            }
            names.append((name, entry.pointee.d_type))
        }
        return names
    }

    private static func status(_ path: [UInt8]) -> (isDirectory: Bool, device: dev_t, inode: ino_t)? {
        var status = stat()
        guard withPath(path, { stat($0, &status) }) == 0 else { return nil }
        return (status.st_mode & S_IFMT == S_IFDIR, status.st_dev, status.st_ino)
    }

    private static func linkExists(_ path: [UInt8]) -> Bool {
        var status = stat()
        return withPath(path, { lstat($0, &status) }) == 0
    }

    private static func withPath<Result>(_ path: [UInt8], _ body: (UnsafePointer<CChar>) -> Result) -> Result {
        var text = path.isEmpty ? [CChar(UInt8(ascii: "."))] : path.map { CChar(bitPattern: $0) }
        text.append(0)
        return text.withUnsafeBufferPointer { buffer in
            // The buffer has at least its terminator.
            body(buffer.baseAddress.unsafelyUnwrapped)
        }
    }
}
