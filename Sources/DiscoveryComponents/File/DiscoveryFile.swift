package import AlloySyntax
package import ComponentKit
import Essentials
import SelfMetrics

/// Finds targets in files with lists of target groups, and follows the files as they change.
///
/// Formats and labels agree with Prometheus's file-based discovery (configuration reference, `file_sd_config`). Files
/// are looked at every second and read when they look different; every `refresh_interval` they are read whatever they
/// look like. A file that cannot be read or understood keeps the targets it had.
package final class DiscoveryFile: Component {
    package static let spec = ComponentSpec(
        "discovery.file", .generallyAvailable, "Finds targets listed in files and follows their changes.")

    package struct Arguments: Block, Sendable, Equatable {
        let files: [TargetFilePattern]
        let refreshInterval: Duration

        package init(from block: inout BlockReader) {
            let patterns: [String] = block.required(
                "files", "Paths or patterns of `.json`, `.yml` and `.yaml` files with target groups.")
            refreshInterval = block.optional(
                "refresh_interval", default: .seconds(300),
                "Time between two readings of all files; changes are noticed within a second anyway.")
            if refreshInterval <= .zero { block.reject("refresh_interval", "must be greater than 0") }
            var files: [TargetFilePattern] = []
            for pattern in patterns {
                do throws(GlobError) {
                    files.append(try TargetFilePattern(pattern))
                } catch {
                    block.reject("files", "has a pattern that cannot be read: \(error)")
                }
            }
            self.files = files
        }
    }

    /// Time between two looks at the files.
    private static let pollInterval = Duration.seconds(1)

    private let arguments: Live<Arguments>
    private let context: Context<DiscoveryExports>
    private let feed: TargetFeed
    private let readErrors: Counter
    private let scans: DurationTotals

    package init(_ arguments: Live<Arguments>, _ context: Context<DiscoveryExports>) throws {
        self.arguments = arguments
        self.context = context
        feed = TargetFeed(context)
        readErrors = context.metrics.counter(
            "prometheus_sd_file_read_errors_total", "The number of File-SD read errors.")
        scans = DurationTotals(
            "prometheus_sd_file_scan_duration_seconds", "The duration of the File-SD scan in seconds.",
            in: context.metrics)
    }

    package func run() async throws {
        try await feed.run(following: arguments, { $0 }) { [self] settings in try await follow(settings) }
    }

    private func follow(_ settings: Arguments) async throws {
        var files = TargetFiles(patterns: settings.files)
        defer { for path in files.readPaths { removeTimestamp(of: path) } }
        var nextReading = context.clock.monotonicNanoseconds
        var shown: String?
        while true {
            let now = context.clock.monotonicNanoseconds
            let isReading = now >= nextReading
            if isReading {
                let interval = settings.refreshInterval.nanoseconds
                nextReading = now &+ interval - (now &- nextReading) % interval
            }
            let before = files
            let result = try await context.services.blocking.run {
                var scanned = before
                let changes = scanned.scan(readsAll: isReading)
                return (scanned, changes)
            }
            try Task.checkCancellation()
            files = result.0
            if result.1.hasRead || isReading { scans.observe(context.clock.elapsed(since: now)) }
            apply(result.1)
            let problem = files.problem
            if problem != shown || isReading {
                shown = problem
                context.report(problem.map { .unhealthy($0) } ?? .healthy("following the files"))
            }
            let tick = context.clock.monotonicNanoseconds &+ Self.pollInterval.nanoseconds
            try await context.clock.sleep(untilMonotonic: min(tick, nextReading))
        }
    }

    private func apply(_ changes: TargetFiles.Changes) {
        for (path, error) in changes.failures {
            readErrors.add()
            context.log.error("Error reading file", nil, ["path": path, "err": error])
        }
        for path in changes.gone { removeTimestamp(of: path) }
        for (path, seconds) in changes.timestamps {
            context.metrics.gauge(
                Self.timestampName, "Timestamp (mtime) of files read by FileSD. Timestamp is set at read time.",
                labels: ["filename": path]
            ).set(seconds)
        }
        feed.update(changes.groups)
    }

    private static let timestampName = "prometheus_sd_file_mtime_seconds"

    private func removeTimestamp(of path: String) {
        context.metrics.remove(Self.timestampName, labels: ["filename": path])
    }
}
