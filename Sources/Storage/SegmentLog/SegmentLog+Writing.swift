import Essentials
import Glibc
import Synchronization

extension SegmentLog {
    /// Most bytes written at once.
    private static var groupSize: Int { 4 << 20 }
    /// A segment everyone is done with is replaced from this size on: its pages need not reach the disk.
    private static var earlyRotationSize: Int { 1 << 20 }

    /// Appends records, all or none, and returns when they are durable as the policy says.
    ///
    /// With `blocking` the calling thread writes them itself when nobody is writing, which spares two changes of threads:
    /// for callers on threads that may block for a moment. Where every write waits for the disk (`SyncPolicy.always`) it does
    /// not.
    package func append(_ records: [SegmentRecord], blocking: Bool = false) async throws(SegmentLogError) {
        if records.isEmpty { return }
        var bytes = 0
        for record in records { bytes += SegmentFormat.headerSize + record.payload.count }
        guard bytes <= SegmentFormat.payloadLimit else { throw .tooLarge(bytes) }
        let result = await withCheckedContinuation {
            (continuation: CheckedContinuation<Result<Void, SegmentLogError>, Never>) in
            enum Next { case closed, queued, start }
            let next: Next = state.withLock { state in
                if state.isClosed || state.isFinishing { return .closed }
                state.pending.append(Append(records: records, continuation: continuation))
                if state.isFlushing { return .queued }
                state.isFlushing = true
                return .start
            }
            switch next {
            case .closed: continuation.resume(returning: .failure(.closed))
            case .queued: break
            case .start: if blocking, options.sync != .always { flush() } else { pool.submit { [self] in flush() } }
            }
        }
        try result.get()
    }

    private struct Group {
        var appends: [Append]
        var output: Output?
        /// The segment being written, nil when a new one is to be started.
        var segment: Segment?
        var nextNumber: UInt64
        var sealed: Segment?
    }

    /// Writes groups of appends until none wait. Runs on a pool thread; only one at a time.
    private func flush() {
        while let group = takeGroup() {
            if isFull {
                for append in group.appends {
                    append.continuation.resume(returning: .failure(.full(options.sizeLimit)))
                }
            } else {
                write(group)
            }
        }
    }

    /// Whether the log is at its size and the oldest records are too young to go.
    private var isFull: Bool {
        if options.keepLimit <= .zero { return false }
        let oldest = now - options.keepLimit.milliseconds
        return state.withLock { state in
            state.totalBytes >= options.sizeLimit.bytes && (state.segments.first.map { $0.newest >= oldest } ?? false)
        }
    }

    private func takeGroup() -> Group? {
        typealias Waiters = (idle: [CheckedContinuation<Void, Never>], readers: [CheckedContinuation<Void, any Error>])
        let (group, waiters): (Group?, Waiters) = state.withLock { state in
            if state.pending.isEmpty {
                state.isFlushing = false
                return (nil, (Self.takeIdleWaiters(&state), state.isFinishing ? Self.takeWaiters(&state) : []))
            }
            var bytes = 0
            var count = 0
            for append in state.pending {
                for record in append.records { bytes += SegmentFormat.headerSize + record.payload.count }
                if count > 0, bytes > Self.groupSize { break }
                count += 1
            }
            var group = Group(
                appends: Array(state.pending[..<count]), output: state.output, nextNumber: state.nextNumber)
            state.pending.removeFirst(count)
            if state.output != nil, let segment = state.segments.last {
                let isDone = state.readers.allSatisfy { $0.frontier.position >= end(of: segment) }
                let isFull =
                    segment.end >= options.segmentSize.bytes || segment.isDamaged
                    || isDone && segment.end >= Self.earlyRotationSize && !state.readers.isEmpty
                if isFull { group.sealed = segment } else { group.segment = segment }
            }
            return (group, ([], []))
        }
        for waiter in waiters.idle { waiter.resume() }
        for waiter in waiters.readers { waiter.resume() }
        return group
    }

    static func takeIdleWaiters(_ state: inout State) -> [CheckedContinuation<Void, Never>] {
        guard !state.isFlushing, !state.isTidying else { return [] }
        defer { state.idleWaiters = [] }
        return state.idleWaiters
    }

    func end(of segment: Segment) -> LogPosition { LogPosition(segment: segment.number, offset: segment.end) }

    private func write(_ group: Group) {
        var output = group.output
        if let sealed = group.sealed, let old = output {
            if !sealed.isDamaged { directory.seal(sealed, old.descriptor) }
            files.close(old.descriptor)
            output = nil
            state.withLock { state in
                state.output = nil
                if let index = state.segments.lastIndex(where: { $0.number == sealed.number }) {
                    state.segments[index].isSealed = true
                }
            }
        }
        let now = now
        do throws(SystemError) {
            var target: Output
            if let output { target = output } else { target = try startSegment(group.nextNumber) }
            var segment =
                group.segment
                ?? Segment(number: target.number, end: SegmentFormat.segmentHeaderSize, isSealed: false)
            output = target
            let stored = try write(group.appends, to: &target, &segment, at: now)
            finish(group, target, segment, stored)
        } catch {
            fail(group, output, error)
        }
    }

