import Essentials
import Glibc
import SelfMetrics
import Storage
import Synchronization
import Telemetry
import Transport
import Wire

/// What endpoints share.
struct EndpointEnvironment: Sendable {
    var clock: EngineClock
    var log: Log
    var ledger: ComponentLedger
    var memory: MemoryAccount
    /// For requests read ahead of being sent.
    var sendMemory: MemoryAccount
    var sync: SyncPolicy
    var metrics: MetricScope
    var blocking: BlockingPool
    var eventLoops: EventLoops
    /// Where an endpoint's work runs; nil is everywhere.
    var executor: (any TaskExecutor)?
    /// Each endpoint's queue is a directory in it.
    var directory: String
    var families: FamilyStore

    /// Deletes the queues of endpoints that are no longer configured; what was in them is booked as dropped.
    func removeForgottenQueues(except kept: [String]) async {
        for name in (try? Files.list(directory)) ?? [] where !kept.contains("\(directory)/\(name)") {
            let path = "\(directory)/\(name)"
            var lost = 0
            if let queue = try? await SegmentLog.open(
                SegmentLog.Options(directory: path), destinations: [RemoteWriteEndpoint.destination], pool: blocking,
                clock: clock)
            {
                lost = queue.statistics.pendingItems[RemoteWriteEndpoint.destination] ?? 0
                await queue.close()
            }
            ledger.restored(lost)
            ledger.drop(lost, .stopped)
            log.warn(
                "Deleting the queue of an endpoint that is no longer configured", nil,
                ["queue": name, "samples": "\(lost)"])
            try? SegmentLog.remove(path)
        }
    }
}

/// Everything the configuration says about an endpoint.
struct EndpointSettings: Sendable, Equatable {
    var endpoint: PrometheusRemoteWrite.Endpoint
    var externalLabels: LabelSet
    var wal: PrometheusRemoteWrite.WAL

    var writing: EndpointWriter.Configuration {
        EndpointWriter.Configuration(
            encoding: .init(
                version: endpoint.version, sendExemplars: endpoint.sendExemplars,
                sendNativeHistograms: endpoint.sendNativeHistograms),
            externalLabels: externalLabels, relabeling: endpoint.relabeling,
            samplesPerSend: endpoint.queue.samplesPerSend, sampleAgeLimit: endpoint.queue.sampleAgeLimit,
            sendsMetadata: endpoint.metadata.isSent)
    }
}

/// One endpoint: its durable queue, what fills it and what empties it.
///
/// Its work runs in a task of its own that outlives the component's cancellation for the time of a drain: a request in
/// flight must not be cut off, or its samples would be sent twice. ``stop()`` awaits it.
final class RemoteWriteEndpoint: Sendable {
    private struct State {
        var settings: EndpointSettings
        var log: SegmentLog?
        var work: Task<Void, Never>?
    }

    /// Name or URL: what makes it the same endpoint after a reload.
    let key: String
    /// Notes in a batch that this endpoint has taken it.
    let id: UInt64
    let directory: String
    let environment: EndpointEnvironment
    let writer: EndpointWriter
    let sender: RequestSender
    private let shownMetrics: Mutex<EndpointMetrics>
    let holding: Holding
    let progress = EndpointProgress()
    let reports: FailureReports
    private let state: Mutex<State>

    init(key: String, _ settings: EndpointSettings, _ environment: EndpointEnvironment) {
        self.key = key
        self.environment = environment
        id = Receiver<MetricBatch>(ledger: environment.ledger).id
        directory = "\(environment.directory)/\(Self.directoryName(key))"
        writer = EndpointWriter(
            settings.writing, shards: settings.endpoint.queue.minimumShards, clock: environment.clock,
            memory: environment.memory)
        sender = RequestSender(settings, environment)
        shownMetrics = Mutex(Self.makeMetrics(key, settings, environment))
        reports = FailureReports(environment.log, endpoint: key, clock: environment.clock)
        holding = environment.ledger.holding("queue \(key)")
        state = Mutex(State(settings: settings))
        environment.metrics.collector { [weak self] in
            guard let self, let log = self.state.withLock({ $0.log }) else { return [] }
            return log.statistics.families(queue: self.key)
        }
        show(settings)
    }

    /// Readable where the key is, unique by a hash that is the same in every version.
    private static func directoryName(_ key: String) -> String {
        let plain = key.unicodeScalars.prefix(60).map { scalar -> Character in
            let isPlain = scalar.isASCII && (scalar.properties.isAlphabetic || ("0"..."9").contains(scalar))
            return isPlain || scalar == "-" || scalar == "_" ? Character(scalar) : "_"
        }
        return "\(String(plain))-\(shortHash(key))"
    }

    /// FNV-1a, eight hexadecimal digits.
    private static func shortHash(_ text: String) -> String {
        var hash: UInt32 = 2_166_136_261
        for byte in text.utf8 { hash = (hash ^ UInt32(byte)) &* 16_777_619 }
        let digits = String(hash, radix: 16)
        return String(repeating: "0", count: 8 - digits.count) + digits
    }

