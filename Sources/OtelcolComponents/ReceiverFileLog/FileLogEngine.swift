import Essentials
import Glibc
import LogSources
import Storage
import Synchronization
import Wire

/// Finds the files of a receiver, follows them through growth, rotation and truncation, and makes entries of them.
///
/// A file is known by its beginning (the fingerprint), its inode and the bytes before the place it was read to. A file that
/// was renamed has the inode; a copy (`copytruncate`) begins alike and goes on alike, and takes over what is left to read
/// when its original was truncated; until then it is a duplicate. A file that begins alike and goes on differently is
/// another one. What no path stands for any more is read to its end while it is open.
///
/// ``step(_:limit:wall:now:)`` reads, ``commit(deletes:)`` makes the places read the places delivered, ``rollBack()`` goes
/// back. Parts of logs that operators hold are not delivered: the place committed is before them. All of it blocks.
final class FileLogEngine: Sendable {
    struct Settings: Sendable {
        var selection: FileSelection
        var reading: TrackedFile.Settings
        var operators: StanzaPipeline
        var fileAttributes: FileAttributes
        var startsAtEnd: Bool
        var fingerprintBytes: Int
        var compression: String
        var locks: Bool
        var forgetsCache: Bool
        var deletes: Bool
        /// Files that stay open between rounds.
        var maximumFiles: Int
        /// Batches of half as many that one round may have; zero is no limit.
        var maximumBatches: Int
    }

    struct Step: Sendable {
        var entries: [StanzaEntry] = []
        var tally = LogTally()
        /// Whether the round is over.
        var isRoundOver = false
        /// What an operator should know, by path.
        var problems: [(path: String, problem: String)] = []
        var opened: [String] = []
        var cannotLoad: String?
    }

    private struct State {
        var files: [Int: TrackedFile] = [:]
        var nextID = 1
        var round = 0
        /// Files of this round that may have something to read.
        var waiting: [Int] = []
        var isInRound = false
        /// Whether files nobody knows are those that were there at the start.
        var isFirstRound = true
        var operators = StanzaPipeline.State(.empty)
        var pipeline = StanzaPipeline.empty
        var touched: Set<Int> = []
        var finished: [Int] = []
        var reported: [String: String] = [:]
        var isChanged = false
        var loadedFrom: String?
        var nextSave: Int64 = .min
    }

    /// Files without a path that are remembered.
    private static let maximumForgotten = 1000

    private let state = Mutex(State())

    /// Files that are open or have a path, and how far they were delivered.
    var positions: [(path: String, position: Int64)] {
        state.withLock { state in
            state.files.values.filter { $0.lastSeen == state.round }.map { ($0.path, $0.committed) }
                .sorted { $0.path < $1.path }
        }
    }

    // MARK: Remembering

    /// Takes over what a file of ``FileLogState`` says, once for each path.
    func load(_ path: String) throws {
        let isLoaded = state.withLock { $0.loadedFrom == path }
        if isLoaded { return }
        let bytes: [UInt8]
        do {
            bytes = try Files.read(path)
        } catch let error as SystemError where error.isNotFound {
            state.withLock { $0.loadedFrom = path }
            return
        }
        let files = try FileLogState.parse(bytes)
        state.withLock { state in
            state.loadedFrom = path
            for known in files {
                let file = TrackedFile(id: state.nextID, path: known.path, fingerprint: known.fingerprint)
                state.nextID += 1
                (file.device, file.inode) = (known.device, known.inode)
                (file.tail, file.committedTail) = (known.tail, known.tail)
                (file.position, file.committed) = (known.position, known.position)
                (file.record, file.committedRecord) = (known.record, known.record)
                file.lastSeen = state.round
                state.files[file.id] = file
            }
            if !files.isEmpty { state.isFirstRound = false }
        }
    }

