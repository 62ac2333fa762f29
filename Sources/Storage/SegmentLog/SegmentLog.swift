package import Essentials
import Glibc
import Synchronization

/// A durable queue: records are appended at one end and read by named destinations, each at its own pace.
///
/// Appending returns when the records are in the file (and on the disk, with `SyncPolicy.always`), so that they survive the
/// end of the process. Appends that meet are written together. A destination reads fresh records from memory and older
/// ones from the files, acknowledges them in any order, and after a restart gets again what it had not acknowledged.
/// Files every destination is done with are deleted. Nothing is replayed at opening; see ``SegmentFormat`` for the files.
///
/// Size and age are bounded: past them whole segments go, oldest first, and each loss is reported. Ages are measured on a
/// clock of the log's own, which begins at the wall clock when the log is opened and does not jump afterwards: setting the
/// machine's clock neither expires records nor keeps them. Blocking calls run on
/// the pool given. Every method may be called from any task; a destination's reader is for one task at a time.
package final class SegmentLog: Sendable {
    package typealias SyncPolicy = Essentials.SyncPolicy

    package struct Options: Sendable {
        package var directory: String
        /// A segment is complete when it reaches this.
        package var segmentSize = ByteCount.mebibytes(16)
        /// All segments together; oldest go first.
        package var sizeLimit = ByteCount.mebibytes(10 << 10)
        /// Records older than this, by the time they were appended, go; nil keeps them.
        package var ageLimit: Duration?
        /// Records younger than this are not given up for the sake of `sizeLimit`: appends are refused instead.
        package var keepLimit = Duration.zero
        package var sync = SyncPolicy.interval(.seconds(1))
        /// Acknowledgements are noted in their file at most this often (and at closing): what was acknowledged in between
        /// is read again after a crash.
        package var acknowledgementInterval = Duration.zero
        /// Fresh records kept in memory for reading.
        package var memoryLimit = ByteCount.mebibytes(8)

        package init(directory: String) { self.directory = directory }
    }

    /// Called when records go before `destination` got them; from any thread.
    package typealias LossReport = @Sendable (_ loss: LogLoss, _ destination: String, _ items: Int) -> Void

    struct Append {
        var records: [SegmentRecord]
        var continuation: CheckedContinuation<Result<Void, SegmentLogError>, Never>
    }

    /// The file being written; owned by whoever set `isFlushing`.
    struct Output {
        var descriptor: CInt
        var path: String
        var number: UInt64
        var offset: Int
    }

    struct State: ~Copyable {
        var segments: [Segment]
        var nextNumber: UInt64
        var totalBytes: Int
        var readers: [ReaderState]
        var cache: RecordCache
        var pending: [Append] = []
        var output: Output?
        var isFlushing = false
        var isTidying = false
        /// Monotonic nanoseconds before which no acknowledgement is noted.
        var nextAcknowledgement = Int64.min
        var isClosed = false
        /// Nothing more is appended; readers get nil at the end.
        var isFinishing = false
        /// Segments that are no longer in `segments` but still on disk.
        var garbage: [Segment] = []
        /// Segments with bytes that were not synchronised.
        var unsynchronised: Set<UInt64> = []
        var idleWaiters: [CheckedContinuation<Void, Never>] = []
        var counters = Counters()
    }

    struct Counters {
        var tornBytes = 0
        /// Segments in which something unreadable was met.
        var damagedSegments = 0
        var failedWrites = 0
        var failedSyncs = 0
    }

    let options: Options
    let directory: SegmentDirectory
    let files: any LogFiles
    let pool: BlockingPool
    let clock: EngineClock
    let reportLoss: LossReport
    let account: MemoryAccount?
    let state: Mutex<State>
    private let lock: CInt
    /// Wall clock minus monotonic clock, in milliseconds, as it was at opening.
    private let origin: Int64

    private init(
        options: Options, directory: SegmentDirectory, pool: BlockingPool, clock: EngineClock,
        account: MemoryAccount?, state: consuming State, lock: CInt, startTime: Int64,
        reportLoss: @escaping LossReport
    ) {
        self.options = options
        self.directory = directory
        files = directory.files
        self.pool = pool
        self.clock = clock
        self.account = account
        self.reportLoss = reportLoss
        self.state = Mutex(state)
        self.lock = lock
        origin = startTime - clock.monotonicNanoseconds / 1_000_000
    }

    /// Milliseconds since 1970 as records are stamped: never jumps while the log is open.
    var now: Int64 { origin + clock.monotonicNanoseconds / 1_000_000 }

    // MARK: Opening and closing

    /// Opens the log in `options.directory`, which is made when missing, for `destinations`; others are forgotten.
    ///
    /// A destination without an acknowledgement starts at the oldest record, or after the newest when it is in
    /// `startingAtEnd`. `account` is charged for records in memory; where it refuses, readers go to the files.
    package static func open(
        _ options: Options, destinations: [String], startingAtEnd: Set<String> = [], pool: BlockingPool,
        clock: EngineClock, account: MemoryAccount? = nil, files: any LogFiles = SystemLogFiles(),
        reportLoss: @escaping LossReport = { _, _, _ in }
    ) async throws -> SegmentLog {
        try await pool.run {
            try openBlocking(
                options, destinations: destinations, startingAtEnd: startingAtEnd, pool: pool, clock: clock,
                account: account, files: files, reportLoss: reportLoss)
        }
    }

    private static func openBlocking(
        _ options: Options, destinations: [String], startingAtEnd: Set<String>, pool: BlockingPool,
        clock: EngineClock, account: MemoryAccount?, files: any LogFiles, reportLoss: @escaping LossReport
    ) throws -> SegmentLog {
        var options = options
        options.segmentSize = ByteCount(
            bytes: min(options.segmentSize.bytes, max(options.sizeLimit.bytes / 8, 64 << 10)))
        try Files.makeDirectory(options.directory)
        let lock = try files.openOrCreate("\(options.directory)/lock")
        guard flock(lock, LOCK_EX | LOCK_NB) == 0 else {
            files.close(lock)
            throw SegmentLogError.inUse(options.directory)
        }
        var descriptors: [CInt] = []
        do {
            let directory = SegmentDirectory(path: options.directory, files: files)
            try directory.forgetDestinations(except: destinations)
            var slots: [AcknowledgementFormat.Slot?] = []
            for destination in destinations {
                let path = directory.acknowledgementPath(of: destination)
                let descriptor = try files.openOrCreate(path)
                descriptors.append(descriptor)
                slots.append(try readSlot(descriptor, path, files))
            }
            let recovery = try directory.recover(from: Self.lowest(slots))
            var state = State(
                segments: recovery.segments, nextNumber: recovery.nextNumber,
                totalBytes: recovery.segments.reduce(0) { $0 + $1.end }, readers: [],
                cache: RecordCache(limit: options.memoryLimit.bytes))
            state.counters.tornBytes = recovery.tornBytes
            state.counters.damagedSegments = recovery.segments.count(where: \.isDamaged)
            for (index, destination) in destinations.enumerated() {
                let path = directory.acknowledgementPath(of: destination)
                var reader = makeReader(
                    destination, slots[index], descriptors[index], state.segments, state.nextNumber,
                    startsAtEnd: startingAtEnd.contains(destination))
                // Both slots are written once, so that later acknowledgements need no space.
                try writeSlot(of: &reader, path, files)
                try writeSlot(of: &reader, path, files)
                state.readers.append(reader)
            }
            let log = SegmentLog(
                options: options, directory: directory, pool: pool, clock: clock, account: account, state: state,
                lock: lock, startTime: max(clock.wallMilliseconds, recovery.newest), reportLoss: reportLoss)
            log.tidy()
            return log
        } catch {
            for descriptor in descriptors { files.close(descriptor) }
            files.close(lock)
            throw error
        }
    }

    private static func readSlot(
        _ descriptor: CInt, _ path: String, _ files: any LogFiles
    ) throws -> AcknowledgementFormat.Slot? {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: AcknowledgementFormat.fileSize, alignment: 8)
        defer { buffer.deallocate() }
        let count = try files.read(into: buffer, from: descriptor, at: 0, path: path)
        return AcknowledgementFormat.read(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
    }

    /// The earliest of the acknowledgements; nil when a destination has none and needs everything.
    private static func lowest(_ slots: [AcknowledgementFormat.Slot?]) -> AcknowledgementFormat.Slot? {
        let known = slots.compactMap { $0 }
        guard known.count == slots.count else { return nil }
        return known.min { $0.position < $1.position }
    }

    static func writeSlot(of reader: inout ReaderState, _ path: String, _ files: any LogFiles) throws(SystemError) {
        let frontier = reader.frontier
        reader.sequence += 1
        let slot = AcknowledgementFormat.Slot(
            sequence: reader.sequence, position: frontier.position, itemsInSegment: frontier.itemsInSegment)
        let offset = Int(reader.sequence % 2) * AcknowledgementFormat.slotSize
        try files.write(AcknowledgementFormat.bytes(of: slot), to: reader.descriptor, at: offset, path: path)
        reader.persisted = frontier.position
    }

    private static func makeReader(
        _ destination: String, _ slot: AcknowledgementFormat.Slot?, _ descriptor: CInt, _ segments: [Segment],
        _ nextNumber: UInt64, startsAtEnd: Bool
    ) -> ReaderState {
        let end = LogPosition(segment: nextNumber, offset: SegmentFormat.segmentHeaderSize)
        var start = AcknowledgementFormat.Slot(
            sequence: slot?.sequence ?? 0,
            position: slot?.position ?? (startsAtEnd ? end : .init(segment: 0, offset: 0)),
            itemsInSegment: slot?.itemsInSegment ?? 0)
        // The first segment not behind the position, and the position within it when it is that very one.
        if let segment = segments.first(where: { $0.number >= start.position.segment }) {
            if segment.number != start.position.segment || start.position.offset < SegmentFormat.segmentHeaderSize {
                start.position = LogPosition(segment: segment.number, offset: SegmentFormat.segmentHeaderSize)
                start.itemsInSegment = 0
            } else if start.position.offset > segment.end, !segment.isDamaged {
                start.position.offset = segment.end
                start.itemsInSegment = segment.items
            }
        } else {
            start.position = end
            start.itemsInSegment = 0
        }
        var reader = ReaderState(destination: destination, slot: start, descriptor: descriptor)
        let ahead = segments.filter { $0.number >= start.position.segment }.reduce(0) { $0 + $1.items }
        reader.pendingItems = max(0, ahead - start.itemsInSegment)
        return reader
    }

    /// The reader of a destination named at opening.
    package func reader(for destination: String) -> SegmentLogReader? {
        let index = state.withLock { $0.readers.firstIndex { $0.destination == destination } }
        return index.map { SegmentLogReader(log: self, index: $0) }
    }

    /// Refuses appends from now on; readers get what there is and then nil.
    package func finishAppending() {
        let waiters = state.withLock { state in
            state.isFinishing = true
            return Self.takeWaiters(&state)
        }
        for waiter in waiters { waiter.resume() }
    }

    /// Deletes a log's files, and its directory if nothing else is in it. No log may be open there.
    package static func remove(_ directory: String) throws {
        for name in try Files.list(directory) {
            let isOurs =
                name.hasSuffix(".segment") || name.hasSuffix(".segment.damaged") || name.hasSuffix(".acknowledged")
                || name == "lock"
            if isOurs { unlink("\(directory)/\(name)") }
        }
        rmdir(directory)
    }

    /// Finishes what is being written, notes the acknowledgements and closes the files. Later appends are refused and
    /// readers get nil.
    package func close() async {
        let waiters: [CheckedContinuation<Void, any Error>]? = state.withLock { state in
            if state.isClosed { return nil }
            state.isClosed = true
            return Self.takeWaiters(&state)
        }
        guard let waiters else { return }
        for waiter in waiters { waiter.resume() }
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            let isIdle = state.withLock { state in
                if !state.isFlushing, !state.isTidying { return true }
                state.idleWaiters.append(continuation)
                return false
            }
            if isIdle { continuation.resume() }
        }
        _ = try? await pool.run { [self] in closeFiles() }
    }

    /// Lets go of the files as the end of the process would: nothing more is written. For tests of recovery.
    package func abandon() {
        let descriptors = state.withLock { state in
            state.isClosed = true
            let descriptors = state.readers.map(\.descriptor) + (state.output.map { [$0.descriptor] } ?? [])
            state.output = nil
            for index in state.readers.indices { state.readers[index].descriptor = -1 }
            return descriptors
        }
        for descriptor in descriptors where descriptor >= 0 { files.close(descriptor) }
        files.close(lock)
    }

    private func closeFiles() {
        if options.sync != .never { synchroniseNow() }
        let (output, active, readers) = state.withLock { state in
            let readers = state.readers
            let output = state.output
            state.output = nil
            let active = state.segments.last
            for index in state.readers.indices { state.readers[index].descriptor = -1 }
            return (output, active, readers)
        }
        if let output {
            if let active, active.number == output.number { directory.seal(active, output.descriptor) }
            files.close(output.descriptor)
        }
        for var reader in readers where reader.descriptor >= 0 {
            let path = directory.acknowledgementPath(of: reader.destination)
            if reader.frontier.position != reader.persisted { try? Self.writeSlot(of: &reader, path, files) }
            if options.sync != .never { try? files.synchronise(reader.descriptor, path: path) }
            files.close(reader.descriptor)
        }
        state.withLock { state in
            account?.release(state.cache.bytes)
            state.cache.removeAll()
        }
        files.close(lock)
    }

    static func takeWaiters(_ state: inout State) -> [CheckedContinuation<Void, any Error>] {
        var waiters: [CheckedContinuation<Void, any Error>] = []
        for index in state.readers.indices {
            if let waiter = state.readers[index].waiter {
                waiters.append(waiter)
                state.readers[index].waiter = nil
            }
        }
        return waiters
    }
}

// MARK: - What operators see

/// A log's state at one moment.
package struct SegmentLogStatistics: Sendable, Equatable {
    package var segments: Int
    package var bytes: ByteCount
    /// Fresh records in memory.
    package var memory: ByteCount
    /// Bytes of unfinished records cut off at opening.
    package var tornBytes: Int
    package var damagedSegments: Int
    package var failedWrites: Int
    package var failedSyncs: Int
    /// Items each destination has yet to acknowledge.
    package var pendingItems: [String: Int]
}

extension SegmentLog {
    package var statistics: SegmentLogStatistics {
        state.withLock { state in
            var pending: [String: Int] = [:]
            for reader in state.readers { pending[reader.destination] = reader.pendingItems }
            return SegmentLogStatistics(
                segments: state.segments.count, bytes: ByteCount(bytes: state.totalBytes),
                memory: ByteCount(bytes: state.cache.bytes), tornBytes: state.counters.tornBytes,
                damagedSegments: state.counters.damagedSegments, failedWrites: state.counters.failedWrites,
                failedSyncs: state.counters.failedSyncs, pendingItems: pending)
        }
    }
}