    private static func makeMetrics(
        _ key: String, _ settings: EndpointSettings, _ environment: EndpointEnvironment
    ) -> EndpointMetrics {
        let name = settings.endpoint.name.isEmpty ? shortHash(key) : settings.endpoint.name
        return EndpointMetrics(environment.metrics, name: name, url: settings.endpoint.url?.text ?? "")
    }

    /// Labelled with the endpoint's name and URL.
    var metrics: EndpointMetrics { shownMetrics.withLock { $0 } }

    var settings: EndpointSettings { state.withLock { $0.settings } }

    var info: PrometheusRemoteWrite.EndpointInfo {
        let (settings, log) = state.withLock { ($0.settings, $0.log) }
        return .init(
            name: settings.endpoint.name, url: settings.endpoint.url?.text ?? "", pending: holding.items,
            shards: writer.shards, queueBytes: log?.statistics.bytes.bytes ?? 0)
    }

    private func show(_ settings: EndpointSettings) {
        let queue = settings.endpoint.queue
        metrics.shards.set(writer.shards)
        metrics.shardsMinimum.set(queue.minimumShards)
        metrics.shardsMaximum.set(queue.maximumShards)
        metrics.shardCapacity.set(queue.capacity)
        metrics.samplesPerSend.set(queue.samplesPerSend)
    }

    // MARK: Life

    /// Opens the queue and begins to send; does nothing when that has been done.
    func start() async throws {
        let settings = settings
        if state.withLock({ $0.log != nil }) { return }
        let log = try await SegmentLog.open(
            options(settings), destinations: [Self.destination], pool: environment.blocking,
            clock: environment.clock, account: environment.memory,
            reportLoss: { [weak self] loss, _, items in self?.lost(items, loss) })
        let pending = log.statistics.pendingItems[Self.destination] ?? 0
        environment.ledger.reopened(holding, with: pending)
        metrics.samplesPending.set(pending)
        if log.statistics.tornBytes > 0 {
            environment.log.info("Cut off an unfinished record of the queue", nil, ["endpoint": key])
        }
        begin(log)
    }

    static let destination = "endpoint"

    private func options(_ settings: EndpointSettings) -> SegmentLog.Options {
        var options = SegmentLog.Options(directory: directory)
        options.sync = environment.sync
        options.ageLimit = settings.wal.maximumKeepalive
        options.keepLimit = settings.wal.minimumKeepalive
        options.acknowledgementInterval = .milliseconds(200)
        try? Files.makeDirectory(directory)
        if let available = Files.availableBytes(directory) {
            // Four fifths of what is free, and no more than an operator would expect a queue to take.
            let share = available.bytes / 5 * 4
            options.sizeLimit = ByteCount(bytes: max(64 << 20, min(share, 64 << 30)))
        }
        return options
    }

    private func begin(_ log: SegmentLog) {
        guard let reader = log.reader(for: Self.destination) else { return }
        progress.reset()
        let work = Task(executorPreference: environment.executor) {
            await EndpointWork(endpoint: self, log: log, reader: reader).run()
        }
        state.withLock { state in
            state.log = log
            state.work = work
        }
    }

    /// Applies new settings from the next batch and request on; only a change of the WAL's times opens the queue anew.
    func update(_ settings: EndpointSettings) async {
        let (before, isRunning) = state.withLock { state in
            defer { state.settings = settings }
            return (state.settings, state.log != nil)
        }
        if before == settings { return }
        writer.update(settings.writing)
        sender.update(settings)
        if before.endpoint.url != settings.endpoint.url {
            metrics.remove()
            let made = Self.makeMetrics(key, settings, environment)
            made.samplesPending.set(holding.items)
            shownMetrics.withLock { $0 = made }
        }
        show(settings)
        // What is not sent stays on disk and held; ``start()`` finds it again.
        if isRunning, before.wal != settings.wal { await end(givingUp: true) }
    }

    /// Sends what is queued as long as the endpoint takes it, a minute at most, and closes the queue. What is left stays
    /// on disk for the next start.
    func stop() async { await end(givingUp: false) }

    /// Closes the queue at once and deletes it: the endpoint is no longer configured.
    func discard() async {
        await end(givingUp: true)
        let left = holding.items
        environment.ledger.drop(left, .stopped)
        holding.subtract(left)
        metrics.remove()
        try? SegmentLog.remove(directory)
    }

    private func end(givingUp: Bool) async {
        let (log, work) = state.withLock { state in
            defer {
                state.log = nil
                state.work = nil
            }
            return (state.log, state.work)
        }
        guard let log, let work else { return }
        progress.drain(until: environment.clock.monotonicNanoseconds + (givingUp ? 0 : 60_000_000_000))
        log.finishAppending()
        await work.value
    }

    // MARK: Batches in

