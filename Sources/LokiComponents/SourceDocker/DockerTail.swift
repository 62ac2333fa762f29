import ComponentKit
import Essentials
import SelfMetrics
import Storage
import Synchronization
import Telemetry
import Transport

/// Follows the log of one container as long as there is one.
///
/// A position moves on only when every receiver has taken the lines before it. A connection that ends is opened again
/// where delivery stopped, see ``DockerProgress``. A container that stopped is looked at now and then: it may start again.
final class DockerTail: Sendable {
    struct Status: Sendable {
        var lastError = ""
        /// Nanoseconds since 1970 of the newest line; nil before the first.
        var newest: Int64?
        var isRunning = false
        /// Whether the container is no more.
        var hasEnded = false
    }

    /// How often a container that stopped is looked at.
    private static let restartInterval = Duration.seconds(5)

    let key: DockerTarget.Key
    private let owner: DockerTails
    private let state = Mutex(Status())

    init(_ key: DockerTarget.Key, _ owner: DockerTails) {
        self.key = key
        self.owner = owner
    }

    var status: Status { state.withLock { $0 } }

    /// Returns when the container is no more; throws when cancelled.
    func run(_ target: DockerTarget, _ client: DockerClient) async throws {
        var progress = DockerProgress(
            exact: owner.positions[target.exactPositionKey], seconds: owner.positions[target.positionKey])
        var backoff = Backoff(minimum: .milliseconds(100), maximum: .seconds(15))
        // The run of the container whose log was read to its end.
        var finished: String?
        while true {
            do throws(DockerFailure) {
                let container = try await client.inspect(target.containerID)
                note(error: nil)
                if !container.isRunning, container.run == finished {
                    try await sleep(Self.restartInterval)
                    continue
                }
                setRunning(true)
                let outcome = try await read(target, container, client, &progress)
                setRunning(false)
                if outcome.isWhole, !container.isRunning {
                    finished = container.run
                    continue
                }
                if outcome.hasLines { backoff.reset() }
            } catch {
                setRunning(false)
                try Task.checkCancellation()
                if case .gone = error {
                    owner.log.info("Container no longer exists", nil, ["container": target.containerID])
                    state.withLock { $0.hasEnded = true }
                    note(error: nil)
                    return
                }
                note(error: error)
            }
            try await owner.clock.sleep(for: backoff.next())
        }
    }

    private func sleep(_ duration: Duration) async throws(DockerFailure) {
        do { try await owner.clock.sleep(for: duration) } catch { throw .transport(.cancelled) }
    }

    private func setRunning(_ isRunning: Bool) { state.withLock { $0.isRunning = isRunning } }

    private func note(error: DockerFailure?) {
        let text = error.map { "\($0)" } ?? ""
        let isNew = state.withLock { state in
            defer { state.lastError = text }
            return state.lastError != text
        }
        if let error { owner.failed(key, error, isNew: isNew) }
        if isNew { owner.healthChanged() }
    }

    // MARK: Reading

    private func read(
        _ target: DockerTarget, _ container: DockerContainer, _ client: DockerClient,
        _ progress: inout DockerProgress
    ) async throws(DockerFailure) -> (isWhole: Bool, hasLines: Bool) {
        let body = try await client.follow(target.containerID, since: progress.since)
        defer { body.cancel() }
        var reader = DockerReader(target, isTerminal: container.isTerminal, progress)
        let lease = MemoryLease(owner.memory)
        defer { lease.release() }
        var hasLines = false
        var isOpen = true
        var failure: DockerLogError?
        while isOpen, failure == nil {
            var batch = LogBatch()
            do {
                guard let chunk = try await body.nextChunk() else { throw DockerEnd.whole }
                failure = reader.read(chunk, into: &batch)
            } catch DockerEnd.whole {
                isOpen = false
                // While the container runs the daemon may have ended in the midst of a line.
                if !container.isRunning { reader.finish(into: &batch) }
            } catch let error as HTTPClientError {
                if error == .cancelled { throw .transport(error) }
                return (false, hasLines)
            } catch {
                throw .transport(.cancelled)
            }
            reader.keep(within: lease)
            let tally = reader.takeTally()
            if !batch.isEmpty {
                hasLines = true
                let count = batch.itemCount
                do { try await owner.delivery.deliver(batch) } catch { throw .transport(.cancelled) }
                owner.entries.add(count)
            }
            owner.note(tally, key)
            keep(reader.progress, in: &progress, target)
        }
        if let failure { throw .log(failure) }
        return (true, hasLines)
    }

    private func keep(_ new: DockerProgress, in progress: inout DockerProgress, _ target: DockerTarget) {
        guard new != progress else { return }
        progress = new
        guard let newest = new.newest, let seconds = new.seconds else { return }
        state.withLock { $0.newest = newest }
        owner.positions[target.positionKey] = "\(seconds)"
        owner.positions[target.exactPositionKey] = new.text
    }
}

private enum DockerEnd: Error { case whole }
