import ComponentKit
import Essentials
import Glibc
import Kubernetes
import Storage
import Synchronization
import Telemetry
import TextFormats

/// Follows the log of one container through the API server, as long as there may be more of it.
///
/// A position moves on only when every receiver has taken the lines before it. A connection that ends is opened again
/// where delivery stopped, see ``LogResume``.
final class ContainerTail: Sendable {
    /// Bytes of a line from which on it is cut.
    static let maximumLineBytes = 16 << 20
    /// A connection is not kept longer, so that a server which forgot it is noticed.
    static let lifetime = Duration.seconds(3_600)
    /// Servers before 1.29 go on with a file that was rotated away; only a new connection gets its successor.
    static let oldServerLifetime = Duration.seconds(60)

    struct Status: Sendable {
        var lastError = ""
        /// Nanoseconds since 1970 of the last line; nil before the first.
        var lastLine: Int64?
        var hasEnded = false
    }

    let target: LogTarget
    let client: KubernetesClient
    private let tails: ContainerTails
    private let previous: Mutex<ContainerTail?>
    private let stopping = ChangeSignal()
    private let ending = ChangeSignal()
    private let state = Mutex(Status())

    /// `previous` is a tail of the same target that may still be ending.
    init(_ target: LogTarget, _ client: KubernetesClient, _ tails: ContainerTails, after previous: ContainerTail?) {
        self.target = target
        self.client = client
        self.tails = tails
        self.previous = Mutex(previous)
    }

    var status: Status { state.withLock { $0 } }

    func stop() { stopping.set() }

    /// Follows until the container has ended, ``stop()`` is called or the task is cancelled.
    func run() async {
        defer { ending.set() }
        let predecessor = previous.withLock { previous in
            defer { previous = nil }
            return previous
        }
        if let predecessor { try? await predecessor.ending.wait() }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { [self] in
                do {
                    try await follow()
                    // Stays known as ended, so that it does not begin anew.
                    state.withLock { $0.hasEnded = true }
                    tails.log.info("Container has ended", nil, ["target": target.id])
                    try await waitForCancellation()
                } catch {}
            }
            group.addTask { [stopping] in try? await stopping.wait() }
            await group.next()
            group.cancelAll()
        }
    }

    private func follow() async throws {
        var resume = LogResume(
            exact: tails.positions[target.exactPositionKey], microseconds: tails.positions[target.positionKey])
        if resume == nil, tails.startsAtEnd {
            resume = LogResume(newest: tails.clock.wallNanoseconds, count: 0, isExact: false)
        }
        var backoff = Backoff(minimum: .milliseconds(100), maximum: .seconds(60))
        while true {
            do {
                if try await readStream(&resume) { backoff.reset() }
                note(error: nil)
                if try await hasEnded() { return }
            } catch let error as KubernetesError {
                try Task.checkCancellation()
                note(error: error)
                if error.isNotFound, try await hasEnded() { return }
            }
            try await tails.clock.sleep(for: backoff.next())
        }
    }

    private func hasEnded() async throws -> Bool {
        let path = Pod.resource.path(namespace: target.pod.namespace, name: target.pod.name)
        do throws(KubernetesError) {
            let bytes = try await client.get(path)
            guard let pod = try? JSONValue(parsing: bytes) else { return false }
            return ContainerState.hasEnded(
                pod, container: target.container, uid: target.uid, now: tails.clock.wallNanoseconds / 1_000_000_000)
        } catch {
            if error.isNotFound { return true }
            try Task.checkCancellation()
            note(error: error)
            return false
        }
    }

    private func note(error: KubernetesError?) {
        let text = error.map { "\($0)" } ?? ""
        let isNew = state.withLock { state in
            defer { state.lastError = text }
            return state.lastError != text
        }
        if let error { tails.failed(target, error, isNew: isNew) }
        if isNew { tails.healthChanged() }
    }

    // MARK: Reading

    /// Reads one connection to its end; true when lines came.
    private func readStream(_ resume: inout LogResume?) async throws -> Bool {
        var query = [("container", target.container), ("follow", "true"), ("timestamps", "true")]
        if let resume { query.append(("sinceTime", tails.secondLayout.format(unixNanoseconds: resume.newest))) }
        let isOld = await client.isOlder(than: (1, 29))
        let path = Pod.resource.path(namespace: target.pod.namespace, name: target.pod.name) + "/log"
        let body = try await client.stream(
            path, query: query.map { (name: $0.0, value: $0.1) }, accept: "*/*",
            timeout: isOld ? Self.oldServerLifetime : Self.lifetime)
        note(error: nil)
        var lines = LineAssembler()
        var reader = LineReader(filter: LogResume.Filter(resume), labels: target.labels)
        var isUseful = false
        while true {
            let goesOn = try await client.read(body, into: &lines)
            var batch = reader.read(&lines, isEnd: !goesOn, now: tails.clock.wallNanoseconds)
            if reader.takeCut() { tails.cutLine(of: target) }
            if !batch.isEmpty {
                isUseful = true
                try await tails.delivery.deliver(batch)
                batch = LogBatch()
            }
            if let progress = reader.filter.progress, progress != resume {
                resume = progress
                keep(progress)
            }
            if !goesOn { return isUseful }
        }
    }

    private func keep(_ progress: LogResume) {
        state.withLock { $0.lastLine = progress.newest }
        tails.positions[target.positionKey] = "\(progress.newest / 1_000)"
        tails.positions[target.exactPositionKey] = progress.text
    }

    /// Makes entries of lines that begin with their time.
    struct LineReader {
        var filter: LogResume.Filter
        let labels: LabelSet
        /// Whether the rest of a line that was too long is still to come.
        private var isInsideCut = false
        private var wasCut = false

        init(filter: LogResume.Filter, labels: LabelSet) {
            self.filter = filter
            self.labels = labels
        }

        mutating func takeCut() -> Bool {
            defer { wasCut = false }
            return wasCut
        }

        /// The new entries among the whole lines, at the end also those of the last, unfinished one.
        mutating func read(_ lines: inout LineAssembler, isEnd: Bool, now: Int64) -> LogBatch {
            var batch = LogBatch()
            while lines.nextLine({ add($0, to: &batch, now: now) }) != nil {}
            if isEnd {
                _ = lines.takeRest { add($0, to: &batch, now: now) }
            } else if lines.heldBytes > ContainerTail.maximumLineBytes {
                _ = lines.takeRest { add($0, to: &batch, now: now) }
                isInsideCut = true
                wasCut = true
            }
            return batch
        }

        private mutating func add(_ line: UnsafeRawBufferPointer, to batch: inout LogBatch, now: Int64) {
            if isInsideCut {
                isInsideCut = false
                return
            }
            var content = line
            var time = now
            if let base = line.baseAddress, let space = memchr(base, 32, min(line.count, 64)) {
                let end = UnsafeRawPointer(space) - base
                if let parsed = parseRFC3339(UnsafeRawBufferPointer(rebasing: line[..<end])) {
                    time = parsed
                    content = UnsafeRawBufferPointer(rebasing: line[(end + 1)...])
                }
            }
            guard filter.isNew(time) else { return }
            let stream = batch.stream(for: labels)
            batch.append(content, stream: stream, timestamp: time)
        }
    }
}
