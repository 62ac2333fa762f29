import ComponentKit
import Essentials
import SelfMetrics
import Synchronization
import Telemetry
import TextFormats
import Transport
import Wire

/// The scrapes of one target, from the first to the end of its series.
///
/// A loop and its series cache live as long as the target's labels and URL stay the same, whatever else changes. A
/// target that goes away is waited for a little over two intervals; if it does not come back, its series end.
final class ScrapeLoop: Sendable {
    struct Plan: Sendable {
        var target: ScrapeTarget
        /// Why scrapes fail without being tried.
        var forcedError: String?
        /// True when the target is gone from the arguments.
        var isRetired: Bool
    }

    /// How the last scrape went.
    struct Status: Sendable {
        enum Health: String, Sendable { case unknown, up, down }

        var health = Health.unknown
        var lastError = ""
        /// Nanoseconds since 1970; nil before the first scrape.
        var lastScrape: Int64?
        var lastDuration = Duration.zero
        /// Samples and bytes of the last body; zero when there was none.
        var lastSamples = 0
        var lastBytes = 0
    }

    /// What a change of means that series get other labels.
    private struct Mapping: Equatable {
        var honorsLabels: Bool
        var addsTypeAndUnitLabels: Bool
        var validation: NameValidation
        var relabeling: Relabeling
    }

    private struct Progress {
        var status = Status()
        var mapping: Mapping?
        var bookedBytes = 0
        var batchBytes = 0
        var origin: (revision: UInt64, value: MetricOrigin)?
        var nextScrapeMilliseconds: Int64?
    }

    let identity: ScrapeTarget.Identity
    private let pool: ScrapePool
    private let plan: Live<Plan>
    /// Wakes the loop when `plan` is replaced.
    private let planChange = SleepInterrupt()
    private let reader: Mutex<ExpositionReader>
    private let progress = Mutex(Progress())
    private let log: Log

    init(_ plan: Plan, in pool: ScrapePool) {
        self.pool = pool
        self.plan = Live(plan)
        identity = plan.target.identity
        reader = Mutex(
            ExpositionReader(
                mapper: TargetLabels.mapper(
                    identity.labels, honors: pool.arguments.current.honorLabels,
                    relabeling: pool.arguments.current.metricRelabeling)))
        log = pool.context.log.with("target", identity.url)
    }

    var isRetired: Bool { plan.current.isRetired }
    var target: ScrapeTarget { plan.current.target }
    var status: Status { progress.withLock { $0.status } }
    /// Names the target within its pool.
    var id: String { String(ScrapeSchedule.hash(identity), radix: 16) }
    /// Why scrapes fail without being tried.
    var forcedError: String? { plan.current.forcedError }
    /// Milliseconds since 1970 of the next scrape; nil before the first is planned.
    var nextScrapeMilliseconds: Int64? { progress.withLock { $0.nextScrapeMilliseconds } }

    /// Takes what changed; wakes the loop where its schedule depends on it.
    func change(to new: Plan) {
        let old = plan.current
        if old.isRetired != new.isRetired || old.target.interval != new.target.interval
            || old.target.timeout != new.target.timeout || old.forcedError != new.forcedError
            || old.target.convertsClassicHistograms != new.target.convertsClassicHistograms
            || old.target.keepsClassicHistograms != new.target.keepsClassicHistograms
            || old.target.scrapesNativeHistograms != new.target.scrapesNativeHistograms
            || old.target.unixSocketPath != new.target.unixSocketPath
        {
            plan.replace(with: new)
            planChange.trigger()
        }
    }

    func retire() {
        var gone = plan.current
        guard !gone.isRetired else { return }
        gone.isRetired = true
        plan.replace(with: gone)
        planChange.trigger()
    }

    // MARK: Schedule

    /// Where the loop stands.
    private struct Course {
        var current: Plan
        var version: UInt64
        var schedule: ScrapeSchedule
        var request: (arguments: UInt64, plan: UInt64, request: ScrapeRequest)?
        var intervals: (interval: Duration, lengths: Histogram)?
    }

    /// Scrapes until cancelled, or until the target has been gone for long enough to end its series.
    func run() async {
        defer { releaseMemory() }
        let services = pool.context.services
        let (current, version) = plan.snapshot
        var course = Course(
            current: current, version: version,
            schedule: ScrapeSchedule(current.target, seed: pool.seed, clock: services.clock))
        // Tests say where everything runs.
        var executor = services.executor == nil ? services.eventLoops.work.place() : nil
        guard executor != nil else {
            _ = await follow(&course, on: nil)
            return
        }
        // Beside the sockets it reads from; on another loop when that one has too much to do.
        repeat {
            let own = executor
            executor = await withTaskExecutorPreference(own) { await follow(&course, on: own) }
        } while executor != nil
    }