    /// Puts `batch` into the queue; returns when it is on file.
    func accept(_ batch: MetricBatch) async throws(DeliveryError) {
        guard let log = state.withLock({ $0.log }) else { throw .retry("the queue of endpoint \(key) is not open") }
        let output: EndpointWriter.Output
        do {
            output = try writer.encode(batch)
        } catch {
            throw .rejected(.malformed, "\(error)")
        }
        let items = output.counts.items
        if !output.records.isEmpty {
            holding.add(items)
            metrics.samplesPending.add(Double(output.counts.samples + output.counts.histograms))
            var written = 0
            do throws(SegmentLogError) {
                for group in Self.groups(output.records) {
                    try await log.append(group, blocking: environment.eventLoops.isOnWorkLoop)
                    for record in group { written += record.items }
                }
            } catch {
                // What is on file stays in the queue and will be sent, though the sender is told to try again: a copy.
                environment.ledger.created(written)
                holding.subtract(items - written)
                metrics.samplesPending.add(-Double(items - written))
                metrics.enqueueRetries.add()
                if case .tooLarge = error { throw .rejected(.limit, "\(error)") }
                throw .retry(after: .seconds(1), "\(error)")
            }
        }
        for (reason, counts) in output.dropped {
            metrics.dropped(counts, reason: reason)
            environment.ledger.drop(counts.items, reason == "dropped_series" ? .rule : DropReason(reason))
        }
        metrics.samplesIn.add(output.counts.samples)
        metrics.histogramsIn.add(output.counts.histograms)
        metrics.exemplarsIn.add(output.counts.exemplars)
        progress.came(items)
        if items > 0 {
            let newest = Double(output.counts.newestTimestamp) / 1000
            if newest > metrics.highestQueued.value { metrics.highestQueued.set(newest) }
        }
    }

    /// Groups that the log takes in one piece.
    private static func groups(_ records: [SegmentRecord]) -> [[SegmentRecord]] {
        var groups: [[SegmentRecord]] = [[]]
        var bytes = 0
        for record in records {
            if bytes > 0, bytes + record.payload.count > 16 << 20 {
                groups.append([])
                bytes = 0
            }
            groups[groups.count - 1].append(record)
            bytes += record.payload.count
        }
        return groups
    }

    /// The queue gave up samples.
    private func lost(_ items: Int, _ loss: LogLoss) {
        var counts = RemoteWriteCounts()
        counts.samples = items
        let reason: DropReason
        switch loss {
        case .ageLimit: reason = .tooOld
        case .sizeLimit: reason = .queueFull
        case .damaged:
            reason = .damaged
            metrics.queueDamaged.add(items)
        }
        metrics.dropped(counts, reason: reason.name)
        metrics.samplesPending.add(-Double(items))
        environment.ledger.drop(items, reason)
        holding.subtract(items)
        environment.log.error(
            "The queue of an endpoint lost samples", nil,
            ["endpoint": key, "reason": reason.name, "samples": "\(items)"])
    }
}

/// How an endpoint's work goes: read and written by its tasks.
final class EndpointProgress: Sendable {
    private let samplesIn = Atomic<Int>(0)
    private let samplesOut = Atomic<Int>(0)
    private let sendNanoseconds = Atomic<Int64>(0)
    private let retries = Atomic<Int>(0)
    /// Monotonic nanoseconds at which draining ends; `.max` while not draining.
    private let deadline = Atomic<Int64>(.max)
    private let hasGivenUp = Atomic<Bool>(false)

    func reset() {
        deadline.store(.max, ordering: .relaxed)
        hasGivenUp.store(false, ordering: .relaxed)
    }

    func came(_ samples: Int) { samplesIn.add(samples, ordering: .relaxed) }

    func went(_ samples: Int, _ duration: Duration) {
        samplesOut.add(samples, ordering: .relaxed)
        sendNanoseconds.add(duration.nanoseconds, ordering: .relaxed)
    }

    func retried() { retries.add(1, ordering: .relaxed) }

    /// What happened since the last call: samples in and out, seconds of sending, repetitions.
    func take() -> (samplesIn: Int, samplesOut: Int, seconds: Double, retries: Int) {
        (
            samplesIn.exchange(0, ordering: .relaxed), samplesOut.exchange(0, ordering: .relaxed),
            Double(sendNanoseconds.exchange(0, ordering: .relaxed)) / 1e9, retries.exchange(0, ordering: .relaxed)
        )
    }

    /// From now on nothing waits for more samples, and what fails is left for the next run.
    func drain(until time: Int64) { deadline.store(time, ordering: .relaxed) }

    var isDraining: Bool { deadline.load(ordering: .relaxed) != .max }

    /// Time left for draining, nil when not draining.
    func timeLeft(at now: Int64) -> Duration? {
        let end = deadline.load(ordering: .relaxed)
        return end == .max ? nil : .nanoseconds(max(0, end - now))
    }

    func giveUp() { hasGivenUp.store(true, ordering: .relaxed) }

    /// True when nothing more is to be sent in this run.
    func isOver(at now: Int64) -> Bool {
        hasGivenUp.load(ordering: .relaxed) || deadline.load(ordering: .relaxed) <= now
    }
}