    /// Writes what is delivered to `path` if anything changed since. With the time of the monotonic clock that is left to
    /// a later call while it would take more than a tenth of all time; without it is done at once.
    func save(_ path: String, clock: EngineClock? = nil) throws {
        let now = clock?.monotonicNanoseconds ?? 0
        let files: [FileLogState.File]? = state.withLock { state in
            guard state.isChanged, clock == nil || now >= state.nextSave else { return nil }
            state.isChanged = false
            return state.files.values.sorted { $0.id < $1.id }.compactMap { file in
                if file.fingerprint.isEmpty { return nil }
                return FileLogState.File(
                    path: file.path, fingerprint: file.fingerprint, tail: file.committedTail, device: file.device,
                    inode: file.inode, position: file.committed, record: file.committedRecord)
            }
        }
        guard let files else { return }
        do {
            try Files.replace(path, with: FileLogState.text(files))
            if let clock {
                let end = clock.monotonicNanoseconds
                state.withLock { $0.nextSave = end &+ (end &- now) &* 9 }
            }
        } catch {
            state.withLock { $0.isChanged = true }
            throw error
        }
    }

    // MARK: Steps

    /// Begins a round or goes on with it and reads about `limit` bytes.
    func step(_ settings: Settings, limit: Int, wall: Int64, now: Int64) -> Step {
        state.withLock { state in
            var step = Step()
            if state.pipeline != settings.operators {
                var output: [StanzaEntry] = []
                state.operators.flushAll(into: &output, &step.tally)
                state.operators.writeSinks(&step.tally)
                step.entries += output
                state.pipeline = settings.operators
                state.operators = StanzaPipeline.State(settings.operators)
            }
            if !state.isInRound { Self.begin(&state, settings, wall, &step) }
            var raw: [StanzaEntry] = []
            var bytes = 0
            while bytes < limit, let id = state.waiting.first {
                guard let file = state.files[id] else {
                    state.waiting.removeFirst()
                    continue
                }
                let before = file.place
                let count = raw.count
                var hasMore = false
                do {
                    let isLost = file.lastSeen < state.round
                    hasMore = try file.read(
                        settings.reading, limit: limit - bytes,
                        isLast: settings.deletes || file.isCompressed || isLost && file.lastSeen < state.round - 2,
                        wall: wall, now: now, into: &raw, &step.tally)
                    if file.position != before.position, try !file.beginsAsBefore() {
                        // Truncated under way: what was read may be of what came after. A copy goes on from before.
                        raw.removeSubrange(count...)
                        file.place = before
                        (file.content, file.inode, hasMore) = (nil, 0, false)
                    }
                } catch {
                    Self.report(&state, file.path, "\(error)", &step)
                }
                bytes += Int(file.position - before.position)
                if file.position != before.position { state.touched.insert(id) }
                if !hasMore {
                    state.waiting.removeFirst()
                    state.finished.append(id)
                }
            }
            for entry in raw { state.operators.process(entry, into: &step.entries, &step.tally) }
            if state.waiting.isEmpty {
                state.operators.flushOld(wall, into: &step.entries, &step.tally)
                state.isInRound = false
                step.isRoundOver = true
            }
            state.operators.writeSinks(&step.tally)
            return step
        }
    }

    /// Lets go of all parts of logs that are held.
    func flush() -> Step {
        state.withLock { state in
            var step = Step()
            state.operators.flushAll(into: &step.entries, &step.tally)
            state.operators.writeSinks(&step.tally)
            return step
        }
    }

    /// What was read is delivered.
    func commit(_ settings: Settings) {
        state.withLock { state in
            var held: [Int: EntryOrigin] = [:]
            for origin in state.operators.origins where held[origin.file].map({ origin.offset < $0.offset }) ?? true {
                held[origin.file] = origin
            }
            let affected = state.touched.union(held.keys)
            // A file whose parts were held before may have none now.
            for (id, file) in state.files where affected.contains(id) || file.committed != file.position {
                let place = held[id]?.offset ?? file.position
                if file.committed != place { state.isChanged = true }
                file.committed = place
                file.committedTail = place == file.position ? file.tail : []
                file.committedRecord = held[id]?.record ?? file.record
            }
            state.touched.removeAll()
            for id in state.finished {
                guard let file = state.files[id], let content = file.content else { continue }
                content.pause()
                if settings.forgetsCache { content.file.forgetCache(upTo: file.position) }
                if settings.deletes, file.lastSeen == state.round, file.committed == file.position {
                    unlink(file.path)
                    state.files[id] = nil
                    state.isChanged = true
                } else if file.lastSeen < state.round - 2 {
                    // Nobody can find it any more and it is read to its end.
                    file.content = nil
                } else if settings.locks || state.files.count > settings.maximumFiles {
                    file.content = nil
                }
            }
            state.finished.removeAll()
        }
    }

