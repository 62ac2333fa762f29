import AlloySyntax
package import ComponentKit
import Essentials
import Synchronization

/// Exports what containers and control groups use of the machine.
package final class PrometheusExporterCadvisor: Component {
    package static let spec = ComponentSpec(
        "prometheus.exporter.cadvisor", .generallyAvailable,
        "Exports what containers and control groups use of the machine.")

    package typealias Exports = ExporterExports
    package typealias Arguments = CadvisorArguments

    private let arguments: Live<CadvisorArguments>
    private let context: Context<ExporterExports>
    private let current: Mutex<CadvisorScraper>

    package init(_ arguments: Live<CadvisorArguments>, _ context: Context<ExporterExports>) throws {
        self.arguments = arguments
        self.context = context
        current = Mutex(Self.scraper(arguments.current.settings, context))
        let endpoint = ExporterEndpoint(context, name: "cadvisor")
        endpoint.serve { [weak self, blocking = context.services.blocking] _ in
            guard let scraper = self?.current.withLock({ $0 }) else { return [] }
            return try await scraper.scrape(on: blocking)
        }
        endpoint.export(instance: ExporterEndpoint.hostInstance())
        context.report(.healthy("ready"))
    }

    deinit { current.withLock { $0.shutDown() } }

    package func argumentsChanged() {
        let made = Self.scraper(arguments.current.settings, context)
        let old = current.withLock { scraper in
            defer { scraper = made }
            return scraper
        }
        old.shutDown()
    }

    private static func scraper(
        _ settings: CadvisorSettings, _ context: Context<ExporterExports>
    ) -> CadvisorScraper {
        CadvisorScraper(settings, on: context.services.eventLoops, clock: context.clock, log: context.log)
    }
}
