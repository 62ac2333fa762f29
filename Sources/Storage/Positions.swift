package import Essentials
import Glibc
import Synchronization

/// What a position belongs to: a file (or another source's cursor) and the labels it is read with.
package struct PositionKey: Sendable, Hashable {
    /// An absolute path, or a name beginning with `cursor-`.
    package var path: String
    /// The labels as Go prints them (`{job="app"}`); part of the key as it stands.
    package var labels: String

    package init(path: String, labels: String) {
        self.path = path
        self.labels = labels
    }

    /// The key of a source that is not a file, as upstream names it.
    package static func cursor(_ name: String) -> PositionKey {
        PositionKey(path: "cursor-\(name)", labels: "{}")
    }

    /// True for keys that stand for a file, which go when the file does.
    var isFile: Bool { !path.hasPrefix("cursor-") && !path.hasPrefix("journal-") }
}

/// How far each source was read and acknowledged, kept in a file as Alloy keeps it.
///
/// Changes are made in memory and written by ``save()``, which replaces the file so that a crash leaves the old or the new
/// positions. What was read since the last save is read again after a crash. Fingerprints of files stand in a file of
/// their own beside it, written second: one that is older than its position is still right about the file it names.
package final class Positions: Sendable {
    private struct State: ~Copyable {
        var positions: [PositionKey: String]
        var fingerprints: [PositionKey: FileFingerprint]
        /// Grows with each change; what is on disk is `saved`.
        var version: UInt64 = 0
        var saved: UInt64 = 0
        /// A file is known that the fingerprints on disk do not tell of.
        var hasNewFile = false
    }

    /// How often upstream writes its file.
    package static let interval: Duration = .seconds(10)
    /// How soon a new file's fingerprint is written: without it a file that is renamed after a kill is not found.
    private static let newFileInterval: Duration = .seconds(1)

    package let path: String
    private let state: Mutex<State>
    /// Why fingerprints could not be read at opening; files are then found by name alone.
    package let fingerprintProblem: String?
    /// Held over a write, so that an older state never replaces a newer one.
    private let writing = Mutex<Void>(())

    /// Reads the file at `path`; a file that is not there is empty. Throws `SystemError` or `PositionsError`. Blocks.
    package init(path: String) throws {
        self.path = path
        var positions: [PositionKey: String] = [:]
        do {
            positions = try PositionsText.parse(try Files.read(path))
        } catch let error as SystemError where error.isNotFound {
        } catch let error as PositionsError {
            throw PositionsError("invalid yaml positions file [\(path)]: \(error)")
        }
        var fingerprints: [PositionKey: FileFingerprint] = [:]
        var problem: String?
        do {
            fingerprints = try FingerprintText.parse(try Files.read(Self.fingerprintPath(of: path)))
        } catch let error as SystemError where error.isNotFound {
        } catch {
            problem = "\(error)"
        }
        fingerprintProblem = problem
        // A position that is gone takes its fingerprint along.
        fingerprints = fingerprints.filter { positions[$0.key] != nil }
        state = Mutex(State(positions: positions, fingerprints: fingerprints))
    }

    private static func fingerprintPath(of path: String) -> String { path + ".fingerprints" }

    package var count: Int { state.withLock { $0.positions.count } }

    /// Every key with its position.
    package var all: [PositionKey: String] { state.withLock { $0.positions } }

    /// The position of `key` as text.
    package subscript(key: PositionKey) -> String? {
        get { state.withLock { $0.positions[key] } }
        set {
            state.withLock { state in
                guard state.positions[key] != newValue else { return }
                state.positions[key] = newValue
                state.version &+= 1
            }
        }
    }

    /// The position of `key` as a byte offset; nil when there is none. Throws when it is not a number.
    package func offset(of key: PositionKey) throws(PositionsError) -> Int64? {
        guard let text = self[key] else { return nil }
        guard let offset = Int64(text) else {
            throw PositionsError("position `\(text)` of \(key.path) is not a byte offset")
        }
        return offset
    }

    /// Notes that everything before byte `offset` is taken care of.
    package func set(_ key: PositionKey, to offset: Int64) { self[key] = String(offset) }

    /// As ``set(_:to:)``, for the file that `fingerprint` tells from others.
    package func set(_ key: PositionKey, to offset: Int64, _ fingerprint: FileFingerprint) {
        let text = String(offset)
        state.withLock { state in
            guard state.positions[key] != text || state.fingerprints[key] != fingerprint else { return }
            let known = state.fingerprints.updateValue(fingerprint, forKey: key)
            if known?.inode != fingerprint.inode || known?.device != fingerprint.device { state.hasNewFile = true }
            state.positions[key] = text
            state.version &+= 1
        }
    }

    package func remove(_ key: PositionKey) {
        self[key] = nil
        state.withLock { $0.fingerprints[key] = nil }
    }

    /// The fingerprints of the files read so far, by key.
    package var fingerprints: [PositionKey: FileFingerprint] { state.withLock { $0.fingerprints } }

    /// Writes the file if anything changed since it was written. Blocks.
    package func save() throws {
        try writing.withLock { _ in
            let (positions, fingerprints, version, isChanged) = state.withLock { state in
                state.hasNewFile = false
                return (state.positions, state.fingerprints, state.version, state.version != state.saved)
            }
            guard isChanged || !Files.exists(path) else { return }
            try Files.replace(path, with: PositionsText.text(positions), mode: 0o600)
            let beside = Self.fingerprintPath(of: path)
            if !fingerprints.isEmpty || Files.exists(beside) {
                try Files.replace(beside, with: FingerprintText.text(fingerprints), mode: 0o600)
            }
            state.withLock { $0.saved = version }
        }
    }

    /// Forgets the positions of files that are gone, unless `isInUse` says that one is read all the same. Blocks.
    package func removeMissingFiles(isInUse: (PositionKey) -> Bool = { _ in false }) {
        let keys = state.withLock { $0.positions.keys.filter(\.isFile) }
        for key in keys where !isInUse(key) {
            var status = stat()
            if stat(key.path, &status) != 0, errno == ENOENT { remove(key) }
        }
    }

    /// Writes the file every `interval` until cancelled, and soon after a new file was read; leaves out files that are
    /// gone, unless `isInUse` says that one is read under another name. Call ``save()`` once more when every reader has
    /// stopped.
    package func saveRegularly(
        every interval: Duration = Positions.interval, clock: EngineClock, on pool: BlockingPool, log: Log,
        isInUse: @escaping @Sendable (PositionKey) -> Bool = { _ in false }
    ) async {
        var due = clock.monotonicNanoseconds &+ interval.nanoseconds
        while true {
            do {
                let soon = clock.monotonicNanoseconds &+ Self.newFileInterval.nanoseconds
                try await clock.sleep(untilMonotonic: min(due, soon))
                let isDue = clock.monotonicNanoseconds >= due
                if isDue { due = clock.monotonicNanoseconds &+ interval.nanoseconds }
                guard isDue || state.withLock({ $0.hasNewFile }) else { continue }
                try await pool.run { [self] in
                    try save()
                    if isDue { removeMissingFiles(isInUse: isInUse) }
                }
            } catch is CancellationError {
                return
            } catch {
                log.error("error writing positions file", error)
            }
        }
    }

    /// What became of a legacy positions file.
    package enum LegacyConversion: Sendable, Equatable {
        case converted(Int)
        /// There is none, or it is empty.
        case absent
        /// It is not a positions file; the text says why.
        case invalid(String)
        /// The new file exists already.
        case superseded
    }

    /// Writes the positions of promtail's (or the static agent's) file at `legacy` to `path` unless there is a file
    /// already. Throws `SystemError` when the legacy file exists but cannot be read. Blocks.
    package static func convertLegacy(_ legacy: String, to path: String) throws -> LegacyConversion {
        let bytes: [UInt8]
        do {
            bytes = try Files.read(legacy)
        } catch let error as SystemError where error.isNotFound {
            return .absent
        }
        if bytes.isEmpty { return .absent }
        let positions: [String: String]
        do throws(PositionsError) {
            positions = try PositionsText.parseLegacy(bytes)
        } catch {
            return .invalid(error.message)
        }
        var status = stat()
        if stat(path, &status) == 0, status.st_size > 0 { return .superseded }
        var converted: [PositionKey: String] = [:]
        for (file, position) in positions { converted[PositionKey(path: file, labels: "{}")] = position }
        try Files.replace(path, with: PositionsText.text(converted), mode: 0o600)
        return .converted(converted.count)
    }
}