    /// Scrapes until the end, or until there is a better place to go on.
    private func follow(_ course: inout Course, on executor: EventLoopExecutor?) async -> EventLoopExecutor? {
        let clock = pool.context.clock
        while true {
            progress.withLock { [next = course.schedule.nextWallMilliseconds] in $0.nextScrapeMilliseconds = next }
            let deadline = course.current.isRetired ? course.schedule.endOfSeries : course.schedule.next
            do {
                if try await wait(until: deadline, orChangeAfter: course.version, on: executor) {
                    let before = course.current
                    (course.current, course.version) = plan.snapshot
                    if before.isRetired, !course.current.isRetired { course.schedule.skipMissed(clock) }
                    if before.target.interval != course.current.target.interval {
                        course.schedule = ScrapeSchedule(
                            course.current.target, seed: pool.seed, clock: clock, after: course.schedule)
                    }
                    continue
                }
            } catch { return nil }
            if course.current.isRetired {
                if pool.discard(self) {
                    if course.schedule.last != nil { await endSeries(at: course.schedule.nextWallMilliseconds) }
                    return nil
                }
                (course.current, course.version) = plan.snapshot
                continue
            }
            let timing = course.schedule.begin(clock)
            if let elapsed = timing.sinceLast { intervalLengths(&course).observe(elapsed.seconds) }
            let (arguments, version) = pool.arguments.snapshot
            await scrape(course.current, arguments, request(&course, arguments, version), at: timing.milliseconds)
            if Task.isCancelled { return nil }
            course.schedule.skipMissed(clock)
            if let executor, let better = pool.context.services.eventLoops.work.betterPlace(than: executor) {
                return better
            }
        }
    }

    private func intervalLengths(_ course: inout Course) -> Histogram {
        let interval = course.current.target.interval
        if let known = course.intervals, known.interval == interval { return known.lengths }
        let lengths = pool.metrics.intervalLength(GoDuration.format(interval))
        course.intervals = (interval, lengths)
        return lengths
    }

    /// What is asked of the target: made anew when the arguments or the plan change.
    private func request(
        _ course: inout Course, _ arguments: PrometheusScrape.Arguments, _ version: UInt64
    ) -> ScrapeRequest {
        if let known = course.request, known.arguments == version, known.plan == course.version {
            return known.request
        }
        let made = ScrapeRequest(course.current.target, arguments, in: pool)
        course.request = (version, course.version, made)
        return made
    }

    /// Waits for the deadline; true when the plan changed before. Throws when cancelled.
    private func wait(
        until deadline: Int64, orChangeAfter version: UInt64, on executor: EventLoopExecutor?
    ) async throws -> Bool {
        while plan.version == version {
            let isInterrupted =
                if let executor {
                    try await executor.sleep(untilMonotonic: deadline, orUntil: planChange)
                } else {
                    try await pool.context.clock.sleep(untilMonotonic: deadline, orUntil: planChange)
                }
            if !isInterrupted { return false }
        }
        return true
    }

    // MARK: A scrape

