import CLinux
import Essentials
import Glibc
import SelfMetrics
import Synchronization
import TextFormats

/// `filesystem`: sizes and free space of mounted file systems.
///
/// A mount that does not answer within the timeout is reported as in error and left alone until it answers: its
/// thread waits in the kernel, the scrape goes on.
final class FilesystemCollector: NodeCollector {
    private struct Mount: Hashable {
        var device: String
        var mountPoint: String
        var type: String
    }

    private let arguments: FilesystemArguments
    private let prober = MountProber()

    init(_ settings: UnixSettings) { arguments = settings.filesystem }

    func collect(_ scrape: NodeScrape) throws {
        let page = scrape.page
        let errors = page.gauge(
            "node_filesystem_device_error",
            "Whether an error occurred while getting statistics for the given device.")
        let readOnly = page.gauge("node_filesystem_readonly", "Filesystem read-only status.")
        let size = page.gauge("node_filesystem_size_bytes", "Filesystem size in bytes.")
        let free = page.gauge("node_filesystem_free_bytes", "Filesystem free space in bytes.")
        let available = page.gauge(
            "node_filesystem_avail_bytes", "Filesystem space available to non-root users in bytes.")
        let files = page.gauge("node_filesystem_files", "Filesystem total file nodes.")
        let freeFiles = page.gauge("node_filesystem_files_free", "Filesystem total free file nodes.")

        let mounts = try mounts(scrape)
        let answers = prober.probe(
            mounts.map { scrape.paths.root($0.mount.mountPoint) }, timeout: arguments.mountTimeout)
        for (index, entry) in mounts.enumerated() {
            let labels = [
                ("device", entry.mount.device), ("fstype", entry.mount.type), ("mountpoint", entry.mount.mountPoint),
            ]
            func add(_ family: MetricPage.Family, _ value: Double) { page.add(family, labels: labels, value) }
            add(readOnly, entry.isReadOnly ? 1 : 0)
            guard let answer = answers[index] else {
                add(errors, 1)
                continue
            }
            let block = Double(answer.blockSize)
            add(errors, 0)
            add(size, Double(answer.blocks) * block)
            add(free, Double(answer.freeBlocks) * block)
            add(available, Double(answer.availableBlocks) * block)
            add(files, Double(answer.files))
            add(freeFiles, Double(answer.freeFiles))
        }
    }

    private func mounts(_ scrape: NodeScrape) throws -> [(mount: Mount, isReadOnly: Bool)] {
        do {
            // The mounts of the first process are the machine's, where this process may see them.
            return try read(scrape, "1/mounts")
        } catch let error as SystemError where error.isNotFound {
            return try read(scrape, "mounts")
        }
    }

    private func read(_ scrape: NodeScrape, _ file: String) throws -> [(mount: Mount, isReadOnly: Bool)] {
        let path = scrape.paths.proc(file)
        return try scrape.files.withFile(path) { bytes in
            var seen: Set<Mount> = []
            var mounts: [(mount: Mount, isReadOnly: Bool)] = []
            for line in bytes.lines {
                let words = line.words(limit: 4)
                guard words.count == 4 else {
                    throw MalformedFile(path: path, reason: "malformed mount point information \(line.string)")
                }
                if let excluded = arguments.excludedTypes, excluded.matches(words[2]) { continue }
                let mountPoint = scrape.paths.stripRoot(Self.unescaped(words[1]))
                if let excluded = arguments.excludedMountPoints, excluded.matches(mountPoint) { continue }
                let mount = Mount(device: words[0].string, mountPoint: mountPoint, type: words[2].string)
                guard seen.insert(mount).inserted else { continue }
                let isReadOnly = words[3].split(separator: UInt8(ascii: ",")).contains { $0.elementsEqual("ro".utf8) }
                mounts.append((mount, isReadOnly))
            }
            return mounts
        }
    }

    /// Spaces and tabs in a mount point are written as octal numbers (fstab(5)).
    private static func unescaped(_ bytes: Bytes) -> String {
        if bytes.index(of: "\\") == nil { return bytes.string }
        return bytes.string.replacing("\\040", with: " ").replacing("\\011", with: "\t")
    }
}

/// Asks mounts for their statistics on threads of its own, because a dead network mount never answers.
final class MountProber: Sendable {
    struct Answer: Sendable {
        var blockSize: UInt
        var blocks: UInt
        var freeBlocks: UInt
        var availableBlocks: UInt
        var files: UInt
        var freeFiles: UInt
    }

    /// One thread's way through a list of mounts.
    private final class Round: Sendable {
        struct State {
            var next: Int
            var answers: [Int: Answer] = [:]
            /// The mount the thread is waiting for.
            var asking: Int?
            /// Nobody waits for this thread any more: it stops after the mount that held it.
            var isAbandoned = false
            var isDone = false
        }

        let state: Mutex<State>
        let progress = WakeableTimer()

        init(from start: Int) { state = Mutex(State(next: start)) }
    }

    private let stuck = Mutex<Set<String>>([])

    /// The answer of each path; nil where it failed, did not come in time, or is still awaited from before.
    func probe(_ paths: [String], timeout: Duration) -> [Answer?] {
        var answers: [Answer?] = Array(repeating: nil, count: paths.count)
        let known = stuck.withLock { $0 }
        let asked = paths.indices.filter { !known.contains(paths[$0]) }
        var start = 0
        while start < asked.count {
            let round = Round(from: start)
            run(round, paths, asked)
            let reached = wait(for: round, timeout: timeout)
            let state = round.state.withLock { $0 }
            for (position, answer) in state.answers { answers[asked[position]] = answer }
            guard let reached else { break }
            start = reached + 1
        }
        return answers
    }

    /// Nil when the round ended; else the position of the mount that is stuck.
    private func wait(for round: Round, timeout: Duration) -> Int? {
        var watched: Int?
        var deadline = EngineClock.system.monotonicNanoseconds &+ timeout.nanoseconds
        while true {
            round.progress.wait(untilMonotonic: deadline)
            let (isDone, asking) = round.state.withLock { ($0.isDone, $0.asking) }
            if isDone { return nil }
            let now = EngineClock.system.monotonicNanoseconds
            if asking != watched {
                watched = asking
                deadline = now &+ timeout.nanoseconds
            } else if now >= deadline {
                let held: Int? = round.state.withLock { state in
                    if state.isDone || state.asking != watched { return nil }
                    state.isAbandoned = true
                    return state.asking
                }
                if let held { return held }
            }
        }
    }

    private func run(_ round: Round, _ paths: [String], _ asked: [Int]) {
        DetachedThread(name: "mount-probe") { [self] in
            while true {
                let position: Int? = round.state.withLock { state in
                    guard !state.isAbandoned, state.next < asked.count else {
                        state.isDone = true
                        return nil
                    }
                    state.asking = state.next
                    state.next += 1
                    return state.asking
                }
                round.progress.signal()
                guard let position else { return }
                let path = paths[asked[position]]
                stuck.withLock { _ = $0.insert(path) }
                let answer = Self.ask(path)
                stuck.withLock { _ = $0.remove(path) }
                round.state.withLock { state in
                    if !state.isAbandoned { state.answers[position] = answer }
                }
            }
        }.start()
    }

    private static func ask(_ path: String) -> Answer? {
        var status = statvfs()
        guard statvfs(path, &status) == 0 else { return nil }
        return Answer(
            blockSize: UInt(status.f_bsize), blocks: UInt(status.f_blocks), freeBlocks: UInt(status.f_bfree),
            availableBlocks: UInt(status.f_bavail), files: UInt(status.f_files), freeFiles: UInt(status.f_ffree))
    }
}
