import Essentials
import Glibc

/// Looking into the directories of `/sys`.
enum Directory {
    /// Names that begin with `prefix` and go on with a digit, sorted as text; none when the directory is missing.
    static func numbered(_ path: String, _ prefix: String) -> [String] {
        ((try? Files.list(path)) ?? []).filter { name in
            guard name.hasPrefix(prefix), let next = name.utf8.dropFirst(prefix.utf8.count).first else { return false }
            return next >= 48 && next <= 57
        }
    }

    /// The last part of a path without its links; nil when it does not exist.
    static func resolved(_ path: String) -> String? {
        guard let resolved = realpath(path, nil) else { return nil }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    static func isDirectory(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }
}

/// Turns a missing file or directory into ``NoData``.
func noDataIfMissing<Result>(_ body: () throws -> Result) throws -> Result {
    do {
        return try body()
    } catch let error as SystemError where error.isNotFound {
        throw NoData(reason: "\(error)")
    }
}

/// As ``noDataIfMissing(_:)``, also for files that only others may read.
func noDataIfClosed<Result>(_ body: () throws -> Result) throws -> Result {
    do {
        return try noDataIfMissing(body)
    } catch let error as SystemError where error.code == EACCES || error.code == EPERM {
        throw NoData(reason: "\(error)")
    }
}