    private func scrape(
        _ plan: Plan, _ arguments: PrometheusScrape.Arguments, _ request: ScrapeRequest, at time: Int64
    ) async {
        let context = pool.context
        let started = context.clock.monotonicNanoseconds
        let startedWall = context.clock.wallNanoseconds
        let estimate = progress.withLock { max(64 << 10, $0.batchBytes) }
        guard context.memory.admit(estimate) else {
            pool.metrics.shed.add()
            log.warn("Scrape left out: the process is short of memory")
            progress.withLock { $0.status.lastError = "scrape left out: the process is short of memory" }
            return
        }
        var lease = MemoryLease(account: context.memory, held: estimate)
        prepareReader(arguments, plan.target)
        var failure: ScrapeFailure?
        if let forced = plan.forcedError {
            failure = ScrapeFailure(kind: .fetch, description: forced)
        } else {
            do {
                try await fetch(request, arguments, at: time, &lease)
            } catch {
                if Task.isCancelled {
                    lease.release()
                    return
                }
                failure = ScrapeFailure(error)
            }
        }
        let counts = reader.withLock { reader in
            let counts = failure?.kind == .fetch || failure?.kind == .bodyLimit ? ExpositionCounts() : reader.counts
            if failure != nil { reader.fail(at: time) }
            return counts
        }
        pool.metrics.duplicateTimestamps.add(counts.duplicates)
        pool.metrics.outOfBounds.add(counts.outOfBounds)
        if counts.duplicates > 0 || counts.outOfBounds > 0 {
            log.debug(
                "Samples were left out", nil,
                ["duplicates": "\(counts.duplicates)", "too_far_ahead": "\(counts.outOfBounds)"])
        }
        let duration = context.clock.elapsed(since: started)
        progress.withLock { progress in
            progress.status = Status(
                health: failure == nil ? .up : .down, lastError: failure?.description ?? "", lastScrape: startedWall,
                lastDuration: duration, lastSamples: counts.scraped, lastBytes: counts.bodyBytes)
        }
        if let failure { await note(failure, arguments, at: startedWall) }
        let bytes = failure?.kind == .bodyLimit ? -1 : counts.bodyBytes
        let batch = takeBatch(arguments, at: time) { report in
            report("up", failure == nil ? 1 : 0)
            report("scrape_duration_seconds", duration.seconds)
            report("scrape_samples_scraped", Double(counts.scraped))
            report("scrape_samples_post_metric_relabeling", Double(counts.postRelabeling))
            report("scrape_series_added", Double(counts.seriesAdded))
            guard arguments.reportsExtraMetrics else { return }
            report("scrape_timeout_seconds", plan.target.timeout.seconds)
            report("scrape_sample_limit", Double(arguments.options.limits.samples))
            report("scrape_body_size_bytes", Double(bytes))
        }
        lease.adjust(to: batch.byteCount)
        await deliver(batch, arguments)
        lease.release()
        if arguments.reportsExtraMetrics {
            pool.metrics.scrapeDuration.observe(context.clock.elapsed(since: started).seconds)
        }
        bookCache(batchBytes: batch.byteCount)
    }

    private func prepareReader(_ arguments: PrometheusScrape.Arguments, _ target: ScrapeTarget) {
        var options = arguments.options
        options.convertsClassicHistograms = target.convertsClassicHistograms
        options.keepsClassicHistograms = target.keepsClassicHistograms
        options.scrapesNativeHistograms = target.scrapesNativeHistograms
        let mapping = Mapping(
            honorsLabels: arguments.honorLabels, addsTypeAndUnitLabels: options.addsTypeAndUnitLabels,
            validation: options.nameValidation, relabeling: arguments.metricRelabeling)
        let isOther = progress.withLock { progress in
            defer { progress.mapping = mapping }
            return progress.mapping.map { $0 != mapping } ?? true
        }
        reader.withLock { reader in
            if isOther || (options.collectsMetadata && !reader.options.collectsMetadata) {
                reader.forgetSeries(
                    mapper: TargetLabels.mapper(
                        identity.labels, honors: arguments.honorLabels, relabeling: arguments.metricRelabeling))
                progress.withLock { $0.origin = nil }
            }
            reader.options = options
        }
    }

    private func fetch(
        _ request: ScrapeRequest, _ arguments: PrometheusScrape.Arguments, at time: Int64, _ lease: inout MemoryLease
    ) async throws {
        // An answer without a body is an empty one in any format.
        reader.withLock { $0.begin(.prometheusText, at: time) }
        let slots = pool.context.services.slots
        try await ScrapeFetch(request: request, arguments: arguments, pool: pool).run { format in
            reader.withLock { $0.format(format) }
        } piece: { chunk in
            let pending = try await slots.withSlot {
                try chunk.withUnsafeBytes { bytes in
                    try reader.withLock { reader in
                        try reader.feed(bytes)
                        return reader.pendingByteCount
                    }
                }
            }
            guard lease.grow(to: pending) else {
                throw ScrapeFailure(kind: .content(nil), description: "the process is short of memory")
            }
        }
        try await slots.withSlot { try reader.withLock { try $0.finish() } }
    }

    private func takeBatch(
        _ arguments: PrometheusScrape.Arguments, at time: Int64, _ body: ((String, Double) -> Void) -> Void
    ) -> MetricBatch {
        reader.withLock { reader in
            var reports: [(String, Double)] = []
            body { reports.append(($0, $1)) }
            for (name, value) in reports {
                reader.report(name, value, at: time) { TargetLabels.report(name, identity.labels) }
            }
            var batch = reader.takeBatch()
            if reader.options.collectsMetadata { batch.origin = origin(of: reader) }
            return batch
        }
    }

