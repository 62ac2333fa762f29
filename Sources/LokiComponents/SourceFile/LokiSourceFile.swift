import AlloySyntax
package import ComponentKit
import Essentials
import LogSources
import SelfMetrics
import Storage
import Telemetry

/// Reads log files line by line and follows them through rotation, truncation and deletion.
///
/// A position moves on only when every receiver has taken the lines before it, so that nothing is lost when the process
/// is killed: what was read since positions were last written is read again. A slow receiver stops the reading. Files
/// cost a descriptor each; buffers exist per core.
package final class LokiSourceFile: Component {
    package static let spec = ComponentSpec(
        "loki.source.file", .generallyAvailable, "Reads log files and forwards their lines.")

    /// Bytes read before they are delivered.
    static let batchBytes = 256 << 10
    /// Files whose lines share a batch.
    private static let filesPerBatch = 64

    let arguments: Live<Arguments>
    let context: Context<NoValues>
    private let positions: Positions
    /// What was known of files when the component was made.
    private let earlierFiles: EarlierFiles
    private let queue = FileQueue()
    private let spares = SpareBatches()
    private let activeFiles: Gauge
    private let cutLines: Counter
    private let refusals: LogLimiter
    private let isLegacyUsed: Bool

    package init(_ arguments: Live<Arguments>, _ context: Context<NoValues>) throws {
        self.arguments = arguments
        self.context = context
        try Files.makeDirectory(context.storagePath)
        let path = context.storagePath + "/positions.yml"
        let legacy = arguments.current.legacyPositionsFile
        isLegacyUsed = !legacy.isEmpty
        if !legacy.isEmpty {
            do {
                Self.report(try Positions.convertLegacy(legacy, to: path), of: legacy, to: context.log)
            } catch let error as SystemError {
                throw PositionsError(
                    "legacy positions file \"\(legacy)\" exists but could not be read, refusing to start to avoid "
                        + "re-ingesting logs: \(error)")
            }
        }
        positions = try Positions(path: path)
        earlierFiles = EarlierFiles(positions.fingerprints)
        if let problem = positions.fingerprintProblem {
            context.log.warn("Fingerprints of files could not be read", nil, ["path": path, .error: problem])
        }
        activeFiles = context.metrics.gauge("loki_source_file_files_active_total", "Number of active files.")
        cutLines = context.metrics.counter(
            "loki_source_file_cut_lines_total", "Number of lines cut because they are longer than 16 MiB.")
        refusals = LogLimiter(every: .seconds(10), clock: context.clock)
    }

    private static func report(_ conversion: Positions.LegacyConversion, of legacy: String, to log: Log) {
        switch conversion {
        case .converted(let count):
            log.info("Converted legacy positions file", nil, ["legacy_path": legacy, "positions": "\(count)"])
        case .absent: log.info("No legacy positions file found", nil, ["legacy_path": legacy])
        case .invalid(let reason):
            log.error("Error parsing legacy positions file", PositionsError(reason), ["legacy_path": legacy])
        case .superseded:
            log.info("Keeping the positions file over the legacy one", nil, ["legacy_path": legacy])
        }
    }

    package var debugInfo: DebugInfo {
        let files = queue.files.sorted { ($0.path, $0.key.labels) < ($1.path, $1.key.labels) }
        return DebugInfo(
            targets: files.map { file in
                DebugInfo.TargetInfo(
                    path: file.path, labels: file.key.labels, isRunning: file.isOpen, readOffset: file.position)
            })
    }

    /// Reads until cancelled. New arguments start and stop files; the rest go on undisturbed.
    package func run() async throws {
        let result: Result<Void, any Error>
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { [self] in
                    await positions.saveRegularly(
                        clock: context.clock, on: context.services.blocking, log: context.log,
                        isInUse: { [self] in needsPosition($0) })
                }
                group.addTask { [self] in try await followArguments() }
                group.addTask { [self] in try await lookRegularly() }
                for _ in 0..<max(context.services.slots.count, 1) {
                    group.addTask { [self] in try await readRegularly() }
                }
                try await group.waitForAll()
            }
            result = .success(())
        } catch {
            result = .failure(error)
        }
        try? await context.services.blocking.run { [self] in
            for file in queue.files { file.close() }
            do {
                try positions.save()
            } catch {
                context.log.error("error writing positions file", error)
            }
        }
        try result.get()
    }

    /// Whether the position of `key` must stay although nothing has its name: what it belongs to was not looked for yet,
    /// or was found under another name and is being read.
    private func needsPosition(_ key: PositionKey) -> Bool {
        if earlierFiles.isAwaited(key) { return true }
        return queue.file(key)?.needsPosition ?? false
    }

    // MARK: Targets

    private func followArguments() async throws {
        var (current, version) = arguments.snapshot
        var options = current.tailOptions
        while true {
            if current.tailOptions != options {
                options = current.tailOptions
                for key in queue.keys { await stop(key, forgetting: false) }
            }
            try await reconcile(with: current)
            if current.fileMatch.isEnabled {
                try await changeOrTick(after: version, current.fileMatch.syncPeriod)
            } else {
                try await arguments.change(after: version)
            }
            (current, version) = arguments.snapshot
        }
    }

    private func changeOrTick(after version: UInt64, _ period: Duration) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { [arguments] in try await arguments.change(after: version) }
            group.addTask { [context] in try await context.clock.sleep(for: period) }
            try await group.next()
            group.cancelAll()
        }
    }

    /// Starts and stops reading so that the files are those of the targets.
    private func reconcile(with current: Arguments) async throws {
        let known = queue.keys
        let now = context.clock.wallNanoseconds
        let (files, problems) = try await context.services.blocking.run {
            TargetResolver.resolve(current.targets, match: current.fileMatch, isKnown: known.contains, now: now)
        }
        for problem in problems {
            context.log.error("Failed to resolve target", nil, ["err": problem])
        }
        let wanted = Set(files.map(\.key))
        for key in known where !wanted.contains(key) { await stop(key, forgetting: true) }
        let decoder = current.characterSet.flatMap { TextDecoder($0) } ?? .verbatim
        let new = files.filter { !known.contains($0.key) }
        // Files renamed while nobody looked, by the names they have now.
        var renamed: [PositionKey: Int64] = [:]
        if !earlierFiles.isEmpty, !new.isEmpty, !current.decompression.isEnabled {
            let candidates = new.map(\.key).filter { positions[$0] == nil }
            renamed = try await context.services.blocking.run { [earlierFiles] in earlierFiles.claim(candidates) }
        }
        for file in new { start(file, current, decoder, renamedAt: renamed[file.key]) }
        if !current.targets.isEmpty { earlierFiles.noteTargets() }
        try await lookAtDueFiles()
    }

    private func start(
        _ resolved: ResolvedFile, _ current: Arguments, _ decoder: TextDecoder, renamedAt: Int64? = nil
    ) {
        let key = resolved.key
        var options = current.tailOptions
        var position: Int64?
        do throws(PositionsError) {
            position = try positions.offset(of: key)
            if (position ?? 0) == 0, isLegacyUsed {
                position = try positions.offset(of: PositionKey(path: key.path, labels: "{}"))
            }
        } catch {
            switch current.onPositionsFileError {
            case .skip:
                context.log.error("Failed to get file position", error, ["path": key.path])
                return
            case .restartFromEnd:
                context.log.info("Reset position to end of file after position error", error, ["path": key.path])
                options.tailsFromEnd = true
            case .restartFromBeginning:
                context.log.info("Reset position to start of file after position error", error, ["path": key.path])
            }
        }
        var earlier: EarlierFile?
        if let renamedAt {
            position = renamedAt
        } else if position != nil {
            earlier = earlierFiles.take(key)
        }
        var firstLook = context.clock.monotonicNanoseconds
        if options.compression != nil { firstLook &+= max(0, current.decompression.initialDelay.nanoseconds) }
        let file = TailedFile(
            key: key, labels: resolved.labels, position: position, options: options, decoder: decoder,
            metrics: context.metrics, firstLook: firstLook, earlier: earlier)
        _ = queue.add(file)
    }

    private func stop(_ key: PositionKey, forgetting: Bool) async {
        guard let file = queue.remove(key) else { return }
        await end(file, forgetting: forgetting)
    }

    /// Closes a file that is no longer among the targets.
    private func end(_ file: TailedFile, forgetting: Bool) async {
        try? await context.services.blocking.run { file.close() }
        TailedFile.Instruments.remove(file.path, from: context.metrics)
        // Another file of the same key may have been started since.
        if forgetting, !file.isCompressed, !queue.keys.contains(file.key) { positions.remove(file.key) }
        context.log.info("Stopped tailing file", nil, ["path": file.path])
    }

    // MARK: Looking

    private func lookRegularly() async throws {
        while true {
            let before = context.clock.monotonicNanoseconds
            try await lookAtDueFiles()
            let (minimum, _) = arguments.current.fileWatch.bounds
            try await context.clock.sleep(untilMonotonic: before &+ minimum)
        }
    }

    private func lookAtDueFiles() async throws {
        let due = queue.takeDue(context.clock.monotonicNanoseconds)
        if due.isEmpty { return }
        let activities = try await context.services.blocking.run { due.map { $0.look() } }
        for (file, activity) in zip(due, activities) { prepare(file, activity, isQuiet: true) }
        for file in queue.giveBack(zip(due, activities).map { ($0, $1) }) { await end(file, forgetting: true) }
        activeFiles.set(queue.files.reduce(0) { $0 + ($1.isOpen ? 1 : 0) })
    }

    /// Puts a file where its activity says, or ends it when it is no longer wanted.
    private func settle(_ file: TailedFile, _ activity: FileTail.Activity, isQuiet: Bool, first: Bool = false) async {
        prepare(file, activity, isQuiet: isQuiet)
        if !queue.giveBack(file, as: activity, first: first) { await end(file, forgetting: true) }
    }

    /// Reports what changed about a file and plans when to look at it again.
    private func prepare(_ file: TailedFile, _ activity: FileTail.Activity, isQuiet: Bool) {
        switch file.takeReport() {
        case .opened: context.log.info("Start tailing file", nil, ["path": file.path])
        case .failed(let problem):
            context.log.error("Failed to tail file", nil, ["path": file.path, .error: problem])
        case .lostEarlierFile:
            context.log.warn(
                "The file read before is gone, its last lines may not have been read", nil, ["path": file.path])
        case nil: break
        }
        if activity == .idle {
            let (minimum, maximum) = arguments.current.fileWatch.bounds
            file.postponeLook(
                from: context.clock.monotonicNanoseconds, minimum: minimum, maximum: maximum, isQuiet: isQuiet)
        }
    }

    // MARK: Reading

    private func readRegularly() async throws {
        while true {
            var waiting = try await queue.takeReady(upTo: Self.filesPerBatch)[...]
            while !waiting.isEmpty {
                let count = try await readBatch(of: Array(waiting))
                waiting = waiting.dropFirst(count)
            }
        }
    }

    /// Reads and delivers one batch from the first of `files` and returns how many of them it settled.
    private func readBatch(of files: [TailedFile]) async throws -> Int {
        let reserved = Self.batchBytes * 2
        while !context.memory.admit(reserved) { try await context.clock.sleep(for: .milliseconds(100)) }
        defer { context.memory.release(reserved) }
        let now = context.clock.wallNanoseconds
        var reading = try await context.services.slots.withSlot {
            try await context.services.blocking.run { [spares] in
                // Taken here, because what a closure holds is shared and would be copied when written to.
                Self.read(files, into: spares.take(), now: now)
            }
        }
        defer { spares.give(&reading.batch) }
        // A single long line may be larger than what was reserved.
        let excess = max(0, reading.batch.byteCount - reserved)
        context.memory.book(excess)
        defer { context.memory.release(excess) }
        if !reading.batch.isEmpty { try await deliver(reading.batch) }
        for (file, outcome) in zip(files, reading.outcomes) {
            let (position, fingerprint, cut) = file.commit(lines: outcome.lines)
            if let fingerprint {
                positions.set(file.key, to: position, fingerprint)
            } else if position > 0 || outcome.lines > 0 {
                positions.set(file.key, to: position)
            }
            if cut > 0 { reportCutLines(cut, file) }
            let isFinished = file.isCompressed && !outcome.hasMore
            await settle(
                file, isFinished ? .finished : outcome.hasMore ? .readable : .idle, isQuiet: false,
                first: file.isCompressed)
            if isFinished { context.log.info("Finished reading compressed file", nil, ["path": file.path]) }
        }
        return reading.outcomes.count
    }

    private struct Reading: Sendable {
        var batch = LogBatch()
        /// Of the first files, as many as were read.
        var outcomes: [FileTail.Outcome] = []
    }

    private static func read(_ files: [TailedFile], into batch: consuming LogBatch, now: Int64) -> Reading {
        var reading = Reading(batch: batch)
        for file in files {
            let room = batchBytes - reading.batch.arena.count
            if !reading.outcomes.isEmpty, room < batchBytes / 8 { break }
            reading.outcomes.append(file.read(into: &reading.batch, limit: room, now: now))
        }
        return reading
    }

    /// Returns when every receiver has taken the batch or refused it for good.
    private func deliver(_ batch: LogBatch) async throws {
        var batch = batch
        let count = batch.itemCount
        var backoff = Backoff(minimum: .milliseconds(100), maximum: .seconds(5))
        while true {
            let failure: DeliveryError
            let forwardTo = arguments.current.forwardTo
            do throws(DeliveryError) {
                try await forwardTo.deliver(&batch)
                context.ledger.originated(count)
                return
            } catch {
                failure = error
            }
            switch failure.kind {
            case .rejected:
                context.ledger.originated(count)
                forwardTo.giveUp(batch, after: failure)
                refusals.attempt { suppressed in
                    context.log.warn(
                        "Lines refused for good", failure, ["lines": "\(count)", "suppressed": "\(suppressed)"])
                }
                return
            case .retry(let wait), .overloaded(let wait):
                try await context.clock.sleep(for: wait ?? backoff.next())
            }
        }
    }

    private func reportCutLines(_ count: Int, _ file: TailedFile) {
        cutLines.add(count)
        refusals.attempt { suppressed in
            context.log.warn(
                "Cut a line that is too long", nil,
                ["path": file.path, "limit": "\(LineSplitter.maximumLineBytes)", "suppressed": "\(suppressed)"])
        }
    }
}
