import AlloySyntax
package import ComponentKit
import Essentials
import Synchronization

/// Exports metrics of the machine: CPU, memory, disks, file systems, network and what else the kernel tells.
package final class PrometheusExporterUnix: Component {
    package static let spec = ComponentSpec(
        "prometheus.exporter.unix", .generallyAvailable, "Exports metrics of the machine and its kernel.")

    package typealias Exports = ExporterExports
    package typealias Arguments = UnixArguments

    private let arguments: Live<UnixArguments>
    private let context: Context<ExporterExports>
    private let endpoint: ExporterEndpoint
    private let current: CurrentScraper

    package init(_ arguments: Live<UnixArguments>, _ context: Context<ExporterExports>) throws {
        self.arguments = arguments
        self.context = context
        endpoint = ExporterEndpoint(context, name: "unix")
        let settings = arguments.current.settings
        current = CurrentScraper(NodeScraper(settings, clock: context.clock, log: context.log))
        endpoint.serve { [current, blocking = context.services.blocking] _ in
            let scraper = current.scraper
            return try await blocking.run { scraper.scrape() }
        }
        logSelection(settings)
        endpoint.export(instance: ExporterEndpoint.hostInstance())
        context.report(.healthy("ready"))
    }

    package func argumentsChanged() {
        let settings = arguments.current.settings
        current.replace(NodeScraper(settings, clock: context.clock, log: context.log))
        logSelection(settings)
    }

    private func logSelection(_ settings: UnixSettings) {
        context.log.info(
            "Enabled collectors", nil, ["collectors": settings.collectors.map(\.name).joined(separator: ",")])
    }
}

/// The scraper of the newest arguments.
private final class CurrentScraper: Sendable {
    private let state: Mutex<NodeScraper>

    init(_ scraper: NodeScraper) { state = Mutex(scraper) }

    var scraper: NodeScraper { state.withLock { $0 } }

    func replace(_ scraper: NodeScraper) { state.withLock { $0 = scraper } }
}
