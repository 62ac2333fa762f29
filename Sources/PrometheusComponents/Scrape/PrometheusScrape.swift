package import AlloySyntax
package import ComponentKit
import Essentials
import Telemetry
import TextFormats

/// Scrapes targets and forwards their samples.
///
/// Each target has a loop of its own with a cache of its series, so that an unchanged scrape touches no label. A body is
/// read as it arrives; one that fails in any way stores nothing and ends the target's series. A batch that no receiver
/// takes is dropped and counted: the next scrape is newer.
package final class PrometheusScrape: Component {
    package static let spec = ComponentSpec(
        "prometheus.scrape", .generallyAvailable, "Scrapes metrics of targets and forwards them.")

    package typealias Exports = NoValues

    /// The state of every target.
    package struct DebugInfo: WritableBlock {
        var targets: [TargetStatus]
        package static let placeholder = DebugInfo(targets: [])
        package func write(to block: inout BlockWriter) {
            block.blocks("target", targets, "A target and how its last scrape went.")
        }
    }

    /// The state of one target.
    package struct TargetStatus: WritableBlock {
        var job: String
        var url: String
        var health: String
        var labels: LabelSet
        var lastError: String
        var lastScrape: String
        var lastScrapeDuration: Duration
        var lastScrapeSamples: Int
        var lastScrapeBytes: Int

        package static let placeholder = TargetStatus(
            job: "", url: "", health: "", labels: .empty, lastError: "", lastScrape: "", lastScrapeDuration: .zero,
            lastScrapeSamples: 0, lastScrapeBytes: 0)

        package func write(to block: inout BlockWriter) {
            block.attribute("job", job, "Job the target belongs to.")
            block.attribute("url", url, "URL that is scraped.")
            block.attribute("health", health, "`up`, `down`, or `unknown` before the first scrape.")
            block.attribute("labels", labels, "Labels of the target.")
            block.attribute("last_error", lastError, "Why the last scrape failed; empty when it did not.")
            block.attribute("last_scrape", lastScrape, "When the target was last scraped.")
            block.attribute("last_scrape_duration", lastScrapeDuration, "How long that took.")
            block.attribute("last_scrape_samples", lastScrapeSamples, "Samples the body held.")
            block.attribute("last_scrape_bytes", lastScrapeBytes, "Bytes of the body, decompressed.")
        }
    }

    let pool: ScrapePool

    package init(_ arguments: Live<Arguments>, _ context: Context<NoValues>) throws {
        pool = ScrapePool(arguments, context)
    }

    /// Scrapes until cancelled.
    package func run() async throws {
        await pool.run()
        try Task.checkCancellation()
    }

    package var debugInfo: DebugInfo {
        let layout = GoTimeLayout("2006-01-02T15:04:05.999999999Z07:00")
        return DebugInfo(
            targets: pool.activeLoops.map { loop in
                let status = loop.status
                return TargetStatus(
                    job: pool.arguments.current.jobName ?? pool.context.componentID, url: loop.identity.url,
                    health: status.health.rawValue, labels: loop.identity.labels, lastError: status.lastError,
                    lastScrape: status.lastScrape.map { layout.format(unixNanoseconds: $0) } ?? "0001-01-01T00:00:00Z",
                    lastScrapeDuration: status.lastDuration, lastScrapeSamples: status.lastSamples,
                    lastScrapeBytes: status.lastBytes)
            })
    }
}
