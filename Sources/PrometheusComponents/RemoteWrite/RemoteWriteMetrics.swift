import Essentials
import SelfMetrics
import Synchronization
import Telemetry
import Wire

/// The metrics of one endpoint, by the names Prometheus gives them.
final class EndpointMetrics: Sendable {
    let samplesIn: Counter
    let exemplarsIn: Counter
    let histogramsIn: Counter
    let samples: Counter
    let exemplars: Counter
    let histograms: Counter
    let metadata: Counter
    let samplesFailed: Counter
    let exemplarsFailed: Counter
    let histogramsFailed: Counter
    let metadataFailed: Counter
    let samplesRetried: Counter
    let exemplarsRetried: Counter
    let histogramsRetried: Counter
    let metadataRetried: Counter
    let enqueueRetries: Counter
    let bytes: Counter
    let metadataBytes: Counter
    let duration: Histogram
    let samplesPending: Gauge
    let exemplarsPending: Gauge
    let histogramsPending: Gauge
    let highestQueued: Gauge
    let highestSent: Gauge
    let shards: Gauge
    let shardsDesired: Gauge
    let shardsMinimum: Gauge
    let shardsMaximum: Gauge
    let shardCapacity: Gauge
    let samplesPerSend: Gauge
    let queueBytes: Gauge
    let queueDamaged: Counter

    private let scope: MetricScope
    private let name: String
    private let url: String
    private static let prefix = "prometheus_remote_storage_"
    private static let bounds: [Double] = Histogram.defaultBounds + [25, 60, 120, 300]

    init(_ scope: MetricScope, name: String, url: String) {
        self.scope = scope
        self.name = name
        self.url = url
        func counter(_ metric: String, _ help: String) -> Counter {
            scope.counter(Self.prefix + metric, help, labels: ["remote_name": name, "url": url])
        }
        func gauge(_ metric: String, _ help: String) -> Gauge {
            scope.gauge(Self.prefix + metric, help, labels: ["remote_name": name, "url": url])
        }
        samplesIn = counter("samples_in_total", "Samples queued for remote storage.")
        exemplarsIn = counter("exemplars_in_total", "Exemplars queued for remote storage.")
        histogramsIn = counter("histograms_in_total", "Native histograms queued for remote storage.")
        samples = counter("samples_total", "Samples sent to remote storage.")
        exemplars = counter("exemplars_total", "Exemplars sent to remote storage.")
        histograms = counter("histograms_total", "Native histograms sent to remote storage.")
        metadata = counter("metadata_total", "Metadata entries sent to remote storage.")
        samplesFailed = counter("samples_failed_total", "Samples remote storage refused for good.")
        exemplarsFailed = counter("exemplars_failed_total", "Exemplars remote storage refused for good.")
        histogramsFailed = counter("histograms_failed_total", "Native histograms remote storage refused for good.")
        metadataFailed = counter("metadata_failed_total", "Metadata entries remote storage refused for good.")
        samplesRetried = counter("samples_retried_total", "Samples sent again after a failure that may pass.")
        exemplarsRetried = counter("exemplars_retried_total", "Exemplars sent again after a failure that may pass.")
        histogramsRetried = counter(
            "histograms_retried_total", "Native histograms sent again after a failure that may pass.")
        metadataRetried = counter(
            "metadata_retried_total", "Metadata entries sent again after a failure that may pass.")
        enqueueRetries = counter("enqueue_retries_total", "Times a shard had no room for more samples.")
        bytes = counter("bytes_total", "Compressed bytes of samples sent.")
        metadataBytes = counter("metadata_bytes_total", "Compressed bytes of metadata sent.")
        duration = scope.histogram(
            Self.prefix + "sent_batch_duration_seconds", "How long requests took.", bounds: Self.bounds,
            labels: ["remote_name": name, "url": url])
        samplesPending = gauge("samples_pending", "Samples in the queue.")
        exemplarsPending = gauge("exemplars_pending", "Exemplars in the shards.")
        histogramsPending = gauge("histograms_pending", "Native histograms in the shards.")
        highestQueued = gauge("queue_highest_timestamp_seconds", "Newest sample queued, in seconds since the epoch.")
        highestSent = gauge("queue_highest_sent_timestamp_seconds", "Newest sample sent, in seconds since the epoch.")
        shards = gauge("shards", "Shards sending in parallel.")
        shardsDesired = gauge("shards_desired", "Shards that would keep up with the samples coming in.")
        shardsMinimum = gauge("shards_min", "Fewest shards allowed.")
        shardsMaximum = gauge("shards_max", "Most shards allowed.")
        shardCapacity = gauge("shard_capacity", "Samples a shard holds in memory.")
        samplesPerSend = gauge("max_samples_per_send", "Most samples in a request.")
        queueBytes = gauge("queue_bytes", "Bytes of the durable queue.")
        queueDamaged = counter("queue_damaged_samples_total", "Samples lost to damaged files of the durable queue.")
    }