    /// What is known of the target, the same instance as long as it is the same.
    private func origin(of reader: borrowing ExpositionReader) -> MetricOrigin {
        let discovered = plan.current.target.discoveredLabels
        let revision = reader.metadataRevision
        let known = progress.withLock { $0.origin }
        if let known, known.revision == revision, known.value.discoveredLabels == discovered { return known.value }
        let made = MetricOrigin(
            families: reader.metadata, targetLabels: identity.labels, discoveredLabels: discovered)
        progress.withLock { $0.origin = (revision, made) }
        return made
    }

    private func note(
        _ failure: ScrapeFailure, _ arguments: PrometheusScrape.Arguments, at wallNanoseconds: Int64
    ) async {
        log.debug("Scrape failed", failure)
        switch failure.kind {
        case .bodyLimit: pool.metrics.exceededBodySizeLimit.add()
        case .content(.sampleLimit): pool.metrics.exceededSampleLimit.add()
        case .content(.bucketLimit): pool.metrics.exceededBucketLimit.add()
        case .content(.labelLimit), .content(.labelNameLength), .content(.labelValueLength):
            pool.metrics.exceededLabelLimits.add()
        case .fetch, .content: break
        }
        if let path = arguments.failureLogFile {
            await pool.failureLog.write(
                failure.description, target: identity.url, jobName: arguments.jobName ?? pool.context.componentID,
                at: wallNanoseconds, to: path)
        }
    }

    // MARK: Delivery

    private func deliver(_ batch: MetricBatch, _ arguments: PrometheusScrape.Arguments) async {
        let context = pool.context
        let count = batch.itemCount
        guard count > 0 else { return }
        context.ledger.originated(count)
        let started = context.clock.monotonicNanoseconds
        do throws(DeliveryError) {
            try await arguments.forwardTo(batch)
            pool.metrics.forwardedSamples.add(count)
        } catch {
            // The next scrape brings newer values: holding old ones back would only make them late.
            arguments.forwardTo.giveUp(batch, after: error)
            log.warn("Scrape could not be delivered", error, ["samples": "\(count)"])
        }
        pool.metrics.fanoutLatency.observe(context.clock.elapsed(since: started).seconds)
    }

    /// Marks all series of the target stale, those about its scrapes too.
    private func endSeries(at time: Int64) async {
        let arguments = pool.arguments.current
        reader.withLock { $0.fail(at: time) }
        let batch = takeBatch(arguments, at: time) { report in
            var names = [
                "up", "scrape_duration_seconds", "scrape_samples_scraped", "scrape_samples_post_metric_relabeling",
                "scrape_series_added",
            ]
            if arguments.reportsExtraMetrics {
                names += ["scrape_timeout_seconds", "scrape_sample_limit", "scrape_body_size_bytes"]
            }
            for name in names { report(name, Sample.staleMarker) }
        }
        await deliver(batch, arguments)
    }

    // MARK: Memory

    private func bookCache(batchBytes: Int) {
        let bytes = reader.withLock { $0.byteCount }
        let before = progress.withLock { progress in
            defer {
                progress.bookedBytes = bytes
                progress.batchBytes = batchBytes
            }
            return progress.bookedBytes
        }
        if bytes > before { pool.context.memory.book(bytes - before) }
        if bytes < before { pool.context.memory.release(before - bytes) }
    }

    private func releaseMemory() {
        let booked = progress.withLock { progress in
            defer { progress.bookedBytes = 0 }
            return progress.bookedBytes
        }
        pool.context.memory.release(booked)
    }
}

/// Reserved bytes that grow with what they stand for.
private struct MemoryLease {
    let account: MemoryAccount
    private(set) var held: Int

    init(account: MemoryAccount, held: Int) {
        self.account = account
        self.held = held
    }

    mutating func grow(to bytes: Int) -> Bool {
        guard bytes > held else { return true }
        guard account.reserve(bytes - held) else { return false }
        held = bytes
        return true
    }

    /// Follows bytes that are held already.
    mutating func adjust(to bytes: Int) {
        if bytes > held { account.book(bytes - held) } else { account.release(held - bytes) }
        held = bytes
    }

    mutating func release() {
        account.release(held)
        held = 0
    }
}
