import Compression
import Essentials
import SelfMetrics
import Storage
import Telemetry
import Wire

/// The tasks that empty an endpoint's queue: one reads it into shards, each shard sends in order.
struct EndpointWork: Sendable {
    let endpoint: RemoteWriteEndpoint
    let log: SegmentLog
    let reader: SegmentLogReader

    private var environment: EndpointEnvironment { endpoint.environment }
    private var clock: EngineClock { environment.clock }
    private var progress: EndpointProgress { endpoint.progress }
    private var metrics: EndpointMetrics { endpoint.metrics }

    /// Runs until the log takes no more and all of it was sent or given up; closes the log.
    func run() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { try? await log.maintain(expiring: endpoint.settings.wal.truncateFrequency) }
            group.addTask { try? await planShards() }
            group.addTask { try? await sendMetadata() }
            await dispatch()
            group.cancelAll()
        }
        await log.close()
    }

    // MARK: Reading

    private func dispatch() async {
        await withTaskGroup(of: Void.self) { group in
            var lanes: [ShardLane] = []
            var layout: QueuedRequest.Layout?
            let ticking = LaneTicker()
            group.addTask { try? await tick(ticking) }
            var sending = 0
            while let stored = (try? await reader.next()) ?? nil {
                if progress.isOver(at: clock.monotonicNanoseconds) { break }
                guard let request = QueuedRequest(stored) else {
                    giveUp(stored, .malformed)
                    continue
                }
                if layout != request.layout {
                    // Order holds within a layout only: the shards of the old one finish first.
                    for lane in lanes { lane.close() }
                    while sending > 0, await group.next() != nil { sending -= 1 }
                    lanes = (0..<request.layout.shards).map { _ in ShardLane() }
                    ticking.set(lanes)
                    for lane in lanes {
                        group.addTask { await serve(lane) }
                        sending += 1
                    }
                    layout = request.layout
                    metrics.shards.set(lanes.count)
                }
                await hand(request, stored, to: lanes[request.shard])
            }
            for lane in lanes { lane.close() }
            while sending > 0, await group.next() != nil { sending -= 1 }
            group.cancelAll()
        }
    }

    private func hand(_ request: QueuedRequest, _ stored: StoredRecord, to lane: ShardLane) async {
        let bytes = stored.record.payload.count
        // The queue is on disk: what is read ahead of it is bounded by the shards' capacity, and one request at a time
        // is always to be had.
        while !environment.sendMemory.reserveOne(bytes) {
            lane.flush(arrivedBefore: .max)
            if progress.isOver(at: clock.monotonicNanoseconds) {
                environment.sendMemory.book(bytes)
                break
            }
            try? await clock.sleep(for: .milliseconds(20))
        }
        metrics.exemplarsPending.add(Double(request.counts.exemplars))
        metrics.histogramsPending.add(Double(request.counts.histograms))
        var bare = stored
        bare.record.payload = []
        let queue = endpoint.settings.endpoint.queue
        let entry = ShardLane.Entry(
            request: request, stored: bare, bytes: bytes, arrival: clock.monotonicNanoseconds)
        let hasWaited = await lane.push(entry, capacity: queue.capacity, fullAt: queue.samplesPerSend)
        if hasWaited { metrics.enqueueRetries.add() }
    }

    private func giveUp(_ stored: StoredRecord, _ reason: DropReason) {
        environment.ledger.drop(stored.record.items, reason)
        endpoint.holding.subtract(stored.record.items)
        metrics.samplesPending.add(-Double(stored.record.items))
        reader.complete(stored)
    }

    /// Lets requests that waited for `batch_send_deadline` go out as they are.
    private func tick(_ ticking: LaneTicker) async throws {
        while true {
            let deadline = endpoint.settings.endpoint.queue.sendDeadline
            let step = max(min(deadline / 8, .seconds(1)), .milliseconds(5))
            try await clock.sleep(for: step)
            let time = clock.monotonicNanoseconds - deadline.nanoseconds + step.nanoseconds
            for lane in ticking.lanes { lane.flush(arrivedBefore: time) }
        }
    }

    // MARK: Sending

    private func serve(_ lane: ShardLane) async {
        var merger = RemoteWriteMerger()
        while let entries = await lane.next(limit: { endpoint.settings.endpoint.queue.samplesPerSend }) {
            if !progress.isOver(at: clock.monotonicNanoseconds) { await deliver(entries, &merger) }
            for entry in entries {
                environment.sendMemory.release(entry.bytes)
                metrics.exemplarsPending.add(-Double(entry.request.counts.exemplars))
                metrics.histogramsPending.add(-Double(entry.request.counts.histograms))
            }
        }
    }

    /// Sends requests joined into one until they are accepted or refused for good, or this run is over.
    private func deliver(_ entries: [ShardLane.Entry], _ merger: inout RemoteWriteMerger) async {
        var counts = RemoteWriteCounts()
        for entry in entries { counts += entry.request.counts }
        let version = entries[0].request.version
        var body: [UInt8] = []
        var cutoff: Int64?
        var attempt = 0
        let backoffSettings = endpoint.settings.endpoint.queue
        var backoff = Backoff(minimum: backoffSettings.minimumBackoff, maximum: backoffSettings.maximumBackoff)
        while true {
            let newCutoff = ageCutoff(for: counts)
            if body.isEmpty || newCutoff != nil && newCutoff != cutoff {
                cutoff = newCutoff
                do {
                    let merged = try merger.merge(entries.map(\.request.body), version: version, olderThan: cutoff)
                    body = merged.bytes
                    dropOld(merged.dropped, &counts, entries)
                } catch {
                    // Together they are too large, or one of them is damaged: each for itself.
                    if entries.count > 1 {
                        for entry in entries where !progress.isOver(at: clock.monotonicNanoseconds) {
                            await deliver([entry], &merger)
                        }
                        return
                    }
                    environment.log.error("A queued request cannot be read", error, ["endpoint": endpoint.key])
                    environment.ledger.drop(counts.items, .malformed)
                    settle(entries, counts)
                    return
                }
                if body.isEmpty {
                    settle(entries, counts)
                    return
                }
            }
            let start = clock.monotonicNanoseconds
            let outcome = await endpoint.sender.send(
                body, version: version, attempt: attempt, limit: progress.timeLeft(at: start))
            let duration = clock.elapsed(since: start)
            metrics.duration.observe(duration.seconds)
            guard case .failed(let message, let retryAfter) = outcome else {
                progress.went(counts.items, duration)
                finish(outcome, version, counts, bytes: body.count)
                settle(entries, counts)
                return
            }
            attempt += 1
            progress.retried()
            metrics.retried(counts)
            endpoint.reports.warn(message, attempt: attempt, items: counts.items)
            if progress.isDraining {
                progress.giveUp()
                log.finishAppending()
                return
            }
            await pause(for: retryAfter ?? backoff.nextExact())
            if progress.isOver(at: clock.monotonicNanoseconds) { return }
        }
    }

    /// Waits, but not past the beginning of a drain.
    private func pause(for wait: Duration) async {
        let end = clock.monotonicNanoseconds + wait.nanoseconds
        while !progress.isDraining {
            let left = end - clock.monotonicNanoseconds
            if left <= 0 { return }
            try? await clock.sleep(for: .nanoseconds(min(left, 1_000_000_000)))
        }
    }

    /// The time before which samples are too old, nil when none of the request's are.
    private func ageCutoff(for counts: RemoteWriteCounts) -> Int64? {
        let limit = endpoint.settings.endpoint.queue.sampleAgeLimit
        guard limit > .zero else { return nil }
        let cutoff = clock.wallMilliseconds - limit.milliseconds
        return counts.oldestTimestamp < cutoff ? cutoff : nil
    }

    private func dropOld(
        _ dropped: RemoteWriteCounts, _ counts: inout RemoteWriteCounts, _ entries: [ShardLane.Entry]
    ) {
        // The request was made anew from everything: what was left out before is part of it.
        var all = RemoteWriteCounts()
        for entry in entries { all += entry.request.counts }
        var now = dropped
        now.samples -= all.samples - counts.samples
        now.histograms -= all.histograms - counts.histograms
        now.exemplars -= all.exemplars - counts.exemplars
        if now.isEmpty { return }
        counts.samples -= now.samples
        counts.histograms -= now.histograms
        counts.exemplars -= now.exemplars
        metrics.dropped(now, reason: "too_old")
        environment.ledger.drop(now.items, .tooOld)
    }

    /// Books what the endpoint answered.
    private func finish(
        _ outcome: RequestSender.Outcome, _ version: RemoteWriteVersion, _ counts: RemoteWriteCounts, bytes: Int
    ) {
        switch outcome {
        case .failed: break
        case .accepted(let written):
            metrics.bytes.add(bytes)
            if version == .v1 {
                book(counts, failed: RemoteWriteCounts(), .refusedByDestination)
            } else if let written {
                bookPart(written, of: counts, .refusedByDestination)
            } else {
                endpoint.reports.error(
                    "the endpoint did not confirm what it wrote; it may know protobuf_message 1.0 only", counts.items)
                book(RemoteWriteCounts(), failed: counts, "not_confirmed")
            }
        case .rejected(let reason, let message, let written):
            endpoint.reports.error(message, counts.items)
            if let written, version == .v2 {
                bookPart(written, of: counts, reason)
            } else {
                book(RemoteWriteCounts(), failed: counts, reason)
            }
        }
    }

    /// Books as written what the endpoint says, at most what was sent.
    private func bookPart(_ written: RequestSender.Written, of counts: RemoteWriteCounts, _ reason: DropReason) {
        var sent = RemoteWriteCounts()
        sent.samples = min(written.samples, counts.samples)
        sent.histograms = min(written.histograms, counts.histograms)
        sent.exemplars = min(written.exemplars, counts.exemplars)
        sent.newestTimestamp = counts.newestTimestamp
        var failed = RemoteWriteCounts()
        failed.samples = counts.samples - sent.samples
        failed.histograms = counts.histograms - sent.histograms
        failed.exemplars = counts.exemplars - sent.exemplars
        if !failed.isEmpty { endpoint.reports.error("the endpoint wrote only a part of a request", failed.items) }
        book(sent, failed: failed, reason)
    }

    private func book(_ sent: RemoteWriteCounts, failed: RemoteWriteCounts, _ reason: DropReason) {
        metrics.sent(sent)
        metrics.failed(failed)
        environment.ledger.delivered(sent.items)
        environment.ledger.drop(failed.items, reason)
        let newest = Double(sent.newestTimestamp) / 1000
        if sent.items > 0, newest > metrics.highestSent.value { metrics.highestSent.set(newest) }
    }

    /// The requests need no second sending.
    private func settle(_ entries: [ShardLane.Entry], _ counts: RemoteWriteCounts) {
        for entry in entries {
            endpoint.holding.subtract(entry.stored.record.items)
            metrics.samplesPending.add(-Double(entry.stored.record.items))
            reader.complete(entry.stored)
        }
    }

    // MARK: Shards

    private func planShards() async throws {
        let interval = Duration.seconds(10)
        var queue = endpoint.settings.endpoint.queue
        var planner = ShardPlanner(minimum: queue.minimumShards, maximum: queue.maximumShards)
        endpoint.writer.setShards(planner.current)
        var last = clock.monotonicNanoseconds
        var ticks = 0
        while true {
            try await clock.sleep(for: interval)
            queue = endpoint.settings.endpoint.queue
            planner.minimum = queue.minimumShards
            planner.maximum = queue.maximumShards
            let now = clock.monotonicNanoseconds
            let seen = progress.take()
            let before = planner.current
            let shards = planner.plan(
                .init(
                    samplesIn: seen.samplesIn, samplesOut: seen.samplesOut, sendSeconds: seen.seconds,
                    pending: endpoint.holding.items, seconds: Double(now - last) / 1e9,
                    isBackingOff: seen.retries > 0))
            last = now
            metrics.shardsDesired.set(planner.desired)
            metrics.queueBytes.set(log.statistics.bytes.bytes)
            if shards != before {
                environment.log.info(
                    "Changing the number of shards", nil,
                    ["endpoint": endpoint.key, "from": "\(before)", "to": "\(shards)"])
                endpoint.writer.setShards(shards)
            }
            ticks += 1
            if ticks % 6 == 0 { endpoint.writer.forgetSilentSources() }
        }
    }

    // MARK: Metadata

    /// Sends all metadata at its interval. Only 1.0 needs that; nothing of it is queued on disk, as it comes again.
    private func sendMetadata() async throws {
        var encoder = RemoteWriteEncoder(.init(version: .v1))
        while true {
            try await clock.sleep(for: endpoint.settings.endpoint.metadata.interval)
            let settings = endpoint.settings.endpoint
            guard settings.metadata.isSent, settings.version == .v1, !progress.isDraining else { continue }
            let families = environment.families.all
            for start in stride(from: 0, to: families.count, by: settings.metadata.familiesPerSend) {
                let part = families[start..<min(start + settings.metadata.familiesPerSend, families.count)]
                encoder.appendMetadata(part)
                var body: [UInt8] = []
                try encoder.finish { bytes, _ in try Snappy.compress(bytes, into: &body) }
                try await sendMetadata(body, count: part.count)
            }
        }
    }

    private func sendMetadata(_ body: [UInt8], count: Int) async throws {
        let queue = endpoint.settings.endpoint.queue
        var backoff = Backoff(minimum: queue.minimumBackoff, maximum: queue.maximumBackoff)
        var attempt = 0
        while !progress.isDraining {
            switch await endpoint.sender.send(body, version: .v1, attempt: attempt) {
            case .accepted:
                metrics.metadata.add(count)
                metrics.metadataBytes.add(body.count)
                return
            case .rejected(_, let message, _):
                metrics.metadataFailed.add(count)
                endpoint.reports.error(message, 0)
                return
            case .failed(let message, let retryAfter):
                attempt += 1
                metrics.metadataRetried.add(count)
                endpoint.reports.warn(message, attempt: attempt, items: 0)
                try await clock.sleep(for: retryAfter ?? backoff.nextExact())
            }
        }
    }
}
