import Essentials
import SelfMetrics
import Synchronization

/// One group of metrics of the machine. Made once per configuration; the scraper never calls it twice at a time.
protocol NodeCollector: AnyObject {
    /// Adds the metrics to the page. What was added before an error stays.
    func collect(_ scrape: NodeScrape) throws
}

/// What a collector works with during one scrape.
struct NodeScrape {
    let page: MetricPage
    let files: ProcFiles
    let paths: NodePaths
    let clock: EngineClock
    let log: Log
}

/// Where the kernel's files are.
struct NodePaths: Sendable, Equatable {
    var procfs: String
    var sysfs: String
    var rootfs: String
    var udevData: String

    func proc(_ path: String) -> String { procfs + "/" + path }
    func sys(_ path: String) -> String { sysfs + "/" + path }

    /// A path of the machine as this process sees it.
    func root(_ path: String) -> String { rootfs == "/" ? path : rootfs + path }

    /// A path this process sees as the machine names it.
    func stripRoot(_ path: String) -> String {
        if rootfs == "/" { return path }
        guard path.hasPrefix(rootfs) else { return path }
        let stripped = String(path.dropFirst(rootfs.count))
        return stripped.isEmpty ? "/" : stripped
    }
}

/// Runs the collectors of one configuration and writes the page.
///
/// Names, types and labels are those of node_exporter as Alloy builds it (the fork github.com/grafana/node_exporter at
/// 318b01780c89, VERSION 1.6.1).
final class NodeScraper: Sendable {
    private struct State {
        var collectors: [(name: String, collector: any NodeCollector)]
        let page = MetricPage()
        let files = ProcFiles()
        var requests = 0
    }

    private let state: Mutex<State>
    private let paths: NodePaths
    private let includesExporterMetrics: Bool
    private let clock: EngineClock
    private let log: Log

    init(_ settings: UnixSettings, clock: EngineClock, log: Log) {
        paths = settings.paths
        includesExporterMetrics = settings.includesExporterMetrics
        self.clock = clock
        self.log = log
        state = Mutex(
            State(collectors: settings.collectors.map { (name: $0.name, collector: $0.make(settings)) }))
    }

    /// Collects everything once. Blocks on the kernel's files: call it on a ``BlockingPool``.
    func scrape() -> [UInt8] {
        state.withLock { state in
            let page = state.page
            page.begin()
            state.files.beginScrape()
            let duration = page.gauge(
                "node_scrape_collector_duration_seconds", "node_exporter: Duration of a collector scrape.")
            let success = page.gauge(
                "node_scrape_collector_success", "node_exporter: Whether a collector succeeded.")
            let scrape = NodeScrape(page: page, files: state.files, paths: paths, clock: clock, log: log)
            for (name, collector) in state.collectors {
                let start = clock.monotonicNanoseconds
                var succeeded = true
                do {
                    try collector.collect(scrape)
                } catch {
                    succeeded = false
                    if error is NoData {
                        log.debug("Collector returned no data", error, ["name": name])
                    } else {
                        log.error("Collector failed", error, ["name": name])
                    }
                }
                page.add(duration, "collector", name, clock.elapsed(since: start).seconds)
                page.add(success, "collector", name, succeeded ? 1 : 0)
            }
            addExporterMetrics(&state)
            return page.render()
        }
    }

    private func addExporterMetrics(_ state: inout sending State) {
        let page = state.page
        let build = page.gauge(
            "node_exporter_build_info",
            "A metric with a constant '1' value labeled by the platform of the process that exports the metrics.")
        page.add(build, "goarch", Self.architecture, "goos", "linux", 1)
        let errors = page.counter(
            "promhttp_metric_handler_errors_total",
            "Total number of internal errors encountered by the promhttp metric handler.")
        page.add(errors, "cause", "encoding", 0)
        page.add(errors, "cause", "gathering", 0)
        guard includesExporterMetrics else { return }
        let flight = page.gauge("promhttp_metric_handler_requests_in_flight", "Current number of scrapes being served.")
        page.add(flight, 1)
        let requests = page.counter(
            "promhttp_metric_handler_requests_total", "Total number of scrapes by HTTP status code.")
        page.add(requests, "code", 200, Double(state.requests))
        page.add(requests, "code", 500, 0)
        page.add(requests, "code", 503, 0)
        state.requests += 1
    }

    private static var architecture: String {
        #if arch(x86_64)
            "amd64"
        #elseif arch(arm64)
            "arm64"
        #else
            "unknown"
        #endif
    }
}
