import Essentials
import Glibc
import Synchronization

/// One destination's view of a ``SegmentLog``. One task takes records; acknowledging may happen anywhere.
package struct SegmentLogReader: Sendable {
    let log: SegmentLog
    let index: Int

    /// Items appended and not yet completed by this destination.
    package var pendingItems: Int { log.state.withLock { $0.readers[index].pendingItems } }

    /// True when every record has been handed out.
    package var isAtEnd: Bool { log.state.withLock { log.isAtEnd($0.readers[index].read, $0.segments) } }

    /// The next record, waiting for one; nil when the log is closed. Throws `CancellationError`.
    package func next() async throws -> StoredRecord? {
        while true {
            switch try await advance() {
            case .record(let stored): return stored
            case .closed: return nil
            case .atEnd:
                if isFinished() { return nil }
                try await waitForAppend()
            }
        }
    }

    /// The next record, or nil when all were handed out or the log is closed.
    package func nextIfAny() async throws -> StoredRecord? {
        if case .record(let stored) = try await advance() { return stored }
        return nil
    }

    /// Notes that `record` needs no second sending: it was delivered or given up.
    package func complete(_ stored: StoredRecord) {
        let moved = log.state.withLock { state in
            let before = state.readers[index].frontier.position
            state.readers[index].complete(stored.position)
            return state.readers[index].frontier.position != before
        }
        if moved { log.tidy() }
    }

    /// Hands out again everything that was not completed, and what follows it. No record may be in use.
    package func rewind() { log.state.withLock { $0.readers[index].rewind() } }

    private enum Outcome {
        case record(StoredRecord)
        case atEnd
        case closed
    }

    /// Whether there is no record left and none will come.
    private func isFinished() -> Bool {
        log.state.withLock { $0.isFinishing && !$0.isFlushing && log.isAtEnd($0.readers[index].read, $0.segments) }
    }

    private enum Step {
        case outcome(Outcome)
        case skipped(SegmentLog.Loss)
        case fetch(from: LogPosition, end: Int)
        case again
    }

    private func advance() async throws -> Outcome {
        while true {
            try Task.checkCancellation()
            switch takeStep() {
            case .outcome(let outcome): return outcome
            case .again: continue
            case .skipped(let loss):
                log.report([loss])
                log.tidy()
            case .fetch(let position, let end):
                if try await log.pool.run({ [log, index] in log.fetch(from: position, to: end, for: index) }) {
                    continue
                }
                // Out of descriptors or the like: no reason to give records up.
                try await log.clock.sleep(for: .seconds(1))
            }
        }
    }

    private func takeStep() -> Step {
        log.state.withLock { state in
            if state.isClosed { return .outcome(.closed) }
            let read = state.readers[index].read
            let stored = state.readers[index].fetched.first ?? state.cache[read]
            if let stored, stored.position == read {
                if let limit = log.options.ageLimit,
                    stored.appendedAt < log.now - limit.milliseconds
                {
                    state.readers[index].skip(stored)
                    return .skipped(
                        SegmentLog.Loss(
                            loss: .ageLimit, destination: state.readers[index].destination, items: stored.record.items))
                }
                state.readers[index].take(stored)
                let before = state.cache.bytes
                if let slowest = state.readers.map(\.read).min() { state.cache.drop(before: slowest) }
                log.charge(before, &state)
                return .outcome(.record(stored))
            }
            state.readers[index].fetched = []
            guard let place = state.segments.firstIndex(where: { $0.number >= read.segment }) else {
                return .outcome(.atEnd)
            }
            let segment = state.segments[place]
            if segment.number > read.segment {
                state.readers[index].move(toSegment: segment.number, losing: 0)
                return .again
            }
            if read.offset < segment.readableEnd { return .fetch(from: read, end: segment.readableEnd) }
            guard segment.isSealed else { return .outcome(.atEnd) }
            if segment.isDamaged {
                let lost = max(0, segment.items - state.readers[index].itemsRead)
                state.readers[index].move(toSegment: segment.number + 1, losing: lost)
                return .skipped(
                    SegmentLog.Loss(loss: .damaged, destination: state.readers[index].destination, items: lost))
            }
            guard place + 1 < state.segments.count else { return .outcome(.atEnd) }
            // Nothing is left of a segment that was whole, unless records vanished from its middle.
            let lost = segment.items - state.readers[index].itemsRead
            state.readers[index].move(toSegment: state.segments[place + 1].number, losing: lost)
            if lost <= 0 { return .again }
            return .skipped(
                SegmentLog.Loss(loss: .damaged, destination: state.readers[index].destination, items: lost))
        }
    }

    private func waitForAppend() async throws {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
                enum Next { case wait, resume, cancelled }
                let next: Next = log.state.withLock { state in
                    if Task.isCancelled { return .cancelled }
                    if state.isFinishing, !state.isFlushing { return .resume }
                    if state.isClosed || !log.isAtEnd(state.readers[index].read, state.segments) { return .resume }
                    precondition(state.readers[index].waiter == nil, "a reader is for one task at a time")
                    state.readers[index].waiter = continuation
                    return .wait
                }
                switch next {
                case .wait: break
                case .resume: continuation.resume()
                case .cancelled: continuation.resume(throwing: CancellationError())
                }
            }
        } onCancel: {
            let waiter = log.state.withLock { state in
                let waiter = state.readers[index].waiter
                state.readers[index].waiter = nil
                return waiter
            }
            waiter?.resume(throwing: CancellationError())
        }
    }
}

extension SegmentLog {
    /// True when no record lies at or after `position`.
    func isAtEnd(_ position: LogPosition, _ segments: [Segment]) -> Bool {
        guard let last = segments.last, position.segment <= last.number else { return true }
        if position.segment < last.number || position.offset < last.readableEnd { return false }
        return !(last.isDamaged && last.isSealed)
    }

    /// Reads records ahead for a reader. Returns false when that failed for a reason that may pass.
    func fetch(from position: LogPosition, to end: Int, for index: Int) -> Bool {
        let path = directory.path(of: position.segment)
        var run = SegmentDirectory.Run(next: position.offset, stop: .damaged)
        do throws(SystemError) {
            let descriptor = try files.openForReading(path)
            defer { files.close(descriptor) }
            run = try directory.fetch(descriptor, path, from: position, to: end)
        } catch {
            guard error.isNotFound || error.code == EIO else { return false }
        }
        state.withLock { state in
            if state.readers[index].read == position { state.readers[index].fetched = run.records[...] }
            // Short of `end` there should have been records: whatever is there is not what was written.
            let isDamaged = run.stop == .damaged || run.stop == .incomplete || run.stop == .end && run.next < end
            guard isDamaged, let place = state.segments.firstIndex(where: { $0.number == position.segment }) else {
                return
            }
            if !state.segments[place].isDamaged { state.counters.damagedSegments += 1 }
            // If it is the one being written, the next append starts another, and this reader goes on there.
            state.segments[place].damagedAt = min(state.segments[place].readableEnd, run.next)
        }
        return true
    }
}