    /// What was read is not delivered and will be read again.
    func rollBack() {
        state.withLock { state in
            for file in state.files.values { file.rollBack() }
            state.operators = StanzaPipeline.State(state.pipeline)
            state.touched.removeAll()
            state.finished.removeAll()
            state.waiting.removeAll()
            state.isInRound = false
        }
    }

    /// Closes all files.
    func close() {
        state.withLock { state in
            for file in state.files.values { file.content = nil }
        }
    }

    private static func report(_ state: inout State, _ path: String, _ problem: String, _ step: inout Step) {
        if state.reported[path] == problem { return }
        if state.reported.count > 1000 { state.reported.removeAll() }
        state.reported[path] = problem
        step.problems.append((path, problem))
    }
}

// MARK: Rounds

extension FileLogEngine {
    private struct FileKey: Hashable {
        var device: UInt64
        var inode: UInt64
    }

    /// Looks at all paths and decides which files have something to read.
    private static func begin(_ state: inout State, _ settings: Settings, _ wall: Int64, _ step: inout Step) {
        state.round += 1
        state.isInRound = true
        state.waiting.removeAll()
        var paths = settings.selection.paths(now: wall)
        if settings.maximumBatches > 0 {
            paths = Array(paths.prefix(settings.maximumBatches * max(1, settings.maximumFiles / 2)))
        }
        var byInode: [FileKey: Int] = [:]
        for (id, file) in state.files where file.inode != 0 {
            byInode[FileKey(device: file.device, inode: file.inode)] = id
        }
        for path in paths {
            do {
                try look(path, &state, settings, &byInode, &step)
                state.reported[path] = nil
            } catch {
                report(&state, path, "\(error)", &step)
            }
        }
        // Files no path stands for any more, as long as they are open.
        for (id, file) in state.files where file.lastSeen < state.round && file.content != nil {
            state.waiting.append(id)
        }
        state.waiting.sort()
        let forgotten = state.files.values.filter { $0.lastSeen < state.round && $0.content == nil }
        if forgotten.count > maximumForgotten {
            for file in forgotten.sorted(by: { $0.lastSeen < $1.lastSeen }).prefix(forgotten.count - maximumForgotten) {
                state.files[file.id] = nil
            }
            state.isChanged = true
        }
        state.isFirstRound = false
    }

    private static func look(
        _ path: String, _ state: inout State, _ settings: Settings, _ byInode: inout [FileKey: Int], _ step: inout Step
    ) throws {
        guard let named = try OpenFile.status(of: path), named.isRegular else { return }
        let key = FileKey(device: named.device, inode: named.inode)
        let own = byInode[key].flatMap { state.files[$0] }
        if let own, own.path == path, own.content != nil, own.lastSeen < state.round, own.size == named.size,
            own.modified == named.modified
        {
            // Nothing has changed.
            own.lastSeen = state.round
            if own.position < named.size, !own.isCompressed { state.waiting.append(own.id) }
            return
        }
        let open = try OpenFile(path)
        let status = try open.status()
        if settings.locks, !open.tryLock() { return }
        var isCompressed = settings.compression == "gzip"
        if settings.compression == "auto" { isCompressed = FileContent.isGzip(try open.bytes(at: 0, upTo: 2)) }
        let content = FileContent(open, isCompressed: isCompressed)
        let head = status.size == 0 ? [] : try content.bytes(at: 0, upTo: settings.fingerprintBytes)
        if head.isEmpty {
            // Truncated, or not written yet: what it was before is elsewhere or gone.
            if let own { detach(own, &byInode, key) }
            return
        }
        if let own {
            if own.lastSeen == state.round { return }
            if try own.isContinued(
                by: content, head, size: status.size, fingerprintBytes: settings.fingerprintBytes)
            {
                claim(own, path, content, head, status, &state, settings)
                return
            }
            detach(own, &byInode, key)
        }
        switch try match(content, head, status, state, settings) {
        case .duplicate: return
        case .known(let file):
            byInode[FileKey(device: file.device, inode: file.inode)] = nil
            claim(file, path, content, head, status, &state, settings)
            byInode[key] = file.id
        case .new:
            let file = TrackedFile(id: state.nextID, path: path, fingerprint: head)
            state.nextID += 1
            state.files[file.id] = file
            if settings.startsAtEnd, state.isFirstRound {
                file.position = try content.count(status)
                file.committed = file.position
                let count = min(Int64(TrackedFile.tailBytes), file.position)
                if !isCompressed { file.tail = try content.bytes(at: file.position - count, upTo: Int(count)) }
                file.committedTail = file.tail
            }
            state.isChanged = true
            claim(file, path, content, head, status, &state, settings)
            byInode[key] = file.id
            step.opened.append(path)
        }
    }

