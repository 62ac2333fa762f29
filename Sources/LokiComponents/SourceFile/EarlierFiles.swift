import LogSources
import Storage
import Synchronization

/// The files that were read in an earlier life, each handed out to one target.
final class EarlierFiles: Sendable {
    private let state: Mutex<[PositionKey: EarlierFile]>
    private let hasSeenTargets = Atomic(false)
    let isEmpty: Bool

    init(_ fingerprints: [PositionKey: FileFingerprint]) {
        isEmpty = fingerprints.isEmpty
        state = Mutex(fingerprints.mapValues { EarlierFile(fingerprint: $0) })
    }

    /// The file that the position of `key` belongs to; nil when that is not known or was asked before.
    func take(_ key: PositionKey) -> EarlierFile? { state.withLock { $0.removeValue(forKey: key) } }

    /// Whether the file of `key` may yet be asked for: until there were targets, that is every one known.
    func isAwaited(_ key: PositionKey) -> Bool {
        !hasSeenTargets.load(ordering: .acquiring) && state.withLock { $0[key] != nil }
    }

    /// The first targets have their files now.
    func noteTargets() { hasSeenTargets.store(true, ordering: .releasing) }

    /// Those of `candidates`, files without a position, that were read before under another name and the same labels,
    /// with how far. Blocks.
    func claim(_ candidates: [PositionKey]) -> [PositionKey: Int64] {
        let known = state.withLock { $0 }
        if known.isEmpty { return [:] }
        var byInode: [UInt64: [PositionKey]] = [:]
        for (key, file) in known { byInode[file.fingerprint.inode, default: []].append(key) }
        var claimed: [PositionKey: Int64] = [:]
        for candidate in candidates {
            guard let status = try? OpenFile.status(of: candidate.path), status.isRegular,
                let file = try? OpenFile(candidate.path)
            else { continue }
            for key in byInode[status.inode] ?? [] where key.labels == candidate.labels && key.path != candidate.path {
                guard let earlier = known[key], earlier.isOurs, status.size >= earlier.fingerprint.position,
                    earlier.beginsAlike(file)
                else { continue }
                // A second name for a file that still has its first one is a file of its own.
                if let named = try? OpenFile.status(of: key.path), named.isSameFile(as: status) { continue }
                claimed[candidate] = earlier.fingerprint.position
                state.withLock { $0[key]?.isOurs = false }
                break
            }
        }
        return claimed
    }
}
