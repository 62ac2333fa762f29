import Essentials
import Synchronization

extension SegmentLog {
    struct Loss {
        var loss: LogLoss
        var destination: String
        var items: Int
    }

    func report(_ losses: [Loss]) {
        for loss in losses where loss.items > 0 { reportLoss(loss.loss, loss.destination, loss.items) }
    }

    /// Synchronises at the policy's interval, and applies the age limit as often as `expiring` says, until cancelled:
    /// run it beside the log's use.
    package func maintain(expiring: Duration = .seconds(60)) async throws {
        var interval = expiring
        if case .interval(let policy) = options.sync { interval = min(policy, expiring) }
        var nextExpiry = clock.monotonicNanoseconds + expiring.nanoseconds
        while true {
            try await clock.sleep(for: interval)
            if options.acknowledgementInterval > .zero { tidy() }
            let expires = clock.monotonicNanoseconds >= nextExpiry
            if expires { nextExpiry = clock.monotonicNanoseconds + expiring.nanoseconds }
            let hasWork = expires || state.withLock { !$0.unsynchronised.isEmpty }
            if !hasWork { continue }
            try await pool.run { [self] in
                if case .interval = options.sync { synchroniseNow() }
                if expires { expire() }
            }
        }
    }

    /// Takes the first segment out; what readers had not read of it is lost.
    func dropFirstSegment(_ reason: LogLoss, _ state: inout State) -> [Loss] {
        let segment = state.segments.removeFirst()
        state.totalBytes -= segment.end
        let next = state.segments.first?.number ?? state.nextNumber
        var losses: [Loss] = []
        for index in state.readers.indices where state.readers[index].read.segment <= segment.number {
            let lost = max(0, segment.items - state.readers[index].itemsRead)
            state.readers[index].move(toSegment: next, losing: lost)
            losses.append(Loss(loss: reason, destination: state.readers[index].destination, items: lost))
        }
        let before = state.cache.bytes
        state.cache.drop(before: LogPosition(segment: next, offset: 0))
        charge(before, &state)
        state.unsynchronised.remove(segment.number)
        state.garbage.append(segment)
        return losses
    }

    /// Drops complete segments whose newest record is past the age limit.
    func expire() {
        guard let ageLimit = options.ageLimit else { return }
        let oldest = now - ageLimit.milliseconds
        let losses = state.withLock { state in
            var losses: [Loss] = []
            while let first = state.segments.first, first.isSealed, first.newest < oldest {
                losses += dropFirstSegment(.ageLimit, &state)
            }
            return losses
        }
        report(losses)
        tidy()
    }

    /// Starts noting acknowledgements and deleting files on the pool, unless that runs or there is nothing to do.
    func tidy() {
        let starts = state.withLock { state in
            guard !state.isTidying, !state.isClosed else { return false }
            retireSegments(&state)
            let now = clock.monotonicNanoseconds
            let hasWork =
                !state.garbage.isEmpty
                || now >= state.nextAcknowledgement
                    && state.readers.contains { $0.frontier.position != $0.persisted }
            state.isTidying = hasWork
            if hasWork { state.nextAcknowledgement = now &+ options.acknowledgementInterval.nanoseconds }
            return hasWork
        }
        if starts { pool.submit { [self] in tidyNow() } }
    }

    private func tidyNow() {
        while true {
            let (garbage, readers, waiters): ([Segment], [ReaderState], [CheckedContinuation<Void, Never>]) =
                state.withLock { state in
                    retireSegments(&state)
                    let garbage = state.garbage
                    state.garbage = []
                    let readers = state.readers.filter { $0.frontier.position != $0.persisted && $0.descriptor >= 0 }
                    var waiters: [CheckedContinuation<Void, Never>] = []
                    if garbage.isEmpty, readers.isEmpty {
                        state.isTidying = false
                        waiters = Self.takeIdleWaiters(&state)
                    }
                    return (garbage, readers, waiters)
                }
            for waiter in waiters { waiter.resume() }
            if garbage.isEmpty, readers.isEmpty { return }
            var written: [ReaderState] = []
            for var reader in readers {
                try? Self.writeSlot(of: &reader, directory.acknowledgementPath(of: reader.destination), files)
                // A failed write is tried again with the next acknowledgement.
                reader.persisted = reader.frontier.position
                written.append(reader)
            }
            for segment in garbage { directory.discard(segment) }
            state.withLock { state in
                for reader in written {
                    guard let index = state.readers.firstIndex(where: { $0.destination == reader.destination }) else {
                        continue
                    }
                    state.readers[index].sequence = reader.sequence
                    state.readers[index].persisted = reader.persisted
                }
            }
        }
    }

    /// Moves what every reader is done with to the garbage.
    private func retireSegments(_ state: inout State) {
        while let first = state.segments.first, first.isSealed, !state.readers.isEmpty {
            let end = end(of: first)
            // A damaged segment is passed only by a reader that met the damage.
            let isDone = state.readers.allSatisfy { reader in
                let position = reader.frontier.position
                return position.segment > first.number || position >= end && !first.isDamaged
            }
            guard isDone else { return }
            _ = dropFirstSegment(.sizeLimit, &state)
        }
    }

    /// Makes the names of new segments survive the machine.
    func synchroniseDirectory() {
        guard let descriptor = try? files.openForReading(directory.path) else { return }
        try? files.synchronise(descriptor, path: directory.path)
        files.close(descriptor)
    }

    /// Synchronises segments that have records someone still needs.
    func synchroniseNow() {
        let numbers = state.withLock { state -> [UInt64] in
            let numbers = state.unsynchronised.sorted()
            state.unsynchronised = []
            let isDone =
                state.segments.last.map { last in
                    !state.readers.isEmpty && state.readers.allSatisfy { $0.frontier.position >= end(of: last) }
                } ?? true
            return isDone ? [] : numbers
        }
        var failed: [UInt64] = []
        for number in numbers {
            let path = directory.path(of: number)
            do throws(SystemError) {
                let descriptor = try files.openForReading(path)
                defer { files.close(descriptor) }
                try files.synchronise(descriptor, path: path)
            } catch {
                if !error.isNotFound { failed.append(number) }
            }
        }
        if !numbers.isEmpty { synchroniseDirectory() }
        if failed.isEmpty { return }
        state.withLock { state in
            state.unsynchronised.formUnion(failed)
            state.counters.failedSyncs += failed.count
        }
    }
}
