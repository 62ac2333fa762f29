import AlloySyntax
package import ComponentKit
import Essentials
import Synchronization

/// Exports what groups of processes use of the machine.
package final class PrometheusExporterProcess: Component {
    package static let spec = ComponentSpec(
        "prometheus.exporter.process", .generallyAvailable, "Exports what groups of processes use of the machine.")

    package typealias Exports = ExporterExports
    package typealias Arguments = ProcessArguments

    private let arguments: Live<ProcessArguments>
    private let context: Context<ExporterExports>
    private let current: Mutex<ProcessScraper>

    package init(_ arguments: Live<ProcessArguments>, _ context: Context<ExporterExports>) throws {
        self.arguments = arguments
        self.context = context
        current = Mutex(ProcessScraper(arguments.current.settings, clock: context.clock, log: context.log))
        let endpoint = ExporterEndpoint(context, name: "process")
        endpoint.serve { [weak self, blocking = context.services.blocking] _ in
            guard let scraper = self?.current.withLock({ $0 }) else { return [] }
            return try await blocking.run { scraper.scrape() }
        }
        endpoint.export(instance: ExporterEndpoint.hostInstance())
    }

    package func run() async throws {
        var (_, version) = arguments.snapshot
        while true {
            let scraper = current.withLock { $0 }
            do {
                try await context.services.blocking.run { try scraper.begin() }
                context.report(.healthy("ready"))
            } catch is CancellationError {
                throw CancellationError()
            } catch {
                context.report(.unhealthy("processes cannot be read: \(error)"))
            }
            try await arguments.change(after: version)
            version = arguments.version
            let made = ProcessScraper(arguments.current.settings, clock: context.clock, log: context.log)
            current.withLock { $0 = made }
        }
    }
}
