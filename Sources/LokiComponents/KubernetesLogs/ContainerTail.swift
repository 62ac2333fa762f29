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
        /// Whether that stood in the place of lines.
        var isRefusedInBody = false
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
        var earlierRuns = EarlierRuns()
        while true {
            do {
                let pod = try await describePod()
                if pod == .gone { return }
                if case .there(let pod) = pod { try await readEarlierRun(of: pod, &earlierRuns, &resume) }
                if try await readStream(&resume) { backoff.reset() }
                note(error: nil)
                if try await hasEnded() { return }
            } catch let error as KubernetesError {
                try Task.checkCancellation()
                note(error: error)
                if error.mayMeanTheEnd, try await hasEnded() { return }
            }
            try await tails.clock.sleep(for: backoff.next())
        }
    }

    private enum DescribedPod: Equatable {
        /// The pod of the target.
        case there(JSONValue)
        /// It is gone, though another one may have its name.
        case gone
        /// The server does not tell, for this reason.
        case unknown(KubernetesError)
    }

    /// What the API knows of the pod now. It is asked before each connection, for logs are asked for by name, and the name
    /// may have gone over to another pod.
    private func describePod() async throws -> DescribedPod {
        let path = Pod.resource.path(namespace: target.pod.namespace, name: target.pod.name)
        do throws(KubernetesError) {
            let bytes = try await client.get(path)
            guard let pod = try? JSONValue(parsing: bytes) else { return .unknown(.malformed("the pod is no JSON")) }
            return ContainerState.isOther(pod, than: target.uid) ? .gone : .there(pod)
        } catch {
            try Task.checkCancellation()
            return error.isNotFound ? .gone : .unknown(error)
        }
    }

    /// Reads what is left of the run before, when it went on after what was delivered.
    private func readEarlierRun(
        of pod: JSONValue, _ runs: inout EarlierRuns, _ resume: inout LogResume?
    ) async throws {
        guard let known = resume, let run = ContainerState.earlierRun(pod, container: target.container),
            runs.hasMore(run, after: known)
        else { return }
        do {
            _ = try await readStream(&resume, ofRun: EarlierRuns.isMixed(run, known) ? .earlierMixed : .earlier)
            runs.finish(run)
        } catch let error as KubernetesError {
            try Task.checkCancellation()
            guard runs.givesUp(run, after: error) else { throw error }
            tails.leftRun(of: target, error)
        }
    }

    /// Which run of a container is read.
    private enum Run {
        case current
        /// The one before.
        case earlier
        /// The one before, whose last second is also one of the run now.
        case earlierMixed
    }

    private func hasEnded() async throws -> Bool {
        switch try await describePod() {
        case .gone: return true
        case .unknown(let error):
            note(error: error)
            return false
        case .there(let pod):
            return ContainerState.hasEnded(
                pod, container: target.container, uid: target.uid, now: tails.clock.wallNanoseconds / 1_000_000_000)
        }
    }

    /// An answer began. After a refusal in the body only lines show that it is over.
    private func noteAnswer() {
        if !state.withLock({ $0.isRefusedInBody }) { note(error: nil) }
    }

    private func note(error: KubernetesError?) {
        let isInBody = if case .refusedInBody = error { true } else { false }
        let text = error.map { "\($0)" } ?? ""
        let isNew = state.withLock { state in
            defer {
                state.lastError = text
                state.isRefusedInBody = isInBody
            }
            return state.lastError != text
        }
        if let error { tails.failed(target, error, isNew: isNew) }
        if isNew { tails.healthChanged() }
    }

    // MARK: Reading

    /// Reads one connection to its end; true when lines came. Of an earlier run what there is, of the one now also what
    /// is to come.
    private func readStream(_ resume: inout LogResume?, ofRun run: Run = .current) async throws -> Bool {
        let isEarlierRun = run != .current
        var query = [
            ("container", target.container), (isEarlierRun ? "previous" : "follow", "true"), ("timestamps", "true"),
        ]
        if let resume { query.append(("sinceTime", tails.secondLayout.format(unixNanoseconds: resume.newest))) }
        let isOld = await client.isOlder(than: (1, 29))
        let path = Pod.resource.path(namespace: target.pod.namespace, name: target.pod.name) + "/log"
        let body = try await client.stream(
            path, query: query.map { (name: $0.0, value: $0.1) }, accept: "*/*",
            timeout: isOld && !isEarlierRun ? Self.oldServerLifetime : Self.lifetime)
        noteAnswer()
        var lines = LineAssembler()
        var reader = LineReader(
            filter: LogResume.Filter(resume, takesOnlyLater: run == .earlierMixed), labels: target.labels)
        var isUseful = false
        while true {
            let goesOn = try await client.read(body, into: &lines)
            var batch = reader.read(&lines, isEnd: !goesOn)
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
            if let refusal = reader.takeOvertakenRefusal() { note(error: .refusedInBody(refusal)) }
            if let refusal = reader.refusal {
                if !goesOn { throw KubernetesError.refusedInBody(refusal) }
            } else if goesOn {
                note(error: nil)
            } else {
                return isUseful
            }
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
        /// Text without a time that came after the last line: every line was asked for with its time, so it is a
        /// kubelet's word on why it does not go on, such as `unable to retrieve container logs for containerd://...`.
        private(set) var refusal: String?
        /// Such text after which lines came all the same.
        private var overtakenRefusal: String?

        init(filter: LogResume.Filter, labels: LabelSet) {
            self.filter = filter
            self.labels = labels
        }

        mutating func takeCut() -> Bool {
            defer { wasCut = false }
            return wasCut
        }

        mutating func takeOvertakenRefusal() -> String? {
            defer { overtakenRefusal = nil }
            return overtakenRefusal
        }

        /// The new entries among the whole lines, at the end also those of the last, unfinished one.
        mutating func read(_ lines: inout LineAssembler, isEnd: Bool) -> LogBatch {
            var batch = LogBatch()
            while lines.nextLine({ add($0, to: &batch) }) != nil {}
            if isEnd {
                _ = lines.takeRest { add($0, to: &batch) }
            } else if lines.heldBytes > ContainerTail.maximumLineBytes {
                _ = lines.takeRest { add($0, to: &batch) }
                isInsideCut = true
                wasCut = true
            }
            return batch
        }

        private mutating func add(_ line: UnsafeRawBufferPointer, to batch: inout LogBatch) {
            if isInsideCut {
                isInsideCut = false
                return
            }
            guard let (time, content) = Self.split(line) else {
                refusal = refusal ?? Self.text(line)
                return
            }
            if let refusal {
                overtakenRefusal = refusal
                self.refusal = nil
            }
            guard filter.isNew(time) else { return }
            let stream = batch.stream(for: labels)
            batch.append(content, stream: stream, timestamp: time)
        }

        /// The time at the beginning of a line and the rest of it; nil without a time.
        private static func split(_ line: UnsafeRawBufferPointer) -> (time: Int64, content: UnsafeRawBufferPointer)? {
            guard let base = line.baseAddress, let space = memchr(base, 32, min(line.count, 64)) else { return nil }
            let end = UnsafeRawPointer(space) - base
            guard let time = parseRFC3339(UnsafeRawBufferPointer(rebasing: line[..<end])) else { return nil }
            return (time, UnsafeRawBufferPointer(rebasing: line[(end + 1)...]))
        }

        private static func text(_ line: UnsafeRawBufferPointer) -> String {
            String(decoding: line.prefix(1_000), as: UTF8.self)
        }
    }
}

extension KubernetesError {
    /// Whether it may be that there is no such container any more.
    fileprivate var mayMeanTheEnd: Bool {
        if case .refusedInBody = self { return true }
        return isNotFound
    }
}
