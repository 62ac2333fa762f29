import Essentials
import Glibc
import LogSources
import Storage

/// A file that was read in an earlier life of the process, to be found again by what it is.
struct EarlierFile: Sendable, Equatable {
    var fingerprint: FileFingerprint
    /// False when another target reads the rest of the file under the name it has now.
    var isOurs = true

    /// Names looked at in a directory.
    private static let searchLimit = 10_000

    /// Where the file is now.
    enum Place {
        /// The name still stands for it.
        case same
        /// Another name stands for it.
        case elsewhere(OpenFile)
        /// It is not found; whether there may have been more in it to read.
        case gone(mayHaveMore: Bool)
    }

    /// Looks where the file is that `path` stood for; `named` is what `path` stands for now. Blocks.
    ///
    /// The same beginning makes a file the same, whatever its inode says: it may have been copied or its file system
    /// mounted anew. Unless the old inode is found beside it: then it is a new file that begins alike.
    func find(_ path: String, _ named: OpenFile.Status?) -> Place {
        var isAlike = false
        if let named, named.isRegular, named.size >= fingerprint.position, let file = try? OpenFile(path) {
            isAlike = beginsAlike(file)
            if isAlike, named.inode == fingerprint.inode, named.device == fingerprint.device { return .same }
        }
        guard isOurs else { return isAlike ? .same : .gone(mayHaveMore: false) }
        let siblings = siblings(of: path)
        if let renamed = siblings.first(where: { $0.status.inode == fingerprint.inode }) {
            return .elsewhere(renamed.file)
        }
        if isAlike { return .same }
        // A copy, as copytruncate makes; the newest that is named after the file.
        let name = path.lastComponent
        let stem = name.firstIndex(of: ".").map { String(name[..<$0]) } ?? name
        let copies = siblings.filter { !stem.isEmpty && $0.name.hasPrefix(stem) }
        if let copy = copies.max(by: { $0.status.modified < $1.status.modified }) { return .elsewhere(copy.file) }
        return .gone(mayHaveMore: true)
    }

    /// Whether `file` begins with the bytes of the fingerprint.
    func beginsAlike(_ file: OpenFile) -> Bool {
        guard let head = try? file.bytes(at: 0, upTo: fingerprint.headBytes), head.count == fingerprint.headBytes else {
            return false
        }
        return FileFingerprint.hash(head) == fingerprint.headHash
    }

    private struct Sibling {
        var name: String
        var status: OpenFile.Status
        var file: OpenFile
    }

    /// The other files of the directory that begin alike and have at least what was read.
    private func siblings(of path: String) -> [Sibling] {
        var directories = [path.directory]
        if let real = realPath(path)?.directory, real != directories[0] { directories.append(real) }
        var found: [Sibling] = []
        for directory in directories {
            for name in ((try? Files.list(directory)) ?? []).prefix(Self.searchLimit) {
                let candidate = directory + (directory.hasSuffix("/") ? "" : "/") + name
                guard candidate != path, let status = try? OpenFile.status(of: candidate), status.isRegular,
                    status.size >= fingerprint.position, let file = try? OpenFile(candidate), beginsAlike(file)
                else { continue }
                found.append(Sibling(name: name, status: status, file: file))
            }
        }
        return found
    }

    private func realPath(_ path: String) -> String? {
        guard let text = realpath(path, nil) else { return nil }
        defer { free(text) }
        return String(cString: text)
    }
}

extension String {
    fileprivate var lastComponent: String { lastIndex(of: "/").map { String(self[index(after: $0)...]) } ?? self }

    fileprivate var directory: String {
        guard let slash = lastIndex(of: "/") else { return "." }
        return slash == startIndex ? "/" : String(self[..<slash])
    }
}
