import ComponentKit
import SelfMetrics

/// What the component tells about itself; names are those of Prometheus' scrape manager and Alloy's fan-out.
final class ScrapeMetrics: Sendable {
    let fanoutLatency: Histogram
    let forwardedSamples: Counter
    let targets: Gauge
    let exceededBodySizeLimit: Counter
    let exceededSampleLimit: Counter
    let exceededBucketLimit: Counter
    let exceededLabelLimits: Counter
    let exceededTargetLimit: Counter
    let duplicateTimestamps: Counter
    let outOfBounds: Counter
    let syncs: Counter
    let failedSyncs: Counter
    let poolTargets: Gauge
    let targetLimit: Gauge
    let shed: Counter
    private let scope: MetricScope

    init(_ scope: MetricScope, jobName: String) {
        self.scope = scope
        fanoutLatency = scope.histogram(
            "prometheus_fanout_latency", "Write latency for sending to direct and indirect components.",
            bounds: Histogram.defaultBounds + [30, 60])
        forwardedSamples = scope.counter(
            "prometheus_forwarded_samples_total", "Samples sent to downstream components.")
        targets = scope.gauge(
            "prometheus_scrape_targets_gauge", "Targets this component is configured to scrape.")
        exceededBodySizeLimit = scope.counter(
            "prometheus_target_scrapes_exceeded_body_size_limit_total", "Scrapes that hit the body size limit.")
        exceededSampleLimit = scope.counter(
            "prometheus_target_scrapes_exceeded_sample_limit_total", "Scrapes that hit the sample limit.")
        exceededBucketLimit = scope.counter(
            "prometheus_target_scrapes_exceeded_native_histogram_bucket_limit_total",
            "Scrapes that hit the native histogram bucket limit.")
        exceededLabelLimits = scope.counter(
            "prometheus_target_scrape_pool_exceeded_label_limits_total", "Scrapes that hit a label limit.")
        exceededTargetLimit = scope.counter(
            "prometheus_target_scrape_pool_exceeded_target_limit_total",
            "Changes of targets that hit the target limit.")
        duplicateTimestamps = scope.counter(
            "prometheus_target_scrapes_sample_duplicate_timestamp_total",
            "Samples left out since their series had one in the same scrape.")
        outOfBounds = scope.counter(
            "prometheus_target_scrapes_sample_out_of_bounds_total", "Samples left out for a time too far ahead.")
        syncs = scope.counter(
            "prometheus_target_scrape_pool_sync_total", "Changes of targets.", labels: ["scrape_job": jobName])
        failedSyncs = scope.counter(
            "prometheus_target_sync_failed_total", "Targets that could not be taken.", labels: ["scrape_job": jobName])
        poolTargets = scope.gauge(
            "prometheus_target_scrape_pool_targets", "Targets scraped now.", labels: ["scrape_job": jobName])
        targetLimit = scope.gauge(
            "prometheus_target_scrape_pool_target_limit", "Targets allowed.", labels: ["scrape_job": jobName])
        shed = scope.counter(
            "prometheus_scrape_shed_total", "Scrapes left out since the process was short of memory.")
    }

    /// Time between two scrapes of a target, by the interval it should be.
    func intervalLength(_ interval: String) -> Histogram {
        scope.histogram(
            "prometheus_target_interval_length_histogram_seconds", "Actual intervals between scrapes.",
            bounds: [0.01, 0.1, 1, 10, 60, 600], labels: ["interval": interval])
    }

    /// Time of a scrape from its start to its delivery.
    var scrapeDuration: Histogram {
        scope.histogram(
            "prometheus_target_scrape_duration_seconds", "Duration of scrapes from start to delivery.",
            bounds: Histogram.defaultBounds + [30, 60])
    }
}