    /// Takes the endpoint's series out of the exposition.
    func remove() { scope.remove(labelled: ["remote_name": name, "url": url]) }

    /// Counts samples and histograms given up before they were sent.
    func dropped(_ counts: RemoteWriteCounts, reason: String) {
        func add(_ metric: String, _ help: String, _ count: Int) {
            if count == 0 { return }
            let labels: KeyValuePairs = ["remote_name": name, "url": url, "reason": reason]
            scope.counter(Self.prefix + metric, help, labels: labels).add(count)
        }
        add("samples_dropped_total", "Samples given up before they were sent.", counts.samples)
        add("exemplars_dropped_total", "Exemplars given up before they were sent.", counts.exemplars)
        add("histograms_dropped_total", "Native histograms given up before they were sent.", counts.histograms)
    }

    func sent(_ counts: RemoteWriteCounts) {
        samples.add(counts.samples)
        exemplars.add(counts.exemplars)
        histograms.add(counts.histograms)
    }

    func failed(_ counts: RemoteWriteCounts) {
        samplesFailed.add(counts.samples)
        exemplarsFailed.add(counts.exemplars)
        histogramsFailed.add(counts.histograms)
    }

    func retried(_ counts: RemoteWriteCounts) {
        samplesRetried.add(counts.samples)
        exemplarsRetried.add(counts.exemplars)
        histogramsRetried.add(counts.histograms)
    }
}

/// The metrics Alloy's WAL has, counted where batches come in.
final class AppendMetrics: Sendable {
    private struct Known {
        weak var identity: SeriesTable.Identity?
        var epoch: UInt64
        var count: Int
        var lastUse: Int64
    }

    private struct State: ~Copyable {
        var tables: [ObjectIdentifier: Known] = [:]
        var active = 0
        var nextSweep: Int64 = 0
    }

    private let samples: Counter
    private let exemplars: Counter
    private let metadata: Counter
    private let created: Counter
    private let removed: Counter
    private let active: Gauge
    private let state = Mutex(State())
    /// A source silent for longer has no active series.
    private static let silence = Duration.seconds(600).nanoseconds

    init(_ metrics: MetricScope) {
        let prefix = "prometheus_remote_write_wal_"
        samples = metrics.counter(prefix + "samples_appended_total", "Samples taken in.")
        exemplars = metrics.counter(prefix + "exemplars_appended_total", "Exemplars taken in.")
        metadata = metrics.counter(prefix + "metadata_updates_total", "Metadata entries taken in.")
        created = metrics.counter(prefix + "storage_created_series_total", "Series seen for the first time.")
        removed = metrics.counter(prefix + "storage_removed_series_total", "Series whose source is gone or silent.")
        active = metrics.gauge(prefix + "storage_active_series", "Series of sources that send.")
    }

    func count(_ batch: MetricBatch, at now: Int64) {
        samples.add(batch.itemCount)
        exemplars.add(batch.exemplars.count)
        metadata.add(batch.metadata.count)
        let table = batch.table
        let (added, gone, total) = state.withLock { state in
            let key = ObjectIdentifier(table.identity)
            var added = 0
            var gone = 0
            if var known = state.tables[key], known.identity === table.identity {
                if known.epoch != table.epoch {
                    gone += known.count
                    known.count = 0
                    known.epoch = table.epoch
                }
                added = max(0, table.count - known.count)
                known.count += added
                known.lastUse = now
                state.tables[key] = known
            } else {
                gone += state.tables[key]?.count ?? 0
                added = table.count
                state.tables[key] = Known(
                    identity: table.identity, epoch: table.epoch, count: added, lastUse: now)
            }
            if now >= state.nextSweep {
                state.nextSweep = now + Duration.seconds(30).nanoseconds
                for (key, known) in state.tables where known.identity == nil || known.lastUse < now - Self.silence {
                    gone += known.count
                    state.tables[key] = nil
                }
            }
            state.active += added - gone
            return (added, gone, state.active)
        }
        if added > 0 { created.add(added) }
        if gone > 0 { removed.add(gone) }
        active.set(total)
    }
}

/// Type, help and unit of the families seen, for all endpoints.
final class FamilyStore: Sendable {
    /// Families remembered; when there are more, all are forgotten and learnt again.
    private static let limit = 100_000
    private let families = Mutex<[String: MetricMetadata]>([:])

    func learn(_ metadata: [MetricMetadata]) {
        if metadata.isEmpty { return }
        families.withLock { families in
            for family in metadata where families[family.family] != family {
                if families.count >= Self.limit { families.removeAll() }
                families[family.family] = family
            }
        }
    }

    /// All families in order of their names.
    var all: [MetricMetadata] { families.withLock { Array($0.values) }.sorted { $0.family < $1.family } }
}