    /// The inode holds something else now.
    private static func detach(_ file: TrackedFile, _ byInode: inout [FileKey: Int], _ key: FileKey) {
        file.inode = 0
        file.content = nil
        byInode[key] = nil
    }

    private static func claim(
        _ file: TrackedFile, _ path: String, _ content: FileContent, _ head: [UInt8], _ status: OpenFile.Status,
        _ state: inout State, _ settings: Settings
    ) {
        if file.path != path || file.attributes.isEmpty {
            file.path = path
            state.isChanged = true
        }
        file.attributes = settings.fileAttributes.entries(path, status)
        (file.device, file.inode) = (status.device, status.inode)
        if file.fingerprint != head {
            file.fingerprint = head
            state.isChanged = true
        }
        file.content = content
        (file.size, file.modified) = (status.size, status.modified)
        file.lastSeen = state.round
        if content.isCompressed || file.position < status.size || settings.deletes { state.waiting.append(file.id) }
    }

    private enum Match {
        case new
        /// Another path has the same content.
        case duplicate
        case known(TrackedFile)
    }

    /// Which file that is known by another inode, or by none, goes on in `content`.
    private static func match(
        _ content: FileContent, _ head: [UInt8], _ status: OpenFile.Status, _ state: State, _ settings: Settings
    ) throws -> Match {
        let candidates = state.files.values.sorted {
            ($0.fingerprint.count, $0.lastSeen, $0.id) > ($1.fingerprint.count, $1.lastSeen, $1.id)
        }
        for file in candidates where !file.fingerprint.isEmpty {
            if isAlive(file, state) {
                if try isCopy(content, head, status, of: file) { return .duplicate }
            } else if try file.isContinued(
                by: content, head, size: status.size, fingerprintBytes: settings.fingerprintBytes)
            {
                return .known(file)
            }
        }
        return .new
    }

    /// Whether a path stands for the file and has what was read of it.
    private static func isAlive(_ file: TrackedFile, _ state: State) -> Bool {
        if file.inode == 0 { return false }
        if file.lastSeen == state.round { return true }
        guard let named = try? OpenFile.status(of: file.path) else { return false }
        return named.device == file.device && named.inode == file.inode && named.size >= file.position
    }

    /// Whether all of `content` is the beginning of a file; of compressed ones only the fingerprint is compared.
    private static func isCopy(
        _ content: FileContent, _ head: [UInt8], _ status: OpenFile.Status, of file: TrackedFile
    ) throws -> Bool {
        let count = min(head.count, file.fingerprint.count)
        guard head[..<count] == file.fingerprint[..<count] else { return false }
        if content.isCompressed || file.isCompressed { return true }
        guard let original = file.content?.file ?? (try? OpenFile(file.path)) else { return false }
        guard status.size <= (try original.status().size) else { return false }
        let length = min(Int64(TrackedFile.tailBytes), status.size)
        return try original.bytes(at: status.size - length, upTo: Int(length))
            == content.bytes(at: status.size - length, upTo: Int(length))
    }
}