    private func startSegment(_ number: UInt64) throws(SystemError) -> Output {
        let path = directory.path(of: number)
        let descriptor = try files.create(path)
        var header: [UInt8] = []
        SegmentFormat.appendSegmentHeader(number, to: &header)
        do throws(SystemError) {
            try files.write(header, to: descriptor, at: 0, path: path)
        } catch {
            files.close(descriptor)
            try? files.remove(path)
            throw error
        }
        if options.sync == .always { synchroniseDirectory() }
        return Output(descriptor: descriptor, path: path, number: number, offset: SegmentFormat.segmentHeaderSize)
    }

    private func write(
        _ appends: [Append], to output: inout Output, _ segment: inout Segment, at now: Int64
    ) throws(SystemError) -> [StoredRecord] {
        var stored: [StoredRecord] = []
        var bytes: [UInt8] = []
        bytes.reserveCapacity(
            appends.reduce(0) { $1.records.reduce($0) { $0 + SegmentFormat.headerSize + $1.payload.count } })
        for append in appends {
            for record in append.records {
                stored.append(
                    StoredRecord(
                        record: record,
                        position: LogPosition(segment: output.number, offset: output.offset + bytes.count),
                        appendedAt: now))
                SegmentFormat.append(record, appendedAt: now, to: &bytes)
                segment.items += record.items
            }
        }
        try files.write(bytes, to: output.descriptor, at: output.offset, path: output.path)
        if options.sync == .always { try files.synchronise(output.descriptor, path: output.path) }
        output.offset += bytes.count
        segment.end = output.offset
        segment.records += stored.count
        segment.newest = now
        return stored
    }

    private func finish(_ group: Group, _ output: Output, _ segment: Segment, _ stored: [StoredRecord]) {
        let (waiters, losses) = state.withLock { state in
            state.output = output
            if group.segment == nil {
                state.nextNumber = output.number + 1
                state.totalBytes += segment.end
                state.segments.append(segment)
            } else if let last = state.segments.indices.last {
                state.totalBytes += segment.end - state.segments[last].end
                let damagedAt = state.segments[last].damagedAt
                state.segments[last] = segment
                state.segments[last].damagedAt = damagedAt
            }
            if options.sync != .always { state.unsynchronised.insert(output.number) }
            let items = stored.reduce(0) { $0 + $1.record.items }
            for index in state.readers.indices { state.readers[index].pendingItems += items }
            remember(stored, &state)
            var losses: [Loss] = []
            let oldest = options.keepLimit > .zero ? segment.newest - options.keepLimit.milliseconds : .max
            while state.totalBytes > options.sizeLimit.bytes, state.segments.count > 1,
                state.segments[0].newest < oldest
            {
                losses += dropFirstSegment(.sizeLimit, &state)
            }
            return (Self.takeWaiters(&state), losses)
        }
        for waiter in waiters { waiter.resume() }
        // Before the appends return: who sees the record taken sees what had to go for it counted.
        report(losses)
        for append in group.appends { append.continuation.resume(returning: .success(())) }
        tidy()
    }

    private func fail(_ group: Group, _ output: Output?, _ error: SystemError) {
        var isUsable = false
        if let output {
            isUsable = (try? files.truncate(output.descriptor, to: output.offset, path: error.path)) != nil
            if !isUsable { files.close(output.descriptor) }
        }
        // A new segment that got no record is removed, so that its number can be used again.
        if let output, group.segment == nil {
            if isUsable { files.close(output.descriptor) }
            isUsable = false
            try? files.remove(directory.path(of: output.number))
        }
        state.withLock { state in
            state.counters.failedWrites += 1
            state.output = isUsable ? output : nil
            if let output, group.segment == nil { state.nextNumber = output.number + 1 }
            if !isUsable, let last = state.segments.indices.last { state.segments[last].isSealed = true }
        }
        let failure: SegmentLogError =
            error.code == ENOSPC || error.code == EDQUOT ? .noSpace(error) : .writeFailed(error)
        for append in group.appends { append.continuation.resume(returning: .failure(failure)) }
    }

    private func remember(_ stored: [StoredRecord], _ state: inout State) {
        let before = state.cache.bytes
        for record in stored { state.cache.append(record) }
        if let slowest = state.readers.map(\.read).min() { state.cache.drop(before: slowest) }
        charge(before, &state)
    }

    /// Keeps the account in step with the cache; where it refuses, the cache goes and readers use the files.
    func charge(_ before: Int, _ state: inout State) {
        guard let account else { return }
        let change = state.cache.bytes - before
        if change <= 0 {
            account.release(-change)
        } else if !account.spare(change) {
            state.cache.removeAll()
            account.release(before)
        }
    }
}
